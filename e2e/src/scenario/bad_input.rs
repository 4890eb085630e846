//! Users' mistakes, on the cluster.

use std::fmt::Write;

use anyhow::ensure;

use super::release::{CHANGE, SHOP, all_answer, all_answer_for, change_goes_live, ingress, ingress_of};
use crate::{Arguments, cluster::Cluster, poll::eventually};

/// Host of the 500.
const MANY: &str = "many.example";

pub(super) fn mistakes(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let port = ingress("bad", "/bad", "web").replace("number: 80", "number: 81");
    let secret = ingress("bad", "/bad", "web").replace(
        "  rules:",
        "  tls: [{hosts: [bad.example], secretName: nosuch}]\n  rules:",
    );
    let conflict = ingress("bad", "/", "web");
    let broken = format!(
        "{}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: bad, namespace: {SHOP}}}\ntype: kubernetes.io/tls\n\
         stringData: {{tls.crt: nonsense, tls.key: nonsense}}\n",
        secret.replace("nosuch", "bad")
    );
    let deserted = format!(
        "{}---\napiVersion: v1\nkind: Service\nmetadata: {{name: bad, namespace: {SHOP}}}\n\
         spec: {{selector: {{app: nobody}}, ports: [{{port: 80}}]}}\n",
        ingress("bad", "/bad", "bad")
    );
    let path = "spec.rules[0].http.paths[0]";
    for (what, manifest, kind, reason, field, words) in [
        (
            "an Ingress to a missing Service",
            ingress("bad", "/bad", "nosuch"),
            "Ingress",
            "ServiceNotFound",
            format!("{path}.backend.service"),
            ["nosuch", "; create the Service"],
        ),
        (
            "an Ingress to a missing port",
            port,
            "Ingress",
            "PortNotFound",
            format!("{path}.backend.service.port"),
            ["81", "; "],
        ),
        (
            "an Ingress with a missing Secret",
            secret,
            "Ingress",
            "SecretNotFound",
            "spec.tls[0].secretName".to_owned(),
            ["nosuch", "; create the Secret"],
        ),
        (
            "an Ingress that claims what another has",
            conflict,
            "Ingress",
            "Conflict",
            "spec.rules[0]".to_owned(),
            ["shop/web", "; "],
        ),
        (
            "a Secret with a broken key",
            broken,
            "Secret",
            "InvalidCertificate",
            "data".to_owned(),
            ["certificate", "; "],
        ),
        (
            "a Service without endpoints",
            deserted,
            "Service",
            "NoEndpoints",
            String::new(),
            ["endpoint", "; "],
        ),
    ] {
        cluster.kubectl(&["delete", "events", "-n", SHOP, "--all"])?;
        cluster.apply(&manifest)?;
        let event = eventually(&format!("{what}: an event"), CHANGE, || {
            let events = cluster.list(&["events", "-n", SHOP])?;
            let event = events.iter().find(|event| {
                event["reason"] == "KongConfigurationTranslationFailed"
                    && event["involvedObject"]["kind"] == kind
                    && event["involvedObject"]["name"] == "bad"
            });
            let message = event
                .and_then(|event| event["message"].as_str())
                .unwrap_or_default()
                .to_owned();
            ensure!(
                message.starts_with(&format!("{reason}: {field}")) && words.iter().all(|words| message.contains(words)),
                "the events say {message:?}"
            );
            Ok(message)
        })?;
        println!("   {what}: {event}");
        change_goes_live(cluster)?;
        cluster.kubectl(&[
            "delete",
            "ingress,secret,service",
            "-n",
            SHOP,
            "bad",
            "--ignore-not-found",
        ])?;
        all_answer(cluster, "/", 200)?;
    }
    Ok(())
}

pub(super) fn many(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let mut manifests = "apiVersion: v1\nkind: Namespace\nmetadata: {name: many}\n".to_owned();
    for index in 0..500 {
        let one = ingress_of(&format!("web-{index}"), MANY, &format!("/{index}"), "web")
            .replace("namespace: shop", "namespace: many");
        write!(manifests, "---\n{one}")?;
    }
    manifests.push_str("---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: many}\nspec: {type: ExternalName, externalName: web.shop.svc.cluster.local, ports: [{port: 80}]}\n");
    cluster.apply(&manifests)?;
    all_answer_for(cluster, MANY, "/499", 200)?;
    cluster.kubectl(&["delete", "namespace", "many", "--timeout=120s"])?;
    change_goes_live(cluster)?;
    all_answer_for(cluster, MANY, "/499", 404)
}
