//! `configuration.konghq.com/v1`: KongPlugin and KongClusterPlugin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{JsonObject, ValueFrom, null_default};
use crate::model::kubernetes::Metadata;

/// A plugin's configuration, attached by annotations of its namespace's objects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KongPlugin {
    /// Metadata.
    pub metadata: Metadata,
    /// Fields, at the top level of the object.
    #[serde(flatten)]
    pub plugin: PluginFields,
}

/// A plugin's configuration for all namespaces; with the label `global: "true"` for all requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KongClusterPlugin {
    /// Metadata.
    pub metadata: Metadata,
    /// Fields, at the top level of the object.
    #[serde(flatten)]
    pub plugin: PluginFields,
}

/// What KongPlugin and KongClusterPlugin have in common. The names are Kong's: snake case beside camel case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginFields {
    /// Type of the plugin: `key-auth`, `rate-limiting`, ...
    #[serde(deserialize_with = "null_default")]
    pub plugin: String,
    /// Configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<JsonObject>,
    /// The whole configuration from a Secret; excludes `config`.
    #[serde(rename = "configFrom", skip_serializing_if = "Option::is_none")]
    pub config_from: Option<ValueFrom>,
    /// Parts of the configuration from Secrets; excludes `configFrom`.
    #[serde(
        rename = "configPatches",
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub config_patches: Vec<ConfigPatch>,
    /// Whether the plugin is switched off.
    #[serde(deserialize_with = "null_default")]
    pub disabled: bool,
    /// Protocols of the requests that it applies to.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<String>,
    /// When it runs, against other plugins (Kong Gateway Enterprise).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering: Option<PluginOrdering>,
    /// A name of its own in Kong; gets a suffix for each attachment.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub instance_name: String,
    /// Which of several hops runs it; ignored by Kong today.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub run_on: String,
    /// Ignored: plugins reach consumers by annotation.
    #[serde(
        rename = "consumerRef",
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub consumer_ref: String,
}

/// A value that is put into a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigPatch {
    /// JSON pointer (RFC 6901) into the configuration; empty for the whole of it.
    pub path: String,
    /// Where the value, as JSON text, comes from.
    pub value_from: ValueFrom,
}

/// Before and after which plugins one runs, by phase.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginOrdering {
    /// Phase to plugins.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub before: BTreeMap<String, Vec<String>>,
    /// Phase to plugins.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub after: BTreeMap<String, Vec<String>>,
}
