//! Nothing happens: nothing is asked of the API server.

use std::{thread, time::Duration};

use anyhow::ensure;

use super::release::in_sync;
use crate::{Arguments, cluster::Cluster, poll::eventually};

/// What only silverback asks for in this cluster. Leases are renewed all the time, by others as well.
const RESOURCES: [&str; 5] = [
    "ingresses",
    "ingressclasses",
    "proxyinstances",
    "proxyfleets",
    "endpointslices",
];
/// How long is looked at. A figure over a time can't be had without the time.
const PERIOD: Duration = Duration::from_secs(10);

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    in_sync(cluster, 2)?;
    // What the scenario before it left to be written has its own time.
    let asked = eventually("ten seconds without a request", 6 * PERIOD, || {
        let before = requests(cluster)?;
        thread::sleep(PERIOD);
        let asked = requests(cluster)? - before;
        ensure!(asked == 0, "{asked} requests in {PERIOD:?}");
        Ok(asked)
    })?;
    println!("   requests in {PERIOD:?} of idling, the Lease's aside: {asked}");
    Ok(())
}

/// How many requests for those resources the API server has seen; open watches count once, when they end.
fn requests(cluster: &Cluster) -> anyhow::Result<u64> {
    let metrics = cluster.kubectl(&["get", "--raw", "/metrics"])?;
    let ours = metrics.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && RESOURCES
                .iter()
                .any(|resource| line.contains(&format!("resource=\"{resource}\"")))
            && !line.contains("verb=\"WATCH\"")
            // The API server looks after the EndpointSlice of its own Service every 10 s; silverback never asks for one.
            && !(line.contains("resource=\"endpointslices\"") && line.contains("verb=\"GET\""))
    });
    ours.map(|line| Ok(line.rsplit(' ').next().unwrap_or("0").parse::<f64>()? as u64))
        .sum()
}
