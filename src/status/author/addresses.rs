//! The addresses in the statuses of Ingresses. Pure.
//!
//! As Kong Ingress Controller does it, they are set on objects that took part in an accepted configuration, and never
//! cleared: whoever takes an object over writes its own.

use std::{net::IpAddr, sync::Arc};

use crate::{
    model::{Kind, ObjectRef, Snapshot, kubernetes::LoadBalancerIngress},
    status::settings::Settings,
};

/// Whether an object's status bears addresses, and can be written.
pub(super) fn bears(object: &ObjectRef) -> bool {
    let kind = Kind::Ingress;
    *object.kind == *kind.name() && *object.group == *kind.group() && !object.uid.is_empty()
}

/// The addresses, in order and without duplicates: those given; else those of the publish Service's load balancer; else
/// its cluster addresses.
pub(super) fn of(settings: &Settings, snapshot: &Snapshot) -> Arc<[LoadBalancerIngress]> {
    let mut addresses: Vec<_> = settings
        .publish_addresses
        .iter()
        .map(|address| entry(address))
        .collect();
    if addresses.is_empty()
        && let Some(service) = settings
            .publish_service
            .as_ref()
            .and_then(|name| snapshot.services.get(name))
    {
        addresses.clone_from(&service.status.load_balancer.ingress);
        if addresses.is_empty() {
            let cluster = service
                .spec
                .cluster_ips
                .iter()
                .filter(|address| *address != "None" && !address.is_empty());
            addresses = cluster.map(|address| entry(address)).collect();
        }
    }
    sorted(addresses)
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
