//! `configuration.konghq.com/v1beta1`: KongUpstreamPolicy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::null_default;
use crate::model::kubernetes::Metadata;

/// How the load of a Service is balanced, and which pods count as healthy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KongUpstreamPolicy {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: KongUpstreamPolicySpec,
}

/// Wanted state of a KongUpstreamPolicy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KongUpstreamPolicySpec {
    /// `round-robin`, `consistent-hashing`, `least-connections`, `latency`, `sticky-sessions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Slots of the balancer's ring, 10 to 65536.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<i64>,
    /// What is hashed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_on: Option<UpstreamHash>,
    /// What is hashed where a request lacks the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_on_fallback: Option<UpstreamHash>,
    /// Health checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthchecks: Option<UpstreamHealthchecks>,
    /// Stickiness by a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky_sessions: Option<UpstreamStickySessions>,
}

/// The part of a request that is hashed; one of them is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpstreamHash {
    /// `ip`, `consumer`, `path`, `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Name of a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Name of a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// Path of the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie_path: Option<String>,
    /// Name of a query argument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_arg: Option<String>,
    /// Name of a capture group of the route's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri_capture: Option<String>,
}

/// How unhealthy pods are found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamHealthchecks {
    /// By requests of the proxy's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<UpstreamActiveHealthcheck>,
    /// By the answers to users' requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive: Option<UpstreamPassiveHealthcheck>,
    /// Share of healthy weight in percent below which the whole upstream counts as unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<i64>,
}

/// Health checks by requests of the proxy's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpstreamActiveHealthcheck {
    /// `http`, `https`, `tcp`, `grpc`, `grpcs`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// How many pods are asked at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<i64>,
    /// When a pod counts as healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<UpstreamHealthy>,
    /// When a pod counts as unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy: Option<UpstreamUnhealthy>,
    /// Path that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_path: Option<String>,
    /// Server name in TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https_sni: Option<String>,
    /// Whether the certificate is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https_verify_certificate: Option<bool>,
    /// Limit of a check in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Headers of the request.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
}

/// Health checks by the answers to users' requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamPassiveHealthcheck {
    /// `http`, `https`, `tcp`, `grpc`, `grpcs`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// When a pod counts as healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<UpstreamHealthy>,
    /// When a pod counts as unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy: Option<UpstreamUnhealthy>,
}

/// When a pod counts as healthy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpstreamHealthy {
    /// Status codes of good answers.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub http_statuses: Vec<i64>,
    /// Seconds between checks of healthy pods; active checks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// Good answers that make a pod healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successes: Option<i64>,
}

/// When a pod counts as unhealthy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpstreamUnhealthy {
    /// Bad answers that make a pod unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_failures: Option<i64>,
    /// Status codes of bad answers.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub http_statuses: Vec<i64>,
    /// Failed connections that make a pod unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_failures: Option<i64>,
    /// Time-outs that make a pod unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<i64>,
    /// Seconds between checks of unhealthy pods; active checks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
}

/// Stickiness by a cookie.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpstreamStickySessions {
    /// Name of the cookie.
    #[serde(deserialize_with = "null_default")]
    pub cookie: String,
    /// Path of the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie_path: Option<String>,
}
