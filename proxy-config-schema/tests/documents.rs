//! Documents and what becomes of them: `null`, duplicate keys, limits, identifiers.

use std::collections::{BTreeMap, BTreeSet};

use proxy_config_schema::{ConfigHash, Configuration, Limits, ParseError, Service, ValidationOptions};
use serde_json::{Value, json};

#[test]
fn null_is_an_unset_field() {
    let text = br#"{"_format_version": "3.0", "_transform": null, "routes": null, "services": [
        {"name": "s", "host": "h", "path": null, "routes": null, "tags": null, "port": 80.0},
        {"name": "t", "host": "h", "routes": [{"paths": ["/"], "plugins": null, "headers": []}]}
    ], "degraphql_routes": {}}"#;
    let parsed = Configuration::parse(text, &Limits::default()).expect("null is unset");
    assert_eq!(parsed.services[0].path, None);
    assert_eq!(parsed.services[0].port, Some(80));
    assert_eq!(parsed.services[1].routes[0].headers, Some(BTreeMap::new()));
    let direct: Configuration = serde_json::from_str(
        r#"{"_format_version": "3.0", "services": [{"routes": null, "name": null}], "plugins": null}"#,
    )
    .expect("entity types take null too");
    assert_eq!(*direct.services, [Service::default().into()]);
}

#[test]
fn of_duplicate_keys_the_last_wins() {
    let text = br#"{"_format_version": "1.1", "_format_version": "3.0", "services": [{"name": "a", "name": "b", "host": "h"}]}"#;
    let parsed = Configuration::parse(text, &Limits::default()).expect("valid");
    assert_eq!(
        (parsed.format_version.as_str(), parsed.services[0].name.as_deref()),
        ("3.0", Some("b"))
    );
}

#[test]
fn limits_are_kept() {
    let small = Limits {
        bytes: 1000,
        depth: 5,
        values: 20,
        entities: 2,
    };
    let deep = format!("{}1{}", "[".repeat(6), "]".repeat(6));
    let wide = format!("[{}1]", "1,".repeat(30));
    let many = r#"{"services": [{"routes": [{}]}, {}]}"#;
    let cases = [
        (" ".repeat(1001), ParseError::TooLarge { limit: 1000 }),
        (deep, ParseError::TooDeep { limit: 5 }),
        (wide, ParseError::TooManyValues { limit: 20 }),
        (many.to_owned(), ParseError::TooManyEntities { limit: 2 }),
    ];
    for (text, expected) in cases {
        assert_eq!(small.read_json(text.as_bytes()), Err(expected.clone()), "{text}");
        if let Ok(value) = serde_json::from_str(&text) {
            assert_eq!(small.check(&value), Err(expected), "{text}");
        }
    }
    let bomb = "[".repeat(1_000_000);
    assert_eq!(
        Limits::default().read_json(bomb.as_bytes()),
        Err(ParseError::TooDeep { limit: 64 })
    );
}

#[test]
fn a_syntax_error_tells_where_and_quotes_nothing() {
    let error = Limits::default()
        .read_json(b"{\n  \"key\": secret\n}")
        .expect_err("no JSON");
    assert_eq!(error.to_string(), "line 2, column 10: invalid JSON");
}

#[test]
fn an_empty_configuration_becomes_the_stub() {
    let stub = Configuration::new().or_stub();
    assert_eq!(
        stub.to_bytes(),
        &br#"{"_format_version":"3.0","upstreams":[{"name":"kong"}]}"#[..]
    );
    assert_eq!(stub.clone().or_stub(), stub);
    assert!(stub.validate(&ValidationOptions::default()).is_ok());
}

/// Identifiers that Kong 3.9.3 gave to the entities of one configuration, where it does not give random ones.
#[test]
fn identifiers_are_those_of_kong() {
    #[derive(serde::Deserialize)]
    struct Case {
        request: Value,
        ids: BTreeMap<String, BTreeSet<String>>,
    }
    fn collect(list: &str, value: &Value, ids: &mut BTreeMap<String, BTreeSet<String>>) {
        for entity in value.as_array().into_iter().flatten().filter_map(Value::as_object) {
            let id = entity
                .get("id")
                .and_then(Value::as_str)
                .expect("every entity has an identifier");
            ids.entry(list.to_owned()).or_default().insert(id.to_owned());
            for (nested, below) in entity.iter().filter(|(nested, _)| *nested != "ca_certificates") {
                if below
                    .as_array()
                    .is_some_and(|elements| elements.iter().any(|element| element.get("id").is_some()))
                {
                    collect(nested, below, ids);
                }
            }
        }
    }
    let case: Case = serde_json::from_str(include_str!("../testdata/identifiers.json")).expect("a case");
    let loaded = Configuration::load(case.request, &ValidationOptions::default()).expect("Kong took it");
    let mut ids = BTreeMap::new();
    for (list, value) in serde_json::to_value(&loaded)
        .expect("JSON")
        .as_object()
        .expect("object")
    {
        collect(list, value, &mut ids);
    }
    for (list, expected) in case.ids {
        assert_eq!(ids.get(&list), Some(&expected), "{list}");
    }
}

#[test]
fn entities_without_a_name_get_identifiers_that_stay() {
    let document = json!({
        "_format_version": "3.0",
        "routes": [{"paths": ["/a"]}, {"paths": ["/a"]}, {"paths": ["/b"]}],
        "certificates": [{"cert": "C", "key": "K"}],
        "consumers": [{"username": "alice", "keyauth_credentials": [{"key": "k"}]}],
    });
    let options = ValidationOptions::default();
    let one = Configuration::load(document.clone(), &options).expect("valid");
    assert_eq!(Configuration::load(document, &options).expect("valid"), one);
    let ids: BTreeSet<_> = one.routes.iter().map(|route| route.id.clone()).collect();
    assert_eq!(ids.len(), 3);
    assert!(one.certificates[0].id.is_some() && one.consumers[0].keyauth_credentials[0].id.is_some());
}

#[test]
fn lists_are_in_the_order_of_kong_ingress_controller() {
    let document = json!({
        "_format_version": "3.0",
        "services": [{"name": "a"}, {"name": "c", "routes": [{"name": "x"}, {"name": "y"}]}, {"name": "b"}],
        "upstreams": [{"name": "u", "targets": [{"target": "10.0.0.1:80"}, {"target": "10.0.0.2:80"}]}],
        "consumers": [{"username": "b"}, {"username": "a"}],
        "certificates": [{"cert": "1", "key": "k", "snis": [{"name": "b"}, {"name": "a"}]}, {"cert": "2", "key": "k"}],
        "plugins": [{"name": "acl", "route": "r1"}, {"name": "cors"}, {"name": "acl", "route": "r2"}],
        "vaults": [{"name": "env", "prefix": "aa"}, {"name": "env", "prefix": "bb"}],
    });
    let mut configuration = Configuration::from_value(document).expect("valid");
    configuration.canonicalize();
    let expected = concat!(
        r#"{"_format_version":"3.0","#,
        r#""certificates":[{"cert":"2","key":"k"},{"cert":"1","key":"k","snis":[{"name":"a"},{"name":"b"}]}],"#,
        r#""vaults":[{"name":"env","prefix":"bb"},{"name":"env","prefix":"aa"}],"#,
        r#""services":[{"name":"c","routes":[{"name":"y"},{"name":"x"}]},{"name":"b"},{"name":"a"}],"#,
        r#""plugins":[{"name":"cors"},{"name":"acl","route":"r2"},{"name":"acl","route":"r1"}],"#,
        r#""consumers":[{"username":"a"},{"username":"b"}],"#,
        r#""upstreams":[{"name":"u","targets":[{"target":"10.0.0.2:80"},{"target":"10.0.0.1:80"}]}]}"#,
    );
    assert_eq!(configuration.to_bytes(), expected.as_bytes());
}

#[test]
fn a_hash_is_the_md5_of_the_bytes() {
    let hash = ConfigHash::of(b"abc");
    assert_eq!(hash.to_string(), "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(hash.short(), "900150983cd2");
    assert_eq!(hash.to_string().parse(), Ok(hash));
    assert!(ConfigHash::NONE.is_none() && !hash.is_none());
    for text in [
        "",
        "0",
        "9001509",
        "zz0150983cd24fb0d6963f7d28e17f72",
        "+90150983cd24fb0d6963f7d28e17f72",
    ] {
        assert!(text.parse::<ConfigHash>().is_err(), "{text}");
    }
}
