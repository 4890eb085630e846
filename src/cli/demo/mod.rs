//! `silverback demo`: proxies as processes of their own, an example upstream, the controller and the dashboard, on
//! loopback and with nothing to install.

mod proxies;
mod screen;
mod terminal;
mod upstream;

use std::{
    fs,
    io::{self, IsTerminal, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use futures_util::future::{join_all, select_all};
use jiff::Timestamp;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use self::{
    proxies::DemoProxy,
    terminal::{LogWriter, Terminal},
};
use super::run::{block_on, install_logging_to};
use crate::{
    fleet::FleetView,
    manifest,
    model::{Object, Snapshot},
    pki::PkiDirectory,
    serve, translate,
    wiring::{self, AdminCertificates, Controller, ControllerSettings, Source},
};

/// The manifests that are served without `--directory` where the repository is not at hand.
const EXAMPLES: &[(&str, &str)] = &[("echo.yaml", include_str!("../../../docs/examples/quickstart/echo.yaml"))];
/// Where they are in the repository.
const EXAMPLES_DIRECTORY: &str = "docs/examples/quickstart";
/// What ends it: Ctrl-C, Ctrl-\, a terminal that is closed, `kill`.
const END: [SignalKind; 4] = [
    SignalKind::interrupt(),
    SignalKind::quit(),
    SignalKind::hangup(),
    SignalKind::terminate(),
];
/// Port of the dashboard where no other is asked for.
const USUAL_DASHBOARD: u16 = 10256;
/// How long `--json` waits for all proxies to be in sync.
const SYNC_LIMIT: Duration = Duration::from_secs(60);

/// Flags of `silverback demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// How many proxies.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=200))]
    proxies: u16,
    /// Manifests to serve; the example of the documentation by default.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// HTTP port of the first proxy; its HTTPS port is the next one, then come those of the next proxy.
    #[arg(long, value_name = "PORT", default_value_t = 8000, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Where the dashboard is; another free port is taken when the default one is in use.
    #[arg(long, value_name = "ADDRESS")]
    dashboard_bind_address: Option<SocketAddr>,
    /// Print one line of JSON for scripts once all proxies are in sync, and nothing else on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs until a signal ends it. Every process that it started is gone when it returns.
pub(super) fn run(arguments: DemoArguments) -> ExitCode {
    if let Some(mistake) = mistake(&arguments) {
        eprintln!("silverback demo: {mistake}");
        return ExitCode::from(2);
    }
    block_on(serve(arguments))
}

/// What is wrong with the arguments, beyond what clap checks.
fn mistake(arguments: &DemoArguments) -> Option<String> {
    let last_port = u32::from(arguments.port) + 2 * u32::from(arguments.proxies) - 1;
    if last_port > u32::from(u16::MAX) {
        return Some(format!(
            "{} proxies from port {} on need ports up to {last_port}, and the last one is {}; choose a lower --port",
            arguments.proxies,
            arguments.port,
            u16::MAX
        ));
    }
    let directory = arguments.directory.as_deref().filter(|directory| !directory.is_dir())?;
    let what = if directory.exists() {
        "is no directory"
    } else {
        "does not exist"
    };
    Some(format!(
        "--directory {} {what}; give one with manifests in it",
        directory.display()
    ))
}

async fn serve(arguments: DemoArguments) -> anyhow::Result<()> {
    // Before there is anything that could be left behind.
    let mut ended = pin!(exit_signal()?);
    let terminal = (!arguments.json && io::stdout().is_terminal()).then(Terminal::new);
    // What is logged to the terminal that the table is on must not be drawn over.
    let log = match &terminal {
        Some(terminal) if io::stderr().is_terminal() => terminal.log(),
        _ => terminal::to_stderr(),
    };
    // The screen tells the news itself.
    let writer = {
        let log = log.clone();
        move || LogWriter(log.clone())
    };
    install_logging_to(writer, "warn", &["silverback::wiring::news=off"], false);
    let shutdown = CancellationToken::new();
    // Before anything is started: what is wrong with it is told first. It is never given back, or it could be gone.
    let dashboard = listen_for_dashboard(arguments.dashboard_bind_address)?;

    let state = tempfile::Builder::new()
        .prefix("silverback-demo-")
        .tempdir()
        .context("failed to make a directory for the demo")?;
    let directory = manifests(arguments.directory.as_deref(), state.path())?;
    let upstream = upstream::start(shutdown.clone())
        .await
        .context("failed to start the example upstream")?;
    let pki_path = state.path().join("pki");
    let now = Timestamp::now();
    let pki = PkiDirectory::open(&pki_path, now)?;
    let controller_certificates = pki.controller(now)?;
    let mut proxies = Vec::new();
    for index in 0..arguments.proxies {
        let port = arguments.port + 2 * index;
        proxies.push(DemoProxy::start(index, port, &pki, state.path(), log.clone())?);
    }

    let settings = ControllerSettings {
        dashboard: Some(serve::Place::Open(Arc::new(dashboard))),
        translation: translate::Settings {
            now: Some(now),
            ..translate::Settings::default()
        },
        certificates: AdminCertificates::Files {
            client: Some((
                controller_certificates.join("tls.crt"),
                controller_certificates.join("tls.key"),
            )),
            authorities: Some(controller_certificates.join("ca.crt")),
            workloads: Vec::new(),
        },
        static_proxies: proxies
            .iter()
            .map(|proxy| (proxy.name.clone(), proxy.admin.clone()))
            .collect(),
        ..ControllerSettings::new(Source::Directory {
            path: directory.clone(),
            additional: example_endpoints(upstream),
        })
    };
    let example = example(&directory);
    let controller = wiring::start(settings, shutdown.clone()).await?;
    let dashboard = controller
        .dashboard
        .map(|address| format!("http://{address}/"))
        .unwrap_or_default();

    let places = Places {
        dashboard,
        directory,
        pki: pki_path,
        example,
    };
    let shown = if arguments.json {
        tell(&places, &proxies, controller.view.clone(), &mut ended).await
    } else {
        draw(&places, &proxies, &controller, terminal.as_ref(), &mut ended).await
    };
    shutdown.cancel();
    controller.stopped().await;
    join_all(proxies.iter_mut().map(DemoProxy::stop)).await;
    // Whoever read the output has seen enough: `| head`.
    let is_read = |error: &anyhow::Error| {
        let system = error.downcast_ref::<io::Error>();
        system.is_none_or(|error| error.kind() != io::ErrorKind::BrokenPipe)
    };
    shown.or_else(|error| if is_read(&error) { Err(error) } else { Ok(()) })
}

/// Where a user finds what.
struct Places {
    dashboard: String,
    directory: PathBuf,
    pki: PathBuf,
    /// Host and path that are served.
    example: Option<(String, String)>,
}

/// Prints the line for scripts once all proxies are in sync; ends with a signal.
async fn tell(
    places: &Places,
    proxies: &[DemoProxy],
    mut view: watch::Receiver<Arc<FleetView>>,
    mut ended: impl Future<Output = ()> + Unpin,
) -> anyhow::Result<()> {
    let in_sync = view.wait_for(|view| screen::all_in_sync(view, proxies.len()));
    let proxy_ended = select_all(proxies.iter().map(|proxy| Box::pin(proxy.ended())));
    tokio::select! {
        () = &mut ended => return Ok(()),
        ((), index, _) = proxy_ended => bail!("{} ended; what it said last is above", proxies[index].name),
        outcome = tokio::time::timeout(SYNC_LIMIT, in_sync) => {
            outcome.context("not all proxies were in sync after 60 s; run without --json to see why")??;
        }
    }
    let example = places.example.as_ref();
    let line = serde_json::json!({
        "dashboard": places.dashboard,
        "directory": std::path::absolute(&places.directory)?,
        "pki": places.pki,
        "proxies": proxies.iter().map(DemoProxy::to_json).collect::<Vec<_>>(),
        "example": example.map(|(host, path)| serde_json::json!({"host": host, "path": path})),
    });
    {
        let mut output = io::stdout().lock();
        writeln!(output, "{line}")?;
        output.flush()?;
    }
    ended.await;
    Ok(())
}

/// Shows it to a person; ends with a signal.
async fn draw(
    places: &Places,
    proxies: &[DemoProxy],
    controller: &Controller,
    terminal: Option<&Terminal>,
    ended: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    screen::introduce(
        &mut io::stdout().lock(),
        &places.directory,
        &places.dashboard,
        proxies,
        places.example.as_ref(),
    )?;
    let (view, rendition) = (controller.view.clone(), controller.rendition.clone());
    tokio::select! {
        () = ended => Ok(()),
        outcome = screen::follow(view, rendition, terminal) => outcome,
    }
}

/// Listens for signals from now on; ends with the first one.
fn exit_signal() -> anyhow::Result<impl Future<Output = ()>> {
    // Under `nohup` it shall outlive its terminal; listening would undo that.
    let ignores_hangup =
        fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, SignalKind::hangup()));
    let mut signals = END
        .into_iter()
        .filter(|kind| !(ignores_hangup && *kind == SignalKind::hangup()))
        .map(signal)
        .collect::<io::Result<Vec<_>>>()
        .context("failed to listen for signals")?;
    Ok(async move {
        let any = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        select_all(any).await;
    })
}

/// Whether a process whose `/proc/PID/status` that is ignores a signal: a bit of `SigIgn` for each, from 1 on (proc(5)).
fn ignores(status: &str, kind: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

/// Where the dashboard will be: the address asked for, the usual one, or a free one when that is in use.
fn listen_for_dashboard(asked: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    if let Some(address) = asked {
        return TcpListener::bind(address).map_err(|error| {
            let what = match error.kind() {
                io::ErrorKind::AddrInUse => format!("{address} is taken"),
                _ => format!("failed to listen on {address}: {error}"),
            };
            anyhow::anyhow!("{what}; choose another with --dashboard-bind-address")
        });
    }
    TcpListener::bind(("127.0.0.1", USUAL_DASHBOARD))
        .or_else(|_| TcpListener::bind(("127.0.0.1", 0)))
        .context("failed to find a free port for the dashboard")
}

/// The directory to serve: the given one, the documentation's, or a copy of that one in `state`.
fn manifests(given: Option<&Path>, state: &Path) -> anyhow::Result<PathBuf> {
    if let Some(directory) = given {
        return Ok(directory.to_owned());
    }
    let repository = Path::new(EXAMPLES_DIRECTORY);
    if repository.is_dir() {
        return Ok(repository.to_owned());
    }
    let copy = state.join("manifests");
    fs::create_dir(&copy)?;
    for (name, content) in EXAMPLES {
        fs::write(copy.join(name), content)?;
    }
    Ok(copy)
}

/// Where the example's Service leads: the upstream's port is known only now, so it can stand in no manifest.
fn example_endpoints(upstream: SocketAddr) -> Vec<Object> {
    let slice = serde_json::json!({
        "metadata": {"namespace": "demo", "name": "echo-demo", "labels": {"kubernetes.io/service-name": "echo"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": upstream.port(), "protocol": "TCP"}],
        "endpoints": [{"addresses": [upstream.ip().to_string()], "conditions": {"ready": true}}],
    });
    let slice = Object::from_json(crate::model::Kind::EndpointSlice, slice).expect("this JSON is a slice");
    vec![slice]
}

/// Host and path of the first route in the directory: what the ready-made `curl` asks.
fn example(directory: &Path) -> Option<(String, String)> {
    let manifests = manifest::load(directory, &manifest::Limits::default());
    let mut snapshot = Snapshot::default();
    for object in manifests.objects {
        snapshot.insert(object);
    }
    let configuration = translate::translate(&snapshot, &translate::Settings::default()).configuration;
    let routes = configuration.services.iter().flat_map(|service| &service.routes);
    let examples = routes.map(|route| {
        let host = route.hosts.iter().flatten().find(|host| !host.contains('*'));
        let path = route.paths.iter().flatten().find(|path| !path.starts_with('~'));
        let path = path.map_or("/", |path| {
            if path.len() > 1 {
                path.trim_end_matches('/')
            } else {
                path
            }
        });
        (host.cloned().unwrap_or_else(|| "localhost".to_owned()), path.to_owned())
    });
    examples.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_ignores_is_read_from_its_status() {
        let nohup =
            "Name:\tsilverback\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000000002\n";
        assert!(ignores(nohup, SignalKind::hangup()));
        assert!(!ignores(nohup, SignalKind::interrupt()));
        assert!(!ignores("SigIgn:\t0000000000001000\n", SignalKind::hangup()));
        assert!(!ignores("", SignalKind::hangup()));
    }
}
