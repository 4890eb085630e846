//! KongUpstreamPolicy.

use serde_json::Value;

use super::{Definition, condition::CONDITION_LIST, definition::CATEGORIES, has, text};
use crate::model::{
    Kind,
    schema::{INTEGER, List, Literal, METADATA, Range, Rule, TEXT, TEXTS, Text, Type, fields},
};

pub(super) static KONG_UPSTREAM_POLICY: Definition = Definition {
    kind: Kind::KongUpstreamPolicy,
    singular: "kongupstreampolicy",
    short_names: &["kup"],
    categories: CATEGORIES,
    labels: &[("gateway.networking.k8s.io/policy", "direct")],
    channels: "ingress-controller",
    description: "How the load of a Service is balanced among its pods, and which of them count as healthy. Services and \
                  KongServiceFacades name it by the annotation konghq.com/upstream-policy: NAME.",
    columns: &[],
    is_deprecated: false,
    has_status: true,
    fields: &FIELDS,
};

fields!(FIELDS {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    /// Wanted state.
    spec: Type::Object(&SPEC),
    /// What came of it.
    status: Type::Object(&STATUS),
} rules RULES);

fields!(SPEC {
    /// How requests are spread: `round-robin` by weight; `consistent-hashing` by `hashOn`; `least-connections`;
    /// `latency`; `sticky-sessions` by a cookie of the proxy's own (Kong Gateway Enterprise 3.11).
    algorithm: Type::OneOf(&[
        "round-robin",
        "consistent-hashing",
        "least-connections",
        "latency",
        "sticky-sessions"
    ]),
    /// The part of a request that is hashed: one of its fields. Needs algorithm `consistent-hashing` or
    /// `sticky-sessions`.
    hashOn: Type::Object(&HASH),
    /// The part of a request that is hashed where the first is missing. Needs algorithm `consistent-hashing`.
    hashOnFallback: Type::Object(&HASH),
    /// How unhealthy pods are found.
    healthchecks: Type::Object(&HEALTHCHECKS),
    /// Slots of the balancer's ring.
    slots: Type::Integer(Range::ANY.from(10).to(65536)),
    /// The cookie of algorithm `sticky-sessions`. Needs `hashOn.input` `none`.
    stickySessions: Type::Object(&STICKY_SESSIONS),
});

fields!(HASH {
    /// Name of a cookie; the proxy sets it if it is missing. Needs `cookiePath`.
    cookie: TEXT,
    /// Path of the cookie.
    cookiePath: TEXT,
    /// Name of a header.
    header: TEXT,
    /// `ip`: the client's address; `consumer`; `path`; `none`.
    input: Type::OneOf(&["ip", "consumer", "path", "none"]),
    /// Name of a query argument.
    queryArg: TEXT,
    /// Name of a capture group of the route's path.
    uriCapture: TEXT,
});

fields!(STICKY_SESSIONS {
    /// Name of the cookie.
    cookie required: Type::Text(Text::length(1, usize::MAX)),
    /// Path of the cookie.
    cookiePath: TEXT => Literal::Text("/"),
});

fields!(HEALTHCHECKS {
    /// By requests of the proxy's own.
    active: Type::Object(&ACTIVE),
    /// By the answers to users' requests.
    passive: Type::Object(&PASSIVE),
    /// Share of available weight in percent below which the whole upstream counts as unhealthy.
    threshold: INTEGER,
});

const PROTOCOL: Type = Type::OneOf(&["http", "https", "tcp", "grpc", "grpcs"]);
const COUNT: Type = Type::Integer(Range::ANY.from(0));
const STATUSES: Type = Type::List(&List::of(Type::Integer(Range::ANY.from(100).to(599))));
/// What a path looks like.
pub(super) const PATH: &str = "^/.*$";

fields!(ACTIVE {
    /// How many pods are asked at once.
    concurrency: Type::Integer(Range::ANY.from(1)),
    /// Headers of the requests.
    headers: Type::Map(&TEXTS),
    /// When a pod counts as healthy again.
    healthy: Type::Object(&HEALTHY),
    /// Path that is asked for.
    httpPath: Type::Text(Text::ANY.like(PATH)),
    /// Server name in TLS.
    httpsSni: TEXT,
    /// Whether the pod's certificate is verified.
    httpsVerifyCertificate: Type::Boolean,
    /// Limit of a request in seconds.
    timeout: COUNT,
    /// Protocol of the requests.
    type: PROTOCOL,
    /// When a pod counts as unhealthy.
    unhealthy: Type::Object(&UNHEALTHY),
});

fields!(PASSIVE {
    /// When a pod counts as healthy again.
    healthy: Type::Object(&HEALTHY),
    /// Protocol of the answers that count.
    type: PROTOCOL,
    /// When a pod counts as unhealthy.
    unhealthy: Type::Object(&UNHEALTHY),
});

fields!(HEALTHY {
    /// Status codes of good answers.
    httpStatuses: STATUSES,
    /// Seconds between requests to healthy pods; 0 for none. Active checks only.
    interval: COUNT,
    /// Good answers that make a pod healthy.
    successes: COUNT,
});

fields!(UNHEALTHY {
    /// Bad answers that make a pod unhealthy.
    httpFailures: COUNT,
    /// Status codes of bad answers.
    httpStatuses: STATUSES,
    /// Seconds between requests to unhealthy pods; 0 for none. Active checks only.
    interval: COUNT,
    /// Failed connections that make a pod unhealthy.
    tcpFailures: COUNT,
    /// Time-outs that make a pod unhealthy.
    timeouts: COUNT,
});

fn count(policy: &Value, pointers: &[&str]) -> usize {
    pointers.iter().filter(|pointer| has(policy, pointer)).count()
}

const RULES: &[Rule] = &[
    Rule::new(
        "Only one of spec.hashOn.(input|cookie|header|uriCapture|queryArg) can be set.",
        "has(self.spec.hashOn) ? [has(self.spec.hashOn.input), has(self.spec.hashOn.cookie), has(self.spec.hashOn.header), has(self.spec.hashOn.uriCapture), has(self.spec.hashOn.queryArg)].filter(fieldSet, fieldSet == true).size() <= 1 : true",
        |policy| {
            count(
                policy,
                &[
                    "/spec/hashOn/input",
                    "/spec/hashOn/cookie",
                    "/spec/hashOn/header",
                    "/spec/hashOn/uriCapture",
                    "/spec/hashOn/queryArg",
                ],
            ) <= 1
        },
    ),
    Rule::new(
        "When spec.hashOn.cookie is set, spec.hashOn.cookiePath is required.",
        "has(self.spec.hashOn) && has(self.spec.hashOn.cookie) ? has(self.spec.hashOn.cookiePath) : true",
        |policy| !has(policy, "/spec/hashOn/cookie") || has(policy, "/spec/hashOn/cookiePath"),
    ),
    Rule::new(
        "When spec.hashOn.cookiePath is set, spec.hashOn.cookie is required.",
        "has(self.spec.hashOn) && has(self.spec.hashOn.cookiePath) ? has(self.spec.hashOn.cookie) : true",
        |policy| !has(policy, "/spec/hashOn/cookiePath") || has(policy, "/spec/hashOn/cookie"),
    ),
    Rule::new(
        "spec.algorithm must be set to either 'consistent-hashing' or 'sticky-sessions' when spec.hashOn is set.",
        r#"has(self.spec.hashOn) ? has(self.spec.algorithm) && (self.spec.algorithm == "consistent-hashing" || self.spec.algorithm == "sticky-sessions") : true"#,
        |policy| {
            !has(policy, "/spec/hashOn")
                || ["consistent-hashing", "sticky-sessions"].contains(&text(policy, "/spec/algorithm"))
        },
    ),
    Rule::new(
        "Only one of spec.hashOnFallback.(input|header|uriCapture|queryArg) can be set.",
        "has(self.spec.hashOnFallback) ? [has(self.spec.hashOnFallback.input), has(self.spec.hashOnFallback.header), has(self.spec.hashOnFallback.uriCapture), has(self.spec.hashOnFallback.queryArg)].filter(fieldSet, fieldSet == true).size() <= 1 : true",
        |policy| {
            count(
                policy,
                &[
                    "/spec/hashOnFallback/input",
                    "/spec/hashOnFallback/header",
                    "/spec/hashOnFallback/uriCapture",
                    "/spec/hashOnFallback/queryArg",
                ],
            ) <= 1
        },
    ),
    Rule::new(
        r#"spec.algorithm must be set to "consistent-hashing" when spec.hashOnFallback is set."#,
        r#"has(self.spec.hashOnFallback) ? has(self.spec.algorithm) && self.spec.algorithm == "consistent-hashing" : true"#,
        |policy| !has(policy, "/spec/hashOnFallback") || text(policy, "/spec/algorithm") == "consistent-hashing",
    ),
    Rule::new(
        "spec.hashOnFallback must not be set when spec.hashOn.cookie is set.",
        "has(self.spec.hashOn) && has(self.spec.hashOn.cookie) ? !has(self.spec.hashOnFallback) : true",
        |policy| !has(policy, "/spec/hashOn/cookie") || !has(policy, "/spec/hashOnFallback"),
    ),
    Rule::new(
        "spec.healthchecks.passive.healthy.interval must not be set.",
        "has(self.spec.healthchecks) && has(self.spec.healthchecks.passive) && has(self.spec.healthchecks.passive.healthy) ? !has(self.spec.healthchecks.passive.healthy.interval) : true",
        |policy| !has(policy, "/spec/healthchecks/passive/healthy/interval"),
    ),
    Rule::new(
        "spec.healthchecks.passive.unhealthy.interval must not be set.",
        "has(self.spec.healthchecks) && has(self.spec.healthchecks.passive) && has(self.spec.healthchecks.passive.unhealthy) ? !has(self.spec.healthchecks.passive.unhealthy.interval) : true",
        |policy| !has(policy, "/spec/healthchecks/passive/unhealthy/interval"),
    ),
    Rule::new(
        "When spec.stickySessions is set, spec.hashOn.input must be set to 'none' (no other hash_on fields allowed).",
        "has(self.spec.stickySessions) ? (has(self.spec.hashOn) && has(self.spec.hashOn.input) && self.spec.hashOn.input == 'none' && !has(self.spec.hashOn.cookie) && !has(self.spec.hashOn.cookiePath) && !has(self.spec.hashOn.header) && !has(self.spec.hashOn.uriCapture) && !has(self.spec.hashOn.queryArg)) : true",
        |policy| {
            let others = [
                "/spec/hashOn/cookie",
                "/spec/hashOn/cookiePath",
                "/spec/hashOn/header",
                "/spec/hashOn/uriCapture",
                "/spec/hashOn/queryArg",
            ];
            !has(policy, "/spec/stickySessions")
                || (text(policy, "/spec/hashOn/input") == "none" && count(policy, &others) == 0)
        },
    ),
    Rule::new(
        "spec.stickySessions.cookie is required when spec.stickySessions is set.",
        "has(self.spec.stickySessions) ? has(self.spec.stickySessions.cookie) : true",
        |policy| !has(policy, "/spec/stickySessions") || has(policy, "/spec/stickySessions/cookie"),
    ),
    Rule::new(
        "spec.algorithm must be set to 'sticky-sessions' when spec.stickySessions is set.",
        r#"has(self.spec.stickySessions) ? (has(self.spec.algorithm) && self.spec.algorithm == "sticky-sessions") : true"#,
        |policy| !has(policy, "/spec/stickySessions") || text(policy, "/spec/algorithm") == "sticky-sessions",
    ),
];

const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const DNS_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const DNS_NAME_OR_NOTHING: &str = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const KIND_NAME: &str = "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$";
const CONTROLLER_NAME: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$";

/// Group of an object.
pub(super) const GROUP: Type = Type::Text(Text::length(0, 253).like(DNS_NAME_OR_NOTHING));
/// Kind of an object.
pub(super) const KIND: Type = Type::Text(Text::length(1, 63).like(KIND_NAME));
/// Name of an object.
pub(super) const NAME: Type = Type::Text(Text::length(1, 253));
/// Namespace of an object.
pub(super) const NAMESPACE: Type = Type::Text(Text::length(1, 63).like(DNS_LABEL));

fields!(STATUS {
    /// What became of it on each Service or KongServiceFacade that names it.
    ancestors required: Type::List(&List::of(Type::Object(&ANCESTOR)).max(16)),
});

fields!(ANCESTOR {
    /// The Service or KongServiceFacade.
    ancestorRef required: Type::Object(&ANCESTOR_REF),
    /// `Accepted`: whether the policy is used there; `Programmed`: whether the proxies have it.
    conditions: Type::List(&CONDITION_LIST.min(1)),
    /// The controller that says so.
    controllerName required: Type::Text(Text::length(1, 253).like(CONTROLLER_NAME)),
});

fields!(ANCESTOR_REF {
    /// Group of the object.
    group: GROUP => Literal::Text("gateway.networking.k8s.io"),
    /// Kind of the object.
    kind: KIND => Literal::Text("Gateway"),
    /// Name of the object.
    name required: NAME,
    /// Namespace of the object.
    namespace: NAMESPACE,
    /// Port of the object.
    port: Type::Integer(Range::ANY.from(1).to(65535).format("int32")),
    /// Section of the object.
    sectionName: Type::Text(Text::length(1, 253).like(DNS_NAME)),
});
