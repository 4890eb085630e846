//! What is told of one object.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Content, Holdup, Liveness, Source, contents};
use crate::{
    fleet::FleetView,
    model::{Kind, NamespacedName, Problem, Reason},
};

/// Whether an object is live, as the controller sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// What it says, and what all that it refers to says: the object first. Whoever asks compares that with what stands in
    /// the cluster, since the controller may not have read the latest yet.
    pub contents: Vec<Content>,
    /// Whether all of that is what every proxy that serves runs: in the same configuration or in different ones.
    pub live: bool,
    /// Whether anything of the configuration comes from it.
    pub used: bool,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// What is wrong with what it refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Problem>,
    /// What is missing until the latest configuration runs everywhere.
    pub holdups: Vec<Holdup>,
    /// When the latest change of any of it was read, if it changed since the controller started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
    /// When all proxies ran that change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<Timestamp>,
}

impl Answer {
    /// What can be said of the object of that name.
    pub fn of(liveness: &Liveness, view: &FleetView, kind: Kind, name: &NamespacedName) -> Self {
        let considered = liveness.considered.as_ref();
        let found = considered
            .map(|snapshot| contents(snapshot, kind, name))
            .unwrap_or_default();
        let running = liveness.running(view);
        // What it does not name may permit it to refer to others, or to attach to them: then less is wrong than before.
        let has_the_same_faults = |source: &Source| {
            let mut all = found.iter().map(|content| (content.kind.name(), &content.name));
            all.all(|(kind, name)| source.faults.of_object(kind, name) == liveness.faults.of_object(kind, name))
        };
        let is_same = |source: &&Source| contents(&source.snapshot, kind, name) == found && has_the_same_faults(source);
        let is_running = !running.is_empty() && running.iter().all(is_same);
        let reference = considered.and_then(|snapshot| Some(snapshot.get(kind, name)?.object_ref()));
        let rendition = liveness.rendition.as_ref();
        let problems = || rendition.iter().flat_map(|rendition| rendition.problems.iter());
        let is_related = |problem: &&Problem| {
            let others = found.iter().skip(1);
            let object = &problem.object;
            let mut named = others.filter(|content| object.name == content.name.name);
            named.any(|content| *object.kind == *content.kind.name() && object.namespace == content.name.namespace)
        };
        let latest = found
            .iter()
            .filter_map(|content| liveness.changes.get(&(content.kind, content.name.clone())))
            .max_by_key(|change| change.seen);
        let own: Vec<Problem> = problems()
            .filter(|problem| Some(&problem.object) == reference.as_ref())
            .cloned()
            .collect();
        let is_left_out = own
            .iter()
            .any(|problem| matches!(problem.reason, Reason::ConfigRejected | Reason::DependsOnRejected));
        Self {
            live: is_running && !is_left_out,
            used: reference
                .as_ref()
                .zip(rendition)
                .is_some_and(|(reference, rendition)| rendition.objects.contains(reference)),
            related: problems().filter(is_related).cloned().collect(),
            problems: own,
            holdups: liveness.holdups(view),
            seen: latest.map(|change| change.seen),
            effective: latest.and_then(|change| change.effective),
            contents: found,
        }
    }
}
