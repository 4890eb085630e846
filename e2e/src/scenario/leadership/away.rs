//! The API server is away, and a proxy loses what it runs.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{
    super::release::{HOST, LIMIT, NAMESPACE, all_answer, change_goes_live, in_sync, pods},
    container_of,
};
use crate::{Arguments, cluster::Cluster, http, poll::eventually};

/// Past the deadline of the Lease: the leader knows that it can't renew.
const SHORT: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_secs(300);

pub(in crate::scenario) fn short(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    without_api_server(cluster, SHORT)
}

pub(in crate::scenario) fn long(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    without_api_server(cluster, LONG)
}

fn without_api_server(cluster: &Cluster, time: Duration) -> anyhow::Result<()> {
    let pod = pods(cluster)?.into_iter().next().context("no proxy")?;
    let (node, container) = container_of(cluster, &pod.name)?;
    let uid = cluster.get(&["pod", "-n", NAMESPACE, &pod.name])?["metadata"]["uid"]
        .as_str()
        .context("it has no uid")?
        .to_owned();
    let way = cluster.forward_from(&node, &format!("{}:8000", pod.address))?;
    cluster.signal_api_server("STOP")?;
    let outcome = (|| {
        thread::sleep(time);
        // What it has accepted last is on its disk: with that it would start without anybody's help.
        let disk = format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir");
        cluster.exec(&node, &["find", &disk, "-type", "f", "-delete"], "")?;
        cluster.kill_container(&node, &container)?;
        let began = Instant::now();
        let gone = eventually("the proxy is gone", LIMIT, || {
            ensure!(http::get(way.address, HOST, "/").is_err(), "it answers");
            Ok(())
        });
        // It may have been back before anybody looked.
        drop(gone);
        eventually("the proxy serves again", LIMIT, || {
            let answer = http::get(way.address, HOST, "/")?;
            ensure!(answer.status == 200, "it answers {}", answer.status);
            Ok(())
        })?;
        println!(
            "   the API server is away for {} s: {} was killed, its disk emptied; it served again {:.1} s later",
            time.as_secs(),
            pod.name,
            began.elapsed().as_secs_f64()
        );
        Ok(())
    })();
    cluster.signal_api_server("CONT")?;
    outcome.and_then(|()| {
        eventually("the API server is back", LIMIT, || {
            cluster.kubectl(&["get", "--raw", "/readyz"])
        })?;
        in_sync(cluster, 2)?;
        all_answer(cluster, "/", 200)?;
        change_goes_live(cluster)
    })
}
