//! TCPRoute, UDPRoute and TLSRoute.

use super::reference::{BACKEND_REF, DEFAULT_GATEWAYS, HOSTNAME, PARENT_REF, SECTION_NAME};
use crate::model::schema::{List, METADATA, TEXT, Type, fields};

fields!(
    /// TCPRoute and UDPRoute.
    pub STREAM_ROUTE {
        apiVersion: TEXT,
        kind: TEXT,
        metadata: METADATA,
        spec required: Type::Object(&SPEC),
        status: Type::Any,
    }
);

const PARENT_REFS: Type = Type::List(&List::of(Type::Object(&PARENT_REF)).max(32));
const RULES: Type = Type::List(&List::of(Type::Object(&RULE)).min(1).max(16));

fields!(SPEC {
    parentRefs: PARENT_REFS,
    rules required: RULES,
    useDefaultGateways: DEFAULT_GATEWAYS,
});

fields!(RULE {
    backendRefs: Type::List(&List::of(Type::Object(&BACKEND_REF)).min(1).max(16)),
    name: SECTION_NAME,
});

fields!(
    /// TLSRoute.
    pub TLS_ROUTE {
        apiVersion: TEXT,
        kind: TEXT,
        metadata: METADATA,
        spec required: Type::Object(&TLS_SPEC),
        status: Type::Any,
    }
);

fields!(TLS_SPEC {
    hostnames: Type::List(&List::of(HOSTNAME).max(1024)),
    parentRefs: PARENT_REFS,
    rules required: RULES,
    useDefaultGateways: DEFAULT_GATEWAYS,
});
