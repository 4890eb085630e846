//! Plugins.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{JsonObject, Reference};

/// A policy, attached to what it refers to; global without references.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Type, for example `rate-limiting`.
    pub name: String,
    /// Tells apart several plugins of one type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_name: Option<String>,
    /// Settings by the type's own schema. May hold secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Arc<JsonObject>>,
    /// Whether it acts (default true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Protocols on which it acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<String>>,
    /// Order relative to other plugins (Enterprise).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordering: Option<PluginOrdering>,
    /// Acts on this service only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Reference>,
    /// Acts on this route only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Reference>,
    /// Acts for this consumer only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<Reference>,
    /// Acts for this group only (Enterprise).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_group: Option<Reference>,
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

/// Order of a plugin relative to others: phase to plugin types.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginOrdering {
    /// Runs before these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BTreeMap<String, Vec<String>>>,
    /// Runs after these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<BTreeMap<String, Vec<String>>>,
}
