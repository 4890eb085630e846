//! What is left when a release is uninstalled: definitions and users' objects, and nothing of the release.

use std::collections::BTreeSet;

use anyhow::ensure;
use serde_json::Value;

use super::{
    super::release::SHOP,
    RELEASE_LIMIT,
    edge::{NAMESPACE, RELEASE},
};
use crate::{cluster::Cluster, poll::eventually};

/// What the release makes, or has made by its controller, in its namespace. The Lease stays ([docs/operations/README.md]).
const NAMESPACED: &str = "deployments,replicasets,jobs,pods,services,endpointslices,configmaps,secrets,serviceaccounts,roles,\
                          rolebindings,poddisruptionbudgets,networkpolicies,horizontalpodautoscalers,proxyinstances,proxyfleets";
/// What it makes in no namespace.
const CLUSTER_WIDE: &str = "clusterroles,clusterrolebindings,ingressclasses,validatingwebhookconfigurations";
/// What every namespace has.
const OF_ANY_NAMESPACE: [&str; 2] = ["ServiceAccount default", "ConfigMap kube-root-ca.crt"];
/// What the run made as a user does.
const USERS: [&str; 6] = [
    "ingress/edge",
    "ingress/edge-calls",
    "ingress/edge-closed",
    "kongconsumer/edge",
    "kongplugin/edge",
    "secret/edge-tls",
];

/// Uninstalls it.
///
/// # Errors
/// Something of the users' has gone or is another object, or something else is left.
pub(super) fn leaves_what_is_the_users(cluster: &Cluster) -> anyhow::Result<()> {
    let (users, definitions) = (users(cluster)?, definitions(cluster)?);
    cluster.uninstall(RELEASE, NAMESPACE)?;
    eventually("nothing of the release is left", RELEASE_LIMIT, || {
        let left = left(cluster)?;
        ensure!(left.is_empty(), "{}", left.join(", "));
        Ok(())
    })?;
    let now = self::users(cluster)?;
    ensure!(
        now == users,
        "users' objects have changed\nfrom {users:?}\nto   {now:?}"
    );
    let now = self::definitions(cluster)?;
    ensure!(
        now == definitions,
        "definitions have changed\nfrom {definitions:?}\nto   {now:?}"
    );
    println!(
        "   uninstalled: {} definitions and all users' objects stay, nothing of the release is left",
        definitions.len()
    );
    Ok(())
}

/// UIDs of the users' objects: another one of the same name is not what they had.
fn users(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let uid = |object: &str| Ok(cluster.get(&["-n", SHOP, object])?["metadata"]["uid"].to_string());
    USERS.iter().map(|object| uid(object)).collect()
}

fn definitions(cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let definitions = cluster.list(&["customresourcedefinitions"])?;
    let ours = definitions.iter().filter(|one| {
        let group = one["spec"]["group"].as_str().unwrap_or_default();
        group.ends_with("konghq.com") || group.ends_with("silverback.dev")
    });
    Ok(ours
        .map(|one| format!("{} {}", name(one), one["metadata"]["uid"]))
        .collect())
}

fn left(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let here = cluster.list(&[NAMESPACED, "-n", NAMESPACE])?;
    let here = here.iter().map(named);
    let here = here.filter(|found| !OF_ANY_NAMESPACE.contains(&found.as_str()));
    let wide = cluster.list(&[CLUSTER_WIDE])?;
    let wide = wide.iter().filter(|object| {
        let metadata = &object["metadata"];
        metadata["annotations"]["meta.helm.sh/release-name"] == RELEASE
            || metadata["labels"]["app.kubernetes.io/instance"] == RELEASE
    });
    Ok(here.chain(wide.map(named)).collect())
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn named(object: &Value) -> String {
    format!("{} {}", object["kind"].as_str().unwrap_or_default(), name(object))
}
