//! BackendTLSPolicy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LocalObjectReference, null_default};
use crate::model::kubernetes::Metadata;

/// How proxies speak TLS to a Service's pods.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackendTLSPolicy {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: BackendTlsPolicySpec,
}

/// Wanted state of a BackendTLSPolicy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendTlsPolicySpec {
    /// Services of the same namespace.
    #[serde(deserialize_with = "null_default")]
    pub target_refs: Vec<PolicyTargetReference>,
    /// How certificates are verified.
    #[serde(deserialize_with = "null_default")]
    pub validation: BackendTlsValidation,
    /// Settings of a controller's own.
    #[serde(deserialize_with = "null_default")]
    pub options: BTreeMap<String, String>,
}

/// An object that a policy is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyTargetReference {
    /// API group, empty for the core group.
    #[serde(deserialize_with = "null_default")]
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Name of a port; unset for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

/// How certificates of pods are verified.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendTlsValidation {
    /// ConfigMaps or Secrets of the same namespace with CA certificates.
    #[serde(rename = "caCertificateRefs", deserialize_with = "null_default")]
    pub ca_certificate_refs: Vec<LocalObjectReference>,
    /// `System`, in place of CA certificates.
    #[serde(rename = "wellKnownCACertificates", skip_serializing_if = "Option::is_none")]
    pub well_known_ca_certificates: Option<String>,
    /// Server name, and the name that the certificate must bear.
    #[serde(deserialize_with = "null_default")]
    pub hostname: String,
    /// Names of which the certificate must bear one, in place of the host name.
    #[serde(deserialize_with = "null_default")]
    pub subject_alt_names: Vec<SubjectAltName>,
}

/// A name in a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubjectAltName {
    /// `Hostname` or `URI`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Host name.
    #[serde(deserialize_with = "null_default")]
    pub hostname: String,
    /// URI.
    #[serde(deserialize_with = "null_default")]
    pub uri: String,
}
