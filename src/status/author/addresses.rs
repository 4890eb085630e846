//! The addresses in the statuses of Ingresses. Pure.
//!
//! As Kong Ingress Controller does it, they are set on objects that took part in an accepted configuration, and never
//! cleared: whoever takes an object over writes its own.

use std::{net::IpAddr, sync::Arc};

use crate::{
    model::{Kind, NamespacedName, ObjectRef, Snapshot, kubernetes::LoadBalancerIngress},
    status::settings::Settings,
};

/// Kinds whose statuses bear addresses.
pub(in crate::status) const KINDS: [Kind; 3] = [Kind::Ingress, Kind::TCPIngress, Kind::UDPIngress];

/// The kind of an object whose status bears addresses, and can be written.
pub(super) fn bears(object: &ObjectRef) -> Option<Kind> {
    let kind = Kind::find(&object.group, &object.kind)?;
    (KINDS.contains(&kind) && !object.uid.is_empty()).then_some(kind)
}

/// Where clients reach the proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addresses {
    usual: Arc<[LoadBalancerIngress]>,
    udp: Arc<[LoadBalancerIngress]>,
}

impl Addresses {
    pub(super) fn of(settings: &Settings, snapshot: &Snapshot) -> Self {
        let usual = find(&settings.publish_addresses, settings.publish_service.as_ref(), snapshot);
        let udp = if settings.publish_addresses_udp.is_empty() && settings.publish_service_udp.is_none() {
            usual.clone()
        } else {
            let service = settings.publish_service_udp.as_ref();
            find(&settings.publish_addresses_udp, service, snapshot)
        };
        Self { usual, udp }
    }

    pub(super) fn of_kind(&self, kind: Kind) -> &Arc<[LoadBalancerIngress]> {
        match kind {
            Kind::UDPIngress => &self.udp,
            _ => &self.usual,
        }
    }
}

/// The addresses, in order and without duplicates: those given; else those of the publish Service's load balancer; else
/// its cluster addresses.
fn find(given: &[String], service: Option<&NamespacedName>, snapshot: &Snapshot) -> Arc<[LoadBalancerIngress]> {
    let mut addresses: Vec<_> = given.iter().map(|address| entry(address)).collect();
    if let (true, Some(service)) = (addresses.is_empty(), service) {
        addresses = of_service(service, snapshot);
    }
    sorted(addresses)
}

/// Those of a Service's load balancer; else its cluster addresses.
pub(super) fn of_service(name: &NamespacedName, snapshot: &Snapshot) -> Vec<LoadBalancerIngress> {
    let Some(service) = snapshot.services.get(name) else {
        return Vec::new();
    };
    if !service.status.load_balancer.ingress.is_empty() {
        return service.status.load_balancer.ingress.clone();
    }
    let cluster = service.spec.cluster_ips.iter();
    let cluster = cluster.filter(|address| *address != "None" && !address.is_empty());
    cluster.map(|address| entry(address)).collect()
}

/// An order in which two lists of the same addresses are equal.
pub(in crate::status) fn sorted(mut addresses: Vec<LoadBalancerIngress>) -> Arc<[LoadBalancerIngress]> {
    addresses.sort();
    addresses.dedup();
    addresses.into()
}

fn entry(address: &str) -> LoadBalancerIngress {
    let is_ip = address.parse::<IpAddr>().is_ok();
    LoadBalancerIngress {
        ip: is_ip.then(|| address.to_owned()),
        hostname: (!is_ip).then(|| address.to_owned()),
    }
}
