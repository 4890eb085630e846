//! Proxies hang, end, come, go, and find no space on their disk.

use std::thread;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{Bed, Random, Undo};
use crate::{
    poll::eventually,
    scenario::release::{LIMIT, NAMESPACE, RELEASE, holds, in_sync},
};

/// Its process is stopped: connections are taken by the kernel, and nobody says anything.
pub(super) fn hangs<'a>(bed: &'a Bed<'a>, random: &mut Random) -> anyhow::Result<Undo<'a>> {
    let victim = random.pick(bed.victims()?).context("no proxy")?;
    println!("              {}", victim.pod);
    bed.takes([&victim]);
    bed.signal(&victim, "SIGSTOP")?;
    Ok(Box::new(move || bed.signal(&victim, "SIGCONT")))
}

pub(super) fn killed<'a>(bed: &'a Bed<'a>, random: &mut Random) -> anyhow::Result<Undo<'a>> {
    let victim = random.pick(bed.victims()?).context("no proxy")?;
    println!("              {}", victim.pod);
    bed.takes([&victim]);
    bed.signal(&victim, "SIGKILL")?;
    Ok(Box::new(|| Ok(())))
}

pub(super) fn all_killed<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    let victims = bed.victims()?;
    bed.takes(&victims);
    thread::scope(|scope| {
        let kills: Vec<_> = victims
            .iter()
            .map(|victim| scope.spawn(|| bed.signal(victim, "SIGKILL")))
            .collect();
        let ended = kills
            .into_iter()
            .map(|kill| kill.join().ok().context("a thread panicked")?);
        ended.collect::<anyhow::Result<Vec<()>>>()
    })?;
    Ok(Box::new(|| Ok(())))
}

pub(super) fn come_and_go<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    scale(bed, bed.proxies + 2)?;
    Ok(Box::new(|| {
        let listed = bed.listed(bed.proxies + 2);
        let came = listed.and_then(|()| in_sync(bed.cluster, bed.proxies + 2));
        scale(bed, bed.proxies)?;
        came
    }))
}

fn scale(bed: &Bed<'_>, count: usize) -> anyhow::Result<()> {
    let (deployment, replicas) = (format!("deployment/{RELEASE}-kong"), format!("--replicas={count}"));
    bed.cluster
        .kubectl(&["scale", "-n", NAMESPACE, &deployment, &replicas])
        .map(drop)
}

/// Name of the pod, and of the volume in it that is full.
const FULL: &str = "full-disk";
const KEPT_IN: &str = "SILVERBACK_PROXY_CONFIGURATION_FILE";
const KEPT: &str = "/kept/configuration.json";

/// One more proxy, that keeps its configuration in a volume without space. It serves all the same, and gets all changes.
pub(super) fn full_disk<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    let deployment = bed
        .cluster
        .get(&["deployment", "-n", NAMESPACE, &format!("{RELEASE}-kong")])?;
    bed.cluster.apply(&full_pod(&deployment)?.to_string())?;
    let undo = move || {
        let outcome = in_sync_as_the_others(bed);
        bed.cluster
            .kubectl(&["delete", "pod", "-n", NAMESPACE, FULL, "--timeout=60s"])?;
        outcome
    };
    if let Err(error) = fill(bed) {
        // What is told is why it could not be filled.
        let _ = undo();
        return Err(error);
    }
    Ok(Box::new(undo))
}

/// A pod like those of the Deployment, with a small volume in memory, and none of its ReplicaSet's.
fn full_pod(deployment: &Value) -> anyhow::Result<Value> {
    let template = &deployment["spec"]["template"];
    let mut labels = template["metadata"]["labels"].clone();
    labels["bad-proxy"] = FULL.into();
    let mut spec = template["spec"].clone();
    let volumes = spec["volumes"].as_array_mut().context("no volumes")?;
    volumes.push(json!({"name": FULL, "emptyDir": {"medium": "Memory", "sizeLimit": "64Ki"}}));
    let container = &mut spec["containers"][0];
    let mounts = container["volumeMounts"].as_array_mut().context("no mounts")?;
    mounts.push(json!({"name": FULL, "mountPath": "/kept"}));
    let env = container["env"].as_array_mut().context("no environment")?;
    env.retain(|variable| variable["name"] != KEPT_IN);
    env.push(json!({"name": KEPT_IN, "value": KEPT}));
    Ok(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": FULL, "namespace": NAMESPACE, "labels": labels},
        "spec": spec,
    }))
}

fn fill(bed: &Bed<'_>) -> anyhow::Result<()> {
    let pod = eventually("the proxy with a small disk is Ready", LIMIT, || {
        let pod = bed.cluster.get(&["pod", "-n", NAMESPACE, FULL])?;
        ensure!(holds(&pod, "Ready"), "not yet");
        Ok(pod)
    })?;
    let uid = pod["metadata"]["uid"].as_str().context("no uid")?;
    let node = pod["spec"]["nodeName"].as_str().context("no node")?;
    let file = format!("of=/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/{FULL}/filler");
    let filled = bed
        .cluster
        .exec(node, &["dd", "if=/dev/zero", &file, "bs=4k", "count=64"], "");
    let said = filled.err().context("there is space left")?.to_string();
    ensure!(said.contains("No space left"), "{said}");
    Ok(())
}

fn in_sync_as_the_others(bed: &Bed<'_>) -> anyhow::Result<()> {
    eventually("the proxy with a full disk is in sync", LIMIT, || {
        let row = bed.cluster.get(&["proxyinstance", "-n", NAMESPACE, FULL])?;
        ensure!(
            holds(&row, "Ready") && holds(&row, "Synced"),
            "{}",
            row["status"]["conditions"]
        );
        Ok(())
    })
}
