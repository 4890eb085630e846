//! Upstreams and their targets.

use super::*;

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
