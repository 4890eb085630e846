//! `silverback run`: flags -> settings -> controller, until a signal.

mod settings;

use std::{collections::BTreeSet, future::Future, io::IsTerminal, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use super::{
    arguments::{LogFormat, LogLevel, RunArguments, variables},
    failure::one_line,
    gates,
    offline::USAGE,
};
use crate::wiring::{self, ControllerSettings, Source};

/// Carries `run` out.
pub(super) fn run(arguments: RunArguments) -> ExitCode {
    install_logging(
        match arguments.serving.log_level {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        },
        &[],
        arguments.serving.log_format == LogFormat::Json,
    );
    let variables: Vec<String> = std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    if let Some(mistakes) = wrong_variables(&variables.iter().map(String::as_str).collect()) {
        eprintln!("silverback run: {mistakes}");
        return ExitCode::from(USAGE);
    }
    warn_of_no_effect(&arguments);
    let term_delay = arguments.serving.term_delay;
    match settings::settings(arguments) {
        Ok(settings) => block_on(serve(settings, term_delay)),
        Err(error) => {
            eprintln!("silverback run: {}", one_line(&error));
            ExitCode::from(USAGE)
        }
    }
}

/// Names the `CONTROLLER_*` variables that no flag has, and those that say twice what one flag says.
fn wrong_variables(present: &BTreeSet<&str>) -> Option<String> {
    let command = super::command();
    let run = command.find_subcommand("run").expect("there is this verb");
    let flags = run.get_arguments().filter_map(clap::Arg::get_long);
    let own: Vec<String> = flags.map(super::variable_of).collect();
    let other = super::OTHER_NAMES.iter().map(|(other, _)| *other);
    let known = own.iter().map(String::as_str).chain(other).collect();
    let unknown = variables::unknown(present.iter().copied(), &known);
    let twice = variables::given_twice(present, super::OTHER_NAMES);
    let mistakes: Vec<String> = unknown.into_iter().chain(twice).collect();
    (!mistakes.is_empty()).then(|| mistakes.join("\n"))
}

/// One warning for each flag that was given for nothing.
fn warn_of_no_effect(arguments: &RunArguments) {
    for warning in arguments.inert.warnings() {
        tracing::warn!("{warning}");
    }
    for warning in gates::warnings(&arguments.translation.feature_gates) {
        tracing::warn!("{warning}");
    }
    if !arguments.admin.kong_admin_svc.is_empty() && !arguments.certificates.kong_admin_tls_server_name.is_empty() {
        tracing::warn!(
            "--kong-admin-tls-server-name has no effect on discovered proxies: each must bear \
             pod.<service>.<namespace>.svc in its certificate; remove the flag"
        );
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
            // A second signal cuts this short.
            tokio::select! {
                ((), ()) = async { tokio::join!(controller.last_pushes(), tokio::time::sleep(term_delay)) } => {}
                signal = exit_signal() => signal?,
            }
            shutdown.cancel();
            controller.stopped().await;
            Ok(())
        }
        () = controller.ended() => bail!("a part of the controller ended by itself"),
    }
}

/// A client of the cluster for the verbs that only ask or change an object.
pub(super) async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<kube::Client> {
    let source = Source::Cluster {
        kubeconfig: kubeconfig.map(Path::to_path_buf),
        server: None,
        rate: None,
        namespaces: Vec::new(),
    };
    Ok(wiring::client(&source).await?.expect("a cluster has a client"))
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
            eprintln!("silverback: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// Logs go to stderr. `RUST_LOG` refines the level; `modules` are directives such as `silverback::push=off`.
pub(super) fn install_logging(level: &str, modules: &[&str], json: bool) {
    install_logging_to(std::io::stderr, level, modules, json);
}

/// The same, where what would go to stderr has to go through something first. A writer gets each event in one piece.
pub(super) fn install_logging_to<W>(writer: W, level: &str, modules: &[&str], json: bool)
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().with_default_directive(level.parse().expect("levels are valid directives"));
    // The client of the API server logs each failed request, without its cause; whoever made it says more.
    let filter = modules
        .iter()
        .chain(&["hyper=warn", "h2=warn", "kube_client::client=off"])
        .fold(filter.from_env_lossy(), |filter, directive| {
            filter.add_directive(directive.parse().expect("a valid directive"))
        });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // An error means that logging is installed already, by a test.
    let _ = if json {
        builder.json().flatten_event(true).try_init()
    } else {
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
