//! Proxies come, go and restart; routes too.

use anyhow::{Context, ensure};

use super::release::{
    CHANGE, HOST, LIMIT, NAMESPACE, RELEASE, SHOP, all_answer, change_goes_live, front, holds, in_sync, ingress, pods,
    without_controllers,
};
use crate::{Arguments, cluster::Cluster, http, load::Load, poll::eventually};

pub(super) fn scale(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 4);
    let deployment = format!("deployment/{RELEASE}-kong");
    cluster.kubectl(&["scale", "-n", NAMESPACE, &deployment, "--replicas=6"])?;
    // From the first moment that a pod is Ready it has the route: whoever asks it then gets an answer of the shop.
    let mut asked = std::collections::BTreeSet::new();
    eventually("six pods, each asked as soon as it was Ready", LIMIT, || {
        for pod in pods(cluster)? {
            if pod.ready && !pod.terminating && !asked.contains(&pod.name) {
                let way = cluster.forward(&format!("{}:8000", pod.address))?;
                let answer = http::get(way.address, HOST, "/")?;
                assert_eq!(
                    answer.status, 200,
                    "{} was Ready and answered {}",
                    pod.name, answer.body
                );
                asked.insert(pod.name);
            }
        }
        ensure!(asked.len() >= 6, "{} so far", asked.len());
        Ok(())
    })?;
    in_sync(cluster, 6)?;
    cluster.show(&["get", "proxyinstances", "-n", NAMESPACE])?;
    cluster.kubectl(&["scale", "-n", NAMESPACE, &deployment, "--replicas=2"])?;
    in_sync(cluster, 2)?;
    load.finish()
}

pub(super) fn delete(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let service = cluster.get(&["service", "-n", NAMESPACE, &format!("{RELEASE}-kong-proxy")])?;
    let address = service["spec"]["clusterIP"]
        .as_str()
        .context("the Service has no address")?
        .to_owned();
    eventually("the Ingress tells the address", CHANGE, || {
        let ingress = cluster.get(&["ingress", "-n", SHOP, "web"])?;
        let told = &ingress["status"]["loadBalancer"]["ingress"][0]["ip"];
        ensure!(told == &address, "it tells {told}, the Service is at {address}");
        Ok(())
    })?;
    cluster.kubectl(&["delete", "ingress", "-n", SHOP, "web"])?;
    all_answer(cluster, "/", 404)?;
    // The last route is gone: that is a configuration like any other.
    in_sync(cluster, 2)?;
    cluster.apply(&ingress("web", "/", "web"))?;
    all_answer(cluster, "/", 200)
}

pub(super) fn restart(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let pod = pods(cluster)?.into_iter().next().context("no proxy pod")?.name;
    let count = || -> anyhow::Result<i64> {
        let pod = cluster.get(&["pod", "-n", NAMESPACE, &pod])?;
        pod["status"]["containerStatuses"][0]["restartCount"]
            .as_i64()
            .context("no count")
    };
    let before = count()?;
    let way = cluster.forward(&format!(
        "{}:8000",
        pods(cluster)?
            .iter()
            .find(|found| found.name == pod)
            .context("the pod is gone")?
            .address
    ))?;
    let node = cluster.get(&["pod", "-n", NAMESPACE, &pod])?["spec"]["nodeName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let container = cluster.get(&["pod", "-n", NAMESPACE, &pod])?["status"]["containerStatuses"][0]["containerID"]
        .as_str()
        .unwrap_or_default()
        .trim_start_matches("containerd://")
        .to_owned();
    // Nobody is there to send it anything: what it runs afterwards is what it had put away.
    without_controllers(cluster, || {
        cluster.kill_container(&node, &container)?;
        eventually("the container restarted", LIMIT, || {
            ensure!(count()? > before, "not yet");
            Ok(())
        })?;
        eventually("the pod is Ready again", LIMIT, || {
            ensure!(
                holds(&cluster.get(&["pod", "-n", NAMESPACE, &pod])?, "Ready"),
                "not yet"
            );
            Ok(())
        })?;
        let answer = http::get(way.address, HOST, "/")?;
        ensure!(
            answer.status == 200,
            "Ready, and it answered {} {}",
            answer.status,
            answer.body
        );
        Ok(())
    })?;
    in_sync(cluster, 2)?;
    change_goes_live(cluster)
}
