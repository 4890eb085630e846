//! Names of upstreams to addresses: asked once for all that wait, kept as long as DNS says, used a while longer when
//! DNS is away.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};
use tokio::time::Instant;

use crate::data::DnsOptions;

/// Addresses of one name, at most.
const MAX_ADDRESSES: usize = 1000;

/// The name has no address that could be learned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} has no address: {reason}")]
pub(in crate::data) struct ResolveError {
    name: String,
    reason: String,
}

/// Resolves names, and remembers.
pub(in crate::data) struct Resolver {
    inner: TokioResolver,
    options: DnsOptions,
    names: Mutex<HashMap<String, Arc<Name>>>,
}

/// What is known of one name.
#[derive(Debug, Default)]
struct Name {
    known: Mutex<Option<Known>>,
    /// Held while DNS is asked, so that all who wait ask once.
    asking: tokio::sync::Mutex<()>,
    refreshing: AtomicBool,
    turn: AtomicUsize,
}

#[derive(Debug, Clone)]
struct Known {
    addresses: Result<Arc<[IpAddr]>, ResolveError>,
    until: Instant,
}

impl Resolver {
    /// A resolver that asks the given servers, else the system's. Without any only `/etc/hosts` and special names work.
    pub(in crate::data) fn new(options: DnsOptions) -> Self {
        let provider = TokioRuntimeProvider::default;
        let mut builder = if options.servers.is_empty() {
            TokioResolver::builder_tokio().unwrap_or_else(|error| {
                tracing::warn!(%error, "no name servers are known; upstreams need addresses or /etc/hosts");
                TokioResolver::builder_with_config(ResolverConfig::default(), provider())
            })
        } else {
            let servers = options.servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.to_vec())
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            TokioResolver::builder_with_config(config, provider())
        };
        let settings = builder.options_mut();
        settings.timeout = options.timeout;
        settings.attempts = 1;
        // Answers are kept here, where they can be used after their time; twice would only keep them too long.
        settings.cache_size = 0;
        let inner = builder.build().expect("no TLS or DNSSEC is asked for that could fail");
        Self {
            inner,
            options,
            names: Mutex::default(),
        }
    }

    /// An address of a name, another one each time where there are several.
    ///
    /// # Errors
    /// [`ResolveError`] when none is known; that is remembered for a short while too.
    pub(in crate::data) async fn resolve(self: &Arc<Self>, host: &str) -> Result<IpAddr, ResolveError> {
        if let Ok(address) = host.parse() {
            return Ok(address);
        }
        let name = self.name(host);
        let addresses = match name.known() {
            Some(known) if Instant::now() < known.until => known.addresses,
            Some(Known {
                addresses: Ok(addresses),
                until,
            }) if Instant::now() < until + self.options.stale_ttl => {
                self.refresh(host, &name);
                Ok(addresses)
            }
            _ => self.ask(host, &name).await,
        }?;
        let turn = name.turn.fetch_add(1, Relaxed);
        Ok(addresses[turn % addresses.len()])
    }

    fn name(&self, host: &str) -> Arc<Name> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(host) {
            return Arc::clone(name);
        }
        if names.len() >= self.options.cache_size {
            let now = Instant::now();
            names.retain(|_, name| name.known().is_some_and(|known| now < known.until));
            if names.len() >= self.options.cache_size {
                names.clear();
            }
        }
        Arc::clone(names.entry(host.to_owned()).or_default())
    }

    /// Asks in the background, unless that is under way.
    fn refresh(self: &Arc<Self>, host: &str, name: &Arc<Name>) {
        if name.refreshing.swap(true, Relaxed) {
            return;
        }
        let (resolver, host, name) = (Arc::clone(self), host.to_owned(), Arc::clone(name));
        tokio::spawn(async move {
            if let Err(error) = resolver.ask(&host, &name).await {
                tracing::warn!(%error, "an expired address is used on");
            }
            name.refreshing.store(false, Relaxed);
        });
    }

    async fn ask(&self, host: &str, name: &Name) -> Result<Arc<[IpAddr]>, ResolveError> {
        let _turn = name.asking.lock().await;
        let before = name.known();
        if let Some(known) = before.as_ref().filter(|known| Instant::now() < known.until) {
            return known.addresses.clone();
        }
        let (answer, ttl) = self.query(host).await;
        let kept = match (&answer, before) {
            // A failure doesn't displace addresses that may be used on; it only defers the next question.
            (
                Err(_),
                Some(Known {
                    addresses: Ok(_),
                    until,
                }),
            ) if Instant::now() < until + self.options.stale_ttl => None,
            _ => Some(Known {
                addresses: answer.clone(),
                until: Instant::now() + ttl,
            }),
        };
        if let Some(kept) = kept {
            *name.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        }
        answer
    }

    async fn query(&self, host: &str) -> (Result<Arc<[IpAddr]>, ResolveError>, Duration) {
        let fault = |reason: String| ResolveError {
            name: host.to_owned(),
            reason,
        };
        // The whole search list may be asked: each question has its own time-out, together they get this.
        let bound = self.options.timeout * 4;
        match tokio::time::timeout(bound, self.inner.lookup_ip(host)).await {
            Err(_) => (Err(fault("no answer in time".to_owned())), self.options.error_ttl),
            Ok(Err(error)) => (Err(fault(error.to_string())), self.options.error_ttl),
            Ok(Ok(answer)) => {
                let ttl = answer
                    .valid_until()
                    .saturating_duration_since(std::time::Instant::now());
                let addresses: Arc<[IpAddr]> = answer.iter().take(MAX_ADDRESSES).collect();
                if addresses.is_empty() {
                    return (Err(fault("the answer is empty".to_owned())), self.options.error_ttl);
                }
                (Ok(addresses), ttl)
            }
        }
    }
}

impl Name {
    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
