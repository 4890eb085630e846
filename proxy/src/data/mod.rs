//! The data plane: takes connections, picks a route for each request, forwards it, answers.
//!
//! A configuration is compiled into a [`Runtime`] beside the one in use and swapped in whole; requests under way finish
//! on the one that they began with. What outlives a swap is kept here: connections to upstreams, counters, names.
//!
//! - `listener`: accepts connections, TLS, HTTP/1 and HTTP/2, drain
//! - `router`: picks the route of a request, by an index
//! - `forward`: one request from its head to the end of its answer
//! - `balancer`: picks the address behind a service
//! - `plugin`: policies on routes and services
//! - `runtime`: a configuration made ready to serve
//!
//! It must not know the Admin API, files or the environment. The crate's lifecycle and the Admin API call it.

mod answer;
mod balancer;
mod forward;
mod listener;
mod options;
mod router;
mod runtime;
mod statistics;
mod tls;

use std::sync::Arc;

use arc_swap::ArcSwap;
use proxy_config_schema::{Configuration, EntityError};
use rustls::{RootCertStore, sign::CertifiedKey};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

pub(crate) use options::{DataPlaneOptions, DefaultCertificate, DnsOptions, KeepAliveOptions, Limits, ResponseHeaders};
pub(crate) use runtime::Runtime;
pub(crate) use statistics::{ConnectionStatistics, RouteTraffic, StatusCount};

/// The plugins that this data plane can run, by name. A configuration with any other is to be refused.
pub(crate) const KNOWN_PLUGINS: &[&str] = &["request-termination"];

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
    /// The default certificate and its key don't make a pair.
    #[error("default certificate: {0}")]
    DefaultCertificate(#[from] tls::KeyPairError),
}

/// Carries traffic by the configuration that was installed last.
pub(crate) struct DataPlane {
    options: DataPlaneOptions,
    runtime: ArcSwap<Runtime>,
    connections: statistics::ConnectionCounters,
    admission: Arc<Semaphore>,
    default_certificate: Option<Arc<CertifiedKey>>,
    trusted: RootCertStore,
}

impl DataPlane {
    /// A data plane without any configuration: every request gets 404.
    ///
    /// # Errors
    /// [`DataPlaneError`] if certificates among the options can't be used.
    pub(crate) fn new(options: DataPlaneOptions) -> Result<Arc<Self>, DataPlaneError> {
        let default_certificate = options
            .default_certificate
            .as_ref()
            .map(|given| tls::load(&given.chain, &given.key))
            .transpose()?;
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
        Ok(Arc::new(Self {
            options,
            runtime: ArcSwap::from_pointee(Runtime::default()),
            connections: statistics::ConnectionCounters::default(),
            admission,
            default_certificate,
            trusted,
        }))
    }

    /// Makes a configuration ready to serve, beside the one in use. It must have passed validation.
    ///
    /// # Errors
    /// The entities that can't be used: regular expressions that don't compile, certificates that rustls can't load.
    pub(crate) fn compile(&self, configuration: &Arc<Configuration>) -> Result<Runtime, Vec<EntityError>> {
        Runtime::compile(configuration, &self.runtime.load())
    }

    /// Serves by this runtime from the next request on. Never interrupts a connection or a request.
    pub(crate) fn install(&self, runtime: Runtime) {
        self.runtime.store(Arc::new(runtime));
    }

    /// Serves plain HTTP until drained: HTTP/1, and HTTP/2 with prior knowledge.
    ///
    /// When `drain` is cancelled it accepts no more, ends idle connections, announces the end on the others
    /// (`Connection: close`, GOAWAY) and returns when the last one is done. The caller bounds that time.
    pub(crate) async fn serve_http(self: Arc<Self>, listener: TcpListener, drain: CancellationToken) {
        listener::serve(self, listener, None, drain).await;
    }

    /// Serves HTTPS until drained, as [`Self::serve_http`] does.
    pub(crate) async fn serve_https(self: Arc<Self>, listener: TcpListener, drain: CancellationToken) {
        let acceptor = tls::acceptor(&self);
        listener::serve(self, listener, Some(acceptor), drain).await;
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
