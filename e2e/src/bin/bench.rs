//! How fast a change reaches every proxy, and what the controller costs: 1,000 Ingresses, 10 embedded proxies, one
//! machine. Prints each figure beside its limit, and ends with 1 when one is missed.
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
use clap::Parser;
use serde_json::Value;

/// Measures the way of a change from a manifest to all proxies.
#[derive(Parser)]
struct Arguments {
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
/// Clock ticks a second in /proc (`getconf CLK_TCK`), the same on every Linux that Rust supports.
const TICKS: f64 = 100.0;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let directory = std::env::temp_dir().join(format!("silverback-bench-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let outcome = measure(&arguments, &directory);
    fs::remove_dir_all(&directory)?;
    if outcome? { Ok(()) } else { bail!("a limit was missed") }
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
    println!("{:44} {:>12} {:>12}", "", "measured", "limit");
    println!(
        "{:44} {:>9.0} ms",
        "start to all proxies in sync",
        milliseconds(started)
    );

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
    times.sort();
    let percentile = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let mut good = true;
    let mut limited = |what: &str, value: f64, limit: f64, unit: &str| {
        good &= value < limit;
        println!(
            "{what:44} {value:>9.1} {unit} {limit:>9.1} {unit}{}",
            if value < limit { "" } else { "  MISSED" }
        );
    };
    println!(
        "{:44} {:>9.1} ms",
        "change to all proxies, p50",
        milliseconds(percentile(0.5))
    );
    limited(
        "change to all proxies, p99",
        milliseconds(percentile(0.99)),
        250.0,
        "ms ",
    );
    limited(
        "controller resident",
        resident_mebibytes(demo.child.id(), "VmRSS")?,
        50.0,
        "MiB",
    );
    println!(
        "{:44} {:>9.1} MiB",
        "controller resident, peak",
        resident_mebibytes(demo.child.id(), "VmHWM")?
    );
    thread::sleep(Duration::from_secs(2));
    let before = cpu_seconds(demo.child.id())?;
    thread::sleep(Duration::from_secs(10));
    limited(
        "controller CPU in 10 s of idling",
        cpu_seconds(demo.child.id())? - before,
        0.1,
        "s  ",
    );
    demo.stop()?;
    Ok(good)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
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

fn resident_mebibytes(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .context("no such field")?;
    let kibibytes: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kibibytes / 1024.0)
}

fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat
        .rsplit_once(") ")
        .context("an odd stat file")?
        .1
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / TICKS)
}
