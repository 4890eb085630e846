//! `ProxyInstance`: the truth about one proxy.

#![allow(clippy::duplicated_attributes, reason = "columns of one table have types in common")]

use std::time::Duration;

use jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    StatusCondition, bound,
    condition::{count, date_time, optional_count, optional_date_time},
    proxy_fleet::ServiceReference,
};

/// Which proxy it is. Written by silverback only; a ProxyInstance goes with its Pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gateway.silverback.dev",
    version = "v1alpha1",
    kind = "ProxyInstance",
    plural = "proxyinstances",
    singular = "proxyinstance",
    shortname = "pxi",
    category = "silverback",
    namespaced,
    status = "ProxyInstanceStatus",
    derive = "PartialEq",
    doc = "One proxy: which configuration it runs, whether it is reachable over mutual TLS, and what is wrong with it. \
           Written by silverback only.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether it serves a configuration that was accepted",
    ),
    printcolumn(
        name = "Synced",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Synced")].status"#,
        description = "Whether it runs what it shall",
    ),
    printcolumn(
        name = "Config",
        type_ = "string",
        json_path = ".status.configuration.shortHash",
        description = "The configuration that it runs: the first 12 digits of its hash",
    ),
    printcolumn(
        name = "MTLS",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="MutualTLS")].status"#,
        description = "Whether both sides verified each other's certificate",
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.proxy.version"),
    printcolumn(
        name = "Errors",
        type_ = "integer",
        json_path = ".status.errorCount",
        description = "Errors with which it refused a configuration",
    ),
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.nodeName"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        priority = 1,
        json_path = r#".status.conditions[?(@.type=="Synced")].reason"#,
        description = "Why it runs what it shall, or not",
    ),
    printcolumn(name = "Profile", type_ = "string", priority = 1, json_path = ".spec.profile"),
    printcolumn(name = "Admin", type_ = "string", priority = 1, json_path = ".spec.adminUrl"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ProxyInstanceSpec {
    /// The Pod.
    pub pod_ref: PodReference,
    /// The node that the Pod runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bound::NAME))]
    pub node_name: Option<String>,
    /// Where its Admin API is.
    #[schemars(length(max = bound::LINE))]
    pub admin_url: String,
    /// The Admin Service that it was found through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
    /// What it can take (router flavour, edition, version), once that is known: proxies of one profile get the same
    /// configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bound::WORD))]
    pub profile: Option<String>,
}

/// A Pod of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodReference {
    /// Name.
    #[schemars(length(max = bound::NAME))]
    pub name: String,
    /// UID.
    #[schemars(length(max = bound::WORD))]
    pub uid: String,
}

/// What is known of a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyInstanceStatus {
    /// What it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ConfigurationStatus>,
    /// How its Admin API is secured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls: Option<MutualTlsStatus>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxySoftware>,
    /// Why it refused a configuration: the first few errors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bound::ERRORS))]
    pub errors: Vec<InstanceError>,
    /// How many errors there are.
    #[schemars(schema_with = "count")]
    pub error_count: u32,
    /// Who saw this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observer: Option<ObserverStatus>,
    /// `Reachable`, `MutualTLS`, `Synced`, `Complete`, `Ready`.
    #[schemars(
        length(max = bound::CONDITIONS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<StatusCondition>,
}

/// What a proxy runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigurationStatus {
    /// Hash of the configuration that it reports, 32 hexadecimal digits; zeros mean that it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub observed_hash: Option<String>,
    /// The first 12 digits of the hash of what it runs, the same for all proxies that run the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 12))]
    pub short_hash: Option<String>,
    /// `predicted` when the proxy reports what the bytes hash to; `learned` when it hashes otherwise, and is believed as
    /// to what it calls the configurations that it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bound::WORD))]
    pub hash_mode: Option<String>,
    /// When it accepted a configuration last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_date_time")]
    pub applied_at: Option<Timestamp>,
    /// Size of what it accepted last, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_count")]
    pub size_bytes: Option<i64>,
    /// How long it took to apply it, for example `85ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub apply_duration: Option<String>,
    /// Hash of the configuration that it accepted last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub last_good_hash: Option<String>,
    /// Whether nothing was left out of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// How many problems the controller found in the objects that it was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_count")]
    pub problems: Option<u32>,
}

/// The certificate that a proxy showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MutualTlsStatus {
    /// The name that was verified.
    #[schemars(length(max = bound::LINE))]
    pub server_name: String,
    /// Distinguished name of the issuer.
    #[schemars(length(max = bound::LINE))]
    pub issuer: String,
    /// SHA-256 of the certificate, hexadecimal.
    #[schemars(length(max = bound::WORD))]
    pub fingerprint: String,
    /// When it expires.
    #[schemars(schema_with = "date_time")]
    pub not_after: Timestamp,
}

/// What a proxy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxySoftware {
    /// Its version, as it says.
    #[schemars(length(max = bound::WORD))]
    pub version: String,
    /// `open_source`, `enterprise` or `embedded`.
    #[schemars(length(max = bound::WORD))]
    pub edition: String,
    /// `traditional`, `traditional_compatible` or `expressions`.
    #[schemars(length(max = bound::WORD))]
    pub router_flavor: String,
    /// When its process started, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_date_time")]
    pub started_at: Option<Timestamp>,
}

/// One reason why a proxy refused a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceError {
    /// The object that the entity at fault comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_ref: Option<ErrorObjectReference>,
    /// The entity at fault (`route`, `service`, …); empty when the whole configuration is meant.
    #[schemars(length(max = bound::WORD))]
    pub entity_type: String,
    /// The field, if the error is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bound::LINE))]
    pub field: Option<String>,
    /// What is wrong. Never holds a secret.
    #[schemars(length(max = bound::MESSAGE))]
    pub message: String,
    /// Since when.
    #[schemars(schema_with = "date_time")]
    pub since: Timestamp,
}

/// Any object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorObjectReference {
    /// API group, empty for the core group.
    #[schemars(length(max = bound::NAME))]
    pub group: String,
    /// Kind.
    #[schemars(length(max = bound::WORD))]
    pub kind: String,
    /// Namespace, empty for cluster-scoped objects.
    #[schemars(length(max = bound::NAME))]
    pub namespace: String,
    /// Name.
    #[schemars(length(max = bound::NAME))]
    pub name: String,
}

/// The controller that wrote a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObserverStatus {
    /// Namespace and name of its Lease.
    #[schemars(length(max = 512))]
    pub lease: String,
    /// UID and transitions of the Lease under which it led.
    #[schemars(length(max = bound::WORD))]
    pub epoch: String,
}

/// `85ms`, `1.25s`: as Kubernetes writes durations.
pub(crate) fn duration_text(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{}ms", duration.as_millis())
    } else {
        format!("{}s", duration.as_millis() as f64 / 1000.0)
    }
}
