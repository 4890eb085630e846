//! What the process says of itself: `GET /` and `GET /status`.

use std::{fs, process};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    control::Control,
    data::{DataPlane, KNOWN_PLUGINS},
    settings::{AdminClients, COMPATIBLE_KONG_VERSION, Listener, Settings},
};

/// The identity of the process and what it was started with.
pub(crate) struct Node {
    node_id: Uuid,
    started_at: Timestamp,
    hostname: String,
    configuration: Value,
}

impl Node {
    /// As of now.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            node_id: settings.node_id,
            started_at: Timestamp::now(),
            hostname: hostname(),
            configuration: configuration(settings),
        }
    }

    /// Changes at each start, unless it is given.
    pub(crate) fn node_id(&self) -> Uuid {
        self.node_id
    }

    /// `GET /`. `version` is the Kong whose API this is, since clients decide by it what they may send; `embedded` says
    /// what it really is.
    pub(super) fn describe(&self) -> Value {
        let plugins: Map<String, Value> = KNOWN_PLUGINS
            .iter()
            .map(|name| ((*name).to_owned(), json!({"version": COMPATIBLE_KONG_VERSION})))
            .collect();
        let used: [&str; 0] = [];
        json!({
            "tagline": "Welcome to silverback",
            "version": COMPATIBLE_KONG_VERSION,
            "edition": "silverback",
            "embedded": {
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
                "started_at": self.started_at,
            },
            "node_id": self.node_id,
            "hostname": self.hostname,
            "pids": {"master": process::id(), "workers": [process::id()]},
            "timers": {"pending": 0, "running": 0},
            "plugins": {"available_on_server": plugins, "enabled_in_cluster": used},
            "configuration": self.configuration,
        })
    }

    /// `GET /status`.
    pub(super) fn status(&self, control: &Control, data: &DataPlane) -> Value {
        let resident = resident_bytes().map_or_else(|| "0.00 MiB".to_owned(), mebibytes);
        json!({
            "configuration_hash": control.current().hash,
            "memory": {
                "workers_lua_vms": [{"pid": process::id(), "http_allocated_gc": resident}],
                "lua_shared_dicts": {},
            },
            "server": data.statistics(),
        })
    }
}

/// Resident memory of this process in bytes, where Linux tells it.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn mebibytes(bytes: u64) -> String {
    let hundredths = bytes.saturating_mul(100) >> 20;
    format!("{}.{:02} MiB", hundredths / 100, hundredths % 100)
}

fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}

fn configuration(settings: &Settings) -> Value {
    let verify = match &settings.admin_clients {
        AdminClients::Anyone => "off",
        AdminClients::Verified { .. } => "on",
    };
    let loaded: Map<String, Value> = KNOWN_PLUGINS
        .iter()
        .map(|name| ((*name).to_owned(), json!(true)))
        .collect();
    json!({
        "database": "off",
        "role": "traditional",
        "router_flavor": settings.router_flavor,
        "prefix": settings.prefix,
        "plugins": ["bundled"],
        "loaded_plugins": loaded,
        "allow_debug_header": settings.allow_debug_header,
        "headers": settings.headers,
        "nginx_admin_client_max_body_size": settings.admin_body_limit.to_string(),
        "nginx_admin_ssl_verify_client": verify,
        "proxy_listen": written(&settings.proxy_listeners),
        "proxy_listeners": settings.proxy_listeners.iter().map(listener).collect::<Vec<_>>(),
        "proxy_ssl_enabled": settings.proxy_listeners.iter().any(|listener| listener.tls),
        "admin_listen": written(&settings.admin_listeners),
        "admin_listeners": settings.admin_listeners.iter().map(listener).collect::<Vec<_>>(),
        "admin_ssl_enabled": settings.admin_listeners.iter().any(|listener| listener.tls),
        "status_listen": written(&settings.status_listeners),
        "status_listeners": settings.status_listeners.iter().map(listener).collect::<Vec<_>>(),
        "status_ssl_enabled": false,
        "stream_listen": ["off"],
        "stream_listeners": {},
        "upstream_keepalive_pool_size": settings.upstream_keepalive.pool_size,
        "upstream_keepalive_max_requests": settings.upstream_keepalive.max_requests,
        "upstream_keepalive_idle_timeout": settings.upstream_keepalive.idle_timeout.as_secs(),
    })
}

fn written(listeners: &[Listener]) -> Vec<&str> {
    match listeners {
        [] => vec!["off"],
        listeners => listeners.iter().map(|listener| listener.text.as_str()).collect(),
    }
}

/// A listener as Kong lists it, options that it was not given included.
fn listener(listener: &Listener) -> Value {
    let suffix = if listener.tls { " ssl" } else { "" };
    json!({
        "ip": listener.address.ip(),
        "port": listener.address.port(),
        "listener": format!("{}{suffix}", listener.address),
        "ssl": listener.tls,
        "http2": listener.http2,
        "reuseport": listener.reuse_port,
        "proxy_protocol": false,
        "deferred": false,
        "bind": false,
    })
}
