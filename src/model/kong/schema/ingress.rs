//! KongIngress, deprecated.

use super::{Definition, has, upstream_policy::PATH};
use crate::model::{
    Kind,
    schema::{INTEGER, List, METADATA, Range, Rule, TEXT, TEXTS, Text, Type, fields},
};

pub(super) static KONG_INGRESS: Definition = Definition {
    kind: Kind::KongIngress,
    singular: "kongingress",
    short_names: &["ki"],
    categories: &["kong-ingress-controller"],
    labels: &[],
    channels: "ingress-controller",
    description: "Settings of upstreams: Services name it by the annotation konghq.com/override: NAME. Deprecated: use \
                  KongUpstreamPolicy, and annotations of Services and Ingresses.",
    columns: &[],
    is_deprecated: true,
    has_status: true,
    fields: &FIELDS,
};

fields!(FIELDS {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    /// Refused: use annotations of the Service, `konghq.com/connect-timeout` and so on.
    proxy: Type::Object(&PROXY),
    /// Refused: use annotations of the Ingress, `konghq.com/methods` and so on.
    route: Type::Object(&ROUTE),
    /// Settings of the upstream.
    upstream: Type::Object(&UPSTREAM),
} rules &[
    Rule::new(
        "'proxy' field is no longer supported, use Service's annotations instead",
        "!has(self.proxy)",
        |object| !has(object, "/proxy"),
    ),
    Rule::new(
        "'route' field is no longer supported, use Ingress' annotations instead",
        "!has(self.route)",
        |object| !has(object, "/route"),
    ),
]);

const COUNT: Type = Type::Integer(Range::ANY.from(0));
const PROTOCOL: Type = Type::OneOf(&["http", "https", "grpc", "grpcs", "tcp", "tls", "udp"]);

fields!(PROXY {
    /// Annotation `konghq.com/connect-timeout`.
    connect_timeout: COUNT,
    /// Annotation `konghq.com/path`.
    path: Type::Text(Text::ANY.like(PATH)),
    /// Annotation `konghq.com/protocol`.
    protocol: PROTOCOL,
    /// Annotation `konghq.com/read-timeout`.
    read_timeout: COUNT,
    /// Annotation `konghq.com/retries`.
    retries: COUNT,
    /// Annotation `konghq.com/write-timeout`.
    write_timeout: COUNT,
});

fields!(ROUTE {
    /// Annotation `konghq.com/headers`.
    headers: Type::Map(&TEXTS),
    /// Annotation `konghq.com/https-redirect-status-code`.
    https_redirect_status_code: INTEGER,
    /// Annotation `konghq.com/methods`.
    methods: TEXTS,
    /// Annotation `konghq.com/path-handling`.
    path_handling: Type::OneOf(&["v0", "v1"]),
    /// Annotation `konghq.com/preserve-host`.
    preserve_host: Type::Boolean,
    /// Annotation `konghq.com/protocols`.
    protocols: Type::List(&List::of(PROTOCOL)),
    /// Annotation `konghq.com/regex-priority`.
    regex_priority: INTEGER,
    /// Annotation `konghq.com/request-buffering`.
    request_buffering: Type::Boolean,
    /// Annotation `konghq.com/response-buffering`.
    response_buffering: Type::Boolean,
    /// Annotation `konghq.com/snis`.
    snis: TEXTS,
    /// Annotation `konghq.com/strip-path`.
    strip_path: Type::Boolean,
});

fields!(UPSTREAM {
    /// How requests are spread.
    algorithm: Type::OneOf(&["round-robin", "consistent-hashing", "least-connections", "latency"]),
    /// What is hashed where a request lacks the first.
    hash_fallback: TEXT,
    /// Its header.
    hash_fallback_header: TEXT,
    /// Its query argument.
    hash_fallback_query_arg: TEXT,
    /// Its capture group of the route's path.
    hash_fallback_uri_capture: TEXT,
    /// What is hashed: `none`, `consumer`, `ip`, `header`, `cookie`, `path`, `query_arg`, `uri_capture`.
    hash_on: TEXT,
    /// Its cookie.
    hash_on_cookie: TEXT,
    /// Path of the cookie.
    hash_on_cookie_path: TEXT,
    /// Its header.
    hash_on_header: TEXT,
    /// Its query argument.
    hash_on_query_arg: TEXT,
    /// Its capture group of the route's path.
    hash_on_uri_capture: TEXT,
    /// How unhealthy pods are found.
    healthchecks: Type::Object(&HEALTHCHECKS),
    /// Host header of requests.
    host_header: TEXT,
    /// Slots of the balancer's ring.
    slots: Type::Integer(Range::ANY.from(10)),
});

fields!(HEALTHCHECKS {
    /// By requests of the proxy's own.
    active: Type::Object(&ACTIVE),
    /// By the answers to users' requests.
    passive: Type::Object(&PASSIVE),
    /// Share of available weight in percent below which the whole upstream counts as unhealthy.
    threshold: Type::Number,
});

fields!(ACTIVE {
    /// How many pods are asked at once.
    concurrency: Type::Integer(Range::ANY.from(1)),
    /// Headers of the requests.
    headers: Type::Map(&TEXTS),
    /// When a pod counts as healthy again.
    healthy: Type::Object(&HEALTHY),
    /// Path that is asked for.
    http_path: Type::Text(Text::ANY.like(PATH)),
    /// Server name in TLS.
    https_sni: TEXT,
    /// Whether the pod's certificate is verified.
    https_verify_certificate: Type::Boolean,
    /// Limit of a request in seconds.
    timeout: COUNT,
    /// Protocol of the requests.
    type: TEXT,
    /// When a pod counts as unhealthy.
    unhealthy: Type::Object(&UNHEALTHY),
});

fields!(PASSIVE {
    /// When a pod counts as healthy again.
    healthy: Type::Object(&HEALTHY),
    /// Protocol of the answers that count.
    type: TEXT,
    /// When a pod counts as unhealthy.
    unhealthy: Type::Object(&UNHEALTHY),
});

fields!(HEALTHY {
    /// Status codes of good answers.
    http_statuses: Type::List(&List::of(INTEGER)),
    /// Seconds between requests to healthy pods; 0 for none.
    interval: COUNT,
    /// Good answers that make a pod healthy.
    successes: COUNT,
});

fields!(UNHEALTHY {
    /// Bad answers that make a pod unhealthy.
    http_failures: COUNT,
    /// Status codes of bad answers.
    http_statuses: Type::List(&List::of(INTEGER)),
    /// Seconds between requests to unhealthy pods; 0 for none.
    interval: COUNT,
    /// Failed connections that make a pod unhealthy.
    tcp_failures: COUNT,
    /// Time-outs that make a pod unhealthy.
    timeouts: COUNT,
});
