//! From entities to a runtime: references resolved, defaults filled in, everything that can fail built.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::{StatusCode, Uri, header::HeaderValue};
use proxy_config_schema::{
    CaCertificate, Certificate, Configuration, EntityError, Plugin, Route, Service, Target, Upstream,
};
use rustls::{RootCertStore, sign::CertifiedKey};

use super::{
    Runtime,
    entry::{Backend, Protocol, Protocols, RouteEntry, ServiceEntry},
    fault::{entity_error, field, whole},
};
use crate::data::{
    balancer::{Balancer, Destination},
    plugin::Policy,
    router::Router,
    tls::{self, IdentityKey, KeyPairError, Shown, TrustKey, UpstreamIdentity},
};

/// Kong's defaults: milliseconds, attempts.
const DEFAULT_TIMEOUT: u32 = 60_000;
const DEFAULT_RETRIES: u32 = 5;

/// Numbers TLS identities, for as long as the process lives.
static NEXT_IDENTITY: AtomicU64 = AtomicU64::new(1);

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

/// Plugins that stand apart from what they are for.
#[derive(Default)]
struct SeparatePlugins<'a> {
    global: Vec<&'a Plugin>,
    of_services: HashMap<&'a str, Vec<&'a Plugin>>,
    of_routes: HashMap<&'a str, Vec<&'a Plugin>>,
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

    fn certificates(&mut self) {
        let mut shown: HashMap<&str, Shown> = HashMap::new();
        for certificate in &self.configuration.certificates {
            let main = self.key_pair(certificate, &certificate.cert, &certificate.key, ["cert", "key"]);
            let alternative = match (&certificate.cert_alt, &certificate.key_alt) {
                (Some(chain), Some(key)) => self.key_pair(certificate, chain, key, ["cert_alt", "key_alt"]),
                _ => None,
            };
            let Some(main) = main else { continue };
            if let Some(id) = certificate.id.as_deref() {
                let known = (certificate, Arc::clone(&main));
                self.client_keys.insert(id.to_ascii_lowercase(), known);
            }
            let pair = Shown { main, alternative };
            for name in &certificate.snis {
                self.runtime.certificates.insert(&name.name, pair.clone());
            }
            if let Some(id) = certificate.id.as_deref() {
                shown.insert(id, pair);
            }
        }
        for name in &self.configuration.snis {
            let pair = name
                .certificate
                .as_ref()
                .and_then(|certificate| shown.get(certificate.key()));
            if let Some(pair) = pair {
                self.runtime.certificates.insert(&name.name, pair.clone());
            }
        }
    }

    fn key_pair(
        &mut self,
        certificate: &Certificate,
        chain: &str,
        key: &str,
        fields: [&str; 2],
    ) -> Option<Arc<CertifiedKey>> {
        let place = (chain.to_owned(), key.to_owned());
        let loaded = match self.previous.key_pairs.get(&place) {
            Some(known) => Ok(Arc::clone(known)),
            None => tls::load(chain.as_bytes(), key.as_bytes()),
        };
        match loaded {
            Ok(pair) => {
                self.runtime.key_pairs.insert(place, Arc::clone(&pair));
                Some(pair)
            }
            Err(error) => {
                let detail = match &error {
                    KeyPairError::Certificate(_) => field(fields[0], error.to_string()),
                    KeyPairError::Key(_) => field(fields[1], error.to_string()),
                    KeyPairError::Mismatch => whole(error.to_string()),
                };
                self.errors.push(entity_error(certificate, vec![detail]));
                None
            }
        }
    }

    fn authorities(&mut self) {
        for authority in &self.configuration.ca_certificates {
            if let Err(error) = add_authorities(&mut RootCertStore::empty(), &authority.cert) {
                let detail = field("cert", format!("invalid certificate: {error}"));
                self.errors.push(entity_error(authority, vec![detail]));
            }
            if let Some(id) = authority.id.as_deref() {
                self.authorities.insert(id.to_ascii_lowercase(), authority);
            }
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
                ..upstream.clone()
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
        for service in &configuration.services {
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
            for route in service.routes.iter().chain(separate) {
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

    /// The TLS identity towards a service: shared by all that trust and show the same, kept while they do.
    fn identity(
        &mut self,
        service: &Service,
        host: &str,
    ) -> Result<Arc<UpstreamIdentity>, Box<proxy_config_schema::ErrorDetail>> {
        let upstreams = &self.configuration.upstreams;
        let upstream = upstreams
            .iter()
            .find(|upstream| upstream.name.eq_ignore_ascii_case(host));
        let shown = service
            .client_certificate
            .as_ref()
            .or_else(|| upstream.and_then(|upstream| upstream.client_certificate.as_ref()));
        let client = match shown {
            None => None,
            Some(reference) => {
                let known = self.client_keys.get(&reference.key().to_ascii_lowercase());
                let missing = || Box::new(field("client_certificate", "no such certificate"));
                Some(known.ok_or_else(missing)?.clone())
            }
        };
        let trust = service.tls_verify.unwrap_or(false).then(|| {
            // Kong accepts identifiers of authorities that don't exist; they add nobody to those that are trusted.
            let authorities = service.ca_certificates.as_ref().map(|named| {
                let known = named
                    .iter()
                    .filter_map(|id| self.authorities.get(&id.to_ascii_lowercase()));
                known.map(|authority| authority.cert.clone()).collect()
            });
            TrustKey {
                authorities,
                depth: service.tls_verify_depth,
            }
        });
        let key = IdentityKey {
            trust,
            client_chain: client.as_ref().map(|(certificate, _)| certificate.cert.clone()),
        };
        let known = self
            .runtime
            .identities
            .get(&key)
            .or_else(|| self.previous.identities.get(&key));
        let identity = match known {
            Some(identity) => Arc::clone(identity),
            None => {
                let fault = |message: String| Box::new(field("ca_certificates", message));
                let roots = match &key.trust {
                    None => None,
                    Some(TrustKey { authorities: None, .. }) => Some(self.trusted.clone()),
                    Some(TrustKey {
                        authorities: Some(authorities),
                        ..
                    }) => {
                        let mut roots = RootCertStore::empty();
                        for authority in authorities {
                            add_authorities(&mut roots, authority).map_err(fault)?;
                        }
                        Some(roots)
                    }
                };
                let depth = key.trust.as_ref().and_then(|trust| trust.depth);
                let number = NEXT_IDENTITY.fetch_add(1, Relaxed);
                let client = client.map(|(_, pair)| pair);
                Arc::new(UpstreamIdentity::new(number, roots, depth, client).map_err(fault)?)
            }
        };
        self.runtime.identities.insert(key, Arc::clone(&identity));
        Ok(identity)
    }
}

fn add_authorities(roots: &mut RootCertStore, pem: &str) -> Result<(), String> {
    for authority in tls::certificates(pem.as_bytes())? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    Ok(())
}

impl<'a> SeparatePlugins<'a> {
    fn of(plugins: &'a [Plugin]) -> Self {
        let mut separate = Self::default();
        for plugin in plugins {
            match (&plugin.route, &plugin.service) {
                (Some(route), _) => separate.of_routes.entry(route.key()).or_default().push(plugin),
                (None, Some(service)) => separate.of_services.entry(service.key()).or_default().push(plugin),
                (None, None) => separate.global.push(plugin),
            }
        }
        separate
    }

    fn of_route(&self, route: &'a Route) -> Vec<&'a Plugin> {
        let keys = [route.id.as_deref(), route.name.as_deref()];
        let separate = keys.into_iter().flatten().filter_map(|key| self.of_routes.get(key));
        route.plugins.iter().chain(separate.flatten().copied()).collect()
    }

    fn of_service(&self, service: &'a Service) -> Vec<&'a Plugin> {
        let keys = [service.id.as_deref(), service.name.as_deref()];
        let separate = keys.into_iter().flatten().filter_map(|key| self.of_services.get(key));
        service.plugins.iter().chain(separate.flatten().copied()).collect()
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

/// Where a service is, from `url` or from its parts.
struct Address {
    protocol: String,
    host: String,
    port: u16,
    path: String,
}

impl Address {
    fn of(service: &Service) -> Result<Self, String> {
        let mut address = Self {
            protocol: service.protocol.clone().unwrap_or_else(|| "http".to_owned()),
            host: service.host.clone().unwrap_or_default(),
            port: service.port.unwrap_or(80),
            path: service.path.clone().unwrap_or_else(|| "/".to_owned()),
        };
        if let Some(url) = service.url.as_deref() {
            let uri: Uri = url.parse().map_err(|_| "invalid url".to_owned())?;
            let protocol = uri.scheme_str().ok_or("missing scheme in url")?;
            let default_port = Protocol::named(protocol).map_or(80, Protocol::default_port);
            address.protocol = protocol.to_owned();
            address.host = uri.host().ok_or("missing host in url")?.to_owned();
            address.port = uri.port_u16().unwrap_or(default_port);
            address.path = uri.path().to_owned();
        }
        address.host = address.host.trim_matches(['[', ']']).to_ascii_lowercase();
        if address.path.is_empty() {
            address.path.push('/');
        }
        Ok(address)
    }
}
