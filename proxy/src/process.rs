//! The proxy as a process: its runtime, its signals, its exit code. Called by the `main` of `silverback-proxy` and by
//! `silverback proxy`.

use std::{io::Read, process::ExitCode, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::{ProxyArguments, log::start_logging, settings::SettingsError};

/// How long work that can't be interrupted may still take at the end.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Exit code for settings that cannot be used.
const USAGE: u8 = 2;

/// Runs a proxy in this process until it is told to stop.
pub fn execute(arguments: &ProxyArguments) -> ExitCode {
    // The process' provider may have been installed by whoever calls; it is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outcome = start_logging(arguments).map_err(anyhow::Error::from).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let outcome = runtime.block_on(crate::lifecycle::run(arguments));
        runtime.shutdown_timeout(LAST_WORK);
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("silverback-proxy: {error:#}");
            match error.is::<SettingsError>() {
                true => ExitCode::from(USAGE),
                false => ExitCode::FAILURE,
            }
        }
    }
}

/// What the outside wants of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Finish requests under way, then end (SIGTERM; SIGQUIT, as Kong's images send it).
    Drain,
    /// End at once (SIGINT, a second SIGTERM, the end of standard input).
    Stop,
    /// Read certificates again (SIGHUP).
    Reload,
}

/// Wishes of the outside, as they come.
pub(crate) struct Wishes {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
    hangup: Signal,
    stdin_closed: Option<mpsc::Receiver<()>>,
}

impl Wishes {
    /// Listens from now on.
    ///
    /// # Errors
    /// Signals can't be caught.
    pub(crate) fn listen(exit_on_stdin_close: bool) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            stdin_closed: exit_on_stdin_close.then(watch_stdin),
        })
    }

    /// The next wish. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Wish {
        let stdin_closed = async {
            match &mut self.stdin_closed {
                Some(closed) => closed.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Wish::Drain,
            _ = self.quit.recv() => Wish::Drain,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
            _ = stdin_closed => Wish::Stop,
        }
    }
}

/// A thread, since a blocking read of standard input can't be ended from within. The channel closes with the input.
fn watch_stdin() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut ignored = [0; 1024];
        let mut input = std::io::stdin().lock();
        while let Ok(1..) = input.read(&mut ignored) {}
        drop(sender);
    });
    receiver
}
