//! All fields of the kinds that are read, with their types: what an object may say, used or not.
//!
//! From the Kubernetes API 1.34. The slim structs of `model::kubernetes` skip what they don't use; here a mistyped
//! field is told from one that is merely not used.

use super::check::{
    Fields,
    Type::{self, *},
};
use crate::model::Kind;

/// The fields of objects of a kind.
pub(super) fn of(kind: Kind) -> &'static Fields {
    match kind {
        Kind::Ingress => &INGRESS,
        Kind::IngressClass => &INGRESS_CLASS,
        Kind::Service => &SERVICE,
        Kind::EndpointSlice => &ENDPOINT_SLICE,
        Kind::Secret => &SECRET,
        Kind::ConfigMap => &CONFIG_MAP,
        Kind::KongPlugin | Kind::KongClusterPlugin => &PLUGIN,
        Kind::KongConsumer => &CONSUMER,
        Kind::KongLicense => &LICENSE,
        Kind::KongIngress => &KONG_INGRESS,
        Kind::ProxyFleet => &PROXY_FLEET,
        _ => &WITH_SPEC,
    }
}

macro_rules! fields {
    ($name:ident { $($field:ident: $type:expr),* $(,)? } $(require $($required:ident),*)?) => {
        static $name: Fields = Fields {
            known: &[$((stringify!($field), $type)),*],
            required: &[$($(stringify!($required)),*)?],
        };
    };
}

const TEXTS: Type = List(&Text);
const TEXT_MAP: Type = Map(&Text);
const METADATA: Type = Object(&OBJECT_META);
const PROTOCOL: Type = OneOf(&["TCP", "UDP", "SCTP"]);

fields!(OBJECT_META {
    annotations: TEXT_MAP,
    creationTimestamp: Timestamp,
    deletionGracePeriodSeconds: Integer,
    deletionTimestamp: Timestamp,
    finalizers: TEXTS,
    generateName: Text,
    generation: Integer,
    labels: TEXT_MAP,
    managedFields: Any,
    name: Text,
    namespace: Text,
    ownerReferences: List(&Object(&OWNER_REFERENCE)),
    resourceVersion: Text,
    selfLink: Text,
    uid: Text,
} require name);

fields!(OWNER_REFERENCE {
    apiVersion: Text,
    blockOwnerDeletion: Boolean,
    controller: Boolean,
    kind: Text,
    name: Text,
    uid: Text,
} require apiVersion, kind, name);

fields!(INGRESS {
    apiVersion: Text,
    kind: Text,
    metadata: METADATA,
    spec: Object(&INGRESS_SPEC),
    status: Any,
} require metadata);

fields!(INGRESS_SPEC {
    defaultBackend: Object(&INGRESS_BACKEND),
    ingressClassName: Text,
    rules: List(&Object(&INGRESS_RULE)),
    tls: List(&Object(&INGRESS_TLS)),
});

fields!(INGRESS_TLS {
    hosts: TEXTS,
    secretName: Text
});

fields!(INGRESS_RULE {
    host: Text,
    http: Object(&HTTP_INGRESS_RULE_VALUE)
});

fields!(HTTP_INGRESS_RULE_VALUE { paths: List(&Object(&HTTP_INGRESS_PATH)) } require paths);

fields!(HTTP_INGRESS_PATH {
    backend: Object(&INGRESS_BACKEND),
    path: Text,
    pathType: OneOf(&["Exact", "Prefix", "ImplementationSpecific"]),
} require backend);

fields!(INGRESS_BACKEND {
    resource: Object(&TYPED_LOCAL_OBJECT_REFERENCE),
    service: Object(&INGRESS_SERVICE_BACKEND),
});

fields!(INGRESS_SERVICE_BACKEND { name: Text, port: Object(&SERVICE_BACKEND_PORT) } require name);

fields!(SERVICE_BACKEND_PORT {
    name: Text,
    number: Port
});

fields!(TYPED_LOCAL_OBJECT_REFERENCE { apiGroup: Text, kind: Text, name: Text } require kind, name);

fields!(INGRESS_CLASS {
    apiVersion: Text,
    kind: Text,
    metadata: METADATA,
    spec: Object(&INGRESS_CLASS_SPEC),
} require metadata);

fields!(INGRESS_CLASS_SPEC {
    controller: Text,
    parameters: Object(&INGRESS_CLASS_PARAMETERS)
});

fields!(INGRESS_CLASS_PARAMETERS {
    apiGroup: Text,
    kind: Text,
    name: Text,
    namespace: Text,
    scope: OneOf(&["Cluster", "Namespace"]),
} require kind, name);

fields!(SERVICE {
    apiVersion: Text,
    kind: Text,
    metadata: METADATA,
    spec: Object(&SERVICE_SPEC),
    status: Object(&SERVICE_STATUS),
} require metadata);

fields!(SERVICE_SPEC {
    allocateLoadBalancerNodePorts: Boolean,
    clusterIP: Text,
    clusterIPs: TEXTS,
    externalIPs: TEXTS,
    externalName: Text,
    externalTrafficPolicy: Text,
    healthCheckNodePort: Integer,
    internalTrafficPolicy: Text,
    ipFamilies: TEXTS,
    ipFamilyPolicy: Text,
    loadBalancerClass: Text,
    loadBalancerIP: Text,
    loadBalancerSourceRanges: TEXTS,
    ports: List(&Object(&SERVICE_PORT)),
    publishNotReadyAddresses: Boolean,
    selector: TEXT_MAP,
    sessionAffinity: Text,
    sessionAffinityConfig: Any,
    topologyKeys: TEXTS,
    trafficDistribution: Text,
    type: OneOf(&["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
});

fields!(SERVICE_PORT {
    appProtocol: Text,
    name: Text,
    nodePort: Integer,
    port: Port,
    protocol: PROTOCOL,
    targetPort: PortOrName,
} require port);

fields!(SERVICE_STATUS {
    conditions: Any,
    loadBalancer: Object(&LOAD_BALANCER_STATUS)
});

fields!(LOAD_BALANCER_STATUS {
    ingress: List(&Object(&LOAD_BALANCER_INGRESS))
});

fields!(LOAD_BALANCER_INGRESS {
    hostname: Text,
    ip: Text,
    ipMode: Text,
    ports: Any
});

fields!(ENDPOINT_SLICE {
    addressType: OneOf(&["IPv4", "IPv6", "FQDN"]),
    apiVersion: Text,
    endpoints: List(&Object(&ENDPOINT)),
    kind: Text,
    metadata: METADATA,
    ports: List(&Object(&ENDPOINT_PORT)),
} require metadata, addressType);

fields!(ENDPOINT {
    addresses: TEXTS,
    conditions: Object(&ENDPOINT_CONDITIONS),
    deprecatedTopology: TEXT_MAP,
    hints: Any,
    hostname: Text,
    nodeName: Text,
    targetRef: Object(&OBJECT_REFERENCE),
    zone: Text,
} require addresses);

fields!(ENDPOINT_CONDITIONS {
    ready: Boolean,
    serving: Boolean,
    terminating: Boolean
});

fields!(OBJECT_REFERENCE {
    apiVersion: Text,
    fieldPath: Text,
    kind: Text,
    name: Text,
    namespace: Text,
    resourceVersion: Text,
    uid: Text,
});

fields!(ENDPOINT_PORT {
    appProtocol: Text,
    name: Text,
    port: Port,
    protocol: PROTOCOL
});

fields!(SECRET {
    apiVersion: Text,
    data: Map(&SecretBase64),
    immutable: Boolean,
    kind: Text,
    metadata: METADATA,
    stringData: Map(&SecretText),
    type: Text,
} require metadata);

fields!(CONFIG_MAP {
    apiVersion: Text,
    binaryData: Map(&SecretBase64),
    data: TEXT_MAP,
    immutable: Boolean,
    kind: Text,
    metadata: METADATA,
} require metadata);

fields!(WITH_SPEC {
    apiVersion: Text,
    kind: Text,
    metadata: METADATA,
    spec: Any,
    status: Any,
} require metadata);

fields!(PLUGIN {
    apiVersion: Text,
    config: Any,
    configFrom: Any,
    configPatches: Any,
    consumerRef: Text,
    disabled: Boolean,
    instance_name: Text,
    kind: Text,
    metadata: METADATA,
    ordering: Any,
    plugin: Text,
    protocols: TEXTS,
    run_on: OneOf(&["first", "second", "all"]),
    status: Any,
} require metadata, plugin);

fields!(CONSUMER {
    apiVersion: Text,
    consumerGroups: TEXTS,
    credentials: TEXTS,
    custom_id: Text,
    kind: Text,
    metadata: METADATA,
    spec: Any,
    status: Any,
    username: Text,
} require metadata);

fields!(LICENSE {
    apiVersion: Text,
    enabled: Boolean,
    kind: Text,
    metadata: METADATA,
    rawLicenseString: SecretText,
    status: Any,
} require metadata, rawLicenseString);

fields!(KONG_INGRESS {
    apiVersion: Text,
    kind: Text,
    metadata: METADATA,
    proxy: Any,
    route: Any,
    upstream: Any,
} require metadata);

fields!(PROXY_FLEET {
    apiVersion: Text,
    kind: Text,
    metadata: METADATA,
    spec: Object(&PROXY_FLEET_SPEC),
    status: Any,
} require metadata);

fields!(PROXY_FLEET_SPEC { paused: Boolean });
