//! From entities to a runtime: references resolved, defaults filled in, everything that can fail built.

mod address;
mod certificates;
mod plugins;

use std::{collections::HashMap, sync::Arc, time::Duration};

use hyper::{StatusCode, header::HeaderValue};
use proxy_config_schema::{
    CaCertificate, Certificate, Configuration, EntityError, Plugin, Route, Service, Target, Upstream,
};
use rustls::{RootCertStore, sign::CertifiedKey};

use super::{
    Runtime,
    entry::{Backend, Protocol, Protocols, RouteEntry, ServiceEntry},
    fault::{entity_error, field},
};
use crate::data::{
    balancer::{Balancer, Destination},
    plugin::Policy,
    router::Router,
};

use address::Address;
use plugins::SeparatePlugins;

/// Kong's defaults: milliseconds, attempts.
const DEFAULT_TIMEOUT: u32 = 60_000;
const DEFAULT_RETRIES: u32 = 5;

/// Collects a runtime and everything that is wrong with its configuration.
pub(super) struct Compiler<'a> {
    configuration: &'a Configuration,
    previous: &'a Runtime,
    trusted: &'a RootCertStore,
    runtime: Runtime,
    errors: Vec<EntityError>,
    /// By identifier, in lower case.
    client_keys: HashMap<String, (&'a Certificate, Arc<CertifiedKey>)>,
    /// By identifier, in lower case.
    authorities: HashMap<String, &'a CaCertificate>,
    /// Plugins that stand apart, by the name or identifier of what they are for.
    plugins: SeparatePlugins<'a>,
}

/// Policies with how specific they are: the name decides which of several acts.
type Policies = Vec<(String, Arc<Policy>)>;

impl<'a> Compiler<'a> {
    pub(super) fn new(configuration: &'a Configuration, previous: &'a Runtime, trusted: &'a RootCertStore) -> Self {
        Self {
            configuration,
            previous,
            trusted,
            runtime: Runtime::default(),
            errors: Vec::new(),
            client_keys: HashMap::new(),
            authorities: HashMap::new(),
            plugins: SeparatePlugins::of(&configuration.plugins),
        }
    }

    pub(super) fn run(mut self) -> Result<Runtime, Vec<EntityError>> {
        self.certificates();
        self.authorities();
        self.upstreams();
        self.routes();
        if self.errors.is_empty() {
            Ok(self.runtime)
        } else {
            Err(self.errors)
        }
    }

    fn upstreams(&mut self) {
        let mut separate: HashMap<&str, Vec<&Target>> = HashMap::new();
        for target in &self.configuration.targets {
            if let Some(upstream) = &target.upstream {
                separate.entry(upstream.key()).or_default().push(target);
            }
        }
        for upstream in &self.configuration.upstreams {
            let keys = [Some(upstream.name.as_str()), upstream.id.as_deref()];
            let separate = keys.into_iter().flatten().filter_map(|key| separate.get(key)).flatten();
            let separate: Vec<Target> = separate.copied().cloned().collect();
            let mut upstream = Upstream {
                name: upstream.name.to_ascii_lowercase(),
                ..Upstream::clone(upstream)
            };
            upstream.targets.extend(separate);
            let name = upstream.name.clone();
            let balancer = Balancer::new(upstream, self.previous.balancers.get(&name));
            self.runtime.balancers.insert(name, balancer);
        }
    }

    fn routes(&mut self) {
        let configuration = self.configuration;
        let global = self.plugins.global.clone();
        let global = self.policies(global);
        let mut listed: Vec<Option<&Route>> = Vec::new();
        let mut separate: HashMap<&str, Vec<&Route>> = HashMap::new();
        for route in &configuration.routes {
            match route.service.as_ref() {
                Some(service) => separate.entry(service.key()).or_default().push(route),
                None => {
                    let policies = self.policies(self.plugins.of_route(route));
                    self.route(route, None, [policies, Vec::new(), global.clone()]);
                    listed.push(Some(route));
                }
            }
        }
        for service in configuration.services.iter().map(Arc::as_ref) {
            let enabled = service.enabled.unwrap_or(true);
            let entry = self.service(service);
            let of_service = self.policies(self.plugins.of_service(service));
            let keys = [service.id.as_deref(), service.name.as_deref()];
            let separate = keys
                .into_iter()
                .flatten()
                .filter_map(|key| separate.get(key))
                .flatten()
                .copied();
            for route in service.routes.iter().map(Arc::as_ref).chain(separate) {
                let policies = self.policies(self.plugins.of_route(route));
                let takes_part = enabled && entry.is_some();
                let entry = entry.clone().map(|entry| (entry, service));
                self.route(route, entry, [policies, of_service.clone(), global.clone()]);
                listed.push(takes_part.then_some(route));
            }
        }
        let http = |route: &Option<&'a Route>| route.filter(|route| !is_stream(route));
        match Router::new(listed.iter().map(http), &self.previous.router) {
            Ok(router) => self.runtime.router = router,
            Err(errors) => {
                for (position, error) in errors {
                    let Some(route) = listed[position] else { continue };
                    let detail = field(error.field, error.message);
                    self.errors.push(entity_error(route, vec![detail]));
                }
            }
        }
    }

    fn route(&mut self, route: &Route, service: Option<(Arc<ServiceEntry>, &Service)>, policies: [Policies; 3]) {
        let mut chosen: Policies = Vec::new();
        for (name, policy) in policies.into_iter().flatten() {
            if !chosen.iter().any(|(known, _)| *known == name) {
                chosen.push((name, policy));
            }
        }
        let label =
            |name: &Option<String>, id: &Option<String>| name.clone().or_else(|| id.clone()).unwrap_or_default();
        let labels = (
            service
                .as_ref()
                .map(|(_, service)| label(&service.name, &service.id))
                .unwrap_or_default(),
            label(&route.name, &route.id),
        );
        let counters = self.previous.counters.get(&labels).cloned().unwrap_or_default();
        self.runtime.counters.insert(labels.clone(), Arc::clone(&counters));
        let status = route.https_redirect_status_code.unwrap_or(426);
        self.runtime.routes.push(Some(Arc::new(RouteEntry {
            id: header_value(route.id.as_deref()),
            name: header_value(route.name.as_deref()),
            service: service.map(|(entry, _)| entry),
            protocols: protocols(route),
            https_redirect_status: StatusCode::from_u16(status).unwrap_or(StatusCode::UPGRADE_REQUIRED),
            strip_path: route.strip_path.unwrap_or(true),
            preserve_host: route.preserve_host.unwrap_or(false),
            policies: chosen.into_iter().map(|(_, policy)| policy).collect(),
            labels,
            counters,
        })));
    }

    fn policies(&mut self, plugins: Vec<&Plugin>) -> Policies {
        let mut policies = Vec::new();
        for plugin in plugins {
            // Consumers and their groups are never identified here, so what is for them alone never acts.
            let for_all = plugin.consumer.is_none() && plugin.consumer_group.is_none();
            match Policy::new(plugin) {
                Ok(policy) if plugin.enabled.unwrap_or(true) && for_all => {
                    policies.push((plugin.name.clone(), Arc::new(policy)));
                }
                Ok(_) => {}
                Err(errors) => self.errors.push(entity_error(plugin, errors)),
            }
        }
        policies
    }

    fn service(&mut self, service: &Service) -> Option<Arc<ServiceEntry>> {
        let address = match Address::of(service) {
            Ok(address) => address,
            Err(message) => {
                self.errors.push(entity_error(service, vec![field("url", message)]));
                return None;
            }
        };
        let protocol = Protocol::named(&address.protocol)?;
        let identity = if protocol.tls {
            match self.identity(service, &address.host) {
                Ok(identity) => Some(identity),
                Err(detail) => {
                    self.errors.push(entity_error(service, vec![*detail]));
                    return None;
                }
            }
        } else {
            None
        };
        let backend = match self.runtime.balancers.get(&address.host) {
            Some(balancer) => Backend::Upstream(Arc::clone(balancer)),
            None => Backend::Host(Destination {
                host: address.host,
                port: address.port,
            }),
        };
        let timeout = |given: Option<u32>| Duration::from_millis(u64::from(given.unwrap_or(DEFAULT_TIMEOUT)));
        Some(Arc::new(ServiceEntry {
            id: header_value(service.id.as_deref()),
            name: header_value(service.name.as_deref()),
            protocol,
            backend,
            path: address.path,
            retries: service.retries.unwrap_or(DEFAULT_RETRIES),
            connect_timeout: timeout(service.connect_timeout),
            read_timeout: timeout(service.read_timeout),
            write_timeout: timeout(service.write_timeout),
            identity,
        }))
    }
}

fn header_value(text: Option<&str>) -> Option<HeaderValue> {
    text.and_then(|text| HeaderValue::from_str(text).ok())
}

fn is_stream(route: &Route) -> bool {
    let protocols = route.protocols.as_deref().unwrap_or_default();
    !protocols.is_empty() && !protocols.iter().any(|name| Protocol::named(name).is_some())
}

fn protocols(route: &Route) -> Protocols {
    let Some(names) = route.protocols.as_ref() else {
        return Protocols {
            http: true,
            https: true,
            ..Protocols::default()
        };
    };
    let has = |name: &str| names.iter().any(|given| given == name);
    Protocols {
        http: has("http") || has("ws"),
        https: has("https") || has("wss"),
        grpc: has("grpc"),
        grpcs: has("grpcs"),
    }
}
