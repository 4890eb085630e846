//! Core `v1`: ConfigMap and Namespace.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Metadata, null_default};

/// Settings, CA certificates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigMap {
    /// Metadata.
    pub metadata: Metadata,
    /// Values.
    #[serde(deserialize_with = "null_default")]
    pub data: BTreeMap<String, String>,
}

/// A namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Metadata.
    pub metadata: Metadata,
}
