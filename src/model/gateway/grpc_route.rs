//! GRPCRoute.

use serde::{Deserialize, Serialize};

use super::{HttpBackendRef, HttpNameMatch, HttpRouteFilter, ParentReference, RouteStatus, null_default};
use crate::model::{kong::JsonObject, kubernetes::Metadata};

/// Where gRPC calls go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GRPCRoute {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: GrpcRouteSpec,
    /// What controllers say of it.
    #[serde(deserialize_with = "null_default")]
    pub status: RouteStatus,
}

/// Wanted state of a GRPCRoute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRouteSpec {
    /// Parents.
    #[serde(deserialize_with = "null_default")]
    pub parent_refs: Vec<ParentReference>,
    /// Host names; empty for those of the listeners.
    #[serde(deserialize_with = "null_default")]
    pub hostnames: Vec<String>,
    /// Rules.
    #[serde(deserialize_with = "null_default")]
    pub rules: Vec<GrpcRouteRule>,
}

/// What calls match, what happens to them, and where they go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRouteRule {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One of these must hold.
    #[serde(deserialize_with = "null_default")]
    pub matches: Vec<GrpcRouteMatch>,
    /// What happens to calls and answers; types and fields are those of HTTPRoute.
    #[serde(deserialize_with = "null_default")]
    pub filters: Vec<HttpRouteFilter>,
    /// Where they go.
    #[serde(deserialize_with = "null_default")]
    pub backend_refs: Vec<HttpBackendRef>,
    /// How calls of one client stay with one pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<JsonObject>,
}

/// What a call must be like; all of it must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrpcRouteMatch {
    /// Service and method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<GrpcMethodMatch>,
    /// Headers.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HttpNameMatch>,
}

/// What service and method must be like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrpcMethodMatch {
    /// `Exact` (also when unset), `RegularExpression`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Service; unset is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Method; unset is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}
