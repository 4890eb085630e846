//! What a real Kong 3.9.3 answered, answered again: the exchanges of `transcripts.json` were captured from it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::harness::{Answer, Client, Echo, Gateway, request, within};

/// Where the captured upstream was.
const UPSTREAM: &str = "127.0.0.40";
/// The closed port of the captured configuration: nothing listens there on loopback either.
const CLOSED_PORT: u16 = 9;

#[derive(Deserialize)]
struct Group {
    configuration: Value,
    exchanges: Vec<Captured>,
}

#[derive(Deserialize)]
struct Captured {
    name: String,
    listener: String,
    method: String,
    path: String,
    headers: serde_json::Map<String, Value>,
    status: u16,
    response_headers: Vec<(String, String)>,
    content_length: Option<String>,
    body: Option<String>,
    upstream: Option<Upstream>,
}

#[derive(Deserialize)]
struct Upstream {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

/// Puts the test's own upstream where the captured one was.
fn moved(value: &mut Value, port: u16) {
    match value {
        Value::Object(fields) => {
            if fields.get("host").is_some_and(|host| host == UPSTREAM) {
                fields.insert("host".to_owned(), "127.0.0.1".into());
                if fields["port"] != CLOSED_PORT {
                    fields.insert("port".to_owned(), port.into());
                }
            }
            if let Some(target) = fields.get_mut("target")
                && target == "127.0.0.40:9000"
            {
                *target = format!("127.0.0.1:{port}").into();
            }
            fields.values_mut().for_each(|value| moved(value, port));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| moved(value, port)),
        _ => {}
    }
}

#[tokio::test]
async fn a_client_cannot_tell_it_from_kong() {
    let groups: Vec<Group> = serde_json::from_str(include_str!("transcripts.json")).unwrap();
    let echo = Echo::start().await;
    let gateway = Gateway::start(serde_json::json!({"_format_version": "3.0"})).await;
    for mut group in groups {
        moved(&mut group.configuration, echo.address.port());
        gateway.install(group.configuration);
        for captured in &group.exchanges {
            if captured.listener == "proxy-http" {
                exchange(&gateway, &echo, captured).await;
            }
        }
    }
}

async fn exchange(gateway: &Gateway, echo: &Echo, captured: &Captured) {
    let name = &captured.name;
    let mut headers: Vec<_> = captured
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    if !captured.headers.contains_key("Host") {
        headers.push(("host", "127.0.0.41:8000"));
    }
    let path = captured.path.replace("/delay/2", "/delay/2000");
    let mut client = Client::connect(gateway.http).await;
    let answer = within(client.ask(request(&captured.method, &path, &headers, ""))).await;
    assert_eq!(answer.status, captured.status, "{name}: {answer:?}");
    let id = answer.header("x-kong-request-id");
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{name}: {id}"
    );
    for (header, value) in &captured.response_headers {
        let got = answer.header(header);
        if header.ends_with("-Latency") {
            assert!(got.parse::<u64>().is_ok(), "{name}: {header}: {got:?}");
        } else {
            assert_eq!(got, value, "{name}: {header}");
        }
    }
    let expected: BTreeSet<_> = captured
        .response_headers
        .iter()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    let framing = [
        "date",
        "content-length",
        "connection",
        "x-kong-request-id",
        "transfer-encoding",
    ];
    let got = answer.headers.keys().map(|name| name.as_str().to_owned());
    let got: BTreeSet<_> = got.filter(|name| !framing.contains(&name.as_str())).collect();
    assert_eq!(got, expected, "{name}: names of headers");
    match &captured.upstream {
        None => {
            let expected = captured.body.clone().unwrap_or_default();
            assert_eq!(without_id(answer.text(), id), without_any_id(&expected), "{name}");
            if let Some(length) = &captured.content_length {
                assert_eq!(answer.header("content-length"), length, "{name}");
            }
        }
        Some(upstream) => seen(gateway, echo, name, &answer, upstream),
    }
}

fn seen(gateway: &Gateway, echo: &Echo, name: &str, answer: &Answer, upstream: &Upstream) {
    let seen = answer.seen();
    assert_eq!(seen["method"], upstream.method.as_str(), "{name}");
    assert_eq!(seen["path"], upstream.path.as_str(), "{name}");
    let expected = upstream.headers.iter().filter(|(header, _)| header != "Connection");
    let mut names = BTreeSet::new();
    for (header, value) in expected {
        let header = header.to_lowercase();
        let value = match header.as_str() {
            "x-kong-request-id" => answer.header("x-kong-request-id").to_owned(),
            "x-forwarded-port" => gateway.http.port().to_string(),
            "host" => value.replace("127.0.0.40:9000", &echo.address.to_string()),
            _ => value.clone(),
        };
        assert_eq!(answer.seen_header(&header), value, "{name}: {header}");
        names.insert(header);
    }
    let got: BTreeSet<_> = seen["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| pair[0].as_str().unwrap())
        .collect();
    assert_eq!(
        got,
        names.iter().map(String::as_str).collect(),
        "{name}: names of headers at the upstream"
    );
}

fn without_id(text: &str, id: &str) -> String {
    text.replace(id, "<id>")
}

fn without_any_id(text: &str) -> String {
    let is_id = |word: &str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let ids = text
        .split(|character: char| !character.is_ascii_alphanumeric())
        .find(|word| is_id(word));
    ids.map_or_else(|| text.to_owned(), |id| without_id(text, id))
}
