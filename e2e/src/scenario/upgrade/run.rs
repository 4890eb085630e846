//! A run: the release, the load on it, and each thing that happens to it.

use std::{
    cell::Cell,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{
    super::release::{SHOP, backends_of, holds, ways_to},
    RELEASE_LIMIT,
    edge::{Edge, GATEWAY_CONTROLLER, HOST, NAMESPACE, RELEASE},
    pushes::Pushes,
    removal::leaves_what_is_the_users,
    statuses::Statuses,
};
use crate::{
    Arguments,
    cluster::{Cluster, Forward},
    load::{OpenLoad, Row, table},
    poll::eventually,
};

/// How long the load goes on where nothing changes.
pub(super) const STEADY: Duration = Duration::from_secs(5);
/// How long it goes on after a change is complete.
const AFTER: Duration = Duration::from_secs(2);

/// A release under load.
pub(super) struct Run<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) arguments: &'a Arguments,
    pub(super) helm: &'static str,
    pub(super) edge: Edge,
    pub(super) load: OpenLoad,
    statuses: Statuses,
    /// Where two controllers compete for one Lease.
    pushes: Option<Pushes>,
    identity: Value,
    /// Whether nothing of the former release is left, so that Helm knows of all that there is.
    is_settled: Cell<bool>,
    /// Whether the number of proxies was set by hand, which Helm 4 then has to be told to write over.
    pub(super) is_scaled: Cell<bool>,
    /// The number of proxies that an autoscaler has chosen.
    pub(super) autoscaled: Cell<Option<u32>>,
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
        cluster.apply(&application(&arguments.application_image))?;
        let pair = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        cluster.apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n---\n{}---\n{}",
            serde_json::to_string(&json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"name": "edge-tls", "namespace": SHOP},
                "stringData": {"tls.crt": pair.cert.pem(), "tls.key": pair.signing_key.serialize_pem()},
            }))? + "\n",
            routes(),
        ))?;
        let has_gateways = edge.is_of_ingress_chart();
        if has_gateways {
            cluster.apply(&gateway())?;
        }
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
        let service = format!("{}-proxy", edge.name);
        let service = (NAMESPACE, service.as_str());
        let (target, ways) = ways_to(cluster, service, HOST, pair.cert.pem(), RELEASE_LIMIT)?;
        let identity = identity(cluster, edge.name)?;
        let pushes = edge.is_of_ingress_chart().then(|| Pushes::follow(cluster, edge.lease));
        let run = Self {
            cluster,
            arguments,
            helm,
            edge,
            load: OpenLoad::start(target, backends_of(cluster, service)?)?,
            statuses: Statuses::follow(cluster, has_gateways)?,
            pushes: pushes.transpose()?,
            identity,
            is_settled: Cell::new(false),
            is_scaled: Cell::new(false),
            autoscaled: Cell::new(None),
            _ways: ways,
        };
        run.rows_as_at_the_start()?;
        Ok(run)
    }

    /// Ends the load, prints the table and removes the release, which leaves nothing of its own behind.
    pub(super) fn end(self) -> anyhow::Result<Vec<Row>> {
        let rows = self.load.finish()?;
        for line in table(&rows).lines() {
            println!("   {line}");
        }
        let follows = self.statuses.still_follows(self.cluster);
        println!("   {}", self.statuses.summary());
        let alone = self.pushes.map_or(Ok(()), Pushes::end);
        let removed = match self.is_settled.get() && !self.arguments.keep {
            true => leaves_what_is_the_users(self.cluster),
            false => Ok(()),
        };
        if !self.arguments.keep {
            clean_up(self.cluster);
        }
        follows.and(alone).and(removed).map(|()| rows)
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

    /// The same, and some of them may fail.
    pub(super) fn begin_with_losses(&self, name: &str) {
        println!("   - {name}");
        self.load.step_with_losses(name);
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
        if let Some(count) = self.autoscaled.get() {
            let deployment = self.cluster.get(&["-n", NAMESPACE, &self.deployment()])?;
            let now = &deployment["spec"]["replicas"];
            ensure!(
                *now == count,
                "{name}: the autoscaler's {count} proxies are {now} by now"
            );
        }
        ensure!(self.load.failures() == 0, "{name}: requests fail");
        self.statuses.step(self.cluster).with_context(|| name.to_owned())?;
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
        self.is_settled.set(true);
        Ok(())
    }

    pub(super) fn upgrade(&self, more: &[&str]) -> anyhow::Result<()> {
        self.upgrade_by(self.helm, more)
    }

    /// The same by a Helm that need not be the one that installed it.
    pub(super) fn upgrade_by(&self, helm: &str, more: &[&str]) -> anyhow::Result<()> {
        let chart = self.arguments.chart.display().to_string();
        let given = format!("{},{}", self.edge.given, images(self.arguments));
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
            &given,
        ];
        self.is_settled.set(false);
        self.cluster.helm_of(helm, &[&command, more].concat()).map(drop)
    }

    /// To the release of the starting point.
    pub(super) fn roll_back(&self) -> anyhow::Result<()> {
        self.back_by(self.helm, "1", &[])?;
        self.is_as_at_the_start()
    }

    /// Nothing but the first revision's pods, in order.
    pub(super) fn is_as_at_the_start(&self) -> anyhow::Result<()> {
        rolled_out(self.cluster, self.edge.name)?;
        self.only_one_kind_of_pods()?;
        self.rows_as_at_the_start()
    }

    /// By one revision.
    pub(super) fn roll_back_one(&self) -> anyhow::Result<()> {
        self.back_by(self.helm, "0", &[])?;
        self.in_sync(None)
    }

    pub(super) fn back_by(&self, helm: &'static str, revision: &str, flags: &[&str]) -> anyhow::Result<()> {
        let mut command = vec![
            "rollback",
            RELEASE,
            revision,
            "--namespace",
            NAMESPACE,
            "--wait",
            "--timeout",
            "240s",
        ];
        command.extend(flags);
        self.is_settled.set(false);
        self.cluster.helm_of(helm, &command).map(drop)
    }

    pub(super) fn deployment(&self) -> String {
        format!("deployment/{}", self.edge.name)
    }

    pub(super) fn controllers(&self) -> String {
        format!("deployment/{}", self.edge.controller)
    }

    pub(super) fn leader(&self) -> anyhow::Result<String> {
        let lease = self.cluster.get(&["lease", "-n", NAMESPACE, self.edge.lease])?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let (pod, _) = holder.split_once('_').context("nobody holds the Lease")?;
        Ok(pod.to_owned())
    }

    /// Waits until both Deployments are as wanted and every proxy runs what it shall.
    pub(super) fn in_sync(&self, count: Option<usize>) -> anyhow::Result<()> {
        rolled_out(self.cluster, self.edge.name)?;
        rolled_out(self.cluster, self.edge.controller)?;
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
    pub(super) fn only_one_kind_of_pods(&self) -> anyhow::Result<()> {
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
    let values = cluster.directory().join("edge-values.yaml");
    fs::write(&values, edge.values).with_context(|| values.display().to_string())?;
    let of_kong = |proxies: &str, controller_half: &str| {
        format!(
            "{proxies}image.repository={proxy},{proxies}image.tag={proxy_tag},{proxies}image.effectiveSemver=3.9,\
             {proxies}image.pullPolicy=Never,{controller_half}image.pullPolicy=Never,\
             {controller_half}ingressController.image.repository={controller},\
             {controller_half}ingressController.image.tag={controller_tag}"
        )
    };
    let (chart, images) = match edge.chart {
        Some(chart) if edge.given.contains("adopt=ingress") => (chart.to_owned(), of_kong("gateway.", "controller.")),
        Some(chart) => (chart.to_owned(), of_kong("", "")),
        None => (arguments.chart.display().to_string(), images(arguments)),
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

/// Our images, as values of our chart.
pub(super) fn images(arguments: &Arguments) -> String {
    let (controller, controller_tag) = super::super::install::split(&arguments.controller_image);
    let (proxy, proxy_tag) = super::super::install::split(&arguments.proxy_image);
    format!(
        "controller.image.repository={controller},controller.image.tag={controller_tag},controller.image.pullPolicy=Never,\
         proxy.image.repository={proxy},proxy.image.tag={proxy_tag},proxy.image.pullPolicy=Never"
    )
}

/// Two pods of the application on the first node, where the way in is: when the other node is lost, only proxies are.
fn application(image: &str) -> String {
    let objects = [
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "edge", "namespace": SHOP},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "edge"}},
                "template": {
                    "metadata": {"labels": {"app": "edge"}},
                    "spec": {
                        "nodeSelector": {"kubernetes.io/hostname": "node1"},
                        "containers": [{
                            "name": "edge", "image": image, "imagePullPolicy": "Never",
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
                        }],
                    },
                },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "edge", "namespace": SHOP},
            "spec": {"selector": {"app": "edge"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "edge-calls", "namespace": SHOP, "annotations": {"konghq.com/protocol": "grpc"}},
            "spec": {"selector": {"app": "edge"}, "ports": [{"name": "grpc", "port": 80, "targetPort": "http"}]},
        }),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// What leads to it, and a consumer and a plugin, whose statuses others watch.
fn routes() -> String {
    let ingress = |name: &str, protocols: &str, path: &str, service: &str| {
        let mut annotations = json!({"konghq.com/protocols": protocols, "konghq.com/strip-path": "false"});
        if name == "edge-closed" {
            annotations["konghq.com/plugins"] = json!("edge");
        }
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": SHOP, "annotations": annotations},
            "spec": {
                "ingressClassName": "edge",
                "tls": [{"hosts": [HOST], "secretName": "edge-tls"}],
                "rules": [{"host": HOST, "http": {"paths": [{
                    "path": path, "pathType": "Prefix",
                    "backend": {"service": {"name": service, "port": {"number": 80}}},
                }]}}],
            },
        })
    };
    let plugin = json!({
        "apiVersion": "configuration.konghq.com/v1", "kind": "KongPlugin",
        "metadata": {"name": "edge", "namespace": SHOP},
        "plugin": "request-termination", "config": {"status_code": 503},
    });
    let consumer = json!({
        "apiVersion": "configuration.konghq.com/v1", "kind": "KongConsumer",
        "metadata": {"name": "edge", "namespace": SHOP, "annotations": {"kubernetes.io/ingress.class": "edge"}},
        "username": "edge",
    });
    let objects = [
        ingress("edge", "http,https", "/", "edge"),
        ingress("edge-calls", "grpc,grpcs", "/test.Echo", "edge-calls"),
        ingress("edge-closed", "http,https", "/closed", "edge"),
        consumer,
        plugin,
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string() + "\n"
}

/// The same application by the Gateway API, of this release alone.
fn gateway() -> String {
    let api = "gateway.networking.k8s.io/v1";
    let objects = [
        json!({
            "apiVersion": api, "kind": "GatewayClass",
            "metadata": {"name": "edge", "annotations": {"konghq.com/gatewayclass-unmanaged": "true"}},
            "spec": {"controllerName": GATEWAY_CONTROLLER},
        }),
        json!({
            "apiVersion": api, "kind": "Gateway", "metadata": {"name": "edge", "namespace": SHOP},
            "spec": {"gatewayClassName": "edge", "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}]},
        }),
        json!({
            "apiVersion": api, "kind": "HTTPRoute", "metadata": {"name": "edge", "namespace": SHOP},
            "spec": {
                "parentRefs": [{"name": "edge"}], "hostnames": ["routes.edge.example"],
                "rules": [{"backendRefs": [{"name": "edge", "port": 80}]}],
            },
        }),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

pub(super) fn rolled_out(cluster: &Cluster, deployment: &str) -> anyhow::Result<()> {
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
    let namespace = ["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s"];
    let objects = [
        "delete",
        "ingress,secret,kongconsumer,kongplugin,service,deployment",
        "-n",
        SHOP,
        "edge",
        "edge-tls",
        "edge-calls",
        "edge-closed",
        "--ignore-not-found",
    ];
    for outcome in [
        cluster.uninstall(RELEASE, NAMESPACE),
        cluster.kubectl(&objects),
        cluster.kubectl(&namespace),
    ] {
        if let Err(error) = outcome {
            println!("   {error:#}");
        }
    }
}
