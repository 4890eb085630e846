//! Plugins, vaults and custom entities: what proxies are asked about them, and what comes of their answers.

use super::*;

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

/// The webhook asks for itself: that the controller has not been told yet concerns nobody.
#[test]
fn a_type_that_the_controller_is_still_asking_about_is_no_reason_for_a_warning() {
    let settings = Settings {
        translations: vec![translate::Settings {
            entity_schemas: std::sync::Arc::new(translate::EntitySchemas::default().asked()),
            ..translate::Settings::default()
        }],
    };
    let entity = json!({"spec": {"type": "My-things", "controllerName": "kong", "fields": {}}});
    let request = request(Kind::KongCustomEntity, &entity, None);
    let mut review = review(&request, &Snapshot::default(), &BTreeSet::new(), &settings);
    assert_eq!(review.take_questions()[0].path, "/schemas/My-things");
    assert_eq!(review.conclude(), Verdict::default());
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

#[test]
fn a_plugin_for_all_requests_may_come_before_its_secret() {
    let mut plugin = ours(json!({
        "metadata": {"name": "limit", "labels": {"global": "true"}},
        "plugin": "rate-limiting",
        "configFrom": {"secretKeyRef": {"name": "limits", "namespace": "shop", "key": "config"}},
    }));
    let told = verdict(Kind::KongClusterPlugin, &plugin, &[]);
    assert!(told.is_allowed(), "{told:?}");
    assert_eq!(
        told.warnings.len(),
        2,
        "the Secret is missing, and what comes of that: {told:?}"
    );
    plugin["config"] = json!({"minute": 5});
    let message = denial(Kind::KongClusterPlugin, &plugin, &[]);
    assert!(
        message.starts_with("could not load secret plugin configuration: configFrom"),
        "{message}"
    );
}

fn limits(config: &str) -> Value {
    json!({"metadata": {"name": "limits", "labels": {"konghq.com/validate": "plugin"}}, "stringData": {"config": config}})
}

#[test]
fn a_key_that_the_secret_lacks_is_named_with_what_to_do() {
    let mut secret = limits("{}");
    secret["stringData"] = json!({"other": "{}"});
    assert_eq!(
        denial(Kind::KongPlugin, &from_secret(), &[(Kind::Secret, secret)]),
        "could not load secret plugin configuration: configFrom.secretKeyRef.key: the Secret limits in namespace shop has no \
         key \"config\"; the plugin can't be used; add the key to the Secret, or correct its name"
    );
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
    let (denial, warnings) = without_secret(&request, "limits");
    assert_eq!(
        denial.as_deref(),
        Some("could not load secret plugin configuration: Secret shop/limits does not exist; create it first")
    );
    assert!(warnings[0].contains("there is no Secret"), "{warnings:?}");
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
