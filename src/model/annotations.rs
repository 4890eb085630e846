//! The annotations that are read, and the kinds of objects that they are read on (`kic.md` 3): one table, which names them
//! for all who read them, tells which stand on the wrong kind, and lists them in the documentation.

use super::Kind::{self, *};

/// An annotation.
#[derive(Debug)]
pub struct Annotation {
    /// Its full name. One that ends with a dot is the beginning of names, whose rest is the user's.
    pub name: &'static str,
    /// Kinds of objects that it is read on.
    pub kinds: &'static [Kind],
}

/// Where Kong's own annotations begin.
pub const PREFIX: &str = "konghq.com/";
/// Where those begin that are read on Ingresses and their Services besides.
pub const INGRESS_PREFIX: &str = "ingress.kubernetes.io/";

/// All routes.
pub const ROUTES: &[Kind] = &[
    Ingress, HTTPRoute, GRPCRoute, TCPRoute, UDPRoute, TLSRoute, TCPIngress, UDPIngress,
];
const HTTP_ROUTES: &[Kind] = &[Ingress, HTTPRoute, GRPCRoute];
const SERVICES: &[Kind] = &[Service, KongServiceFacade];

macro_rules! annotations {
    ($($(#[$doc:meta])* $constant:ident = $name:literal on $kinds:expr;)*) => {
        $($(#[$doc])* pub const $constant: &str = $name;)*

        /// All of them, Kong's first.
        pub const ANNOTATIONS: &[Annotation] = &[$(Annotation { name: $constant, kinds: $kinds }),*];
    };
}

annotations! {
    /// Names plugins that run for what the object stands for.
    PLUGINS = "konghq.com/plugins" on &[Ingress, HTTPRoute, GRPCRoute, TCPRoute, UDPRoute, TLSRoute, TCPIngress, UDPIngress, Service, KongServiceFacade, KongConsumer, KongConsumerGroup];
    /// Names a KongUpstreamPolicy.
    UPSTREAM_POLICY = "konghq.com/upstream-policy" on SERVICES;
    /// Names a KongIngress; deprecated.
    OVERRIDE = "konghq.com/override" on &[Service];
    /// What is spoken with the pods.
    PROTOCOL = "konghq.com/protocol" on SERVICES;
    /// Stands in front of the path of every request.
    PATH = "konghq.com/path" on SERVICES;
    /// `Host` of requests to the pods.
    HOST_HEADER = "konghq.com/host-header" on SERVICES;
    /// Names a TLS Secret of the same namespace, whose certificate is shown to the pods.
    CLIENT_CERT = "konghq.com/client-cert" on SERVICES;
    /// Whether certificates of the pods are verified.
    TLS_VERIFY = "konghq.com/tls-verify" on SERVICES;
    /// Longest chain of such a certificate.
    TLS_VERIFY_DEPTH = "konghq.com/tls-verify-depth" on SERVICES;
    /// Names Secrets with CA certificates, separated by commas.
    CA_CERTIFICATES_SECRETS = "konghq.com/ca-certificates-secrets" on SERVICES;
    /// Names ConfigMaps with CA certificates, separated by commas.
    CA_CERTIFICATES_CONFIG_MAPS = "konghq.com/ca-certificates-configmaps" on SERVICES;
    /// Milliseconds for connecting.
    CONNECT_TIMEOUT = "konghq.com/connect-timeout" on SERVICES;
    /// Milliseconds between two writes.
    WRITE_TIMEOUT = "konghq.com/write-timeout" on SERVICES;
    /// Milliseconds between two reads.
    READ_TIMEOUT = "konghq.com/read-timeout" on SERVICES;
    /// Attempts after the first one.
    RETRIES = "konghq.com/retries" on SERVICES;
    /// Whether the part of the path that matched is taken away.
    STRIP_PATH = "konghq.com/strip-path" on ROUTES;
    /// Whether the client's `Host` is kept.
    PRESERVE_HOST = "konghq.com/preserve-host" on ROUTES;
    /// Answer to plain HTTP where there is HTTPS only.
    HTTPS_REDIRECT_STATUS_CODE = "konghq.com/https-redirect-status-code" on ROUTES;
    /// Whether requests are read as a whole first.
    REQUEST_BUFFERING = "konghq.com/request-buffering" on ROUTES;
    /// Whether responses are read as a whole first.
    RESPONSE_BUFFERING = "konghq.com/response-buffering" on ROUTES;
    /// What the route is for.
    PROTOCOLS = "konghq.com/protocols" on ROUTES;
    /// Which regular expression is tried first.
    REGEX_PRIORITY = "konghq.com/regex-priority" on HTTP_ROUTES;
    /// How paths of service and request are joined.
    PATH_HANDLING = "konghq.com/path-handling" on HTTP_ROUTES;
    /// Matches these methods only.
    METHODS = "konghq.com/methods" on HTTP_ROUTES;
    /// Matches these TLS server names only.
    SNIS = "konghq.com/snis" on &[Ingress, HTTPRoute, GRPCRoute, TCPRoute, TLSRoute, TCPIngress];
    /// Hosts in addition.
    HOST_ALIASES = "konghq.com/host-aliases" on HTTP_ROUTES;
    /// Matches on a header, whose name follows.
    HEADERS = "konghq.com/headers." on HTTP_ROUTES;
    /// Stands between values of a header instead of the comma.
    HEADERS_SEPARATOR = "konghq.com/headers-separator" on HTTP_ROUTES;
    /// Marks paths that are regular expressions.
    REGEX_PREFIX = "konghq.com/regex-prefix" on &[Ingress];
    /// Path of requests to the pods.
    REWRITE = "konghq.com/rewrite" on &[Ingress];
    /// Tags of the entities that come from the object.
    TAGS = "konghq.com/tags" on &[Ingress, HTTPRoute, GRPCRoute, TCPRoute, UDPRoute, TLSRoute, TCPIngress, UDPIngress, Service, KongServiceFacade, KongConsumer, KongConsumerGroup, KongPlugin, KongClusterPlugin, KongVault, Secret, ConfigMap];
    /// Gateways of the class are served as they are.
    GATEWAYCLASS_UNMANAGED = "konghq.com/gatewayclass-unmanaged" on &[GatewayClass];
    /// Names the Services whose addresses are the Gateway's.
    PUBLISH_SERVICE = "konghq.com/publish-service" on &[Gateway];
    /// Names the class of an object; goes before `spec.ingressClassName`.
    INGRESS_CLASS = "kubernetes.io/ingress.class" on &[Ingress, TCPIngress, UDPIngress, KongConsumer, KongConsumerGroup, KongVault, KongClusterPlugin];
    /// Sends plain HTTP to HTTPS.
    FORCE_SSL_REDIRECT = "ingress.kubernetes.io/force-ssl-redirect" on HTTP_ROUTES;
    /// Sends requests to the Service's DNS name instead of its endpoints.
    SERVICE_UPSTREAM = "ingress.kubernetes.io/service-upstream" on &[Service];
    /// Marks the class of objects that name none.
    DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class" on &[IngressClass];
    /// Asks for endpoints nearby, unless `Disabled`. Newer Services have `spec.trafficDistribution` instead.
    TOPOLOGY_MODE = "service.kubernetes.io/topology-mode" on &[Service];
    /// The former name of the same.
    TOPOLOGY_AWARE_HINTS = "service.kubernetes.io/topology-aware-hints" on &[Service];
}

/// The annotation of that name, if it is read on any kind.
pub fn find(name: &str) -> Option<&'static Annotation> {
    let is_meant = |annotation: &&Annotation| match annotation.name.ends_with('.') {
        true => name.starts_with(annotation.name),
        false => name == annotation.name,
    };
    ANNOTATIONS.iter().find(is_meant)
}
