//! What became of Kong's objects, as their statuses tell it.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::release::{CHANGE, SHOP, change_goes_live, foreign_entry};
use crate::{Arguments, cluster::Cluster, poll::eventually};

const POLICY: &str = "kongupstreampolicies/slots";

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    cluster.apply(&policy(100))?;
    annotate(cluster, "konghq.com/upstream-policy=slots")?;
    eventually("the policy is in force", CHANGE, || {
        let policy = cluster.get(&[POLICY, "-n", SHOP])?;
        for type_ in ["Accepted", "Programmed"] {
            ensure!(status(&policy, type_)? == "True", "{}", policy["status"]);
        }
        Ok(())
    })?;

    println!("   another controller has an entry there as well; then the policy changes");
    let service = json!({ "ancestorRef": { "group": "core", "kind": "Service", "namespace": SHOP, "name": "web" } });
    let foreign = foreign_entry(cluster, POLICY, "ancestors", service)?;
    cluster.apply(&policy(200))?;
    eventually("the status speaks of the change", CHANGE, || {
        let policy = cluster.get(&[POLICY, "-n", SHOP])?;
        let observed = condition(&policy, "Programmed")?["observedGeneration"].clone();
        ensure!(
            observed == policy["metadata"]["generation"],
            "{observed} is not the latest"
        );
        let entries = policy["status"]["ancestors"].as_array().context("no list")?;
        ensure!(entries.contains(&foreign), "what others say is gone: {entries:?}");
        Ok(())
    })?;
    cluster.show(&[
        "get",
        POLICY,
        "-n",
        SHOP,
        "-o",
        r#"jsonpath={range .status.ancestors[*]}{.controllerName}{" "}{.ancestorRef.name}{": "}{range .conditions[*]}{.type}={.status} {end}{"\n"}{end}"#,
    ])?;

    println!("   no Service names it any more");
    annotate(cluster, "konghq.com/upstream-policy-")?;
    eventually("its own entry is gone", CHANGE, || {
        let policy = cluster.get(&[POLICY, "-n", SHOP])?;
        let entries = policy["status"]["ancestors"].as_array().context("no list")?;
        ensure!(*entries == [foreign.clone()], "{entries:?}");
        Ok(())
    })?;
    cluster.kubectl(&["delete", POLICY, "-n", SHOP])?;
    change_goes_live(cluster)
}

fn policy(slots: u32) -> String {
    format!(
        "apiVersion: configuration.konghq.com/v1beta1\nkind: KongUpstreamPolicy\n\
         metadata: {{name: slots, namespace: {SHOP}}}\nspec: {{slots: {slots}}}\n"
    )
}

fn annotate(cluster: &Cluster, annotation: &str) -> anyhow::Result<()> {
    let arguments = ["annotate", "service", "web", "-n", SHOP, "--overwrite", annotation];
    cluster.kubectl(&arguments).map(drop)
}

/// Our condition of that type for the Service `web`.
fn condition<'a>(policy: &'a Value, type_: &str) -> anyhow::Result<&'a Value> {
    let entries = policy["status"]["ancestors"].as_array().context("no ancestors")?;
    let ours = entries
        .iter()
        .find(|entry| entry["controllerName"] == "konghq.com/kic-gateway-controller")
        .context("no entry of ours")?;
    ensure!(ours["ancestorRef"]["name"] == "web", "{ours}");
    let conditions = ours["conditions"].as_array().context("no conditions")?;
    conditions
        .iter()
        .find(|condition| condition["type"] == type_)
        .with_context(|| format!("no {type_}"))
}

fn status<'a>(policy: &'a Value, type_: &str) -> anyhow::Result<&'a str> {
    Ok(condition(policy, type_)?["status"].as_str().unwrap_or_default())
}
