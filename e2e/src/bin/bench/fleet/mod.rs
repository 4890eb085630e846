//! One controller, a real API server, many stub proxies: how long a start and a change take, and what they cost, beside
//! what a bare client needs to send the same bytes to the same stubs in the same run.

mod api;
mod cluster;
mod limits;
mod objects;
mod pki;
mod requests;
pub(crate) mod sender;
mod stub;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use tokio::time::sleep;

use self::{
    cluster::Cluster,
    limits::Expected,
    objects::Counts,
    requests::Requests,
    sender::Cost,
    stub::{MARKER, Stubs},
};
use crate::{
    process::{Guarded, cpu_seconds, resident_mebibytes},
    table::{Line, Table, milliseconds, percentile},
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The `silverback` program, a release build.
    #[arg(long)]
    silverback: PathBuf,
    /// The test bed's program `cluster`.
    #[arg(long)]
    cluster: PathBuf,
    /// The bare client in Go, whose time and CPU the limits are multiples of.
    #[arg(long)]
    bare_client: PathBuf,
    /// A directory for certificates, logs and the database.
    #[arg(long)]
    directory: PathBuf,
    /// The CustomResourceDefinitions.
    #[arg(long, default_value = "deploy/crds")]
    definitions: PathBuf,
    /// How many routes, each of an Ingress of its own.
    #[arg(long, default_value_t = 10_000)]
    routes: usize,
    /// How many stub proxies; they listen on 10.99.0.1 and the following addresses.
    #[arg(long, default_value_t = 100)]
    proxies: usize,
    /// How many changes are timed.
    #[arg(long, default_value_t = 10)]
    changes: usize,
    /// Helm release Secrets in the cluster, which a controller should not read.
    #[arg(long, default_value_t = 0)]
    helm_releases: usize,
    /// Bytes of each.
    #[arg(long, default_value_t = 500_000)]
    release_bytes: usize,
    /// Services that nothing refers to.
    #[arg(long, default_value_t = 0)]
    other_services: usize,
    /// Whether only the idle controller is measured.
    #[arg(long)]
    idle_only: bool,
    /// Further flags for the controller.
    #[arg(last = true)]
    flags: Vec<String>,
}

/// The replicas by their names, the one that leads first at first.
const REPLICAS: [&str; 3] = ["one", "two", "three"];
const LISTENERS: [&str; 4] = [
    "--health-probe-bind-address",
    "--metrics-bind-address",
    "--dashboard-bind-address",
    "--admission-webhook-listen",
];
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(2);
const IDLE: Duration = Duration::from_secs(10);
/// The controller's, by default.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// In two seconds: a Lease's or two, the looks at the count, and what the API server asks of itself.
const QUIET_REQUESTS: f64 = 8.0;
/// A change must not wait for a proxy that hangs: what takes this many times as long as one right before did.
const HUNG_TOLERANCE: f64 = 1.1;
/// Between two changes that are compared, so that neither pays for what the other leaves to be done.
const APART: Duration = Duration::from_millis(300);

/// Whether all limits were kept.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    runtime()?.block_on(measure(arguments))
}

/// With a provider of cryptography installed.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("no provider was installed before");
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

async fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    let directory = &arguments.directory;
    fs::create_dir_all(directory)?;
    pki::write(directory)?;
    let cluster = Cluster::start(&arguments.cluster, directory).await?;
    let addresses = addresses(arguments.proxies);
    let counts = Counts {
        routes: arguments.routes,
        helm_releases: arguments.helm_releases,
        release_bytes: arguments.release_bytes,
        other_services: arguments.other_services,
    };
    let began = Instant::now();
    objects::create(&cluster.api, &arguments.definitions, &addresses, counts).await?;
    println!(
        "{} routes, {} stub proxies; {} Helm release Secrets of {} bytes, {} unreferenced Services (made in {:.0?})",
        counts.routes,
        arguments.proxies,
        counts.helm_releases,
        counts.release_bytes,
        counts.other_services,
        began.elapsed()
    );
    let stubs = Stubs::start(&addresses, pki::server_config(directory)?).await?;
    let mut bench = Bench {
        arguments,
        cluster,
        stubs,
        table: Table::new(Some("KIC 3.5.13")),
        changes: 0,
        expected: Expected::of(arguments.routes, arguments.proxies),
    };
    bench.run(&addresses).await?;
    Ok(bench.table.kept())
}

/// 10.99.0.1 and the following, as the script gives them to the namespace.
fn addresses(count: usize) -> Vec<SocketAddr> {
    let first = u32::from(Ipv4Addr::new(10, 99, 0, 1));
    let address = |index| Ipv4Addr::from(first + u32::try_from(index).expect("there are few stubs"));
    (0..count).map(|index| (address(index), 8444).into()).collect()
}

struct Bench<'a> {
    arguments: &'a Arguments,
    cluster: Cluster,
    stubs: Stubs,
    table: Table,
    /// Changes made so far.
    changes: usize,
    expected: &'static Expected,
}

/// Times of changes until the first and until all proxies had them.
#[derive(Default)]
struct Times {
    first: Vec<Duration>,
    all: Vec<Duration>,
}

/// What bare clients need for a change.
struct Bare {
    /// As the goals were set by: with its standard library's client.
    go: Cost,
    /// With the controller's own libraries: the least that a full push can cost here.
    rust: Cost,
}

/// What a bare client prints.
fn printed_by(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "the bare client: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).context("the bare client printed no text")
}

impl Bench<'_> {
    async fn run(&mut self, addresses: &[SocketAddr]) -> anyhow::Result<()> {
        let before = self.cluster.api.requests().await?;
        sleep(IDLE).await;
        let own_requests = self.cluster.api.requests().await?.since(&before);

        let controller = self.cold_start().await?;
        self.put_away().await?;
        self.quiet(&controller).await?;
        self.idle(&controller, &own_requests).await?;
        if self.arguments.idle_only {
            controller.stop()?;
            let bare = self.bare_probes(addresses)?;
            self.table.figure("  a bare client, the same probes", bare, "s");
            return Ok(());
        }
        let (cpu, pushes) = (cpu_seconds(controller.id())?, self.stubs.pushes());
        let mut times = self.change_often(self.arguments.changes).await?;
        let quiet = self.quiet(&controller).await?;
        let changes = self.arguments.changes as f64;
        let cpu = (cpu_seconds(controller.id())? - cpu) * 1000.0 / changes;
        let pushes = (self.stubs.pushes() - pushes) as f64 / changes / self.arguments.proxies as f64;
        let resident = resident_mebibytes(controller.id(), "VmRSS")?;
        let peak = resident_mebibytes(controller.id(), "VmHWM")?;
        let Bare { go, rust } = self.bare(addresses)?;

        let expected = self.expected;
        let table = &mut self.table;
        table.figure(
            "change to the first proxy, p50",
            milliseconds(percentile(&mut times.first, 0.5)),
            "ms",
        );
        let usual = milliseconds(percentile(&mut times.all, 0.5));
        table.line(&Line {
            what: "change to all proxies, p50",
            value: usual,
            unit: "ms",
            limit: Some(expected.change.unwrap_or(go.milliseconds * 1.3)),
            peer: expected.peer.change,
        });
        table.figure(
            "change to all proxies, slowest",
            milliseconds(percentile(&mut times.all, 1.0)),
            "ms",
        );
        table.figure("  a bare client in Go, the same bytes", go.milliseconds, "ms");
        table.figure("  a bare client in Rust, the same bytes", rust.milliseconds, "ms");
        table.line(&Line {
            what: "controller CPU per change, statuses included",
            value: cpu,
            unit: "ms",
            limit: Some(expected.change_cpu.unwrap_or(go.cpu_milliseconds * 1.5)),
            peer: expected.peer.change_cpu,
        });
        table.figure("  a bare client in Go, the same bytes", go.cpu_milliseconds, "ms");
        table.figure("  a bare client in Rust, the same bytes", rust.cpu_milliseconds, "ms");
        table.figure("pushes per change and proxy", pushes, "");
        table.figure("quiet after the last change", quiet.as_secs_f64(), "s");
        table.line(&Line {
            what: "controller resident after the changes",
            value: resident,
            unit: "MiB",
            limit: expected.resident,
            peer: expected.peer.resident,
        });
        table.figure("controller resident, peak", peak, "MiB");

        self.beside_a_hung_one().await?;
        self.take_over(controller).await
    }

    /// Changes while one proxy hangs, each right after one while none does.
    async fn beside_a_hung_one(&mut self) -> anyhow::Result<()> {
        let (mut none_hangs, mut one_hangs) = (Vec::new(), Vec::new());
        for _ in 0..self.arguments.changes {
            for (hangs, times) in [(false, &mut none_hangs), (true, &mut one_hangs)] {
                sleep(APART).await;
                self.stubs.hang(0, hangs);
                times.append(&mut self.change_often(1).await?.all);
                self.stubs.hang(0, false);
                // It catches up before anything else is measured.
                self.seen(&format!("{MARKER}{}", self.changes)).await?;
            }
        }
        let [usual, hung] = [&mut none_hangs, &mut one_hangs].map(|times| milliseconds(percentile(times, 0.5)));
        self.table.limited(
            "change to all others while one hangs, p50",
            hung,
            usual * HUNG_TOLERANCE,
            "ms",
        );
        self.table.figure("  while none hangs, each right before", usual, "ms");
        Ok(())
    }

    /// Waits until what was accepted first has been put away, as it is under the chart: that takes memory, too.
    async fn put_away(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        while !objects::is_put_away(&self.cluster.api).await? {
            ensure!(began.elapsed() < PATIENCE, "nothing was put away");
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// From the start of the process to the last proxy.
    async fn cold_start(&mut self) -> anyhow::Result<Guarded> {
        let began = Instant::now();
        let mut controller = self.start(REPLICAS[0])?;
        let routes = self.arguments.routes;
        while !self.stubs.have_routes(routes) {
            let log = self.arguments.directory.join(format!("{}.log", REPLICAS[0]));
            ensure!(controller.is_running(), "the controller ended: see {}", log.display());
            ensure!(
                began.elapsed() < PATIENCE,
                "not all are configured: see {}",
                log.display()
            );
            sleep(POLL).await;
        }
        self.table.line(&Line {
            what: "start to all proxies configured",
            value: began.elapsed().as_secs_f64(),
            unit: "s",
            limit: self.expected.cold_start,
            peer: self.expected.peer.cold_start,
        });
        let cpu = cpu_seconds(controller.id())?;
        self.table.figure("  CPU for that", cpu, "s");
        Ok(controller)
    }

    fn start(&self, name: &str) -> anyhow::Result<Guarded> {
        let directory = &self.arguments.directory;
        let file = |name: &str| directory.join(name);
        let offset = REPLICAS.iter().zip((0_u16..).step_by(100));
        let offset = offset
            .filter(|(replica, _)| **replica == name)
            .map(|(_, offset)| offset);
        let offset = offset.sum::<u16>();
        let mut command = Command::new(&self.arguments.silverback);
        command
            .env("POD_NAME", name)
            // As in the image.
            .env("MALLOC_ARENA_MAX", "2")
            .env("MALLOC_MMAP_THRESHOLD_", "1048576")
            .arg("run")
            .arg("--kubeconfig")
            .arg(&self.cluster.kubeconfig)
            .arg("--kong-admin-ca-cert-file")
            .arg(file("proxies-ca.crt"))
            .arg("--kong-admin-tls-client-cert-file")
            .arg(file("client.crt"))
            .arg("--kong-admin-tls-client-key-file")
            .arg(file("client.key"))
            .arg(format!(
                "--kong-admin-svc={}/{}",
                objects::PROXY_NAMESPACE,
                objects::ADMIN_SERVICE
            ))
            .arg(format!("--ingress-class={}", objects::CLASS))
            .arg(format!("--election-namespace={}", objects::PROXY_NAMESPACE))
            .arg(format!(
                "--last-good-secret={}/{}",
                objects::PROXY_NAMESPACE,
                objects::LAST_GOOD
            ))
            .arg("--push-duty=100")
            // All that the chart switches on listens, each replica at ports of its own: they share an address here.
            .args(
                LISTENERS
                    .iter()
                    .zip(0_u16..)
                    .map(|(flag, index)| format!("{flag}=127.0.0.1:{}", 10_254 + index + offset)),
            )
            .arg("--admission-webhook-cert-file")
            .arg(file("server.crt"))
            .arg("--admission-webhook-key-file")
            .arg(file("server.key"))
            .args(&self.arguments.flags);
        Guarded::start(&mut command, &file(&format!("{name}.log")))
    }

    /// Waits until the controller does next to nothing: statuses are written after the proxies have what they shall run.
    async fn quiet(&self, controller: &Guarded) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let look = Duration::from_secs(2);
        // Looking at a thousand proxies may take twice that.
        let next_to_nothing = 0.03 * (1.0 + self.arguments.proxies as f64 / 500.0);
        loop {
            let (before, requests) = (cpu_seconds(controller.id())?, self.cluster.api.requests().await?);
            sleep(look).await;
            let cpu = cpu_seconds(controller.id())? - before;
            let requests = self.cluster.api.requests().await?.since(&requests).total();
            if cpu <= next_to_nothing && requests <= QUIET_REQUESTS {
                return Ok(began.elapsed().saturating_sub(look));
            }
            if began.elapsed() > PATIENCE {
                bail!("the controller is busy {PATIENCE:?} after the last change");
            }
        }
    }

    async fn idle(&mut self, controller: &Guarded, own_requests: &Requests) -> anyhow::Result<()> {
        let resident = resident_mebibytes(controller.id(), "VmRSS")?;
        self.table.line(&Line {
            what: "controller resident",
            value: resident,
            unit: "MiB",
            limit: self.expected.resident,
            peer: self.expected.peer.resident,
        });
        self.table.figure(
            "controller resident, peak",
            resident_mebibytes(controller.id(), "VmHWM")?,
            "MiB",
        );
        let requests = self.cluster.api.requests().await?;
        let (probes, cpu) = (self.stubs.probes(), cpu_seconds(controller.id())?);
        sleep(IDLE).await;
        let cpu = cpu_seconds(controller.id())? - cpu;
        let probes = self.stubs.probes() - probes;
        let requests = self.cluster.api.requests().await?.since(&requests);
        self.table.line(&Line {
            what: "controller CPU in 10 s of idling",
            value: cpu,
            unit: "s",
            limit: Some(self.expected.idle.unwrap_or(0.2)),
            peer: self.expected.peer.idle,
        });
        // Who asks less often idles cheaply. One in twenty may fall just outside of that time.
        let due = self.arguments.proxies as f64 * IDLE.as_secs_f64() / PROBE_INTERVAL.as_secs_f64();
        self.table.at_least("  probes in that time", probes as f64, due * 0.95);
        // It is renewed every two seconds; one more may fall into that time, and one of the API server's own Lease.
        let leases = requests.leases(own_requests);
        self.table.limited("  requests for the Lease", leases, 8.0, "");
        let others = requests.others(own_requests);
        self.table
            .limited("  other requests to the API server", others.values().sum(), 1.0, "");
        for (resource, count) in others {
            self.table.figure(&format!("    {resource}"), count, "");
        }
        self.table.figure(
            "  watches that ended, and were established anew",
            requests.watches(),
            "",
        );
        Ok(())
    }

    async fn change_often(&mut self, count: usize) -> anyhow::Result<Times> {
        let mut times = Times::default();
        for _ in 0..count {
            let began = Instant::now();
            let marker = self.change().await?;
            let (first, last) = self.seen(&marker).await?;
            times.first.push(first - began);
            times.all.push(last - began);
        }
        Ok(times)
    }

    /// Changes one route; gives the marker that shows it.
    async fn change(&mut self) -> anyhow::Result<String> {
        self.changes += 1;
        let marker = format!("{MARKER}{}", self.changes);
        let route = self.changes * 7919 % self.arguments.routes;
        objects::change(&self.cluster.api, route, &marker).await?;
        Ok(marker)
    }

    async fn seen(&self, marker: &str) -> anyhow::Result<(Instant, Instant)> {
        let began = Instant::now();
        loop {
            if let Some(seen) = self.stubs.seen(marker) {
                return Ok(seen);
            }
            ensure!(began.elapsed() < PATIENCE, "{marker} did not reach all proxies");
            sleep(POLL).await;
        }
    }

    /// The bare clients, with the bytes that were sent last.
    fn bare(&self, addresses: &[SocketAddr]) -> anyhow::Result<Bare> {
        let body = self.arguments.directory.join("body");
        fs::write(&body, self.stubs.last_body())?;
        let body = body.to_str().context("the directory's path is no text")?;
        let rounds = if self.arguments.proxies < 50 { "200" } else { "10" };
        let printed = self.bare_client(addresses, &["send", "--rounds", rounds, "--body", body])?;
        let rust = Cost::parse(&printed)?;
        let mut command = Command::new(&self.arguments.bare_client);
        command.args(["-server-name", pki::SERVER_NAME, "-rounds", rounds, "-body", body]);
        command.arg("-directory").arg(&self.arguments.directory);
        let go = Cost::parse(&printed_by(command.args(addresses.iter().map(ToString::to_string)))?)?;
        Ok(Bare { go, rust })
    }

    /// CPU seconds of a bare client that asks all stubs as often.
    fn bare_probes(&self, addresses: &[SocketAddr]) -> anyhow::Result<f64> {
        let interval = PROBE_INTERVAL.as_secs().to_string();
        let seconds = IDLE.as_secs().to_string();
        let printed = self.bare_client(addresses, &["ask", "--interval", &interval, "--seconds", &seconds])?;
        Ok(printed.trim().parse()?)
    }

    /// What this program prints as a bare client of the stubs at `addresses`.
    fn bare_client(&self, addresses: &[SocketAddr], verb: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(verb).arg("--directory").arg(&self.arguments.directory);
        printed_by(command.arg("--to").args(addresses.iter().map(ToString::to_string)))
    }

    /// The leader gets SIGTERM while a change comes in, and a standby pushes it; then the same again while a push to a proxy
    /// that hangs is under way.
    async fn take_over(&mut self, leader: Guarded) -> anyhow::Result<()> {
        let second = self.standby(REPLICAS[1], &leader).await?;
        let (first, _) = self.hand_over(&leader).await?;
        self.table
            .limited("SIGTERM of the leader to the other's push", first, 300.0, "ms");
        drop(leader);

        let third = self.standby(REPLICAS[2], &second).await?;
        self.stubs.hang(0, true);
        let marker = self.change().await?;
        self.seen(&marker).await?;
        let (first, last) = self.hand_over(&second).await?;
        self.table
            .limited("  with a push to a proxy under way that hangs", first, 300.0, "ms");
        self.table.figure("  the same, to all others", last, "ms");
        self.stubs.hang(0, false);
        drop(second);
        third.stop()
    }

    /// Another controller, which stands by; nothing is under way any more.
    async fn standby(&self, name: &str, leader: &Guarded) -> anyhow::Result<Guarded> {
        let standby = self.start(name)?;
        let log = self.arguments.directory.join(format!("{name}.log"));
        let began = Instant::now();
        while !follows(&log) {
            ensure!(
                began.elapsed() < PATIENCE,
                "the standby does not follow: see {}",
                log.display()
            );
            sleep(Duration::from_millis(100)).await;
        }
        self.quiet(&standby).await?;
        self.quiet(leader).await?;
        Ok(standby)
    }

    /// From SIGTERM of the leader until the first and until all proxies have a change from the next one, in milliseconds.
    async fn hand_over(&mut self, leader: &Guarded) -> anyhow::Result<(f64, f64)> {
        let before = self.stubs.terms(&format!("{MARKER}{}", self.changes));
        let (_, before) = before.context("not all proxies have the change before")?;
        let began = Instant::now();
        leader.terminate()?;
        let marker = self.change().await?;
        let (first, last) = self.seen(&marker).await?;
        let (term, _) = self.stubs.terms(&marker).context("they were just seen")?;
        ensure!(
            term > before,
            "who was asked to end has pushed {marker} itself, in its term {before}: nothing was handed over"
        );
        Ok((milliseconds(first - began), milliseconds(last - began)))
    }
}

/// Whether a standby has said so, and has rendered a configuration.
fn follows(log: &Path) -> bool {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.contains("configuration rendered") && text.contains("follower")
}
