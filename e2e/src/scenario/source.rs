//! What the controller reads is taken from it, and given back.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    release::{
        HOST, LIMIT, NAMESPACE, RELEASE, SHOP, all_answer, all_answer_for, change_goes_live, condition, fleet, front,
        in_sync, ingress_of, leader, pods, ready,
    },
    told::{Leader, Mistake},
};
use crate::{Arguments, cluster::Cluster, load::Load, poll::eventually};

/// Host of a change that is made while nothing can be sent.
const WAITS: &str = "waits.example";
const PROXIES: &str = "deployment/silverback-kong";
const CONTROLLERS: &str = "app.kubernetes.io/component=controller";

pub(super) fn admin_service(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let name = format!("{RELEASE}-kong-gateway-admin");
    let service = cluster.kubectl(&["get", "service", "-n", NAMESPACE, &name, "-o", "yaml"])?;
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    let leader = Leader::follow(cluster)?;
    // Somebody changes its selector: no endpoints, no proxies to configure, and traffic goes on.
    select(cluster, &name, "nobody")?;
    rows_go(cluster)?;
    no_proxies(cluster, &name, &leader)?;
    select(cluster, &name, "true")?;
    in_sync(cluster, 2)?;
    let object = format!("object=Service {NAMESPACE}/{name} ");
    leader.logs("there are some again", &["INFO", "solved", &object, "NoProxies"])?;

    cluster.kubectl(&["delete", "service", "-n", NAMESPACE, &name])?;
    rows_go(cluster)?;
    let lasting = service.lines().filter(|line| {
        !["resourceVersion:", "uid:", "creationTimestamp:"]
            .iter()
            .any(|field| line.trim_start().starts_with(field))
    });
    cluster.apply(&lasting.collect::<Vec<_>>().join("\n"))?;
    in_sync(cluster, 2)?;
    change_goes_live(cluster)?;
    load.finish()?;

    publish_unready(cluster, &name, false)?;
    let outcome = all_begin_anew(cluster);
    publish_unready(cluster, &name, true)?;
    outcome
}

/// Whether the Service's name leads to pods that are not ready.
fn publish_unready(cluster: &Cluster, service: &str, publish: bool) -> anyhow::Result<()> {
    let patch = serde_json::json!({"spec": {"publishNotReadyAddresses": publish}}).to_string();
    cluster.kubectl(&["patch", "service", "-n", NAMESPACE, service, "-p", &patch])?;
    Ok(())
}

/// Replaces all proxies at once. Without a configuration none is ready, and as long as none is ready, a Service that leaves
/// these out has no address: they are found all the same.
fn all_begin_anew(cluster: &Cluster) -> anyhow::Result<()> {
    let before: Vec<String> = pods(cluster)?.into_iter().map(|pod| pod.name).collect();
    let mut words = vec!["delete", "pods", "-n", NAMESPACE];
    words.extend(before.iter().map(String::as_str));
    cluster.kubectl(&words)?;
    let began = Instant::now();
    in_sync(cluster, 2)?;
    let after = pods(cluster)?;
    ensure!(
        after.iter().all(|pod| !before.contains(&pod.name)),
        "some of the pods were there before"
    );
    println!(
        "   {} new pods, none of them ready, got their configuration: {:.1} s after the old ones were gone",
        after.len(),
        began.elapsed().as_secs_f64()
    );
    all_answer(cluster, "/", 200)
}

/// Waits until it is told everywhere that the Admin Service has no proxies.
fn no_proxies(cluster: &Cluster, name: &str, leader: &Leader) -> anyhow::Result<()> {
    const WRONG: &str = "has no endpoints with an Admin API port";
    const REMEDY: &str = "its selector, its port names (--kong-admin-svc-port-names) and its Pods";
    let says = |value: &Value, words: &str| value.as_str().is_some_and(|text| text.contains(words));
    eventually("an event says that there is no proxy", LIMIT, || {
        let events = cluster.list(&["events", "-n", NAMESPACE])?;
        let is_it = |event: &&Value| {
            event["reason"] == "NoProxies"
                && event["involvedObject"]["kind"] == "Service"
                && event["involvedObject"]["name"] == name
        };
        let event = events.iter().find(is_it).context("there is none")?;
        let message = &event["message"];
        ensure!(says(message, WRONG) && says(message, REMEDY), "it says {message}");
        println!("   event on Service {name}: {message}");
        Ok(())
    })?;
    eventually("the fleet says so", LIMIT, || {
        let fleet = fleet(cluster)?;
        let synced = condition(&fleet, "Synced")?;
        ensure!(
            synced["status"] == "False"
                && synced["reason"] == "NoProxies"
                && says(&synced["message"], &format!("Service {NAMESPACE}/{name} {WRONG}"))
                && fleet["status"]["proxies"]["discovered"] == 0,
            "it says {}",
            fleet["status"]
        );
        Ok(())
    })?;
    let object = format!("object=Service {NAMESPACE}/{name} ");
    leader.logs("no proxies", &["WARN", WRONG, REMEDY, &object, "NoProxies"])?;
    let shown = leader.api("proxies")?;
    ensure!(shown.is_empty(), "the dashboard shows {shown:?}");
    let problems = leader.api("problems")?;
    let is_it = |problem: &Value| {
        problem["object"] == format!("Service {NAMESPACE}/{name}")
            && problem["reason"] == "NoProxies"
            && says(&problem["message"], WRONG)
            && says(&problem["remedy"], REMEDY)
    };
    ensure!(problems.iter().any(is_it), "the dashboard says {problems:?}");
    Ok(())
}

/// Has the Admin Service select the pods whose label that makes them proxies has this value.
fn select(cluster: &Cluster, service: &str, value: &str) -> anyhow::Result<()> {
    let patch = serde_json::json!({"spec": {"selector": {"gateway.silverback.dev/admin": value}}}).to_string();
    cluster.kubectl(&["patch", "service", "-n", NAMESPACE, service, "-p", &patch])?;
    Ok(())
}

fn rows_go(cluster: &Cluster) -> anyhow::Result<()> {
    eventually("the rows go", LIMIT, || {
        let rows = cluster.list(&["proxyinstances", "-n", NAMESPACE])?;
        ensure!(rows.is_empty(), "{} are left", rows.len());
        Ok(())
    })
}

/// Waits until it is told everywhere that a kind can't be read, then asks for another proxy: it gets what the others have.
fn held(
    cluster: &Cluster,
    (resource, remedy): (&str, &str),
    meanwhile: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let message = eventually("the fleet says what can't be read", LIMIT, || {
        let fleet = fleet(cluster)?;
        let unavailable = condition(&fleet, "SourceUnavailable")?;
        let message = unavailable["message"].as_str().unwrap_or_default();
        ensure!(
            unavailable["status"] == "True" && message.contains(resource) && message.contains(remedy),
            "it says {unavailable}"
        );
        Ok(message.to_owned())
    })?;
    println!("   SourceUnavailable: {message}");
    eventually("an event says so too", LIMIT, || {
        let events = cluster.list(&["events", "-n", NAMESPACE])?;
        let told = events.iter().any(|event| {
            event["reason"] == "SourceUnavailable"
                && event["involvedObject"]["kind"] == "Pod"
                && event["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(resource) && message.contains(remedy))
        });
        ensure!(told, "there is none among {}", events.len());
        Ok(())
    })?;
    let leader = eventually("a controller that leads", LIMIT, || Leader::follow(cluster))?;
    leader.logs(
        "a kind that can't be read",
        &["WARN", "can't be read", resource, remedy],
    )?;
    let object = format!("APIResource {resource}");
    eventually("the dashboard says so too", LIMIT, || {
        let problems = leader.api("problems")?;
        let is_it = |problem: &&Value| {
            problem["object"] == object.as_str()
                && problem["reason"] == "SourceUnavailable"
                && problem["remedy"].as_str().is_some_and(|text| text.contains(remedy))
        };
        ensure!(problems.iter().any(|problem| is_it(&problem)), "it says {problems:#?}");
        Ok(())
    })?;
    meanwhile()?;
    cluster.kubectl(&["scale", "-n", NAMESPACE, PROXIES, "--replicas=3"])?;
    ready(cluster, 3)?;
    all_answer(cluster, "/", 200)
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
    // A watch that is open is not cut by a change of rights, but it ends with the API server.
    cluster.restart_api_server()?;
    let outcome = while_forbidden(cluster);
    patch(&rules)?;
    outcome?;
    // Given back, it goes on by itself.
    // What was forbidden for long is asked for again within half a minute.
    eventually("the change that waited goes live", LIMIT, || {
        all_answer_for(cluster, WAITS, "/", 200)
    })?;
    cluster.kubectl(&["delete", "ingress", "-n", SHOP, "waits"])?;
    all_answer_for(cluster, WAITS, "/", 404)?;
    cluster.kubectl(&["scale", "-n", NAMESPACE, PROXIES, "--replicas=2"])?;
    in_sync(cluster, 2)?;
    change_goes_live(cluster)?;
    load.finish()
}

fn while_forbidden(cluster: &Cluster) -> anyhow::Result<()> {
    // Nothing is emptied by it: a change waits.
    let resource = "ingresses.networking.k8s.io";
    let remedy =
        "grant get, list and watch on ingresses.networking.k8s.io to the controller's ServiceAccount by a ClusterRole";
    held(cluster, (resource, remedy), || {
        cluster.apply(&ingress_of("waits", WAITS, "/", "web"))
    })?;
    all_answer_for(cluster, WAITS, "/", 404)
}

/// Host of a route that a plugin stands in front of.
const GUARDED: &str = "guarded.example";
const PLUGINS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/crds/configuration.konghq.com_kongplugins.yaml"
);

fn guard(config: &str) -> String {
    format!(
        "apiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nmetadata: {{name: guard, namespace: {SHOP}}}\n\
         plugin: request-termination\nconfig: {config}\n"
    )
}

pub(super) fn fail_closed(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    let route = ingress_of("guarded", GUARDED, "/", "web").replace(
        "metadata: {name: guarded,",
        "metadata: {annotations: {konghq.com/plugins: guard}, name: guarded,",
    );
    cluster.apply(&route)?;
    all_answer_for(cluster, GUARDED, "/", 503)?;
    println!("   a route whose plugin is missing answers 503");
    cluster.apply(&guard("{status_code: 418}"))?;
    all_answer_for(cluster, GUARDED, "/", 418)?;
    with_spoilt_settings(cluster)?;

    let definition = "kongplugins.configuration.konghq.com";
    cluster.kubectl(&["delete", "crd", definition, "--timeout=60s"])?;
    let outcome = without_definition(cluster);
    cluster.kubectl(&["apply", "--server-side", "-f", PLUGINS])?;
    outcome?;
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd",
        definition,
        "--timeout=60s",
    ])?;
    // It is back, and there is no plugin: now that is known.
    eventually("the route is closed again", LIMIT, || {
        all_answer_for(cluster, GUARDED, "/", 503)
    })?;
    cluster.apply(&guard("{status_code: 418}"))?;
    all_answer_for(cluster, GUARDED, "/", 418)?;
    cluster.kubectl(&["delete", "ingress/guarded", "kongplugin/guard", "-n", SHOP])?;
    cluster.kubectl(&["scale", "-n", NAMESPACE, PROXIES, "--replicas=2"])?;
    in_sync(cluster, 2)?;
    change_goes_live(cluster)?;
    load.finish()
}

/// The plugin takes its settings from a Secret, in which somebody writes something else. The webhook is not asked about that: the
/// Secret has no label. The plugin can't work, and what it stands in front of is closed until it can.
fn with_spoilt_settings(cluster: &Cluster) -> anyhow::Result<()> {
    let from_secret = guard("").replace("config: ", "configFrom: {secretKeyRef: {name: guard, key: settings}}");
    cluster.apply(&guard_settings("{status_code: 451}"))?;
    cluster.apply(&from_secret)?;
    all_answer_for(cluster, GUARDED, "/", 451)?;
    let leader = Leader::follow(cluster)?;
    let spoilt = Mistake {
        what: "a plugin whose settings can't be read",
        manifest: guard_settings("nonsense"),
        kind: "KongPlugin",
        name: "guard",
        field: "configFrom.secretKeyRef.key",
        reason: "InvalidPlugin",
        words: "the Secret guard is no object",
        remedy: "write the plugin's settings there as a JSON or YAML object",
        is_left_out: true,
    };
    cluster.apply(&spoilt.manifest)?;
    all_answer_for(cluster, GUARDED, "/", 503)?;
    println!("   a route whose plugin can't work answers 503");
    spoilt.is_told(cluster, SHOP, &leader)?;
    all_answer(cluster, "/", 200)?;
    cluster.apply(&guard_settings("{status_code: 451}"))?;
    all_answer_for(cluster, GUARDED, "/", 451)?;
    spoilt.is_over(SHOP, &leader)?;
    cluster.apply(&guard("{status_code: 418}"))?;
    all_answer_for(cluster, GUARDED, "/", 418)?;
    cluster.kubectl(&["delete", "secret", "guard", "-n", SHOP]).map(drop)
}

fn guard_settings(settings: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: guard, namespace: {SHOP}}}\nstringData: {{settings: \"{settings}\"}}\n"
    )
}

fn without_definition(cluster: &Cluster) -> anyhow::Result<()> {
    held(cluster, ("kongplugins.configuration.konghq.com", "install it"), || {
        Ok(())
    })?;
    all_answer_for(cluster, GUARDED, "/", 418)?;
    // Controllers that begin now have never seen the kind: what proxies accepted last tells that it was in use.
    let before = names(cluster, CONTROLLERS)?;
    cluster.kubectl(&["delete", "pods", "-n", NAMESPACE, "-l", CONTROLLERS])?;
    eventually("a new controller leads, and holds, too", LIMIT, || {
        let leader = leader(cluster)?;
        ensure!(!before.contains(&leader), "{leader} still does");
        let fleet = fleet(cluster)?;
        let unavailable = condition(&fleet, "SourceUnavailable")?;
        let message = unavailable["message"].as_str().unwrap_or_default();
        ensure!(
            unavailable["status"] == "True" && message.contains("what proxies accepted last was made of some"),
            "it says {unavailable}"
        );
        println!("   after a restart: {message}");
        Ok(())
    })?;
    let oldest = pods(cluster)?.into_iter().next().context("there is no proxy")?;
    cluster.kubectl(&["delete", "pod", "-n", NAMESPACE, &oldest.name])?;
    ready(cluster, 3)?;
    all_answer_for(cluster, GUARDED, "/", 418)
}

/// Names of the pods that bear these labels.
fn names(cluster: &Cluster, labels: &str) -> anyhow::Result<Vec<String>> {
    let pods = cluster.list(&["pods", "-n", NAMESPACE, "-l", labels])?;
    let names = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}
