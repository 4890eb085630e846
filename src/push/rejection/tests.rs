#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;
use proxy_config_schema::ConfigHash;
use serde_json::json;

use super::*;

fn rendered(document: &Value) -> Rendered {
    let bytes = Bytes::from(document.to_string());
    Rendered {
        hash: ConfigHash::of(&bytes),
        bytes,
        confidential: Default::default(),
    }
}

fn rejection(body: &str, sent: &Value) -> Rejection {
    read(serde_json::from_str(body).unwrap(), Some(sent), &Secrets::default())
}

fn line(error: &EntityError) -> String {
    summary(error)
}

/// Answers of Kong 3.9.3.
fn transcript(name: &str) -> Value {
    let text =
        std::fs::read_to_string(format!("{}/src/push/testdata/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn recorded(name: &str) -> Rejection {
    let transcript = transcript(name);
    rejection(transcript["answer"].as_str().unwrap(), &transcript["sent"])
}

#[test]
fn a_field_of_an_entity_is_named_with_its_tags() {
    let rejection = recorded("invalid-unknown-field-service");
    assert_eq!(rejection.message, r#"service "s1" foo: unknown field"#);
    assert_eq!(rejection.count, 1);
    assert_eq!(rejection.entities[0].entity_tags[0], "k8s-name:s1");
    let rejection = recorded("invalid-bad-regex");
    assert_eq!(rejection.entities[0].field.as_deref(), Some("paths.1"));
}

#[test]
fn an_empty_list_comes_as_an_object_and_the_tree_speaks_instead() {
    let flattened = recorded("invalid-foreign-missing-service-by-name");
    assert!(!flattened.names_somebody());
    let rejection = recorded("invalid-foreign-missing-service-by-name-unflattened");
    assert_eq!(
        rejection.message,
        r#"route "r1": invalid reference 'service: nosuch' (no such entry in 'services')"#
    );
    assert!(
        rejection.entities[0].entity_tags.iter().any(|tag| tag == "k8s-name:r1"),
        "tags come from what was sent: {:?}",
        rejection.entities[0]
    );
}

#[test]
fn a_false_certificate_error_does_not_hide_the_true_one() {
    let rejection = recorded("invalid-sni-nested-plus-other-error");
    let lines: Vec<_> = rejection.entities.iter().map(line).collect();
    assert_eq!(lines, [r#"service "s1" port: expected an integer"#]);
    assert_eq!(rejection.count, 1);
    assert!(
        recorded("invalid-sni-nested-plain-with-basicauth").names_somebody(),
        "alone it is all there is"
    );
}

#[test]
fn the_tree_names_nested_entities() {
    let sent = json!({"services": [
        {"name": "s0"},
        {"name": "s1", "tags": ["k8s-name:s1"], "port": "x",
         "routes": [{"name": "r1", "tags": ["k8s-name:r1"], "paths": ["/a", "b"]}]},
    ]});
    let answer = json!({"code": 14, "message": "declarative config is invalid: …", "fields": {
        "services": [null, {"port": "expected an integer", "routes": [{"paths": [null, "should start with: /"]}]}],
        "_format_version": "required field missing",
        "nonsense": {"a": "unknown entity"},
    }});
    let rejection = rejection(&answer.to_string(), &sent);
    let mut lines: Vec<_> = rejection.entities.iter().map(line).collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "configuration _format_version: required field missing",
            r#"nonsense "a": unknown entity"#,
            r#"route "r1" paths.2: should start with: /"#,
            r#"service "s1" port: expected an integer"#,
        ]
    );
}

#[test]
fn messages_of_elements_are_numbered() {
    let answer = json!({"flattened_errors": [{"entity_type": "route", "entity_name": "r", "errors": [
        {"field": "hosts", "messages": [null, "invalid hostname"]}]}, "odd", 7, null]});
    let rejection = rejection(&answer.to_string(), &json!({}));
    assert_eq!(rejection.message, r#"route "r" hosts[1]: invalid hostname"#);
}

#[test]
fn secrets_are_taken_out_and_lengths_bounded() {
    let sent = json!({"_format_version": "3.0",
        "consumers": [{"username": "a", "keyauth_credentials": [{"key": "top-secret"}]}]});
    let errors: Vec<_> = (0..250)
        .map(|_| {
            json!({"entity_type": "keyauth_credential", "entity": {"key": "top-secret"},
            "errors": [{"type": "field", "field": "key", "message": format!("duplicate 'top-secret' {}", "x".repeat(9000))}]})
        })
        .collect();
    let answer = json!({"flattened_errors": errors}).to_string();
    let rejection = parse(answer.as_bytes(), &rendered(&sent)).unwrap();
    assert_eq!((rejection.entities.len(), rejection.count), (MAX_ERRORS, 250));
    assert!(
        rejection
            .entities
            .iter()
            .all(|error| error.message.chars().count() <= MAX_MESSAGE + 1)
    );
    assert!(
        rejection.message.contains("duplicate '{vault://redacted-value}'"),
        "{}",
        rejection.message
    );
    assert!(rejection.message.ends_with("(and 249 more errors)"));
}

#[test]
fn reasons_that_cannot_be_redacted_are_withheld() {
    let rejection = parse(br#"{"message": "password hunter2"}"#, &rendered(&json!("no document"))).unwrap();
    assert!(rejection.message.contains("withheld") && !rejection.message.contains("hunter2"));
}

#[test]
fn too_large_says_what_to_raise() {
    let html = b"<html>\r\n<head><title>413 Request Entity Too Large</title></head></html>";
    let rejection = too_large(html, &rendered(&json!({"_format_version": "3.0"})));
    assert!(
        rejection.message.contains("nginx_admin_client_max_body_size"),
        "{}",
        rejection.message
    );
    let json = br#"{"message":"Configuration does not fit in LMDB database, consider raising the \"lmdb_map_size\" config for Kong"}"#;
    let rejection = too_large(json, &rendered(&json!({"_format_version": "3.0"})));
    assert!(rejection.message.contains("lmdb_map_size"), "{}", rejection.message);
}

fn owners(rejection: &Rejection) -> Vec<&str> {
    let tags = rejection.entities.iter().map(|error| &error.entity_tags);
    let names = tags.map(|tags| tags.iter().find_map(|tag| tag.strip_prefix("k8s-name:")));
    names.flatten().collect()
}

#[test]
fn what_is_declared_twice_is_the_later_ones_fault() {
    let cases = [
        ("invalid-keyauth-dup-key", "b"),
        ("invalid-sni-duplicate", "certificate-1"),
        ("invalid-duplicate-route-names-across-services", "s2-0"),
    ];
    for (name, owner) in cases {
        let rejection = recorded(name);
        assert_eq!(owners(&rejection), [owner], "{name}: {:?}", rejection.entities);
        assert_eq!(rejection.count, 1, "{name}");
    }
}

#[test]
fn what_has_no_tags_is_the_fault_of_what_it_is_nested_in() {
    let rejection = recorded("invalid-upstream-duplicate-target");
    assert_eq!(owners(&rejection), ["u1"], "{:?}", rejection.entities);
    let sent =
        json!({"upstreams": [{"name": "u", "tags": ["k8s-name:web"], "targets": [{"target": "a:80", "weight": "x"}]}]});
    let answer = json!({"message": "…", "fields": {"upstreams": [{"targets": [{"weight": "expected an integer"}]}]}});
    let rejection = rejection_of(&answer, &sent);
    assert_eq!(owners(&rejection), ["web"]);
    assert_eq!(
        line(&rejection.entities[0]),
        r#"target "a:80" weight: expected an integer"#
    );
}

fn rejection_of(answer: &Value, sent: &Value) -> Rejection {
    rejection(&answer.to_string(), sent)
}

#[test]
fn every_object_at_fault_is_known_however_many_errors_there_are() {
    let error = |object: usize, field: usize| {
        json!({"entity_type": "route", "entity_name": format!("r{object}"), "entity_tags": [format!("k8s-name:o{object}"), "mine"],
            "errors": [{"type": "field", "field": format!("f{field}"), "message": "wrong"}]})
    };
    let errors: Vec<_> = (0..1000)
        .flat_map(|object| (0..3).map(move |field| error(object, field)))
        .collect();
    let rejection = rejection_of(&json!({ "flattened_errors": errors }), &json!({}));
    assert_eq!(rejection.count, 3000);
    let known: std::collections::BTreeSet<_> = owners(&rejection).into_iter().collect();
    assert_eq!(known.len(), 1000);
    assert!(rejection.entities.len() <= MAX_ERRORS + 1000);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z_0-9]{0,6}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("flattened_errors"),
        Just("fields"),
        Just("errors"),
        Just("message"),
        Just("messages"),
        Just("field"),
        Just("entity_type"),
        Just("entity_tags"),
        Just("services"),
        Just("routes"),
        Just("1"),
        Just("name"),
    ];
    leaf.prop_recursive(6, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..5).prop_map(|pairs| pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_answer_is_survived(answer in any_json(), sent in any_json()) {
        parse(answer.to_string().as_bytes(), &rendered(&sent));
        if let Ok(answer) = serde_json::from_value(answer) {
            let rejection = read(answer, Some(&sent), &Secrets::default());
            prop_assert!(rejection.entities.len() <= rejection.count.max(MAX_ERRORS));
        }
    }
}
