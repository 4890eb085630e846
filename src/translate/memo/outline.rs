//! What an object could have to do with others, without translating it: objects without a common key can be translated
//! apart.
//!
//! Too many keys in common cost time only, too few would be wrong: where in doubt there is a key. Pure.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::super::{annotations, gateway::hostnames, path::REGEX_MARKER};
use crate::model::{
    gateway::{Gateway, HTTPRoute},
    kong::{TCPIngress, UDPIngress},
    kubernetes::{Ingress, IngressBackend, IngressTls, Metadata},
};

/// A key that objects may have in common: a hash, so that two different ones may happen to be the same.
pub(super) type Key = u64;

/// All objects of the Gateway API have this in common: attachment, priorities and combined services depend on all.
const GATEWAY: &str = "gateway";

/// Namespaces whose Ingresses get names as routes of the Gateway API do.
const ROUTE_NAMESPACES: [&str; 5] = ["httproute", "grpcroute", "tcproute", "udproute", "tlsroute"];

/// Without any of these a path is a regular expression for itself.
const REGEX_SIGNS: [char; 8] = ['(', ')', '[', '{', '*', '+', '?', '\\'];

/// The keys of one object.
#[derive(Default)]
pub(super) struct Outline(Vec<Key>);

impl Outline {
    pub(super) fn into_keys(mut self) -> Vec<Key> {
        self.0.sort_unstable();
        self.0.dedup();
        self.0.shrink_to_fit();
        self.0
    }

    fn add(&mut self, kind: &str, parts: &[&str]) {
        let mut hasher = DefaultHasher::new();
        kind.hash(&mut hasher);
        parts.hash(&mut hasher);
        self.0.push(hasher.finish());
    }

    /// The entities of a Service's port are one for all that lead there.
    fn service(&mut self, metadata: &Metadata, name: &str) {
        self.add("service", &[&metadata.namespace, name]);
    }

    /// One certificate for each server name.
    fn server_names(&mut self, tls: &[IngressTls]) {
        for host in tls.iter().flat_map(|tls| &tls.hosts) {
            self.add("server name", &[host]);
        }
    }

    /// Names of routes are unique, and made of names that hold dots.
    fn name(&mut self, name: &str) {
        self.add("route", &[name]);
    }

    fn namespace(&mut self, metadata: &Metadata) {
        if ROUTE_NAMESPACES.contains(&&*metadata.namespace) {
            self.add(GATEWAY, &[]);
        }
    }

    /// A host and path can be claimed once: as it stands, or by a regular expression that says the same.
    fn path(&mut self, host: &str, path: &str, marker: &str) {
        // What is no regular expression is escaped in one.
        let escaped = path.contains(REGEX_SIGNS).then(|| regex::escape(path));
        for path in [Some(path), path.strip_prefix(marker), escaped.as_deref()]
            .into_iter()
            .flatten()
        {
            // An exact path ends with the sign as a regular expression.
            for path in [Some(path), path.strip_suffix('$')].into_iter().flatten() {
                let normal: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
                self.add("path", &[host, &normal.join("/")]);
            }
        }
    }

    /// A port can be claimed once for any server name.
    fn port(&mut self, transport: &str, port: u16) {
        self.add("port", &[transport, &port.to_string()]);
    }

    fn backend(&mut self, metadata: &Metadata, host: &str, backend: &IngressBackend) {
        let (namespace, name) = (&*metadata.namespace, &*metadata.name);
        let host = host.replace('*', "_");
        if let Some(service) = &backend.service {
            self.service(metadata, &service.name);
            let port = match (&*service.port.name, service.port.number) {
                ("", 0) => "implicitPort".to_owned(),
                ("", number) => number.to_string(),
                (name, _) => name.to_owned(),
            };
            self.name(&format!("{namespace}.{name}.{}.{host}.{port}", service.name));
        }
        if let Some(resource) = &backend.resource {
            self.add("facade", &[namespace, &resource.name]);
            self.name(&format!("{namespace}.{name}.{host}.{}.svc.facade", resource.name));
        }
    }

    pub(super) fn of_ingress(ingress: &Ingress) -> Self {
        let mut outline = Self::default();
        let metadata = &ingress.metadata;
        outline.namespace(metadata);
        outline.server_names(&ingress.spec.tls);
        let marker = metadata.annotation(annotations::REGEX_PREFIX).unwrap_or(REGEX_MARKER);
        let aliases = metadata.annotation(annotations::HOST_ALIASES).unwrap_or_default();
        let aliases: Vec<&str> = annotations::list(aliases).collect();
        if let Some(backend) = &ingress.spec.default_backend {
            outline.add("default backend", &[]);
            outline.name(&format!("{}.{}", metadata.namespace, metadata.name));
            outline.backend(metadata, "", backend);
            for host in [""].iter().chain(&aliases) {
                outline.path(host, "", marker);
            }
        }
        for rule in &ingress.spec.rules {
            for path in rule.http.iter().flat_map(|http| &http.paths) {
                outline.backend(metadata, &rule.host, &path.backend);
                for host in [rule.host.as_str()].iter().chain(&aliases) {
                    outline.path(host, &path.path, marker);
                }
            }
        }
        outline
    }

    pub(super) fn of_tcp_ingress(ingress: &TCPIngress) -> Self {
        let mut outline = Self::default();
        let metadata = &ingress.metadata;
        outline.namespace(metadata);
        outline.server_names(&ingress.spec.tls);
        for (position, rule) in ingress.spec.rules.iter().enumerate() {
            outline.service(metadata, &rule.backend.service_name);
            outline.name(&format!("{}.{}.{position}", metadata.namespace, metadata.name));
            outline.port("TCP", rule.port);
        }
        outline
    }

    pub(super) fn of_udp_ingress(ingress: &UDPIngress) -> Self {
        let mut outline = Self::default();
        let metadata = &ingress.metadata;
        outline.namespace(metadata);
        for (position, rule) in ingress.spec.rules.iter().enumerate() {
            outline.service(metadata, &rule.backend.service_name);
            outline.name(&format!("{}.{}.{position}.udp", metadata.namespace, metadata.name));
            outline.port("UDP", rule.port);
        }
        outline
    }

    pub(super) fn of_gateway(gateway: &Gateway) -> Self {
        let mut outline = Self::of_route();
        for listener in &gateway.spec.listeners {
            outline.add("server name", &[listener.hostname.as_deref().unwrap_or("*")]);
            outline.port(&listener.protocol, listener.port);
        }
        outline
    }

    /// Of an HTTPRoute: an Ingress may claim what it does. The hosts are its own, and those of listeners that they cover.
    pub(super) fn of_http_route(route: &HTTPRoute, listeners: &BTreeSet<Arc<str>>) -> Self {
        let mut outline = Self::of_route();
        let own = route.spec.hostnames.iter().map(String::as_str);
        let mut hosts: BTreeSet<Cow<'_, str>> = own.clone().map(hostnames::small).collect();
        if route.spec.hostnames.is_empty() {
            hosts.insert("".into());
            hosts.extend(listeners.iter().map(|name| hostnames::small(name)));
        }
        for own in own.filter(|own| own.starts_with('*')) {
            hosts.extend(listeners.iter().filter_map(|name| hostnames::intersection(own, name)));
        }
        for rule in &route.spec.rules {
            let paths = rule.matches.iter().map(|found| found.path.as_ref());
            for path in paths.chain(rule.matches.is_empty().then_some(None)) {
                let path = path.and_then(|path| path.value.as_deref()).unwrap_or("/");
                hosts.iter().for_each(|host| outline.path(host, path, REGEX_MARKER));
                if rule.filters.iter().any(|filter| filter.url_rewrite.is_some()) {
                    // What replaces a prefix catches what comes after it.
                    let caught = match path.trim_end_matches('/') {
                        "" => "/(.*)".to_owned(),
                        prefix => format!("{prefix}(/.*)"),
                    };
                    hosts.iter().for_each(|host| outline.path(host, &caught, REGEX_MARKER));
                }
            }
        }
        outline
    }

    /// Of other routes of the Gateway API.
    pub(super) fn of_route() -> Self {
        let mut outline = Self::default();
        outline.add(GATEWAY, &[]);
        outline
    }
}
