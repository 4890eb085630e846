//! TCPIngress and UDPIngress, deprecated.

use super::{
    Definition,
    condition::QUALIFIED_NAME,
    definition::{AGE, CATEGORIES, Column},
};
use crate::model::{
    Kind,
    schema::{Identity, List, METADATA, Range, TEXT, TEXTS, Text, Type, fields},
};

const COLUMNS: &[Column] = &[
    Column::new("Address", ".status.loadBalancer.ingress[*].ip", "string"),
    AGE,
];

pub(super) static TCP_INGRESS: Definition = Definition {
    kind: Kind::TCPIngress,
    singular: "tcpingress",
    short_names: &[],
    categories: CATEGORIES,
    labels: &[],
    channels: "ingress-controller",
    description: "Where TCP connections go, by port, and by server name within TLS. Deprecated: use TCPRoute and \
                  TLSRoute of the Gateway API.",
    columns: COLUMNS,
    is_deprecated: true,
    has_status: true,
    fields: &TCP,
};

pub(super) static UDP_INGRESS: Definition = Definition {
    kind: Kind::UDPIngress,
    singular: "udpingress",
    short_names: &[],
    categories: CATEGORIES,
    labels: &[],
    channels: "ingress-controller",
    description: "Where UDP datagrams go, by port. Deprecated: use UDPRoute of the Gateway API.",
    columns: COLUMNS,
    is_deprecated: true,
    has_status: true,
    fields: &UDP,
};

fields!(TCP {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    /// Wanted state.
    spec: Type::Object(&TCP_SPEC),
    /// What came of it.
    status: Type::Object(&STATUS),
});

fields!(TCP_SPEC {
    /// Rules: port, maybe server name, and backend.
    rules: Type::List(&List::of(Type::Object(&TCP_RULE))),
    /// TLS Secrets by host: connections to these server names are decrypted.
    tls: Type::List(&List::of(Type::Object(&TLS))),
});

const PORT: Type = Type::Integer(Range::ANY.from(1).to(65535).format("int32"));

fields!(TCP_RULE {
    /// Where the connections go.
    backend required: Type::Object(&BACKEND),
    /// Server name within TLS that the rule is for; without it the rule takes every connection of the port.
    host: TEXT,
    /// Port that the proxy listens on.
    port required: PORT,
});

fields!(TLS {
    /// Server names.
    hosts: TEXTS,
    /// Name of a Secret of the same namespace with certificate and key.
    secretName: TEXT,
});

fields!(UDP {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    /// Wanted state.
    spec: Type::Object(&UDP_SPEC),
    /// What came of it.
    status: Type::Object(&STATUS),
});

fields!(UDP_SPEC {
    /// Rules: port and backend.
    rules: Type::List(&List::of(Type::Object(&UDP_RULE))),
});

fields!(UDP_RULE {
    /// Where the datagrams go.
    backend required: Type::Object(&BACKEND),
    /// Port that the proxy listens on.
    port required: PORT,
});

fields!(BACKEND {
    /// Name of a Service of the same namespace.
    serviceName required: Type::Text(Text::length(1, usize::MAX)),
    /// Number of one of its ports.
    servicePort required: PORT,
});

fields!(STATUS {
    /// Where clients reach it.
    loadBalancer: Type::Object(&LOAD_BALANCER),
});

fields!(LOAD_BALANCER {
    /// Addresses.
    ingress: Type::List(&List::of(Type::Object(&LOAD_BALANCER_INGRESS)).identity(Identity::Atomic)),
});

fields!(LOAD_BALANCER_INGRESS {
    /// Host name, if it is reached by name.
    hostname: TEXT,
    /// IP address, if it is reached by address.
    ip: TEXT,
    /// Whether the load balancer keeps the destination address (`VIP`) or not (`Proxy`).
    ipMode: TEXT,
    /// Ports.
    ports: Type::List(&List::of(Type::Object(&PORT_STATUS)).identity(Identity::Atomic)),
});

fields!(PORT_STATUS {
    /// What is wrong with the port.
    error required: Type::Text(Text::length(0, 316).like(QUALIFIED_NAME)),
    /// Number.
    port required: Type::Integer(Range::ANY.format("int32")),
    /// `TCP`, `UDP` or `SCTP`.
    protocol required: TEXT,
});
