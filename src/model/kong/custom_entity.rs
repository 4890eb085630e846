//! `configuration.konghq.com/v1alpha1`: KongCustomEntity.

use serde::{Deserialize, Serialize};

use super::{JsonObject, null_default};
use crate::model::kubernetes::Metadata;

/// An entity of a type that plugins bring along.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KongCustomEntity {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: KongCustomEntitySpec,
}

/// Wanted state of a KongCustomEntity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KongCustomEntitySpec {
    /// Type, as Kong's list of such entities is called: `degraphql_routes`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The class that it belongs to.
    #[serde(deserialize_with = "null_default")]
    pub controller_name: String,
    /// Fields of the entity.
    #[serde(deserialize_with = "null_default")]
    pub fields: JsonObject,
    /// The plugin whose attachments its foreign fields are filled from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_ref: Option<EntityParentRef>,
}

/// A plugin that custom entities belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EntityParentRef {
    /// Group, unset for `configuration.konghq.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `KongPlugin` or `KongClusterPlugin`; unset for the former.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name.
    pub name: String,
    /// Namespace, unset for the entity's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
