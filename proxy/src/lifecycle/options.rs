//! Settings for the data plane and for the checks of configurations, and the files that they name.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use proxy_config_schema::{PluginRules, ValidationOptions};
use tokio::time::{Instant, sleep};

use crate::{
    data::{DataPlaneOptions, DnsOptions, KNOWN_PLUGINS, KeepAliveOptions, Limits, ResponseHeaders, Trust},
    server,
    settings::{Settings, TrustedCertificate},
};

/// How often files that are missing are looked for, and told of.
const WAIT_INTERVAL: Duration = Duration::from_millis(200);
const WAIT_NOTICE_INTERVAL: Duration = Duration::from_secs(5);

/// As good as no limit, and far from where adding it to a time overflows.
const UNLIMITED: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Bundles of the system's authorities, by distribution.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Tries until a deadline: certificates come from a controller that may start later.
pub(super) async fn wait_for<T, E: std::fmt::Display>(
    deadline: Instant,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> anyhow::Result<T> {
    let mut told: Option<Instant> = None;
    loop {
        let error = match attempt() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let now = Instant::now();
        if now >= deadline {
            bail!("{error}");
        }
        if told.is_none_or(|told| now - told >= WAIT_NOTICE_INTERVAL) {
            tracing::warn!(%error, remaining = ?deadline - now, "waiting for certificates");
            told = Some(now);
        }
        sleep(WAIT_INTERVAL).await;
    }
}

/// The data plane's part of the settings.
pub(super) fn data_plane(settings: &Settings) -> anyhow::Result<DataPlaneOptions> {
    let trusted_authorities = settings
        .trusted_certificates
        .iter()
        .map(trusted_authorities)
        .collect::<anyhow::Result<Vec<_>>>()
        .context("authorities for upstreams (KONG_LUA_SSL_TRUSTED_CERTIFICATE)")?;
    let adds = |names: &[&str]| settings.headers.iter().any(|header| names.contains(&header.as_str()));
    Ok(DataPlaneOptions {
        response_headers: ResponseHeaders {
            server_tokens: adds(&["server_tokens", "server", "via"]),
            latency_tokens: adds(&[
                "latency_tokens",
                "x-kong-proxy-latency",
                "x-kong-upstream-latency",
                "x-kong-response-latency",
            ]),
            request_id: adds(&["x-kong-request-id"]),
        },
        allow_debug_header: settings.allow_debug_header,
        trusted_authorities: trusted_authorities.concat(),
        trust: Trust {
            networks: settings.trusted_peers.networks.clone(),
            real_ip_header: settings.trusted_peers.real_ip_header.clone(),
            recursive: settings.trusted_peers.recursive,
        },
        port_maps: settings.port_maps.clone(),
        dns: DnsOptions {
            servers: settings.dns_resolvers.clone(),
            ..DnsOptions::default()
        },
        keep_alive: KeepAliveOptions {
            pool_size: settings.upstream_keepalive.pool_size,
            idle_timeout: match settings.upstream_keepalive.idle_timeout {
                Duration::ZERO => UNLIMITED,
                limit => limit,
            },
            max_requests: match settings.upstream_keepalive.max_requests {
                0 => u64::MAX,
                limit => limit,
            },
        },
        limits: Limits {
            linger: settings.drain_idle,
            ..Limits::default()
        },
        ..DataPlaneOptions::default()
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

/// PEM bundles. Of the system's, authorities that can't be used are left out, since nobody here can mend them.
fn trusted_authorities(trusted: &TrustedCertificate) -> anyhow::Result<Vec<Vec<u8>>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    match trusted {
        TrustedCertificate::File(path) => Ok(vec![read(path)?]),
        TrustedCertificate::System => {
            let Some(bundle) = SYSTEM_BUNDLES.iter().find_map(|path| fs::read_to_string(path).ok()) else {
                tracing::debug!("the system has no authorities");
                return Ok(Vec::new());
            };
            let usable = bundle
                .split(BEGIN)
                .skip(1)
                .map(|rest| format!("{BEGIN}{rest}").into_bytes())
                .filter(|pem| server::is_authority(pem));
            Ok(usable.collect())
        }
    }
}

/// What this data plane can take.
pub(super) fn validation(settings: &Settings) -> ValidationOptions {
    let rules = PluginRules {
        protocols: PluginRules::HTTP,
        consumer: false,
    };
    ValidationOptions {
        router_flavor: settings.router_flavor,
        plugins: Some(KNOWN_PLUGINS.iter().map(|name| ((*name).to_owned(), rules)).collect()),
        vaults: Some(BTreeSet::new()),
        custom_entities: Some(BTreeSet::new()),
        ..ValidationOptions::default()
    }
}
