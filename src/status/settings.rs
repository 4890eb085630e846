//! What is written, and how fast.

use std::sync::Arc;

use crate::model::NamespacedName;

/// Whose `ProxyInstance`s and conditions of Pods are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Those of all proxies behind the Admin Services.
    Fleet,
    /// That of the proxy in the controller's own Pod, by the Pod's name.
    Own(NamespacedName),
    /// None: each replica writes its own.
    None,
}

/// What is written to the cluster, and how fast.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The Service whose addresses go into the statuses of users' objects (`--publish-service`).
    pub publish_service: Option<NamespacedName>,
    /// Addresses in its place, IP addresses or host names (`--publish-status-address`).
    pub publish_addresses: Vec<String>,
    /// The Service whose addresses go into the statuses of UDPIngresses (`--publish-service-udp`); that of the others if
    /// there is neither this nor an address.
    pub publish_service_udp: Option<NamespacedName>,
    /// Addresses in its place (`--publish-status-address-udp`).
    pub publish_addresses_udp: Vec<String>,
    /// Name of the controller in statuses (`--gateway-api-controller-name`).
    pub controller_name: String,
    /// The class whose KongServiceFacades are told that nobody refers to them (`--ingress-class`); `None` while they are
    /// switched off.
    pub facade_class: Option<String>,
    /// The only Gateway that is ours (`--gateway-to-reconcile`); all of our classes when `None`.
    pub gateway_to_reconcile: Option<NamespacedName>,
    /// Whether the statuses of users' objects are written (`--update-status`).
    pub update_status: bool,
    /// Whether events are written (`--emit-kubernetes-events`).
    pub emit_events: bool,
    /// Writes a second, all kinds together (`--status-qps`); at least 1.
    pub qps: u32,
    /// Writes at once after a rest (`--status-burst`); at least 1.
    pub burst: u32,
    /// Whose `ProxyInstance`s are written.
    pub rows: Rows,
    /// The Admin Services: one `ProxyFleet` each.
    pub services: Vec<NamespacedName>,
    /// Namespaces whose objects are read; all when empty (`--watch-namespace`).
    pub watched_namespaces: Vec<String>,
    /// The controller's own namespace, where `ProxyFleet`s are.
    pub namespace: Arc<str>,
    /// Namespace and name of the Lease: says which controller wrote a status.
    pub lease: NamespacedName,
    /// The controller's own Pod, for events on it; none outside of a cluster.
    pub own_pod: Option<OwnPod>,
}

/// The Pod that this process runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPod {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// UID; asked of the API server when it is not known.
    pub uid: Option<Arc<str>>,
}

impl OwnPod {
    /// From `POD_NAMESPACE`, `POD_NAME` and, if it is set, `POD_UID` (downward API).
    pub fn from_environment() -> Option<Self> {
        let variable = |name: &str| {
            std::env::var(name)
                .ok()
                .filter(|value| !value.is_empty())
                .map(Arc::from)
        };
        Some(Self {
            namespace: variable("POD_NAMESPACE")?,
            name: variable("POD_NAME")?,
            uid: variable("POD_UID"),
        })
    }
}
