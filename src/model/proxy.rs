//! What identifies a proxy, and where it is.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::NamespacedName;

/// A proxy's identity: the UID of its pod; its Admin URL where there is no pod (`--proxy`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProxyId(pub Arc<str>);

impl fmt::Display for ProxyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The pod that a proxy runs in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PodRef {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// UID.
    pub uid: Arc<str>,
}

/// A proxy as discovery found it: who it is, and how to reach its Admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyTarget {
    /// Identity.
    pub id: ProxyId,
    /// Name in tables: the pod's, or `host:port`.
    pub name: Arc<str>,
    /// Namespace, empty without a cluster.
    pub namespace: Arc<str>,
    /// The pod, in a cluster.
    pub pod: Option<PodRef>,
    /// The node that the pod runs on.
    pub node: Option<Arc<str>>,
    /// Addresses of one and the same proxy (`https://10.0.0.1:8444`), IPv4 first: tried in this order.
    pub urls: Vec<Arc<str>>,
    /// The name that the proxy's certificate must bear; `None` takes it from the URL.
    pub server_name: Option<Arc<str>>,
    /// The Admin Service it was found through.
    pub service: Option<NamespacedName>,
    /// Whether its endpoint is terminating: it keeps getting changes, and counts in no total.
    pub terminating: bool,
}

/// The certificate that a proxy showed on its Admin API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerCertificate {
    /// Name that was verified.
    pub server_name: String,
    /// Distinguished name of the issuer.
    pub issuer: String,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
    /// Since when it is valid.
    pub not_before: Timestamp,
    /// Expiry.
    pub not_after: Timestamp,
}

/// The `ProxyFleet` of each Admin Service, with its Service: in the controller's namespace and named like the Service,
/// with the Service's namespace where two have the same name.
pub fn fleet_names(namespace: &str, services: &[NamespacedName]) -> Vec<(NamespacedName, NamespacedName)> {
    let named = services.iter().enumerate().map(|(index, service)| {
        let taken = services[..index].iter().any(|other| other.name == service.name);
        let name = match taken {
            true => format!("{}.{}", service.name, service.namespace).into(),
            false => service.name.clone(),
        };
        (NamespacedName::new(namespace, name), service.clone())
    });
    named.collect()
}
