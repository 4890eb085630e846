//! BackendTLSPolicy and ReferenceGrant.

use super::reference::{GROUP, HOSTNAME, KIND, LOCAL_OBJECT_REF, NAME, NAMESPACE, PRECISE_HOSTNAME, SECTION_NAME};
use crate::model::schema::{List, METADATA, TEXT, TEXT_MAP, Text, Type, fields};

fields!(
    /// BackendTLSPolicy.
    pub BACKEND_TLS_POLICY {
        apiVersion: TEXT,
        kind: TEXT,
        metadata: METADATA,
        spec required: Type::Object(&SPEC),
        status: Type::Any,
    }
);

fields!(SPEC {
    options: TEXT_MAP,
    targetRefs required: Type::List(&List::of(Type::Object(&TARGET_REF)).min(1).max(16)),
    validation required: Type::Object(&VALIDATION),
});

fields!(TARGET_REF {
    group required: GROUP,
    kind required: KIND,
    name required: NAME,
    sectionName: SECTION_NAME,
});

fields!(VALIDATION {
    caCertificateRefs: Type::List(&List::of(Type::Object(&LOCAL_OBJECT_REF)).max(8)),
    hostname required: PRECISE_HOSTNAME,
    subjectAltNames: Type::List(&List::of(Type::Object(&SUBJECT_ALT_NAME)).max(5)),
    wellKnownCACertificates: Type::Text(Text::length(1, 253)),
});

fields!(SUBJECT_ALT_NAME {
    hostname: HOSTNAME,
    type required: Type::OneOf(&["Hostname", "URI"]),
    uri: Type::Text(Text::length(1, 253)),
});

fields!(
    /// ReferenceGrant.
    pub REFERENCE_GRANT {
        apiVersion: TEXT,
        kind: TEXT,
        metadata: METADATA,
        spec: Type::Object(&GRANT_SPEC),
    }
);

fields!(GRANT_SPEC {
    from required: Type::List(&List::of(Type::Object(&GRANT_FROM)).min(1).max(16)),
    to required: Type::List(&List::of(Type::Object(&GRANT_TO)).min(1).max(16)),
});

fields!(GRANT_FROM {
    group required: GROUP,
    kind required: KIND,
    namespace required: NAMESPACE,
});

fields!(GRANT_TO {
    group required: GROUP,
    kind required: KIND,
    name: NAME,
});
