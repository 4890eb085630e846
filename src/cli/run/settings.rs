//! Flags -> settings: checks what clap can't, combinations and what depends on where we run.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};

use super::super::arguments::{
    AccessFilter, AdminArguments, AdmissionArguments, ArchiveArguments, CertificateArguments, Election, RunArguments,
    ServingArguments, SourceArguments, listener, refusal,
};
use crate::{
    archive::Place,
    translate::ProxyZone,
    wiring::{
        AdminCertificates, AdmissionCertificate, AdmissionSettings, ControllerSettings, ElectionScope, ProfileOverride,
        ProxyIdentitySettings, RequestRate, Source, StatusSettings,
    },
};

/// Where Kong's charts mount the webhook's certificate.
const WEBHOOK_CERTIFICATE: [&str; 2] = ["/admission-webhook/tls.crt", "/admission-webhook/tls.key"];
/// What Kong Ingress Controller demands of `--gateway-discovery-readiness-check-interval`.
const SHORTEST_CHECK_INTERVAL: Duration = Duration::from_secs(3);
/// Its default, below which the time-out must be.
const DEFAULT_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// What the flags come to. Nothing has been contacted yet.
pub(super) fn settings(arguments: RunArguments) -> anyhow::Result<ControllerSettings> {
    let RunArguments {
        source,
        admin,
        certificates,
        archive,
        translation,
        status,
        admission,
        serving,
        inert: _,
    } = arguments;
    if admin.kong_admin_svc.is_empty() && admin.kong_admin_url.is_empty() {
        bail!(
            "no proxies to drive: give --kong-admin-svc NAMESPACE/NAME to discover them, or --proxy https://ADDRESS:PORT"
        );
    }
    if source.directory.is_some() && !admin.kong_admin_svc.is_empty() {
        bail!("--kong-admin-svc needs a cluster; with --directory give the proxies with --proxy");
    }
    let assumed = [
        ("raw-objects", translation.raw_objects),
        ("router-flavor", translation.router_flavor.is_some()),
        ("edition", translation.edition.is_some()),
        ("kong-version", translation.kong_version.is_some()),
    ];
    if let Some((flag, _)) = assumed.iter().find(|(_, given)| *given && source.directory.is_none()) {
        bail!("--{flag} needs --directory: in a cluster, what is rendered follows from what the proxies report");
    }
    ensure!(
        source.directory.is_none() || serving.metrics_access_filter == AccessFilter::Off,
        "--metrics-access-filter=rbac needs a cluster whose API server is asked; with --directory give off"
    );
    if admin.skip_ca_certificates {
        bail!("{}", refusal("skip-ca-certificates"));
    }
    let mut translated = translation.settings().map_err(anyhow::Error::msg)?;
    translated.pods_known = true;
    // The proxies report it.
    translated.router_assumed = false;
    if translated.proxy_zone == ProxyZone::Unknown {
        translated.proxy_zone = ProxyZone::OfServices(admin.kong_admin_svc.clone());
    }
    if admin.use_last_valid_config_for_fallback && !translated.feature_gates.fallback_configuration {
        bail!(
            "--use-last-valid-config-for-fallback needs the gate FallbackConfiguration, which is on unless it is set to \
             false in --feature-gates"
        );
    }
    for url in &admin.kong_admin_url {
        check_admin_url(url)?;
    }
    let (probe_interval, probe_timeout) = probing(&admin)?;
    let listeners = Listeners::of(&serving)?;
    let election = match status.force_leader_election {
        Some(Election::Enabled) => ElectionScope::Everything,
        Some(Election::Disabled) => ElectionScope::Nothing,
        // Sidecars: each replica drives its own proxy, as with Kong Ingress Controller.
        None if admin.kong_admin_svc.is_empty() => ElectionScope::Writing,
        None => ElectionScope::Everything,
    };
    Ok(ControllerSettings {
        profile: ProfileOverride {
            router_flavor: translation.router_flavor.map(Into::into),
            edition: (translation.raw_objects || translation.edition.is_some()).then_some(translated.profile.edition),
            version: (translation.raw_objects || translation.kong_version.is_some())
                .then_some(translated.profile.version),
        },
        workspace: translated.workspace.clone(),
        translation: translated,
        unread_kinds: translation.kinds.unread,
        archive: archive_place(archive, &certificates, source.directory.is_some())?,
        certificates: admin_certificates(&certificates, source.directory.is_some())?,
        identity: identity_settings(&certificates)?,
        server_name: Some(certificates.kong_admin_tls_server_name).filter(|name| !name.is_empty()),
        first_keys: certificates.kong_admin_tls_skip_verify.then(Arc::default),
        headers: headers(&admin)?,
        static_proxies: admin
            .kong_admin_url
            .into_iter()
            .map(|url| (host_and_port(&url), url))
            .collect(),
        admin_services: admin.kong_admin_svc,
        admin_port_names: admin.kong_admin_svc_port_names,
        probe_interval,
        probe_timeout,
        push_timeout: admin.proxy_timeout_seconds,
        keep_last_valid: admin.use_last_valid_config_for_fallback,
        push_duty: admin.push_duty,
        max_concurrent_pushes: admin.max_concurrent_pushes,
        max_push_bandwidth: admin.max_push_bandwidth,
        status: StatusSettings {
            publish_service: status.publish_service,
            publish_addresses: status.publish_status_address,
            publish_service_udp: status.publish_service_udp,
            publish_addresses_udp: status.publish_status_address_udp,
            update_status: status.update_status,
            emit_events: status.emit_kubernetes_events,
            qps: status.status_qps,
            burst: status.status_burst,
        },
        election,
        election_id: status.election_id,
        election_namespace: status.election_namespace,
        upgrade_record: status.upgrade_record,
        health: listeners.health,
        metrics: listeners.metrics,
        protect_metrics: serving.metrics_access_filter == AccessFilter::Rbac,
        dashboard: listeners.dashboard.map(Into::into),
        admission: admission_settings(admission)?,
        first_list_patience: source.cache_sync_timeout,
        ..ControllerSettings::new(source_settings(source)?)
    })
}

fn archive_place(
    arguments: ArchiveArguments,
    certificates: &CertificateArguments,
    offline: bool,
) -> anyhow::Result<Option<Place>> {
    if let Some(name) = arguments.last_good_secret {
        ensure!(
            !offline,
            "--last-good-secret needs a cluster; with --directory give --last-good-directory"
        );
        return Ok(Some(Place::Secrets(name)));
    }
    let Some(directory) = arguments.last_good_directory else {
        return Ok(None);
    };
    let beside_certificates = certificates.pki_directory.as_ref();
    let key = arguments
        .last_good_key_file
        .or_else(|| Some(beside_certificates?.join("last-good.key")))
        .context("--last-good-directory needs a key that is kept elsewhere: give --last-good-key-file FILE")?;
    Ok(Some(Place::Directory { directory, key }))
}

fn source_settings(arguments: SourceArguments) -> anyhow::Result<Source> {
    let Some(path) = arguments.directory else {
        return Ok(Source::Cluster {
            kubeconfig: arguments.kubeconfig,
            server: arguments.apiserver_host,
            rate: (arguments.apiserver_qps > 0).then_some(RequestRate {
                per_second: arguments.apiserver_qps,
                burst: arguments.apiserver_burst,
            }),
            namespaces: arguments
                .watch_namespace
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect(),
        });
    };
    ensure!(
        path.is_dir(),
        "--directory {}: there is no such directory",
        path.display()
    );
    Ok(Source::Directory {
        path,
        additional: Vec::new(),
    })
}

/// How often proxies are probed, and for how long.
fn probing(admin: &AdminArguments) -> anyhow::Result<(Duration, Duration)> {
    let interval = match admin.gateway_discovery_readiness_check_interval {
        Some(interval) => {
            ensure!(
                interval >= SHORTEST_CHECK_INTERVAL,
                "--gateway-discovery-readiness-check-interval must be at least 3s; --probe-interval may be shorter"
            );
            interval
        }
        None => admin.probe_interval,
    };
    let Some(timeout) = admin.gateway_discovery_readiness_check_timeout else {
        return Ok((interval, ControllerSettings::probe_timeout(interval)));
    };
    let below = admin
        .gateway_discovery_readiness_check_interval
        .unwrap_or(DEFAULT_CHECK_INTERVAL);
    ensure!(
        timeout < below,
        "--gateway-discovery-readiness-check-timeout must be below --gateway-discovery-readiness-check-interval, {below:?}"
    );
    Ok((interval, timeout))
}

struct Listeners {
    health: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    dashboard: Option<SocketAddr>,
}

impl Listeners {
    fn of(serving: &ServingArguments) -> anyhow::Result<Self> {
        let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let address = |flag: &str, given: Option<&str>, port: u16| {
            let default = if in_cluster {
                format!(":{port}")
            } else {
                format!("127.0.0.1:{port}")
            };
            listener(flag, given.unwrap_or(&default)).map_err(anyhow::Error::msg)
        };
        let dashboard = match serving.diagnostic_server_port {
            Some(port) => format!("127.0.0.1:{port}"),
            None => serving.dashboard_bind_address.clone(),
        };
        let metrics = address("metrics-bind-address", serving.metrics_bind_address.as_deref(), 10255)?;
        Ok(Self {
            health: address(
                "health-probe-bind-address",
                serving.health_probe_bind_address.as_deref(),
                10254,
            )?,
            metrics,
            dashboard: address("dashboard-bind-address", Some(&dashboard), 10256)?,
        })
    }
}

fn admission_settings(arguments: AdmissionArguments) -> anyhow::Result<Option<AdmissionSettings>> {
    let listen =
        listener("admission-webhook-listen", &arguments.admission_webhook_listen).map_err(anyhow::Error::msg)?;
    let Some(listen) = listen else { return Ok(None) };
    let files = arguments
        .admission_webhook_cert_file
        .zip(arguments.admission_webhook_key_file);
    let texts = arguments.admission_webhook_cert.zip(arguments.admission_webhook_key);
    let mounted = || {
        let [certificate, key] = WEBHOOK_CERTIFICATE.map(Path::new);
        (certificate.exists() && key.exists()).then(|| (certificate.to_owned(), key.to_owned()))
    };
    let own = arguments
        .admission_webhook_secret
        .zip(arguments.admission_webhook_service);
    let certificate = match (texts, files, own) {
        (Some((certificate, key)), ..) => AdmissionCertificate::Inline { certificate, key },
        (None, Some((certificate, key)), _) => AdmissionCertificate::Files { certificate, key },
        (None, None, Some((secret, service))) => AdmissionCertificate::Own { secret, service },
        (None, None, None) => match mounted() {
            Some((certificate, key)) => AdmissionCertificate::Files { certificate, key },
            None => bail!(
                "--admission-webhook-listen needs a certificate: give --admission-webhook-cert-file and \
                 --admission-webhook-key-file, or --admission-webhook-secret and --admission-webhook-service for our own"
            ),
        },
    };
    Ok(Some(AdmissionSettings {
        listen,
        certificate,
        configuration: arguments.admission_webhook_configuration,
    }))
}

fn identity_settings(arguments: &CertificateArguments) -> anyhow::Result<Option<ProxyIdentitySettings>> {
    let listen = listener("proxy-identity-listen", &arguments.proxy_identity_listen).map_err(anyhow::Error::msg)?;
    let Some(listen) = listen else { return Ok(None) };
    let service = arguments.proxy_identity_service.clone();
    let service = service.context("--proxy-identity-listen needs --proxy-identity-service: whom the proxies ask")?;
    ensure!(
        !arguments.proxy_service_account.is_empty(),
        "--proxy-identity-listen needs --proxy-service-account: whose pods may have a proxy's certificate"
    );
    ensure!(
        arguments.ca_secret.is_some(),
        "--proxy-identity-listen needs --ca-secret and --proxy-certificate-secret: certificates of your own are not issued"
    );
    Ok(Some(ProxyIdentitySettings {
        listen,
        service,
        accounts: arguments.proxy_service_account.clone(),
    }))
}

fn check_admin_url(url: &str) -> anyhow::Result<()> {
    let parsed: reqwest::Url = url
        .parse()
        .with_context(|| format!("--proxy {url:?} is no URL; write it like https://127.0.0.1:8444"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        bail!("--proxy {url:?} must begin with https:// (or http:// on loopback) and name a host");
    }
    Ok(())
}

fn host_and_port(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.trim_end_matches('/').to_owned()
}

fn admin_certificates(arguments: &CertificateArguments, in_directory: bool) -> anyhow::Result<AdminCertificates> {
    let client_files = arguments
        .kong_admin_tls_client_cert_file
        .clone()
        .zip(arguments.kong_admin_tls_client_key_file.clone());
    let client_texts = arguments
        .kong_admin_tls_client_cert
        .clone()
        .zip(arguments.kong_admin_tls_client_key.clone());
    let authorities_file = arguments.kong_admin_ca_cert_file.clone();
    let authorities_text = arguments.kong_admin_ca_cert.clone();
    let may_restart = arguments.ca_secret.is_some() || client_files.is_some() || authorities_file.is_some();
    if !arguments.restart_workload.is_empty() && !may_restart {
        bail!(
            "--restart-workload needs --ca-secret, --kong-admin-tls-client-cert-file or --kong-admin-ca-cert-file: other \
             certificates do not change"
        );
    }
    if client_texts.is_some() || authorities_text.is_some() {
        if client_files.is_some() || authorities_file.is_some() {
            bail!("give client certificate and authorities both as files, or both inline");
        }
        return Ok(AdminCertificates::Inline {
            client: client_texts,
            authorities: authorities_text,
        });
    }
    if client_files.is_some() || authorities_file.is_some() {
        return Ok(AdminCertificates::Files {
            client: client_files,
            authorities: authorities_file,
            workloads: arguments.restart_workload.clone(),
        });
    }
    if let (Some(authorities), Some(proxies)) =
        (arguments.ca_secret.clone(), arguments.proxy_certificate_secret.clone())
    {
        return Ok(AdminCertificates::Secrets {
            authorities,
            proxies,
            workloads: arguments.restart_workload.clone(),
        });
    }
    if !in_directory && arguments.pki_directory.is_none() {
        return Ok(AdminCertificates::Files {
            client: None,
            authorities: None,
            workloads: Vec::new(),
        });
    }
    Ok(AdminCertificates::Directory(match &arguments.pki_directory {
        Some(directory) => directory.clone(),
        None => default_pki_directory()?,
    }))
}

/// `$XDG_STATE_HOME/silverback/pki`, by default below `~/.local/state` (XDG Base Directory Specification).
fn default_pki_directory() -> anyhow::Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let state = state.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    Ok(state
        .context("no place for certificates: give --pki-directory, or set HOME")?
        .join("silverback/pki"))
}

fn headers(arguments: &AdminArguments) -> anyhow::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    for header in &arguments.kong_admin_header {
        // The value may be a secret: it is not repeated in the message.
        let (name, value) = header
            .split_once(':')
            .context("--kong-admin-header: expected name:value")?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let token = match &arguments.kong_admin_token_file {
        Some(file) => Some(
            std::fs::read_to_string(file)
                .with_context(|| format!("failed to read --kong-admin-token-file {}", file.display()))?
                .trim()
                .to_owned(),
        ),
        None => arguments.kong_admin_token.clone(),
    };
    headers.extend(token.map(|token| ("Kong-Admin-Token".to_owned(), token)));
    Ok(headers)
}

#[cfg(test)]
mod tests;
