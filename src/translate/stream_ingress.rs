//! TCPIngress, UDPIngress -> services, routes, claims on certificates (`kic.md` 4.7.1). Rules with the same backend share
//! a service.

use std::{collections::HashMap, rc::Rc};

use super::{
    backend::{Backend, PortSelector},
    draft::{Matches, RouteDefaults, RouteDraft, ServiceDefaults, ServiceDraft, StreamMatches},
    gateway,
    problems::Owner,
    route_annotations::RouteSettings,
    state::State,
    syntax, tags,
};
use crate::model::{
    Kind, Reason,
    kong::{StreamIngressBackend, TCPIngress, UDPIngress},
};

/// Translates the TCPIngresses and UDPIngresses that are ours.
///
/// Given in order of their names.
pub(super) fn translate<'a>(
    mut tcp_ingresses: Vec<&'a TCPIngress>,
    mut udp_ingresses: Vec<&'a UDPIngress>,
    state: &mut State<'a>,
) {
    tcp_ingresses.retain(|object| gateway::is_named(Kind::TCPIngress, &object.metadata, state));
    tcp_ingresses.sort_by_key(|object| object.metadata.creation_timestamp);
    let mut services = Services::default();
    for object in tcp_ingresses {
        translate_tcp(object, &mut services, state);
    }
    udp_ingresses.retain(|object| gateway::is_named(Kind::UDPIngress, &object.metadata, state));
    udp_ingresses.sort_by_key(|object| object.metadata.creation_timestamp);
    let mut services = Services::default();
    for object in udp_ingresses {
        translate_udp(object, &mut services, state);
    }
}

/// Positions of services by Kubernetes Service and port.
type Services<'a> = HashMap<(&'a str, &'a str, u16), usize>;

fn translate_tcp<'a>(object: &'a TCPIngress, services: &mut Services<'a>, state: &mut State<'a>) {
    let owner = Owner::new(Kind::TCPIngress, &object.metadata);
    check(owner, object.spec.rules.is_empty(), state);
    for (index, rule) in object.spec.rules.iter().enumerate() {
        let mut server_names = Vec::new();
        if !rule.host.is_empty() {
            if !syntax::is_rule_host(&rule.host) {
                state.problems.report(
                    owner,
                    format!("spec.rules[{index}].host"),
                    Reason::InvalidField,
                    format!("{:?} is not a host name; the rule is left out", rule.host),
                    "use a DNS name such as shop.example.com or *.example.com",
                );
                continue;
            }
            server_names.push(rule.host.clone());
        }
        let rule = Rule {
            owner,
            index,
            port: rule.port,
            backend: &rule.backend,
            server_names,
            protocols: &["tcp", "tls"],
            suffix: "",
            defaults: ServiceDefaults::new("tcp"),
        };
        rule.translate(services, state);
    }
    let State {
        certificates,
        index,
        problems,
        ..
    } = state;
    certificates.claim_all(owner, &object.spec.tls, index, problems);
}

fn translate_udp<'a>(object: &'a UDPIngress, services: &mut Services<'a>, state: &mut State<'a>) {
    let owner = Owner::new(Kind::UDPIngress, &object.metadata);
    check(owner, object.spec.rules.is_empty(), state);
    for (index, rule) in object.spec.rules.iter().enumerate() {
        let rule = Rule {
            owner,
            index,
            port: rule.port,
            backend: &rule.backend,
            server_names: Vec::new(),
            protocols: &["udp"],
            suffix: ".udp",
            defaults: ServiceDefaults {
                timeout: None,
                retries: None,
                ..ServiceDefaults::new("udp")
            },
        };
        rule.translate(services, state);
    }
}

fn check(owner: Owner<'_>, is_empty: bool, state: &mut State<'_>) {
    tags::check(owner, &mut state.problems);
    if is_empty {
        let kind = owner.kind.name();
        state.problems.report(
            owner,
            "spec.rules",
            Reason::InvalidField,
            format!("the {kind} has no rules"),
            "add a rule",
        );
    }
}

/// A rule of either kind.
struct Rule<'a> {
    owner: Owner<'a>,
    index: usize,
    port: u16,
    backend: &'a StreamIngressBackend,
    server_names: Vec<String>,
    protocols: &'static [&'static str],
    /// What names of entities end with.
    suffix: &'static str,
    defaults: ServiceDefaults,
}

impl<'a> Rule<'a> {
    fn translate(self, services: &mut Services<'a>, state: &mut State<'a>) {
        let Some(backend) = self.resolve(state) else { return };
        let matches = StreamMatches {
            server_names: self.server_names,
            ports: vec![self.port],
            rule: self.index,
        };
        let owner = self.owner;
        let mut settings = RouteSettings::read(owner, &state.settings.profile, &mut state.regexes, &mut state.problems);
        settings.fit_stream(
            owner,
            &matches,
            self.protocols[self.protocols.len() - 1],
            &mut state.problems,
        );
        let (namespace, name) = (&owner.metadata.namespace, &owner.metadata.name);
        let route = RouteDraft {
            name: format!("{namespace}.{name}.{}{}", self.index, self.suffix),
            owner,
            matches: Matches::Stream(matches),
            defaults: RouteDefaults {
                protocols: Some(self.protocols.to_vec()),
                ..RouteDefaults::default()
            },
            settings: Rc::new(settings),
            rule_names: Vec::new(),
            plugins: Vec::new(),
            extensions: Vec::new(),
        };
        let drafts = &mut state.drafts.services;
        let key = (backend.namespace, backend.service, self.backend.service_port);
        let position = *services.entry(key).or_insert_with(|| {
            drafts.push(ServiceDraft {
                name: format!("{}{}", backend.service_name(), self.suffix),
                host: backend.upstream_name(),
                defaults: self.defaults,
                backends: vec![backend],
                parent: owner,
                shares_upstream: false,
                plugins: Vec::new(),
                routes: Vec::new(),
            });
            drafts.len() - 1
        });
        drafts[position].routes.push(route);
    }

    /// The Service and port; `None` with a problem if they can't be such. What does not exist is a problem too, but its
    /// rule stays: connections are closed then, instead of going elsewhere.
    fn resolve(&self, state: &mut State<'a>) -> Option<Backend<'a>> {
        let (owner, backend) = (self.owner, self.backend);
        let field = |rest: &str| format!("spec.rules[{}].{rest}", self.index);
        let name = backend.service_name.as_str();
        let bad = if self.port == 0 {
            Some(("port", "the port that the proxy listens on is not given".to_owned()))
        } else if !syntax::is_label(name) {
            Some((
                "backend.serviceName",
                format!("{name:?} can't be the name of a Service"),
            ))
        } else if backend.service_port == 0 {
            Some(("backend.servicePort", "the port of the Service is not given".to_owned()))
        } else {
            None
        };
        if let Some((rest, message)) = bad {
            state.problems.report(
                owner,
                field(rest),
                Reason::InvalidField,
                format!("{message}; the rule is left out"),
                "name a Service of the same namespace and one of its ports",
            );
            return None;
        }
        let port = PortSelector::Number(backend.service_port);
        let resolved = Backend::new(&owner.metadata.namespace, name, port);
        let Some(service) = state.index.service(resolved.namespace, name) else {
            state.problems.report(
                owner,
                field("backend.serviceName"),
                Reason::ServiceNotFound,
                format!(
                    "there is no Service {name} in namespace {}; nothing is answered",
                    resolved.namespace
                ),
                "create the Service, or correct the name",
            );
            return Some(resolved);
        };
        if let Err(fault) = port.find(service) {
            state.problems.report(
                owner,
                field("backend.servicePort"),
                Reason::PortNotFound,
                format!("Service {name} {fault}; nothing is answered"),
                fault.remedy(service),
            );
        }
        Some(resolved)
    }
}
