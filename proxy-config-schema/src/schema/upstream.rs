//! Schema of upstreams and targets.

use serde_json::Value;

use super::{
    Entity, Field, Kind, Presence, Scope,
    service::{SECONDS, TAG},
    text, unchecked,
};

const HASH_INPUTS: &[&str] = &[
    "none",
    "consumer",
    "ip",
    "header",
    "cookie",
    "path",
    "query_arg",
    "uri_capture",
];
const PROBE: Kind = Kind::OneOf(&["tcp", "http", "https", "grpc", "grpcs"]);
const COUNT: Kind = Kind::Integer(0, 255);
const PERIOD: Kind = Kind::Number(0.0, 65535.0);
static STATUS: Kind = Kind::Integer(100, 999);
static HEADER_VALUE: Kind = Kind::Text;
static HEADER_VALUES: Kind = Kind::Array(&HEADER_VALUE);

const HEALTHY: Kind = Kind::Record(&[
    Field::optional("http_statuses", Kind::Array(&STATUS)),
    Field::optional("interval", PERIOD),
    Field::optional("successes", COUNT),
]);
const UNHEALTHY: Kind = Kind::Record(&[
    Field::optional("http_statuses", Kind::Array(&STATUS)),
    Field::optional("http_failures", COUNT),
    Field::optional("tcp_failures", COUNT),
    Field::optional("timeouts", COUNT),
    Field::optional("interval", PERIOD),
]);
const ACTIVE: Kind = Kind::Record(&[
    Field::optional("type", PROBE),
    Field::optional("concurrency", Kind::Integer(1, 2_147_483_648)),
    Field::optional("http_path", Kind::TextBy(text::probe_path)),
    Field::optional("https_sni", Kind::TextBy(text::wildcard_host)),
    Field::optional("https_verify_certificate", Kind::Boolean),
    Field::optional("headers", Kind::Map(text::any, &HEADER_VALUES)),
    Field::optional("timeout", PERIOD),
    Field::optional("healthy", HEALTHY),
    Field::optional("unhealthy", UNHEALTHY),
]);
// What is concluded from ordinary traffic has no interval.
const PASSIVE_HEALTHY: Kind = Kind::Record(&[
    Field::optional("http_statuses", Kind::Array(&STATUS)),
    Field::optional("successes", COUNT),
]);
const PASSIVE_UNHEALTHY: Kind = Kind::Record(&[
    Field::optional("http_statuses", Kind::Array(&STATUS)),
    Field::optional("http_failures", COUNT),
    Field::optional("tcp_failures", COUNT),
    Field::optional("timeouts", COUNT),
]);
const PASSIVE: Kind = Kind::Record(&[
    Field::optional("type", PROBE),
    Field::optional("healthy", PASSIVE_HEALTHY),
    Field::optional("unhealthy", PASSIVE_UNHEALTHY),
]);
const HEALTHCHECKS: Kind = Kind::Record(&[
    Field::optional("active", ACTIVE),
    Field::optional("passive", PASSIVE),
    Field::optional("threshold", Kind::Number(0.0, 100.0)),
]);

pub(crate) static UPSTREAM: Entity = Entity {
    singular: "upstream",
    plural: "upstreams",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::required("name", Kind::TextBy(text::upstream_name)),
        Field::optional(
            "algorithm",
            Kind::OneOfOrSticky(
                &["consistent-hashing", "least-connections", "round-robin", "latency"],
                &["sticky-sessions"],
            ),
        ),
        Field::optional("slots", Kind::Integer(10, 65536)),
        Field::optional("host_header", Kind::TextBy(text::target)),
        Field::optional("hash_on", Kind::OneOf(HASH_INPUTS)),
        Field::optional("hash_on_header", Kind::TextBy(text::header_name)),
        Field::optional("hash_on_cookie", Kind::Text),
        Field::optional("hash_on_cookie_path", Kind::TextBy(text::service_path)),
        Field::optional("hash_on_query_arg", Kind::Text),
        Field::optional("hash_on_uri_capture", Kind::Text),
        Field::optional("hash_fallback", Kind::OneOf(HASH_INPUTS)),
        Field::optional("hash_fallback_header", Kind::TextBy(text::header_name)),
        Field::optional("hash_fallback_query_arg", Kind::Text),
        Field::optional("hash_fallback_uri_capture", Kind::Text),
        Field::with("sticky_sessions_cookie", Kind::Text, Presence::StickySessions),
        Field::with(
            "sticky_sessions_cookie_path",
            Kind::TextBy(text::service_path),
            Presence::StickySessions,
        ),
        Field::optional("client_certificate", Kind::Reference("certificates")),
        Field::optional("use_srv_name", Kind::Boolean),
        Field::optional("healthchecks", HEALTHCHECKS),
        Field::optional("tags", Kind::Set(&TAG, 0)),
        Field::optional("created_at", SECONDS),
        Field::optional("updated_at", SECONDS),
    ],
    children: &[(&TARGET, "upstream")],
    endpoint_key: Some("name"),
    unique: &[],
    identity: &[],
    enterprise: false,
    check,
};

pub(crate) static TARGET: Entity = Entity {
    singular: "target",
    plural: "targets",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::required("target", Kind::TextBy(text::target)),
        Field::optional("weight", Kind::Integer(0, 65535)),
        Field::with("upstream", Kind::Reference("upstreams"), Presence::RequiredByKong),
        Field::optional("tags", Kind::Set(&TAG, 0)),
        Field::optional("created_at", Kind::Number(0.0, f64::MAX)),
        Field::optional("updated_at", Kind::Number(0.0, f64::MAX)),
    ],
    children: &[],
    endpoint_key: None,
    unique: &[],
    identity: &["upstream", "target"],
    enterprise: false,
    check: unchecked,
};

/// What each input of the hash needs.
fn check(scope: &mut Scope<'_>) {
    let on = scope.text_or("hash_on", "none").to_owned();
    let fallback = scope.text_or("hash_fallback", "none").to_owned();
    for (field, value, prefix) in [
        ("hash_on", &on, "hash_on"),
        ("hash_fallback", &fallback, "hash_fallback"),
    ] {
        let needed = match value.as_str() {
            "header" | "query_arg" | "uri_capture" => format!("{prefix}_{value}"),
            // A cookie is set but once: the fallback shares it.
            "cookie" => "hash_on_cookie".to_owned(),
            _ => continue,
        };
        if scope.get(&needed).is_none() {
            scope.field(&needed, "required field missing");
            conditional(scope, field);
        }
    }
    let allowed: Vec<&str> = match on.as_str() {
        "none" | "cookie" => vec!["none"],
        "consumer" | "ip" | "path" => HASH_INPUTS.iter().copied().filter(|input| *input != on).collect(),
        _ => HASH_INPUTS.to_vec(),
    };
    if !allowed.contains(&fallback.as_str()) {
        scope.field("hash_fallback", format!("expected one of: {}", allowed.join(", ")));
        conditional(scope, "hash_on");
    }
    for field in ["header", "query_arg", "uri_capture"] {
        let (on, fallback) = (format!("hash_on_{field}"), format!("hash_fallback_{field}"));
        let given = scope.get(&on).and_then(Value::as_str);
        if given.is_some() && given == scope.get(&fallback).and_then(Value::as_str) {
            scope.whole(format!("values of these fields must be distinct: '{on}', '{fallback}'"));
        }
    }
}

fn conditional(scope: &mut Scope<'_>, field: &str) {
    scope.whole(format!("failed conditional validation given value of field '{field}'"));
}
