//! Upstreams, targets, health checks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{Reference, null_is_empty};

/// A load balancer: a virtual host name and the targets behind it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The host name that services use.
    pub name: String,
    /// `round-robin`, `consistent-hashing`, `least-connections`, `latency`, `sticky-sessions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Size of the ring, 10 to 65536 (default 10000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Host header towards the targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_header: Option<String>,
    /// `none`, `consumer`, `ip`, `header`, `cookie`, `path`, `query_arg`, `uri_capture`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_on: Option<String>,
    /// With `hash_on: header`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_on_header: Option<String>,
    /// With `hash_on: cookie`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_on_cookie: Option<String>,
    /// Path of the cookie that is set (default `/`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_on_cookie_path: Option<String>,
    /// With `hash_on: query_arg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_on_query_arg: Option<String>,
    /// With `hash_on: uri_capture`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_on_uri_capture: Option<String>,
    /// What is hashed when `hash_on` gives nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_fallback: Option<String>,
    /// With `hash_fallback: header`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_fallback_header: Option<String>,
    /// With `hash_fallback: query_arg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_fallback_query_arg: Option<String>,
    /// With `hash_fallback: uri_capture`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_fallback_uri_capture: Option<String>,
    /// Cookie of sticky sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky_sessions_cookie: Option<String>,
    /// Path of that cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky_sessions_cookie_path: Option<String>,
    /// Certificate shown to the targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Reference>,
    /// Whether names resolve to SRV records with their own ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_srv_name: Option<bool>,
    /// Active and passive health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthchecks: Option<Healthchecks>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<i64>,
    /// Where requests go.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
}

/// One address behind an upstream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `address:port`, IPv6 in brackets.
    pub target: String,
    /// Share of the load, 0 to 65535 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The upstream, where the target is not nested in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Reference>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<f64>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<f64>,
}

/// Health checks of an upstream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Healthchecks {
    /// Probes that the proxy sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<ActiveHealthcheck>,
    /// Conclusions from ordinary traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive: Option<PassiveHealthcheck>,
    /// Percentage of healthy weight below which the upstream counts as down.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub threshold: Option<f64>,
}

/// Probes that the proxy sends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActiveHealthcheck {
    /// `http`, `https`, `tcp`, `grpc`, `grpcs`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Parallel probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Path asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_path: Option<String>,
    /// TLS server name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_sni: Option<String>,
    /// Whether the target's certificate is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_verify_certificate: Option<bool>,
    /// Headers sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, Vec<String>>>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub timeout: Option<f64>,
    /// What counts as good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<HealthyThresholds>,
    /// What counts as bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy: Option<UnhealthyThresholds>,
}

/// Conclusions from ordinary traffic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PassiveHealthcheck {
    /// `http`, `https`, `tcp`, `grpc`, `grpcs`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What counts as good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<HealthyThresholds>,
    /// What counts as bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy: Option<UnhealthyThresholds>,
}

/// When a target counts as healthy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthyThresholds {
    /// Status codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_statuses: Option<Vec<u16>>,
    /// Seconds between probes (active only; 0 = off).
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub interval: Option<f64>,
    /// How many successes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successes: Option<u32>,
}

/// When a target counts as unhealthy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnhealthyThresholds {
    /// Status codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_statuses: Option<Vec<u16>>,
    /// How many bad answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_failures: Option<u32>,
    /// How many failed connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_failures: Option<u32>,
    /// How many time-outs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<u32>,
    /// Seconds between probes (active only; 0 = off).
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub interval: Option<f64>,
}

/// A whole number without a fraction: `5`, as Kong Ingress Controller writes it, and not `5.0`.
fn number<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    /// Greater whole numbers are not exact in a float.
    const GREATEST: f64 = 9_007_199_254_740_992.0;
    match number {
        None => serializer.serialize_none(),
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and within the bounds")]
        Some(number) if number.fract() == 0.0 && number.abs() <= GREATEST => serializer.serialize_i64(*number as i64),
        Some(number) => serializer.serialize_f64(*number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_no_fraction() {
        let healthy = |interval| {
            let thresholds = HealthyThresholds {
                interval: Some(interval),
                ..HealthyThresholds::default()
            };
            serde_json::to_string(&thresholds).expect("it has string keys only")
        };
        assert_eq!(healthy(5.0), r#"{"interval":5}"#);
        assert_eq!(healthy(0.5), r#"{"interval":0.5}"#);
    }
}
