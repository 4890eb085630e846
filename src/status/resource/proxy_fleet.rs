//! `ProxyFleet`: all proxies behind one Admin Service.

#![allow(clippy::duplicated_attributes, reason = "columns of one table have types in common")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{StatusCondition, bound, condition::count};

/// What users may want of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gateway.silverback.dev",
    version = "v1alpha1",
    kind = "ProxyFleet",
    plural = "proxyfleets",
    singular = "proxyfleet",
    shortname = "pxf",
    category = "silverback",
    namespaced,
    status = "ProxyFleetStatus",
    derive = "PartialEq",
    doc = "All proxies behind one Admin Service: how many there are, and which configuration they shall run and run. \
           Made by silverback in its own namespace; users write spec.paused only.",
    printcolumn(
        name = "Synced",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Synced")].status"#,
        description = "Whether all proxies run what they shall",
    ),
    printcolumn(name = "Proxies", type_ = "integer", json_path = ".status.proxies.discovered"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.proxies.ready"),
    printcolumn(name = "In sync", type_ = "integer", json_path = ".status.proxies.synced"),
    printcolumn(
        name = "Paused",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Paused")].status"#,
        description = "Whether changes are held back",
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        priority = 1,
        json_path = r#".status.conditions[?(@.type=="Synced")].reason"#,
        description = "Why all proxies run what they shall, or not",
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyFleetSpec {
    /// Whether changes are held back: proxies keep what they run. The only field that users write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// What is known of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyFleetStatus {
    /// The Admin Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
    /// How many proxies there are; those that are going away count in nothing.
    pub proxies: ProxyCounts,
    /// The kinds of proxies in this fleet, each with a configuration of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = bound::PROFILES),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["profile"])
    )]
    pub profiles: Vec<ProfileStatus>,
    /// `Synced`, `Paused`, `SourceUnavailable`.
    #[schemars(
        length(max = bound::CONDITIONS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<StatusCondition>,
}

/// How many proxies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyCounts {
    /// Found in the EndpointSlices of the Admin Service.
    #[schemars(schema_with = "count")]
    pub discovered: u32,
    /// Serving a configuration that was accepted.
    #[schemars(schema_with = "count")]
    pub ready: u32,
    /// Running what they shall.
    #[schemars(schema_with = "count")]
    pub synced: u32,
}

/// Proxies that get the same configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileStatus {
    /// Router flavour, edition and version.
    #[schemars(length(max = bound::WORD))]
    pub profile: String,
    /// Hash of what they shall run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub desired_hash: Option<String>,
    /// Hash of what was accepted last, and is given to newcomers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub served_hash: Option<String>,
    /// How many of them.
    #[serde(default)]
    pub proxies: ProxyCounts,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReference {
    /// Namespace.
    #[schemars(length(max = bound::NAME))]
    pub namespace: String,
    /// Name.
    #[schemars(length(max = bound::NAME))]
    pub name: String,
}
