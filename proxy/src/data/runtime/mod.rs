//! A configuration made ready to serve.

mod compile;
mod entry;
mod fault;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use proxy_config_schema::{Configuration, EntityError, Upstream};
use rustls::{RootCertStore, sign::CertifiedKey};

use super::{
    balancer::Balancer,
    plugin::Policy,
    router::{RequestFacts, RouteMatch, Router},
    statistics::{RouteCounters, RouteTraffic},
    tls::{CertificateStore, IdentityKey, UpstreamIdentity},
};

pub(super) use entry::{Backend, RouteEntry, ServiceEntry};

/// A configuration made ready to serve. Immutable but for balancer positions and counters.
#[derive(Default)]
pub(crate) struct Runtime {
    router: Router,
    /// In the order that the router knows them by; `None` where a route takes no part.
    routes: Vec<Option<Arc<RouteEntry>>>,
    certificates: CertificateStore,
    /// By their upstreams' names in lower case, with what they were made of.
    balancers: HashMap<String, (Arc<Upstream>, Arc<Balancer>)>,
    /// By the addresses of services in `configuration`.
    services: HashMap<usize, Arc<ServiceEntry>>,
    /// By the addresses of plugins in `configuration`.
    policies: HashMap<usize, Arc<Policy>>,
    /// Loaded key pairs by their PEM texts, so that an unchanged one is not loaded again.
    key_pairs: HashMap<(String, String), Arc<CertifiedKey>>,
    identities: HashMap<IdentityKey, Arc<UpstreamIdentity>>,
    /// Counters by the names of service and route.
    counters: HashMap<Arc<(String, String)>, Arc<RouteCounters>>,
    /// What all this was made of: as long as it is held, an address stands for one entity.
    configuration: Arc<Configuration>,
}

impl Runtime {
    /// Builds everything that can fail. Whatever is unchanged since `previous` is taken over.
    ///
    /// # Errors
    /// Every entity that can't be used, with what is wrong.
    pub(super) fn compile(
        configuration: &Arc<Configuration>,
        previous: &Self,
        trusted: &RootCertStore,
    ) -> Result<Self, Vec<EntityError>> {
        compile::Compiler::new(configuration, previous, trusted).run()
    }

    /// The route of a request.
    pub(super) fn find(&self, request: &RequestFacts<'_>) -> Option<(RouteMatch, &Arc<RouteEntry>)> {
        let found = self.router.find(request)?;
        Some((found, self.routes[found.route].as_ref()?))
    }

    /// The router itself, for captures.
    pub(super) fn router(&self) -> &Router {
        &self.router
    }

    /// Certificates by server name.
    pub(super) fn certificates(&self) -> &CertificateStore {
        &self.certificates
    }

    /// The numbers of the TLS identities in use.
    pub(super) fn identities(&self) -> HashSet<u64> {
        self.identities.values().map(|identity| identity.number).collect()
    }

    /// Requests so far per route.
    pub(super) fn traffic(&self) -> Vec<RouteTraffic> {
        let counters = self.counters.iter();
        counters
            .map(|(labels, counters)| counters.snapshot(&labels.0, &labels.1))
            .collect()
    }

    /// The service with this identifier.
    fn service_of(&self, id: &str) -> Option<&Arc<ServiceEntry>> {
        let mut services = self.configuration.services.iter();
        let service = services.find(|service| service.id.as_deref() == Some(id))?;
        self.services.get(&Arc::as_ptr(service).addr())
    }
}
