//! `configuration.konghq.com/v1alpha1`: KongLicense.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::null_default;
use crate::model::kubernetes::Metadata;

/// A licence of Kong Gateway Enterprise. The debug form does not show it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KongLicense {
    /// Metadata.
    pub metadata: Metadata,
    /// The licence: JSON text.
    #[serde(deserialize_with = "null_default")]
    pub raw_license_string: String,
    /// Whether it may be used.
    pub enabled: bool,
}

impl Default for KongLicense {
    fn default() -> Self {
        Self {
            metadata: Metadata::default(),
            raw_license_string: String::new(),
            enabled: true,
        }
    }
}

impl fmt::Debug for KongLicense {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KongLicense")
            .field("metadata", &self.metadata)
            .field("raw_license_string", &"(redacted)")
            .field("enabled", &self.enabled)
            .finish()
    }
}
