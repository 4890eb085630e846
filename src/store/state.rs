//! The objects, and how events change them. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{Event, Interest, References, Retention};
use crate::model::{Generation, Kind, NamespacedName, Object, Problem, Snapshot, Unavailable};

/// The objects as they are now.
pub(super) struct State {
    retention: Retention,
    snapshot: Snapshot,
    /// The objects that the interest was made from.
    settled: Snapshot,
    interest: Arc<Interest>,
    /// What is referred to besides, and whether the interest has been made from that.
    besides: References,
    besides_settled: bool,
    malformed: BTreeMap<(Kind, NamespacedName), Problem>,
    /// Where kinds are absent: in a namespace, or in all.
    absent: BTreeSet<(Kind, Option<Arc<str>>)>,
    /// Problems of a directory's files.
    loaded: Vec<Problem>,
}

impl State {
    pub(super) fn new(retention: Retention) -> Self {
        Self {
            retention,
            snapshot: Snapshot::unlisted(),
            settled: Snapshot::default(),
            interest: Arc::default(),
            besides: References::default(),
            besides_settled: true,
            malformed: BTreeMap::new(),
            absent: BTreeSet::new(),
            loaded: Vec::new(),
        }
    }

    /// Takes an event in. Whether it changed anything.
    pub(super) fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Applied(object) => self.put(object),
            Event::Deleted(kind, key) => {
                let known = self.malformed.remove(&(kind, key.clone())).is_some();
                self.take(kind, &key) || known
            }
            Event::Malformed(kind, key, problem) => {
                let taken = self.take(kind, &key);
                let former = self.malformed.insert((kind, key), problem.clone());
                taken || former.as_ref() != Some(&problem)
            }
            Event::Listed(kind, objects, problems) => {
                let changed = self.replace(kind, None, objects, problems);
                let synced = self.set_pending(|pending| pending.remove(&kind));
                let available = self.set_unavailable(|unavailable| unavailable.remove(&kind).is_some());
                let present = self.set_absent(|absent| absent.retain(|(known, _)| *known != kind));
                changed | synced | available | present
            }
            Event::ListedIn(kind, namespace, objects, problems) => {
                let changed = self.replace(kind, Some(&namespace), objects, problems);
                let present =
                    self.set_absent(|absent| absent.retain(|known| *known != (kind, Some(namespace.clone()))));
                changed | present
            }
            Event::Synced(kind) => self.set_pending(|pending| pending.remove(&kind)),
            Event::Loaded(objects, problems) => self.load(objects, problems),
            Event::Unavailable(kind, reason) => self.set_unavailable(|unavailable| {
                let former = unavailable.insert(kind, reason.clone());
                former.as_ref() != Some(&reason)
            }),
            Event::Available(kind) => self.set_unavailable(|unavailable| unavailable.remove(&kind).is_some()),
            Event::Absent(kind, scope) => {
                let listed = self.apply(match &scope {
                    None => Event::Listed(kind, Vec::new(), Vec::new()),
                    Some(namespace) => Event::ListedIn(kind, namespace.clone(), Vec::new(), Vec::new()),
                });
                let absent = self.set_absent(|absent| absent.extend([(kind, scope)]));
                listed | absent
            }
            Event::Besides(references) => {
                let changed = self.besides != references;
                self.besides = references;
                self.besides_settled &= !changed;
                changed
            }
            Event::InterestMet(_) => false,
        }
    }

    /// Recomputes what is referred to, and drops what no longer is. Returns the interest if it is a new one.
    pub(super) fn settle(&mut self) -> Option<Arc<Interest>> {
        let Retention::Referenced { services } = &self.retention else {
            return None;
        };
        if !Interest::can_be_known(&self.snapshot) {
            return None;
        }
        if self.interest.is_known() && self.besides_settled && Interest::is_same(&self.snapshot, &self.settled) {
            self.settled = self.snapshot.clone();
            return None;
        }
        let mut besides = self.besides.clone();
        besides.services.extend(services.iter().cloned());
        let interest = Interest::of(&self.snapshot, besides, &self.interest);
        self.settled = self.snapshot.clone();
        self.besides_settled = true;
        if interest == *self.interest {
            return None;
        }
        self.interest = Arc::new(interest);
        for kind in [Kind::EndpointSlice, Kind::Secret, Kind::ConfigMap] {
            for key in self.snapshot.keys(kind) {
                let kept = self
                    .snapshot
                    .get(kind, &key)
                    .is_some_and(|object| self.interest.wants(&object));
                if !kept {
                    self.snapshot.remove(kind, &key);
                }
            }
        }
        Some(self.interest.clone())
    }

    /// The objects as they are now, under the next generation; what is new in them began to come in at `read_at`.
    pub(super) fn publish(&mut self, read_at: Timestamp) -> Arc<Snapshot> {
        self.snapshot.read_at = Some(read_at);
        self.snapshot.generation = Generation(self.snapshot.generation.0 + 1);
        let mut malformed: Vec<Problem> = self.malformed.values().chain(&self.loaded).cloned().collect();
        malformed.sort();
        malformed.dedup();
        if *self.snapshot.malformed != malformed {
            self.snapshot.malformed = Arc::new(malformed);
        }
        Arc::new(self.snapshot.clone())
    }

    fn put(&mut self, object: Object) -> bool {
        let (kind, key) = (object.kind(), object.key());
        let mended = self.malformed.remove(&(kind, key.clone())).is_some();
        if self.interest.is_known() && !self.interest.wants(&object) {
            return self.take(kind, &key) || mended;
        }
        if self.snapshot.get(kind, &key).as_ref() == Some(&object) {
            return mended;
        }
        self.snapshot.insert(object);
        true
    }

    fn take(&mut self, kind: Kind, key: &NamespacedName) -> bool {
        let known = self.snapshot.get(kind, key).is_some();
        if known {
            self.snapshot.remove(kind, key);
        }
        known
    }

    /// Replaces the objects of a kind, in one namespace or in all.
    fn replace(&mut self, kind: Kind, namespace: Option<&str>, objects: Vec<Object>, problems: Vec<Problem>) -> bool {
        let within = |key: &NamespacedName| namespace.is_none_or(|namespace| *key.namespace == *namespace);
        let listed: BTreeSet<NamespacedName> = objects.iter().map(Object::key).collect();
        let mut changed = false;
        for key in self.snapshot.keys(kind) {
            if within(&key) && !listed.contains(&key) {
                changed |= self.take(kind, &key);
            }
        }
        let problems: BTreeMap<_, _> = problems
            .into_iter()
            .map(|problem| ((kind, problem.object.namespaced_name()), problem))
            .collect();
        let before = self.malformed.len();
        self.malformed
            .retain(|place, _| place.0 != kind || !within(&place.1) || problems.contains_key(place));
        changed |= self.malformed.len() != before;
        for (place, problem) in problems {
            let former = self.malformed.insert(place, problem.clone());
            changed |= former.as_ref() != Some(&problem);
        }
        for object in objects {
            changed |= self.put(object);
        }
        changed
    }

    fn load(&mut self, objects: Vec<Object>, problems: Vec<Problem>) -> bool {
        let mut by_kind: BTreeMap<Kind, Vec<Object>> = BTreeMap::new();
        for object in objects {
            by_kind.entry(object.kind()).or_default().push(object);
        }
        let mut changed = self.set_pending(|pending| {
            let waiting = !pending.is_empty();
            pending.clear();
            waiting
        });
        for kind in Kind::ALL {
            let objects = by_kind.remove(kind).unwrap_or_default();
            changed |= self.replace(*kind, None, objects, Vec::new());
        }
        changed |= self.loaded != problems;
        self.loaded = problems;
        changed
    }

    fn set_pending(&mut self, change: impl FnOnce(&mut BTreeSet<Kind>) -> bool) -> bool {
        if self.snapshot.pending.is_empty() {
            return false;
        }
        change(Arc::make_mut(&mut self.snapshot.pending))
    }

    fn set_absent(&mut self, change: impl FnOnce(&mut BTreeSet<(Kind, Option<Arc<str>>)>)) -> bool {
        change(&mut self.absent);
        let kinds: BTreeSet<Kind> = self.absent.iter().map(|(kind, _)| *kind).collect();
        let changed = *self.snapshot.absent != kinds;
        if changed {
            self.snapshot.absent = Arc::new(kinds);
        }
        changed
    }

    fn set_unavailable(&mut self, change: impl FnOnce(&mut BTreeMap<Kind, Unavailable>) -> bool) -> bool {
        change(Arc::make_mut(&mut self.snapshot.unavailable))
    }
}
