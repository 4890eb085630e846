//! The release that all scenarios share, and what they ask of it.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Forward},
    http,
    load::{Backends, Target, backends},
    poll::eventually,
};

/// Namespace and name of the release, namespace of the application.
pub(crate) const NAMESPACE: &str = "gateway";
pub(crate) const RELEASE: &str = "silverback";
pub(crate) const SHOP: &str = "shop";
pub(crate) const HOST: &str = "shop.example";
/// The release's own proxies, without those that a scenario puts beside them.
const PROXY_LABELS: &str = "app.kubernetes.io/component=app,app.kubernetes.io/instance=silverback,!bad-proxy";

/// Pods are pulled up by a real kubelet on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
/// A change goes through watch, translation and push.
pub(crate) const CHANGE: Duration = Duration::from_secs(20);

/// An Ingress of the shop's own host.
pub(crate) fn ingress(name: &str, path: &str, service: &str) -> String {
    ingress_of(name, HOST, path, service)
}

/// An Ingress of another host, where nothing else answers.
pub(crate) fn ingress_of(name: &str, host: &str, path: &str, service: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: {SHOP}}}\nspec:\n  \
         ingressClassName: kong\n  rules:\n    - host: {host}\n      http:\n        paths:\n          - path: {path}\n            \
         pathType: Prefix\n            backend: {{service: {{name: {service}, port: {{number: 80}}}}}}\n"
    )
}

/// The application: two pods behind the Service `web`.
pub(crate) fn application(image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {SHOP}}}\n---\napiVersion: apps/v1\nkind: Deployment\n\
         metadata: {{name: web, namespace: {SHOP}}}\nspec:\n  replicas: 2\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      containers:\n        - name: web\n          \
         image: {image}\n          imagePullPolicy: Never\n          ports: [{{name: http, containerPort: 8080}}]\n          \
         readinessProbe: {{httpGet: {{path: /readyz, port: http}}, periodSeconds: 1}}\n---\napiVersion: v1\nkind: Service\n\
         metadata: {{name: web, namespace: {SHOP}}}\nspec:\n  selector: {{app: web}}\n  \
         ports: [{{name: http, port: 80, targetPort: http}}]\n"
    )
}

/// A proxy pod.
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) ready: bool,
    pub(crate) terminating: bool,
}

/// The condition of that type in an object's status.
pub(crate) fn condition<'a>(object: &'a Value, name: &str) -> anyhow::Result<&'a Value> {
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == name);
    found.with_context(|| format!("no condition {name}"))
}

/// Whether a condition is True.
pub(crate) fn holds(object: &Value, name: &str) -> bool {
    condition(object, name).is_ok_and(|found| found["status"] == "True")
}

/// The fleet's own object.
pub(crate) fn fleet(cluster: &Cluster) -> anyhow::Result<Value> {
    cluster.get(&["proxyfleet", "-n", NAMESPACE, &format!("{RELEASE}-kong-gateway-admin")])
}

/// Waits until that many proxy pods are Ready, in sync or not.
pub(crate) fn ready(cluster: &Cluster, count: usize) -> anyhow::Result<()> {
    eventually(&format!("{count} proxies are Ready"), LIMIT, || {
        let ready = pods(cluster)?.iter().filter(|pod| pod.ready).count();
        ensure!(ready == count, "{ready} are");
        Ok(())
    })
}

/// Waits until a Deployment of the release is as it shall be.
pub(crate) fn rolled_out(cluster: &Cluster, deployment: &str) -> anyhow::Result<()> {
    let deployment = format!("deployment/{deployment}");
    cluster
        .kubectl(&["rollout", "status", "-n", NAMESPACE, &deployment, "--timeout=60s"])
        .map(drop)
}

/// Adds what another controller says to one of the lists in a status, and gives it back.
pub(crate) fn foreign_entry(cluster: &Cluster, object: &str, list: &str, refers_to: Value) -> anyhow::Result<Value> {
    let mut entry = json!({
        "controllerName": "example.com/other",
        "conditions": [{
            "type": "Accepted", "status": "False", "reason": "Pending", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
        }],
    });
    let entry_fields = entry.as_object_mut().context("it is a map")?;
    entry_fields.extend(refers_to.as_object().cloned().unwrap_or_default());
    let patch = json!([{ "op": "add", "path": format!("/status/{list}/-"), "value": entry }]).to_string();
    cluster.kubectl(&[
        "patch",
        object,
        "-n",
        SHOP,
        "--subresource=status",
        "--type=json",
        "-p",
        &patch,
    ])?;
    Ok(entry)
}

/// All proxy pods that have an address.
pub(crate) fn pods(cluster: &Cluster) -> anyhow::Result<Vec<Pod>> {
    let pods = cluster.list(&["pods", "-n", NAMESPACE, "-l", PROXY_LABELS])?;
    let pods = pods
        .iter()
        .filter(|pod| pod["status"]["podIP"].is_string())
        .map(|pod| Pod {
            name: pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            address: pod["status"]["podIP"].as_str().unwrap_or_default().to_owned(),
            ready: holds(pod, "Ready"),
            terminating: pod["metadata"]["deletionTimestamp"].is_string(),
        });
    Ok(pods.collect())
}

/// Waits until there are just so many proxies, each Ready and in sync by its `ProxyInstance`.
pub(crate) fn in_sync(cluster: &Cluster, count: usize) -> anyhow::Result<()> {
    eventually(&format!("{count} proxies in sync"), LIMIT, || {
        let instances = cluster.list(&["proxyinstances", "-n", NAMESPACE])?;
        let good = instances
            .iter()
            .filter(|instance| holds(instance, "Ready") && holds(instance, "Synced"))
            .count();
        let told = || {
            let rows = instances.iter();
            let told: Vec<_> = rows
                .map(|row| {
                    let synced = condition(row, "Synced").unwrap_or_default();
                    format!(
                        "{}: {} {}",
                        row["metadata"]["name"], synced["reason"], synced["message"]
                    )
                })
                .collect();
            told.join("; ")
        };
        ensure!(
            instances.len() == count && good == count,
            "{good} of {} are ({})",
            instances.len(),
            told()
        );
        let pods = pods(cluster)?;
        let ready = pods.iter().filter(|pod| pod.ready && !pod.terminating).count();
        ensure!(
            pods.len() == count && ready == count,
            "{ready} of {} pods are Ready",
            pods.len()
        );
        Ok(())
    })
}

/// A way to the HTTP port of every proxy pod.
pub(crate) fn ways(cluster: &Cluster) -> anyhow::Result<Vec<(String, Forward)>> {
    let pods = pods(cluster)?.into_iter().filter(|pod| !pod.terminating);
    pods.map(|pod| Ok((pod.name, cluster.forward(&format!("{}:8000", pod.address))?)))
        .collect()
}

/// The address of a Service.
fn address_of(cluster: &Cluster, namespace: &str, service: &str) -> anyhow::Result<String> {
    let service = cluster.get(&["service", "-n", namespace, service])?;
    let address = service["spec"]["clusterIP"].as_str();
    Ok(address.context("the Service has no address")?.to_owned())
}

/// The Service of the shared release's proxies.
pub(crate) fn proxy_service() -> String {
    format!("{RELEASE}-kong-proxy")
}

/// A way to the proxies' Service.
pub(crate) fn front(cluster: &Cluster) -> anyhow::Result<Forward> {
    cluster.forward(&format!("{}:80", address_of(cluster, NAMESPACE, &proxy_service())?))
}

/// Ways to both ports of a Service of proxies, as soon as the host answers there. They lead there as long as they are kept.
pub(crate) fn ways_to(
    cluster: &Cluster,
    (namespace, service): (&str, &str),
    host: &str,
    certificate: String,
    limit: Duration,
) -> anyhow::Result<(Target, [Forward; 2])> {
    let address = address_of(cluster, namespace, service)?;
    let ways = [
        cluster.forward(&format!("{address}:80"))?,
        cluster.forward(&format!("{address}:443"))?,
    ];
    let target = Target {
        plain: ways[0].address,
        tls: ways[1].address,
        host: host.to_owned(),
        certificate,
    };
    eventually("the application answers", limit, || {
        let answer = http::get(target.plain, host, "/")?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body.trim());
        Ok(())
    })?;
    Ok((target, ways))
}

/// Where connections to a Service lead that come in as those of [`ways_to`] do.
pub(crate) fn backends_of(
    cluster: &Cluster,
    (namespace, service): (&str, &str),
) -> anyhow::Result<impl Fn() -> anyhow::Result<Backends> + Send + 'static> {
    let (cluster, address) = (cluster.clone(), address_of(cluster, namespace, service)?);
    Ok(move || Ok(backends(&cluster.backends("node1")?, &address)))
}

/// Waits until every proxy pod answers with that status for the shop's host.
pub(crate) fn all_answer(cluster: &Cluster, path: &str, status: u16) -> anyhow::Result<()> {
    all_answer_for(cluster, HOST, path, status)
}

/// The same for another host.
pub(crate) fn all_answer_for(cluster: &Cluster, host: &str, path: &str, status: u16) -> anyhow::Result<()> {
    for (name, way) in ways(cluster)? {
        eventually(&format!("{name} answers {status} to {host}{path}"), CHANGE, || {
            let answer = http::get(way.address, host, path)?;
            ensure!(answer.status == status, "{} {}", answer.status, answer.body.trim());
            Ok(())
        })?;
    }
    Ok(())
}

/// Makes a change and waits until it is on every proxy; takes it back.
pub(crate) fn change_goes_live(cluster: &Cluster) -> anyhow::Result<()> {
    const CHANGED: &str = "change.example";
    all_answer_for(cluster, CHANGED, "/", 404)?;
    cluster.apply(&ingress_of("change", CHANGED, "/", "web"))?;
    all_answer_for(cluster, CHANGED, "/", 200)?;
    cluster.kubectl(&["delete", "ingress", "-n", SHOP, "change"])?;
    all_answer_for(cluster, CHANGED, "/", 404)
}

/// The Lease by which the controllers elect who leads.
pub(crate) fn election(cluster: &Cluster) -> anyhow::Result<Value> {
    let leases = cluster.list(&["leases", "-n", NAMESPACE])?;
    let named = |lease: &&Value| {
        let name = lease["metadata"]["name"].as_str();
        name.is_some_and(|name| name.ends_with("silverback.gateway.silverback.dev"))
    };
    leases.iter().find(named).cloned().context("there is no Lease")
}

/// Pods of the controller, and which of them holds the Lease.
pub(crate) fn leader(cluster: &Cluster) -> anyhow::Result<String> {
    let election = election(cluster)?;
    let holder = election["spec"]["holderIdentity"].as_str().unwrap_or_default();
    let pods = cluster.list(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller"])?;
    let names = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str());
    match names
        .filter(|name| !holder.is_empty() && holder.starts_with(*name))
        .collect::<Vec<_>>()[..]
    {
        [leader] => Ok(leader.to_owned()),
        _ => bail!("the Lease's holder is {holder:?}, which is no controller pod"),
    }
}

/// Does this while no controller is there. Then there are two again, whatever came of it.
pub(crate) fn without_controllers<T>(
    cluster: &Cluster,
    meanwhile: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let deployment = format!("deployment/{RELEASE}-kong-controller");
    let scale = |replicas| cluster.kubectl(&["scale", "-n", NAMESPACE, &deployment, replicas]);
    let selected = format!("app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=controller");
    scale("--replicas=0")?;
    let gone = cluster.kubectl(&[
        "wait",
        "--for=delete",
        "pod",
        "-n",
        NAMESPACE,
        "-l",
        &selected,
        "--timeout=60s",
    ]);
    let outcome = gone.and_then(|_| meanwhile());
    scale("--replicas=2")?;
    outcome
}

/// Takes away what the scenarios made, as far as it is there.
pub(crate) fn clean_up(cluster: &Cluster) {
    for outcome in [
        cluster.uninstall(RELEASE, NAMESPACE),
        cluster.kubectl(&[
            "delete",
            "namespace",
            SHOP,
            NAMESPACE,
            "--ignore-not-found",
            "--timeout=60s",
        ]),
    ] {
        if let Err(error) = outcome {
            println!("   {error:#}");
        }
    }
}
