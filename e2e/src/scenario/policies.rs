//! NetworkPolicies, enforced. The test bed's network does not do it, so rules of nftables are derived from the very objects of
//! the release, on every node: who may open connections to which port of which pod.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::release::{NAMESPACE, RELEASE, SHOP, change_goes_live, in_sync, pods};
use crate::{Arguments, cluster::Cluster, poll::eventually};

const NODES: [&str; 2] = ["node1", "node2"];
const TABLE: &str = "inet e2e_policies";

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let stranger = |url: &str| cluster.kubectl(&["exec", "-n", SHOP, "deployment/web", "--", "/testapp", "get", url]);
    let proxy = pods(cluster)?.into_iter().next().context("no proxy")?.address;
    let (admin, traffic) = (format!("https://{proxy}:8444/"), format!("http://{proxy}:8000/"));
    // Without enforcement a stranger gets as far as the certificate, which he does not trust.
    let refused = stranger(&admin).err().context("a stranger may use the Admin API")?;
    ensure!(format!("{refused:#}").contains("certificate"), "{refused:#}");

    let rules = rules(cluster)?;
    println!(
        "   {} rules for each node",
        rules.lines().filter(|line| line.contains("daddr")).count()
    );
    for node in NODES {
        cluster.exec(node, &["nft", "-f", "-"], &rules)?;
    }
    let outcome = enforced(cluster, &stranger, &admin, &traffic);
    for node in NODES {
        cluster.exec(node, &["nft", "delete", "table", "inet", "e2e_policies"], "")?;
    }
    outcome
}

fn enforced(
    cluster: &Cluster,
    stranger: &dyn Fn(&str) -> anyhow::Result<String>,
    admin: &str,
    traffic: &str,
) -> anyhow::Result<()> {
    let refused = stranger(admin).err().context("a stranger may use the Admin API")?;
    let text = format!("{refused:#}");
    ensure!(
        text.contains("deadline exceeded") || text.contains("timeout"),
        "a stranger reaches the Admin API: {text}"
    );
    // Traffic is for everybody, the Admin API for the controllers, whose connections are made anew when they restart.
    stranger(traffic)?;
    let metrics = format!("http://{RELEASE}-kong-controller-metrics.{NAMESPACE}.svc:10255/metrics");
    eventually("metrics are for everybody", Duration::from_secs(20), || {
        stranger(&metrics)
    })?;
    change_goes_live(cluster)?;
    in_sync(cluster, 2)
}

/// All NetworkPolicies of the release as one table.
fn rules(cluster: &Cluster) -> anyhow::Result<String> {
    let policies = cluster.list(&["networkpolicies", "-n", NAMESPACE])?;
    ensure!(!policies.is_empty(), "there are no NetworkPolicies");
    let pods = cluster.list(&["pods", "-n", NAMESPACE])?;
    let mut text = format!(
        "table {TABLE} {{\n chain forward {{\n  type filter hook forward priority -5;\n  ct state established,related accept\n"
    );
    for pod in &pods {
        let Some(address) = pod["status"]["podIP"].as_str() else {
            continue;
        };
        let selecting: Vec<_> = policies
            .iter()
            .filter(|policy| selects(&policy["spec"]["podSelector"], pod))
            .collect();
        for policy in &selecting {
            for rule in policy["spec"]["ingress"].as_array().into_iter().flatten() {
                let sources = sources(rule, &pods)?;
                for port in rule["ports"].as_array().context("a rule without ports")? {
                    let _ = writeln!(text, "  ip daddr {address} {sources}{} accept", ports(port, pod)?);
                }
            }
        }
        if !selecting.is_empty() {
            let _ = writeln!(text, "  ip daddr {address} drop");
        }
    }
    text.push_str(" }\n}\n");
    Ok(text)
}

fn selects(selector: &Value, pod: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object();
    wanted
        .into_iter()
        .flatten()
        .all(|(name, value)| &pod["metadata"]["labels"][name] == value)
}

/// `from` of a rule: nobody in particular, or pods of this namespace.
fn sources(rule: &Value, pods: &[Value]) -> anyhow::Result<String> {
    let Some(from) = rule["from"].as_array() else {
        return Ok(String::new());
    };
    let mut addresses = Vec::new();
    for peer in from {
        ensure!(
            peer["podSelector"].is_object() && peer["namespaceSelector"].is_null(),
            "not derived here: {peer}"
        );
        let found = pods.iter().filter(|pod| selects(&peer["podSelector"], pod));
        addresses.extend(found.filter_map(|pod| pod["status"]["podIP"].as_str()));
    }
    ensure!(!addresses.is_empty(), "no pod is meant by {rule}");
    Ok(format!("ip saddr {{ {} }} ", addresses.join(", ")))
}

fn ports(port: &Value, pod: &Value) -> anyhow::Result<String> {
    let protocol = port["protocol"].as_str().unwrap_or("TCP").to_lowercase();
    let first = match &port["port"] {
        Value::String(name) => named(pod, name).with_context(|| format!("no port {name}"))?,
        Value::Number(number) => number.as_u64().context("a port")?,
        other => bail!("not derived here: {other}"),
    };
    let last = port["endPort"].as_u64().unwrap_or(first);
    Ok(format!("{protocol} dport {first}-{last}"))
}

fn named(pod: &Value, name: &str) -> Option<u64> {
    let containers = pod["spec"]["containers"].as_array()?;
    let mut ports = containers
        .iter()
        .filter_map(|container| container["ports"].as_array())
        .flatten();
    ports.find(|port| port["name"] == name)?["containerPort"].as_u64()
}
