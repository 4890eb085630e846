//! Every check with its message, as the API server gets to hear it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::{Edition, Profile, RouterFlavor};

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

#[test]
fn credentials_need_a_known_type_and_its_fields() {
    for (kind, texts, message) in [
        ("key-auth", json!({"key": "k"}), ""),
        ("key-auth", json!({"kay": "k"}), "missing required field(s): key"),
        (
            "key-auth",
            json!({"key": ""}),
            "some fields were invalid due to missing data: key",
        ),
        ("basic-auth", json!({"username": "u", "password": "p"}), ""),
        ("basic-auth", json!({}), "missing required field(s): username, password"),
        (
            "hmac-auth",
            json!({"username": "u"}),
            "missing required field(s): secret",
        ),
        ("jwt", json!({"key": "k"}), "missing required field(s): algorithm"),
        ("jwt", json!({"key": "k", "algorithm": "HS256", "secret": "s"}), ""),
        (
            "jwt",
            json!({"key": "k", "algorithm": "HS256"}),
            "missing required field(s): secret",
        ),
        (
            "jwt",
            json!({"key": "k", "algorithm": "RS256", "secret": "s"}),
            "missing required field(s): rsa_public_key",
        ),
        (
            "oauth2",
            json!({"name": "n", "client_id": "i"}),
            "missing required field(s): client_secret, redirect_uris",
        ),
        ("acl", json!({}), "missing required field(s): group"),
        ("mtls-auth", json!({"subject_name": "s"}), ""),
        ("konnect", json!({}), ""),
        ("nosuch", json!({"key": "k"}), "invalid credential type nosuch"),
    ] {
        let found = denial(Kind::Secret, &credential("it", kind, &texts), &[]);
        assert_eq!(found, message, "{kind} {texts}");
    }
}

#[test]
fn two_credentials_of_our_consumers_must_differ() {
    let consumers = [
        (
            Kind::KongConsumer,
            ours(json!({"metadata": {"name": "alice"}, "username": "alice", "credentials": ["alice-key"]})),
        ),
        (
            Kind::KongConsumer,
            ours(json!({"metadata": {"name": "bob"}, "username": "bob", "credentials": ["bob-key"]})),
        ),
        (
            Kind::Secret,
            credential("alice-key", "key-auth", &json!({"key": "hunter2"})),
        ),
    ];
    let same = credential("bob-key", "key-auth", &json!({"key": "hunter2"}));
    let message = denial(Kind::Secret, &same, &consumers);
    assert!(
        message.starts_with("unique key constraint violated for key"),
        "{message}"
    );
    assert!(
        message.contains("shop/alice") && !message.contains("hunter2"),
        "{message}"
    );
    let other = credential("bob-key", "key-auth", &json!({"key": "hunter3"}));
    assert_eq!(denial(Kind::Secret, &other, &consumers), "");
    let other_type = credential(
        "bob-key",
        "jwt",
        &json!({"key": "hunter2", "algorithm": "HS256", "secret": "s"}),
    );
    assert_eq!(denial(Kind::Secret, &other_type, &consumers), "");
    let unused = credential("carol-key", "key-auth", &json!({"key": "hunter2"}));
    assert_eq!(denial(Kind::Secret, &unused, &consumers), "", "nobody uses it yet");
    let carol = ours(json!({"username": "carol", "credentials": ["carol-key"]}));
    let mut with_secret = consumers.to_vec();
    with_secret.push((Kind::Secret, unused));
    let message = denial(Kind::KongConsumer, &carol, &with_secret);
    assert!(
        message.starts_with("consumer credential failed validation: unique key constraint violated for key"),
        "{message}"
    );
    // The key of alice's own Secret may change and change back.
    let own = credential("alice-key", "key-auth", &json!({"key": "hunter2"}));
    assert_eq!(denial(Kind::Secret, &own, &consumers), "");
}

#[test]
fn consumers_have_a_name_of_their_own() {
    let alice = (
        Kind::KongConsumer,
        ours(json!({"metadata": {"name": "alice"}, "username": "alice", "custom_id": "1"})),
    );
    let objects = [alice.clone()];
    for (new, message) in [
        (
            json!({"username": "alice"}),
            "consumer already exists: KongConsumer shop/alice has username \"alice\"",
        ),
        (
            json!({"username": "bob", "custom_id": "1"}),
            "consumer already exists: KongConsumer shop/alice has custom_id \"1\"",
        ),
        (json!({"username": "bob", "custom_id": "2"}), ""),
    ] {
        assert_eq!(
            denial(Kind::KongConsumer, &ours(new.clone()), &objects),
            message,
            "{new}"
        );
    }
    assert_eq!(
        denial(Kind::KongConsumer, &json!({"username": "alice"}), &objects),
        "",
        "without our class it is not ours"
    );
    let renamed = ours(json!({"metadata": {"name": "alice"}, "username": "alice", "custom_id": "2"}));
    let review = reviewed(Kind::KongConsumer, &renamed, Some(&alice.1), &objects);
    assert!(review.conclude().is_allowed(), "its own name is no clash");
    let of_konnect = json!({"username": "alice", "spec": {"controlPlaneRef": {"type": "konnectNamespacedRef"}}});
    assert_eq!(denial(Kind::KongConsumer, &ours(of_konnect), &objects), "");
}

#[test]
fn consumers_need_their_secrets() {
    let consumer = ours(json!({"username": "alice", "credentials": ["key"]}));
    let request = request(Kind::KongConsumer, &consumer, None);
    let key = NamespacedName::new("shop", "key");
    assert_eq!(
        missing_secrets(&request, &Snapshot::default()),
        std::slice::from_ref(&key)
    );
    let absent = BTreeSet::from([key]);
    let message = review(&request, &Snapshot::default(), &absent, &settings())
        .conclude()
        .message();
    assert_eq!(
        message.as_deref(),
        Some("consumer referenced non-existent credentials secret: shop/key does not exist; create it first")
    );
    let unknown = review(&request, &Snapshot::default(), &BTreeSet::new(), &settings()).conclude();
    assert!(
        unknown.is_allowed() && unknown.warnings[0].contains("not checked"),
        "{unknown:?}"
    );
    let with_bad = snapshot(&[(Kind::Secret, credential("key", "key-auth", &json!({"key": ""})))]);
    assert!(missing_secrets(&request, &with_bad).is_empty());
    let message = review(&request, &with_bad, &BTreeSet::new(), &settings())
        .conclude()
        .message();
    assert_eq!(
        message.as_deref(),
        Some(
            "consumer credential failed validation: Secret shop/key: some fields were invalid due to missing data: key"
        )
    );
}

fn settings_of(editions: &[Option<Edition>]) -> Settings {
    let profile = |edition: &Option<Edition>| translate::Settings {
        profile: Profile {
            router_flavor: RouterFlavor::Traditional,
            edition: *edition,
            version: None,
            plugins: None,
        },
        ..translate::Settings::default()
    };
    Settings {
        translations: editions.iter().map(profile).collect(),
    }
}

#[test]
fn groups_need_an_edition_that_has_them() {
    let request = request(Kind::KongConsumerGroup, &ours(json!({})), None);
    let of =
        |editions: &[Option<Edition>]| review(&request, &Snapshot::default(), &BTreeSet::new(), &settings_of(editions));
    assert_eq!(
        of(&[Some(Edition::OpenSource)]).conclude().message().as_deref(),
        Some("consumer group support requires Kong Enterprise")
    );
    assert!(of(&[None]).conclude().is_allowed());
    assert!(of(&[Some(Edition::OpenSource), None]).conclude().is_allowed());
    for (status, message) in [
        (200, None),
        (404, Some("consumer group support requires Kong Enterprise")),
        (
            403,
            Some("consumer group support requires a valid Kong Enterprise license"),
        ),
        (500, None),
    ] {
        let mut review = of(&[Some(Edition::Enterprise)]);
        let questions = review.take_questions();
        assert_eq!(questions.len(), 1);
        assert_eq!(
            (questions[0].method, questions[0].path.as_str()),
            (Method::Get, "/consumer_groups")
        );
        review.answer(&questions[0], &[("enterprise".to_owned(), answer(status, &json!({})))]);
        assert_eq!(review.conclude().message().as_deref(), message, "{status}");
    }
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
fn vaults_have_a_prefix_of_their_own_and_proxies_see_them() {
    let vault = |name: &str, config: Value| {
        ours(json!({"metadata": {"name": name}, "spec": {"backend": "hcv", "prefix": "my-vault", "config": config}}))
    };
    let other = [(Kind::KongVault, vault("other", json!({})))];
    assert_eq!(
        denial(Kind::KongVault, &vault("it", json!({})), &other),
        "spec.prefix \"my-vault\" is duplicate with existing KongVault \"other\""
    );
    assert_eq!(
        denial(Kind::KongVault, &vault("other", json!({"host": "h"})), &other),
        ""
    );

    let mut review = reviewed(
        Kind::KongVault,
        &vault("it", json!({"token": "hunter2-token"})),
        None,
        &[],
    );
    let questions = review.take_questions();
    assert_eq!(questions[0].path, "/schemas/vaults/validate");
    assert_eq!(
        questions[0].body,
        Some(json!({"name": "hcv", "prefix": "my-vault", "config": {"token": "hunter2-token"}}))
    );
    assert!(!format!("{:?}", questions[0]).contains("hunter2"));
    let refused = violation("schema violation (config.token: hunter2-token is no token)");
    review.answer(&questions[0], &[("enterprise".to_owned(), refused)]);
    let message = review.conclude().message().unwrap();
    assert!(
        message.starts_with("vault configuration in invalid: schema violation"),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn custom_entities_are_asked_about_with_their_foreign_fields_filled() {
    let entity = json!({"spec": {"type": "degraphql_routes", "controllerName": "kong", "fields": {"uri": "/a"}}});
    let mut review = reviewed(Kind::KongCustomEntity, &entity, None, &[]);
    let questions = review.take_questions();
    assert_eq!(
        (questions[0].method, questions[0].path.as_str()),
        (Method::Get, "/schemas/degraphql_routes")
    );
    let schema = json!({"fields": [
        {"uri": {"type": "string"}},
        {"service": {"type": "foreign", "reference": "services"}},
    ]});
    review.answer(&questions[0], &[("enterprise".to_owned(), answer(200, &schema))]);
    let further = review.take_questions();
    assert_eq!(further[0].path, "/schemas/degraphql_routes/validate");
    assert_eq!(further[0].profile.as_deref(), Some("enterprise"));
    let body = further[0].body.as_ref().unwrap();
    assert_eq!(body["uri"], "/a");
    assert!(body["service"]["id"].is_string(), "{body}");
    review.answer(
        &further[0],
        &[("enterprise".to_owned(), violation("schema violation (uri: no)"))],
    );
    let message = review.conclude().message().unwrap();
    assert!(message.ends_with("schema violation (uri: no)"), "{message}");

    let mut review = reviewed(Kind::KongCustomEntity, &entity, None, &[]);
    let questions = review.take_questions();
    let unknown = answer(404, &json!({"message": "No entity named 'degraphql_routes'"}));
    review.answer(&questions[0], &[("open-source".to_owned(), unknown)]);
    assert_eq!(
        review.conclude().message().as_deref(),
        Some("failed to get schema of Kong entity type 'degraphql_routes': No entity named 'degraphql_routes'")
    );
    let known = json!({"spec": {"type": "routes", "controllerName": "kong", "fields": {}}});
    assert!(denial(Kind::KongCustomEntity, &known, &[]).contains("known Kong entity types"));
    let of_another = json!({"spec": {"type": "x", "controllerName": "nginx", "fields": {}}});
    assert!(
        reviewed(Kind::KongCustomEntity, &of_another, None, &[])
            .take_questions()
            .is_empty()
    );
}

fn limit(settings: &Value) -> Value {
    let mut plugin = json!({"metadata": {"name": "limit"}, "plugin": "rate-limiting"});
    for (name, value) in settings.as_object().unwrap() {
        plugin[name] = value.clone();
    }
    plugin
}

/// The whole configuration from Secret `limits`, key `config`.
fn from_secret() -> Value {
    limit(&json!({"configFrom": {"secretKeyRef": {"name": "limits", "key": "config"}}}))
}

fn limits(config: &str) -> Value {
    json!({"metadata": {"name": "limits", "labels": {"konghq.com/validate": "plugin"}}, "stringData": {"config": config}})
}

#[test]
fn plugins_are_shown_to_the_proxies() {
    let mut review = reviewed(Kind::KongPlugin, &limit(&json!({"config": {"minute": 5}})), None, &[]);
    let questions = review.take_questions();
    assert_eq!(questions.len(), 1);
    assert_eq!(
        (questions[0].method, questions[0].path.as_str()),
        (Method::Post, "/schemas/plugins/validate")
    );
    let body = questions[0].body.as_ref().unwrap();
    assert_eq!(
        (&body["name"], &body["config"]),
        (&json!("rate-limiting"), &json!({"minute": 5}))
    );
    review.answer(
        &questions[0],
        &[("p".to_owned(), violation("schema violation (config.minute: no)"))],
    );
    assert_eq!(
        review.conclude().message().as_deref(),
        Some("plugin failed schema validation: schema violation (config.minute: no)")
    );
    let nowhere = limit(&json!({"configPatches": [
        {"path": "no-pointer", "valueFrom": {"secretKeyRef": {"name": "limits", "key": "config"}}},
    ]}));
    let objects = [(Kind::Secret, limits("5"))];
    let message = denial(Kind::KongPlugin, &nowhere, &objects);
    assert!(
        message.starts_with("could not load secret plugin configuration: configPatches[0]"),
        "{message}"
    );
    let both =
        limit(&json!({"config": {"minute": 5}, "configFrom": {"secretKeyRef": {"name": "limits", "key": "config"}}}));
    assert!(!denial(Kind::KongPlugin, &both, &objects).is_empty());
}

#[test]
fn a_plugin_that_is_wrong_already_can_be_changed_elsewhere() {
    let bad = limit(&json!({"protocols": ["ftp"]}));
    let mut labelled = bad.clone();
    labelled["metadata"]["labels"] = json!({"team": "a"});
    assert!(!denial(Kind::KongPlugin, &bad, &[]).is_empty());
    let review = reviewed(
        Kind::KongPlugin,
        &labelled,
        Some(&bad),
        &[(Kind::KongPlugin, bad.clone())],
    );
    assert!(review.conclude().is_allowed());
}

#[test]
fn settings_from_secrets_are_looked_up_and_repeated_nowhere() {
    let request = request(Kind::KongPlugin, &from_secret(), None);
    let key = NamespacedName::new("shop", "limits");
    assert_eq!(
        missing_secrets(&request, &Snapshot::default()),
        std::slice::from_ref(&key)
    );
    let absent = BTreeSet::from([key]);
    let message = review(&request, &Snapshot::default(), &absent, &settings())
        .conclude()
        .message();
    assert_eq!(
        message.as_deref(),
        Some("could not load secret plugin configuration: Secret shop/limits does not exist; create it first")
    );
    let unknown = review(&request, &Snapshot::default(), &BTreeSet::new(), &settings()).conclude();
    assert!(
        unknown.is_allowed() && unknown.warnings[0].contains("there is no Secret"),
        "{unknown:?}"
    );
    let found = snapshot(&[(Kind::Secret, limits(r#"{"policy": "hunter2-policy"}"#))]);
    let mut review = review(&request, &found, &BTreeSet::new(), &settings());
    let questions = review.take_questions();
    assert_eq!(
        questions[0].body.as_ref().unwrap()["config"],
        json!({"policy": "hunter2-policy"})
    );
    let refused = violation("schema violation (config.policy: hunter2-policy is no policy)");
    review.answer(&questions[0], &[("p".to_owned(), refused)]);
    let message = review.conclude().message().unwrap();
    assert!(
        message.contains("is no policy") && !message.contains("hunter2"),
        "{message}"
    );
}

#[test]
fn cluster_plugins_name_the_namespace_of_their_secrets() {
    let plugin = json!({"plugin": "a", "configFrom": {"secretKeyRef": {"name": "s", "key": "k", "namespace": "far"}}});
    let request = request(Kind::KongClusterPlugin, &plugin, None);
    assert_eq!(
        missing_secrets(&request, &Snapshot::default()),
        [NamespacedName::new("far", "s")]
    );
}

#[test]
fn a_secret_is_judged_by_the_plugins_that_use_it() {
    let objects = [
        (Kind::KongPlugin, from_secret()),
        (Kind::Secret, limits(r#"{"minute": 5}"#)),
    ];
    let old = limits(r#"{"minute": 5}"#);
    let changed = |config: &str| reviewed(Kind::Secret, &limits(config), Some(&old), &objects);
    let message = changed("{hunter2").conclude().message().unwrap();
    let prefix = "Change on secret will generate invalid configuration for KongPlugin shop/limit: ";
    assert!(
        message.starts_with(&format!(
            "{prefix}could not load secret plugin configuration: configFrom"
        )),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
    let mut review = changed(r#"{"minute": "hunter2-minute"}"#);
    let questions = review.take_questions();
    assert_eq!(
        questions[0].body.as_ref().unwrap()["config"],
        json!({"minute": "hunter2-minute"})
    );
    let refused = violation("schema violation (config.minute: hunter2-minute is no number)");
    review.answer(&questions[0], &[("p".to_owned(), refused)]);
    let message = review.conclude().message().unwrap();
    assert!(
        message.starts_with(&format!("{prefix}plugin failed schema validation: ")),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
    // Nobody uses it: nobody is asked.
    let mut unused = reviewed(Kind::Secret, &limits("{}"), None, &[]);
    assert!(unused.take_questions().is_empty() && unused.conclude() == Verdict::default());
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
fn of_a_big_cluster_only_the_surroundings_are_translated() {
    let mut snapshot = snapshot(&[web()]);
    for index in 0..2000 {
        let mut other = object(Kind::Ingress, ingress("/", "Prefix"));
        other["metadata"]["name"] = json!(format!("web-{index}"));
        other["spec"]["rules"][0]["host"] = json!(format!("{}.example", index % 1000));
        snapshot.insert(Object::from_json(Kind::Ingress, other).unwrap());
    }
    let mut new = object(Kind::Ingress, ingress("/", "Prefix"));
    new["spec"]["rules"][0]["host"] = json!("7.example");
    let around = neighbourhood::around(&Object::from_json(Kind::Ingress, new).unwrap(), &snapshot);
    let names: Vec<_> = around.ingresses.keys().map(|key| &*key.name).collect();
    assert_eq!(names, ["web-1007", "web-7"]);
    let service = object(Kind::Service, web().1);
    let around = neighbourhood::around(&Object::from_json(Kind::Service, service).unwrap(), &snapshot);
    assert_eq!(around.ingresses.len(), 100, "enough to see what its annotations do");
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
fn routes_that_can_never_work_are_denied() {
    let bad = ingress("/~/bad/([", "ImplementationSpecific");
    let message = denial(Kind::Ingress, &bad, &[web()]);
    assert!(
        message.starts_with("Ingress failed schema validation: spec.rules[0].http.paths[0].path: "),
        "{message}"
    );
    let mut protocols = ingress("/", "Prefix");
    protocols["metadata"]["annotations"]["konghq.com/protocols"] = json!("http, ftp");
    let message = denial(Kind::Ingress, &protocols, &[web()]);
    assert!(
        message.starts_with("Ingress has invalid Kong annotations: invalid konghq.com/protocols value: ftp"),
        "{message}"
    );
    let mut of_another = bad.clone();
    of_another["spec"]["ingressClassName"] = json!("nginx");
    assert_eq!(verdict(Kind::Ingress, &of_another, &[web()]), Verdict::default());
}

#[test]
fn what_another_object_may_mend_and_what_is_ignored_is_warned_of() {
    let good = ingress("/", "Prefix");
    assert_eq!(verdict(Kind::Ingress, &good, &[web()]), Verdict::default());
    let without_service = verdict(Kind::Ingress, &good, &[]);
    assert!(without_service.is_allowed());
    assert!(
        without_service.warnings[0].contains("there is no Service web"),
        "{without_service:?}"
    );
    let mut annotated = good.clone();
    annotated["metadata"]["annotations"]["konghq.com/strip-path"] = json!("maybe");
    let warned = verdict(Kind::Ingress, &annotated, &[web()]);
    assert!(
        warned.is_allowed() && warned.warnings[0].contains("konghq.com/strip-path"),
        "{warned:?}"
    );
    let mut rival = good.clone();
    rival["metadata"] = json!({"name": "first", "creationTimestamp": "2026-01-01T00:00:00Z"});
    let late = verdict(Kind::Ingress, &good, &[web(), (Kind::Ingress, rival)]);
    assert!(late.is_allowed() && late.warnings[0].contains("shop/first"), "{late:?}");
}

#[test]
fn a_service_is_never_denied_but_its_annotations_are_looked_at() {
    let mut service = web().1;
    service["metadata"]["annotations"] = json!({"konghq.com/retries": "many", "konghq.com/protocol": "ftp"});
    let routes = [(Kind::Ingress, ingress("/", "Prefix"))];
    let warned = verdict(Kind::Service, &service, &routes);
    assert!(warned.is_allowed());
    assert!(
        warned
            .warnings
            .iter()
            .any(|warning| warning.contains("konghq.com/retries")),
        "{warned:?}"
    );
}

#[test]
fn only_what_a_change_brings_counts() {
    let mut old = ingress("/~/bad/([", "ImplementationSpecific");
    let mut new = old.clone();
    new["metadata"]["annotations"]["team"] = json!("a");
    let objects = [web(), (Kind::Ingress, old.clone())];
    let review = reviewed(Kind::Ingress, &new, Some(&old), &objects);
    assert_eq!(review.conclude(), Verdict::default(), "it was bad before");
    new["metadata"]["annotations"]["konghq.com/protocols"] = json!("ftp");
    let message = reviewed(Kind::Ingress, &new, Some(&old), &objects).conclude().message();
    assert!(message.unwrap().contains("invalid konghq.com/protocols value: ftp"));
    old["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut going = new.clone();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let review = reviewed(Kind::Ingress, &going, Some(&old), &objects);
    assert_eq!(
        review.conclude(),
        Verdict::default(),
        "whoever cleans up is not held up"
    );
}

#[test]
fn routes_are_shown_to_the_proxies() {
    let mut review = reviewed(
        Kind::Ingress,
        &ingress("/~/a+", "ImplementationSpecific"),
        None,
        &[web()],
    );
    let questions = review.take_questions();
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].path, "/schemas/routes/validate");
    let route = questions[0].body.as_ref().unwrap();
    assert_eq!(route["paths"], json!(["~/a+"]));
    assert!(
        route.get("service").is_none() && route.get("plugins").is_none(),
        "{route}"
    );
    review.answer(
        &questions[0],
        &[("traditional".to_owned(), violation("schema violation (paths.1: bad)"))],
    );
    assert_eq!(
        review.conclude().message().as_deref(),
        Some("Ingress failed schema validation: schema violation (paths.1: bad)")
    );
}

#[test]
fn what_only_some_proxies_refuse_is_warned_of_and_what_is_no_answer_is_nothing() {
    let vault = ours(json!({"spec": {"backend": "env", "prefix": "my-vault"}}));
    let asked = || {
        let mut review = reviewed(Kind::KongVault, &vault, None, &[]);
        let question = review.take_questions().remove(0);
        (review, question)
    };
    let (mut review, question) = asked();
    let good = answer(200, &json!({"message": "schema validation successful"}));
    review.answer(
        &question,
        &[("new".to_owned(), good), ("old".to_owned(), violation("no such vault"))],
    );
    let mixed = review.conclude();
    assert!(mixed.is_allowed());
    assert_eq!(mixed.warnings.len(), 1);
    assert!(mixed.warnings[0].contains("profile old") && mixed.warnings[0].contains("no such vault"));
    for strange in [
        answer(500, &json!({"message": "An unexpected error occurred"})),
        answer(404, &json!({"message": "Not found"})),
        Answer {
            status: 400,
            body: b"<html>No required SSL certificate was sent</html>".to_vec(),
        },
    ] {
        let (mut review, question) = asked();
        review.answer(&question, &[("old".to_owned(), strange)]);
        assert_eq!(review.conclude(), Verdict::default());
    }
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
            include_str!("testdata/ingress.json"),
            Some("Ingress failed schema validation: "),
        ),
        ("plugin", include_str!("testdata/plugin.json"), None),
        (
            "credential",
            include_str!("testdata/credential.json"),
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

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z/~(){}*,.:]{0,12}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        "[a-z]{1,4}",
        prop::sample::select(vec![
            "spec",
            "rules",
            "http",
            "paths",
            "path",
            "backend",
            "service",
            "name",
            "port",
            "number",
            "plugin",
            "config",
            "configFrom",
            "secretKeyRef",
            "key",
            "credentials",
            "username",
            "fields",
            "type",
            "prefix",
            "controllerName",
            "parentRefs",
            "backendRefs",
            "matches",
            "data",
            "ingressClassName",
            "hostnames",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_object_is_reviewed_without_a_panic(kind in prop::sample::select(Kind::ALL.to_vec()), value in any_json()) {
        let mut value = match value {
            Value::Object(_) => value,
            other => json!({"spec": other}),
        };
        value["metadata"] = json!({
            "name": "it", "labels": {"konghq.com/credential": "key-auth"},
            "annotations": {"kubernetes.io/ingress.class": "kong", "konghq.com/plugins": "it"},
        });
        let objects = [web(), (Kind::Ingress, ingress("/", "Prefix"))];
        let mut review = reviewed(kind, &value, None, &objects);
        for question in review.take_questions() {
            review.answer(&question, &[("p".to_owned(), answer(200, &json!({"fields": [{"a": {"type": "foreign"}}]})))]);
        }
        prop_assert!(review.conclude().warnings.len() < 1000);
    }
}
