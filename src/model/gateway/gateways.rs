//! GatewayClass and Gateway.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Condition, null_default};
use crate::model::{kong::JsonObject, kubernetes::Metadata};

/// Which controller serves Gateways.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayClass {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: GatewayClassSpec,
}

/// Wanted state of a GatewayClass.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayClassSpec {
    /// Name of the controller.
    #[serde(deserialize_with = "null_default")]
    pub controller_name: String,
}

/// Listeners that routes attach to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gateway {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: GatewaySpec,
    /// What is known of it.
    #[serde(deserialize_with = "null_default")]
    pub status: GatewayStatus,
}

/// Wanted state of a Gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewaySpec {
    /// Its class.
    #[serde(deserialize_with = "null_default")]
    pub gateway_class_name: String,
    /// Listeners.
    #[serde(deserialize_with = "null_default")]
    pub listeners: Vec<Listener>,
    /// Addresses.
    #[serde(deserialize_with = "null_default")]
    pub addresses: Vec<GatewayAddress>,
    /// TLS of all listeners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<GatewayTls>,
}

impl GatewaySpec {
    /// The certificates that its listeners name.
    pub fn certificate_refs(&self) -> impl Iterator<Item = &SecretObjectReference> {
        let tls = self.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        tls.flat_map(|tls| &tls.certificate_refs)
    }
}

/// TLS of all listeners of a Gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayTls {
    /// Towards clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontend: Option<FrontendTls>,
    /// Towards backends: with which certificate. Proxies have one for each Service instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<JsonObject>,
}

/// TLS towards clients.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FrontendTls {
    /// On all ports but those below.
    #[serde(deserialize_with = "null_default")]
    pub default: FrontendTlsConfig,
    /// On single ports.
    #[serde(deserialize_with = "null_default")]
    pub per_port: Vec<FrontendTlsOfPort>,
}

/// TLS towards clients on one port.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FrontendTlsOfPort {
    /// Port.
    pub port: u16,
    /// What holds there.
    #[serde(deserialize_with = "null_default")]
    pub tls: FrontendTlsConfig,
}

/// What holds for clients that speak TLS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FrontendTlsConfig {
    /// How their certificates are verified; unset asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<FrontendTlsValidation>,
}

/// How certificates of clients are verified. By which authorities does not matter: proxies can't ask for them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FrontendTlsValidation {
    /// `AllowValidOnly` (also when unset) or `AllowInsecureFallback`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// A port, with what may attach to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Listener {
    /// Name.
    pub name: String,
    /// Host name, maybe with a leading `*.`; unset or empty is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Port.
    pub port: u16,
    /// `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP`.
    pub protocol: String,
    /// TLS, with the protocols that have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Which routes may attach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_routes: Option<AllowedRoutes>,
}

/// TLS of a listener.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerTls {
    /// `Terminate` (also when unset) or `Passthrough`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Secrets with certificates.
    #[serde(deserialize_with = "null_default")]
    pub certificate_refs: Vec<SecretObjectReference>,
    /// How certificates of clients are verified, in definitions before 1.4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontend_validation: Option<FrontendTlsValidation>,
}

/// A Secret, maybe of another namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretObjectReference {
    /// API group; unset is the core group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind; unset is Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name.
    pub name: String,
    /// Namespace; unset is the referrer's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Which routes may attach.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllowedRoutes {
    /// Of which namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<RouteNamespaces>,
    /// Of which kinds; empty for all that fit the protocol.
    #[serde(deserialize_with = "null_default")]
    pub kinds: Vec<RouteGroupKind>,
}

/// Namespaces of routes that may attach.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteNamespaces {
    /// `Same` (also when unset), `All`, `Selector`, `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Labels of the namespaces, with `Selector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A selection by labels (`metav1.LabelSelector`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must be there with these values.
    #[serde(deserialize_with = "null_default")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(deserialize_with = "null_default")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A requirement on a label.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LabelSelectorRequirement {
    /// Label.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
    pub operator: String,
    /// Values, with the first two.
    #[serde(deserialize_with = "null_default")]
    pub values: Vec<String>,
}

/// A kind of routes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteGroupKind {
    /// API group; unset is the Gateway API's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind.
    pub kind: String,
}

/// An address of a Gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayAddress {
    /// `IPAddress` (also when unset), `Hostname`, or a name of a controller's own.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// The address.
    #[serde(deserialize_with = "null_default")]
    pub value: String,
}

/// What is known of a Gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayStatus {
    /// Its addresses.
    #[serde(deserialize_with = "null_default")]
    pub addresses: Vec<GatewayAddress>,
    /// Conditions.
    #[serde(deserialize_with = "null_default")]
    pub conditions: Vec<Condition>,
    /// Its listeners.
    #[serde(deserialize_with = "null_default")]
    pub listeners: Vec<ListenerStatus>,
}

/// What is known of a listener.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerStatus {
    /// Name.
    pub name: String,
    /// Kinds of routes that may attach.
    #[serde(deserialize_with = "null_default")]
    pub supported_kinds: Vec<RouteGroupKind>,
    /// How many routes are attached.
    pub attached_routes: i64,
    /// Conditions.
    #[serde(deserialize_with = "null_default")]
    pub conditions: Vec<Condition>,
}
