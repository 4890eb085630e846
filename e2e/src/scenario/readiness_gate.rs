//! The readiness gate of the chart: who has no configuration gets no requests, whatever its own probe says.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{
    bad_proxy,
    release::{
        HOST, LIMIT, NAMESPACE, RELEASE, all_answer, condition, front, holds, in_sync, pods, without_controllers,
    },
};
use crate::{Arguments, cluster::Cluster, http, load::Load, poll::eventually};

const GATE: &str = "gateway.silverback.dev/ConfigSynced";
/// A probe that a proxy passes without a configuration: what holds requests back is the gate alone. The chart refuses it without.
const ON: &str = "proxy.readinessGate=true,proxy.readinessProbe.httpGet.path=/status";
const OFF: &str = "proxy.readinessGate=false,proxy.readinessProbe.httpGet.path=/status/ready";
/// As `testapp bad-proxy` calls one that takes no configuration.
const TAKES_NONE: &str = "fails";

pub(super) fn run(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    let outcome = upgrade(cluster, arguments, ON).and_then(|()| {
        in_sync(cluster, 2)?;
        for pod in pods(cluster)? {
            is_open(&pod_of(cluster, &pod.name)?)?;
        }
        never_configured(cluster, arguments)?;
        not_yet_configured(cluster)
    });
    // What is left there whatever happened would disturb the scenarios after this one.
    upgrade(cluster, arguments, OFF)?;
    outcome?;
    in_sync(cluster, 2)?;
    for pod in pods(cluster)? {
        let gates = &pod_of(cluster, &pod.name)?["spec"]["readinessGates"];
        ensure!(gates.is_null(), "{} still has {gates}", pod.name);
    }
    load.finish()
}

fn upgrade(cluster: &Cluster, arguments: &Arguments, values: &str) -> anyhow::Result<()> {
    let chart = arguments.chart.to_str().context("a path of text")?;
    let upgrade = ["upgrade", RELEASE, chart, "-n", NAMESPACE, "--reuse-values"];
    let flags = ["--set", values, "--wait", "--timeout", "120s"];
    cluster.helm(&[&upgrade[..], &flags[..]].concat()).map(drop)
}

fn pod_of(cluster: &Cluster, name: &str) -> anyhow::Result<Value> {
    cluster.get(&["pod", "-n", NAMESPACE, name])
}

/// Whether a pod has the gate, and is Ready since the controller says so.
fn is_open(pod: &Value) -> anyhow::Result<()> {
    let gates = &pod["spec"]["readinessGates"];
    ensure!(gates[0]["conditionType"] == GATE, "its gates are {gates}");
    ensure!(
        holds(pod, GATE) && holds(pod, "Ready"),
        "{}",
        pod["status"]["conditions"]
    );
    Ok(())
}

/// Whether a pod is not Ready though its containers are, and says that this is because of the gate.
fn is_held_back(pod: &Value) -> anyhow::Result<String> {
    let ready = condition(pod, "Ready")?;
    let message = ready["message"].as_str().unwrap_or_default();
    ensure!(
        holds(pod, "ContainersReady") && ready["status"] == "False" && message.contains(GATE),
        "{}",
        pod["status"]["conditions"]
    );
    Ok(message.to_owned())
}

/// A proxy whose probe is passed, and which refuses all configurations: the controller says that it has none.
fn never_configured(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let stand_in = stand_in(&arguments.application_image)?;
    let name = stand_in["metadata"]["name"].as_str().context("it has no name")?;
    cluster.apply(&stand_in.to_string())?;
    let outcome = eventually("the gate of a proxy without configuration is closed", LIMIT, || {
        let pod = pod_of(cluster, name)?;
        let gate = condition(&pod, GATE)?;
        ensure!(gate["status"] == "False" && gate["reason"] == "Unconfigured", "{gate}");
        println!("   {name}: {}; {}", gate["message"], is_held_back(&pod)?);
        Ok(())
    });
    cluster.kubectl(&["delete", "pod", "-n", NAMESPACE, name, "--timeout=60s"])?;
    outcome
}

/// Such a proxy, with the gate and with a probe that it passes.
fn stand_in(image: &str) -> anyhow::Result<Value> {
    let mut pod: Value = serde_saphyr::from_str(&bad_proxy(TAKES_NONE, image))?;
    pod["spec"]["readinessGates"] = json!([{"conditionType": GATE}]);
    pod["spec"]["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 8444}, "periodSeconds": 1});
    Ok(pod)
}

/// A proxy that comes while no controller is there waits for one, and so do requests to it.
fn not_yet_configured(cluster: &Cluster) -> anyhow::Result<()> {
    let before: BTreeSet<String> = pods(cluster)?.into_iter().map(|pod| pod.name).collect();
    let newcomer = without_controllers(cluster, || {
        scale(cluster, 3)?;
        eventually("the new proxy is held back", LIMIT, || {
            let pods = pods(cluster)?;
            let pod = pods.iter().find(|pod| !before.contains(&pod.name));
            let pod = pod.context("there is none yet")?;
            let shown = pod_of(cluster, &pod.name)?;
            let message = is_held_back(&shown)?;
            ensure!(condition(&shown, GATE).is_err(), "nobody is there who could say so");
            let way = cluster.forward(&format!("{}:8000", pod.address))?;
            let answer = http::get(way.address, HOST, "/")?;
            ensure!(answer.status != 200, "it has a configuration");
            println!("   {}: {message}; it would answer {}", pod.name, answer.status);
            Ok(pod.name.clone())
        })
    });
    let outcome = newcomer.and_then(|name| {
        eventually("its gate opens once a controller is there", LIMIT, || {
            is_open(&pod_of(cluster, &name)?)
        })?;
        in_sync(cluster, 3)?;
        all_answer(cluster, "/", 200)
    });
    scale(cluster, 2)?;
    outcome
}

fn scale(cluster: &Cluster, count: usize) -> anyhow::Result<()> {
    let (deployment, replicas) = (format!("deployment/{RELEASE}-kong"), format!("--replicas={count}"));
    cluster
        .kubectl(&["scale", "-n", NAMESPACE, &deployment, &replicas])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stand_in_has_nothing_but_the_gate_to_keep_it_from_being_ready() {
        let pod = stand_in("localhost/testapp:1").expect("a pod");
        assert_eq!(pod["metadata"]["name"], "bad-fails");
        assert_eq!(pod["spec"]["readinessGates"][0]["conditionType"], GATE);
        let container = &pod["spec"]["containers"][0];
        let listens = &container["ports"][0]["containerPort"];
        assert_eq!(container["readinessProbe"]["tcpSocket"]["port"], *listens);
    }

    #[test]
    fn who_is_held_back_is_told_from_who_is_not_ready() {
        let pod = |containers: &str, ready: &str, message: &str| {
            json!({"status": {"conditions": [
                {"type": "ContainersReady", "status": containers},
                {"type": "Ready", "status": ready, "message": message},
            ]}})
        };
        let message = format!("corresponding condition of pod readiness gate \"{GATE}\" does not exist.");
        assert_eq!(
            is_held_back(&pod("True", "False", &message)).ok(),
            Some(message.clone())
        );
        for other in [
            pod("False", "False", &message),
            pod("True", "True", ""),
            pod("True", "False", "containers with unready status: [proxy]"),
        ] {
            assert!(is_held_back(&other).is_err(), "{other}");
        }
    }
}
