//! The kinds that are read, and an object of any of them.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::{NamespacedName, ObjectRef, gateway::*, kong::*, kubernetes::*};

/// Hands the list of all kinds to a macro: name, map in the snapshot, group, versions (the first is the one that Kong
/// Ingress Controller reads and tags with), resource, scope, whether a cluster may lack it.
macro_rules! for_each_kind {
    ($callback:ident) => {
        $callback! {
            /// Routing rules.
            Ingress, ingresses: "networking.k8s.io", ["v1"], "ingresses", Namespaced, Required;
            /// Which controller serves an Ingress.
            IngressClass, ingress_classes: "networking.k8s.io", ["v1"], "ingressclasses", Cluster, Required;
            /// Backends.
            Service, services: "", ["v1"], "services", Namespaced, Required;
            /// Addresses behind Services.
            EndpointSlice, endpoint_slices: "discovery.k8s.io", ["v1"], "endpointslices", Namespaced, Required;
            /// Certificates, keys, credentials.
            Secret, secrets: "", ["v1"], "secrets", Namespaced, Required;
            /// CA certificates.
            ConfigMap, config_maps: "", ["v1"], "configmaps", Namespaced, Required;
            /// Namespaces, whose labels listeners select by.
            Namespace, namespaces: "", ["v1"], "namespaces", Cluster, Required;
            /// Whether changes go to the proxies.
            ProxyFleet, proxy_fleets: "gateway.silverback.dev", ["v1alpha1"], "proxyfleets", Namespaced, Optional;
            /// Settings of a class.
            IngressClassParameters, ingress_class_parameters: "configuration.konghq.com", ["v1alpha1"], "ingressclassparameterses", Namespaced, Optional;
            /// Plugins.
            KongPlugin, plugins: "configuration.konghq.com", ["v1"], "kongplugins", Namespaced, Optional;
            /// Plugins for all namespaces.
            KongClusterPlugin, cluster_plugins: "configuration.konghq.com", ["v1"], "kongclusterplugins", Cluster, Optional;
            /// Consumers.
            KongConsumer, consumers: "configuration.konghq.com", ["v1"], "kongconsumers", Namespaced, Optional;
            /// Groups of consumers.
            KongConsumerGroup, consumer_groups: "configuration.konghq.com", ["v1beta1"], "kongconsumergroups", Namespaced, Optional;
            /// Balancing and health checks.
            KongUpstreamPolicy, upstream_policies: "configuration.konghq.com", ["v1beta1"], "kongupstreampolicies", Namespaced, Optional;
            /// Stores of secrets.
            KongVault, vaults: "configuration.konghq.com", ["v1alpha1"], "kongvaults", Cluster, Optional;
            /// Licences.
            KongLicense, licenses: "configuration.konghq.com", ["v1alpha1"], "konglicenses", Cluster, Optional;
            /// Entities of plugins.
            KongCustomEntity, custom_entities: "configuration.konghq.com", ["v1alpha1"], "kongcustomentities", Namespaced, Optional;
            /// Settings of upstreams, deprecated.
            KongIngress, kong_ingresses: "configuration.konghq.com", ["v1"], "kongingresses", Namespaced, Optional;
            /// TCP rules, deprecated.
            TCPIngress, tcp_ingresses: "configuration.konghq.com", ["v1beta1"], "tcpingresses", Namespaced, Optional;
            /// UDP rules, deprecated.
            UDPIngress, udp_ingresses: "configuration.konghq.com", ["v1beta1"], "udpingresses", Namespaced, Optional;
            /// Second faces of Services.
            KongServiceFacade, service_facades: "incubator.ingress-controller.konghq.com", ["v1alpha1"], "kongservicefacades", Namespaced, Optional;
            /// Which controller serves a Gateway.
            GatewayClass, gateway_classes: "gateway.networking.k8s.io", ["v1", "v1beta1"], "gatewayclasses", Cluster, Optional;
            /// Listeners.
            Gateway, gateways: "gateway.networking.k8s.io", ["v1", "v1beta1"], "gateways", Namespaced, Optional;
            /// HTTP routes.
            HTTPRoute, http_routes: "gateway.networking.k8s.io", ["v1", "v1beta1"], "httproutes", Namespaced, Optional;
            /// gRPC routes.
            GRPCRoute, grpc_routes: "gateway.networking.k8s.io", ["v1", "v1alpha2"], "grpcroutes", Namespaced, Optional;
            /// TCP routes.
            TCPRoute, tcp_routes: "gateway.networking.k8s.io", ["v1alpha2", "v1"], "tcproutes", Namespaced, Optional;
            /// UDP routes.
            UDPRoute, udp_routes: "gateway.networking.k8s.io", ["v1alpha2", "v1"], "udproutes", Namespaced, Optional;
            /// TLS routes.
            TLSRoute, tls_routes: "gateway.networking.k8s.io", ["v1alpha2", "v1alpha3", "v1"], "tlsroutes", Namespaced, Optional;
            /// Permissions to refer across namespaces.
            ReferenceGrant, reference_grants: "gateway.networking.k8s.io", ["v1beta1", "v1", "v1alpha2"], "referencegrants", Namespaced, Optional;
            /// TLS to backends.
            BackendTLSPolicy, backend_tls_policies: "gateway.networking.k8s.io", ["v1alpha3", "v1"], "backendtlspolicies", Namespaced, Optional;
        }
    };
}
pub(super) use for_each_kind;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident, $field:ident: $group:literal, [$version:literal $(, $further:literal)*], $plural:literal, $scope:ident, $need:ident;)*) => {
        /// A kind that silverback reads.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind { $($(#[$doc])* $name),* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// API group, empty for the core group.
            pub fn group(self) -> &'static str {
                match self { $(Self::$name => $group),* }
            }

            /// API version: the one that objects are tagged with, as Kong Ingress Controller's are.
            pub fn version(self) -> &'static str {
                match self { $(Self::$name => $version),* }
            }

            /// All API versions in which objects can be read; their fields are the same as far as they are used here.
            pub fn versions(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$version $(, $further)*]),* }
            }

            /// Whether a cluster may lack it: it comes with a custom resource definition.
            pub fn is_optional(self) -> bool {
                match self { $(Self::$name => kinds!(@need $need)),* }
            }

            /// The kind's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// The kind of that name; no two have the same.
            fn named(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }

            /// Resource name in URLs.
            pub fn plural(self) -> &'static str {
                match self { $(Self::$name => $plural),* }
            }

            /// Whether objects live in namespaces.
            pub fn is_namespaced(self) -> bool {
                match self { $(Self::$name => kinds!(@scope $scope)),* }
            }
        }

        /// An object of any kind; cheap to clone.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Object { $($(#[$doc])* $name(Arc<$name>)),* }

        impl Object {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$name(_) => Kind::$name),* }
            }

            /// Its metadata.
            pub fn metadata(&self) -> &Metadata {
                match self { $(Self::$name(object) => &object.metadata),* }
            }

            /// Its metadata, to be changed; the object is copied first if it is shared.
            pub fn metadata_mut(&mut self) -> &mut Metadata {
                match self { $(Self::$name(object) => &mut Arc::make_mut(object).metadata),* }
            }

            /// Reads an object of that kind from JSON.
            ///
            /// # Errors
            /// What serde says of the first field that does not fit.
            pub fn from_json(kind: Kind, value: serde_json::Value) -> Result<Self, serde_json::Error> {
                match kind { $(Kind::$name => serde_json::from_value(value).map(|object| Self::$name(Arc::new(object)))),* }
            }

            /// The object as JSON, as far as it is used here; a Secret without its values.
            ///
            /// # Errors
            /// A map with keys that are no texts: no kind has any.
            pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self { $(Self::$name(object) => serde_json::to_value(&**object)),* }
            }
        }
    };
    (@scope Namespaced) => { true };
    (@scope Cluster) => { false };
    (@need Required) => { false };
    (@need Optional) => { true };
}

for_each_kind!(kinds);

impl Kind {
    /// The kind of that group and name, whatever the version.
    pub fn find(group: &str, name: &str) -> Option<Self> {
        Self::named(name).filter(|kind| kind.group() == group)
    }

    /// Whether statuses of its objects say which generation they speak of.
    pub fn has_conditions(self) -> bool {
        match self {
            Self::KongPlugin
            | Self::KongClusterPlugin
            | Self::KongConsumer
            | Self::KongConsumerGroup
            | Self::KongUpstreamPolicy
            | Self::KongVault
            | Self::KongLicense
            | Self::KongCustomEntity
            | Self::KongServiceFacade
            | Self::GatewayClass
            | Self::Gateway
            | Self::HTTPRoute
            | Self::GRPCRoute
            | Self::TCPRoute
            | Self::UDPRoute
            | Self::TLSRoute
            | Self::BackendTLSPolicy => true,
            Self::Ingress
            | Self::IngressClass
            | Self::Service
            | Self::EndpointSlice
            | Self::Secret
            | Self::ConfigMap
            | Self::Namespace
            | Self::IngressClassParameters
            | Self::KongIngress
            | Self::TCPIngress
            | Self::UDPIngress
            | Self::ReferenceGrant
            | Self::ProxyFleet => false,
        }
    }

    /// `group/version`, or the version alone in the core group.
    pub fn api_version(self) -> String {
        if self.group().is_empty() {
            self.version().to_owned()
        } else {
            format!("{}/{}", self.group(), self.version())
        }
    }

    /// A reference to an object of this kind.
    pub fn object_ref(self, metadata: &Metadata) -> ObjectRef {
        // There may be tens of thousands: they share the words.
        static WORDS: LazyLock<Vec<[Arc<str>; 3]>> = LazyLock::new(|| {
            let words = |kind: &Kind| [kind.group(), kind.version(), kind.name()].map(Into::into);
            Kind::ALL.iter().map(words).collect()
        });
        let [group, version, kind] = WORDS[self as usize].clone();
        ObjectRef {
            group,
            version,
            kind,
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
        }
    }
}

impl Object {
    /// Namespace and name.
    pub fn key(&self) -> NamespacedName {
        self.metadata().key()
    }

    /// Its full identity.
    pub fn object_ref(&self) -> ObjectRef {
        self.kind().object_ref(self.metadata())
    }
}
