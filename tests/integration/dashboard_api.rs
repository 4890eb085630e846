//! The dashboard's API is what its page in the reference says.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Demo, ECHO_SERVICE, client, ingress};

/// Names of fields, those of values whose names are data left out.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
        Value::Object(members) => {
            for (name, member) in members {
                found.insert(name.clone());
                if !["configuration", "desired"].contains(&name.as_str()) || member.is_array() {
                    fields(member, found);
                }
            }
        }
        _ => {}
    }
}

/// What the stream of events begins with.
async fn first_event(demo: &Demo) -> Value {
    let url = format!("{}api/v1/events", demo.info["dashboard"].as_str().unwrap());
    let mut stream = client().build().unwrap().get(url).send().await.unwrap();
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        text += std::str::from_utf8(&stream.chunk().await.unwrap().expect("it goes on")).unwrap();
    }
    serde_json::from_str(text.trim().strip_prefix("data: ").unwrap()).unwrap()
}

#[tokio::test]
async fn every_path_and_field_stands_in_the_reference() {
    const PAGE: &str = include_str!("../../docs/reference/dashboard-api.md");
    let demo = Demo::start(
        1,
        &[
            ("web.yaml", &ingress("web", "web.localhost", "/a")),
            (
                "lost.yaml",
                &ingress("lost", "lost.localhost", "/a").replace("echo", "nowhere"),
            ),
            ("echo.yaml", ECHO_SERVICE),
        ],
    );
    demo.problems("the mistake is told", |problems| problems.len() == 1)
        .await;
    let mut found = BTreeSet::new();
    for (path, documented) in [
        ("proxies", "proxies"),
        ("problems", "problems"),
        ("configuration?full=true", "configuration"),
        ("leadership", "leadership"),
        ("objects/Ingress/web?namespace=demo", "objects/KIND/NAME"),
        ("proxies/proxy-0/configuration", "proxies/NAME/configuration"),
    ] {
        let answer = demo.api(path).await;
        assert!(answer != Value::Array(Vec::new()), "{path} has something to tell");
        fields(&answer, &mut found);
        assert!(
            PAGE.contains(&format!("`/api/v1/{documented}`")),
            "{documented} is not told of"
        );
    }
    fields(&first_event(&demo).await, &mut found);
    let unknown: Vec<_> = found
        .iter()
        .filter(|name| !PAGE.contains(&format!("`{name}`")))
        .collect();
    assert!(unknown.is_empty(), "not told of: {unknown:?}");
}
