//! Server names, vaults, consumers, custom entities, and the form of what is told.

use super::*;

#[test]
fn server_names() {
    let certificate = |name: &str| json!({"cert": "C", "key": "K", "snis": [{"name": name}]});
    for name in ["*", "*.example.test", "example.*", "a.example.test"] {
        assert!(
            told("certificates", &certificate(name), &ValidationOptions::default()).is_empty(),
            "{name}"
        );
    }
    assert_eq!(
        told("certificates", &certificate("a.*.test"), &ValidationOptions::default()),
        ["name: invalid wildcard: must be placed at leftmost or rightmost label"]
    );
    let entity = json!({"cert": "C", "key": "K", "cert_alt": "D"});
    assert_eq!(
        told("certificates", &entity, &ValidationOptions::default()),
        ["all or none of these fields must be set: 'cert_alt', 'key_alt'"]
    );
}

#[test]
fn vault_prefixes() {
    let cases = [
        (json!("my-env2"), ""),
        (json!("2env"), "prefix: invalid value: 2env"),
        (json!("My"), "prefix: invalid value: My"),
        (json!("a-"), "prefix: invalid value: a-"),
    ];
    check("vaults", &json!({"name": "env"}), "prefix", &cases);
}

#[test]
fn credentials_of_consumers() {
    let cases = [
        (
            json!({"basicauth_credentials": [{"username": "u"}]}),
            "password: required field missing",
        ),
        (
            json!({"jwt_secrets": [{"algorithm": "HS257"}]}),
            "algorithm: expected one of: HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512, EdDSA",
        ),
        (
            json!({"jwt_secrets": [{"algorithm": "RS256", "rsa_public_key": "x"}]}),
            "rsa_public_key: invalid key",
        ),
        (json!({"acls": [{}]}), "group: required field missing"),
        (
            json!({"oauth2_credentials": [{"name": "n", "client_type": "x"}]}),
            "client_type: expected one of: confidential, public",
        ),
        (
            json!({"mtls_auth_credentials": []}),
            "mtls_auth_credentials: unknown field",
        ),
        (
            json!({"keyauth_credentials": "k"}),
            "keyauth_credentials: expected an array",
        ),
    ];
    for (mut entity, expected) in cases {
        entity["username"] = json!("alice");
        assert_eq!(
            told("consumers", &entity, &ValidationOptions::default()),
            [expected],
            "{entity}"
        );
    }
}

#[test]
fn custom_entities_are_lists_of_objects() {
    let options = ValidationOptions::default();
    assert!(told("degraphql_routes", &json!({"uri": "/"}), &options).is_empty());
    assert_eq!(told("degraphql_routes", &json!("x"), &options), ["expected a record"]);
    let document = json!({"_format_version": "3.0", "degraphql_routes": "x", "_unknown": 1});
    let invalid = Configuration::load(document, &options).expect_err("no list");
    assert_eq!(
        Value::Object(invalid.fields),
        json!({"degraphql_routes": "expected an array", "_unknown": "unknown field"})
    );
}

#[test]
fn the_form_of_a_refusal_is_that_of_kong() {
    let document = json!({"_format_version": "3.0", "services": [
        {"name": "good", "host": "h"},
        {"name": "bad", "host": "h", "port": 70000, "tags": ["t"], "routes": [{"name": "r", "paths": ["x"]}]},
    ]});
    let invalid = Configuration::load(document, &ValidationOptions::default()).expect_err("two are bad");
    assert_eq!(
        invalid.to_answer(true),
        json!({
            "code": 14,
            "name": "invalid declarative configuration",
            "message": "declarative config is invalid: {}",
            "fields": {},
            "flattened_errors": [
                {
                    "entity_type": "service",
                    "entity": {"name": "bad", "host": "h", "port": 70000, "tags": ["t"]},
                    "entity_name": "bad",
                    "entity_tags": ["t"],
                    "errors": [{"type": "field", "field": "port", "message": "value should be between 0 and 65535"}],
                },
                {
                    "entity_type": "route",
                    "entity": {"name": "r", "paths": ["x"]},
                    "entity_name": "r",
                    "errors": [{
                        "type": "field",
                        "field": "paths.1",
                        "message": "should start with: / (fixed path) or ~/ (regex path)",
                    }],
                },
            ],
        })
    );
    let tree = "{services={[2]={port=\"value should be between 0 and 65535\",\
                routes={{paths={\"should start with: / (fixed path) or ~/ (regex path)\"}}}}}}";
    assert_eq!(
        invalid.to_answer(false)["message"],
        format!("declarative config is invalid: {tree}")
    );
    assert_eq!(
        format!("{invalid:?}"),
        "InvalidConfiguration { entities: 2, fields: 0, .. }"
    );
}
