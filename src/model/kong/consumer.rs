//! `configuration.konghq.com`: KongConsumer (`v1`) and KongConsumerGroup (`v1beta1`).

use serde::{Deserialize, Serialize};

use super::{ControlPlaneRef, null_default};
use crate::model::kubernetes::Metadata;

/// Somebody who sends requests, with credentials.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KongConsumer {
    /// Metadata.
    pub metadata: Metadata,
    /// Name in Kong; this or `custom_id` must be there.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// ID in another system.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub custom_id: String,
    /// Names of Secrets of the same namespace, each with a label `konghq.com/credential`.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<String>,
    /// Names of KongConsumerGroups of the same namespace.
    #[serde(
        rename = "consumerGroups",
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub consumer_groups: Vec<String>,
    /// What Kong's operator reads.
    #[serde(deserialize_with = "null_default")]
    pub spec: KongConsumerSpec,
}

/// What Kong's operator reads of a KongConsumer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KongConsumerSpec {
    /// Which control plane it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_ref: Option<ControlPlaneRef>,
    /// Tags.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// A group of consumers, named in Kong after its object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KongConsumerGroup {
    /// Metadata.
    pub metadata: Metadata,
    /// What Kong's operator reads.
    #[serde(deserialize_with = "null_default")]
    pub spec: KongConsumerGroupSpec,
}

/// What Kong's operator reads of a KongConsumerGroup.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KongConsumerGroupSpec {
    /// Name, not used here.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Which control plane it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_ref: Option<ControlPlaneRef>,
    /// Tags.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}
