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
    configuration: &'a Arc<Configuration>,
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
type Policies<'a> = Vec<(&'a str, Arc<Policy>)>;

impl<'a> Compiler<'a> {
    pub(super) fn new(
        configuration: &'a Arc<Configuration>,
        previous: &'a Runtime,
        trusted: &'a RootCertStore,
    ) -> Self {
        Self {
            configuration,
            previous,
            trusted,
            runtime: Runtime {
                configuration: Arc::clone(configuration),
                ..Runtime::default()
            },
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
        let configuration = self.configuration;
        let mut separate: HashMap<&str, Vec<&Target>> = HashMap::new();
        for target in &configuration.targets {
            if let Some(upstream) = &target.upstream {
                separate.entry(upstream.key()).or_default().push(target);
            }
        }
        self.runtime.balancers.reserve(configuration.upstreams.len());
        for upstream in &configuration.upstreams {
            let name = upstream.name.to_ascii_lowercase();
            let keys = [Some(upstream.name.as_str()), upstream.id.as_deref()];
            let separate = keys.into_iter().flatten().filter_map(|key| separate.get(key)).flatten();
            let separate: Vec<Target> = separate.copied().cloned().collect();
            let previous = self.previous.balancers.get(&name);
            let balancer = match previous {
                Some((source, balancer)) if separate.is_empty() && Arc::ptr_eq(source, upstream) => {
                    Arc::clone(balancer)
                }
                previous => {
                    let mut complete = Upstream {
                        name: name.clone(),
                        ..Upstream::clone(upstream)
                    };
                    complete.targets.extend(separate);
                    Balancer::new(complete, previous.map(|(_, balancer)| balancer))
                }
            };
            self.runtime.balancers.insert(name, (Arc::clone(upstream), balancer));
        }
    }

    fn routes(&mut self) {
        let configuration = self.configuration;
        let global = self.plugins.global.clone();
        let global = self.policies(&global);
        let mut listed: Vec<Option<&Arc<Route>>> = Vec::with_capacity(self.previous.routes.len());
        self.runtime.routes.reserve(self.previous.routes.len());
        self.runtime.counters.reserve(self.previous.counters.len());
        let mut separate: HashMap<&str, Vec<&Arc<Route>>> = HashMap::new();
        for route in &configuration.routes {
            match route.service.as_ref() {
                Some(service) => separate.entry(service.key()).or_default().push(route),
                None => {
                    let policies = self.policies(&self.plugins.of_route(route));
                    self.route(route, None, [&policies, &Vec::new(), &global]);
                    listed.push(Some(route));
                }
            }
        }
        for service in &configuration.services {
            let enabled = service.enabled.unwrap_or(true);
            let entry = self.service(service);
            let of_service = self.policies(&self.plugins.of_service(service));
            let keys = [service.id.as_deref(), service.name.as_deref()];
            let separate = keys
                .into_iter()
                .flatten()
                .filter_map(|key| separate.get(key))
                .flatten()
                .copied();
            for route in service.routes.iter().chain(separate) {
                let policies = self.policies(&self.plugins.of_route(route));
                let takes_part = enabled && entry.is_some();
                let entry = entry.as_ref().map(|entry| (entry, &**service));
                self.route(route, entry, [&policies, &of_service, &global]);
                listed.push(takes_part.then_some(route));
            }
        }
        let http = |route: &Option<&'a Arc<Route>>| route.filter(|route| !is_stream(route));
        match Router::new(listed.iter().map(http), &self.previous.router) {
            Ok(router) => self.runtime.router = router,
            Err(errors) => {
                for (position, error) in errors {
                    let Some(route) = listed[position] else { continue };
                    let detail = field(error.field, error.message);
                    self.errors.push(entity_error(&**route, vec![detail]));
                }
            }
        }
    }

    fn route(
        &mut self,
        route: &Arc<Route>,
        service: Option<(&Arc<ServiceEntry>, &Service)>,
        policies: [&Policies<'_>; 3],
    ) {
        let mut chosen: Policies<'_> = Vec::new();
        for (name, policy) in policies.into_iter().flatten() {
            if !chosen.iter().any(|(known, _)| known == name) {
                chosen.push((name, Arc::clone(policy)));
            }
        }
        let entry = match self.unchanged(route, service.map(|(entry, _)| entry), &chosen) {
            Some(entry) => entry,
            None => Arc::new(self.new_route(route, service, chosen)),
        };
        let counters = Arc::clone(&entry.counters);
        self.runtime.counters.insert(Arc::clone(&entry.labels), counters);
        self.runtime.routes.push(Some(entry));
    }

    /// The entry that the runtime before has for a route, if nothing that it was made of is another.
    fn unchanged(
        &self,
        route: &Arc<Route>,
        service: Option<&Arc<ServiceEntry>>,
        policies: &Policies<'_>,
    ) -> Option<Arc<RouteEntry>> {
        let position = self.previous.router.position(route)?;
        let entry = self.previous.routes.get(position)?.as_ref()?;
        let same_service = match (&entry.service, service) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => true,
            _ => false,
        };
        let before = entry.policies.iter();
        let same_policies =
            before.len() == policies.len() && before.zip(policies).all(|(before, (_, now))| Arc::ptr_eq(before, now));
        (same_service && same_policies).then(|| Arc::clone(entry))
    }

    fn new_route(
        &self,
        route: &Route,
        service: Option<(&Arc<ServiceEntry>, &Service)>,
        policies: Policies<'_>,
    ) -> RouteEntry {
        let label =
            |name: &Option<String>, id: &Option<String>| name.clone().or_else(|| id.clone()).unwrap_or_default();
        let labels = (
            service
                .map(|(_, service)| label(&service.name, &service.id))
                .unwrap_or_default(),
            label(&route.name, &route.id),
        );
        let counters = self.previous.counters.get(&labels).cloned().unwrap_or_default();
        let status = route.https_redirect_status_code.unwrap_or(426);
        let protocols = protocols(route);
        RouteEntry {
            id: header_value(route.id.as_deref()),
            name: header_value(route.name.as_deref()),
            service: service.map(|(entry, _)| Arc::clone(entry)),
            protocols,
            https_redirect_status: StatusCode::from_u16(status).unwrap_or(StatusCode::UPGRADE_REQUIRED),
            // The path of a gRPC call is its method.
            strip_path: route.strip_path.unwrap_or(!protocols.grpc && !protocols.grpcs),
            preserve_host: route.preserve_host.unwrap_or(false),
            policies: policies.into_iter().map(|(_, policy)| policy).collect(),
            labels: Arc::new(labels),
            counters,
        }
    }

    /// The policies of plugins. One that the runtime before has made of the same allocation is the same again.
    fn policies<'p>(&mut self, plugins: &[&'p Plugin]) -> Policies<'p> {
        let mut policies = Vec::new();
        for plugin in plugins {
            // Consumers and their groups are never identified here, so what is for them alone never acts.
            let for_all = plugin.consumer.is_none() && plugin.consumer_group.is_none();
            let address = std::ptr::from_ref(*plugin).addr();
            let policy = match self.previous.policies.get(&address) {
                Some(known) => Ok(Arc::clone(known)),
                None => Policy::new(plugin).map(Arc::new),
            };
            match policy {
                Ok(policy) => {
                    self.runtime.policies.insert(address, Arc::clone(&policy));
                    if plugin.enabled.unwrap_or(true) && for_all {
                        policies.push((plugin.name.as_str(), policy));
                    }
                }
                Err(errors) => self.errors.push(entity_error(*plugin, errors)),
            }
        }
        policies
    }

    /// Makes a service ready, or takes over what the runtime before has made of the same.
    fn service(&mut self, service: &Arc<Service>) -> Option<Arc<ServiceEntry>> {
        let address = Arc::as_ptr(service).addr();
        let before = self
            .previous
            .services
            .get(&address)
            .filter(|entry| self.still_leads(entry));
        let entry = match before {
            Some(entry) => Arc::clone(entry),
            None => {
                let entry = self.new_service(service)?;
                // Another allocation when one of its routes has changed: the rest may be the same.
                let before = service.id.as_deref().and_then(|id| self.previous.service_of(id));
                match before.filter(|before| before.is_same(&entry)) {
                    Some(before) => Arc::clone(before),
                    None => Arc::new(entry),
                }
            }
        };
        self.runtime.services.insert(address, Arc::clone(&entry));
        Some(entry)
    }

    /// Whether requests to a service still go where they went.
    fn still_leads(&self, entry: &ServiceEntry) -> bool {
        let same_backend = match &entry.backend {
            Backend::Upstream(before) => {
                let now = self.runtime.balancers.get(before.name());
                now.is_some_and(|(_, now)| Arc::ptr_eq(before, now))
            }
            Backend::Host(destination) => !self.runtime.balancers.contains_key(&destination.host),
        };
        // What TLS connections trust and show stands in other entities.
        same_backend && entry.identity.is_none()
    }

    fn new_service(&mut self, service: &Service) -> Option<ServiceEntry> {
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
            Some((_, balancer)) => Backend::Upstream(Arc::clone(balancer)),
            None => Backend::Host(Destination {
                host: address.host,
                port: address.port,
            }),
        };
        let timeout = |given: Option<u32>| Duration::from_millis(u64::from(given.unwrap_or(DEFAULT_TIMEOUT)));
        Some(ServiceEntry {
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
        })
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
