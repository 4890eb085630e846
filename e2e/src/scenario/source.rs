//! What the controller reads is taken from it, and given back.

use anyhow::{Context, ensure};

use super::release::{
    CHANGE, HOST, LIMIT, NAMESPACE, RELEASE, SHOP, all_answer, all_answer_for, change_goes_live, front, in_sync,
    ingress_of,
};
use crate::{Arguments, cluster::Cluster, load::Load, poll::eventually};

pub(super) fn admin_service(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let name = format!("{RELEASE}-kong-gateway-admin");
    let service = cluster.kubectl(&["get", "service", "-n", NAMESPACE, &name, "-o", "yaml"])?;
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    cluster.kubectl(&["delete", "service", "-n", NAMESPACE, &name])?;
    eventually("the rows go", LIMIT, || {
        let rows = cluster.list(&["proxyinstances", "-n", NAMESPACE])?;
        ensure!(rows.is_empty(), "{} are left", rows.len());
        Ok(())
    })?;
    let lasting = service.lines().filter(|line| {
        !["resourceVersion:", "uid:", "creationTimestamp:"]
            .iter()
            .any(|field| line.trim_start().starts_with(field))
    });
    cluster.apply(&lasting.collect::<Vec<_>>().join("\n"))?;
    in_sync(cluster, 2)?;
    change_goes_live(cluster)?;
    load.finish()
}

pub(super) fn forbidden(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let role = format!("{NAMESPACE}-{RELEASE}-kong-controller");
    let rules = cluster.get(&["clusterrole", &role])?["rules"].clone();
    let fewer: Vec<_> = rules
        .as_array()
        .context("the role has no rules")?
        .iter()
        .filter(|rule| rule["resources"][0] != "ingresses")
        .cloned()
        .collect();
    let patch = |rules: &serde_json::Value| {
        let patch = serde_json::json!([{"op": "replace", "path": "/rules", "value": rules}]).to_string();
        cluster.kubectl(&["patch", "clusterrole", &role, "--type=json", "-p", &patch])
    };
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    patch(&fewer.into())?;
    // A watch that is open is not cut by the API server: restarting the controllers is what shows the loss at once.
    cluster.kubectl(&[
        "rollout",
        "restart",
        "-n",
        NAMESPACE,
        "deployment/silverback-kong-controller",
    ])?;
    let outcome = while_forbidden(cluster);
    patch(&rules)?;
    outcome?;
    cluster.kubectl(&[
        "rollout",
        "status",
        "-n",
        NAMESPACE,
        "deployment/silverback-kong-controller",
        "--timeout=90s",
    ])?;
    in_sync(cluster, 2)?;
    change_goes_live(cluster)?;
    load.finish()
}

fn while_forbidden(cluster: &Cluster) -> anyhow::Result<()> {
    eventually(
        "a controller says what is forbidden, and which verbs to grant",
        CHANGE,
        || {
            let logs = cluster.kubectl(&[
                "logs",
                "-n",
                NAMESPACE,
                "-l",
                "app.kubernetes.io/component=controller",
                "--tail=200",
            ])?;
            ensure!(
                logs.contains("ingresses") && logs.contains("list") && logs.contains("watch"),
                "the logs do not"
            );
            Ok(())
        },
    )?;
    // Nothing is emptied by it: the routes are where they were, and a change waits.
    cluster.apply(&ingress_of("waits", "waits.example", "/", "web"))?;
    all_answer(cluster, "/", 200)?;
    all_answer_for(cluster, "waits.example", "/", 404)?;
    cluster.kubectl(&["delete", "ingress", "-n", SHOP, "waits"]).map(drop)
}
