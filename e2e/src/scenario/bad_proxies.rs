//! Proxies of the Admin Service that are broken in every way, beside good ones.

use std::fmt::Write;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    release::{HOST, LIMIT, NAMESPACE, RELEASE, SHOP, change_goes_live, condition, fleet, front, in_sync},
    told::Leader,
};
use crate::{Arguments, cluster::Cluster, load::Load, poll::eventually};

/// A proxy, what is bad about it, and what must be told of it.
struct Bad {
    /// How `testapp bad-proxy` calls it.
    way: &'static str,
    condition: &'static str,
    /// One of these.
    reasons: &'static [&'static str],
    /// What the message must say: what is wrong, and what to do or where to look. One of these groups of words, where it
    /// depends on the moment.
    words: &'static [&'static [&'static str]],
}

const UNREACHABLE: &str = "Reachable";
const BEHIND: &str = "Synced";

const BAD: &[Bad] = &[
    Bad {
        way: "foreign",
        condition: UNREACHABLE,
        reasons: &["CertificateUntrusted"],
        words: &[&[
            "a certificate that it made itself",
            "give it one that a trusted authority signed",
        ]],
    },
    Bad {
        way: "absent",
        condition: UNREACHABLE,
        reasons: &["ConnectionRefused"],
        words: &[&[
            "nothing listens on",
            "is the proxy up, and is this its Admin API's port?",
        ]],
    },
    Bad {
        way: "hangs",
        condition: UNREACHABLE,
        reasons: &["Timeout"],
        words: &[&["in time", "or does something on the way drop packets?"]],
    },
    Bad {
        way: "nonsense",
        condition: UNREACHABLE,
        reasons: &["UnexpectedAnswer"],
        words: &[&["does not speak HTTP", "is this the Admin API?"]],
    },
    Bad {
        way: "page",
        condition: UNREACHABLE,
        reasons: &["UnexpectedAnswer"],
        words: &[&[
            "GET / is not answered as Kong does",
            "is this the address of the Admin API, and nothing in front of it?",
        ]],
    },
    Bad {
        way: "error",
        condition: UNREACHABLE,
        reasons: &["UnexpectedAnswer"],
        words: &[&[
            "answered 500 to GET /",
            "is this the address of the Admin API, and nothing in front of it?",
        ]],
    },
    Bad {
        way: "refuses",
        condition: BEHIND,
        reasons: &["ConfigRejected"],
        // It refuses what is left as well, round after round: in the end there is no route any more that it could name.
        words: &[&["paths.1: should start with: /"], &["its own log says more"]],
    },
    Bad {
        way: "fails",
        condition: BEHIND,
        reasons: &["ConfigRejected"],
        words: &[&["unexpected error", "its own log says more"]],
    },
    Bad {
        way: "stalls",
        condition: BEHIND,
        reasons: &["Pushing", "OutcomeUnknown"],
        words: &[
            &["a push is under way and takes long", "the proxy's log says"],
            &["it is not known yet whether the last push was loaded", "does it hang"],
            &["it is not known yet whether the last push was loaded", "going down?"],
        ],
    },
];

impl Bad {
    fn name(&self) -> String {
        format!("bad-{}", self.way)
    }

    /// Whether a message says all that it must.
    fn is_said(&self, message: &str) -> bool {
        self.words
            .iter()
            .any(|words| words.iter().all(|words| message.contains(words)))
    }

    /// The row, and what the dashboard reads of the proxy.
    fn shows(&self, conditions: &Conditions) -> anyhow::Result<String> {
        let found = conditions.find(self.condition)?;
        let reason = found["reason"].as_str().unwrap_or_default();
        let message = found["message"].as_str().unwrap_or_default();
        ensure!(
            found["status"] == "False" && self.reasons.contains(&reason) && self.is_said(message),
            "{} is {found}",
            self.condition
        );
        let ready = conditions.find("Ready")?;
        ensure!(ready["status"] == "False", "it counts as ready: {ready}");
        Ok(format!("{} False, {reason}: {message}", self.condition))
    }

    /// Who has one of its reasons may be named with others in one event, whose words are those of the first of them.
    fn is_in(&self, note: &str) -> bool {
        self.reasons.iter().any(|reason| {
            let of_reason = BAD.iter().filter(|bad| bad.reasons.contains(reason));
            let said = note.split_once(&format!(": {reason}: ")).map(|(_, said)| said);
            said.is_some_and(|said| of_reason.into_iter().any(|bad| bad.is_said(said)))
        })
    }
}

/// Conditions of a row, or of what the dashboard's API has of a proxy.
enum Conditions<'a> {
    Row(&'a Value),
    Shown(&'a Value),
}

impl<'a> Conditions<'a> {
    fn find(&self, name: &str) -> anyhow::Result<&'a Value> {
        match self {
            Self::Row(row) => condition(row, name),
            Self::Shown(proxy) => Ok(&proxy["conditions"][name]),
        }
    }
}

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
    let leader = Leader::follow(cluster)?;
    for bad in BAD {
        let name = bad.name();
        let message = eventually(&format!("the row of {name} says why"), LIMIT, || {
            let row = cluster.get(&["proxyinstance", "-n", NAMESPACE, &name])?;
            bad.shows(&Conditions::Row(&row))
        })?;
        println!("   {name}: {message}");
        eventually(&format!("the dashboard says why of {name}"), LIMIT, || {
            let proxies = leader.api("proxies")?;
            let proxy = proxies.iter().find(|proxy| proxy["name"] == name.as_str());
            bad.shows(&Conditions::Shown(proxy.context("it is not shown")?))
        })?;
        leader.logs_one_of(&format!("{name} is bad"), |line| {
            let reason = |reason: &&str| line.contains(&format!("reason={reason}"));
            line.contains("WARN")
                && line.contains(&format!("proxy={NAMESPACE}/{name} "))
                && bad.reasons.iter().any(reason)
                && bad.is_said(line)
        })?;
        eventually(&format!("an event of the controller is about {name}"), LIMIT, || {
            let events = cluster.list(&["events", "-n", NAMESPACE])?;
            let failed = events.iter().filter(|event| {
                event["reason"] == "KongConfigurationApplyFailed" && event["involvedObject"]["kind"] == "Pod"
            });
            let notes: Vec<_> = failed.filter_map(|event| event["message"].as_str()).collect();
            ensure!(notes.iter().any(|note| bad.is_in(note)), "they say {notes:#?}");
            Ok(())
        })?;
        // Whatever it is that is broken: the good ones go on.
        change_goes_live(cluster)?;
    }
    eventually("the fleet says how many are bad", LIMIT, || {
        let fleet = fleet(cluster)?;
        let synced = condition(&fleet, "Synced")?;
        let message = synced["message"].as_str().unwrap_or_default();
        let says = format!("{} of {} proxies do not run what they shall", BAD.len(), BAD.len() + 2);
        ensure!(
            synced["status"] == "False" && message.contains(&says),
            "Synced is {synced}"
        );
        let proxies = &fleet["status"]["proxies"];
        ensure!(
            proxies["discovered"] == BAD.len() + 2 && proxies["ready"] == 2,
            "{proxies}"
        );
        Ok(())
    })?;
    cluster.show(&["get", "proxyinstances", "-n", NAMESPACE])?;
    refused(cluster, &leader)?;
    cluster.show(&["get", "proxyfleets", "-n", NAMESPACE])?;
    Ok(())
}

/// It refuses what is left as well, round after round: its row is about the last of them, and each object is told.
fn refused(cluster: &Cluster, leader: &Leader) -> anyhow::Result<()> {
    const WHAT: &str = "paths.1: should start with: /";
    const REMEDY: &str = "correct it; all that does not depend on it is in force";
    let object = format!("Ingress {SHOP}/web");
    eventually("an event on the Ingress says that a proxy refuses it", LIMIT, || {
        let events = cluster.list(&["events", "-n", SHOP])?;
        let of_it = events.iter().filter(|event| {
            event["reason"] == "KongConfigurationApplyFailed"
                && event["involvedObject"]["kind"] == "Ingress"
                && event["involvedObject"]["name"] == "web"
        });
        let notes: Vec<_> = of_it.filter_map(|event| event["message"].as_str()).collect();
        let says = |note: &&&str| note.starts_with("ConfigRejected: ") && note.contains(WHAT) && note.contains(REMEDY);
        let note = notes.iter().find(says);
        println!("   event: {}", note.with_context(|| format!("they say {notes:#?}"))?);
        Ok(())
    })?;
    eventually("the dashboard says so, too", LIMIT, || {
        let problems = leader.api("problems")?;
        let is_it = |problem: &&Value| {
            problem["object"] == object.as_str()
                && problem["reason"] == "ConfigRejected"
                && problem["message"].as_str().is_some_and(|text| text.contains(WHAT))
                && problem["remedy"] == REMEDY
        };
        ensure!(problems.iter().any(|problem| is_it(&problem)), "it says {problems:#?}");
        Ok(())
    })?;
    let logged = [
        "WARN",
        &format!("object={object} "),
        "reason=ConfigRejected",
        WHAT,
        REMEDY,
    ];
    leader.logs("the Ingress is refused", &logged)
}
