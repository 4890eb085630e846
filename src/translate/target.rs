//! Endpoints of Services -> targets of upstreams (`kic.md` 4.7.2, 4.7.3).

use std::collections::BTreeMap;

use proxy_config_schema::Target;

use super::{
    Settings, annotations,
    backend::{Backend, EXTERNAL_NAME, FoundPort},
    problems::{Owner, Problems},
    state::State,
    syntax, zone,
};
use crate::model::{
    Kind, Reason,
    kubernetes::{EndpointSlice, EndpointSliceEndpoint, Service, ServicePort},
};

/// Weight of a target that names none.
const DEFAULT_WEIGHT: u32 = 100;

/// An address, and whether it only finishes what it has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    address: String,
    draining: bool,
}

/// The targets of one backend after the other, shares taken into account.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Address to weight; `None` leaves the weight to Kong.
    weights: BTreeMap<String, Option<u32>>,
}

impl Targets {
    /// Adds those of a backend whose Service and port were found. Reports a Service without any.
    pub(super) fn add<'a>(
        &mut self,
        backend: &Backend<'a>,
        service: &'a Service,
        port: FoundPort<'a>,
        state: &mut State<'a>,
    ) {
        let State {
            index,
            settings,
            class,
            problems,
            zone,
            ..
        } = state;
        if let Some(name) = dns_name(service, backend, settings, class.service_upstream) {
            if !syntax::is_destination(&name) {
                report_external_name(service, &name, problems);
                return;
            }
            // Kong Ingress Controller meets the name once for each protocol of the ports, and adds up the weights.
            let meetings = protocols(service).len().max(1);
            for _ in 0..meetings {
                self.put(format!("{name}:{}", port.number), backend.weight);
            }
            return;
        }
        let slices = index.slices(backend.namespace, backend.service);
        let addresses = port.service_port.map_or_else(Vec::new, |port| {
            addresses(service, port, slices, settings.drain_support, *zone, problems)
        });
        if addresses.is_empty() {
            report_no_endpoints(service, port, slices, settings, problems);
        }
        let active = addresses.iter().filter(|address| !address.draining).count();
        for Address { address, draining } in addresses {
            let share = if draining {
                Some(0)
            } else {
                backend.weight.map(|weight| share(weight, active))
            };
            self.put(address, share);
        }
    }

    fn put(&mut self, address: String, weight: Option<u32>) {
        self.weights
            .entry(address)
            .and_modify(|known| *known = Some(known.unwrap_or(DEFAULT_WEIGHT) + weight.unwrap_or(DEFAULT_WEIGHT)))
            .or_insert(weight);
    }

    /// The targets.
    pub(super) fn finish(self) -> Vec<Target> {
        let entities = self.weights.into_iter().map(|(target, weight)| Target {
            target,
            weight,
            ..Target::default()
        });
        entities.collect()
    }
}

/// What each of several addresses gets of a backend's weight: never nothing, unless the backend has nothing.
fn share(weight: u32, addresses: usize) -> u32 {
    match weight {
        0 => 0,
        weight => (weight / u32::try_from(addresses.max(1)).unwrap_or(u32::MAX)).max(1),
    }
}

/// The name that stands for all endpoints, if one does.
fn dns_name(service: &Service, backend: &Backend<'_>, settings: &Settings, by_class: bool) -> Option<String> {
    if service.spec.type_ == EXTERNAL_NAME {
        return Some(service.spec.external_name.clone());
    }
    if !by_class && service.metadata.annotation(annotations::SERVICE_UPSTREAM) != Some("true") {
        return None;
    }
    let mut name = format!("{}.{}.svc", backend.service, backend.namespace);
    if !settings.cluster_domain.is_empty() {
        name.push('.');
        name.push_str(&settings.cluster_domain);
    }
    Some(name)
}

fn protocol(text: &str) -> &str {
    if text.is_empty() { "TCP" } else { text }
}

/// The distinct protocols of a Service's ports.
fn protocols(service: &Service) -> Vec<&str> {
    let mut protocols: Vec<_> = service.spec.ports.iter().map(|port| protocol(&port.protocol)).collect();
    protocols.sort_unstable();
    protocols.dedup();
    protocols
}

/// An endpoint that may become a target, and where it stands.
struct Candidate<'s> {
    endpoint: &'s EndpointSliceEndpoint,
    slice: &'s EndpointSlice,
    position: usize,
    port: u16,
    draining: bool,
}

fn addresses(
    service: &Service,
    port: &ServicePort,
    slices: &[&EndpointSlice],
    drain: bool,
    zone: Option<&str>,
    problems: &mut Problems,
) -> Vec<Address> {
    let mut candidates = candidates(service, port, slices, drain);
    if let Some(zone) = zone.filter(|_| zone::is_asked_for(service)) {
        let active = candidates.iter().filter(|candidate| !candidate.draining);
        if zone::is_hinted(active.map(|candidate| candidate.endpoint), zone) {
            candidates.retain(|candidate| candidate.draining || zone::is_for(candidate.endpoint, zone));
        }
    }
    let mut addresses: Vec<Address> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let Some(address) = candidate.endpoint.addresses.first() else {
            continue;
        };
        if !syntax::is_destination(address) {
            report_address(candidate.slice, candidate.position, address, problems);
            continue;
        }
        let port = candidate.port;
        addresses.push(Address {
            address: if address.contains(':') {
                format!("[{address}]:{port}")
            } else {
                format!("{address}:{port}")
            },
            draining: candidate.draining,
        });
    }
    // An address may stand in two slices for a moment: the one that takes requests counts.
    addresses.sort_by(|a, b| (&a.address, a.draining).cmp(&(&b.address, b.draining)));
    addresses.dedup_by(|later, earlier| later.address == earlier.address);
    addresses
}

fn candidates<'s>(
    service: &Service,
    port: &ServicePort,
    slices: &[&'s EndpointSlice],
    drain: bool,
) -> Vec<Candidate<'s>> {
    let protocols = protocols(service);
    let mut candidates = Vec::new();
    for slice in slices {
        let matching = slice.ports.iter().filter(|candidate| {
            let protocol = protocol(&candidate.protocol);
            candidate.name == port.name && (protocol == "TCP" || protocols.contains(&protocol))
        });
        for port in matching.filter_map(|candidate| candidate.port) {
            let usable = slice.endpoints.iter().enumerate().filter_map(|(position, endpoint)| {
                Some(Candidate {
                    endpoint,
                    slice,
                    position,
                    port,
                    draining: state(endpoint, drain)?,
                })
            });
            candidates.extend(usable);
        }
    }
    candidates
}

/// `None` for an endpoint that takes no requests, else whether it is draining.
fn state(endpoint: &EndpointSliceEndpoint, drain: bool) -> Option<bool> {
    let ready = endpoint.conditions.ready != Some(false);
    let draining = drain && endpoint.conditions.terminating == Some(true);
    (ready || draining).then_some(draining)
}

fn report_external_name(service: &Service, name: &str, problems: &mut Problems) {
    problems.report(
        Owner::new(Kind::Service, &service.metadata),
        "spec.externalName",
        Reason::InvalidField,
        format!("{name:?} is neither a host name nor an IP address; requests get 503"),
        "give a host name such as api.example.com",
    );
}

fn report_address(slice: &EndpointSlice, position: usize, address: &str, problems: &mut Problems) {
    problems.report(
        Owner::new(Kind::EndpointSlice, &slice.metadata),
        format!("endpoints[{position}].addresses[0]"),
        Reason::InvalidField,
        format!("{address:?} is neither an IP address nor a host name; it is left out"),
        "give an address such as 10.0.0.1",
    );
}

fn report_no_endpoints(
    service: &Service,
    port: FoundPort<'_>,
    slices: &[&EndpointSlice],
    settings: &Settings,
    problems: &mut Problems,
) {
    let has_selector = !service.spec.selector.is_empty();
    // Manifests alone say nothing of pods: the slices of a Service with a selector are made in the cluster.
    if slices.is_empty() && (settings.raw_objects || (has_selector && !settings.pods_known)) {
        return;
    }
    let is_same = |candidate: &ServicePort| port.service_port.is_some_and(|port| std::ptr::eq(port, candidate));
    let position = service.spec.ports.iter().position(is_same).unwrap_or_default();
    let endpoints = slices.iter().map(|slice| slice.endpoints.len()).sum::<usize>();
    let (message, remedy) = if endpoints == 0 && has_selector {
        ("no pod matches its selector", "start pods that its selector matches")
    } else if endpoints == 0 {
        (
            "no EndpointSlice lists an address",
            "add an EndpointSlice with the label kubernetes.io/service-name",
        )
    } else if slices
        .iter()
        .any(|slice| slice.endpoints.iter().any(|endpoint| state(endpoint, false).is_some()))
    {
        (
            "its EndpointSlices list addresses, but no such port",
            "let the pods have the target port, or give the EndpointSlice's port the name of the Service's",
        )
    } else {
        ("none of its pods is ready", "see why the pods are not ready")
    };
    problems.report(
        Owner::new(Kind::Service, &service.metadata),
        format!("spec.ports[{position}]"),
        Reason::NoEndpoints,
        format!("port {} has no endpoint: {message}; requests get 503", port.number),
        remedy,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_divided_and_never_vanish() {
        assert_eq!((share(100, 3), share(1, 3), share(0, 3), share(7, 0)), (33, 1, 0, 7));
    }

    #[test]
    fn equal_targets_of_several_backends_add_up() {
        let mut targets = Targets::default();
        targets.put("a:80".to_owned(), None);
        targets.put("a:80".to_owned(), Some(5));
        targets.put("b:80".to_owned(), None);
        let weights: Vec<_> = targets
            .finish()
            .into_iter()
            .map(|target| (target.target, target.weight))
            .collect();
        assert_eq!(weights, [("a:80".to_owned(), Some(105)), ("b:80".to_owned(), None)]);
    }
}
