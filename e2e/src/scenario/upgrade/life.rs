//! What happens to a release in its life.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{
    super::release::SHOP,
    RELEASE_LIMIT,
    edge::{HOST, NAMESPACE, RELEASE},
    run::{Run, STEADY, rolled_out},
};
use crate::{
    load::{LIMIT, Load},
    poll::eventually,
};

/// The node that is drained and lost; the application, and the way in, are on the other one.
const NODE: &str = "node2";
/// How long the clients have for giving up beyond their limit.
const AFTER_LIMIT: Duration = Duration::from_secs(2);
/// How long it may take until a proxy without a configuration is noticed.
const UNCONFIGURED_LIMIT: Duration = Duration::from_secs(30);

impl Run<'_> {
    /// So many proxies, one after another.
    pub(super) fn scale(&self, counts: &[usize]) -> anyhow::Result<()> {
        for count in counts {
            let (deployment, replicas) = (self.deployment(), format!("--replicas={count}"));
            self.cluster
                .kubectl(&["scale", "-n", NAMESPACE, &deployment, &replicas])?;
            self.in_sync(Some(*count))?;
        }
        Ok(())
    }

    /// What people do in a bad night: `kubectl scale`, and `kubectl edit` of what the chart sets otherwise.
    pub(super) fn edit_by_hand(&self) -> anyhow::Result<()> {
        self.cluster
            .kubectl(&["scale", "-n", NAMESPACE, &self.deployment(), "--replicas=3"])?;
        let (deployment, patch) = (self.deployment(), r#"{"spec": {"revisionHistoryLimit": 3}}"#);
        let manager = "--field-manager=kubectl-edit";
        self.cluster.kubectl(&[
            "patch",
            "-n",
            NAMESPACE,
            &deployment,
            manager,
            "--type=merge",
            "-p",
            patch,
        ])?;
        rolled_out(self.cluster, self.edge.name)
    }

    /// The upgrade of what was edited. Helm 3's way, which Helm 4 keeps to for what Helm 3 has installed, writes over it; what Helm
    /// 4 has installed it applies on the server, which names whose fields are in the way.
    pub(super) fn split_edited(&self, helm: &'static str) -> anyhow::Result<()> {
        let outcome = self.upgrade_by(helm, &[]);
        match outcome {
            Err(error) if self.helm == "helm4" => {
                let said = format!("{error:#}");
                for word in ["conflict", "kubectl-edit", ".spec.replicas"] {
                    ensure!(said.contains(word), "{word:?} is not in what was said: {said}");
                }
                println!("   without --force-conflicts: {said}");
                rolled_out(self.cluster, self.edge.name)?;
                self.upgrade_by(helm, &["--force-conflicts"])?;
            }
            outcome => {
                outcome?;
                ensure!(
                    self.helm != "helm4",
                    "what others have set is written over without a word"
                );
            }
        }
        self.in_sync(Some(2))
    }

    pub(super) fn restart_proxies(&self) -> anyhow::Result<()> {
        self.cluster
            .kubectl(&["rollout", "restart", "-n", NAMESPACE, &self.deployment()])?;
        self.in_sync(None)
    }

    pub(super) fn restart_controllers(&self) -> anyhow::Result<()> {
        self.cluster
            .kubectl(&["rollout", "restart", "-n", NAMESPACE, &self.controllers()])?;
        self.in_sync(None)
    }

    pub(super) fn kill_leader(&self) -> anyhow::Result<()> {
        let leader = self.leader()?;
        self.cluster
            .kubectl(&["delete", "pod", "-n", NAMESPACE, &leader, "--grace-period=0", "--force"])?;
        eventually("another controller leads", RELEASE_LIMIT, || {
            let now = self.leader()?;
            ensure!(now != leader, "{leader} still does");
            Ok(())
        })?;
        self.in_sync(None)
    }

    /// All pods of a node are evicted; the PodDisruptionBudget lets one proxy go at a time.
    pub(super) fn drain_node(&self) -> anyhow::Result<()> {
        let drained = self.cluster.kubectl(&[
            "drain",
            NODE,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--pod-selector",
            &format!("app.kubernetes.io/instance={RELEASE}"),
            "--timeout=200s",
        ]);
        let outcome = drained.and_then(|_| self.in_sync(None));
        self.cluster.kubectl(&["uncordon", NODE])?;
        outcome
    }

    /// The authorities are replaced: old and new ones are trusted side by side until every proxy shows a new certificate.
    pub(super) fn rotate_certificates(&self) -> anyhow::Result<()> {
        let secret = format!("{}-ca", self.edge.name);
        let fingerprint = || -> anyhow::Result<String> {
            let instances = self.cluster.list(&["proxyinstances", "-n", NAMESPACE])?;
            let first = instances.first().context("no proxy")?;
            Ok(first["status"]["mtls"]["fingerprint"]
                .as_str()
                .unwrap_or_default()
                .to_owned())
        };
        let before = fingerprint()?;
        let request = "gateway.silverback.dev/rotate=authorities upgrade";
        self.cluster
            .kubectl(&["annotate", "secret", "-n", NAMESPACE, &secret, "--overwrite", request])?;
        eventually("the proxies show new certificates", RELEASE_LIMIT, || {
            ensure!(fingerprint()? != before, "they show the old one");
            Ok(())
        })?;
        self.in_sync(None)
    }

    /// Those of Kong Ingress Controller, and ours over them, as an upgrade of definitions does.
    pub(super) fn apply_definitions(&self) -> anyhow::Result<()> {
        for definitions in ["e2e/testdata/kic-crds", "deploy/crds"] {
            let arguments = ["apply", "--server-side", "--force-conflicts", "-f", definitions];
            self.cluster.kubectl(&arguments)?;
            self.in_sync(None)?;
        }
        Ok(())
    }

    /// A broken Ingress while the proxies restart: what can never work is denied at the door, the rest is left out, and the
    /// others go on.
    pub(super) fn break_configuration(&self) -> anyhow::Result<()> {
        let broken = |path: &str| {
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"name": "broken", "namespace": SHOP, "annotations": {"konghq.com/plugins": "no-such-plugin"}},
                "spec": {"ingressClassName": "edge", "rules": [{"host": "broken.example", "http": {"paths": [{
                    "path": path, "pathType": "ImplementationSpecific",
                    "backend": {"service": {"name": "nowhere", "port": {"number": 80}}},
                }]}}]},
            })
            .to_string()
        };
        if let Err(denied) = self.cluster.apply(&broken("/~(unclosed")) {
            println!("   denied: {denied}");
            self.cluster.apply(&broken("/broken"))?;
        }
        let restarted = self.restart_proxies();
        self.cluster.kubectl(&["delete", "ingress", "-n", SHOP, "broken"])?;
        restarted
    }

    /// The upgrade does not come to an end, and what ran before goes on.
    pub(super) fn bad_image(&self) -> anyhow::Result<()> {
        let outcome = self.upgrade(&["--set", "image.tag=missing,proxy.image.tag=missing", "--timeout", "20s"]);
        ensure!(outcome.is_err(), "an image that is not there was rolled out");
        let deployment = self.cluster.get(&["-n", NAMESPACE, &self.deployment()])?;
        let template = deployment["spec"]["template"].to_string();
        ensure!(template.contains(":missing"), "it was not begun: {outcome:?}");
        Ok(())
    }

    /// Proxies are taken for ready although nobody has configured them: what the readiness probe prevents.
    pub(super) fn restart_without_gating(&self) -> anyhow::Result<()> {
        self.cluster
            .kubectl(&["scale", "-n", NAMESPACE, &self.controllers(), "--replicas=0"])?;
        let patch = json!({"spec": {"template": {"spec": {"containers": [{
            "name": "proxy", "readinessProbe": {"httpGet": {"path": "/status", "port": "status"}, "initialDelaySeconds": 0, "periodSeconds": 1},
        }]}}}});
        self.patch_proxies(&patch)?;
        let outcome = rolled_out(self.cluster, self.edge.name);
        // Connections wait for a first configuration, but not for ever.
        let met = eventually(
            "a request meets a proxy that nobody has configured",
            UNCONFIGURED_LIMIT,
            || {
                ensure!(self.load.failures() > 0, "none failed");
                Ok(())
            },
        );
        self.cluster
            .kubectl(&["scale", "-n", NAMESPACE, &self.controllers(), "--replicas=2"])?;
        outcome?;
        met?;
        self.upgrade(&[])?;
        self.in_sync(None)
    }

    /// Proxies end at once: what preStop and the drain prevent.
    pub(super) fn restart_without_drain(&self) -> anyhow::Result<()> {
        let patch = json!({"spec": {"template": {"spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "proxy", "lifecycle": null}],
        }}}});
        self.patch_proxies(&patch)?;
        rolled_out(self.cluster, self.edge.name)?;
        self.restart_proxies()
    }

    fn patch_proxies(&self, patch: &Value) -> anyhow::Result<()> {
        let (deployment, patch) = (self.deployment(), patch.to_string());
        self.cluster
            .kubectl(&["patch", "-n", NAMESPACE, &deployment, "--type=strategic", "-p", &patch])
            .map(drop)
    }

    /// A node loses its network. Through the other proxies nothing fails; through the Service what was or is sent to the
    /// lost ones does, until no endpoint leads there any more and what was open there has been given up.
    pub(super) fn lose_node(&self) -> anyhow::Result<()> {
        let away = self.endpoints_of(NODE)?;
        ensure!(away > 0, "no proxy is on {NODE}");
        let pods = self
            .cluster
            .list(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=app"])?;
        let mut others = Vec::new();
        for pod in pods.iter().filter(|pod| pod["spec"]["nodeName"] != NODE) {
            let address = pod["status"]["podIP"].as_str().context("a proxy has no address")?;
            let way = self.cluster.forward(&format!("{address}:8000"))?;
            let load = Load::start(way.address, HOST, "/", 1);
            others.push((way, load));
        }
        ensure!(!others.is_empty(), "every proxy is on {NODE}");
        let lost = Instant::now();
        self.cluster.node(NODE, "partition")?;
        let outcome = self.without_node(lost);
        self.cluster.node(NODE, "heal")?;
        outcome?;
        for (_way, load) in others {
            load.finish().context("through a proxy on the other node")?;
        }
        Ok(())
    }

    fn without_node(&self, lost: Instant) -> anyhow::Result<()> {
        eventually("no endpoint leads to the lost node", RELEASE_LIMIT, || {
            let left = self.endpoints_of(NODE)?;
            ensure!(left == 0, "{left} do");
            Ok(())
        })?;
        println!(
            "   {NODE} is lost; its endpoints are gone after {:.1} s",
            lost.elapsed().as_secs_f64()
        );
        self.load.synced(lost.elapsed());
        // What was open to its proxies ends by the clients' own limit.
        std::thread::sleep((LIMIT + AFTER_LIMIT).saturating_sub(lost.elapsed()).max(AFTER_LIMIT));
        self.begin("without that node");
        std::thread::sleep(STEADY);
        Ok(())
    }

    /// The node is back, and everything on it in sync.
    pub(super) fn node_is_back(&self) -> anyhow::Result<()> {
        self.cluster
            .kubectl(&["wait", "--for=condition=Ready", "node", NODE, "--timeout=60s"])?;
        self.in_sync(None)
    }

    /// How many endpoints of the proxies' Service on a node get requests.
    fn endpoints_of(&self, node: &str) -> anyhow::Result<usize> {
        let service = format!("kubernetes.io/service-name={}-proxy", self.edge.name);
        let slices = self
            .cluster
            .list(&["endpointslices", "-n", NAMESPACE, "-l", &service])?;
        let endpoints = slices
            .iter()
            .filter_map(|slice| slice["endpoints"].as_array())
            .flatten();
        let served =
            endpoints.filter(|endpoint| endpoint["nodeName"] == node && endpoint["conditions"]["ready"] == true);
        Ok(served.count())
    }
}
