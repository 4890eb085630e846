//! Services and routes, ready to serve.

use std::{sync::Arc, time::Duration};

use hyper::{StatusCode, header::HeaderValue};

use super::super::{
    balancer::{Balancer, Destination},
    plugin::Policy,
    statistics::RouteCounters,
    tls::UpstreamIdentity,
};

/// How the proxy speaks with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) struct Protocol {
    /// Whether inside of TLS.
    pub tls: bool,
    /// Whether HTTP/2: gRPC needs it.
    pub http2: bool,
}

impl Protocol {
    /// By Kong's name; `None` for protocols of streams.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (tls, http2) = match name {
            "http" | "ws" => (false, false),
            "https" | "wss" => (true, false),
            "grpc" => (false, true),
            "grpcs" => (true, true),
            _ => return None,
        };
        Some(Self { tls, http2 })
    }

    /// The port that needs no mention.
    pub(in crate::data) fn default_port(self) -> u16 {
        if self.tls { 443 } else { 80 }
    }
}

/// Whom a service's requests go to.
#[derive(Debug)]
pub(in crate::data) enum Backend {
    /// One host.
    Host(Destination),
    /// The targets of an upstream.
    Upstream(Arc<Balancer>),
}

/// A service, ready to serve.
#[derive(Debug)]
pub(in crate::data) struct ServiceEntry {
    /// Identifier, for `Kong-Debug`.
    pub id: Option<HeaderValue>,
    /// Name, for `Kong-Debug`.
    pub name: Option<HeaderValue>,
    /// How to speak.
    pub protocol: Protocol,
    /// Whom with.
    pub backend: Backend,
    /// Prefix of the path.
    pub path: String,
    /// Attempts after the first.
    pub retries: u32,
    /// How long connecting may take, the TLS handshake included.
    pub connect_timeout: Duration,
    /// How long the upstream may be silent.
    pub read_timeout: Duration,
    /// How long the upstream may take nothing.
    pub write_timeout: Duration,
    /// Of the TLS connection, where there is one.
    pub identity: Option<Arc<UpstreamIdentity>>,
}

impl ServiceEntry {
    /// Whether another one does all the same with the same balancer and TLS identity.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same_backend = match (&self.backend, &other.backend) {
            (Backend::Host(one), Backend::Host(other)) => one == other,
            (Backend::Upstream(one), Backend::Upstream(other)) => Arc::ptr_eq(one, other),
            (Backend::Host(_), Backend::Upstream(_)) | (Backend::Upstream(_), Backend::Host(_)) => false,
        };
        let same_identity = match (&self.identity, &other.identity) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let rest = |entry: &Self| {
            (
                entry.protocol,
                entry.retries,
                entry.connect_timeout,
                entry.read_timeout,
                entry.write_timeout,
            )
        };
        let names = |entry: &Self| (entry.id.clone(), entry.name.clone());
        same_backend
            && same_identity
            && rest(self) == rest(other)
            && self.path == other.path
            && names(self) == names(other)
    }
}

/// Which protocols a route is for.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::data) struct Protocols {
    /// Plain HTTP.
    pub http: bool,
    /// HTTPS.
    pub https: bool,
    /// gRPC without TLS.
    pub grpc: bool,
    /// gRPC inside of TLS.
    pub grpcs: bool,
}

/// A route, ready to serve.
#[derive(Debug)]
pub(in crate::data) struct RouteEntry {
    /// Identifier, for `Kong-Debug`.
    pub id: Option<HeaderValue>,
    /// Name, for `Kong-Debug`.
    pub name: Option<HeaderValue>,
    /// Where it leads; `None` answers 503 unless a plugin answers.
    pub service: Option<Arc<ServiceEntry>>,
    /// What it is for.
    pub protocols: Protocols,
    /// How plain HTTP is turned away from a route that is for HTTPS only.
    pub https_redirect_status: StatusCode,
    /// Whether the matched prefix is taken off.
    pub strip_path: bool,
    /// Whether the client's Host goes on.
    pub preserve_host: bool,
    /// In the order in which they act.
    pub policies: Vec<Arc<Policy>>,
    /// Names under which it is counted: service, route.
    pub labels: Arc<(String, String)>,
    /// What it has carried.
    pub counters: Arc<RouteCounters>,
}
