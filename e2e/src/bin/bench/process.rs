//! What a process costs, by /proc; processes that end with their handles.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;

/// Clock ticks a second in /proc (`getconf CLK_TCK`), the same on every Linux that Rust supports.
const TICKS: f64 = 100.0;

/// A figure of /proc/PID/status, such as `VmRSS`, in MiB.
pub(crate) fn resident_mebibytes(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field));
    let line = line.with_context(|| format!("no {field} in /proc/{pid}/status"))?;
    let kibibytes: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kibibytes / 1024.0)
}

/// The time that a process has been on CPUs so far, in user and kernel mode, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(") ").context("an odd stat file")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / TICKS)
}

/// A child that is killed when its handle is dropped.
pub(crate) struct Guarded(Child);

impl Guarded {
    /// Starts a program whose output goes to a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let file = File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn();
        child.map(Self).with_context(|| format!("failed to start {command:?}"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) -> anyhow::Result<()> {
        let id = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        Ok(())
    }

    /// Ends it in order, by force after a while.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.terminate()?;
        let began = Instant::now();
        while self.is_running() && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
