//! Which proxies exist: the endpoints of the Admin Services, or the addresses given by flag. Pure.
//!
//! Never looks at readiness: a proxy is not ready before it is configured (KIC does the same). Unlike KIC it keeps
//! terminating endpoints, flagged, since they serve until they are gone (DESIGN.md §3 rule 6). Called by the wiring for
//! every snapshot.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::IpAddr,
    sync::Arc,
};

use reqwest::Url;

use super::ProxyView;
use crate::model::{
    NamespacedName, Objects, PodRef, ProxyId, ProxyTarget, Snapshot, fleet_names,
    kubernetes::{EndpointSlice, EndpointSliceEndpoint},
};

/// A Service whose endpoints are the Admin APIs of proxies (`--kong-admin-svc`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminService {
    /// Namespace and name.
    pub name: NamespacedName,
    /// Whether each proxy has a certificate of its own, in the name of its pod's uid.
    pub has_identities: bool,
}

/// The name that the certificate bears which the proxies of an Admin Service share (KIC's, whatever
/// `--kong-admin-tls-server-name` says).
pub fn shared_server_name(service: &NamespacedName) -> String {
    format!("pod.{}.{}.svc", service.name, service.namespace)
}

/// The proxies behind the Admin Services, by namespace and name.
///
/// `port_names` are tried in the order given (`--kong-admin-svc-port-names`). All addresses of one pod are one proxy;
/// of several Services that have the same pod the first one counts.
pub fn discover(
    slices: &Objects<EndpointSlice>,
    services: &[AdminService],
    port_names: &[String],
) -> Vec<Arc<ProxyTarget>> {
    let mut found: BTreeMap<Arc<str>, Found> = BTreeMap::new();
    for (rank, service) in services.iter().enumerate() {
        for slice in slices.values().filter(|slice| belongs(slice, &service.name)) {
            let Some((preference, port)) = admin_port(slice, port_names) else {
                continue;
            };
            for endpoint in &slice.endpoints {
                if let Some(candidate) = Found::new(endpoint, service, rank, preference, port) {
                    match found.entry(candidate.pod.uid.clone()) {
                        Entry::Vacant(entry) => drop(entry.insert(candidate)),
                        Entry::Occupied(mut entry) => entry.get_mut().merge(candidate),
                    }
                }
            }
        }
    }
    let mut targets: Vec<Found> = found.into_values().collect();
    drop_reused_addresses(&mut targets);
    let mut targets: Vec<_> = targets
        .into_iter()
        .map(|found| Arc::new(found.into_target(services)))
        .collect();
    targets.sort_by(|a, b| (&a.namespace, &a.name, &a.id).cmp(&(&b.namespace, &b.name, &b.id)));
    targets
}

fn belongs(slice: &EndpointSlice, service: &NamespacedName) -> bool {
    slice.metadata.namespace == service.namespace && slice.service_name() == Some(&service.name)
}

/// The Service that the proxies of another one were found by, which has none of its own: both have the same pods, and the
/// other one counts.
pub fn counted_with<'a>(
    service: &NamespacedName,
    slices: &Objects<EndpointSlice>,
    proxies: &'a [Arc<ProxyView>],
) -> Option<&'a NamespacedName> {
    let of_service = slices.values().filter(|slice| belongs(slice, service));
    let endpoints = of_service.flat_map(|slice| &slice.endpoints);
    let mut pods = endpoints.filter_map(|endpoint| Some(&endpoint.target_ref.as_ref()?.uid));
    pods.find_map(|pod| {
        let proxy = proxies.iter().find(|proxy| proxy.target.id.0 == *pod)?;
        let other = proxy.target.service.as_ref();
        other.filter(|other| *other != service)
    })
}

/// The port of the most preferred name that the slice has, and that name's place.
fn admin_port(slice: &EndpointSlice, port_names: &[String]) -> Option<(usize, u16)> {
    port_names.iter().enumerate().find_map(|(preference, name)| {
        let port = slice
            .ports
            .iter()
            .find(|port| port.name == *name && matches!(port.protocol.as_str(), "" | "TCP"))?;
        Some((preference, port.port?))
    })
}

/// A pod on its way to a [`ProxyTarget`].
struct Found {
    pod: PodRef,
    node: Option<Arc<str>>,
    service: usize,
    preference: usize,
    /// Addresses with the port; IPv4 sorts before IPv6.
    addresses: Vec<(IpAddr, u16)>,
    terminating: bool,
}

impl Found {
    fn new(
        endpoint: &EndpointSliceEndpoint,
        service: &AdminService,
        rank: usize,
        preference: usize,
        port: u16,
    ) -> Option<Self> {
        let target = endpoint.target_ref.as_ref()?;
        if target.kind != "Pod" || target.uid.is_empty() {
            return None;
        }
        let address = endpoint.addresses.first()?.parse().ok()?;
        let namespace = if target.namespace.is_empty() {
            &service.name.namespace
        } else {
            &target.namespace
        };
        Some(Self {
            pod: PodRef {
                namespace: namespace.clone(),
                name: target.name.clone(),
                uid: target.uid.clone(),
            },
            node: endpoint.node_name.clone(),
            service: rank,
            preference,
            addresses: vec![(address, port)],
            terminating: endpoint.conditions.terminating.unwrap_or(false),
        })
    }

    fn merge(&mut self, other: Self) {
        // A pod does not come back from terminating: a slice that does not say so yet is behind.
        self.terminating |= other.terminating;
        match (other.service, other.preference).cmp(&(self.service, self.preference)) {
            std::cmp::Ordering::Less => {
                self.service = other.service;
                self.preference = other.preference;
                self.addresses = other.addresses;
            }
            std::cmp::Ordering::Equal => {
                for address in other.addresses {
                    if !self.addresses.contains(&address) {
                        self.addresses.push(address);
                    }
                }
            }
            std::cmp::Ordering::Greater => {}
        }
        if self.node.is_none() {
            self.node = other.node;
        }
    }

    fn into_target(mut self, services: &[AdminService]) -> ProxyTarget {
        let service = &services[self.service];
        self.addresses.sort();
        let url = |(address, port): &(IpAddr, u16)| match address {
            IpAddr::V4(address) => format!("https://{address}:{port}").into(),
            IpAddr::V6(address) => format!("https://[{address}]:{port}").into(),
        };
        ProxyTarget {
            id: ProxyId(self.pod.uid.clone()),
            name: self.pod.name.clone(),
            namespace: self.pod.namespace.clone(),
            node: self.node,
            urls: self.addresses.iter().map(url).collect(),
            server_name: Some(match service.has_identities {
                true => self.pod.uid.clone(),
                false => shared_server_name(&service.name).into(),
            }),
            service: Some(service.name.clone()),
            terminating: self.terminating,
            pod: Some(self.pod),
        }
    }
}

/// An address that two pods claim has been given to the newer one already: a slice is behind. Two identities of one
/// proxy would mean two pushes at once, so it is left to the pod that is not terminating, else to the first.
fn drop_reused_addresses(targets: &mut Vec<Found>) {
    targets.sort_by_key(|found| found.terminating);
    let mut taken = std::collections::HashSet::new();
    for found in targets.iter_mut() {
        found.addresses.retain(|address| taken.insert(*address));
    }
    targets.retain(|found| !found.addresses.is_empty());
}

/// An address given by `--proxy` or `--kong-admin-url` can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid Admin API address {url:?}: {problem}")]
pub struct InvalidAddress {
    url: String,
    problem: String,
}

/// The proxies at given addresses; the same address twice is one proxy.
///
/// `server_name` is `--kong-admin-tls-server-name`; without it a certificate must bear the host of the address.
///
/// # Errors
/// The first address that is no plain `http://` or `https://` URL with a host.
pub fn static_targets(urls: &[String], server_name: Option<&str>) -> Result<Vec<Arc<ProxyTarget>>, InvalidAddress> {
    let mut targets: Vec<Arc<ProxyTarget>> = Vec::new();
    for text in urls {
        let target = static_target(text, server_name)?;
        if !targets.iter().any(|known| known.id == target.id) {
            targets.push(Arc::new(target));
        }
    }
    Ok(targets)
}

fn static_target(text: &str, server_name: Option<&str>) -> Result<ProxyTarget, InvalidAddress> {
    let url = Url::parse(text).map_err(|error| InvalidAddress {
        url: text.to_owned(),
        problem: error.to_string(),
    })?;
    let invalid = |problem: &str| InvalidAddress {
        // A password may stand in it.
        url: format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
        problem: problem.to_owned(),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("the scheme must be http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("no user or password may stand in it; use --kong-admin-token"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("no query or fragment may stand in it"));
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(invalid("it has no host"));
    };
    let address: Arc<str> = url.as_str().trim_end_matches('/').into();
    Ok(ProxyTarget {
        id: ProxyId(address.clone()),
        name: format!("{host}:{port}").into(),
        namespace: "".into(),
        pod: None,
        node: None,
        urls: vec![address],
        server_name: server_name.filter(|name| !name.is_empty()).map(Into::into),
        service: None,
        terminating: false,
    })
}

/// The Admin Services whose fleets are paused: their `ProxyFleet`, in the controller's namespace, says so.
pub fn paused(snapshot: &Snapshot, namespace: Option<&str>, services: &[NamespacedName]) -> BTreeSet<NamespacedName> {
    let fleets = namespace.map_or_else(Vec::new, |namespace| fleet_names(namespace, services));
    let is_paused = |fleet: &NamespacedName| snapshot.proxy_fleets.get(fleet).is_some_and(|fleet| fleet.spec.paused);
    fleets
        .into_iter()
        .filter(|(fleet, _)| is_paused(fleet))
        .map(|(_, service)| service)
        .collect()
}

#[cfg(test)]
mod tests;
