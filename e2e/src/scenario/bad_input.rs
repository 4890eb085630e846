//! Users' mistakes, on the cluster.

use std::fmt::Write;

use rcgen::{CertificateParams, KeyPair};

use super::{
    release::{SHOP, all_answer, all_answer_for, change_goes_live, ingress, ingress_of},
    told::{Leader, Mistake},
};
use crate::{Arguments, cluster::Cluster};

/// Host of the 500.
const MANY: &str = "many.example";

/// A certificate, and a key that is none.
fn broken_secret() -> anyhow::Result<String> {
    let certificate = CertificateParams::new(vec!["bad.example".to_owned()])?.self_signed(&KeyPair::generate()?)?;
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bad-key", "namespace": SHOP},
        "type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate.pem(), "tls.key": "nonsense"},
    });
    Ok(secret.to_string())
}

fn all() -> anyhow::Result<[Mistake; 7]> {
    let with_secret = |name: &str, secret: &str| {
        let tls = format!("  tls: [{{hosts: [bad.example], secretName: {secret}}}]\n  rules:");
        ingress(name, "/bad", "web").replace("  rules:", &tls)
    };
    // Its label keeps it from the webhook, which would not let it in.
    let regex = ingress("bad-regex", "'/~/bad/(['", "web")
        .replace("pathType: Prefix", "pathType: ImplementationSpecific")
        .replace("namespace: shop", "namespace: shop, labels: {owner: helm}");
    Ok([
        Mistake {
            what: "an Ingress to a missing Service",
            manifest: ingress("bad-service", "/bad", "nosuch"),
            kind: "Ingress",
            name: "bad-service",
            field: "spec.rules[0].http.paths[0].backend.service.name",
            reason: "ServiceNotFound",
            words: "nosuch",
            remedy: "create the Service, or correct the name",
            is_left_out: true,
        },
        Mistake {
            what: "an Ingress to a missing port",
            manifest: ingress("bad-port", "/bad", "web").replace("number: 80", "number: 81"),
            kind: "Ingress",
            name: "bad-port",
            field: "spec.rules[0].http.paths[0].backend.service.port.number",
            reason: "PortNotFound",
            words: "81",
            remedy: "use a port of the Service: 80 (http)",
            is_left_out: true,
        },
        Mistake {
            what: "an Ingress with a missing Secret",
            manifest: with_secret("bad-secret", "nosuch"),
            kind: "Ingress",
            name: "bad-secret",
            field: "spec.tls[0].secretName",
            reason: "SecretNotFound",
            words: "nosuch",
            remedy: "create the Secret, or correct the name",
            is_left_out: true,
        },
        Mistake {
            what: "an Ingress that claims what another has",
            // The first by name, and all the same it does not take it away.
            manifest: ingress("a-conflict", "/", "nosuch"),
            kind: "Ingress",
            name: "a-conflict",
            field: "spec.rules[0].http.paths[0].path",
            reason: "Conflict",
            words: "Ingress shop/web claims it as well for shop.example",
            remedy: "remove the path from one of the two, or give it another host or path",
            is_left_out: true,
        },
        Mistake {
            what: "a Secret with a broken key",
            manifest: format!("{}---\n{}\n", with_secret("bad-key", "bad-key"), broken_secret()?),
            kind: "Secret",
            name: "bad-key",
            field: "data[tls.key]",
            reason: "InvalidCertificate",
            words: "key",
            remedy: "put the certificate's private key there, as unencrypted PEM",
            is_left_out: true,
        },
        Mistake {
            what: "a regular expression that does not compile",
            manifest: regex,
            kind: "Ingress",
            name: "bad-regex",
            field: "spec.rules[0].http.paths[0].path",
            reason: "InvalidRegex",
            words: "regular expression",
            remedy: "correct the expression",
            is_left_out: true,
        },
        Mistake {
            what: "a Service without endpoints",
            manifest: format!(
                "{}---\napiVersion: v1\nkind: Service\nmetadata: {{name: bad-empty, namespace: {SHOP}}}\n\
                 spec: {{selector: {{app: nobody}}, ports: [{{port: 80}}]}}\n",
                ingress("bad-empty", "/bad", "bad-empty")
            ),
            kind: "Service",
            name: "bad-empty",
            field: "spec.ports[0]",
            reason: "NoEndpoints",
            words: "no pod matches its selector",
            remedy: "start pods that its selector matches",
            is_left_out: false,
        },
    ])
}

pub(super) fn mistakes(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let leader = Leader::follow(cluster)?;
    for mistake in all()? {
        cluster.apply(&mistake.manifest)?;
        let told = mistake.is_told(cluster, SHOP, &leader);
        let outcome = told.and_then(|()| change_goes_live(cluster));
        cluster.delete(&mistake.manifest)?;
        outcome?;
        mistake.is_over(SHOP, &leader)?;
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
