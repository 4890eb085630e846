//! How fast a change reaches every proxy, and what the controller costs: 1,000 Ingresses, 10 embedded proxies, one
//! machine.
//!
//! The demo is what is measured: its process is the controller (and the example upstream, which idles).

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use crate::{
    process::{cpu_seconds, resident_mebibytes},
    table::{Table, milliseconds, percentile},
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The `silverback` program, a release build.
    #[arg(long, default_value = "target/release/silverback")]
    silverback: PathBuf,
    /// How many Ingresses.
    #[arg(long, default_value_t = 1000)]
    ingresses: usize,
    /// How many proxies.
    #[arg(long, default_value_t = 10)]
    proxies: usize,
    /// How many changes are timed.
    #[arg(long, default_value_t = 100)]
    changes: usize,
    /// HTTP port of the first proxy.
    #[arg(long, default_value_t = 18000)]
    port: u16,
}

/// Polling adds this much at most to a figure.
const POLL: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(10);

/// Whether all limits were kept.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let directory = std::env::temp_dir().join(format!("silverback-bench-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let outcome = measure(arguments, &directory);
    fs::remove_dir_all(&directory)?;
    outcome
}

fn measure(arguments: &Arguments, directory: &Path) -> anyhow::Result<bool> {
    for index in 0..arguments.ingresses {
        write_ingress(directory, index, "first")?;
    }
    fs::write(
        directory.join("service.yaml"),
        "apiVersion: v1\nkind: Service\nmetadata: {name: echo, namespace: demo}\nspec: {ports: [{name: http, port: 80}]}\n",
    )?;
    let began = Instant::now();
    let mut demo = Demo::start(arguments, directory)?;
    let started = began.elapsed();
    println!(
        "{} Ingresses, {} embedded proxies, {} changes",
        arguments.ingresses, arguments.proxies, arguments.changes
    );
    let mut table = Table::new(None);
    table.figure("start to all proxies in sync", milliseconds(started), "ms");

    let before_changes = cpu_seconds(demo.child.id())?;
    let mut times = Vec::new();
    for change in 0..arguments.changes {
        let index = change % arguments.ingresses;
        let path = format!("change{change}");
        // Not in step with the settling of the change before.
        thread::sleep(Duration::from_millis(200 + (change as u64 * 37) % 100));
        let began = Instant::now();
        write_ingress(directory, index, &path)?;
        let waits: Vec<_> = demo
            .ports
            .iter()
            .map(|port| {
                let (port, path) = (*port, path.clone());
                thread::spawn(move || until_answered(port, index, &path, began))
            })
            .collect();
        let mut slowest = Duration::ZERO;
        for wait in waits {
            slowest = slowest.max(wait.join().expect("the thread does not panic")?);
        }
        times.push(slowest);
    }
    let pid = demo.child.id();
    let used = cpu_seconds(pid)? - before_changes;
    let mut share = |share| milliseconds(percentile(&mut times, share));
    table.figure("change to all proxies, p50", share(0.5), "ms");
    table.limited("change to all proxies, p99", share(0.99), 250.0, "ms");
    table.limited("controller resident", resident_mebibytes(pid, "VmRSS")?, 50.0, "MiB");
    table.figure("controller resident, peak", resident_mebibytes(pid, "VmHWM")?, "MiB");
    table.figure(
        "controller CPU per change",
        used * 1000.0 / arguments.changes as f64,
        "ms",
    );
    thread::sleep(Duration::from_secs(2));
    let before = cpu_seconds(pid)?;
    thread::sleep(IDLE);
    table.limited("controller CPU in 10 s of idling", cpu_seconds(pid)? - before, 0.1, "s");
    demo.stop()?;
    Ok(table.kept())
}

fn write_ingress(directory: &Path, index: usize, path: &str) -> anyhow::Result<()> {
    let manifest = format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web-{index}, namespace: demo}}\nspec:\n  \
         ingressClassName: kong\n  rules:\n    - host: web-{index}.example\n      http:\n        paths:\n          \
         - path: /{path}\n            pathType: Prefix\n            backend: {{service: {{name: echo, port: {{number: 80}}}}}}\n"
    );
    let beside = directory.join(format!(".web-{index}.new"));
    fs::write(&beside, manifest)?;
    fs::rename(beside, directory.join(format!("web-{index}.yaml")))?;
    Ok(())
}

struct Demo {
    child: Child,
    ports: Vec<u16>,
}

impl Demo {
    fn start(arguments: &Arguments, directory: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(&arguments.silverback)
            .args(["demo", "--json", "--dashboard-bind-address", "127.0.0.1:0"])
            .args([
                "--proxies",
                &arguments.proxies.to_string(),
                "--port",
                &arguments.port.to_string(),
            ])
            .arg("--directory")
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", arguments.silverback.display()))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line)?;
        let info: Value = serde_json::from_str(&line).context("the demo did not come into sync")?;
        let ports = info["proxies"].as_array().context("no proxies")?.iter().map(|proxy| {
            let url = proxy["http"].as_str().context("no URL")?;
            url.rsplit(':').next().context("no port")?.parse().context("no port")
        });
        let ports = ports.collect::<anyhow::Result<_>>()?;
        Ok(Self { child, ports })
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks one proxy over and over; gives the time from `began` to the first good answer.
fn until_answered(port: u16, index: usize, path: &str, began: Instant) -> anyhow::Result<Duration> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: web-{index}.example\r\n\r\n");
    while began.elapsed() < PATIENCE {
        stream.write_all(request.as_bytes())?;
        if read_status(&mut stream)? == 200 {
            return Ok(began.elapsed());
        }
        thread::sleep(POLL);
    }
    bail!("the proxy on port {port} does not know /{path} after {PATIENCE:?}")
}

/// Reads one whole answer.
fn read_status(stream: &mut TcpStream) -> anyhow::Result<u16> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            bail!("the proxy closed the connection");
        }
        answer.extend_from_slice(&buffer[..count]);
        let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let header = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name).map(str::trim).map(str::to_owned))
        };
        let whole = match header("content-length:") {
            Some(length) => answer.len() >= end + 4 + length.parse::<usize>()?,
            None => answer.ends_with(b"0\r\n\r\n"),
        };
        if whole {
            return head
                .split_whitespace()
                .nth(1)
                .context("no status")?
                .parse()
                .context("no status");
        }
    }
}
