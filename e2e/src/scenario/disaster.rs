//! Everything is gone at once, and what the API server holds is not what proxies take.

use std::time::Instant;

use anyhow::ensure;

use super::release::{
    CHANGE, LIMIT, NAMESPACE, RELEASE, SHOP, all_answer, all_answer_for, change_goes_live, condition, fleet, holds,
    in_sync, ingress_of,
};
use crate::{Arguments, cluster::Cluster, poll::eventually};

/// Where the plugin answers.
const STOPPED: &str = "/?stop";
/// Host of what comes while the plugin is refused.
const LATER: &str = "later.example";

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    cluster.apply(&plugin(418))?;
    all_answer(cluster, STOPPED, 418)?;
    let outcome = while_refused(cluster);
    cluster.kubectl(&["delete", "kongclusterplugin", "stop"])?;
    cluster.kubectl(&["delete", "ingress", "-n", SHOP, "later", "--ignore-not-found"])?;
    outcome?;
    in_sync(cluster, 2)?;
    all_answer(cluster, STOPPED, 200)?;
    change_goes_live(cluster)
}

fn while_refused(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.apply(&plugin(99))?;
    cluster.apply(&ingress_of("later", LATER, "/", "web"))?;
    all_answer_for(cluster, LATER, "/", 200)?;
    refused(cluster)?;
    all_answer(cluster, STOPPED, 418)?;
    eventually("it is known whether it will survive", CHANGE, || {
        let fleet = fleet(cluster)?;
        let stored = condition(&fleet, "LastGoodStored")?;
        ensure!(stored["status"] == "True", "{stored}");
        println!("   LastGoodStored: {}", stored["message"]);
        Ok(())
    })?;

    let before = all_pods(cluster)?;
    let selected = format!("app.kubernetes.io/instance={RELEASE}");
    let began = Instant::now();
    cluster.kubectl(&["delete", "pods", "-n", NAMESPACE, "-l", &selected, "--wait=false"])?;
    eventually("none of them is left", LIMIT, || {
        let now = all_pods(cluster)?;
        let left = now.iter().filter(|pod| before.contains(pod)).count();
        ensure!(left == 0, "{left} of {} are", before.len());
        Ok(())
    })?;
    in_sync(cluster, 2)?;
    println!(
        "   {} pods were deleted at once; all proxies serve again after {:.1} s",
        before.len(),
        began.elapsed().as_secs_f64()
    );
    // The plugin as it was accepted last, and all else as it is now.
    all_answer(cluster, "/", 200)?;
    all_answer(cluster, STOPPED, 418)?;
    all_answer_for(cluster, LATER, "/", 200)?;
    refused(cluster)
}

/// A plugin for all requests, which answers where the query says so. Without one of its kind everything would be open, so that
/// it is never left out. Its label keeps the webhook from asking the proxies about it.
fn plugin(status: u16) -> String {
    format!(
        "apiVersion: configuration.konghq.com/v1\nkind: KongClusterPlugin\nmetadata:\n  name: stop\n  \
         labels: {{global: \"true\", owner: helm}}\n  annotations: {{kubernetes.io/ingress.class: kong}}\n\
         plugin: request-termination\nconfig: {{status_code: {status}, trigger: stop}}\n"
    )
}

/// Waits until the plugin and each row say that proxies refuse it.
fn refused(cluster: &Cluster) -> anyhow::Result<()> {
    let message = eventually("the plugin says that proxies refuse it", LIMIT, || {
        let plugin = cluster.get(&["kongclusterplugin", "stop"])?;
        let programmed = condition(&plugin, "Programmed")?;
        let message = programmed["message"].as_str().unwrap_or_default();
        ensure!(
            programmed["status"] == "False" && message.contains("between 100 and 599"),
            "it says {programmed}"
        );
        for row in cluster.list(&["proxyinstances", "-n", NAMESPACE])? {
            ensure!(!holds(&row, "Complete"), "a row says that it has all of it");
        }
        Ok(message.to_owned())
    })?;
    println!("   {message}");
    Ok(())
}

/// UIDs of the pods of controllers and proxies.
fn all_pods(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let selected = format!("app.kubernetes.io/instance={RELEASE}");
    let pods = cluster.list(&["pods", "-n", NAMESPACE, "-l", &selected])?;
    Ok(pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect())
}
