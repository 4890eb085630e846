//! A configuration that changes all the time, numbered; and somebody at each proxy who looks at the number.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::{
    super::release::{LIMIT, NAMESPACE, SHOP, ingress_of, pods},
    container_of,
};
use crate::{
    cluster::{Cluster, Forward},
    http,
    poll::eventually,
};

/// Answers with the number of the configuration that a proxy runs.
const NUMBER_HOST: &str = "number.example";

/// The changes, until they are told to end.
pub(super) struct Changes {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    /// Held while one is written.
    turn: Arc<Mutex<()>>,
    /// What each proxy showed.
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
    threads: Vec<JoinHandle<()>>,
    /// They lead to the proxies as long as they are kept.
    _ways: Vec<Forward>,
}

/// The latest number that a proxy showed, how often it was asked, and what went back.
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
    ingress_of("number", NUMBER_HOST, "/", "web").replace(
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
    pub(super) fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        cluster.apply(&plugin(1))?;
        cluster.apply(&route())?;
        let mut changes = Self {
            stop: Arc::default(),
            written: Arc::new(AtomicUsize::new(1)),
            turn: Arc::default(),
            seen: Arc::default(),
            threads: Vec::new(),
            _ways: Vec::new(),
        };
        for pod in pods(cluster)? {
            let (node, _) = container_of(cluster, &pod.name)?;
            // As seen from its own node, which stays true while that node is cut off.
            let way = cluster.forward_from(&node, &format!("{}:8000", pod.address))?;
            changes.observe(pod.name, &way);
            changes._ways.push(way);
        }
        let (cluster, stop) = (cluster.clone(), changes.stop.clone());
        let (written, turn) = (changes.written.clone(), changes.turn.clone());
        changes.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let mine = turn.lock().expect("no holder panics");
                let next = written.load(Ordering::Relaxed) + 1;
                match cluster.apply(&plugin(next)) {
                    Ok(()) => written.store(next, Ordering::Relaxed),
                    Err(error) => println!("   change {next} failed: {error:#}"),
                }
                drop(mine);
                thread::sleep(Duration::from_millis(100));
            }
        }));
        changes.go_on()?;
        Ok(changes)
    }

    fn observe(&mut self, name: String, way: &Forward) {
        let (stop, seen, address) = (self.stop.clone(), self.seen.clone(), way.address);
        seen.lock()
            .expect("no holder panics")
            .insert(name.clone(), Seen::default());
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
                let answer = http::get(address, NUMBER_HOST, "/");
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

    /// The number of the last change.
    pub(super) fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// No change is made as long as this is kept.
    pub(super) fn quiet(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().expect("no holder panics")
    }

    /// Waits until what is written now is on a proxy: somebody leads, and reaches one.
    pub(super) fn go_on(&self) -> anyhow::Result<()> {
        self.reaches("a proxy", |latest| latest.max())
    }

    /// Waits until what is written now is on every proxy.
    pub(super) fn go_on_everywhere(&self) -> anyhow::Result<()> {
        self.reaches("all proxies", |latest| latest.min())
    }

    fn reaches(
        &self,
        whom: &str,
        pick: impl Fn(&mut dyn Iterator<Item = usize>) -> Option<usize>,
    ) -> anyhow::Result<()> {
        let now = self.written();
        eventually(&format!("change {now} is on {whom}"), LIMIT, || {
            let seen = self.seen.lock().expect("no holder panics");
            let latest = pick(&mut seen.values().map(|seen| seen.latest)).unwrap_or_default();
            ensure!(latest >= now, "they are at {latest}");
            Ok(())
        })
    }

    /// Ends them and takes them back.
    ///
    /// # Errors
    /// A proxy has shown an older configuration after a newer one, or too little was seen to say anything.
    pub(super) fn finish(self, cluster: &Cluster) -> anyhow::Result<()> {
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
            bail!("{NAMESPACE}/{name} went back: {:?}", seen.older);
        }
        ensure!(
            seen.values().all(|seen| seen.samples > 100),
            "too few samples to say anything"
        );
        Ok(())
    }
}
