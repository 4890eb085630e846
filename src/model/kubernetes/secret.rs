//! Core `v1`: Secret.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Metadata, null_default};

/// Keys, certificates, credentials. The debug form shows no values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    /// Metadata.
    pub metadata: Metadata,
    /// `kubernetes.io/tls` and the like.
    #[serde(rename = "type", deserialize_with = "null_default")]
    pub type_: String,
    /// Values, Base64 in the API.
    #[serde(deserialize_with = "null_default", skip_serializing)]
    pub data: BTreeMap<String, SecretValue>,
    /// Values as text: the API server merges them into `data`, manifests may have them.
    #[serde(deserialize_with = "null_default", skip_serializing)]
    pub string_data: BTreeMap<String, SecretText>,
}

impl Secret {
    /// The value under a key; `stringData` goes before `data`, as on the API server.
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        let text = self.string_data.get(key).map(|text| text.0.as_bytes());
        text.or_else(|| self.data.get(key).map(|value| value.0.as_slice()))
    }
}

/// Bytes that must not be shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretValue(pub Vec<u8>);

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(redacted)")
    }
}

impl<'de> Deserialize<'de> for SecretValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let compact: String = text.split_ascii_whitespace().collect();
        STANDARD
            .decode(compact)
            .map(Self)
            .map_err(|_| serde::de::Error::custom("not valid Base64"))
    }
}

/// Text that must not be shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretText(pub String);

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(redacted)")
    }
}
