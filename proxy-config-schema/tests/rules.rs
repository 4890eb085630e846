//! Kong's rules, one by one: a field's value and what is said about it. What is not in the transcripts follows Kong's
//! schemas (`GET /schemas/<entity>`).

use proxy_config_schema::{Configuration, RouterFlavor, ValidationOptions};
use serde_json::{Value, json};

/// `field: message` of everything that is wrong with one entity.
fn told(list: &str, entity: &Value, options: &ValidationOptions) -> Vec<String> {
    let mut document = json!({"_format_version": "3.0"});
    document[list] = json!([entity.clone()]);
    let Err(invalid) = Configuration::load(document, options) else {
        return Vec::new();
    };
    let errors = invalid.entities.iter().flat_map(|entity| &entity.errors);
    errors
        .map(|error| {
            let message = error.message.as_deref().unwrap_or_default();
            match &error.field {
                Some(field) => format!("{field}: {message}"),
                None => message.to_owned(),
            }
        })
        .collect()
}

/// Checks `entity` with each value in `field`: the expected message, or `""` for a good value.
fn check(list: &str, entity: &Value, field: &str, cases: &[(Value, &str)]) {
    for (value, expected) in cases {
        let mut entity = entity.clone();
        entity[field] = value.clone();
        let expected: Vec<String> = Some(expected)
            .filter(|expected| !expected.is_empty())
            .map(ToString::to_string)
            .into_iter()
            .collect();
        assert_eq!(
            told(list, &entity, &ValidationOptions::default()),
            expected,
            "{field} = {value}"
        );
    }
}

#[test]
fn paths_of_routes() {
    let cases = [
        (json!(["/"]), ""),
        (json!(["/a b"]), ""),
        (json!(["/a[0-9]+"]), ""),
        (json!(["/ä"]), ""),
        (json!(["~/a$", "~/(?<id>\\d+)/x$"]), ""),
        (json!(["~/a%20b$"]), ""),
        (
            json!(["~a"]),
            "paths.1: should start with: / (fixed path) or ~/ (regex path)",
        ),
        (json!([""]), "paths.1: length must be at least 1"),
        (json!(["/a", 1]), "paths.2: expected a string"),
        (json!("/a"), "paths: expected an array"),
        (
            json!(["/a/../b"]),
            "paths.1: non-normalized path, consider use '/b' instead",
        ),
        (
            json!(["/a/."]),
            "paths.1: non-normalized path, consider use '/a/' instead",
        ),
        (
            json!(["/%61%2f"]),
            "paths.1: non-normalized path, consider use '/a%2F' instead",
        ),
        (json!(["~/a//b"]), "paths.1: must not have empty segments"),
    ];
    check("routes", &json!({"name": "r", "hosts": ["h.example"]}), "paths", &cases);
}

#[test]
fn a_regular_expression_that_only_another_engine_knows_is_refused() {
    let entity = json!({"paths": ["~/(?!a)b"]});
    let told = told("routes", &entity, &ValidationOptions::default());
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("paths.1: invalid regex: '/(?!a)b' ("), "{told:?}");
    assert!(told[0].contains("look-around"), "{told:?}");
}

#[test]
fn hosts_of_routes() {
    let leftmost = "invalid wildcard: must be placed at leftmost or rightmost label";
    let cases = [
        (
            json!([
                "example.test",
                "*.example.test",
                "example.*",
                "h:8080",
                "10.0.0.1",
                "a_b.example"
            ]),
            "",
        ),
        (json!(["a.*.test"]), &*format!("hosts.1: {leftmost}")),
        (json!(["*example.test"]), &*format!("hosts.1: {leftmost}")),
        (json!(["a b"]), "hosts.1: invalid value: a b"),
        (json!(["-a.test"]), "hosts.1: invalid value: -a.test"),
        (json!(["h:99999"]), "hosts.1: invalid value: h:99999"),
        (json!(["h..test"]), "hosts.1: invalid value: h..test"),
    ];
    check("routes", &json!({"paths": ["/"]}), "hosts", &cases);
}

#[test]
fn headers_of_routes() {
    let cases = [
        (json!({"x-a": ["1", "~*^v2$"], "X_B": ["2"]}), ""),
        (json!([]), ""),
        (
            json!({"x a": ["1"]}),
            "headers: bad header name 'x a', allowed characters are A-Z, a-z, 0-9, '_', and '-'",
        ),
        (json!({"x": "1"}), "headers.x: expected an array"),
        (json!(["x"]), "headers: expected a map"),
    ];
    check("routes", &json!({"paths": ["/"]}), "headers", &cases);
}

#[test]
fn protocols_of_routes() {
    let cases = [
        (
            json!({"protocols": ["http"], "snis": ["a"]}),
            vec![
                "snis: length must be 0",
                "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'",
                "must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'",
            ],
        ),
        (
            json!({"protocols": ["grpc"], "methods": ["GET"], "paths": ["/a"]}),
            vec!["methods: cannot set 'methods' when 'protocols' is 'grpc' or 'grpcs'"],
        ),
        (
            json!({"protocols": ["grpcs"]}),
            vec!["must set one of 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'grpcs'"],
        ),
        (
            json!({"protocols": ["tls_passthrough"]}),
            vec!["must set 'snis' when 'protocols' is 'tls_passthrough'"],
        ),
        (json!({"protocols": ["tls"], "snis": ["*.example.test"]}), vec![]),
        (
            json!({"protocols": ["tcp", "udp"], "destinations": [{"port": 53}], "sources": [{"ip": "10.0.0.0/8"}]}),
            vec![],
        ),
        (
            json!({"protocols": ["udp"], "sources": [{"ip": "10.0.0.0/33"}]}),
            vec!["sources.1.ip: invalid ip or cidr range: '10.0.0.0/33'"],
        ),
        (
            json!({"protocols": ["tcp"], "sources": [{}]}),
            vec!["sources.1.@entity: at least one of these fields must be non-empty: 'ip', 'port'"],
        ),
        (
            json!({"protocols": ["http"], "paths": ["/"], "sources": [{"port": 1}]}),
            vec!["sources: cannot set 'sources' when 'protocols' is 'http' or 'https'"],
        ),
        (
            json!({"protocols": [], "paths": ["/"]}),
            vec!["protocols: length must be at least 1"],
        ),
        (
            json!({"protocols": ["http", "grpc"], "paths": ["/"]}),
            vec!["protocols: these sets are mutually exclusive: ('http', 'https'), ('grpc', 'grpcs')"],
        ),
        (
            json!({"protocols": ["ftp"], "paths": ["/"]}),
            vec!["protocols.1: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp"],
        ),
    ];
    for (entity, expected) in cases {
        assert_eq!(
            told("routes", &entity, &ValidationOptions::default()),
            expected,
            "{entity}"
        );
    }
}

#[test]
fn other_fields_of_routes() {
    let route = json!({"paths": ["/"]});
    check(
        "routes",
        &route,
        "https_redirect_status_code",
        &[
            (json!(308), ""),
            (
                json!(303),
                "https_redirect_status_code: expected one of: 426, 301, 302, 307, 308",
            ),
        ],
    );
    check(
        "routes",
        &route,
        "path_handling",
        &[
            (json!("v1"), ""),
            (json!("v2"), "path_handling: expected one of: v0, v1"),
        ],
    );
    check(
        "routes",
        &route,
        "strip_path",
        &[(json!("yes"), "strip_path: expected a boolean")],
    );
    check(
        "routes",
        &route,
        "regex_priority",
        &[(json!(-5), ""), (json!(1.5), "regex_priority: expected an integer")],
    );
    check(
        "routes",
        &route,
        "tags",
        &[(json!("a"), "tags: expected a set"), (json!(["ä b:c"]), "")],
    );
}

#[test]
fn expressions_leave_other_matchers_out() {
    let options = ValidationOptions {
        router_flavor: RouterFlavor::Expressions,
        ..ValidationOptions::default()
    };
    let route = json!({"expression": "http.path == \"/\"", "priority": 5});
    assert!(told("routes", &route, &options).is_empty());
    let route = json!({"expression": "http.path == \"/\"", "hosts": ["a"]});
    assert_eq!(
        told("routes", &route, &options),
        [
            "Router Expression failed validation: cannot set 'expression' with 'methods', 'hosts', 'paths', 'headers', \
         'snis', 'sources' or 'destinations' simultaneously"
        ]
    );
}

#[test]
fn fields_of_services() {
    let service = json!({"name": "s", "host": "h.example"});
    check(
        "services",
        &service,
        "host",
        &[
            (json!("::1"), ""),
            (json!("10.0.0.1"), ""),
            (json!("default.svc.80.svc"), ""),
            (json!("h:80"), "host: must not have a port"),
            (json!("1.2.3.999"), "host: invalid value: 1.2.3.999"),
            (json!(""), "host: length must be at least 1"),
        ],
    );
    check(
        "services",
        &service,
        "path",
        &[
            (json!("/a/b%20c"), ""),
            (json!("a"), "path: should start with: /"),
            (json!("/a//b"), "path: must not have empty segments"),
            (
                json!("/a b"),
                "path: invalid path: '/a b' (characters outside of the reserved list of RFC 3986 found)",
            ),
            (json!("/a%2"), "path: invalid url-encoded value: '%2'"),
        ],
    );
    check(
        "services",
        &service,
        "retries",
        &[
            (json!(0), ""),
            (json!(32768), "retries: value should be between 0 and 32767"),
        ],
    );
    check(
        "services",
        &service,
        "url",
        &[
            (json!("https://a.example/x"), ""),
            (json!("a.example"), "url: missing host in url"),
            (
                json!("ftp://a"),
                "protocol: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
            ),
        ],
    );
    check(
        "services",
        &service,
        "tags",
        &[(json!(["a", ""]), "tags.2: length must be at least 1")],
    );
}

#[test]
fn a_url_wins_over_the_fields_that_it_stands_for() {
    let document = json!({"_format_version": "3.0", "services": [
        {"name": "s", "host": "other", "port": 1, "path": "/other", "url": "https://a.example/x"},
    ]});
    let loaded = Configuration::load(document, &ValidationOptions::default()).expect("valid");
    let service = &loaded.services[0];
    assert_eq!(
        (
            service.protocol.as_deref(),
            service.host.as_deref(),
            service.port,
            service.path.as_deref(),
            &service.url
        ),
        (Some("https"), Some("a.example"), Some(443), Some("/x"), &None)
    );
}

#[test]
fn tls_fields_of_services_need_tls() {
    let entity = json!({"host": "h", "protocol": "grpcs", "tls_verify_depth": 3, "path": "/x"});
    assert_eq!(
        told("services", &entity, &ValidationOptions::default()),
        [
            "path: value must be null",
            "failed conditional validation given value of field 'protocol'",
            "tls_verify_depth: value must be null",
            "failed conditional validation given value of field 'protocol'",
        ]
    );
    let entity = json!({"host": "h", "protocol": "https", "tls_verify": true, "tls_verify_depth": 65});
    assert_eq!(
        told("services", &entity, &ValidationOptions::default()),
        ["tls_verify_depth: value should be between 0 and 64"]
    );
}

#[test]
fn fields_of_upstreams() {
    let upstream = json!({"name": "u"});
    check(
        "upstreams",
        &upstream,
        "name",
        &[
            (json!("default.svc.80.svc"), ""),
            (
                json!("10.0.0.1"),
                "name: Invalid name ('10.0.0.1'); no ip addresses allowed",
            ),
            (json!("h:80"), "name: Invalid name ('h:80'); no port allowed"),
        ],
    );
    check(
        "upstreams",
        &upstream,
        "slots",
        &[(json!(9), "slots: value should be between 10 and 65536")],
    );
    check(
        "upstreams",
        &upstream,
        "algorithm",
        &[(
            json!("sticky-sessions"),
            "algorithm: expected one of: consistent-hashing, least-connections, round-robin, latency",
        )],
    );
    check(
        "upstreams",
        &upstream,
        "sticky_sessions_cookie",
        &[(json!("c"), "sticky_sessions_cookie: unknown field")],
    );
    check(
        "upstreams",
        &upstream,
        "healthchecks",
        &[
            (
                json!({"active": {"type": "grpc", "http_path": "/x?y", "concurrency": 10, "healthy": {"interval": 5.5}}}),
                "",
            ),
            (
                json!({"active": {"healthy": {"http_statuses": [99]}}}),
                "healthchecks.active.healthy.http_statuses.1: value should be between 100 and 999",
            ),
            (
                json!({"threshold": 101}),
                "healthchecks.threshold: value should be between 0 and 100",
            ),
            (
                json!({"passive": {"unhealthy": {"tcp_failures": 256}}}),
                "healthchecks.passive.unhealthy.tcp_failures: value should be between 0 and 255",
            ),
            (json!({"activ": {}}), "healthchecks.activ: unknown field"),
            (
                json!({"passive": {"healthy": {"interval": 1}}}),
                "healthchecks.passive.healthy.interval: unknown field",
            ),
        ],
    );
    let sticky = ValidationOptions {
        sticky_sessions: true,
        ..ValidationOptions::default()
    };
    let entity = json!({"name": "u", "algorithm": "sticky-sessions", "sticky_sessions_cookie": "c"});
    assert!(told("upstreams", &entity, &sticky).is_empty());
}

#[test]
fn hashing_needs_what_it_hashes() {
    let conditional = |field: &str| format!("failed conditional validation given value of field '{field}'");
    let cases = [
        (json!({"hash_on": "cookie", "hash_on_cookie": "c"}), vec![]),
        (
            json!({"hash_on": "cookie"}),
            vec![
                "hash_on_cookie: required field missing".to_owned(),
                conditional("hash_on"),
            ],
        ),
        (
            json!({"hash_on": "ip", "hash_fallback": "query_arg"}),
            vec![
                "hash_fallback_query_arg: required field missing".to_owned(),
                conditional("hash_fallback"),
            ],
        ),
        (
            json!({"hash_on": "ip", "hash_fallback": "ip"}),
            vec![
                "hash_fallback: expected one of: none, consumer, header, cookie, path, query_arg, uri_capture"
                    .to_owned(),
                conditional("hash_on"),
            ],
        ),
        (
            json!({"hash_fallback": "ip"}),
            vec![
                "hash_fallback: expected one of: none".to_owned(),
                conditional("hash_on"),
            ],
        ),
        (
            json!({"hash_on": "header", "hash_on_header": "x", "hash_fallback": "header", "hash_fallback_header": "x"}),
            vec!["values of these fields must be distinct: 'hash_on_header', 'hash_fallback_header'".to_owned()],
        ),
    ];
    for (mut entity, expected) in cases {
        entity["name"] = json!("u");
        assert_eq!(
            told("upstreams", &entity, &ValidationOptions::default()),
            expected,
            "{entity}"
        );
    }
}

#[test]
fn targets_of_upstreams() {
    for (target, good) in [
        ("10.0.0.1:80", true),
        ("10.0.0.1", true),
        ("[::1]:8080", true),
        ("[fd00::1]", true),
        ("h.example:80", true),
        ("10.0.0.1:x", false),
        ("10.0.0.256:80", false),
        ("[::1:80", false),
        ("", false),
    ] {
        let entity = json!({"name": "u", "targets": [{"target": target}]});
        assert_eq!(
            told("upstreams", &entity, &ValidationOptions::default()).is_empty(),
            good,
            "{target}"
        );
    }
}

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
