//! What the data plane is told once, at its start. Configurations come later, by `DataPlane::install`.
//!
//! Filled in by the crate's `settings`; nothing here reads files or the environment.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hyper::header::HeaderName;
use ipnet::IpNet;

/// Settings of the data plane. [`Default`] gives Kong's defaults.
#[derive(Debug, Clone)]
pub(crate) struct DataPlaneOptions {
    /// Name and version in `Server` and `Via`, for example `kong/3.9.1`.
    pub product: String,
    /// Which headers of its own the proxy adds to responses (Kong: `headers`).
    pub response_headers: ResponseHeaders,
    /// Whether requests go on with the header `X-Kong-Request-Id` (Kong: `headers_upstream`).
    pub request_id_upstream: bool,
    /// Whether a request with `Kong-Debug: 1` is told route and service in the response (Kong: `allow_debug_header`).
    pub allow_debug_header: bool,
    /// PEM bundles of authorities trusted for upstreams with `tls_verify` and without `ca_certificates`
    /// (Kong: `lua_ssl_trusted_certificate`).
    pub trusted_authorities: Vec<Vec<u8>>,
    /// Whose word counts about where requests come from.
    pub trust: Trust,
    /// The port that clients see, by the port of the listener, where they differ (Kong: `port_maps`).
    pub port_maps: BTreeMap<u16, u16>,
    /// How names of upstreams are resolved.
    pub dns: DnsOptions,
    /// Kept connections to upstreams.
    pub keep_alive: KeepAliveOptions,
    /// Bounds on what clients may do.
    pub limits: Limits,
}

impl Default for DataPlaneOptions {
    fn default() -> Self {
        Self {
            product: concat!("silverback-proxy/", env!("CARGO_PKG_VERSION")).to_owned(),
            response_headers: ResponseHeaders::default(),
            request_id_upstream: true,
            allow_debug_header: false,
            trusted_authorities: Vec::new(),
            trust: Trust::default(),
            port_maps: BTreeMap::new(),
            dns: DnsOptions::default(),
            keep_alive: KeepAliveOptions::default(),
            limits: Limits::default(),
        }
    }
}

/// Whose word counts about where requests come from.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    /// The load balancers before this proxy (Kong: `trusted_ips`).
    pub networks: Vec<IpNet>,
    /// The header in which they name the client (Kong: `real_ip_header`).
    pub real_ip_header: HeaderName,
    /// Whether trusted addresses in that header are passed over (Kong: `real_ip_recursive`).
    pub recursive: bool,
}

impl Trust {
    /// Whether an address is of a trusted network.
    pub(in crate::data) fn covers(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            real_ip_header: HeaderName::from_static("x-real-ip"),
            recursive: false,
        }
    }
}

/// Response headers of the proxy's own (Kong: `headers`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResponseHeaders {
    /// `Server` on own answers, `Via` on forwarded ones.
    pub server_tokens: bool,
    /// `X-Kong-Upstream-Latency`, `X-Kong-Proxy-Latency`, `X-Kong-Response-Latency`.
    pub latency_tokens: bool,
    /// `X-Kong-Request-Id`.
    pub request_id: bool,
}

impl Default for ResponseHeaders {
    fn default() -> Self {
        Self {
            server_tokens: true,
            latency_tokens: true,
            request_id: true,
        }
    }
}

/// How names of upstreams are resolved.
#[derive(Debug, Clone)]
pub(crate) struct DnsOptions {
    /// Name servers; empty: those of the system (`/etc/resolv.conf`).
    pub servers: Vec<SocketAddr>,
    /// How long one query may take.
    pub timeout: Duration,
    /// How long a failure is remembered.
    pub error_ttl: Duration,
    /// How long an expired answer is used while it is asked for anew, and when that fails.
    pub stale_ttl: Duration,
    /// Names kept, at most.
    pub cache_size: usize,
}

impl Default for DnsOptions {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(2),
            error_ttl: Duration::from_secs(1),
            stale_ttl: Duration::from_secs(3600),
            cache_size: 10_000,
        }
    }
}

/// Kept connections to upstreams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepAliveOptions {
    /// Idle connections kept per address and TLS identity (Kong: `upstream_keepalive_pool_size`). 0 keeps none.
    pub pool_size: usize,
    /// How long an idle one is kept (Kong: `upstream_keepalive_idle_timeout`).
    pub idle_timeout: Duration,
    /// Requests over one connection before it is closed (Kong: `upstream_keepalive_max_requests`).
    pub max_requests: u64,
}

impl Default for KeepAliveOptions {
    fn default() -> Self {
        Self {
            pool_size: 512,
            idle_timeout: Duration::from_secs(60),
            max_requests: 10_000,
        }
    }
}

/// Bounds on what clients may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Downstream connections at once; further ones wait in the listen queue.
    pub max_connections: usize,
    /// Header fields of a request.
    pub max_headers: usize,
    /// Bytes of request line and headers. At least 8 KiB.
    pub max_header_bytes: usize,
    /// Bytes of a request body (Kong: `client_max_body_size`); `None`: no bound.
    pub max_body_bytes: Option<u64>,
    /// Concurrent streams of an HTTP/2 connection.
    pub max_streams: u32,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long request headers may take, the wait of an idle connection included.
    pub header_timeout: Duration,
    /// How long a client may stall while it sends a body or takes an answer.
    pub stall_timeout: Duration,
    /// How long a connection without a request is kept once the end has begun: one that is on its way arrives, and is
    /// answered with `Connection: close`.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 16_384,
            max_headers: 100,
            max_header_bytes: 64 * 1024,
            max_body_bytes: None,
            max_streams: 128,
            handshake_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(60),
            linger: Duration::from_secs(5),
        }
    }
}
