//! Certificates, server names, authorities.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Reference, null_is_empty};

/// A certificate chain with its key.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// PEM, leaf first.
    pub cert: String,
    /// PEM. Secret.
    pub key: String,
    /// A second chain, of another key type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_alt: Option<String>,
    /// Key of `cert_alt`. Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_alt: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<i64>,
    /// Server names that get this certificate.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub snis: Vec<Sni>,
}

/// A TLS server name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sni {
    /// UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Host name; a `*` may stand leftmost or rightmost, or alone for the default.
    pub name: String,
    /// The certificate. Kong up to 3.9 wants it in nested entries too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Reference>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<i64>,
}

/// A trusted authority.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaCertificate {
    /// UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// PEM, one certificate.
    pub cert: String,
    /// SHA-256 of the certificate; Kong fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_digest: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<i64>,
}
