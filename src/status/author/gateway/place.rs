//! Where a Gateway is reached. Pure.
//!
//! As with Kong Ingress Controller the proxies are there already, and a Gateway has their addresses: those of the publish
//! Services that its annotation names, else of the controller's. A Gateway that asks for addresses gets those of them
//! that it asks for.

use std::collections::BTreeMap;

use crate::{
    model::{
        Kind, NamespacedName, ObjectRef, Snapshot,
        annotations::PUBLISH_SERVICE,
        gateway::{Gateway, GatewayAddress},
        kubernetes::LoadBalancerIngress,
    },
    status::author::addresses::{self, Addresses},
    translate::GatewayStatuses,
};

/// How many addresses a status can have.
const MOST: usize = 16;

/// Where all of our Gateways are reached.
#[derive(Debug, PartialEq)]
pub(super) struct Places(BTreeMap<ObjectRef, Place>);

/// Where a Gateway is reached.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) addresses: Vec<GatewayAddress>,
    /// Why a type of address that it asks for can't be had.
    pub(super) unsupported: Option<String>,
    /// Why an address that it asks for can't be had.
    unusable: Option<String>,
}

impl Places {
    pub(super) fn of(gateways: &GatewayStatuses, snapshot: &Snapshot, addresses: &Addresses) -> Self {
        let places = gateways.gateways.keys().filter_map(|object| {
            let gateway = snapshot.gateways.get(&object.namespaced_name())?;
            Some((object.clone(), Place::of(gateway, snapshot, addresses)))
        });
        Self(places.collect())
    }

    pub(super) fn of_gateway(&self, object: &ObjectRef) -> Option<&Place> {
        self.0.get(object)
    }
}

impl Place {
    fn of(gateway: &Gateway, snapshot: &Snapshot, addresses: &Addresses) -> Self {
        let mut place = Self {
            addresses: offered(gateway, snapshot, addresses),
            ..Self::default()
        };
        let asked = &gateway.spec.addresses;
        if asked.is_empty() {
            place.addresses.truncate(MOST);
            return place;
        }
        let asks_for = |asked: &GatewayAddress, offered: &GatewayAddress| {
            type_of(asked) == type_of(offered) && (asked.value.is_empty() || asked.value == offered.value)
        };
        for asked in asked {
            let (type_, value) = (type_of(asked), &asked.value);
            if !matches!(type_, IP_ADDRESS | HOST_NAME) {
                let message = format!("Addresses of type {type_} are not supported: use {IP_ADDRESS} or {HOST_NAME}.");
                place.unsupported.get_or_insert(message);
            } else if !place.addresses.iter().any(|offered| asks_for(asked, offered)) {
                let address = if value.is_empty() { type_ } else { value };
                let message =
                    format!("The proxies have no address {address}; the addresses are those of their Service.");
                place.unusable.get_or_insert(message);
            }
        }
        place
            .addresses
            .retain(|offered| asked.iter().any(|asked| asks_for(asked, offered)));
        place.addresses.truncate(MOST);
        place
    }

    /// Why it can't be reached as it shall.
    pub(super) fn fault(&self) -> Option<(&'static str, &str)> {
        if let Some(unsupported) = &self.unsupported {
            return Some(("Invalid", unsupported));
        }
        if let Some(unusable) = &self.unusable {
            return Some(("AddressNotUsable", unusable));
        }
        let message = "The proxies' Service has no address yet, or none is named: see --publish-service.";
        self.addresses.is_empty().then_some(("AddressNotAssigned", message))
    }
}

const IP_ADDRESS: &str = "IPAddress";
const HOST_NAME: &str = "Hostname";

fn type_of(address: &GatewayAddress) -> &str {
    address.type_.as_deref().unwrap_or(IP_ADDRESS)
}

/// The addresses that a Gateway can have.
fn offered(gateway: &Gateway, snapshot: &Snapshot, addresses: &Addresses) -> Vec<GatewayAddress> {
    let annotation = gateway.metadata.annotation(PUBLISH_SERVICE).unwrap_or_default();
    let services: Vec<_> = annotation.split(',').filter_map(service).collect();
    if !services.is_empty() {
        let addresses = services.iter().map(|name| addresses::of_service(name, snapshot));
        return typed(addresses.flatten());
    }
    let mut is_udp = gateway.spec.listeners.iter().map(|listener| listener.protocol == "UDP");
    let (has_udp, has_others) = (is_udp.clone().any(|is_udp| is_udp), is_udp.any(|is_udp| !is_udp));
    let usual = has_others.then(|| addresses.of_kind(Kind::Ingress).iter().cloned());
    let udp = has_udp.then(|| addresses.of_kind(Kind::UDPIngress).iter().cloned());
    typed(usual.into_iter().flatten().chain(udp.into_iter().flatten()))
}

/// `NAMESPACE/NAME`
fn service(name: &str) -> Option<NamespacedName> {
    let (namespace, name) = name.trim().split_once('/')?;
    Some(NamespacedName::new(namespace, name))
}

fn typed(addresses: impl Iterator<Item = LoadBalancerIngress>) -> Vec<GatewayAddress> {
    let mut typed: Vec<GatewayAddress> = Vec::new();
    for address in addresses {
        let parts = [(IP_ADDRESS, address.ip), (HOST_NAME, address.hostname)];
        for (type_, value) in parts {
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                continue;
            };
            let address = GatewayAddress {
                type_: Some(type_.to_owned()),
                value,
            };
            if !typed.contains(&address) {
                typed.push(address);
            }
        }
    }
    typed
}
