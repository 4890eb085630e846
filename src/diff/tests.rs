//! What a user sees of two configurations.

use proxy_config_schema::{Configuration, REDACTED};
use serde_json::{Value, json};

use super::*;

fn configuration(mut document: Value) -> Configuration {
    document["_format_version"] = json!("3.0");
    Configuration::from_value(document).expect("a valid configuration")
}

fn tags(kind: &str, name: &str) -> Value {
    json!([
        format!("k8s-name:{name}"),
        "k8s-namespace:shop",
        format!("k8s-kind:{kind}")
    ])
}

fn service(path: &str, targets: &[&str]) -> Value {
    let targets: Vec<Value> = targets.iter().map(|target| json!({"target": target})).collect();
    json!({
        "services": [{
            "name": "shop.web.80", "host": "web.shop.80.svc", "tags": tags("Service", "web"),
            "routes": [{"name": "shop.web.a", "paths": [path], "tags": tags("Ingress", "web")}],
        }],
        "upstreams": [{"name": "web.shop.80.svc", "tags": tags("Service", "web"), "targets": targets}],
    })
}

fn shown(before: Value, after: Value) -> String {
    diff(&configuration(before), &configuration(after), &BTreeSet::new()).to_string()
}

#[test]
fn changes_stand_below_their_object() {
    assert_eq!(
        shown(
            service("/a", &["10.0.0.1:80", "10.0.0.2:80"]),
            service("/b", &["10.0.0.2:80", "10.0.0.3:80"])
        ),
        "Ingress shop/web\n  \
         ~ route shop.web.a of service shop.web.80\n      \
         paths: [\"/a\"] -> [\"/b\"]\n\
         Service shop/web\n  \
         - target 10.0.0.1:80 of upstream web.shop.80.svc\n      \
         target: \"10.0.0.1:80\"\n  \
         + target 10.0.0.3:80 of upstream web.shop.80.svc\n      \
         target: \"10.0.0.3:80\"\n\
         1 added, 1 changed, 1 removed, of 2 objects\n"
    );
}

#[test]
fn order_and_nesting_are_no_change() {
    let nested = json!({
        "consumers": [{"username": "alice", "acls": [{"group": "a"}, {"group": "b"}]}, {"username": "bob"}],
        "services": [{"name": "s", "host": "h", "plugins": [{"name": "key-auth"}]}],
    });
    let flat = json!({
        "consumers": [{"username": "bob"}, {"username": "alice"}],
        "services": [{"name": "s", "host": "h"}],
        "acls": [{"group": "b", "consumer": "alice"}, {"group": "a", "consumer": "alice"}],
        "plugins": [{"name": "key-auth", "service": "s"}],
    });
    assert_eq!(shown(nested, flat), "no changes\n");
}

fn alice(key: &str, password: &str) -> Value {
    json!({"consumers": [{
        "username": "alice", "tags": tags("KongConsumer", "alice"),
        "keyauth_credentials": [{"key": "kept", "tags": tags("Secret", "key-1")}, {"key": key, "tags": tags("Secret", "key-2")}],
        "plugins": [{"name": "openid-connect", "config": {"client_secret": [password], "issuer": "i"}}],
    }]})
}

#[test]
fn a_secret_only_changes() {
    let changes = diff(
        &configuration(alice("old-key", "old-password")),
        &configuration(alice("new-key", "new-password")),
        &BTreeSet::new(),
    );
    let json = serde_json::to_string(&changes).expect("it is JSON");
    let text = format!("{changes}{changes:?}{json}");
    for secret in ["old-key", "new-key", "old-password", "new-password", "kept"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert_eq!(
        changes.to_string(),
        "KongConsumer shop/alice\n  \
         ~ plugin openid-connect of consumer alice\n      \
         config.client_secret: changed (secret)\n\
         Secret shop/key-2\n  \
         ~ keyauth_credential of consumer alice\n      \
         key: changed (secret)\n\
         0 added, 2 changed, 0 removed, of 2 objects\n"
    );
    let added = shown(json!({}), alice("new-key", "new-password"));
    assert!(added.contains("key: (secret)") && !added.contains("new-"), "{added}");
}

#[test]
fn what_one_side_hides_is_counted_and_no_change() {
    let before = configuration(alice("key", "password"));
    let changes = diff(&before, &before.redacted(), &BTreeSet::new());
    assert!(changes.is_empty(), "{changes}");
    assert_eq!(
        changes.to_string(),
        "no changes; 3 secrets not compared, since one side does not show them\n"
    );
    assert_eq!(REDACTED, "{vault://redacted-value}");
}

#[test]
fn what_came_from_secrets_is_not_shown_whatever_it_is_called() {
    let log = |endpoint: &str| {
        configuration(json!({"plugins": [{"name": "http-log", "config": {"http_endpoint": endpoint, "timeout": 1}}]}))
    };
    let confidential = BTreeSet::from(["https://one.example".to_owned(), "https://two.example".to_owned()]);
    let text = diff(&log("https://one.example"), &log("https://two.example"), &confidential).to_string();
    assert!(text.contains("changed (secret)") && !text.contains("example"), "{text}");
}

#[test]
fn entities_without_a_name_are_paired() {
    let certificate = |cert: &str, sni: &str| json!({"cert": cert, "key": "K", "snis": [{"name": sni}]});
    let text = shown(
        json!({"certificates": [certificate("A", "a.example"), certificate("B", "b.example")]}),
        json!({"certificates": [certificate("B", "b.example"), certificate("C", "a.example")]}),
    );
    assert_eq!(
        text,
        "of no object\n  ~ certificate\n      cert: \"A\" -> \"C\"\n0 added, 1 changed, 0 removed, of 1 object\n"
    );
}

#[test]
fn long_values_are_abbreviated_and_told_apart() {
    let plugin = |end: char| {
        let schema = "x".repeat(1000) + &end.to_string();
        json!({"plugins": [{"name": "request-validator", "config": {"body_schema": schema}}]})
    };
    let text = shown(plugin('a'), plugin('b'));
    assert!(text.contains("1003 characters, SHA-256"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() < 300), "{text}");
    let line = text
        .lines()
        .find(|line| line.contains("body_schema"))
        .expect("the field");
    let (before, after) = line.split_once(" -> ").expect("two values");
    assert!(!before.ends_with(after), "{line}");
}

#[test]
fn objects_are_compared_setting_by_setting() {
    let plugin = |config: Value| json!({"plugins": [{"name": "rate-limiting", "config": config}]});
    let text = shown(
        plugin(json!({"minute": 5, "redis": {"host": "a", "port": 1}})),
        plugin(json!({"minute": 5, "redis": {"host": "b", "port": 1}, "policy": "redis"})),
    );
    assert_eq!(
        text,
        "of no object\n  ~ plugin rate-limiting\n      config.policy: (unset) -> \"redis\"\n      \
         config.redis.host: \"a\" -> \"b\"\n0 added, 1 changed, 0 removed, of 1 object\n"
    );
}
