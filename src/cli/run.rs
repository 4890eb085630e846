//! `silverback run`: flags -> settings -> controller, until a signal.

use std::{future::Future, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::arguments::{LogFormat, LogLevel, MissingPluginArgument, RunArguments, listener};
use crate::{
    translate::{self, MissingPlugin},
    wiring::{self, AdminCertificates, ControllerSettings, Source, StatusSettings},
};

/// Carries `run` out.
pub(super) fn run(arguments: RunArguments) -> ExitCode {
    install_logging(
        match arguments.log_level {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        },
        &[],
        arguments.log_format == LogFormat::Json,
    );
    let term_delay = arguments.term_delay;
    match settings(arguments) {
        Ok(settings) => block_on(serve(settings, term_delay)),
        Err(error) => {
            eprintln!("silverback run: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn serve(settings: ControllerSettings, term_delay: Duration) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let signals = exit_signal();
    let mut controller = wiring::start(settings, shutdown.clone()).await?;
    tokio::select! {
        signal = signals => {
            signal?;
            tracing::info!("stopping");
            controller.release().await;
            // A second signal cuts the delay short.
            tokio::select! {
                () = tokio::time::sleep(term_delay) => {}
                signal = exit_signal() => signal?,
            }
            shutdown.cancel();
            controller.stopped().await;
            Ok(())
        }
        () = controller.ended() => bail!("a part of the controller ended by itself"),
    }
}

/// Runs a verb to its end on a runtime of its own.
pub(super) fn block_on(verb: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be started");
    match runtime.block_on(verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("silverback: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to stderr. `RUST_LOG` refines the level; `modules` are directives such as `silverback::push=off`.
pub(super) fn install_logging(level: &str, modules: &[&str], json: bool) {
    let filter = EnvFilter::builder().with_default_directive(level.parse().expect("levels are valid directives"));
    // The client of the API server logs each failed request, without its cause; whoever made it says more.
    let filter = modules
        .iter()
        .chain(&["hyper=warn", "h2=warn", "kube_client::client::builder=off"])
        .fold(filter.from_env_lossy(), |filter, directive| {
            filter.add_directive(directive.parse().expect("a valid directive"))
        });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // An error means that logging is installed already, by a test.
    let _ = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        use std::io::IsTerminal;
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
}

/// Ends with the first SIGINT or SIGTERM from now on.
pub(super) fn exit_signal() -> impl Future<Output = anyhow::Result<()>> {
    let streams =
        signal(SignalKind::interrupt()).and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    async move {
        let (mut interrupt, mut terminate) = streams.context("failed to listen for signals")?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }
}

/// Checks what clap can't: combinations, and what depends on where we run.
fn settings(arguments: RunArguments) -> anyhow::Result<ControllerSettings> {
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if arguments.kong_admin_svc.is_empty() && arguments.kong_admin_url.is_empty() {
        bail!(
            "no proxies to drive: give --kong-admin-svc NAMESPACE/NAME to discover them, or --proxy https://ADDRESS:PORT"
        );
    }
    if arguments.directory.is_some() && !arguments.kong_admin_svc.is_empty() {
        bail!("--kong-admin-svc needs a cluster; with --directory give the proxies with --proxy");
    }
    if !arguments.kong_admin_svc.is_empty() && !arguments.kong_admin_tls_server_name.is_empty() {
        tracing::warn!(
            "--kong-admin-tls-server-name has no effect on discovered proxies: each must bear \
             pod.<service>.<namespace>.svc in its certificate; remove the flag"
        );
    }
    for url in &arguments.kong_admin_url {
        check_admin_url(url)?;
    }
    let certificates = certificates(&arguments)?;
    let address = |flag: &str, given: Option<&str>, port: u16| {
        let default = if in_cluster {
            format!(":{port}")
        } else {
            format!("127.0.0.1:{port}")
        };
        listener(flag, given.unwrap_or(&default)).map_err(anyhow::Error::msg)
    };
    let health = address(
        "health-probe-bind-address",
        arguments.health_probe_bind_address.as_deref(),
        10254,
    )?;
    let metrics = address("metrics-bind-address", arguments.metrics_bind_address.as_deref(), 10255)?;
    let dashboard = address("dashboard-bind-address", Some(&arguments.dashboard_bind_address), 10256)?;
    let headers = headers(&arguments)?;
    let source = match arguments.directory {
        Some(path) => {
            if !path.is_dir() {
                bail!("--directory {}: there is no such directory", path.display());
            }
            Source::Directory {
                path,
                additional: Vec::new(),
            }
        }
        None => Source::Cluster {
            kubeconfig: arguments.kubeconfig,
            server: arguments.apiserver_host,
            namespaces: arguments
                .watch_namespace
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect(),
        },
    };
    Ok(ControllerSettings {
        translation: translate::Settings {
            ingress_class: arguments.ingress_class,
            cluster_domain: arguments.cluster_domain,
            drain_support: arguments.enable_drain_support,
            raw_objects: arguments.raw_objects,
            missing_plugin: match arguments.missing_plugin {
                MissingPluginArgument::FailClosed => MissingPlugin::FailClosed,
                MissingPluginArgument::Omit => MissingPlugin::Omit,
            },
            ..translate::Settings::default()
        },
        admin_services: arguments.kong_admin_svc,
        admin_port_names: arguments.kong_admin_svc_port_names,
        static_proxies: arguments
            .kong_admin_url
            .into_iter()
            .map(|url| (host_and_port(&url), url))
            .collect(),
        certificates,
        server_name: Some(arguments.kong_admin_tls_server_name).filter(|name| !name.is_empty()),
        skip_verify: arguments.kong_admin_tls_skip_verify,
        headers,
        workspace: arguments.kong_workspace,
        probe_interval: arguments.probe_interval,
        push_timeout: arguments.proxy_timeout_seconds,
        push_duty: arguments.push_duty,
        max_concurrent_pushes: arguments.max_concurrent_pushes,
        max_push_bandwidth: arguments.max_push_bandwidth,
        status: StatusSettings {
            publish_service: arguments.publish_service,
            publish_addresses: arguments.publish_status_address,
            update_status: arguments.update_status,
            emit_events: arguments.emit_kubernetes_events,
            qps: arguments.status_qps,
            burst: arguments.status_burst,
        },
        election_id: arguments.election_id,
        election_namespace: arguments.election_namespace,
        health,
        metrics,
        dashboard,
        ..ControllerSettings::new(source)
    })
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

fn certificates(arguments: &RunArguments) -> anyhow::Result<AdminCertificates> {
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
        });
    }
    if let (Some(authorities), Some(proxies)) =
        (arguments.ca_secret.clone(), arguments.proxy_certificate_secret.clone())
    {
        return Ok(AdminCertificates::Secrets { authorities, proxies });
    }
    if arguments.directory.is_none() && arguments.pki_directory.is_none() {
        return Ok(AdminCertificates::Files {
            client: None,
            authorities: None,
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

fn headers(arguments: &RunArguments) -> anyhow::Result<Vec<(String, String)>> {
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
