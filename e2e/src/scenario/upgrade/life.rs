//! What happens to a release in its life.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{
    super::release::SHOP,
    RELEASE_LIMIT,
    edge::{NAMESPACE, RELEASE},
    run::{Run, rolled_out},
};
use crate::poll::eventually;

/// The node that is drained and lost; the application, and the way in, are on the other one.
pub(super) const NODE: &str = "node2";
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
        self.is_scaled.set(true);
        Ok(())
    }

    /// What an autoscaler does; the test bed has no metrics that one could go by. From now on no step may change the number.
    pub(super) fn scale_as_autoscaler(&self, count: u32) -> anyhow::Result<()> {
        let (deployment, replicas) = (self.deployment(), format!("--replicas={count}"));
        self.cluster
            .kubectl(&["scale", "-n", NAMESPACE, &deployment, &replicas])?;
        self.autoscaled.set(Some(count));
        rolled_out(self.cluster, self.edge.name)
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

    /// The upgrade of what was edited.
    pub(super) fn split_edited(&self, helm: &'static str) -> anyhow::Result<()> {
        self.over_what_others_have_set(|flags| self.upgrade_by(helm, flags))?;
        self.in_sync(Some(2))
    }

    /// The way back from what was edited.
    pub(super) fn roll_back_edited(&self, helm: &'static str) -> anyhow::Result<()> {
        self.over_what_others_have_set(|flags| self.back_by(helm, "1", flags))?;
        self.is_as_at_the_start()
    }

    /// Helm 3's way, which Helm 4 keeps to for what Helm 3 has installed, writes over it; what Helm 4 has installed it applies on
    /// the server, which names whose fields are in the way.
    fn over_what_others_have_set(&self, change: impl Fn(&[&str]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        match change(&[]) {
            Err(error) if self.helm == "helm4" => {
                let said = format!("{error:#}");
                for word in ["conflict", "kubectl-edit", ".spec.replicas"] {
                    ensure!(said.contains(word), "{word:?} is not in what was said: {said}");
                }
                println!("   without --force-conflicts: {said}");
                rolled_out(self.cluster, self.edge.name)?;
                change(&["--force-conflicts"])
            }
            outcome => {
                outcome?;
                ensure!(
                    self.helm != "helm4",
                    "what others have set is written over without a word"
                );
                Ok(())
            }
        }
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
        let mut more = vec!["--set", "image.tag=missing,proxy.image.tag=missing", "--timeout", "20s"];
        if self.helm == "helm4" && self.is_scaled.get() {
            // `kubectl scale` owns the number of proxies by now.
            more.push("--force-conflicts");
        }
        let outcome = self.upgrade(&more);
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
}
