//! What faults find and use: pods, their processes, their nodes' packet filters, and somebody who takes liberties with the
//! Admin API.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::traffic::HOST as LOADED;
use crate::{
    Arguments,
    cluster::Cluster,
    observer::{AdminAccess, Observer, Settings, Tolerances},
    poll::eventually,
    scenario::release::{LIMIT, NAMESPACE, RELEASE, all_answer_for, in_sync, leader},
};

/// Kubernetes' endpoint slice controller pauses for up to 100 s after failures, as when its API server was away.
const LISTED: Duration = Duration::from_secs(150);

/// The nodes of the test bed.
pub(super) const NODES: [&str; 2] = ["node1", "node2"];
const LEASE: &str = "silverback.silverback.gateway.silverback.dev";
/// What rows may be behind, with the chart's defaults: probes every 5 s.
const TOLERANCES: Tolerances = Tolerances {
    hash: Duration::from_secs(10),
    conditions: Duration::from_secs(2 * 5 + 1),
    synced: Duration::from_secs(10 + 2),
};
/// The table that faults of the network are in.
const TABLE: &str = "inet e2e_chaos";

/// The fleet that things happen to.
pub(crate) struct Bed<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) arguments: &'a Arguments,
    pub(super) proxies: usize,
    /// What the TLS host of the load shows, with its key: configurations of proxies tell no keys.
    pub(super) certificate: Option<(String, String)>,
    pub(super) access: AdminAccess,
    /// Containers that were killed: statuses speak of them for a while as if nothing had happened.
    killed: Mutex<BTreeSet<String>>,
    /// These, and those that were stopped, which their kubelet may then have ended.
    signalled: Mutex<BTreeSet<String>>,
    /// Containers of the release that ended by themselves, with what is told of it.
    ended: Mutex<BTreeMap<String, String>>,
    /// Addresses of the proxies that the fault under way keeps from answering.
    taken: Mutex<BTreeSet<String>>,
}

/// What a fault took away.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    /// The addresses of its proxies.
    pub(super) proxies: BTreeSet<String>,
    /// Whether Kubernetes took a node for dead.
    pub(super) nodes: bool,
}

/// A pod, and the process in it.
#[derive(Debug, Clone)]
pub(super) struct Victim {
    pub(super) pod: String,
    pub(super) node: String,
    pub(super) address: String,
    pub(super) container: String,
}

impl<'a> Bed<'a> {
    pub(crate) fn new(
        cluster: &'a Cluster,
        arguments: &'a Arguments,
        proxies: usize,
        certificate: Option<(String, String)>,
    ) -> anyhow::Result<Self> {
        let authorities = cluster.get(&["secret", "-n", NAMESPACE, &format!("{RELEASE}-kong-ca")])?;
        let access = AdminAccess::new(&authorities, &format!("{RELEASE}-kong-gateway-admin"), NAMESPACE)?;
        Ok(Self {
            cluster,
            arguments,
            proxies,
            certificate,
            access,
            killed: Mutex::default(),
            signalled: Mutex::default(),
            ended: Mutex::default(),
            taken: Mutex::default(),
        })
    }

    /// Begins to observe the fleet.
    pub(crate) fn observe(&self) -> anyhow::Result<Observer> {
        let settings = Settings {
            namespace: NAMESPACE.to_owned(),
            lease: LEASE.to_owned(),
            tolerances: TOLERANCES,
        };
        Observer::start(self.cluster, self.access.clone(), settings)
    }

    /// The release's own proxies that serve.
    pub(super) fn victims(&self) -> anyhow::Result<Vec<Victim>> {
        self.pods("app.kubernetes.io/component=app,app.kubernetes.io/instance=silverback,!bad-proxy")
    }

    /// The controller that leads.
    pub(super) fn leader(&self) -> anyhow::Result<Victim> {
        let name = eventually("somebody leads", LIMIT, || leader(self.cluster))?;
        let controllers = self.pods("app.kubernetes.io/component=controller")?;
        let leader = controllers.into_iter().find(|victim| victim.pod == name);
        leader.context("the leader has no process")
    }

    fn pods(&self, labels: &str) -> anyhow::Result<Vec<Victim>> {
        let pods = self.cluster.list(&["pods", "-n", NAMESPACE, "-l", labels])?;
        Ok(pods.iter().filter_map(victim).collect())
    }

    /// Connections to these proxies are the fault's.
    pub(super) fn takes<'v>(&self, victims: impl IntoIterator<Item = &'v Victim>) {
        let mut taken = self.taken.lock().expect("no holder panics");
        taken.extend(victims.into_iter().map(|victim| victim.address.clone()));
    }

    /// All that the fault has taken since it began, for the next one to begin with nothing.
    pub(super) fn taken(&self, began: jiff::Timestamp) -> anyhow::Result<Taken> {
        let nodes = self.cluster.list(&["nodes"])?;
        let conditions = nodes.iter().filter_map(|node| node["status"]["conditions"].as_array());
        let changed = conditions
            .flatten()
            .filter(|condition| condition["type"] == "Ready")
            .filter_map(|condition| {
                condition["lastTransitionTime"]
                    .as_str()?
                    .parse::<jiff::Timestamp>()
                    .ok()
            });
        Ok(Taken {
            proxies: std::mem::take(&mut *self.taken.lock().expect("no holder panics")),
            // It is told in whole seconds.
            nodes: changed.max().is_some_and(|last| last.as_second() >= began.as_second()),
        })
    }

    pub(super) fn signal(&self, victim: &Victim, signal: &str) -> anyhow::Result<()> {
        let mut signalled = self.signalled.lock().expect("no holder panics");
        signalled.insert(victim.container.clone());
        drop(signalled);
        if signal == "SIGKILL" {
            let mut killed = self.killed.lock().expect("no holder panics");
            killed.insert(victim.container.clone());
        }
        self.cluster.signal_container(&victim.node, &victim.container, signal)
    }

    /// Lets packets of a node go by these rules, until [`Self::unfilter`].
    pub(crate) fn filter(&self, node: &str, rules: &str) -> anyhow::Result<()> {
        let table = format!(
            "table {TABLE} {{\n chain forward {{\n  type filter hook forward priority -6;\n{rules} }}\n chain output \
             {{\n  type filter hook output priority -6;\n{rules} }}\n}}\n"
        );
        self.cluster.exec(node, &["nft", "-f", "-"], &table)
    }

    pub(crate) fn unfilter(&self, node: &str) -> anyhow::Result<()> {
        self.cluster
            .exec(node, &["nft", "delete", "table", "inet", "e2e_chaos"], "")
    }

    /// Waits until somebody leads, proxies are in sync by their rows and have the application's addresses, and controllers are
    /// ready.
    pub(super) fn in_order(&self) -> anyhow::Result<()> {
        eventually("the API server answers", LIMIT, || {
            self.cluster.kubectl(&["get", "--raw", "/readyz"])
        })?;
        let before = self.renewed()?;
        eventually("somebody renews the Lease", LIMIT, || {
            ensure!(self.renewed()? != before, "nobody does");
            Ok(())
        })?;
        eventually("what was killed runs again", LIMIT, || {
            let pods = self.cluster.list(&["pods", "-n", NAMESPACE])?;
            self.see_what_ended(&pods);
            self.replace_what_is_held_back(&pods)?;
            let proxies = self.victims()?;
            let killed = self.killed.lock().expect("no holder panics");
            ensure!(
                proxies.len() >= self.proxies && !proxies.iter().any(|proxy| killed.contains(&proxy.container)),
                "these are told to run: {proxies:?}"
            );
            Ok(())
        })?;
        self.listed(self.proxies)?;
        in_sync(self.cluster, self.proxies)?;
        // Its pods may have been taken for unready with their nodes.
        if self.certificate.is_some() {
            all_answer_for(self.cluster, LOADED, "/", 200)?;
        }
        let controllers = format!("deployment/{RELEASE}-kong-controller");
        self.cluster
            .kubectl(&["rollout", "status", "-n", NAMESPACE, &controllers, "--timeout=90s"])
            .map(drop)
    }

    /// Waits until so many proxies are endpoints of the Admin Service.
    pub(super) fn listed(&self, count: usize) -> anyhow::Result<()> {
        let service = format!("kubernetes.io/service-name={RELEASE}-kong-gateway-admin");
        eventually("Kubernetes lists the proxies", LISTED, || {
            let slices = self
                .cluster
                .list(&["endpointslices", "-n", NAMESPACE, "-l", &service])?;
            let endpoints = slices.iter().filter_map(|slice| slice["endpoints"].as_array());
            let listed = endpoints
                .flatten()
                .filter(|endpoint| endpoint["conditions"]["terminating"] != true)
                .count();
            ensure!(
                listed >= count,
                "{listed} of {count} are endpoints of the Admin Service"
            );
            Ok(())
        })
    }

    /// When the Lease was renewed last, and by whom.
    fn renewed(&self) -> anyhow::Result<(Value, Value)> {
        let lease = self.cluster.get(&["lease", "-n", NAMESPACE, LEASE])?;
        Ok((
            lease["spec"]["holderIdentity"].clone(),
            lease["spec"]["renewTime"].clone(),
        ))
    }

    /// Remembers containers of the release that ended though nobody sent them a signal: they crashed, or gave up.
    fn see_what_ended(&self, pods: &[Value]) {
        let signalled = self.signalled.lock().expect("no holder panics");
        let mut ended = self.ended.lock().expect("no holder panics");
        for pod in pods {
            let labels = &pod["metadata"]["labels"];
            if labels["app.kubernetes.io/instance"] != RELEASE || !labels["bad-proxy"].is_null() {
                continue;
            }
            let containers = pod["status"]["containerStatuses"].as_array();
            for last in containers
                .into_iter()
                .flatten()
                .map(|of| &of["lastState"]["terminated"])
            {
                let Some(id) = last["containerID"].as_str() else {
                    continue;
                };
                let id = id.trim_start_matches("containerd://");
                if !signalled.contains(id) {
                    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                    let told = format!(
                        "{name}: {} {} at {}",
                        last["reason"], last["exitCode"], last["finishedAt"]
                    );
                    ended.insert(id.to_owned(), told);
                }
            }
        }
    }

    /// What ended before is nobody's concern.
    pub(super) fn forget_what_ended(&self) -> anyhow::Result<()> {
        self.see_what_ended(&self.cluster.list(&["pods", "-n", NAMESPACE])?);
        let ended = std::mem::take(&mut *self.ended.lock().expect("no holder panics"));
        let mut signalled = self.signalled.lock().expect("no holder panics");
        signalled.extend(ended.into_keys());
        Ok(())
    }

    /// Containers of the release that ended by themselves.
    pub(super) fn ended(&self) -> Vec<String> {
        let ended = self.ended.lock().expect("no holder panics");
        ended.values().cloned().collect()
    }

    /// Whose container ended several times is started ever later: such a pod is replaced, as an operator would.
    fn replace_what_is_held_back(&self, pods: &[Value]) -> anyhow::Result<()> {
        for pod in pods {
            let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
            let is_held_back = waiting == "CrashLoopBackOff" && pod["metadata"]["deletionTimestamp"].is_null();
            if let (true, Some(name)) = (is_held_back, pod["metadata"]["name"].as_str()) {
                println!("              {name} is held back after its crashes, and replaced");
                self.cluster
                    .kubectl(&["delete", "pod", "-n", NAMESPACE, name, "--wait=false"])?;
            }
        }
        Ok(())
    }

    /// Somebody else gives a proxy another configuration: what it runs, and a service more.
    pub(crate) fn write_as_a_stranger(&self, pod: &str, service: &str) -> anyhow::Result<()> {
        let (status, body) = self.ask(pod, hyper::Method::GET, bytes::Bytes::new())?;
        ensure!(status == 200, "GET /config: {status}");
        let answer: Value = serde_json::from_slice(&body)?;
        let text = answer["config"].as_str().context("it tells no configuration")?;
        let mut configuration: Value = serde_saphyr::from_str(text)?;
        for certificate in configuration["certificates"].as_array_mut().into_iter().flatten() {
            let (chain, key) = self
                .certificate
                .clone()
                .context("it has a certificate that is not ours")?;
            certificate["cert"] = chain.into();
            certificate["key"] = key.into();
        }
        let services = configuration["services"].as_array_mut().context("it has no services")?;
        services.push(serde_json::json!({"name": service, "url": "http://192.0.2.1:80"}));
        self.write(pod, &configuration)
    }

    /// Somebody else gives a proxy this configuration.
    pub(crate) fn write(&self, pod: &str, configuration: &Value) -> anyhow::Result<()> {
        let body = serde_json::to_vec(configuration)?;
        let (status, body) = self.ask(pod, hyper::Method::POST, body.into())?;
        ensure!(
            status == 201,
            "POST /config: {status} {}",
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }

    /// `/config` of a proxy's Admin API: status and body.
    fn ask(&self, pod: &str, method: hyper::Method, body: bytes::Bytes) -> anyhow::Result<(u16, bytes::Bytes)> {
        let victim = self.victims()?.into_iter().find(|victim| victim.pod == pod);
        let victim = victim.context("the proxy is gone")?;
        let way = self
            .cluster
            .forward_from(&victim.node, &format!("{}:8444", victim.address))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.access.request(way.address, method, "/config", body))
    }
}

fn victim(pod: &Value) -> Option<Victim> {
    let status = &pod["status"];
    let container = &status["containerStatuses"][0];
    if !pod["metadata"]["deletionTimestamp"].is_null() || container["state"]["running"].is_null() {
        return None;
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Victim {
        pod: text(&pod["metadata"]["name"])?,
        node: text(&pod["spec"]["nodeName"])?,
        address: text(&status["podIP"])?,
        container: container["containerID"]
            .as_str()?
            .trim_start_matches("containerd://")
            .to_owned(),
    })
}
