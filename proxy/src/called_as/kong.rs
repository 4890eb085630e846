//! `kong quit --wait=N` (the kong chart's preStop), and what else makes sense of Kong's command line here.
//!
//! The process is found by `PREFIX/pids/nginx.pid`, as Kong's is.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::{ProxyArguments, lifecycle::pid_file};

/// How often it is looked whether the proxy has ended.
const LOOK: Duration = Duration::from_millis(200);

/// Kong's commands that mean something to the embedded proxy.
#[derive(Debug, Parser)]
#[command(name = "kong", disable_version_flag = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let the proxy end once requests under way have ended
    Quit(Ending),
    /// End the proxy at once
    Stop(Place),
    /// Have certificate files read again
    Reload(Place),
    /// Whether the proxy runs
    Health(Place),
    /// Run the proxy in the foreground
    #[command(alias = "docker-start", alias = "start")]
    Run(Box<ProxyArguments>),
    /// Print the version
    Version,
}

#[derive(Debug, Args)]
struct Place {
    /// Kong's working directory
    #[arg(short, long, env = "KONG_PREFIX", default_value = "/usr/local/kong")]
    prefix: PathBuf,
}

#[derive(Debug, Args)]
struct Ending {
    #[command(flatten)]
    place: Place,
    /// Seconds to go on serving before that
    #[arg(short, long, default_value_t = 0)]
    wait: u64,
    /// Seconds to wait for the end
    #[arg(short, long, default_value_t = 10)]
    timeout: u64,
}

pub(super) fn main(words: &[OsString]) -> ExitCode {
    let outcome = match CommandLine::parse_from(words).command {
        Command::Run(arguments) => return crate::execute(&arguments),
        Command::Quit(ending) => quit(&ending),
        Command::Stop(place) => signal(&place, Signal::INT).map(drop),
        Command::Reload(place) => signal(&place, Signal::HUP).map(drop),
        Command::Health(place) => {
            running(&place.prefix).map(|pid| println!("running as process {}", pid.as_raw_nonzero()))
        }
        Command::Version => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kong: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A proxy that takes longer is left to its own limit (`--drain-timeout`), so that what is under way can end.
fn quit(ending: &Ending) -> anyhow::Result<()> {
    let pid = running(&ending.place.prefix)?;
    thread::sleep(Duration::from_secs(ending.wait));
    send(pid, Signal::QUIT)?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(ending.timeout) {
        if test_kill_process(pid).is_err() {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
    println!(
        "requests are under way after {} s; the proxy ends by itself",
        ending.timeout
    );
    Ok(())
}

/// Ends the proxy of the same program that runs with this prefix, if there is one: by force when it takes longer.
pub fn end(prefix: &Path, patience: Duration) {
    let Ok(pid) = running(prefix) else { return };
    for signal in [Signal::INT, Signal::KILL] {
        // An error means that it has ended meanwhile.
        let _ = kill_process(pid, signal);
        let began = Instant::now();
        while began.elapsed() < patience {
            if running(prefix).ok() != Some(pid) {
                return;
            }
            thread::sleep(LOOK);
        }
    }
}

fn signal(place: &Place, signal: Signal) -> anyhow::Result<Pid> {
    let pid = running(&place.prefix)?;
    send(pid, signal)?;
    Ok(pid)
}

fn send(pid: Pid, signal: Signal) -> anyhow::Result<()> {
    kill_process(pid, signal).with_context(|| format!("can't signal process {}", pid.as_raw_nonzero()))
}

/// The process that wrote the file, if it is still a proxy.
fn running(prefix: &Path) -> anyhow::Result<Pid> {
    let file = pid_file(prefix);
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("no proxy runs: can't read {}", file.display()))?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let Some(pid) = pid else {
        bail!("{} holds no process ID", file.display());
    };
    // A number that was given to another program since must not be signalled.
    let program = std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero())).ok();
    if program.is_none() || program != std::fs::read_link("/proc/self/exe").ok() {
        bail!("no proxy runs: {} is stale", file.display());
    }
    Ok(pid)
}
