//! `networking.k8s.io/v1`: Ingress and IngressClass.

use serde::{Deserialize, Serialize};

use super::{Metadata, null_default};

/// Routing rules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ingress {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: IngressSpec,
}

/// Wanted state of an Ingress.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    /// Class; the annotation `kubernetes.io/ingress.class` goes before it.
    pub ingress_class_name: Option<String>,
    /// Where requests go that no rule takes.
    pub default_backend: Option<IngressBackend>,
    /// TLS Secrets by host.
    #[serde(deserialize_with = "null_default")]
    pub tls: Vec<IngressTls>,
    /// Rules.
    #[serde(deserialize_with = "null_default")]
    pub rules: Vec<IngressRule>,
}

/// Rules of one host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressRule {
    /// Host name, maybe with a leading `*.`; empty is any.
    #[serde(deserialize_with = "null_default")]
    pub host: String,
    /// Paths.
    pub http: Option<HttpIngressRuleValue>,
}

/// Paths of one host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpIngressRuleValue {
    /// Paths.
    #[serde(deserialize_with = "null_default")]
    pub paths: Vec<HttpIngressPath>,
}

/// A path and its backend.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpIngressPath {
    /// The path; its meaning depends on the type.
    #[serde(deserialize_with = "null_default")]
    pub path: String,
    /// `None` is `ImplementationSpecific`.
    pub path_type: Option<PathType>,
    /// Where matching requests go.
    #[serde(deserialize_with = "null_default")]
    pub backend: IngressBackend,
}

/// How a path matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathType {
    /// The very path.
    Exact,
    /// Whole path elements from the front.
    Prefix,
    /// The controller's own rules: a prefix of characters, or a regular expression after a marker.
    ImplementationSpecific,
}

/// A Service, or an object of another kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressBackend {
    /// A Service of the same namespace.
    pub service: Option<IngressServiceBackend>,
    /// An object of another kind.
    pub resource: Option<TypedLocalObjectReference>,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressServiceBackend {
    /// Name of the Service.
    pub name: String,
    /// Its port.
    #[serde(deserialize_with = "null_default")]
    pub port: ServiceBackendPort,
}

/// A port by number or by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceBackendPort {
    /// Number, 0 when unset.
    #[serde(deserialize_with = "null_default")]
    pub number: u16,
    /// Name, empty when unset.
    #[serde(deserialize_with = "null_default")]
    pub name: String,
}

/// An object of the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TypedLocalObjectReference {
    /// API group.
    #[serde(deserialize_with = "null_default")]
    pub api_group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// A TLS Secret and the hosts that it serves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// Host names.
    #[serde(deserialize_with = "null_default")]
    pub hosts: Vec<String>,
    /// Name of the Secret, empty when unset.
    #[serde(deserialize_with = "null_default")]
    pub secret_name: String,
}

/// Which controller serves an Ingress.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressClass {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: IngressClassSpec,
}

/// Wanted state of an IngressClass.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressClassSpec {
    /// Name of the controller.
    #[serde(deserialize_with = "null_default")]
    pub controller: String,
    /// An object with settings of the class.
    pub parameters: Option<IngressClassParametersReference>,
}

/// Where the settings of a class are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressClassParametersReference {
    /// API group.
    #[serde(deserialize_with = "null_default")]
    pub api_group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// `Namespace` or `Cluster`.
    #[serde(deserialize_with = "null_default")]
    pub scope: String,
    /// Namespace, with scope `Namespace`.
    #[serde(deserialize_with = "null_default")]
    pub namespace: String,
}
