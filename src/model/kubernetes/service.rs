//! Core `v1`: Service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Metadata, null_default};

/// A named set of endpoints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: ServiceSpec,
    /// Addresses of its load balancer.
    #[serde(deserialize_with = "null_default")]
    pub status: ServiceStatus,
}

/// Wanted state of a Service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`; empty is `ClusterIP`.
    #[serde(rename = "type", deserialize_with = "null_default")]
    pub type_: String,
    /// Ports.
    #[serde(deserialize_with = "null_default")]
    pub ports: Vec<ServicePort>,
    /// Labels of the pods behind it; empty when its endpoints are listed by hand.
    #[serde(deserialize_with = "null_default")]
    pub selector: BTreeMap<String, String>,
    /// DNS name, with type `ExternalName`.
    #[serde(deserialize_with = "null_default")]
    pub external_name: String,
    /// Cluster addresses; `None` as text for a headless one.
    #[serde(rename = "clusterIPs", deserialize_with = "null_default")]
    pub cluster_ips: Vec<String>,
    /// Which endpoints clients should prefer: `PreferClose`, `PreferSameZone`, `PreferSameNode`; empty for any.
    #[serde(deserialize_with = "null_default")]
    pub traffic_distribution: String,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Name, empty when unset.
    #[serde(deserialize_with = "null_default")]
    pub name: String,
    /// Number.
    pub port: u16,
    /// Port of the pods, by number or name; unset is `port`.
    pub target_port: Option<IntOrString>,
    /// `TCP`, `UDP`, `SCTP`; empty is `TCP`.
    #[serde(deserialize_with = "null_default")]
    pub protocol: String,
    /// `kubernetes.io/ws` and the like.
    pub app_protocol: Option<String>,
}

/// A number or a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(u16),
    /// A name.
    String(String),
}

/// What is known of a Service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// Addresses of its load balancer.
    #[serde(deserialize_with = "null_default")]
    pub load_balancer: LoadBalancerStatus,
}

/// Addresses of a load balancer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    /// Addresses.
    #[serde(deserialize_with = "null_default")]
    pub ingress: Vec<LoadBalancerIngress>,
}

/// An address of a load balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerIngress {
    /// IP address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}
