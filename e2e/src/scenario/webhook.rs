//! The admission webhook, as somebody meets it who types `kubectl apply`.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::release::{CHANGE, LIMIT, NAMESPACE, RELEASE, SHOP, all_answer, change_goes_live, in_sync, ingress};
use crate::{Arguments, cluster::Cluster, http, poll::eventually};

const CONTROLLER: &str = "deployment/silverback-kong-controller";
const CONTROLLERS: &str = "app.kubernetes.io/component=controller";
/// How long `kubectl apply` of one object may take because of the webhook, on the average.
const LATENCY: Duration = Duration::from_millis(100);

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    bundle_is_set(cluster)?;
    bad_objects_are_denied(cluster)?;
    good_objects_pass(cluster)?;
    only_marked_secrets_are_asked_about(cluster)?;
    bundle_is_set_again(cluster)?;
    without_a_controller_objects_are_admitted(cluster)?;
    change_goes_live(cluster)
}

fn configuration() -> String {
    format!("{RELEASE}-kong-{NAMESPACE}-validations")
}

fn bundles(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let configuration = cluster.get(&["validatingwebhookconfiguration", &configuration()])?;
    let webhooks = configuration["webhooks"].as_array().context("no webhooks")?.clone();
    let bundle = |webhook: &Value| {
        webhook["clientConfig"]["caBundle"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    Ok(webhooks.iter().map(bundle).collect())
}

/// Waits until the API server trusts the webhook.
fn bundle_is_set(cluster: &Cluster) -> anyhow::Result<()> {
    eventually("the caBundle is set", CHANGE, || {
        let bundles = bundles(cluster)?;
        ensure!(bundles.iter().all(|bundle| bundle.len() > 100), "{bundles:?}");
        Ok(())
    })
}

fn secret(name: &str, labels: &str, data: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {SHOP}, labels: {{{labels}}}}}\nstringData: {{{data}}}\n"
    )
}

fn bad_objects() -> [(&'static str, String, &'static str); 6] {
    let regex = ingress("bad", "'/~/bad/(['", "web").replace("pathType: Prefix", "pathType: ImplementationSpecific");
    let protocols = ingress("bad", "/bad", "web").replace(
        "namespace: shop",
        "namespace: shop, annotations: {konghq.com/protocols: \"http,ftp\"}",
    );
    let vault = "apiVersion: configuration.konghq.com/v1alpha1\nkind: KongVault\n\
                 metadata: {name: bad, annotations: {kubernetes.io/ingress.class: kong}}\n\
                 spec: {backend: nosuch, prefix: bad}\n";
    [
        (
            "a regular expression that does not compile",
            regex,
            "Ingress failed schema validation: spec.rules[0].http.paths[0].path",
        ),
        (
            "a protocol that there is not",
            protocols,
            "Ingress has invalid Kong annotations: invalid konghq.com/protocols value: ftp",
        ),
        (
            "a credential of an unknown type",
            secret("bad", "konghq.com/credential: nosuch", "key: k"),
            "invalid credential type nosuch",
        ),
        (
            "a credential without its fields",
            secret("bad", "konghq.com/credential: basic-auth", "username: u"),
            "missing required field(s): password",
        ),
        (
            "a consumer whose credentials do not exist",
            format!(
                "apiVersion: configuration.konghq.com/v1\nkind: KongConsumer\nmetadata: {{name: bad, namespace: {SHOP}, \
                 annotations: {{kubernetes.io/ingress.class: kong}}}}\nusername: bad\ncredentials: [nosuch]\n"
            ),
            "consumer referenced non-existent credentials secret",
        ),
        (
            "a vault that the proxies do not have",
            vault.to_owned(),
            "vault 'nosuch' is not installed",
        ),
    ]
}

fn bad_objects_are_denied(cluster: &Cluster) -> anyhow::Result<()> {
    for (what, manifest, words) in bad_objects() {
        // On a busy machine a review may take longer than it has; then the object is admitted, and goes again.
        let message = eventually(&format!("{what} is denied"), CHANGE, || {
            match cluster.apply(&manifest) {
                Ok(()) => {
                    cluster.delete(&manifest)?;
                    bail!("it was admitted")
                }
                Err(error) => Ok(format!("{error:#}")),
            }
        })?;
        ensure!(
            message.contains("denied the request") && message.contains(words),
            "{what}: {message}"
        );
        println!("   {what}: {}", message.lines().last().unwrap_or_default());
    }
    Ok(())
}

fn good_objects_pass(cluster: &Cluster) -> anyhow::Result<()> {
    let manifests = [
        ingress("good", "/good", "web"),
        secret("good", "konghq.com/credential: key-auth", "key: k"),
        format!(
            "apiVersion: configuration.konghq.com/v1\nkind: KongConsumer\nmetadata: {{name: good, namespace: {SHOP}, \
             annotations: {{kubernetes.io/ingress.class: kong}}}}\nusername: good\ncredentials: [good]\n"
        ),
    ];
    let began = Instant::now();
    for manifest in &manifests {
        let said = cluster.apply_and_hear(manifest)?;
        ensure!(!said.contains("Warning"), "a good object is warned of: {said}");
    }
    println!("   {} good objects applied in {:?}", manifests.len(), began.elapsed());
    all_answer(cluster, "/good", 200)?;
    for manifest in &manifests {
        cluster.delete(manifest)?;
    }
    let missing = ingress("warned", "/warned", "nosuch");
    let said = cluster.apply_and_hear(&missing)?;
    ensure!(
        said.contains("Warning") && said.contains("there is no Service nosuch"),
        "nobody is told that the Service is missing: {said:?}"
    );
    println!("   {}", said.trim());
    cluster.delete(&missing)
}

/// Reviews and the time they took, over all controllers.
fn reviews(cluster: &Cluster, kind: &str) -> anyhow::Result<(f64, f64, f64)> {
    let (mut of_kind, mut count, mut seconds) = (0.0, 0.0, 0.0);
    for pod in cluster.list(&["pods", "-n", NAMESPACE, "-l", CONTROLLERS])? {
        let address = pod["status"]["podIP"].as_str().context("a pod without an address")?;
        let way = cluster.forward(&format!("{address}:10255"))?;
        let answer = http::get(way.address, "controller", "/metrics")?;
        for line in answer.body.lines() {
            let value = || line.rsplit(' ').next().unwrap_or("0").parse::<f64>();
            if line.starts_with("silverback_admission_reviews_total{") && line.contains(&format!("kind=\"{kind}\"")) {
                of_kind += value()?;
            } else if line.starts_with("silverback_admission_review_duration_seconds_count") {
                count += value()?;
            } else if line.starts_with("silverback_admission_review_duration_seconds_sum") {
                seconds += value()?;
            }
        }
    }
    Ok((of_kind, count, seconds))
}

fn only_marked_secrets_are_asked_about(cluster: &Cluster) -> anyhow::Result<()> {
    let (before, ..) = reviews(cluster, "Secret")?;
    ensure!(before > 0.0, "marked Secrets were reviewed, and no metric says so");
    let unrelated = secret("unrelated", "team: a", "key: k");
    cluster.apply(&unrelated)?;
    cluster.delete(&unrelated)?;
    let (after, count, seconds) = reviews(cluster, "Secret")?;
    ensure!(after == before, "an unrelated Secret was reviewed");
    let mean = Duration::from_secs_f64(seconds / count);
    println!("   {count} reviews took {mean:.1?} on the average; limit {LATENCY:?}");
    ensure!(mean < LATENCY, "reviews take {mean:?}");
    Ok(())
}

fn bundle_is_set_again(cluster: &Cluster) -> anyhow::Result<()> {
    let before = bundles(cluster)?;
    let patch = r#"[{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}]"#;
    cluster.kubectl(&[
        "patch",
        "validatingwebhookconfiguration",
        &configuration(),
        "--type=json",
        "-p",
        patch,
    ])?;
    eventually("a cleared caBundle is set again", CHANGE, || {
        ensure!(bundles(cluster)? == before, "it is not");
        Ok(())
    })
}

fn without_a_controller_objects_are_admitted(cluster: &Cluster) -> anyhow::Result<()> {
    let scale = |count: &str| cluster.kubectl(&["scale", "-n", NAMESPACE, CONTROLLER, &format!("--replicas={count}")]);
    let (_, manifest, _) = bad_objects()[0].clone();
    cluster.kubectl(&["delete", "events", "-n", SHOP, "--all"])?;
    scale("0")?;
    let outcome = eventually("the controllers are gone", LIMIT, || {
        let pods = cluster.list(&["pods", "-n", NAMESPACE, "-l", CONTROLLERS])?;
        ensure!(pods.is_empty(), "{} are left", pods.len());
        Ok(())
    })
    .and_then(|()| cluster.apply(&manifest));
    scale("2")?;
    outcome.context("with no controller the object should have been admitted (failurePolicy Ignore)")?;
    in_sync(cluster, 2)?;
    cluster.kubectl(&["rollout", "status", "-n", NAMESPACE, CONTROLLER, "--timeout=90s"])?;
    let event = eventually("what was admitted meanwhile becomes an event", LIMIT, || {
        let events = cluster.list(&["events", "-n", SHOP])?;
        let event = events.iter().find(|event| event["involvedObject"]["name"] == "bad");
        let message = event.and_then(|event| event["message"].as_str()).unwrap_or_default();
        ensure!(message.contains("regular expression"), "the events say {message:?}");
        Ok(message.to_owned())
    })?;
    println!("   admitted while no controller was there: {event}");
    cluster.delete(&manifest)
}
