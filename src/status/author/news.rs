//! Events on objects that have no conditions: what changed of them is live. Pure, but for its memory of what it said before.
//!
//! Good news that may be missed: it goes after everything else, a few a second, and what waits is bounded. `silverback wait`
//! is exact; this is for whoever looks at the object later (`kubectl describe`).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    World,
    events::{self, EventLog},
};
use crate::{
    fleet::ConditionStatus,
    liveness::Change,
    model::{Kind, NamespacedName, ObjectRef, Reason, Snapshot},
    render::Rendition,
    status::{
        document::{EventDocument, Key, Lane},
        planner::Planner,
    },
    translate::fallback,
};

/// Ours: what the object says is what all proxies run.
pub(in crate::status) const PROGRAMMED: &str = "Programmed";

/// How many events are remembered, told or waiting: beyond that the oldest are dropped.
const MOST: usize = 1000;
/// The least time between two occurrences of one event.
const SPACING: Duration = Duration::from_secs(10);
/// Times are rounded up to these, in milliseconds: an object that changes often has a few events that are counted up.
const STEPS: [(i64, &str); 14] = [
    (50, "50 ms"),
    (100, "100 ms"),
    (200, "200 ms"),
    (500, "500 ms"),
    (1_000, "1 s"),
    (2_000, "2 s"),
    (5_000, "5 s"),
    (10_000, "10 s"),
    (20_000, "20 s"),
    (30_000, "30 s"),
    (60_000, "1 min"),
    (120_000, "2 min"),
    (300_000, "5 min"),
    (600_000, "10 min"),
];

/// What was told.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The last confirmation that was looked at; none before the first look: what went live before that is no news.
    seen: Option<u64>,
    log: EventLog,
    /// In the order in which they were told first.
    keys: VecDeque<Key>,
    /// The latest one of each object, by its UID.
    latest: HashMap<Arc<str>, Key>,
}

impl News {
    /// Tells of changes that all proxies have come to run since the last look.
    pub(super) fn update(&mut self, world: &World, planner: &mut Planner, now: Instant) {
        let liveness = &world.liveness;
        let Some(seen) = self.seen.replace(liveness.confirmations) else {
            return;
        };
        let (Some(snapshot), Some(rendition)) = (&liveness.confirmed, &world.rendition) else {
            return;
        };
        if seen == liveness.confirmations {
            return;
        }
        let changes = liveness.changes.iter();
        let mut fresh: Vec<_> = changes
            .filter(|((kind, _), change)| change.confirmation > seen && !kind.has_conditions())
            .collect();
        fresh.sort_unstable_by_key(|(_, change)| change.confirmation);
        let faulty = faulty(rendition);
        let proxies = world.view.proxies.iter();
        let proxies = proxies.filter(|proxy| !proxy.target.terminating && proxy.ready.status == ConditionStatus::True);
        let count = proxies.count();
        for ((kind, name), change) in fresh.into_iter().rev().take(MOST).rev() {
            let Some(object) = snapshot.get(*kind, name).map(|object| object.object_ref()) else {
                continue;
            };
            if object.uid.is_empty() || faulty.contains(&object) {
                continue;
            }
            let takes_part = |object: &ObjectRef| rendition.objects.contains(object);
            if takes_part(&object) || (*kind == Kind::Secret && is_referred_to(name, snapshot, takes_part)) {
                self.tell(document(object, count, change), planner, now);
            }
        }
    }

    fn tell(&mut self, document: EventDocument, planner: &mut Planner, now: Instant) {
        let uid = document.regarding.uid.clone();
        let key = self.log.tell(document, planner, now);
        if !self.keys.contains(&key) {
            self.keys.push_back(key.clone());
        }
        let former = self.latest.insert(uid, key.clone()).filter(|former| *former != key);
        // The latest wins.
        if let Some(former) = former.filter(|former| planner.written(former).is_none()) {
            self.drop(&former, planner);
        }
        while self.keys.len() > MOST {
            if let Some(oldest) = self.keys.front().cloned() {
                self.drop(&oldest, planner);
            }
        }
    }

    fn drop(&mut self, key: &Key, planner: &mut Planner) {
        planner.forget(key);
        self.keys.retain(|known| known != key);
        self.latest.retain(|_, known| known != key);
    }
}

/// Objects of which something is not served as they say: that is told, and this would contradict it.
fn faulty(rendition: &Rendition) -> HashSet<&ObjectRef> {
    let problems = rendition.problems.iter();
    let faults = problems.filter(|problem| !matches!(problem.reason, Reason::NoEndpoints | Reason::Ignored));
    faults.map(|problem| &problem.object).collect()
}

/// Kinds that refer to Secrets; whether those of other namespaces, too.
const REFERRERS: [(Kind, bool); 9] = [
    (Kind::KongPlugin, false),
    (Kind::KongClusterPlugin, true),
    (Kind::KongConsumer, false),
    (Kind::Ingress, false),
    (Kind::TCPIngress, false),
    (Kind::Gateway, true),
    (Kind::Service, false),
    (Kind::KongServiceFacade, false),
    (Kind::BackendTLSPolicy, false),
];

/// Whether an object refers to the Secret that takes part. There are many objects, and few Secrets change: only those are
/// looked at that may do so.
fn is_referred_to(secret: &NamespacedName, snapshot: &Snapshot, takes_part: impl Fn(&ObjectRef) -> bool) -> bool {
    REFERRERS.iter().any(|(kind, from_afar)| {
        let names = snapshot.keys(*kind);
        let mut near = names
            .iter()
            .filter(|name| *from_afar || name.namespace == secret.namespace);
        near.any(|name| {
            let object = snapshot.get(*kind, name);
            object.is_some_and(|object| {
                let mut references = fallback::references(&object, snapshot);
                references.any(|(kind, name)| kind == Kind::Secret && name == *secret)
                    && takes_part(&object.object_ref())
            })
        })
    })
}

fn document(object: ObjectRef, proxies: usize, change: &Change) -> EventDocument {
    let took = change
        .effective
        .map(|effective| effective.duration_since(change.seen).as_millis());
    let took = i64::try_from(took.unwrap_or_default()).unwrap_or(i64::MAX);
    let time = match STEPS.iter().find(|(step, _)| took <= *step) {
        Some((_, text)) => format!("within {text} of being read"),
        None => "more than 10 min after it was read".to_owned(),
    };
    EventDocument {
        normal: true,
        spacing: SPACING,
        lane: Lane::News,
        ..events::warning(object, PROGRAMMED, format!("live on all proxies ({proxies}), {time}"))
    }
}
