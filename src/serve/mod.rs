//! What people and probes read over HTTP: health, metrics, the dashboard and its JSON API.
//!
//! Reads the same values as `status`; changes nothing; never imports another module of the rim. Started by `wiring`.

mod access;
pub mod admission;
mod api;
mod dashboard;
mod health;
mod https;
pub mod identity;
mod listener;
mod liveness;
mod metrics;
mod proxy_configuration;

use std::{net::SocketAddr, sync::Arc};

pub use self::{access::MetricsAccess, listener::ListenError, proxy_configuration::ReadConfiguration};
use axum::Router;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use self::listener::listen;
use crate::{
    fleet::FleetView,
    liveness::Liveness,
    model::{Leadership, Problem, Snapshot},
    render::Rendition,
};

/// The values that are shown, always the latest.
#[derive(Clone)]
pub struct Sources {
    /// The proxies.
    pub view: watch::Receiver<Arc<FleetView>>,
    /// What they shall run, and what is wrong.
    pub rendition: watch::Receiver<Option<Arc<Rendition>>>,
    /// The objects.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// This replica's part.
    pub leadership: watch::Receiver<Leadership>,
    /// What can be said of objects.
    pub liveness: watch::Receiver<Liveness>,
    /// One for each Admin Service that has no proxies.
    pub deserted: watch::Receiver<Arc<[Problem]>>,
    /// Asks a proxy for what it runs.
    pub read_configuration: ReadConfiguration,
    /// Writes the metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Who may read them; everybody when `None`.
    pub metrics_access: Option<Arc<MetricsAccess>>,
}

/// Where something is served.
#[derive(Debug, Clone)]
pub enum Place {
    /// At that address.
    At(SocketAddr),
    /// On what listens already.
    Open(Arc<std::net::TcpListener>),
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::At(address)
    }
}

/// Where what is served.
#[derive(Debug, Clone, Default)]
pub struct ServeSettings {
    /// `/healthz` and `/readyz`.
    pub health: Option<SocketAddr>,
    /// `/metrics`.
    pub metrics: Option<SocketAddr>,
    /// The dashboard and `/api/v1`.
    pub dashboard: Option<Place>,
}

/// Where things are served in fact (port 0 has become a port).
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// `/healthz` and `/readyz`.
    pub health: Option<SocketAddr>,
    /// `/metrics`.
    pub metrics: Option<SocketAddr>,
    /// The dashboard.
    pub dashboard: Option<SocketAddr>,
}

/// Opens all listeners, then serves until `shutdown`; within a tokio runtime.
///
/// # Errors
/// Names the address that is taken, and the flag that changes it.
pub fn start(settings: &ServeSettings, sources: Sources, shutdown: &CancellationToken) -> Result<Served, ListenError> {
    let health = listen("health", "health-probe-bind-address", settings.health.map(Place::At))?;
    let metrics = listen("metrics", "metrics-bind-address", settings.metrics.map(Place::At))?;
    let dashboard = listen("the dashboard", "dashboard-bind-address", settings.dashboard.clone())?;
    let address = |listener: &Option<TcpListener>| listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let served = Served {
        health: address(&health),
        metrics: address(&metrics),
        dashboard: address(&dashboard),
    };
    let dashboard_address = served.dashboard;
    serve(health, health::router(sources.clone()), shutdown);
    serve(
        metrics,
        metrics::router(sources.metrics.clone(), sources.metrics_access.clone()),
        shutdown,
    );
    if let Some(address) = dashboard_address {
        serve(dashboard, dashboard::router(sources, address), shutdown);
    }
    Ok(served)
}

fn serve(listener: Option<TcpListener>, router: Router, shutdown: &CancellationToken) {
    let Some(listener) = listener else { return };
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        // Open event streams must not hold the end up: they are dropped with the runtime.
        tokio::select! {
            served = async { axum::serve(listener, router).await } => if let Err(error) = served {
                tracing::error!(%error, "a listener ended");
            },
            () = shutdown.cancelled() => {}
        }
    });
}
