//! A node is cut off, and comes back.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::release::{LIMIT, NAMESPACE, SHOP, condition, holds, in_sync, ingress_of, leader, rolled_out};
use crate::{Arguments, cluster::Cluster, http, poll::eventually};

/// Leases of 15 s and a node's grace of 12 s run out one after the other.
const NOTICED: Duration = Duration::from_secs(60);

/// Host of the change that is made while the node is away.
const MEANWHILE: &str = "meanwhile.example";

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let rows = instances(cluster)?;
    // The leader stays: what is shown here is a proxy that can't be reached.
    let home = node_of(&cluster.get(&["pod", "-n", NAMESPACE, &leader(cluster)?])?);
    let lost = rows
        .iter()
        .find(|row| row_node(row) != home)
        .context("all proxies are on the leader's node: they should be spread")?;
    let (name, node) = (row_name(lost), row_node(lost));

    cluster.node(&node, "partition")?;
    let outcome = cut_off(cluster, &name, &node);
    cluster.node(&node, "heal")?;
    outcome?;
    let began = Instant::now();
    in_sync(cluster, 2)?;
    println!(
        "   in sync {:.1} s after the network is back",
        began.elapsed().as_secs_f64()
    );
    cluster.kubectl(&["delete", "ingress", "-n", SHOP, "meanwhile"])?;
    cluster.kubectl(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"])?;
    rolled_out(cluster, "silverback-kong-controller")?;
    in_sync(cluster, 2)
}

/// While the node is away: the row tells it, and the proxies elsewhere get a change.
fn cut_off(cluster: &Cluster, name: &str, node: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    let reason = eventually(
        "the row of the lost proxy says that it can't be reached",
        NOTICED,
        || {
            let row = cluster.get(&["proxyinstance", "-n", NAMESPACE, name])?;
            let reachable = condition(&row, "Reachable")?;
            ensure!(reachable["status"] == "False", "it says {reachable}");
            Ok([&reachable["reason"], &reachable["message"]]
                .map(|text| text.as_str().unwrap_or_default())
                .join(": "))
        },
    )?;
    println!(
        "   {node} is cut off; after {:.1} s {name} says {reason}",
        began.elapsed().as_secs_f64()
    );
    cluster.apply(&ingress_of("meanwhile", MEANWHILE, "/", "web"))?;
    for row in instances(cluster)?.iter().filter(|row| row_node(row) != node) {
        let pod = cluster.get(&["pod", "-n", NAMESPACE, &row_name(row)])?;
        let address = pod["status"]["podIP"].as_str().context("no address")?;
        // As seen from the node that is left.
        let way = cluster.forward_from(&row_node(row), &format!("{address}:8000"))?;
        eventually("the change is live on the other proxy", LIMIT, || {
            // Which backend answers, or that the lost node's can't, is not the question: there is a route.
            let answer = http::get(way.address, MEANWHILE, "/")?;
            ensure!(answer.status != 404, "404");
            Ok(())
        })?;
        ensure!(holds(row, "Ready"), "{} is not Ready", row_name(row));
    }
    Ok(())
}

fn instances(cluster: &Cluster) -> anyhow::Result<Vec<Value>> {
    cluster.list(&["proxyinstances", "-n", NAMESPACE])
}

fn row_name(row: &Value) -> String {
    row["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn row_node(row: &Value) -> String {
    row["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()
}

fn node_of(pod: &Value) -> String {
    pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()
}
