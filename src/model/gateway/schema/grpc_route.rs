//! GRPCRoute.

use super::{
    filter::{HEADER_FILTER, HEADER_MATCHES, PATH, REQUEST_MIRROR, SESSION_PERSISTENCE},
    reference::{
        DEFAULT_GATEWAYS, GROUP, HOSTNAME, KIND, LOCAL_OBJECT_REF, NAME, NAMESPACE, PARENT_REF, PORT, SECTION_NAME,
        WEIGHT,
    },
};
use crate::model::schema::{List, Literal, METADATA, TEXT, Type, fields};

fields!(
    /// GRPCRoute.
    pub GRPC_ROUTE {
        apiVersion: TEXT,
        kind: TEXT,
        metadata: METADATA,
        spec: Type::Object(&SPEC),
        status: Type::Any,
    }
);

fields!(SPEC {
    hostnames: Type::List(&List::of(HOSTNAME).max(16)),
    parentRefs: Type::List(&List::of(Type::Object(&PARENT_REF)).max(32)),
    rules: Type::List(&List::of(Type::Object(&RULE)).max(16)),
    useDefaultGateways: DEFAULT_GATEWAYS,
});

fields!(RULE {
    backendRefs: Type::List(&List::of(Type::Object(&GRPC_BACKEND_REF)).max(16)),
    filters: FILTERS,
    matches: Type::List(&List::of(Type::Object(&MATCH)).max(64)),
    name: SECTION_NAME,
    sessionPersistence: Type::Object(&SESSION_PERSISTENCE),
});

fields!(GRPC_BACKEND_REF {
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
    method: Type::Object(&METHOD_MATCH),
});

fields!(METHOD_MATCH {
    method: PATH,
    service: PATH,
    type: Type::OneOf(&["Exact", "RegularExpression"]) => Literal::Text("Exact"),
});

const FILTERS: Type = Type::List(&List::of(Type::Object(&FILTER)).max(16));

fields!(FILTER {
    extensionRef: Type::Object(&LOCAL_OBJECT_REF),
    requestHeaderModifier: Type::Object(&HEADER_FILTER),
    requestMirror: Type::Object(&REQUEST_MIRROR),
    responseHeaderModifier: Type::Object(&HEADER_FILTER),
    type required: Type::OneOf(&["ResponseHeaderModifier", "RequestHeaderModifier", "RequestMirror", "ExtensionRef"]),
});
