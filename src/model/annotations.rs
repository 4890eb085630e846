//! Names of annotations that more than one part asks for. Those that only translation reads stand there.

/// Names the class of an object; goes before `spec.ingressClassName`.
pub const INGRESS_CLASS: &str = "kubernetes.io/ingress.class";
/// Marks the class of objects that name none.
pub const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";
/// Of a Service or KongServiceFacade: names a TLS Secret of its namespace.
pub const CLIENT_CERT: &str = "konghq.com/client-cert";
/// Of a Service or KongServiceFacade: names Secrets with CA certificates, separated by commas.
pub const CA_CERTIFICATES_SECRETS: &str = "konghq.com/ca-certificates-secrets";
/// Of a Service or KongServiceFacade: names ConfigMaps with CA certificates, separated by commas.
pub const CA_CERTIFICATES_CONFIG_MAPS: &str = "konghq.com/ca-certificates-configmaps";
