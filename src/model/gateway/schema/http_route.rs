//! HTTPRoute.

use super::{
    filter::{EXTERNAL_AUTH, HEADER_FILTER, HEADER_MATCHES, HEADER_NAME, PATH, REQUEST_MIRROR, SESSION_PERSISTENCE},
    reference::{
        DEFAULT_GATEWAYS, DURATION, GROUP, HOSTNAME, KIND, LOCAL_OBJECT_REF, NAME, NAMESPACE, PARENT_REF, PORT,
        PRECISE_HOSTNAME, SECTION_NAME, WEIGHT,
    },
};
use crate::model::schema::{Identity, List, Literal, METADATA, Range, TEXT, Text, Type, fields};

fields!(
    /// HTTPRoute.
    pub HTTP_ROUTE {
        apiVersion: TEXT,
        kind: TEXT,
        metadata: METADATA,
        spec required: Type::Object(&SPEC),
        status: Type::Any,
    }
);

fields!(SPEC {
    hostnames: Type::List(&List::of(HOSTNAME).max(16)),
    parentRefs: Type::List(&List::of(Type::Object(&PARENT_REF)).max(32)),
    rules: Type::List(&List::of(Type::Object(&RULE)).max(16)) => Literal::Json("[{}]"),
    useDefaultGateways: DEFAULT_GATEWAYS,
});

fields!(RULE {
    backendRefs: Type::List(&List::of(Type::Object(&HTTP_BACKEND_REF)).max(16)),
    filters: FILTERS,
    matches: Type::List(&List::of(Type::Object(&MATCH)).max(64)) => Literal::Json("[{}]"),
    name: SECTION_NAME,
    retry: Type::Object(&RETRY),
    sessionPersistence: Type::Object(&SESSION_PERSISTENCE),
    timeouts: Type::Object(&TIMEOUTS),
});

fields!(HTTP_BACKEND_REF {
    filters: FILTERS,
    group: GROUP => Literal::Text(""),
    kind: KIND => Literal::Text("Service"),
    name required: NAME,
    namespace: NAMESPACE,
    port: PORT,
    weight: WEIGHT => Literal::Integer(1),
});

fields!(MATCH {
    headers: HEADER_MATCHES,
    method: Type::OneOf(&["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]),
    path: Type::Object(&PATH_MATCH) => Literal::Json(r#"{"type":"PathPrefix","value":"/"}"#),
    queryParams: Type::List(&List::of(Type::Object(&QUERY_MATCH)).max(16).identity(Identity::Keys(&["name"]))),
});

fields!(PATH_MATCH {
    type: Type::OneOf(&["Exact", "PathPrefix", "RegularExpression"]) => Literal::Text("PathPrefix"),
    value: PATH => Literal::Text("/"),
});

fields!(QUERY_MATCH {
    name required: HEADER_NAME,
    type: Type::OneOf(&["Exact", "RegularExpression"]) => Literal::Text("Exact"),
    value required: Type::Text(Text::length(1, 1024)),
});

fields!(RETRY {
    attempts: Type::Integer(Range::ANY.from(0)),
    backoff: DURATION,
    codes: Type::List(&List::of(Type::Integer(Range::ANY.from(400).to(599)))),
});

fields!(TIMEOUTS {
    backendRequest: DURATION,
    request: DURATION,
});

const FILTERS: Type = Type::List(&List::of(Type::Object(&FILTER)).max(16));

fields!(FILTER {
    cors: Type::Object(&CORS),
    extensionRef: Type::Object(&LOCAL_OBJECT_REF),
    externalAuth: Type::Object(&EXTERNAL_AUTH),
    requestHeaderModifier: Type::Object(&HEADER_FILTER),
    requestMirror: Type::Object(&REQUEST_MIRROR),
    requestRedirect: Type::Object(&REQUEST_REDIRECT),
    responseHeaderModifier: Type::Object(&HEADER_FILTER),
    type required: Type::OneOf(&[
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "ExtensionRef",
        "CORS",
        "ExternalAuth",
    ]),
    urlRewrite: Type::Object(&URL_REWRITE),
});

const HEADER_NAMES: Type = Type::List(&List::of(HEADER_NAME).max(64).identity(Identity::Set));

fields!(CORS {
    allowCredentials: Type::Boolean,
    allowHeaders: HEADER_NAMES,
    allowMethods: Type::List(&List::of(Type::OneOf(&[
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*",
    ])).max(9).identity(Identity::Set)),
    allowOrigins: Type::List(&List::of(Type::Text(Text::length(1, 253))).max(64).identity(Identity::Set)),
    exposeHeaders: HEADER_NAMES,
    maxAge: Type::Integer(Range::ANY.from(1)) => Literal::Integer(5),
});

fields!(REQUEST_REDIRECT {
    hostname: PRECISE_HOSTNAME,
    path: Type::Object(&PATH_MODIFIER),
    port: PORT,
    scheme: Type::OneOf(&["http", "https"]),
    statusCode: Type::OneOfNumbers(&[301, 302, 303, 307, 308]) => Literal::Integer(302),
});

fields!(URL_REWRITE {
    hostname: PRECISE_HOSTNAME,
    path: Type::Object(&PATH_MODIFIER),
});

fields!(PATH_MODIFIER {
    replaceFullPath: PATH,
    replacePrefixMatch: PATH,
    type required: Type::OneOf(&["ReplaceFullPath", "ReplacePrefixMatch"]),
});
