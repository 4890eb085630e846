//! What is told of a mistake in every place where somebody may look: conditions, events, the leader's log, and what its
//! dashboard reads.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::release::{CHANGE, NAMESPACE, condition, leader};
use crate::{
    cluster::{Cluster, Followed},
    http,
    poll::eventually,
};

/// The controller that leads: its log from its start on, and its dashboard, as long as this is kept.
pub(super) struct Leader {
    log: Followed,
    dashboard: SocketAddr,
    /// The way to the dashboard, which listens on the pod's loopback alone.
    _way: Followed,
}

impl Leader {
    pub(super) fn follow(cluster: &Cluster) -> anyhow::Result<Self> {
        let name = leader(cluster)?;
        let way = cluster.follow(&["port-forward", "-n", NAMESPACE, &format!("pod/{name}"), ":10256"])?;
        let dashboard = eventually("a way to the dashboard", CHANGE, || {
            let lines = way.lines();
            let address = lines.iter().find_map(|line| {
                let words = line.strip_prefix("Forwarding from ")?;
                words.split_whitespace().next()?.parse().ok()
            });
            address.with_context(|| format!("kubectl says {lines:?}"))
        })?;
        Ok(Self {
            log: cluster.follow(&["logs", "-f", "-n", NAMESPACE, &name])?,
            dashboard,
            _way: way,
        })
    }

    /// What the API of the dashboard has under that name.
    pub(super) fn api(&self, name: &str) -> anyhow::Result<Vec<Value>> {
        let answer = http::get(self.dashboard, "localhost", &format!("/api/v1/{name}"))?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        let list: Value = serde_json::from_str(&answer.body).context("the dashboard's API answers no JSON")?;
        Ok(list.as_array().cloned().unwrap_or_default())
    }

    /// Waits for a line of the log with all these words.
    pub(super) fn logs(&self, what: &str, words: &[&str]) -> anyhow::Result<()> {
        let has_all = |line: &str| words.iter().all(|words| line.contains(words));
        self.logs_one_of(&format!("{what}: {words:?}"), has_all)
    }

    /// Waits for a line of the log that passes the check.
    pub(super) fn logs_one_of(&self, what: &str, is_it: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        eventually(&format!("{what}: a line of the log"), CHANGE, || {
            let lines = self.log.lines();
            let last = &lines[lines.len().saturating_sub(8)..];
            ensure!(
                lines.iter().any(|line| is_it(line)),
                "there is none; the last ones are {last:#?}"
            );
            Ok(())
        })
    }
}

/// A user's mistake, and what must be told of it.
pub(super) struct Mistake {
    pub(super) what: &'static str,
    pub(super) manifest: String,
    pub(super) kind: &'static str,
    /// No other mistake's object is called so: the log tells of all that ever was.
    pub(super) name: &'static str,
    pub(super) field: &'static str,
    pub(super) reason: &'static str,
    /// Of the message.
    pub(super) words: &'static str,
    /// Of what to do.
    pub(super) remedy: &'static str,
    /// Whether something of the object is left out of what proxies run.
    pub(super) is_left_out: bool,
}

impl Mistake {
    fn object(&self, namespace: &str) -> String {
        format!("{} {namespace}/{}", self.kind, self.name)
    }

    /// Waits until it is told in all places: object, field, reason, message and remedy.
    pub(super) fn is_told(&self, cluster: &Cluster, namespace: &str, leader: &Leader) -> anyhow::Result<()> {
        let (what, object) = (self.what, self.object(namespace));
        let event = eventually(&format!("{what}: an event"), CHANGE, || {
            let events = cluster.list(&["events", "-n", namespace])?;
            let of_it = |event: &&Value| {
                event["reason"] == "KongConfigurationTranslationFailed"
                    && event["involvedObject"]["kind"] == self.kind
                    && event["involvedObject"]["name"] == self.name
            };
            let notes = events
                .iter()
                .filter(of_it)
                .filter_map(|event| event["message"].as_str());
            let notes: Vec<_> = notes.collect();
            let beginning = format!("{}: {}: ", self.reason, self.field);
            let is_it = |note: &&&str| {
                note.strip_prefix(&*beginning)
                    .and_then(|rest| rest.split_once("; "))
                    .is_some_and(|_| note.contains(self.words) && note.contains(&format!("; {}", self.remedy)))
            };
            let note = notes.iter().find(is_it);
            note.map(|note| (*note).to_owned())
                .with_context(|| format!("the events of {object} say {notes:?}"))
        })?;
        println!("   {what}: {event}");
        eventually(&format!("{what}: the dashboard"), CHANGE, || {
            let problems = leader.api("problems")?;
            let has = |problem: &Value, name: &str, words: &str| {
                problem[name].as_str().is_some_and(|found| found.contains(words))
            };
            let is_it = |problem: &&Value| {
                problem["object"] == object.as_str()
                    && problem["field"] == self.field
                    && problem["reason"] == self.reason
                    && has(problem, "message", self.words)
                    && has(problem, "remedy", self.remedy)
            };
            ensure!(problems.iter().any(|problem| is_it(&problem)), "it shows {problems:#?}");
            Ok(())
        })?;
        let logged = [
            "WARN",
            &format!("object={object} "),
            &format!("field={:?} ", self.field),
            &format!("reason={}", self.reason),
            self.words,
            &format!("; {}", self.remedy),
        ];
        leader.logs(what, &logged)?;
        eventually(&format!("{what}: the rows"), CHANGE, || {
            let rows = cluster.list(&["proxyinstances", "-n", NAMESPACE])?;
            ensure!(!rows.is_empty(), "there are none");
            rows.iter().try_for_each(|row| self.shows(row, &object))
        })
    }

    /// Whether a row says that all of the object is there, or that not all is and where to look.
    fn shows(&self, row: &Value, object: &str) -> anyhow::Result<()> {
        let complete = condition(row, "Complete")?;
        let message = complete["message"].as_str().unwrap_or_default();
        let is_right = match self.is_left_out {
            true => {
                complete["status"] == "False"
                    && complete["reason"] == "ObjectsLeftOut"
                    && message.contains(object)
                    && message.contains("see their events or status, or the problems on the controller's dashboard")
            }
            false => complete["status"] == "True",
        };
        ensure!(is_right, "Complete is {complete}");
        for name in ["Ready", "Synced"] {
            let found = condition(row, name)?;
            ensure!(found["status"] == "True", "{name} is {found}");
        }
        Ok(())
    }

    /// Waits until nothing is told of it any more.
    pub(super) fn is_over(&self, namespace: &str, leader: &Leader) -> anyhow::Result<()> {
        let object = self.object(namespace);
        eventually(&format!("{}: it is over", self.what), CHANGE, || {
            let problems = leader.api("problems")?;
            ensure!(
                problems.iter().all(|problem| problem["object"] != object.as_str()),
                "{problems:#?}"
            );
            Ok(())
        })?;
        let reason = format!("reason={}", self.reason);
        leader.logs(self.what, &["INFO", "solved", &format!("object={object} "), &reason])
    }
}
