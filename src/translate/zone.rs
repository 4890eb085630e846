//! Endpoints near the proxies, where a Service asks for that. Pure.
//!
//! One configuration serves all proxies, so that nearness can be had only if all of them are in one zone. Which endpoints
//! are near is not decided here: the cluster writes it into the hints of EndpointSlices, and kube-proxy's rules are
//! followed in reading them (all endpoints must have hints, and one must be for the zone; else all are used).

use super::{ProxyZone, Settings, state::Index};
use crate::model::{
    annotations::{TOPOLOGY_AWARE_HINTS, TOPOLOGY_MODE},
    kubernetes::{EndpointSliceEndpoint, Service},
};

/// The zone that all proxies are in, if they are in one.
pub(super) fn of_proxies<'a>(settings: &'a Settings, index: &Index<'a>) -> Option<&'a str> {
    let services = match &settings.proxy_zone {
        ProxyZone::Unknown => return None,
        ProxyZone::Named(zone) => return Some(zone),
        ProxyZone::OfServices(services) => services,
    };
    let slices = services
        .iter()
        .flat_map(|service| index.slices(&service.namespace, &service.name));
    let mut zones = slices
        .flat_map(|slice| &slice.endpoints)
        .map(|endpoint| endpoint.zone.as_deref());
    let first = zones.next()??;
    zones.all(|zone| zone == Some(first)).then_some(first)
}

/// Whether a Service wants its requests to stay near.
pub(super) fn is_asked_for(service: &Service) -> bool {
    let annotation = |name| service.metadata.annotation(name);
    matches!(
        service.spec.traffic_distribution.as_str(),
        "PreferClose" | "PreferSameZone" | "PreferSameNode"
    ) || annotation(TOPOLOGY_MODE)
        .or_else(|| annotation(TOPOLOGY_AWARE_HINTS))
        .is_some_and(|mode| mode.eq_ignore_ascii_case("auto"))
}

/// Whether the endpoints say which of them are for that zone.
pub(super) fn is_hinted<'e>(endpoints: impl Iterator<Item = &'e EndpointSliceEndpoint>, zone: &str) -> bool {
    let mut found = false;
    for endpoint in endpoints {
        if endpoint.hints.for_zones.is_empty() {
            return false;
        }
        found |= is_for(endpoint, zone);
    }
    found
}

/// Whether an endpoint is for that zone.
pub(super) fn is_for(endpoint: &EndpointSliceEndpoint, zone: &str) -> bool {
    endpoint.hints.for_zones.iter().any(|hint| &*hint.name == zone)
}
