//! Kong services and routes in the making: what all source kinds are turned into before conflicts, annotations and
//! endpoints are looked at.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use proxy_config_schema as kong;

use super::{
    backend::{Backend, PortSelector},
    expression::Predicate,
    field_path::FieldPath,
    path::PathMatch,
    problems::{Owner, Problems},
    route_annotations::RouteSettings,
};
use crate::model::Reason;

/// A Kong service with its routes.
#[derive(Debug)]
pub(super) struct ServiceDraft<'a> {
    pub(super) name: String,
    /// The upstream's name.
    pub(super) host: String,
    /// What it is without annotations.
    pub(super) defaults: ServiceDefaults,
    /// Where requests go, in the order that their user gave. Those of the Gateway API that do not resolve are left out.
    pub(super) backends: Vec<Backend<'a>>,
    /// The object that it was made for; its tags are the service's if there are several backends.
    pub(super) parent: Owner<'a>,
    /// Whether another service with the same backends brings the upstream.
    pub(super) shares_upstream: bool,
    /// Plugins that no object of their own stands for. They get neither identifier nor tags of their own.
    pub(super) plugins: Vec<kong::Plugin>,
    pub(super) routes: Vec<RouteDraft<'a>>,
}

/// What a service is before annotations of its Kubernetes Services are looked at (`kic.md` 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServiceDefaults {
    pub(super) protocol: &'static str,
    /// The port where no backend has one; `None` leaves it to Kong.
    pub(super) port: Option<u16>,
    /// The path that requests get in front.
    pub(super) path: Option<&'static str>,
    /// Connect, read and write, in milliseconds; `None` leaves them to Kong.
    pub(super) timeout: Option<u32>,
    /// Attempts after the first one; `None` leaves them to Kong.
    pub(super) retries: Option<u32>,
}

impl ServiceDefaults {
    /// Connect, read and write, in milliseconds.
    pub(super) const TIMEOUT: u32 = 60_000;

    /// Of routes of the Gateway API and of TCPIngresses.
    pub(super) const fn new(protocol: &'static str) -> Self {
        Self {
            protocol,
            port: None,
            path: None,
            timeout: Some(Self::TIMEOUT),
            retries: Some(5),
        }
    }

    /// Of rules of Ingresses.
    pub(super) const INGRESS: Self = Self {
        port: Some(80),
        path: Some("/"),
        ..Self::new("http")
    };

    /// Of the default backend of an Ingress.
    pub(super) const DEFAULT_BACKEND: Self = Self {
        path: None,
        ..Self::INGRESS
    };
}

impl ServiceDraft<'_> {
    fn has_backends_of(&self, other: &Self) -> bool {
        let key = |backend: &Backend<'_>| {
            let facade = backend.facade.map(|facade| facade.name.clone());
            (
                backend.namespace.to_owned(),
                backend.service.to_owned(),
                backend.port.to_string(),
                facade,
                backend.weight,
            )
        };
        self.backends.iter().map(key).eq(other.backends.iter().map(key))
    }
}

fn report_overwritten(loser: &ServiceDraft<'_>, winner: &ServiceDraft<'_>, problems: &mut Problems) {
    let owners: BTreeMap<_, _> = loser
        .routes
        .iter()
        .map(|route| ((route.owner.kind, route.owner.metadata.key()), route.owner))
        .collect();
    for owner in owners.into_values() {
        problems.report(
            owner,
            "spec.rules",
            Reason::Conflict,
            format!(
                "{} leads to the same backend, {}, and takes its place",
                winner.parent, loser.name
            ),
            "give one of the two another Service",
        );
    }
}

/// A Kong route.
#[derive(Debug, Clone)]
pub(super) struct RouteDraft<'a> {
    pub(super) name: String,
    pub(super) owner: Owner<'a>,
    pub(super) matches: Matches,
    pub(super) defaults: RouteDefaults,
    /// What the annotations of its object say.
    pub(super) settings: Rc<RouteSettings>,
    /// Names of the rules that it was made from, for its tags.
    pub(super) rule_names: Vec<&'a str>,
    /// Plugins that no object of their own stands for: filters. They get no identifiers, and the tags of their route.
    pub(super) plugins: Vec<kong::Plugin>,
    /// KongPlugins of its namespace that filters name: as if they stood in the annotation of its object.
    pub(super) extensions: Vec<Extension<'a>>,
}

/// A KongPlugin that a filter names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    pub(super) name: &'a str,
    /// Where it stands in the object: `spec.rules[0].filters[1].extensionRef`.
    pub(super) field: String,
}

/// What a route is before annotations are looked at; `None` leaves it to Kong (`kic.md` 4.2, 4.6, 4.7.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RouteDefaults {
    pub(super) strip_path: Option<bool>,
    pub(super) preserve_host: Option<bool>,
    pub(super) request_buffering: Option<bool>,
    pub(super) response_buffering: Option<bool>,
    /// `None` is 426.
    pub(super) https_redirect_status_code: Option<u16>,
    /// In the traditional router.
    pub(super) regex_priority: Option<i64>,
    pub(super) protocols: Option<Vec<&'static str>>,
}

impl RouteDefaults {
    /// Of Ingresses.
    pub(super) fn ingress() -> Self {
        Self {
            strip_path: Some(false),
            preserve_host: Some(true),
            request_buffering: Some(true),
            response_buffering: Some(true),
            https_redirect_status_code: None,
            regex_priority: Some(0),
            protocols: None,
        }
    }
}

/// What a route picks requests by.
#[derive(Debug, Clone)]
pub(super) enum Matches {
    /// Paths of an Ingress: written in the flavour of the proxies' router, once conflicts are resolved.
    Paths(PathMatches),
    /// Fields of the traditional router.
    Fields(FieldMatches),
    /// An expression and its priority: annotations that match are in it already.
    Expression { predicate: Predicate, priority: u64 },
    /// Connections and datagrams, in either flavour.
    Stream(StreamMatches),
}

/// Hosts and paths of an Ingress.
#[derive(Debug, Clone)]
pub(super) struct PathMatches {
    /// Empty for any host.
    pub(super) hosts: Vec<String>,
    /// Never empty.
    pub(super) paths: Vec<PathDraft>,
    /// Whether it takes what no rule takes: its expression has the lowest priority.
    pub(super) is_default: bool,
}

/// Fields of the traditional router; empty for any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct FieldMatches {
    pub(super) hosts: Vec<String>,
    pub(super) paths: Vec<FieldPath>,
    pub(super) methods: Vec<String>,
    pub(super) headers: BTreeMap<String, Vec<String>>,
    /// The rule of its object and the match, the first of several.
    pub(super) rule: (usize, usize),
    /// Whether it only sends plain HTTP to HTTPS: it gives way to what serves the same requests.
    pub(super) gives_way: bool,
}

/// What connections are picked by; empty for any, but not both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct StreamMatches {
    /// Server names in TLS.
    pub(super) server_names: Vec<String>,
    /// Ports that the proxy listens on.
    pub(super) ports: Vec<u16>,
    /// The rule of its object.
    pub(super) rule: usize,
}

impl RouteDraft<'_> {
    /// Hosts and paths, of a route made from an Ingress.
    pub(super) fn paths(&self) -> Option<&PathMatches> {
        match &self.matches {
            Matches::Paths(matches) => Some(matches),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn paths_mut(&mut self) -> Option<&mut PathMatches> {
        match &mut self.matches {
            Matches::Paths(matches) => Some(matches),
            _ => None,
        }
    }
}

/// A path of a route, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct PathDraft {
    pub(super) matches: PathMatch,
    pub(super) place: Place,
}

/// Where a path stands in its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A path of a rule, both counted from 0.
    IngressPath(usize, usize),
    /// The default backend.
    DefaultBackend,
}

impl Place {
    /// The path's field.
    pub(super) fn field(self) -> String {
        match self {
            Self::IngressPath(rule, path) => format!("spec.rules[{rule}].http.paths[{path}].path"),
            Self::DefaultBackend => "spec.defaultBackend".to_owned(),
        }
    }

    /// The field of its backend.
    pub(super) fn backend_field(self) -> String {
        match self {
            Self::IngressPath(rule, path) => format!("spec.rules[{rule}].http.paths[{path}].backend"),
            Self::DefaultBackend => "spec.defaultBackend".to_owned(),
        }
    }
}

/// The services so far, by name.
#[derive(Debug, Default)]
pub(super) struct Drafts<'a> {
    pub(super) services: Vec<ServiceDraft<'a>>,
    index: HashMap<BackendKey<'a>, usize>,
}

/// Namespace, facade if there is one, Service, port.
type BackendKey<'a> = (&'a str, Option<&'a str>, &'a str, PortSelector<'a>);

impl<'a> Drafts<'a> {
    /// The service of a Kubernetes Service and port; made on first use, with what is said here.
    pub(super) fn service(
        &mut self,
        backend: &Backend<'a>,
        parent: Owner<'a>,
        defaults: ServiceDefaults,
    ) -> &mut ServiceDraft<'a> {
        let facade = backend.facade.map(|facade| &*facade.name);
        let key = (backend.namespace, facade, backend.service, backend.port);
        let position = *self.index.entry(key).or_insert_with(|| {
            self.services.push(ServiceDraft {
                name: backend.service_name(),
                host: backend.upstream_name(),
                defaults,
                backends: vec![*backend],
                parent,
                shares_upstream: false,
                plugins: Vec::new(),
                routes: Vec::new(),
            });
            self.services.len() - 1
        });
        &mut self.services[position]
    }

    /// Gives services of one name names of their own: a TCPIngress and an Ingress with the same backend come to the same.
    /// The earlier kind keeps the name. Of raw objects only the service of the later kind is left, as in Kong Ingress
    /// Controller.
    pub(super) fn separate_services(&mut self, raw_objects: bool, problems: &mut Problems) {
        let mut seen: HashMap<String, usize> = HashMap::with_capacity(self.services.len());
        let mut lost = Vec::new();
        for position in 0..self.services.len() {
            let Some(first) = seen.get(&self.services[position].name).copied() else {
                seen.insert(self.services[position].name.clone(), position);
                continue;
            };
            if raw_objects {
                seen.insert(self.services[position].name.clone(), position);
                lost.push(first);
                report_overwritten(&self.services[first], &self.services[position], problems);
                continue;
            }
            // Names of objects hold no tilde: only services of the same name have these.
            let same = &self.services[position].name;
            let name = (2..)
                .map(|number| format!("{same}~{number}"))
                .find(|name| !seen.contains_key(name))
                .expect("there are more numbers than services");
            self.services[position].name.clone_from(&name);
            seen.insert(name, position);
        }
        let mut position = 0;
        self.services.retain(|_| {
            position += 1;
            !lost.contains(&(position - 1))
        });
        self.share_upstreams();
    }

    /// Services for TCP and for UDP have the upstream of the Ingress with the same backend: it must be there once.
    fn share_upstreams(&mut self) {
        let mut seen: HashMap<String, usize> = HashMap::with_capacity(self.services.len());
        for position in 0..self.services.len() {
            let Some(first) = seen.get(&self.services[position].host).copied() else {
                seen.insert(self.services[position].host.clone(), position);
                continue;
            };
            if self.services[first].has_backends_of(&self.services[position]) {
                self.services[position].shares_upstream = true;
            } else {
                let host = format!("{}.{position}", self.services[position].host);
                self.services[position].host.clone_from(&host);
                seen.insert(host, position);
            }
        }
    }

    /// Gives routes of one name names of their own: names of Ingresses hold dots as hosts do, so that Ingress `a.b` with
    /// Service `c` and Ingress `a` with Service `b` and host `c.…` can come to the same, which Kong refuses as a whole.
    /// The oldest keeps the name.
    pub(super) fn separate_names(&mut self) {
        let mut routes: Vec<_> = self
            .services
            .iter_mut()
            .flat_map(|service| &mut service.routes)
            .collect();
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(routes.len());
        let is_unique = routes.iter().all(|route| seen.insert(&route.name, 1).is_none());
        if is_unique {
            return;
        }
        routes.sort_by_cached_key(|route| {
            let metadata = route.owner.metadata;
            (
                route.name.clone(),
                metadata.creation_timestamp,
                metadata.key(),
                route.paths().map(|paths| paths.hosts.clone()),
            )
        });
        for same in routes.chunk_by_mut(|a, b| a.name == b.name) {
            for (position, route) in same.iter_mut().enumerate().skip(1) {
                // Names of objects hold no tilde: nothing else has this name.
                route.name.push_str(&format!("~{}", position + 1));
            }
        }
    }
}
