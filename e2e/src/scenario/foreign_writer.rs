//! Somebody else keeps configuring a proxy.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::release::{CHANGE, HOST, NAMESPACE, RELEASE, condition, front, in_sync, pods};
use crate::{
    Arguments,
    chaos::Bed,
    cluster::{Cluster, Forward},
    load::Load,
    observer::AdminAccess,
    poll::eventually,
};

pub(super) fn run(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    let bed = Bed::new(cluster, arguments, 2, None)?;
    let proxy = Proxy::first(cluster)?;
    let ours = proxy.runs()?;
    for time in ["the first", "the second"] {
        bed.write_as_a_stranger(&proxy.name, "foreign")?;
        let began = Instant::now();
        eventually(&format!("it is repaired {time} time"), CHANGE, || {
            ensure!(proxy.runs()? == ours, "not yet");
            Ok(())
        })?;
        println!("   repaired {time} time after {:.1} s", began.elapsed().as_secs_f64());
    }
    bed.write_as_a_stranger(&proxy.name, "foreign")?;
    let began = Instant::now();
    is_told(cluster, &proxy)?;
    println!("   told after {:.1} s", began.elapsed().as_secs_f64());
    // From now on it is repaired once a minute. A pod that is replaced is another proxy.
    drop(proxy.way);
    cluster.kubectl(&["delete", "pod", "-n", NAMESPACE, &proxy.name])?;
    in_sync(cluster, 2)?;
    load.finish()
}

/// A proxy's Admin API, as somebody else than the controller asks it.
struct Proxy {
    name: String,
    /// Of its Admin API.
    address: String,
    way: Forward,
    access: AdminAccess,
}

impl Proxy {
    fn first(cluster: &Cluster) -> anyhow::Result<Self> {
        let pod = pods(cluster)?.into_iter().next().context("no proxy pod")?;
        let authorities = cluster.get(&["secret", "-n", NAMESPACE, &format!("{RELEASE}-kong-ca")])?;
        let address = format!("{}:8444", pod.address);
        Ok(Self {
            name: pod.name,
            way: cluster.forward(&address)?,
            address,
            access: AdminAccess::new(&authorities, &format!("{RELEASE}-kong-gateway-admin"), NAMESPACE)?,
        })
    }

    /// The hash of what it runs.
    fn runs(&self) -> anyhow::Result<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = self
            .access
            .request(self.way.address, hyper::Method::GET, "/status", bytes::Bytes::new());
        let (status, body) = runtime.block_on(asked)?;
        ensure!(status == 200, "GET /status: {status}");
        let answer: Value = serde_json::from_slice(&body)?;
        let hash = answer["configuration_hash"].as_str();
        Ok(hash.context("it tells no hash")?.to_owned())
    }
}

/// Waits until a user sees it: in the proxy's row, in what `kubectl get` shows, and as an event.
fn is_told(cluster: &Cluster, proxy: &Proxy) -> anyhow::Result<()> {
    eventually("the row names a foreign writer", CHANGE, || {
        let row = cluster.get(&["proxyinstance", "-n", NAMESPACE, &proxy.name])?;
        let synced = condition(&row, "Synced")?;
        let message = synced["message"].as_str().unwrap_or_default();
        ensure!(
            synced["status"] == "False"
                && synced["reason"] == "ForeignWriter"
                && message.contains("find the other controller")
                && message.contains("once a minute"),
            "it says {synced}"
        );
        Ok(())
    })?;
    let table = cluster.show(&["get", "proxyinstances", "-n", NAMESPACE])?;
    let line = table.lines().find(|line| line.starts_with(&proxy.name));
    let cells: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    ensure!(
        cells.get(1..3) == Some(&["True", "False"]),
        "the proxy serves, and is not in sync; the table says {cells:?}"
    );
    let message = eventually("an event says so", CHANGE, || {
        let events = cluster.list(&["events", "-n", NAMESPACE])?;
        let mut messages = events
            .iter()
            .filter(|event| event["reason"] == "KongConfigurationApplyFailed" && event["type"] == "Warning")
            .filter(|event| event["involvedObject"]["kind"] == "Pod")
            .filter_map(|event| event["message"].as_str());
        let told = messages.find(|message| message.contains("ForeignWriter") && message.contains(&proxy.address));
        Ok(told.context("there is none")?.to_owned())
    })?;
    println!("   event: {message}");
    Ok(())
}
