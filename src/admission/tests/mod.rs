//! Every check with its message, as the API server gets to hear it.

#![allow(clippy::unwrap_used)]

mod arbitrary;
mod consumers;
mod plugins;
mod routes;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

/// An object as manifests have it; namespace `shop` and name `it` unless it says otherwise.
fn object(kind: Kind, mut value: Value) -> Value {
    value["apiVersion"] = json!(kind.api_version());
    value["kind"] = json!(kind.name());
    if value["metadata"]["name"].is_null() {
        value["metadata"]["name"] = json!("it");
    }
    if kind.is_namespaced() && value["metadata"]["namespace"].is_null() {
        value["metadata"]["namespace"] = json!("shop");
    }
    value
}

fn snapshot(objects: &[(Kind, Value)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (kind, value) in objects {
        snapshot.insert(Object::from_json(*kind, object(*kind, value.clone())).unwrap());
    }
    snapshot
}

fn request(kind: Kind, new: &Value, old: Option<&Value>) -> Request {
    let new = object(kind, new.clone());
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
            "kind": {"group": kind.group(), "version": kind.version(), "kind": kind.name()},
            "name": new["metadata"]["name"], "namespace": new["metadata"]["namespace"],
            "object": new, "oldObject": old.map(|old| object(kind, old.clone())),
        },
    });
    Request::parse(body.to_string().as_bytes()).unwrap()
}

fn settings() -> Settings {
    Settings {
        translations: vec![translate::Settings::default()],
    }
}

fn reviewed(kind: Kind, new: &Value, old: Option<&Value>, objects: &[(Kind, Value)]) -> Review {
    review(
        &request(kind, new, old),
        &snapshot(objects),
        &BTreeSet::new(),
        &settings(),
    )
}

/// The verdict on a new object.
fn verdict(kind: Kind, new: &Value, objects: &[(Kind, Value)]) -> Verdict {
    reviewed(kind, new, None, objects).conclude()
}

fn denial(kind: Kind, new: &Value, objects: &[(Kind, Value)]) -> String {
    verdict(kind, new, objects).message().unwrap_or_default()
}

/// What is said to an object that names the Secret of that name: why it is denied if there is none, and what is warned of if
/// that is not known.
fn without_secret(request: &Request, name: &str) -> (Option<String>, Vec<String>) {
    let key = NamespacedName::new("shop", name);
    let nothing = Snapshot::default();
    assert_eq!(missing_secrets(request, &nothing), std::slice::from_ref(&key));
    let if_absent = |absent| review(request, &nothing, &absent, &settings()).conclude();
    let unknown = if_absent(BTreeSet::new());
    assert!(unknown.is_allowed(), "{unknown:?}");
    (if_absent(BTreeSet::from([key])).message(), unknown.warnings)
}

fn ours(mut value: Value) -> Value {
    value["metadata"]["annotations"]["kubernetes.io/ingress.class"] = json!("kong");
    value
}

fn credential(name: &str, kind: &str, texts: &Value) -> Value {
    json!({"metadata": {"name": name, "labels": {"konghq.com/credential": kind}}, "stringData": texts})
}

fn ingress(path: &str, path_type: &str) -> Value {
    json!({"spec": {"ingressClassName": "kong", "rules": [{"host": "shop.example", "http": {"paths": [
        {"path": path, "pathType": path_type, "backend": {"service": {"name": "web", "port": {"number": 80}}}},
    ]}}]}})
}

fn web() -> (Kind, Value) {
    (
        Kind::Service,
        json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}),
    )
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer {
        status,
        body: body.to_string().into_bytes(),
    }
}

fn violation(message: &str) -> Answer {
    answer(400, &json!({"message": message, "name": "schema violation", "code": 2}))
}

#[test]
fn what_is_no_ca_certificate_is_denied() {
    let secret = json!({
        "metadata": {"labels": {"konghq.com/ca-cert": "true"}},
        "stringData": {"id": "8214a145-a328-4c56-ab72-2973a56d4eae", "cert": "nothing"},
    });
    assert_ne!(denial(Kind::Secret, &secret, &[]), "");
}

#[test]
fn a_group_that_is_still_missing_is_warned_of() {
    let consumer = ours(json!({"username": "alice", "consumerGroups": ["gold"]}));
    let warned = verdict(Kind::KongConsumer, &consumer, &[]);
    assert!(warned.is_allowed() && warned.warnings[0].contains("gold"), "{warned:?}");
}

#[test]
fn what_is_deprecated_is_warned_of() {
    let kong_ingress = json!({"proxy": {}, "route": {}, "upstream": {}});
    let verdict_on = verdict(Kind::KongIngress, &kong_ingress, &[]);
    assert!(verdict_on.is_allowed());
    assert_eq!(verdict_on.warnings.len(), 3);
    for (warning, section) in verdict_on.warnings.iter().zip(["'proxy'", "'route'", "'upstream'"]) {
        assert!(warning.starts_with(&format!("{section} is DEPRECATED")), "{warning}");
    }
    let service = json!({"metadata": {"annotations": {"konghq.com/override": "x"}}, "spec": {"ports": [{"port": 80}]}});
    let verdict_on = verdict(Kind::Service, &service, &[]);
    assert!(
        verdict_on.is_allowed() && verdict_on.warnings[0].contains("DEPRECATED"),
        "{verdict_on:?}"
    );
}

#[test]
fn what_can_not_be_read_is_denied_unless_it_was_so_before() {
    let bad = json!({"spec": {"ingressClassName": 5}});
    assert!(denial(Kind::Ingress, &bad, &[]).starts_with("the Ingress can't be read: "));
    let review = reviewed(Kind::Ingress, &bad, Some(&json!({"spec": 5})), &[]);
    assert_eq!(review.conclude(), Verdict::default());
    let secret = json!({"data": {"key": "hunter2 is no Base64"}});
    let message = denial(Kind::Secret, &secret, &[]);
    assert_eq!(message, "the Secret has a field that can't be read");
}

#[test]
fn kinds_and_operations_of_others_are_none_of_our_business() {
    for (group, kind, operation) in [
        ("apps", "Deployment", "CREATE"),
        ("networking.k8s.io", "Ingress", "DELETE"),
    ] {
        let body = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"uid": "u", "operation": operation, "object": ingress("/~([", "ImplementationSpecific"),
                        "kind": {"group": group, "version": "v1", "kind": kind}},
        });
        let request = Request::parse(body.to_string().as_bytes()).unwrap();
        let review = review(&request, &Snapshot::default(), &BTreeSet::new(), &settings());
        assert_eq!(review.conclude(), Verdict::default());
    }
}

#[test]
fn an_object_that_gets_its_name_later_is_reviewed_too() {
    let mut bad = ingress("/~/bad/([", "ImplementationSpecific");
    bad["metadata"] = json!({"generateName": "web-", "namespace": "shop", "name": ""});
    let message = denial(Kind::Ingress, &bad, &[web()]);
    assert!(message.contains("spec.rules[0].http.paths[0].path"), "{message}");
}

/// Reviews as an API server sends them; the fuzz target begins with them, too.
#[test]
fn recorded_reviews_are_read() {
    for (name, text, message) in [
        (
            "ingress",
            include_str!("../testdata/ingress.json"),
            Some("Ingress failed schema validation: "),
        ),
        ("plugin", include_str!("../testdata/plugin.json"), None),
        (
            "credential",
            include_str!("../testdata/credential.json"),
            Some("missing required field(s): rsa_public_key"),
        ),
    ] {
        let request = Request::parse(text.as_bytes()).unwrap();
        let found = review(&request, &Snapshot::default(), &BTreeSet::new(), &settings())
            .conclude()
            .message();
        match message {
            None => assert_eq!(found, None, "{name}"),
            Some(words) => assert!(found.as_ref().unwrap().contains(words), "{name}: {found:?}"),
        }
    }
}
