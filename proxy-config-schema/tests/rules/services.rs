//! Services.

use super::*;

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
