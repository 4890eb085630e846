//! `configuration.konghq.com/v1`: KongIngress, deprecated in favour of annotations and KongUpstreamPolicy.

use serde::{Deserialize, Serialize};

use super::JsonObject;
use crate::model::kubernetes::{Metadata, null_default};

/// Settings of upstreams, named by the annotation `konghq.com/override` of a Service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KongIngress {
    /// Metadata.
    pub metadata: Metadata,
    /// Settings of the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<KongIngressUpstream>,
    /// Has no effect any more: annotations of Services stand in for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<JsonObject>,
    /// Has no effect any more: annotations of routes stand in for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<JsonObject>,
}

/// Settings of an upstream, under Kong's own names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KongIngressUpstream {
    /// Host header of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_header: Option<String>,
    /// `round-robin`, `consistent-hashing`, `least-connections`, `latency`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Slots of the balancer's ring, from 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<i64>,
    /// What is hashed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_on: Option<String>,
    /// Its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_on_header: Option<String>,
    /// Its cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_on_cookie: Option<String>,
    /// Path of the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_on_cookie_path: Option<String>,
    /// Its query argument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_on_query_arg: Option<String>,
    /// Its capture group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_on_uri_capture: Option<String>,
    /// What is hashed where a request lacks the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_fallback: Option<String>,
    /// Its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_fallback_header: Option<String>,
    /// Its query argument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_fallback_query_arg: Option<String>,
    /// Its capture group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_fallback_uri_capture: Option<String>,
    /// Health checks, as Kong's Admin API takes them.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "JsonObject::is_empty")]
    pub healthchecks: JsonObject,
}
