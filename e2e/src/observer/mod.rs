//! An observer that believes nobody: it asks every proxy five times a second what it runs, over the Admin API and from the
//! nodes, reads `ProxyInstances`, `ProxyFleets` and the Lease from the API server, and compares. Twice a minute it reads all that
//! a proxy runs.
//!
//! - `trace`, `comparison`: what is compared, and what a mismatch is. Pure
//! - `content`: what hashes stand for. Pure
//! - `view`: what the API server says, read. Pure
//! - `admin`, `node`: proxies, asked from the network of a node
//! - `report`: the findings for a reader

mod admin;
mod comparison;
mod content;
mod node;
mod report;
mod trace;
mod view;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpStream,
    time::{MissedTickBehavior, interval, timeout},
};

use self::{
    admin::{Latest, PERIOD, Sample, Watched},
    comparison::{Comparison, Moment, Sighting},
    content::Shown,
    node::Nodes,
    view::{Pod, View, writes_waiting},
};
use crate::{api::Api, cluster::Cluster};

pub(crate) use admin::AdminAccess;
pub(crate) use comparison::{Aspect, Excluded, Tolerances};
pub(crate) use report::Report;

/// How old a sample may be.
const FRESH: Duration = Duration::from_secs(3);
/// Ports of the chart: the proxies' Admin API, the controllers' metrics.
const ADMIN_PORT: u16 = 8444;
const METRICS_PORT: u16 = 10255;
/// Writes a second that the controller allows itself (`--status-qps`).
const WRITES: f64 = 20.0;

/// What is observed.
pub(crate) struct Settings {
    pub(crate) namespace: String,
    pub(crate) lease: String,
    pub(crate) tolerances: Tolerances,
}

/// Observes until it is finished.
pub(crate) struct Observer {
    stop: Arc<AtomicBool>,
    during: Arc<Mutex<String>>,
    mismatches: Arc<AtomicU64>,
    thread: Option<JoinHandle<Report>>,
}

impl Observer {
    /// Begins.
    ///
    /// # Errors
    /// The cluster's networks can't be entered.
    pub(crate) fn start(cluster: &Cluster, access: AdminAccess, settings: Settings) -> anyhow::Result<Self> {
        let nodes = Nodes::of(cluster.directory())?;
        let api = Api::new(&cluster.kubeconfig())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut observer = Self {
            stop: Arc::default(),
            during: Arc::default(),
            mismatches: Arc::default(),
            thread: None,
        };
        let (stop, during) = (observer.stop.clone(), observer.during.clone());
        let mismatches = observer.mismatches.clone();
        observer.thread = Some(thread::spawn(move || {
            let view = Arc::new(Mutex::new(View::default()));
            let mut eye = Eye {
                began: Instant::now(),
                nodes,
                access,
                view: view.clone(),
                watched: BTreeMap::new(),
                answers: 0,
                stretch: Arc::default(),
                comparison: Comparison::new(settings.tolerances),
            };
            runtime.block_on(async {
                let reader = tokio::spawn(read(api, settings.namespace, settings.lease, view));
                let mut ticks = interval(PERIOD);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                let mut count = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    if count.is_multiple_of(5) {
                        eye.measure_stretch();
                    }
                    count += 1;
                    let during = during.lock().expect("no holder panics").clone();
                    eye.look(during);
                    let found = eye.comparison.findings().mismatches.len();
                    mismatches.store(found as u64, Ordering::Relaxed);
                }
                reader.abort();
            });
            eye.report()
        }));
        Ok(observer)
    }

    /// What is being done to the fleet from now on.
    pub(crate) fn during(&self, what: &str) {
        what.clone_into(&mut self.during.lock().expect("no holder panics"));
    }

    /// Mismatches so far.
    pub(crate) fn mismatches(&self) -> u64 {
        self.mismatches.load(Ordering::Relaxed)
    }

    /// Ends it.
    ///
    /// # Errors
    /// It has panicked.
    pub(crate) fn finish(mut self) -> anyhow::Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it is finished once")?;
        thread.join().ok().context("the observer panicked")
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Reads what the API server says, five times a second.
async fn read(api: Api, namespace: String, lease: String, view: Arc<Mutex<View>>) {
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let rows = format!("/apis/gateway.silverback.dev/v1alpha1/namespaces/{namespace}/proxyinstances");
    let fleets = format!("/apis/gateway.silverback.dev/v1alpha1/namespaces/{namespace}/proxyfleets");
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{lease}");
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let read = tokio::try_join!(
            api.get(&pods),
            api.get(&slices),
            api.get(&rows),
            api.get(&fleets),
            read_lease(&api, &lease)
        );
        if let Ok((pods, slices, rows, fleets, lease)) = read {
            let mut view = view.lock().expect("no holder panics");
            view.take([&pods, &slices, &rows, &fleets, &lease], Instant::now());
        }
    }
}

/// A Lease that was deleted is one that nobody holds.
async fn read_lease(api: &Api, path: &str) -> anyhow::Result<Value> {
    match api.get(path).await {
        Err(error) if error.to_string().contains("404") => Ok(Value::Null),
        other => other,
    }
}

/// Puts together what is seen, and compares.
struct Eye {
    began: Instant,
    nodes: Nodes,
    access: AdminAccess,
    view: Arc<Mutex<View>>,
    /// Who is asked from where: uid and address of the pod, and the node.
    watched: BTreeMap<(String, String, String), Latest>,
    /// Answers of proxies that are not watched any more.
    answers: u64,
    stretch: Arc<Mutex<Duration>>,
    comparison: Comparison,
}

impl Eye {
    fn look(&mut self, during: String) {
        let now = Instant::now();
        let view = self.view.clone();
        let view = view.lock().expect("no holder panics");
        if !view.is_read() {
            return;
        }
        self.watch(&view.pods);
        let leads_on = view.leader().map(|pod| pod.node.clone());
        let shown = self.shown();
        let mut proxies = BTreeMap::new();
        for pod in view.pods.iter().filter(|pod| pod.is_proxy) {
            let samples = self.samples(pod, now);
            let from_leader = samples.iter().find(|(node, _)| Some(node) == leads_on.as_ref());
            let latest = samples.iter().filter(|(_, sample)| sample.hash.is_some());
            let latest = latest.max_by_key(|(_, sample)| sample.asked);
            let sighting = Sighting {
                name: pod.name.clone(),
                exists: pod.is_settled.then_some(true),
                answer: from_leader.map(|(_, sample)| sample.answer),
                hash: latest.and_then(|(_, sample)| sample.hash.clone()),
                row: view.rows.get(&pod.uid).map(|(_, row)| row.clone()),
            };
            proxies.insert(pod.uid.clone(), sighting);
        }
        for (uid, (name, row)) in &view.rows {
            let without_pod = || Sighting {
                name: name.clone(),
                exists: Some(false),
                row: Some(row.clone()),
                ..Sighting::default()
            };
            proxies.entry(uid.clone()).or_insert_with(without_pod);
        }
        self.comparison.look(&Moment {
            at: now.duration_since(self.began),
            excluded: view.excluded(now),
            stretch: *self.stretch.lock().expect("no holder panics"),
            during,
            proxies,
            shown,
        });
    }

    /// Asks who is there, and nobody else.
    fn watch(&mut self, pods: &[Pod]) {
        let mut wanted = BTreeMap::new();
        for pod in pods.iter().filter(|pod| pod.is_proxy) {
            let Some(address) = &pod.address else { continue };
            for node in self.nodes.names() {
                let key = (pod.uid.clone(), address.clone(), node.clone());
                wanted.insert(key, pod.name.clone());
            }
        }
        let answers = &mut self.answers;
        self.watched.retain(|key, latest| {
            let stays = wanted.contains_key(key);
            if !stays {
                *answers += latest.lock().expect("no holder panics").count;
            }
            stays
        });
        let began = self.began;
        for (key, name) in wanted {
            let (Some(runtime), Ok(address)) = (self.nodes.on(&key.2), key.1.parse()) else {
                continue;
            };
            self.watched.entry(key).or_insert_with(|| {
                let latest = Latest::default();
                let address = SocketAddr::new(address, ADMIN_PORT);
                let proxy = Watched { name, address, began };
                runtime.spawn(admin::watch(self.access.clone(), proxy, latest.clone()));
                latest
            });
        }
    }

    /// What it did when it was asked last, by the node from which it was asked.
    fn samples(&self, pod: &Pod, now: Instant) -> Vec<(String, Sample)> {
        let own = self.watched.iter().filter(|((uid, ..), _)| *uid == pod.uid);
        own.filter_map(|((_, _, node), latest)| {
            let sample = latest.lock().expect("no holder panics").sample.clone()?;
            (now.duration_since(sample.asked) <= FRESH).then(|| (node.clone(), sample))
        })
        .collect()
    }

    /// What proxies have shown of what they run, since this was asked last.
    fn shown(&self) -> Vec<Shown> {
        let latest = self.watched.values();
        latest
            .flat_map(|latest| std::mem::take(&mut latest.lock().expect("no holder panics").shown))
            .collect()
    }

    /// Asks the leader how many writes wait.
    fn measure_stretch(&self) {
        let view = self.view.lock().expect("no holder panics");
        let Some(leader) = view.leader() else { return };
        let Some(address) = leader.address.as_ref().and_then(|address| address.parse().ok()) else {
            return;
        };
        let Some(runtime) = self.nodes.on(&leader.node) else {
            return;
        };
        let stretch = self.stretch.clone();
        runtime.spawn(async move {
            let metrics = timeout(FRESH, metrics(SocketAddr::new(address, METRICS_PORT))).await;
            let waiting = match metrics {
                Ok(Ok(metrics)) => writes_waiting(&metrics),
                // Who does not say it gets no more time.
                _ => 0.0,
            };
            *stretch.lock().expect("no holder panics") = Duration::from_secs_f64(waiting / WRITES);
        });
    }

    fn report(&self) -> Report {
        let counts = self
            .watched
            .values()
            .map(|latest| latest.lock().expect("no holder panics").count);
        Report {
            findings: self.comparison.findings().clone(),
            answers: self.answers + counts.sum::<u64>(),
        }
    }
}

async fn metrics(address: SocketAddr) -> anyhow::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/metrics")
        .header("host", "metrics")
        .header("connection", "close")
        .body(Empty::<bytes::Bytes>::new())?;
    let body = sender.send_request(request).await?.into_body().collect().await?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}
