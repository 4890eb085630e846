//! `discovery.k8s.io/v1`: EndpointSlice.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Metadata, null_default};

/// The label that names the Service of a slice.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Some of the addresses behind a Service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// Metadata.
    pub metadata: Metadata,
    /// `IPv4`, `IPv6` or `FQDN`.
    #[serde(deserialize_with = "null_default")]
    pub address_type: String,
    /// Ports, the same for all endpoints.
    #[serde(deserialize_with = "null_default")]
    pub ports: Vec<EndpointPort>,
    /// Endpoints.
    #[serde(deserialize_with = "null_default")]
    pub endpoints: Vec<EndpointSliceEndpoint>,
}

impl EndpointSlice {
    /// Name of the Service that it belongs to.
    pub fn service_name(&self) -> Option<&str> {
        self.metadata.labels.get(SERVICE_NAME_LABEL).map(String::as_str)
    }
}

/// A port of a slice.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointPort {
    /// Name of the Service port, empty when unset.
    #[serde(deserialize_with = "null_default")]
    pub name: String,
    /// Number; unset is "all ports".
    pub port: Option<u16>,
    /// `TCP`, `UDP`, `SCTP`; empty is `TCP`.
    #[serde(deserialize_with = "null_default")]
    pub protocol: String,
}

/// One endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSliceEndpoint {
    /// Addresses; the first one is used.
    #[serde(deserialize_with = "null_default")]
    pub addresses: Vec<Arc<str>>,
    /// State.
    #[serde(deserialize_with = "null_default")]
    pub conditions: EndpointConditions,
    /// What the endpoint is: a Pod, mostly.
    pub target_ref: Option<EndpointTargetRef>,
    /// Node of the pod.
    pub node_name: Option<Arc<str>>,
    /// Zone of the node.
    pub zone: Option<Arc<str>>,
    /// From where it should get requests, where the Service asks for closeness.
    #[serde(deserialize_with = "null_default")]
    pub hints: EndpointHints,
}

/// From where an endpoint should get requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointHints {
    /// Zones whose clients should use it; empty where nothing is said.
    #[serde(deserialize_with = "null_default")]
    pub for_zones: Vec<ForZone>,
}

/// A zone whose clients should use an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ForZone {
    /// Its name, as in the label `topology.kubernetes.io/zone` of nodes.
    #[serde(deserialize_with = "null_default")]
    pub name: Arc<str>,
}

/// State of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// Unset counts as ready.
    pub ready: Option<bool>,
    /// Unset counts as `ready`.
    pub serving: Option<bool>,
    /// Unset counts as false.
    pub terminating: Option<bool>,
}

/// The object behind an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointTargetRef {
    /// Kind, `Pod` mostly.
    #[serde(deserialize_with = "null_default")]
    pub kind: String,
    /// Namespace.
    #[serde(deserialize_with = "null_default")]
    pub namespace: Arc<str>,
    /// Name.
    #[serde(deserialize_with = "null_default")]
    pub name: Arc<str>,
    /// UID.
    #[serde(deserialize_with = "null_default")]
    pub uid: Arc<str>,
}
