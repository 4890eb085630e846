//! Proxies of the Admin Service that are broken in every way, beside good ones.

use std::fmt::Write;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::release::{HOST, LIMIT, NAMESPACE, RELEASE, SHOP, change_goes_live, condition, front, in_sync};
use crate::{Arguments, cluster::Cluster, load::Load, poll::eventually};

/// A proxy, what is bad about it, and what its row must say.
struct Bad {
    /// How `testapp bad-proxy` calls it.
    way: &'static str,
    condition: &'static str,
    /// One of these.
    reasons: &'static [&'static str],
    /// What the message must name.
    words: &'static str,
}

const BAD: &[Bad] = &[
    Bad {
        way: "foreign",
        condition: "Reachable",
        reasons: &["CertificateUntrusted"],
        words: "a certificate that it made itself",
    },
    Bad {
        way: "absent",
        condition: "Reachable",
        reasons: &["ConnectionRefused"],
        words: "nothing listens on",
    },
    Bad {
        way: "hangs",
        condition: "Reachable",
        reasons: &["Timeout"],
        words: "in time",
    },
    Bad {
        way: "nonsense",
        condition: "Reachable",
        reasons: &["UnexpectedAnswer"],
        words: "does not speak HTTP",
    },
    Bad {
        way: "refuses",
        condition: "Synced",
        reasons: &["ConfigRejected"],
        // Of which round it is the last word of depends on the moment; events name what was refused.
        words: "",
    },
    Bad {
        way: "fails",
        condition: "Synced",
        reasons: &["ConfigRejected"],
        words: "unexpected error",
    },
    Bad {
        way: "stalls",
        condition: "Synced",
        reasons: &["Pushing", "OutcomeUnknown"],
        words: "",
    },
];

pub(super) fn run(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    let mut manifests = String::new();
    for bad in BAD {
        write!(manifests, "{}", pod(bad.way, &arguments.application_image))?;
    }
    cluster.apply(&manifests)?;
    let outcome = shown(cluster);
    cluster.kubectl(&[
        "delete",
        "pods",
        "-n",
        NAMESPACE,
        "-l",
        "bad-proxy",
        "--wait",
        "--timeout=60s",
    ])?;
    outcome?;
    in_sync(cluster, 2)?;
    load.finish()
}

/// A pod that the Admin Service takes for a proxy. It is never Ready, so that no traffic goes there.
pub(crate) fn pod(way: &str, image: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: bad-{way}\n  namespace: {NAMESPACE}\n  labels:\n    \
         bad-proxy: {way}\n    app.kubernetes.io/name: kong\n    app.kubernetes.io/component: app\n    \
         app.kubernetes.io/instance: {RELEASE}\n    gateway.silverback.dev/admin: \"true\"\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  \
         securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}\n  containers:\n    - name: proxy\n      image: {image}\n      \
         imagePullPolicy: Never\n      args: [bad-proxy, {way}]\n      \
         securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}\n      ports: [{{name: admin-tls, containerPort: 8444}}]\n      \
         readinessProbe: {{tcpSocket: {{port: 1}}, periodSeconds: 5}}\n      \
         volumeMounts: [{{name: certificates, mountPath: /etc/silverback/admin, readOnly: true}}]\n  \
         volumes: [{{name: certificates, secret: {{secretName: {RELEASE}-kong-proxy-tls}}}}]\n"
    )
}

fn shown(cluster: &Cluster) -> anyhow::Result<()> {
    for bad in BAD {
        let message = eventually(&format!("the row of bad-{} says why", bad.way), LIMIT, || {
            let row = cluster.get(&["proxyinstance", "-n", NAMESPACE, &format!("bad-{}", bad.way)])?;
            truth(&row, bad)
        })?;
        println!("   bad-{}: {message}", bad.way);
        // Whatever it is that is broken: the good ones go on.
        change_goes_live(cluster)?;
    }
    cluster.show(&["get", "proxyinstances", "-n", NAMESPACE])?;
    // It refuses what is left as well, round after round: its row is about the last of them.
    eventually("an event on the Ingress says that a proxy refuses it", LIMIT, || {
        let events = cluster.list(&["events", "-n", SHOP])?;
        let event = events.iter().find(|event| {
            event["reason"] == "KongConfigurationApplyFailed" && event["involvedObject"]["kind"] == "Ingress"
        });
        let message = event
            .and_then(|event| event["message"].as_str())
            .context("there is none")?;
        ensure!(message.contains("should start with: /"), "it says {message:?}");
        println!("   event: {message}");
        Ok(())
    })?;
    cluster.show(&["get", "proxyfleets", "-n", NAMESPACE])?;
    Ok(())
}

/// What the condition of a row says, if it is the truth.
fn truth(row: &Value, bad: &Bad) -> anyhow::Result<String> {
    let found = condition(row, bad.condition)?;
    let reason = found["reason"].as_str().unwrap_or_default();
    let message = found["message"].as_str().unwrap_or_default();
    ensure!(
        found["status"] == "False" && bad.reasons.contains(&reason) && message.contains(bad.words),
        "{} is {found}",
        bad.condition
    );
    let ready = condition(row, "Ready")?;
    ensure!(ready["status"] == "False", "it counts as ready: {ready}");
    Ok(format!("{} False, {reason}: {message}", bad.condition))
}
