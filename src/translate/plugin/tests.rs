//! What depends on the proxies' plugins, and what is bounded. Everything else is in golden directories.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    model::{Kind, Object, Problem, Reason, Snapshot},
    render,
    translate::{Settings, Translation, translate},
};

fn snapshot(objects: Vec<(Kind, Value)>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (kind, value) in objects {
        snapshot.insert(Object::from_json(kind, value).expect("an object"));
    }
    snapshot
}

fn ingress(name: &str, plugins: &str) -> (Kind, Value) {
    let value = json!({
        "metadata": {"name": name, "namespace": "shop", "annotations": {"konghq.com/plugins": plugins}},
        "spec": {"ingressClassName": "kong", "rules": [{"host": format!("{name}.example"), "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
        ]}}]},
    });
    (Kind::Ingress, value)
}

fn service() -> (Kind, Value) {
    let value = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}});
    (Kind::Service, value)
}

fn plugin(name: &str, rest: Value) -> (Kind, Value) {
    let mut value = rest;
    value["metadata"] = json!({"name": name, "namespace": "shop"});
    (Kind::KongPlugin, value)
}

fn with_plugins(types: &[&str]) -> Settings {
    let mut settings = Settings::default();
    settings.profile.plugins = Some(Arc::new(types.iter().map(|type_| Arc::from(*type_)).collect()));
    settings
}

fn told(translation: &Translation, kind: Kind, reason: Reason) -> Vec<&Problem> {
    let problems = translation.problems.iter();
    problems
        .filter(|problem| &*problem.object.kind == kind.name() && problem.reason == reason)
        .collect()
}

/// Names of the routes, each with the types of the plugins in it.
fn routes(translation: &Translation) -> Vec<(&str, Vec<&str>)> {
    let services = translation.configuration.services.iter();
    let routes = services.flat_map(|service| &service.routes);
    routes
        .map(|route| {
            let plugins = route.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
            (route.name.as_deref().unwrap_or_default(), plugins)
        })
        .collect()
}

#[test]
fn plugins_that_the_proxies_lack_are_left_out_and_their_routes_answer_503() {
    let objects = || {
        snapshot(vec![
            service(),
            ingress("limited", "limit"),
            ingress("guarded", "auth"),
            plugin("limit", json!({"plugin": "rate-limiting"})),
            plugin("auth", json!({"plugin": "key-auth"})),
        ])
    };
    let some = translate(&objects(), &with_plugins(&["key-auth", "request-termination"]));
    let types: Vec<_> = some.configuration.plugins.iter().map(|plugin| &*plugin.name).collect();
    assert_eq!(types, ["key-auth"]);
    let expected = [
        ("shop.limited.web.limited.example.80", vec!["request-termination"]),
        ("shop.guarded.web.guarded.example.80", vec![]),
    ];
    assert_eq!(routes(&some), expected);
    let told = told(&some, Kind::KongPlugin, Reason::Unsupported);
    assert_eq!(told.len(), 1);
    assert!(told[0].message.contains("rate-limiting"), "{}", told[0].message);

    // Nothing can answer 503: there is no such route then.
    let none = translate(&objects(), &with_plugins(&["key-auth"]));
    assert_eq!(routes(&none), [("shop.guarded.web.guarded.example.80", vec![])]);
    let all = translate(&objects(), &Settings::default());
    assert_eq!(all.configuration.plugins.len(), 2, "nothing is known of the proxies");
}

#[test]
fn consumers_with_a_missing_plugin_have_no_credentials_where_nothing_can_answer_503() {
    let objects = snapshot(vec![
        (
            Kind::KongConsumer,
            json!({"metadata": {"name": "alice", "namespace": "shop", "annotations":
                {"konghq.com/plugins": "gone", "kubernetes.io/ingress.class": "kong"}},
                "username": "alice", "credentials": ["key"]}),
        ),
        (
            Kind::Secret,
            json!({"metadata": {"name": "key", "namespace": "shop", "labels": {"konghq.com/credential": "key-auth"}},
                "stringData": {"key": "k"}}),
        ),
    ]);
    let consumers = |types: &[&str]| translate(&objects, &with_plugins(types)).configuration.consumers;
    assert!(consumers(&["key-auth"])[0].keyauth_credentials.is_empty());
    assert_eq!(
        consumers(&["key-auth", "request-termination"])[0]
            .keyauth_credentials
            .len(),
        1
    );
}

#[test]
fn what_would_take_the_others_with_it_is_refused() {
    let deep = (0..200).fold(json!(1), |below, _| json!({ "a": below }));
    let mut objects = vec![
        service(),
        ingress("deep", "deep"),
        plugin("deep", json!({"plugin": "acl", "config": {"a": deep}})),
        plugin("many", json!({"plugin": "rate-limiting"})),
    ];
    for number in 0..230 {
        objects.push(ingress(&format!("i{number}"), "many"));
        objects.push((
            Kind::KongConsumer,
            json!({"metadata": {"name": format!("c{number}"), "namespace": "shop", "annotations":
                {"konghq.com/plugins": "many", "kubernetes.io/ingress.class": "kong"}}, "username": format!("c{number}")}),
        ));
    }
    let translation = translate(&snapshot(objects), &Settings::default());
    let told = told(&translation, Kind::KongPlugin, Reason::InvalidPlugin);
    let messages: Vec<_> = told.iter().map(|problem| problem.message.as_str()).collect();
    assert!(
        messages.iter().any(|message| message.contains("nested")),
        "{messages:?}"
    );
    assert!(messages.iter().any(|message| message.contains("52900")), "{messages:?}");
    let open = routes(&translation)
        .into_iter()
        .filter(|(_, plugins)| plugins.is_empty());
    assert_eq!(open.count(), 0, "all answer 503");
    // What is sent can be read again.
    render::redacted(&render::render(&translation));
}

#[test]
fn values_of_secrets_in_settings_are_shown_nowhere() {
    let objects = snapshot(vec![
        service(),
        ingress("web", "log"),
        plugin(
            "log",
            json!({"plugin": "http-log", "configFrom": {"secretKeyRef": {"name": "settings", "key": "log"}}}),
        ),
        (
            Kind::Secret,
            json!({"metadata": {"name": "settings", "namespace": "shop"},
                "stringData": {"log": r#"{"http_endpoint": "https://quiet.example/path"}"#}}),
        ),
    ]);
    let translation = translate(&objects, &Settings::default());
    assert_eq!(
        told(&translation, Kind::KongPlugin, Reason::InvalidPlugin),
        Vec::<&Problem>::new()
    );
    let rendered = render::render(&translation);
    assert!(String::from_utf8_lossy(&rendered.bytes).contains("quiet.example"));
    assert!(!render::redacted(&rendered).to_string().contains("quiet.example"));
    let secrets = rendered.secrets().expect("a configuration");
    assert!(
        !secrets
            .redact("invalid value: https://quiet.example/path")
            .contains("quiet")
    );
}
