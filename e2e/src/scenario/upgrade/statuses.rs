//! What is written into statuses of the users' objects while a release changes: within a step nothing may come back after
//! something else has taken its place, as it does where two write.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use anyhow::ensure;
use serde_json::Value;

use super::super::release::{CHANGE, SHOP};
use crate::{
    cluster::{Cluster, Followed},
    poll::eventually,
};

/// Follows the statuses of the objects that a run made.
pub(super) struct Statuses {
    followed: RefCell<Vec<(&'static str, Followed)>>,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    /// How many lines were read, by kind.
    lines: BTreeMap<&'static str, usize>,
    objects: BTreeMap<String, History>,
    changes: usize,
}

/// What was seen of one object.
#[derive(Default)]
struct History {
    stands: Option<Value>,
    /// What stood there before, in this step.
    replaced: BTreeSet<String>,
    came_back: usize,
}

/// Kinds with an object `edge` whose status somebody may write.
const KINDS: [&str; 3] = ["ingresses", "kongconsumers", "kongplugins"];
/// The same of the Gateway API.
const GATEWAY_KINDS: [&str; 2] = [
    "gateways.gateway.networking.k8s.io",
    "httproutes.gateway.networking.k8s.io",
];

impl Statuses {
    pub(super) fn follow(cluster: &Cluster, with_gateways: bool) -> anyhow::Result<Self> {
        let gateways = with_gateways.then_some(GATEWAY_KINDS).into_iter().flatten();
        let kinds = KINDS.into_iter().chain(gateways);
        let kinds = kinds.map(|kind| Ok((kind, follow(cluster, kind)?)));
        Ok(Self {
            followed: RefCell::new(kinds.collect::<anyhow::Result<_>>()?),
            seen: RefCell::default(),
        })
    }

    /// A step has ended.
    ///
    /// # Errors
    /// In it, a status came back after it had been replaced.
    pub(super) fn step(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let mut seen = self.seen.borrow_mut();
        let Seen {
            lines: read,
            objects,
            changes,
        } = &mut *seen;
        for (kind, followed) in self.followed.borrow_mut().iter_mut() {
            let has_ended = followed.has_ended();
            let lines = followed.lines();
            let already = std::mem::replace(read.entry(kind).or_default(), lines.len());
            for line in &lines[already..] {
                if let Some((name, status)) = line.split_once(' ')
                    && name.starts_with("edge")
                {
                    let status = without_times(serde_json::from_str(status).unwrap_or(Value::Null));
                    let object = objects.entry(format!("{kind}/{name}")).or_default();
                    *changes += usize::from(object.saw(status));
                }
            }
            // The API server ends watches of a kind whose definition changes. The new one begins with what stands there.
            if has_ended {
                *followed = follow(cluster, kind)?;
                read.insert(kind, 0);
            }
        }
        ensure!(!objects.is_empty(), "no status was seen");
        let mut came_back = Vec::new();
        for (name, object) in objects {
            object.replaced.clear();
            let times = std::mem::take(&mut object.came_back);
            if times > 0 {
                came_back.push(format!("{name} {times} times"));
            }
        }
        ensure!(came_back.is_empty(), "statuses flip-flop: {}", came_back.join(", "));
        Ok(())
    }

    /// Whether changes would have been seen: one that is made now is.
    pub(super) fn still_follows(&self, cluster: &Cluster) -> anyhow::Result<()> {
        for (kind, followed) in self.followed.borrow().iter() {
            let before = followed.lines().len();
            cluster.kubectl(&[
                "annotate",
                kind,
                "-n",
                SHOP,
                "edge",
                "--overwrite",
                "example.com/seen=yes",
            ])?;
            eventually(&format!("a change of {kind} is seen"), CHANGE, || {
                ensure!(followed.lines().len() > before, "it is not");
                Ok(())
            })?;
        }
        Ok(())
    }

    /// For a reader.
    pub(super) fn summary(&self) -> String {
        let seen = self.seen.borrow();
        format!(
            "{} objects were watched: {} changes of their statuses, none of which came back",
            seen.objects.len(),
            seen.changes
        )
    }
}

fn follow(cluster: &Cluster, kind: &str) -> anyhow::Result<Followed> {
    let line = "jsonpath={.metadata.name}{' '}{.status}{'\\n'}";
    cluster.follow(&["get", kind, "-n", SHOP, "--watch", "-o", line])
}

impl History {
    /// Whether it is another one.
    fn saw(&mut self, status: Value) -> bool {
        if self.stands.as_ref() == Some(&status) {
            return false;
        }
        let text = status.to_string();
        let Some(before) = self.stands.replace(status) else {
            return false;
        };
        self.came_back += usize::from(self.replaced.contains(&text));
        self.replaced.insert(before.to_string());
        true
    }
}

/// The status without the moments at which it was written, at any depth: listeners and parents have conditions, too.
fn without_times(mut status: Value) -> Value {
    match &mut status {
        Value::Object(fields) => {
            fields.remove("lastTransitionTime");
            for field in fields.values_mut() {
                *field = without_times(field.take());
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                *entry = without_times(entry.take());
            }
        }
        _ => {}
    }
    status
}
