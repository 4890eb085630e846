//! All fields of the kinds that are read, with their types: what an object may say, used or not.
//!
//! Those of Kubernetes are here, from the API 1.34; Kong's and the Gateway API's stand beside their types. The slim
//! structs of `model` skip what they don't use; here a mistyped field is told from one that is merely not used.

use crate::model::{
    Kind, gateway,
    kong::schema::definition,
    schema::{Fields, INTEGER, List, METADATA, PORT, TEXT, TEXT_MAP, TEXTS, Type, fields},
};

/// The fields of objects of a kind.
pub(super) fn of(kind: Kind) -> &'static Fields {
    match kind {
        Kind::Ingress => &INGRESS,
        Kind::IngressClass => &INGRESS_CLASS,
        Kind::Service => &SERVICE,
        Kind::EndpointSlice => &ENDPOINT_SLICE,
        Kind::Secret => &SECRET,
        Kind::ConfigMap => &CONFIG_MAP,
        Kind::Namespace => &NAMESPACE,
        Kind::ProxyFleet => &PROXY_FLEET,
        Kind::GatewayClass => &gateway::schema::GATEWAY_CLASS,
        Kind::Gateway => &gateway::schema::GATEWAY,
        Kind::HTTPRoute => &gateway::schema::HTTP_ROUTE,
        Kind::GRPCRoute => &gateway::schema::GRPC_ROUTE,
        Kind::TCPRoute | Kind::UDPRoute => &gateway::schema::STREAM_ROUTE,
        Kind::TLSRoute => &gateway::schema::TLS_ROUTE,
        Kind::ReferenceGrant => &gateway::schema::REFERENCE_GRANT,
        Kind::BackendTLSPolicy => &gateway::schema::BACKEND_TLS_POLICY,
        Kind::IngressClassParameters
        | Kind::KongPlugin
        | Kind::KongClusterPlugin
        | Kind::KongConsumer
        | Kind::KongConsumerGroup
        | Kind::KongUpstreamPolicy
        | Kind::KongVault
        | Kind::KongLicense
        | Kind::KongCustomEntity
        | Kind::KongIngress
        | Kind::TCPIngress
        | Kind::UDPIngress
        | Kind::KongServiceFacade => definition(kind).expect("each of Kong's kinds has a definition").fields,
    }
}

const PROTOCOL: Type = Type::OneOf(&["TCP", "UDP", "SCTP"]);

fields!(INGRESS {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    spec: Type::Object(&INGRESS_SPEC),
    status: Type::Any,
});

fields!(INGRESS_SPEC {
    defaultBackend: Type::Object(&INGRESS_BACKEND),
    ingressClassName: TEXT,
    rules: Type::List(&List::of(Type::Object(&INGRESS_RULE))),
    tls: Type::List(&List::of(Type::Object(&INGRESS_TLS))),
});

fields!(INGRESS_TLS {
    hosts: TEXTS,
    secretName: TEXT,
});

fields!(INGRESS_RULE {
    host: TEXT,
    http: Type::Object(&HTTP_INGRESS_RULE_VALUE),
});

fields!(HTTP_INGRESS_RULE_VALUE {
    paths required: Type::List(&List::of(Type::Object(&HTTP_INGRESS_PATH))),
});

fields!(HTTP_INGRESS_PATH {
    backend required: Type::Object(&INGRESS_BACKEND),
    path: TEXT,
    pathType: Type::OneOf(&["Exact", "Prefix", "ImplementationSpecific"]),
});

fields!(INGRESS_BACKEND {
    resource: Type::Object(&TYPED_LOCAL_OBJECT_REFERENCE),
    service: Type::Object(&INGRESS_SERVICE_BACKEND),
});

fields!(INGRESS_SERVICE_BACKEND {
    name required: TEXT,
    port: Type::Object(&SERVICE_BACKEND_PORT),
});

fields!(SERVICE_BACKEND_PORT {
    name: TEXT,
    number: PORT,
});

fields!(TYPED_LOCAL_OBJECT_REFERENCE {
    apiGroup: TEXT,
    kind required: TEXT,
    name required: TEXT,
});

fields!(INGRESS_CLASS {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    spec: Type::Object(&INGRESS_CLASS_SPEC),
});

fields!(INGRESS_CLASS_SPEC {
    controller: TEXT,
    parameters: Type::Object(&INGRESS_CLASS_PARAMETERS),
});

fields!(INGRESS_CLASS_PARAMETERS {
    apiGroup: TEXT,
    kind required: TEXT,
    name required: TEXT,
    namespace: TEXT,
    scope: Type::OneOf(&["Cluster", "Namespace"]),
});

fields!(SERVICE {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    spec: Type::Object(&SERVICE_SPEC),
    status: Type::Object(&SERVICE_STATUS),
});

fields!(SERVICE_SPEC {
    allocateLoadBalancerNodePorts: Type::Boolean,
    clusterIP: TEXT,
    clusterIPs: TEXTS,
    externalIPs: TEXTS,
    externalName: TEXT,
    externalTrafficPolicy: TEXT,
    healthCheckNodePort: INTEGER,
    internalTrafficPolicy: TEXT,
    ipFamilies: TEXTS,
    ipFamilyPolicy: TEXT,
    loadBalancerClass: TEXT,
    loadBalancerIP: TEXT,
    loadBalancerSourceRanges: TEXTS,
    ports: Type::List(&List::of(Type::Object(&SERVICE_PORT))),
    publishNotReadyAddresses: Type::Boolean,
    selector: TEXT_MAP,
    sessionAffinity: TEXT,
    sessionAffinityConfig: Type::Any,
    topologyKeys: TEXTS,
    trafficDistribution: TEXT,
    type: Type::OneOf(&["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
});

fields!(SERVICE_PORT {
    appProtocol: TEXT,
    name: TEXT,
    nodePort: INTEGER,
    port required: PORT,
    protocol: PROTOCOL,
    targetPort: Type::PortOrName,
});

fields!(SERVICE_STATUS {
    conditions: Type::Any,
    loadBalancer: Type::Object(&LOAD_BALANCER_STATUS),
});

fields!(LOAD_BALANCER_STATUS {
    ingress: Type::List(&List::of(Type::Object(&LOAD_BALANCER_INGRESS))),
});

fields!(LOAD_BALANCER_INGRESS {
    hostname: TEXT,
    ip: TEXT,
    ipMode: TEXT,
    ports: Type::Any,
});

fields!(ENDPOINT_SLICE {
    addressType required: Type::OneOf(&["IPv4", "IPv6", "FQDN"]),
    apiVersion: TEXT,
    endpoints: Type::List(&List::of(Type::Object(&ENDPOINT))),
    kind: TEXT,
    metadata: METADATA,
    ports: Type::List(&List::of(Type::Object(&ENDPOINT_PORT))),
});

fields!(ENDPOINT {
    addresses required: TEXTS,
    conditions: Type::Object(&ENDPOINT_CONDITIONS),
    deprecatedTopology: TEXT_MAP,
    hints: Type::Any,
    hostname: TEXT,
    nodeName: TEXT,
    targetRef: Type::Object(&OBJECT_REFERENCE),
    zone: TEXT,
});

fields!(ENDPOINT_CONDITIONS {
    ready: Type::Boolean,
    serving: Type::Boolean,
    terminating: Type::Boolean,
});

fields!(OBJECT_REFERENCE {
    apiVersion: TEXT,
    fieldPath: TEXT,
    kind: TEXT,
    name: TEXT,
    namespace: TEXT,
    resourceVersion: TEXT,
    uid: TEXT,
});

fields!(ENDPOINT_PORT {
    appProtocol: TEXT,
    name: TEXT,
    port: PORT,
    protocol: PROTOCOL,
});

fields!(SECRET {
    apiVersion: TEXT,
    data: Type::Map(&Type::SecretBase64),
    immutable: Type::Boolean,
    kind: TEXT,
    metadata: METADATA,
    stringData: Type::Map(&Type::SecretText),
    type: TEXT,
});

fields!(CONFIG_MAP {
    apiVersion: TEXT,
    binaryData: Type::Map(&Type::SecretBase64),
    data: TEXT_MAP,
    immutable: Type::Boolean,
    kind: TEXT,
    metadata: METADATA,
});

fields!(PROXY_FLEET {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    spec: Type::Object(&PROXY_FLEET_SPEC),
    status: Type::Any,
});

fields!(PROXY_FLEET_SPEC { paused: Type::Boolean });

fields!(NAMESPACE {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    spec: Type::Object(&NAMESPACE_SPEC),
    status: Type::Any,
});

fields!(NAMESPACE_SPEC { finalizers: TEXTS });
