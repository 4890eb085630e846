//! GatewayClass and Gateway.

use super::{
    filter::EXTERNAL_AUTH,
    reference::{
        CONTROLLER_NAME, GROUP, HOSTNAME, KIND, LOCAL_OBJECT_REF, NAME, NAMESPACE, OBJECT_REF, PORT, SECRET_OBJECT_REF,
        SECTION_NAME,
    },
};
use crate::model::schema::{Identity, List, Literal, METADATA, TEXT, TEXT_MAP, TEXTS, Text, Type, fields};

fields!(
    /// GatewayClass.
    pub GATEWAY_CLASS {
        apiVersion: TEXT,
        kind: TEXT,
        metadata: METADATA,
        spec required: Type::Object(&CLASS_SPEC),
        status: Type::Any,
    }
);

fields!(CLASS_SPEC {
    controllerName required: CONTROLLER_NAME,
    description: Type::Text(Text::length(0, 64)),
    parametersRef: Type::Object(&PARAMETERS_REF),
});

fields!(PARAMETERS_REF {
    group required: GROUP,
    kind required: KIND,
    name required: NAME,
    namespace: NAMESPACE,
});

fields!(
    /// Gateway.
    pub GATEWAY {
        apiVersion: TEXT,
        kind: TEXT,
        metadata: METADATA,
        spec required: Type::Object(&SPEC),
        status: Type::Any,
    }
);

const CA_CERTIFICATE_REFS: Type = Type::List(&List::of(Type::Object(&OBJECT_REF)).min(1).max(16));

fields!(SPEC {
    addresses: Type::List(&List::of(Type::Object(&ADDRESS)).max(16)),
    allowedListeners: Type::Object(&ALLOWED_LISTENERS),
    backendTLS: Type::Object(&BACKEND_TLS),
    defaultScope: Type::OneOf(&["All", "None"]),
    gatewayClassName required: NAME,
    infrastructure: Type::Object(&INFRASTRUCTURE),
    listeners required: Type::List(&List::of(Type::Object(&LISTENER)).min(1).max(64).identity(Identity::Keys(&["name"]))),
    tls: Type::Object(&GATEWAY_TLS),
});

fields!(ADDRESS {
    routability: Type::Text(Text::length(0, 253)),
    type: NAME => Literal::Text("IPAddress"),
    value: Type::Text(Text::length(0, 253)),
});

fields!(ALLOWED_LISTENERS {
    namespaces: Type::Object(&LISTENER_NAMESPACES) => Literal::Json(r#"{"from":"None"}"#),
});

fields!(LISTENER_NAMESPACES {
    from: Type::OneOf(&["All", "Selector", "Same", "None"]) => Literal::Text("None"),
    selector: Type::Object(&LABEL_SELECTOR),
});

fields!(LABEL_SELECTOR {
    matchExpressions: Type::List(&List::of(Type::Object(&MATCH_EXPRESSION))),
    matchLabels: TEXT_MAP,
});

fields!(MATCH_EXPRESSION {
    key required: TEXT,
    operator required: TEXT,
    values: TEXTS,
});

fields!(BACKEND_TLS {
    clientCertificateRef: Type::Object(&SECRET_OBJECT_REF),
});

fields!(INFRASTRUCTURE {
    annotations: TEXT_MAP,
    labels: TEXT_MAP,
    parametersRef: Type::Object(&LOCAL_OBJECT_REF),
});

fields!(LISTENER {
    allowedRoutes: Type::Object(&ALLOWED_ROUTES) => Literal::Json(r#"{"namespaces":{"from":"Same"}}"#),
    filters: Type::Object(&LISTENER_FILTERS),
    hostname: HOSTNAME,
    name required: SECTION_NAME,
    port required: PORT,
    protocol required: Type::Text(Text::length(1, 255)),
    tls: Type::Object(&LISTENER_TLS),
});

fields!(ALLOWED_ROUTES {
    kinds: Type::List(&List::of(Type::Object(&ROUTE_KIND)).max(8)),
    namespaces: Type::Object(&ROUTE_NAMESPACES) => Literal::Json(r#"{"from":"Same"}"#),
});

fields!(ROUTE_KIND {
    group: GROUP => Literal::Text("gateway.networking.k8s.io"),
    kind required: KIND,
});

fields!(ROUTE_NAMESPACES {
    from: Type::OneOf(&["All", "Selector", "Same"]) => Literal::Text("Same"),
    selector: Type::Object(&LABEL_SELECTOR),
});

fields!(LISTENER_FILTERS {
    requests: Type::List(&List::of(Type::Object(&LISTENER_FILTER)).max(16)),
});

fields!(LISTENER_FILTER {
    extensionRef: Type::Object(&LOCAL_OBJECT_REF),
    externalAuth: Type::Object(&EXTERNAL_AUTH),
    type required: Type::OneOf(&["ExternalAuth", "ExtensionRef"]),
});

fields!(LISTENER_TLS {
    certificateRefs: Type::List(&List::of(Type::Object(&SECRET_OBJECT_REF)).max(64)),
    frontendValidation: Type::Object(&OLD_FRONTEND_VALIDATION),
    mode: Type::OneOf(&["Terminate", "Passthrough"]) => Literal::Text("Terminate"),
    options: TEXT_MAP,
});

fields!(OLD_FRONTEND_VALIDATION {
    caCertificateRefs: CA_CERTIFICATE_REFS,
});

fields!(GATEWAY_TLS {
    backend: Type::Object(&BACKEND_TLS),
    frontend: Type::Object(&FRONTEND_TLS),
});

fields!(FRONTEND_TLS {
    default required: Type::Object(&FRONTEND_TLS_CONFIG),
    perPort: Type::List(&List::of(Type::Object(&FRONTEND_TLS_OF_PORT)).max(64).identity(Identity::Keys(&["port"]))),
});

fields!(FRONTEND_TLS_OF_PORT {
    port required: PORT,
    tls required: Type::Object(&FRONTEND_TLS_CONFIG),
});

fields!(FRONTEND_TLS_CONFIG {
    validation: Type::Object(&FRONTEND_VALIDATION),
});

fields!(FRONTEND_VALIDATION {
    caCertificateRefs required: CA_CERTIFICATE_REFS,
    mode: Type::OneOf(&["AllowValidOnly", "AllowInsecureFallback"]) => Literal::Text("AllowValidOnly"),
});
