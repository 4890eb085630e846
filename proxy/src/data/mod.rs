//! The data plane: takes connections, picks a route for each request, forwards it, answers.
//!
//! A configuration is compiled into a [`Runtime`] beside the one in use and swapped in whole; requests under way finish
//! on the one that they began with. What outlives a swap is kept here: connections to upstreams, counters, names.
//!
//! - `listener`: accepts connections, TLS, HTTP/1 and HTTP/2
//! - `drain`: how far the end of the traffic has come
//! - `router`: picks the route of a request, by an index
//! - `forward`: one request from its head to the end of its answer
//! - `balancer`: picks the address behind a service
//! - `plugin`: policies on routes and services
//! - `runtime`: a configuration made ready to serve
//!
//! It must not know the Admin API, files or the environment. The crate's lifecycle and the Admin API call it.

mod answer;
mod balancer;
mod drain;
mod forward;
mod listener;
mod options;
mod plugin;
mod router;
mod runtime;
mod statistics;
mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use proxy_config_schema::{Configuration, EntityError};
use rustls::{RootCertStore, sign::CertifiedKey};
use tokio::{net::TcpListener, sync::Semaphore};

use balancer::Resolver;
use forward::Pools;

pub(crate) use drain::Drain;
pub(crate) use options::{DataPlaneOptions, DnsOptions, KeepAliveOptions, Limits, ResponseHeaders, Trust};
pub(crate) use plugin::{KNOWN_PLUGINS, check as check_plugin, schema as plugin_schema};
pub(crate) use runtime::Runtime;
#[cfg(test)]
pub(crate) use statistics::StatusCount;
pub(crate) use statistics::{ConnectionStatistics, RouteTraffic};
pub(crate) use tls::{DefaultCertificate, KeyPairError};

/// How often idle connections to upstreams are looked through.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why a data plane can't be made from its options.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataPlaneError {
    /// A bundle of trusted authorities holds no usable certificate.
    #[error("trusted authorities, bundle {index}: {reason}")]
    TrustedAuthorities {
        /// Which bundle, counted from 1.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No self-signed certificate can be made.
    #[error("self-signed certificate: {0}")]
    SelfSigned(#[from] KeyPairError),
}

/// Carries traffic by the configuration that was installed last.
pub(crate) struct DataPlane {
    options: DataPlaneOptions,
    runtime: ArcSwap<Runtime>,
    connections: statistics::ConnectionCounters,
    admission: Arc<Semaphore>,
    default_certificate: ArcSwap<CertifiedKey>,
    trusted: RootCertStore,
    resolver: Arc<Resolver>,
    pools: Arc<Pools>,
    sweeping: AtomicBool,
}

impl DataPlane {
    /// A data plane without any configuration: every request gets 404.
    ///
    /// # Errors
    /// [`DataPlaneError`] if certificates among the options can't be used.
    pub(crate) fn new(options: DataPlaneOptions) -> Result<Arc<Self>, DataPlaneError> {
        let default_certificate = tls::self_signed()?;
        let mut trusted = RootCertStore::empty();
        for (position, bundle) in options.trusted_authorities.iter().enumerate() {
            let fault = |reason| DataPlaneError::TrustedAuthorities {
                index: position + 1,
                reason,
            };
            for authority in tls::certificates(bundle).map_err(fault)? {
                trusted.add(authority).map_err(|error| fault(error.to_string()))?;
            }
        }
        let admission = Arc::new(Semaphore::new(options.limits.max_connections));
        let resolver = Arc::new(Resolver::new(options.dns.clone()));
        let pools = Arc::new(Pools::new(options.keep_alive));
        Ok(Arc::new(Self {
            options,
            runtime: ArcSwap::from_pointee(Runtime::default()),
            connections: statistics::ConnectionCounters::default(),
            admission,
            default_certificate: ArcSwap::from(default_certificate),
            trusted,
            resolver,
            pools,
            sweeping: AtomicBool::new(false),
        }))
    }

    /// Makes a configuration ready to serve, beside the one in use. It must have passed validation.
    ///
    /// # Errors
    /// The entities that can't be used: regular expressions that don't compile, certificates that rustls can't load.
    pub(crate) fn compile(&self, configuration: &Arc<Configuration>) -> Result<Runtime, Vec<EntityError>> {
        Runtime::compile(configuration, &self.runtime.load(), &self.trusted)
    }

    /// Serves by this runtime from the next request on. Never interrupts a connection or a request.
    pub(crate) fn install(&self, runtime: Runtime) {
        let identities = runtime.identities();
        self.runtime.store(Arc::new(runtime));
        self.pools.retain_identities(&identities);
    }

    /// Shows this certificate, from the next handshake on, where no other is for the server name. Before that, a
    /// self-signed one is shown.
    pub(crate) fn set_default_certificate(&self, certificate: DefaultCertificate) {
        self.default_certificate.store(certificate.into_shown());
    }

    /// Serves plain HTTP until drained: HTTP/1, and HTTP/2 with prior knowledge.
    ///
    /// When `drain` has begun it accepts no more, announces the end (`Connection: close`, GOAWAY), ends connections that stay
    /// idle, and returns when the last one is done. The caller bounds that time, and cuts what is left.
    pub(crate) async fn serve_http(self: Arc<Self>, listener: TcpListener, drain: Drain) {
        self.sweep_in_background();
        listener::serve(self, listener, None, drain).await;
    }

    /// Serves HTTPS until drained, as [`Self::serve_http`] does: HTTP/1, and HTTP/2 if that is wanted.
    pub(crate) async fn serve_https(self: Arc<Self>, listener: TcpListener, http2: bool, drain: Drain) {
        self.sweep_in_background();
        let acceptor = tls::acceptor(&self, http2);
        listener::serve(self, listener, Some(acceptor), drain).await;
    }

    /// Closes connections that idle for too long, for as long as the data plane lives.
    fn sweep_in_background(self: &Arc<Self>) {
        if self.sweeping.swap(true, Relaxed) {
            return;
        }
        let plane = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(SWEEP_INTERVAL);
            loop {
                interval.tick().await;
                let Some(plane) = plane.upgrade() else { return };
                plane.pools.sweep();
            }
        });
    }

    /// Connections and requests so far, for `GET /status`.
    pub(crate) fn statistics(&self) -> ConnectionStatistics {
        self.connections.snapshot()
    }

    /// Requests so far per route, for metrics.
    pub(crate) fn traffic(&self) -> Vec<RouteTraffic> {
        self.runtime.load().traffic()
    }
}

#[cfg(test)]
mod tests;
