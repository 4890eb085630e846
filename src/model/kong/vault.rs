//! `configuration.konghq.com/v1alpha1`: KongVault.

use serde::{Deserialize, Serialize};

use super::{ControlPlaneRef, JsonObject, null_default};
use crate::model::kubernetes::Metadata;

/// A store of secrets that configurations of plugins refer to by its prefix.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KongVault {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: KongVaultSpec,
}

/// Wanted state of a KongVault.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KongVaultSpec {
    /// Type of the store: `env`, `hcv`, ...
    pub backend: String,
    /// What references begin with: `{vault://prefix/key}`. One vault only may have it.
    pub prefix: String,
    /// For people.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<JsonObject>,
    /// Which control plane it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_ref: Option<ControlPlaneRef>,
    /// Tags.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}
