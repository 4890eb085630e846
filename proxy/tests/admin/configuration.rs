//! Sending configurations.

use serde_json::json;

use crate::{Ask, Setup, ZEROS, assert_answer, configuration, md5, post, setup};

#[tokio::test]
async fn a_configuration_is_taken_once_and_makes_the_proxy_ready() {
    let setup = setup(|launch| launch).await;
    let Setup { admin, status, .. } = &setup;
    assert_eq!(admin.hash().await, ZEROS);
    let unready = json!({"message": "no configuration available (empty configuration present)"});
    assert_answer(&status.get("/status/ready").await, 503, &unready);
    assert_answer(&admin.get("/status/ready").await, 404, &json!({"message": "Not found"}));
    assert_answer(&status.get("/status/live").await, 404, &json!({"message": "Not found"}));
    assert_answer(&status.get("/services").await, 404, &json!({"message": "Not found"}));

    let text = configuration("a");
    let accepted = admin.push(text.clone()).await;
    assert_answer(&accepted, 201, &json!({}));
    assert_eq!(
        accepted.headers["server"],
        concat!("silverback-proxy/", env!("CARGO_PKG_VERSION"))
    );
    assert!(accepted.headers.contains_key("x-kong-admin-latency"));
    assert_eq!(admin.hash().await, md5(&text));
    assert_eq!(status.hash().await, md5(&text));
    assert_answer(&status.get("/status/ready").await, 200, &json!({"message": "ready"}));

    let unchanged = admin.push(text.clone()).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
    let again = admin.ask(post("/config", "application/yaml", &text)).await;
    assert_eq!(again.status, 201, "without check_hash it is loaded again");
}

#[tokio::test]
async fn every_way_of_sending_a_configuration_has_kongs_hash() {
    let setup = setup(|launch| launch).await;
    let Setup { admin, .. } = &setup;
    let text = configuration("a");
    let yaml = "_format_version: \"3.0\"\nservices:\n- name: svc-y\n  url: http://127.0.0.40:9000\n";
    let wrapped = json!({ "config": text }).to_string();
    let form: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("config", &text)
        .finish();
    let multipart = format!(
        "--x\r\nContent-Disposition: form-data; name=\"config\"; filename=\"kong.json\"\r\n\r\n{text}\r\n--x--\r\n"
    );
    for (content_type, body, inner) in [
        ("text/yaml", yaml.to_owned(), yaml),
        ("application/json", wrapped, &text),
        ("application/yaml", yaml.to_owned(), yaml),
        ("application/x-www-form-urlencoded", form, &text),
        ("text/yaml; charset=utf-8", yaml.to_owned(), yaml),
        ("multipart/form-data; boundary=x", multipart, &text),
    ] {
        let path = "/config?check_hash=1";
        let accepted = admin.ask(post(path, content_type, &body)).await;
        assert_eq!(accepted.status, 201, "{content_type}: {:?}", accepted.body);
        assert_eq!(admin.hash().await, md5(inner), "{content_type}");
        let unchanged = admin.ask(post(path, content_type, &body)).await;
        assert_eq!(unchanged.status, 304, "{content_type}");
    }
    // A table is hashed with what is filled in, so that its hash is never known beforehand.
    for _ in 0..2 {
        let before = admin.hash().await;
        let accepted = admin.ask(post("/config?check_hash=1", "application/json", &text)).await;
        assert_eq!(accepted.status, 201);
        let hash = admin.hash().await;
        assert!(hash != before && hash != md5(&text) && hash != ZEROS);
    }
}

#[tokio::test]
async fn an_empty_configuration_is_none() {
    let setup = setup(|launch| launch).await;
    let Setup { admin, status, .. } = &setup;
    assert_eq!(admin.push(configuration("a")).await.status, 201);
    for empty in [
        r#"{"_format_version": "3.0"}"#,
        r#"{"_format_version": "3.0", "services": []}"#,
    ] {
        assert_answer(&admin.push(empty).await, 201, &json!({}));
        assert_eq!(admin.hash().await, ZEROS);
        assert_eq!(status.get("/status/ready").await.status, 503);
    }
    let stub = r#"{"_format_version": "3.0", "upstreams": [{"name": "stub"}]}"#;
    assert_eq!(admin.push(stub).await.status, 201);
    assert_eq!(admin.hash().await, md5(stub));
    assert_eq!(status.get("/status/ready").await.status, 200);
}

#[tokio::test]
async fn a_refused_configuration_names_the_culprit_and_changes_nothing() {
    let setup = setup(|launch| launch).await;
    let Setup { admin, .. } = &setup;
    let good = configuration("a");
    assert_eq!(admin.push(good.clone()).await.status, 201);

    let bad = json!({
        "_format_version": "3.0",
        "services": [
            {"name": "fine", "host": "h"},
            {"name": "s1", "host": "h", "tags": ["k8s-name:s1"], "routes": [{"name": "r1", "paths": ["~/foo(["]}]},
            {"name": "s2", "host": "h", "foo": "bar"},
        ],
    });
    let refused = admin.push(bad.to_string()).await;
    assert_eq!(refused.status, 400);
    let answer = refused.json();
    assert_eq!(answer["code"], 14);
    assert_eq!(answer["name"], "invalid declarative configuration");
    assert_eq!(answer["message"], "declarative config is invalid: {}");
    assert_eq!(answer["fields"], json!({}));
    let errors = answer["flattened_errors"].as_array().unwrap();
    let of = |kind: &str| errors.iter().find(|error| error["entity_type"] == kind).unwrap();
    assert_eq!(errors.len(), 2);
    assert_eq!(of("route")["entity_name"], "r1");
    assert_eq!(of("route")["errors"][0]["field"], "paths.1");
    assert_eq!(of("service")["entity_name"], "s2");
    assert_eq!(
        of("service")["errors"],
        json!([{"type": "field", "field": "foo", "message": "unknown field"}])
    );

    let told = admin
        .ask(post("/config?check_hash=1", "application/yaml", bad.to_string()))
        .await
        .json();
    assert_eq!(told["fields"]["services"][2]["foo"], "unknown field");
    assert!(told.get("flattened_errors").is_none());

    assert_eq!(admin.hash().await, md5(&good), "the configuration before stays");
    let changed = configuration("b");
    assert_eq!(admin.push(changed.clone()).await.status, 201);
    assert_eq!(admin.hash().await, md5(&changed), "an unrelated change goes live");
}

#[tokio::test]
async fn documents_that_are_none_are_told_in_kongs_words() {
    let setup = setup(|launch| launch).await;
    let Setup { admin, .. } = &setup;
    let path = "/config?check_hash=1&flatten_errors=1";
    let invalid = |field: &str, message: &str| {
        json!({
            "code": 14, "name": "invalid declarative configuration", "flattened_errors": {},
            "fields": {field: message},
            "message": format!("declarative config is invalid: {{{field}={message:?}}}"),
        })
    };
    let message = |message: &str| json!({ "message": message });
    let missing = invalid("_format_version", "required field missing");
    let json_type = "application/json";
    for (ask, status, body) in [
        (
            post(&format!("{path}&foo=bar"), json_type, configuration("a")),
            400,
            invalid("foo", "unknown field"),
        ),
        (post(path, json_type, "{}"), 400, missing.clone()),
        (post(path, json_type, "[]"), 400, missing.clone()),
        (post(path, "application/yaml", "{}"), 400, missing),
        (
            post(path, "application/yaml", r#"{"_format_version": 3.0}"#),
            400,
            invalid("_format_version", "expected a string"),
        ),
        (
            post(path, "application/yaml", r#"{"_format_version": "4.0"}"#),
            400,
            invalid("_format_version", "expected one of: 1.1, 2.1, 3.0"),
        ),
        (
            post(path, "application/yaml", "hello"),
            400,
            invalid("error", "failed parsing declarative configuration: expected an object"),
        ),
        (post(path, json_type, ""), 400, message("Cannot parse JSON body")),
        (
            post(path, json_type, "{\"_format_version\":"),
            400,
            message("Cannot parse JSON body"),
        ),
        (
            Ask::new("POST", path),
            400,
            message("expected a declarative configuration"),
        ),
        (
            post(path, json_type, "\"x\""),
            500,
            message("An unexpected error occurred"),
        ),
        (Ask::new("PUT", "/config"), 405, message("Method not allowed")),
        (Ask::new("DELETE", "/config"), 405, message("Method not allowed")),
    ] {
        assert_answer(&admin.ask(ask).await, status, &body);
    }
    for ask in [
        post(path, "text/plain", configuration("a")),
        post(path, "Application/JSON", configuration("a")),
        Ask::new("POST", path).untyped(configuration("a")),
    ] {
        let refused = admin.ask(ask).await;
        assert_eq!(refused.status, 415);
        assert_eq!(refused.headers["content-type"], "text/html; charset=UTF-8");
        assert_eq!(refused.headers["content-length"], "144", "as long as nginx' page");
        assert!(refused.text().contains("<h1>415 Unsupported Media Type</h1>"));
    }
    assert_eq!(admin.hash().await, ZEROS);
}

#[tokio::test]
async fn large_bodies_and_bombs_are_refused_and_nothing_else_is_lost() {
    let setup = setup(|launch| launch).await;
    let Setup { admin, .. } = &setup;
    let padded = |size: usize| {
        json!({"_format_version": "3.0", "_comment": "x".repeat(size), "services": [{"name": "a", "host": "h"}]})
            .to_string()
    };
    let accepted = admin.push(padded(9 << 20)).await;
    assert_eq!(accepted.status, 201);
    let hash = admin.hash().await;
    for client in [admin.clone(), admin.http2()] {
        let refused = client.push(padded(11 << 20)).await;
        assert_eq!(refused.status, 413);
        assert_eq!(refused.headers["content-length"], "148", "as long as nginx' page");
        assert!(refused.text().contains("<h1>413 Request Entity Too Large</h1>"));
    }
    let mut bomb = "_format_version: '3.0'\na0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let refused = admin.push(bomb).await;
    assert_eq!(refused.status, 400);
    let reason = refused.json()["fields"]["error"].as_str().unwrap().to_owned();
    assert!(
        reason.starts_with("failed parsing declarative configuration: "),
        "{reason}"
    );
    assert_eq!(admin.push("[".repeat(9 << 20)).await.status, 400);
    assert_eq!(admin.hash().await, hash);
    assert_eq!(admin.push(configuration("b")).await.status, 201);
}

#[tokio::test]
async fn configurations_that_come_at_once_are_loaded_one_after_another() {
    let setup = setup(|launch| launch).await;
    let Setup { admin, .. } = &setup;
    let texts: Vec<String> = (0..12).map(|number| configuration(&format!("s{number}"))).collect();
    let pushes = texts.iter().map(|text| {
        let admin = admin.clone();
        let text = text.clone();
        tokio::spawn(async move { admin.push(text).await })
    });
    let pushes: Vec<_> = pushes.collect();
    let mut accepted = 0;
    for push in pushes {
        let answer = push.await.unwrap();
        match answer.status.as_u16() {
            201 => accepted += 1,
            429 => {
                assert_eq!(
                    answer.json(),
                    json!({"message": "Currently loading previous configuration"})
                );
                assert_eq!(answer.headers["retry-after"], "10");
            }
            other => panic!("{other}"),
        }
    }
    assert!(accepted >= 1);
    let hash = admin.hash().await;
    assert!(texts.iter().any(|text| md5(text) == hash));
}

#[tokio::test]
async fn a_leader_that_was_deposed_is_refused() {
    let setup = setup(|launch| launch).await;
    let Setup { admin, .. } = &setup;
    let push = async |service: &str, epoch: Option<&str>, supersedes: Option<&str>| {
        let mut ask = post(
            "/config?check_hash=1&flatten_errors=1",
            "application/yaml",
            configuration(service),
        );
        for (name, value) in [("silverback-epoch", epoch), ("silverback-supersedes", supersedes)] {
            if let Some(value) = value {
                ask = ask.header(name, value);
            }
        }
        admin.ask(ask).await
    };
    assert_eq!(push("a", Some("uid-1:4"), None).await.status, 201);
    assert_eq!(push("b", Some("uid-1:5"), None).await.status, 201);
    let refused = push("c", Some("uid-1:4"), None).await;
    assert_eq!(refused.status, 409);
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("uid-1:4") && message.contains("uid-1:5"), "{message}");
    assert_eq!(
        push("b", Some("uid-1:4"), None).await.status,
        409,
        "also for what runs already"
    );
    assert_eq!(admin.hash().await, md5(&configuration("b")));

    // The Lease was deleted and made again: its leader has to have asked whether it leads.
    let refused = push("d", Some("uid-2:0"), None).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.headers["silverback-epoch"], "uid-1:5");
    assert_eq!(push("d", Some("uid-2:0"), Some("uid-1:5")).await.status, 201);
    // The one that led before wakes up.
    for (stale, supersedes) in [("uid-1:5", None), ("uid-1:6", None), ("uid-1:6", Some("uid-1:5"))] {
        assert_eq!(push("old", Some(stale), supersedes).await.status, 409, "{stale}");
    }
    assert_eq!(admin.hash().await, md5(&configuration("d")));
    assert_eq!(
        push("e", None, None).await.status,
        201,
        "others than silverback say nothing"
    );
    assert_eq!(push("f", Some("nonsense"), None).await.status, 400);
    assert_eq!(push("f", Some("uid-2:0"), Some("nonsense")).await.status, 400);
    assert_eq!(admin.hash().await, md5(&configuration("e")));
}
