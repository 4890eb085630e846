//! What has passed through: connections for `GET /status`, requests per route for metrics. Atomics only.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// The numbers of Kong's `GET /status`, object `server`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct ConnectionStatistics {
    /// Connections accepted since the start.
    pub connections_accepted: u64,
    /// Connections open now.
    pub connections_active: u64,
    /// Connections served since the start.
    pub connections_handled: u64,
    /// Connections that are receiving a request's headers.
    pub connections_reading: u64,
    /// Requests that are being answered.
    pub connections_writing: u64,
    /// Idle connections.
    pub connections_waiting: u64,
    /// Requests since the start.
    pub total_requests: u64,
}

/// The counters behind [`ConnectionStatistics`].
#[derive(Debug, Default)]
pub(super) struct ConnectionCounters {
    accepted: AtomicU64,
    handled: AtomicU64,
    active: Arc<AtomicU64>,
    handshaking: Arc<AtomicU64>,
    running: Arc<AtomicU64>,
    requests: AtomicU64,
}

impl ConnectionCounters {
    pub(super) fn snapshot(&self) -> ConnectionStatistics {
        let active = self.active.load(Relaxed);
        let reading = self.handshaking.load(Relaxed);
        let writing = self.running.load(Relaxed);
        ConnectionStatistics {
            connections_accepted: self.accepted.load(Relaxed),
            connections_active: active,
            connections_handled: self.handled.load(Relaxed),
            connections_reading: reading,
            connections_writing: writing,
            connections_waiting: active.saturating_sub(reading).saturating_sub(writing),
            total_requests: self.requests.load(Relaxed),
        }
    }

    /// Counts a connection for as long as the guard lives.
    pub(super) fn connection(&self) -> Gauge {
        self.accepted.fetch_add(1, Relaxed);
        self.handled.fetch_add(1, Relaxed);
        Gauge::raise(&self.active)
    }

    /// Counts a connection that has not come to its first request.
    pub(super) fn handshake(&self) -> Gauge {
        Gauge::raise(&self.handshaking)
    }

    /// Counts a request for as long as the guard lives.
    pub(super) fn request(&self) -> Gauge {
        self.requests.fetch_add(1, Relaxed);
        Gauge::raise(&self.running)
    }
}

/// Holds a gauge up by one.
#[derive(Debug)]
pub(super) struct Gauge(Arc<AtomicU64>);

impl Gauge {
    fn raise(gauge: &Arc<AtomicU64>) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(Arc::clone(gauge))
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What one route has carried since it first appeared, for metrics.
#[derive(Debug, Clone, Default)]
pub(crate) struct RouteTraffic {
    /// Name of the service, else its identifier; empty for a route without one.
    pub service: String,
    /// Name of the route, else its identifier.
    pub route: String,
    /// Requests by status code and by who answered.
    pub requests: Vec<StatusCount>,
    /// Bytes of request bodies.
    pub bytes_received: u64,
    /// Bytes of response bodies.
    pub bytes_sent: u64,
    /// Requests that reached an upstream.
    pub upstream_requests: u64,
    /// Milliseconds from sending to an upstream until its response headers, summed up.
    pub upstream_latency_milliseconds: u64,
    /// Milliseconds from a request's headers to its response's headers without the upstream's share, summed up.
    pub proxy_latency_milliseconds: u64,
}

/// How often a status code was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StatusCount {
    /// HTTP status code.
    pub code: u16,
    /// Whether the upstream's answer was passed on (`service`), or the proxy itself answered (`kong`).
    pub from_upstream: bool,
    /// How often.
    pub count: u64,
}

/// The counters behind [`RouteTraffic`]; they live on while a route of this name stays.
#[derive(Debug, Default)]
pub(super) struct RouteCounters {
    requests: RwLock<Vec<(u16, bool, AtomicU64)>>,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    upstream_requests: AtomicU64,
    upstream_latency: AtomicU64,
    proxy_latency: AtomicU64,
}

impl RouteCounters {
    /// Counts an answer.
    pub(super) fn answered(&self, code: u16, from_upstream: bool, proxy: Duration, upstream: Option<Duration>) {
        self.proxy_latency.fetch_add(milliseconds(proxy), Relaxed);
        if let Some(upstream) = upstream {
            self.upstream_requests.fetch_add(1, Relaxed);
            self.upstream_latency.fetch_add(milliseconds(upstream), Relaxed);
        }
        if self.increment(code, from_upstream) {
            return;
        }
        let mut requests = self.requests.write().unwrap_or_else(PoisonError::into_inner);
        if !requests.iter().any(|entry| (entry.0, entry.1) == (code, from_upstream)) {
            requests.push((code, from_upstream, AtomicU64::new(0)));
        }
        drop(requests);
        self.increment(code, from_upstream);
    }

    fn increment(&self, code: u16, from_upstream: bool) -> bool {
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        let entry = requests
            .iter()
            .find(|entry| (entry.0, entry.1) == (code, from_upstream));
        entry.is_some_and(|entry| {
            entry.2.fetch_add(1, Relaxed);
            true
        })
    }

    pub(super) fn received(&self, bytes: u64) {
        self.bytes_received.fetch_add(bytes, Relaxed);
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.bytes_sent.fetch_add(bytes, Relaxed);
    }

    /// The numbers now, under these names.
    pub(super) fn snapshot(&self, service: &str, route: &str) -> RouteTraffic {
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        RouteTraffic {
            service: service.to_owned(),
            route: route.to_owned(),
            requests: requests
                .iter()
                .map(|(code, from_upstream, count)| StatusCount {
                    code: *code,
                    from_upstream: *from_upstream,
                    count: count.load(Relaxed),
                })
                .collect(),
            bytes_received: self.bytes_received.load(Relaxed),
            bytes_sent: self.bytes_sent.load(Relaxed),
            upstream_requests: self.upstream_requests.load(Relaxed),
            upstream_latency_milliseconds: self.upstream_latency.load(Relaxed),
            proxy_latency_milliseconds: self.proxy_latency.load(Relaxed),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
