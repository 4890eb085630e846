//! Routes.

use super::*;

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
