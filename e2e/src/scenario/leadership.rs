//! The leader goes, in every way that there is, while configurations change all the time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::release::{
    HOST, LIMIT, NAMESPACE, SHOP, all_answer, change_goes_live, front, in_sync, leader, pods, rolled_out,
};
use crate::{
    Arguments,
    cluster::{Cluster, Forward},
    http,
    load::Load,
    poll::eventually,
};

/// Answers with the number of the configuration that a proxy runs.
const NUMBER_HOST: &str = "number.example";
const CONTROLLER: &str = "silverback-kong-controller";
/// Longer than a Lease: another one leads by then.
const AWAY: Duration = Duration::from_secs(25);

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    let changes = Changes::start(cluster)?;
    let outcome = ways_to_go(cluster, &changes);
    let observed = changes.finish(cluster);
    outcome?;
    observed?;
    in_sync(cluster, 2)?;
    change_goes_live(cluster)?;
    load.finish()
}

fn ways_to_go(cluster: &Cluster, changes: &Changes) -> anyhow::Result<()> {
    asked_to_end(cluster)?;
    changes.go_on()?;
    for (way, signal) in [("killed (SIGKILL)", "SIGKILL"), ("stopped (SIGSTOP)", "SIGSTOP")] {
        let before = leader(cluster)?;
        let (node, container) = container_of(cluster, &before)?;
        let began = Instant::now();
        cluster.signal_container(&node, &container, signal)?;
        let after = another_leads(cluster, &before)?;
        println!(
            "   {before} was {way}; {after} leads after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        changes.go_on()?;
        if signal == "SIGSTOP" {
            // It wakes up and believes to lead, until it has looked.
            cluster.signal_container(&node, &container, "SIGCONT")?;
        }
        changes.go_on()?;
        rolled_out(cluster, CONTROLLER)?;
    }
    cut_off(cluster, changes)
}

/// SIGTERM: the Lease is given back, and the other goes on at once.
fn asked_to_end(cluster: &Cluster) -> anyhow::Result<()> {
    let before = leader(cluster)?;
    let controllers = controllers(cluster)?;
    let other = controllers
        .iter()
        .find(|name| **name != before)
        .context("there is no standby")?;
    let (old, new) = (
        cluster.follow_log(NAMESPACE, &before)?,
        cluster.follow_log(NAMESPACE, other)?,
    );
    cluster.kubectl(&["delete", "pod", "-n", NAMESPACE, &before, "--wait=false"])?;
    let (stopping, leading, pushed) = eventually("the other one pushes", LIMIT, || {
        let stopping = old.time_of("stopping", None).context("not told to stop yet")?;
        let leading = new.time_of("leading", Some(stopping)).context("nobody leads yet")?;
        let pushed = new.time_of(" push ", Some(leading)).context("no push yet")?;
        Ok((stopping, leading, pushed))
    })?;
    let milliseconds = |until: jiff::Timestamp| until.duration_since(stopping).as_millis();
    println!(
        "   {before} was asked to end (SIGTERM); {other} leads after {} ms, and its first push has ended after {} ms",
        milliseconds(leading),
        milliseconds(pushed)
    );
    rolled_out(cluster, CONTROLLER)
}

/// The leader's node loses its network: neither the API server nor the other node is in reach.
fn cut_off(cluster: &Cluster, changes: &Changes) -> anyhow::Result<()> {
    let before = leader(cluster)?;
    let (node, _) = container_of(cluster, &before)?;
    let began = Instant::now();
    cluster.node(&node, "partition")?;
    let outcome = another_leads(cluster, &before);
    let told = began.elapsed();
    if outcome.is_ok() {
        thread::sleep(AWAY.saturating_sub(told));
    }
    cluster.node(&node, "heal")?;
    println!(
        "   {before} was cut off with its node; {} leads after {:.1} s",
        outcome?,
        told.as_secs_f64()
    );
    cluster.kubectl(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"])?;
    in_sync(cluster, 2)?;
    changes.go_on()?;
    rolled_out(cluster, CONTROLLER)
}

/// The API server is away, and a proxy loses what it runs.
pub(super) fn without_api_server(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let pod = pods(cluster)?.into_iter().next().context("no proxy")?;
    let (node, container) = container_of(cluster, &pod.name)?;
    let way = cluster.forward_from(&node, &format!("{}:8000", pod.address))?;
    cluster.signal_api_server("STOP")?;
    let outcome = (|| {
        // Past the deadline of the Lease: the leader knows that it can't renew.
        thread::sleep(Duration::from_secs(15));
        cluster.kill_container(&node, &container)?;
        let began = Instant::now();
        let gone = eventually("the proxy is gone", LIMIT, || {
            ensure!(http::get(way.address, HOST, "/").is_err(), "it answers");
            Ok(())
        });
        // It may have been back before anybody looked.
        drop(gone);
        eventually("the proxy serves again", LIMIT, || {
            let answer = http::get(way.address, HOST, "/")?;
            ensure!(answer.status == 200, "it answers {}", answer.status);
            Ok(())
        })?;
        println!(
            "   without the API server: {} lost its configuration and served again {:.1} s later",
            pod.name,
            began.elapsed().as_secs_f64()
        );
        Ok(())
    })();
    cluster.signal_api_server("CONT")?;
    outcome.and_then(|()| {
        eventually("the API server is back", LIMIT, || {
            cluster.kubectl(&["get", "--raw", "/readyz"])
        })?;
        in_sync(cluster, 2)?;
        all_answer(cluster, "/", 200)?;
        change_goes_live(cluster)
    })
}

fn another_leads(cluster: &Cluster, before: &str) -> anyhow::Result<String> {
    // The same pod may lead again only after another one did.
    let transitions = || -> anyhow::Result<i64> {
        let lease = election(cluster)?;
        Ok(lease["spec"]["leaseTransitions"].as_i64().unwrap_or_default())
    };
    let known = transitions()?;
    eventually("another term begins", LIMIT, || {
        let after = leader(cluster)?;
        ensure!(after != before || transitions()? > known, "{before} still leads");
        Ok(after)
    })
}

fn election(cluster: &Cluster) -> anyhow::Result<Value> {
    let leases = cluster.list(&["leases", "-n", NAMESPACE])?;
    let named = |lease: &&Value| {
        let name = lease["metadata"]["name"].as_str();
        name.is_some_and(|name| name.ends_with("silverback.gateway.silverback.dev"))
    };
    leases.iter().find(named).cloned().context("there is no Lease")
}

fn controllers(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let pods = cluster.list(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller"])?;
    let names = pods
        .iter()
        .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned));
    Ok(names.collect())
}

/// Node and container of a pod.
fn container_of(cluster: &Cluster, pod: &str) -> anyhow::Result<(String, String)> {
    let pod = cluster.get(&["pod", "-n", NAMESPACE, pod])?;
    let node = pod["spec"]["nodeName"].as_str().context("it is on no node")?;
    let container = pod["status"]["containerStatuses"][0]["containerID"]
        .as_str()
        .context("it has no container")?;
    Ok((
        node.to_owned(),
        container.trim_start_matches("containerd://").to_owned(),
    ))
}

/// A configuration that changes all the time, numbered; and somebody at each proxy who looks at the number.
struct Changes {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    /// What each proxy showed: the latest number, how often it was seen, and what went back.
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    latest: usize,
    samples: usize,
    older: Vec<(usize, usize)>,
}

fn plugin(number: usize) -> String {
    format!(
        "apiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nmetadata: {{name: number, namespace: {SHOP}}}\n\
         plugin: request-termination\nconfig: {{status_code: 200, message: \"{number}\"}}\n"
    )
}

fn route() -> String {
    super::release::ingress_of("number", NUMBER_HOST, "/", "web").replace(
        "metadata: {name: number,",
        "metadata: {annotations: {konghq.com/plugins: number}, name: number,",
    )
}

/// The number in `{"message":"7"}`.
fn number_in(body: &str) -> Option<usize> {
    let body: Value = serde_json::from_str(body).ok()?;
    body["message"].as_str()?.parse().ok()
}

impl Changes {
    fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        cluster.apply(&plugin(1))?;
        cluster.apply(&route())?;
        let mut changes = Self {
            stop: Arc::default(),
            written: Arc::new(AtomicUsize::new(1)),
            seen: Arc::default(),
            threads: Vec::new(),
        };
        for pod in pods(cluster)? {
            let (node, _) = container_of(cluster, &pod.name)?;
            // As seen from its own node, which stays true while that node is cut off.
            let way = cluster.forward_from(&node, &format!("{}:8000", pod.address))?;
            changes.observe(pod.name, way);
        }
        let (cluster, stop, written) = (cluster.clone(), changes.stop.clone(), changes.written.clone());
        changes.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let next = written.load(Ordering::Relaxed) + 1;
                match cluster.apply(&plugin(next)) {
                    Ok(()) => written.store(next, Ordering::Relaxed),
                    Err(error) => println!("   change {next} failed: {error:#}"),
                }
                thread::sleep(Duration::from_millis(100));
            }
        }));
        changes.go_on()?;
        Ok(changes)
    }

    fn observe(&mut self, name: String, way: Forward) {
        let (stop, seen) = (self.stop.clone(), self.seen.clone());
        seen.lock()
            .expect("no holder panics")
            .insert(name.clone(), Seen::default());
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
                let answer = http::get(way.address, NUMBER_HOST, "/");
                let Some(number) = answer.ok().and_then(|answer| number_in(&answer.body)) else {
                    continue;
                };
                let mut seen = seen.lock().expect("no holder panics");
                let seen = seen.entry(name.clone()).or_default();
                seen.samples += 1;
                if number < seen.latest {
                    seen.older.push((seen.latest, number));
                }
                seen.latest = number;
            }
        }));
    }

    /// Waits until what is written now is on every proxy, as far as it can be reached.
    fn go_on(&self) -> anyhow::Result<()> {
        let now = self.written.load(Ordering::Relaxed);
        eventually(&format!("change {now} is somewhere"), LIMIT, || {
            let seen = self.seen.lock().expect("no holder panics");
            let latest = seen.values().map(|seen| seen.latest).max().unwrap_or_default();
            ensure!(latest >= now, "the latest that a proxy has is {latest}");
            Ok(())
        })
    }

    fn finish(self, cluster: &Cluster) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().ok().context("an observer panicked")?;
        }
        let changes = self.written.load(Ordering::Relaxed);
        let seen = self.seen.lock().expect("no holder panics");
        for (name, seen) in seen.iter() {
            println!(
                "   {name}: {} samples over {changes} changes, {} times an older configuration after a newer one",
                seen.samples,
                seen.older.len()
            );
        }
        cluster.kubectl(&["delete", "ingress/number", "kongplugin/number", "-n", SHOP])?;
        if let Some((name, seen)) = seen.iter().find(|(_, seen)| !seen.older.is_empty()) {
            bail!("{name} went back: {:?}", seen.older);
        }
        ensure!(
            seen.values().all(|seen| seen.samples > 100),
            "too few samples to say anything"
        );
        Ok(())
    }
}
