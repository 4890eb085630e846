//! The operator's brake.

use anyhow::ensure;

use super::release::{
    CHANGE, HOST, LIMIT, NAMESPACE, RELEASE, SHOP, all_answer_for, condition, fleet, front, holds, in_sync, ingress_of,
    pods,
};
use crate::{Arguments, cluster::Cluster, http, load::Load, poll::eventually};

/// Host of the change that waits; what nobody claims is a 404.
const WAITS: &str = "paused.example";

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    pause(cluster, true)?;
    eventually("the fleet says that it is paused", CHANGE, || {
        ensure!(holds(&fleet(cluster)?, "Paused"), "not yet");
        Ok(())
    })?;
    cluster.apply(&ingress_of("paused", WAITS, "/", "web"))?;
    eventually("the proxies are behind, because of the pause", LIMIT, || {
        for row in cluster.list(&["proxyinstances", "-n", NAMESPACE])? {
            let synced = condition(&row, "Synced")?;
            ensure!(synced["reason"] == "Paused", "{synced}");
        }
        Ok(())
    })?;
    all_answer_for(cluster, WAITS, "/", 404)?;
    cluster.show(&["get", "proxyfleets", "-n", NAMESPACE, "-o", "wide"])?;

    // Who has no configuration gets one all the same.
    let deployment = format!("deployment/{RELEASE}-kong");
    cluster.kubectl(&["scale", "-n", NAMESPACE, &deployment, "--replicas=3"])?;
    eventually("the new pod serves", LIMIT, || {
        let pods = pods(cluster)?;
        ensure!(pods.len() == 3 && pods.iter().all(|pod| pod.ready), "not yet");
        for pod in pods {
            let way = cluster.forward(&format!("{}:8000", pod.address))?;
            let answer = http::get(way.address, HOST, "/")?;
            ensure!(answer.status == 200, "{} answers {}", pod.name, answer.status);
        }
        Ok(())
    })?;

    pause(cluster, false)?;
    all_answer_for(cluster, WAITS, "/", 200)?;
    cluster.kubectl(&["delete", "ingress", "-n", SHOP, "paused"])?;
    cluster.kubectl(&["scale", "-n", NAMESPACE, &deployment, "--replicas=2"])?;
    in_sync(cluster, 2)?;
    load.finish()
}

fn pause(cluster: &Cluster, paused: bool) -> anyhow::Result<()> {
    let patch = format!("{{\"spec\":{{\"paused\":{paused}}}}}");
    cluster
        .kubectl(&[
            "patch",
            "proxyfleet",
            "-n",
            NAMESPACE,
            &format!("{RELEASE}-kong-gateway-admin"),
            "--type",
            "merge",
            "-p",
            &patch,
        ])
        .map(drop)
}
