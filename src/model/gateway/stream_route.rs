//! TCPRoute, UDPRoute and TLSRoute.

use serde::{Deserialize, Serialize};

use super::{BackendRef, ParentReference, RouteStatus, null_default};
use crate::model::kubernetes::Metadata;

/// Where TCP connections go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TCPRoute {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: StreamRouteSpec,
    /// What controllers say of it.
    #[serde(deserialize_with = "null_default")]
    pub status: RouteStatus,
}

/// Where UDP datagrams go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UDPRoute {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: StreamRouteSpec,
    /// What controllers say of it.
    #[serde(deserialize_with = "null_default")]
    pub status: RouteStatus,
}

/// Where TLS connections go, by server name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TLSRoute {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: StreamRouteSpec,
    /// What controllers say of it.
    #[serde(deserialize_with = "null_default")]
    pub status: RouteStatus,
}

/// Wanted state of a TCPRoute, UDPRoute or TLSRoute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamRouteSpec {
    /// Parents.
    #[serde(deserialize_with = "null_default")]
    pub parent_refs: Vec<ParentReference>,
    /// Server names; TLSRoute only.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Rules.
    #[serde(deserialize_with = "null_default")]
    pub rules: Vec<StreamRouteRule>,
}

/// Where connections go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamRouteRule {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Backends.
    #[serde(deserialize_with = "null_default")]
    pub backend_refs: Vec<BackendRef>,
}
