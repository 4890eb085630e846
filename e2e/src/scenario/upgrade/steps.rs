//! A run: the release, the load on it, and each thing that happens to it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{
    super::release::{SHOP, holds},
    RELEASE_LIMIT,
    edge::{Edge, HOST, NAMESPACE, RELEASE},
};
use crate::{
    Arguments,
    cluster::{Cluster, Forward},
    load::{OpenLoad, Row, Target, table},
    poll::eventually,
};

/// How long the load goes on where nothing changes.
pub(super) const STEADY: Duration = Duration::from_secs(5);
/// How long it goes on after a change is complete.
const AFTER: Duration = Duration::from_secs(2);

/// How long it may take until a proxy without a configuration is noticed.
const UNCONFIGURED_LIMIT: Duration = Duration::from_secs(30);

/// A release under load.
pub(super) struct Run<'a> {
    cluster: &'a Cluster,
    arguments: &'a Arguments,
    helm: &'static str,
    edge: Edge,
    load: OpenLoad,
    identity: Value,
    /// Kept open as long as the load needs them.
    _ways: [Forward; 2],
}

impl<'a> Run<'a> {
    /// Installs the release, waits until it serves, and begins the load.
    pub(super) fn start(
        cluster: &'a Cluster,
        arguments: &'a Arguments,
        helm: &'static str,
        edge: Edge,
    ) -> anyhow::Result<Self> {
        clean_up(cluster);
        let pair = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        cluster.apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n---\n{}---\n{}",
            serde_json::to_string(&json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"name": "edge-tls", "namespace": SHOP},
                "stringData": {"tls.crt": pair.cert.pem(), "tls.key": pair.signing_key.serialize_pem()},
            }))? + "\n",
            serde_json::to_string(&json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"name": "edge", "namespace": SHOP},
                "spec": {
                    "ingressClassName": "edge",
                    "tls": [{"hosts": [HOST], "secretName": "edge-tls"}],
                    "rules": [{"host": HOST, "http": {"paths": [{
                        "path": "/", "pathType": "Prefix",
                        "backend": {"service": {"name": "web", "port": {"number": 80}}},
                    }]}}],
                },
            }))?,
        ))?;
        install(cluster, arguments, helm, &edge)?;
        let service = cluster.get(&["service", "-n", NAMESPACE, &format!("{}-proxy", edge.name)])?;
        if service["spec"]["type"] == "LoadBalancer" {
            // The test bed has no cloud: its part is done by hand.
            let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}}).to_string();
            let name = format!("service/{}-proxy", edge.name);
            cluster.kubectl(&[
                "patch",
                "-n",
                NAMESPACE,
                &name,
                "--subresource=status",
                "--type=merge",
                "-p",
                &status,
            ])?;
        }
        rolled_out(cluster, edge.name)?;
        let address = service["spec"]["clusterIP"]
            .as_str()
            .context("the Service has no address")?;
        let ways = [
            cluster.forward(&format!("{address}:80"))?,
            cluster.forward(&format!("{address}:443"))?,
        ];
        let target = Target {
            plain: ways[0].address,
            tls: ways[1].address,
            host: HOST.to_owned(),
            certificate: pair.cert.pem(),
        };
        eventually("the application answers", RELEASE_LIMIT, || {
            let answer = crate::http::get(target.plain, HOST, "/")?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.body.trim());
            Ok(())
        })?;
        let identity = identity(cluster, edge.name)?;
        Ok(Self {
            cluster,
            arguments,
            helm,
            edge,
            load: OpenLoad::start(target)?,
            identity,
            _ways: ways,
        })
    }

    /// Ends the load, prints the table and removes the release.
    pub(super) fn end(self) -> anyhow::Result<Vec<Row>> {
        let rows = self.load.finish()?;
        for line in table(&rows).lines() {
            println!("   {line}");
        }
        if !self.arguments.keep {
            clean_up(self.cluster);
        }
        Ok(rows)
    }

    /// Nothing happens for a while.
    pub(super) fn steady(&self, name: &str, period: Duration) -> anyhow::Result<()> {
        self.begin(name);
        std::thread::sleep(period);
        Ok(())
    }

    /// From now on requests count for this step.
    pub(super) fn begin(&self, name: &str) {
        println!("   - {name}");
        self.load.step(name);
    }

    /// Something happens; afterwards the release is what it was to everybody outside.
    pub(super) fn step(&self, name: &str, act: impl FnOnce(&Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.begin(name);
        let began = Instant::now();
        act(self).with_context(|| name.to_owned())?;
        self.load.synced(began.elapsed());
        std::thread::sleep(AFTER);
        let now = identity(self.cluster, self.edge.name)?;
        ensure!(
            now == self.identity,
            "{name}: the identity has changed\nfrom {}\nto   {now}",
            self.identity
        );
        ensure!(self.load.failures() == 0, "{name}: requests fail");
        Ok(())
    }

    /// The command that a user gives, from whatever release there is.
    pub(super) fn split(&self) -> anyhow::Result<()> {
        self.upgrade(&[])?;
        self.in_sync(None)
    }

    /// Whatever was kept for old pods goes with the last of them, and the controller may remove all of it.
    pub(super) fn leftovers_go(&self) -> anyhow::Result<()> {
        let release = format!("{NAMESPACE}/{RELEASE}");
        eventually("what was kept for old pods goes", RELEASE_LIMIT, || {
            let record = format!("configmap/{RELEASE}-upgrade-record");
            let record =
                self.cluster
                    .kubectl(&["get", "-n", NAMESPACE, &record, "--ignore-not-found", "-o", "name"])?;
            ensure!(record.is_empty(), "there is a record of it");
            let kinds = "clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,secrets,configmaps";
            for object in self.cluster.list(&[kinds, "-n", NAMESPACE])? {
                let kept = &object["metadata"]["annotations"]["gateway.silverback.dev/kept-for"];
                ensure!(
                    *kept != *release,
                    "{} {} is left",
                    object["kind"],
                    object["metadata"]["name"]
                );
            }
            Ok(())
        })?;
        let selected = format!("app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=controller");
        let log = self
            .cluster
            .kubectl(&["logs", "-n", NAMESPACE, "-l", &selected, "--tail=-1"])?;
        ensure!(
            !log.contains("may not be removed"),
            "the controller lacks a right: {log}"
        );
        let removed = log
            .lines()
            .find(|line| line.contains("removed what an upgrade had left"));
        println!("   {}", removed.unwrap_or("nothing was left"));
        Ok(())
    }

    fn upgrade(&self, more: &[&str]) -> anyhow::Result<()> {
        let (controller, tag) = super::super::install::split(&self.arguments.controller_image);
        let (proxy, proxy_tag) = super::super::install::split(&self.arguments.proxy_image);
        let chart = self.arguments.chart.display().to_string();
        let images = format!(
            "mode=split,controller.image.repository={controller},controller.image.tag={tag},controller.image.pullPolicy=Never,\
             proxy.image.repository={proxy},proxy.image.tag={proxy_tag},proxy.image.pullPolicy=Never"
        );
        let command = [
            "upgrade",
            RELEASE,
            &chart,
            "--namespace",
            NAMESPACE,
            "--reset-then-reuse-values",
            "--wait",
            "--timeout",
            "240s",
            "--set",
            &images,
        ];
        self.cluster.helm_of(self.helm, &[&command, more].concat()).map(drop)
    }

    /// To the release of the starting point.
    pub(super) fn roll_back(&self) -> anyhow::Result<()> {
        self.back_to("1")?;
        rolled_out(self.cluster, self.edge.name)?;
        self.only_one_kind_of_pods()
    }

    /// By one revision.
    pub(super) fn roll_back_one(&self) -> anyhow::Result<()> {
        self.back_to("0")?;
        self.in_sync(None)
    }

    fn back_to(&self, revision: &str) -> anyhow::Result<()> {
        let command = [
            "rollback",
            RELEASE,
            revision,
            "--namespace",
            NAMESPACE,
            "--wait",
            "--timeout",
            "240s",
        ];
        // Helm 4 applies on the server: what the controller has written, the webhook's caBundle, is the old chart's again.
        let conflicts: &[&str] = if self.helm == "helm4" {
            &["--force-conflicts"]
        } else {
            &[]
        };
        self.cluster
            .helm_of(self.helm, &[&command[..], conflicts].concat())
            .map(drop)
    }

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

    pub(super) fn restart_proxies(&self) -> anyhow::Result<()> {
        self.cluster
            .kubectl(&["rollout", "restart", "-n", NAMESPACE, &self.deployment()])?;
        self.in_sync(None)
    }

    pub(super) fn restart_controllers(&self) -> anyhow::Result<()> {
        let controllers = format!("deployment/{}-controller", self.edge.name);
        self.cluster
            .kubectl(&["rollout", "restart", "-n", NAMESPACE, &controllers])?;
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
        let node = "node2";
        let drained = self.cluster.kubectl(&[
            "drain",
            node,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--pod-selector",
            &format!("app.kubernetes.io/instance={RELEASE}"),
            "--timeout=200s",
        ]);
        let outcome = drained.and_then(|_| self.in_sync(None));
        self.cluster.kubectl(&["uncordon", node])?;
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

    pub(super) fn apply_definitions(&self) -> anyhow::Result<()> {
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "deploy/crds"];
        self.cluster.kubectl(&arguments)?;
        self.in_sync(None)
    }

    /// An Ingress that no proxy could take is left out, and the others go on.
    pub(super) fn break_configuration(&self) -> anyhow::Result<()> {
        let broken = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "broken", "namespace": SHOP, "annotations": {"konghq.com/plugins": "no-such-plugin", "konghq.com/methods": "not a method"}},
            "spec": {"ingressClassName": "edge", "rules": [{"host": "broken.example", "http": {"paths": [{
                "path": "/~(unclosed", "pathType": "ImplementationSpecific",
                "backend": {"service": {"name": "nowhere", "port": {"number": 80}}},
            }]}}]},
        });
        self.cluster.apply(&broken.to_string())?;
        let restarted = self.restart_proxies();
        self.cluster.kubectl(&["delete", "ingress", "-n", SHOP, "broken"])?;
        restarted
    }

    /// The upgrade does not come to an end, and what ran before goes on.
    pub(super) fn bad_image(&self) -> anyhow::Result<()> {
        let outcome = self.upgrade(&["--set", "image.tag=missing,proxy.image.tag=missing", "--timeout", "20s"]);
        ensure!(outcome.is_err(), "an image that is not there was rolled out");
        Ok(())
    }

    /// Proxies are taken for ready although nobody has configured them: what the readiness probe prevents.
    pub(super) fn restart_without_gating(&self) -> anyhow::Result<()> {
        let controllers = format!("deployment/{}-controller", self.edge.name);
        self.cluster
            .kubectl(&["scale", "-n", NAMESPACE, &controllers, "--replicas=0"])?;
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
            .kubectl(&["scale", "-n", NAMESPACE, &controllers, "--replicas=2"])?;
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

    fn deployment(&self) -> String {
        format!("deployment/{}", self.edge.name)
    }

    fn leader(&self) -> anyhow::Result<String> {
        let lease = self.cluster.get(&[
            "lease",
            "-n",
            NAMESPACE,
            &format!("{RELEASE}.silverback.gateway.silverback.dev"),
        ])?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let (pod, _) = holder.split_once('_').context("nobody holds the Lease")?;
        Ok(pod.to_owned())
    }

    /// Waits until both Deployments are as wanted and every proxy runs what it shall.
    fn in_sync(&self, count: Option<usize>) -> anyhow::Result<()> {
        rolled_out(self.cluster, self.edge.name)?;
        rolled_out(self.cluster, &format!("{}-controller", self.edge.name))?;
        eventually("every proxy in sync", RELEASE_LIMIT, || {
            let instances = self.cluster.list(&["proxyinstances", "-n", NAMESPACE])?;
            let good = instances
                .iter()
                .filter(|one| holds(one, "Ready") && holds(one, "Synced"))
                .count();
            let wanted = match count {
                Some(count) => count,
                None => {
                    let deployment = self.cluster.get(&["-n", NAMESPACE, &self.deployment()])?;
                    usize::try_from(deployment["spec"]["replicas"].as_u64().unwrap_or_default())?
                }
            };
            ensure!(
                good == wanted && instances.len() == wanted,
                "{good} of {} are, {wanted} are wanted",
                instances.len()
            );
            Ok(())
        })?;
        self.only_one_kind_of_pods()
    }

    /// Waits until the pods of the template before have gone.
    fn only_one_kind_of_pods(&self) -> anyhow::Result<()> {
        eventually("old pods are gone", RELEASE_LIMIT, || {
            let pods = self
                .cluster
                .list(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=app"])?;
            let terminating = pods
                .iter()
                .filter(|pod| pod["metadata"]["deletionTimestamp"].is_string())
                .count();
            ensure!(terminating == 0, "{terminating} are ending");
            Ok(())
        })
    }
}

fn install(cluster: &Cluster, arguments: &Arguments, helm: &str, edge: &Edge) -> anyhow::Result<()> {
    let (controller, controller_tag) = super::super::install::split(&arguments.controller_image);
    let (proxy, proxy_tag) = super::super::install::split(&arguments.proxy_image);
    let values = values_file(edge)?;
    let (chart, images) = match edge.chart {
        Some(chart) => (
            chart.to_owned(),
            format!(
                "image.repository={proxy},image.tag={proxy_tag},image.effectiveSemver=3.9,image.pullPolicy=Never,\
                 ingressController.image.repository={controller},ingressController.image.tag={controller_tag}"
            ),
        ),
        None => (
            arguments.chart.display().to_string(),
            format!(
                "controller.image.repository={controller},controller.image.tag={controller_tag},controller.image.pullPolicy=Never,\
                 proxy.image.repository={proxy},proxy.image.tag={proxy_tag},proxy.image.pullPolicy=Never"
            ),
        ),
    };
    let values = values.display().to_string();
    let command = [
        "install",
        RELEASE,
        &chart,
        "--namespace",
        NAMESPACE,
        "--values",
        &values,
        "--set",
        &images,
    ];
    cluster.helm_of(helm, &command).map(drop)
}

fn values_file(edge: &Edge) -> anyhow::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("silverback-edge-values-{}.yaml", std::process::id()));
    fs::write(&path, edge.values).with_context(|| path.display().to_string())?;
    Ok(path)
}

fn rolled_out(cluster: &Cluster, deployment: &str) -> anyhow::Result<()> {
    let deployment = format!("deployment/{deployment}");
    cluster
        .kubectl(&["rollout", "status", "-n", NAMESPACE, &deployment, "--timeout=240s"])
        .map(drop)
}

/// What everybody outside knows the release by: none of it may change.
fn identity(cluster: &Cluster, name: &str) -> anyhow::Result<Value> {
    let service = cluster.get(&["service", "-n", NAMESPACE, &format!("{name}-proxy")])?;
    let deployment = cluster.get(&["deployment", "-n", NAMESPACE, name])?;
    let class = cluster.get(&["ingressclass", "edge"])?;
    let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let ports = ports
        .iter()
        .map(|port| json!([port["name"], port["port"], port["nodePort"]]))
        .collect::<Vec<_>>();
    Ok(json!({
        "service": service["metadata"]["uid"],
        "clusterIP": service["spec"]["clusterIP"],
        "type": service["spec"]["type"],
        "ports": ports,
        "selector": service["spec"]["selector"],
        "healthCheckNodePort": service["spec"]["healthCheckNodePort"],
        "loadBalancer": service["status"]["loadBalancer"],
        "deployment": deployment["metadata"]["uid"],
        "deploymentSelector": deployment["spec"]["selector"],
        "ingressClass": [class["metadata"]["uid"], class["spec"]["controller"]],
    }))
}

/// Takes away what a run made, as far as it is there.
fn clean_up(cluster: &Cluster) {
    let uninstall = [
        "uninstall",
        RELEASE,
        "-n",
        NAMESPACE,
        "--ignore-not-found",
        "--wait",
        "--timeout",
        "90s",
    ];
    let namespace = ["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s"];
    let objects = [
        "delete",
        "ingress,secret",
        "-n",
        SHOP,
        "edge",
        "edge-tls",
        "--ignore-not-found",
    ];
    for outcome in [
        cluster.helm(&uninstall),
        cluster.kubectl(&objects),
        cluster.kubectl(&namespace),
    ] {
        if let Err(error) = outcome {
            println!("   {error:#}");
        }
    }
}
