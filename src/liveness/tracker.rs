//! Remembers which snapshots the proxies run, and how long changes took.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;

use super::{Faults, Holdup, Trail, holdups, standing::reached};
use crate::{
    fleet::FleetView,
    model::{Digest, Generation, Kind, NamespacedName, Snapshot},
    render::Rendition,
};

/// Changes that are remembered; the oldest are forgotten.
const MOST_CHANGES: usize = 10_000;

/// One change of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What it says since; `None` if it went away.
    pub digest: Option<Digest>,
    /// When it was read.
    pub seen: Timestamp,
    /// The snapshot that it was in first.
    pub generation: Generation,
    /// When all proxies ran what came of it.
    pub effective: Option<Timestamp>,
    /// The number of the confirmation that told so, from 1; 0 before it.
    pub confirmation: u64,
}

/// What a configuration was made of.
#[derive(Debug, Clone)]
pub struct Source {
    /// The objects.
    pub snapshot: Arc<Snapshot>,
    /// What was wrong with them.
    pub faults: Arc<Faults>,
}

/// What can be said of objects now.
#[derive(Debug, Clone, Default)]
pub struct Liveness {
    /// The latest snapshot that was translated.
    pub considered: Option<Arc<Snapshot>>,
    /// What came of it.
    pub rendition: Option<Arc<Rendition>>,
    /// What is wrong with the objects by that.
    pub faults: Arc<Faults>,
    /// What the latest configurations were made of, from the one that all proxies have got to.
    pub trail: Arc<Trail<Source>>,
    /// The latest snapshot of which all proxies ran the configuration, or a later one.
    pub confirmed: Option<Arc<Snapshot>>,
    /// How often that has become another one.
    pub confirmations: u64,
    /// Objects that changed since this replica started.
    pub changes: Arc<BTreeMap<(Kind, NamespacedName), Change>>,
}

/// Follows snapshots, renditions and views.
#[derive(Debug, Default)]
pub struct Tracker {
    liveness: Liveness,
    /// The latest snapshot that was read, translated or not.
    read: Option<Arc<Snapshot>>,
    /// Changes in the order in which they came.
    order: VecDeque<(Kind, NamespacedName)>,
    /// Those without an effective time.
    pending: BTreeSet<(Kind, NamespacedName)>,
}

impl Tracker {
    /// What can be said.
    pub fn liveness(&self) -> &Liveness {
        &self.liveness
    }

    /// A snapshot was read. What stands in the first complete one was not changed under our eyes.
    pub fn read(&mut self, snapshot: &Arc<Snapshot>, now: Timestamp) {
        let is_known = self.read.as_ref().is_some_and(|read| Arc::ptr_eq(read, snapshot));
        if is_known || !snapshot.is_complete() {
            return;
        }
        if let Some(former) = self.read.replace(snapshot.clone()) {
            let changes = Arc::make_mut(&mut self.liveness.changes);
            let (order, pending) = (&mut self.order, &mut self.pending);
            snapshot.changes_since(&former, |kind, name| {
                // Endpoints have none.
                if kind == Kind::EndpointSlice {
                    return;
                }
                let digest = |snapshot: &Snapshot| snapshot.metadata(kind, name).and_then(|metadata| metadata.digest);
                let (before, after) = (digest(&former), digest(snapshot));
                if before == after {
                    return;
                }
                let key = (kind, name.clone());
                let change = Change {
                    digest: after,
                    seen: snapshot.read_at.unwrap_or(now),
                    generation: snapshot.generation,
                    effective: None,
                    confirmation: 0,
                };
                if changes.insert(key.clone(), change).is_none() {
                    order.push_back(key.clone());
                }
                pending.insert(key);
            });
            while order.len() > MOST_CHANGES {
                if let Some(oldest) = order.pop_front() {
                    changes.remove(&oldest);
                    pending.remove(&oldest);
                }
            }
        }
    }

    /// A snapshot was translated, and that is what came of it; an earlier rendition if that says the same.
    pub fn considered(&mut self, snapshot: Arc<Snapshot>, rendition: Arc<Rendition>) {
        let known = self.liveness.rendition.as_ref();
        if !known.is_some_and(|known| Arc::ptr_eq(known, &rendition)) {
            let faults = Faults::of(&rendition.problems);
            // Most changes change nothing of it, and many are remembered.
            if *self.liveness.faults != faults {
                self.liveness.faults = Arc::new(faults);
            }
        }
        let source = Source {
            snapshot: snapshot.clone(),
            faults: self.liveness.faults.clone(),
        };
        Arc::make_mut(&mut self.liveness.trail).add(&rendition, source);
        self.liveness.considered = Some(snapshot);
        self.liveness.rendition = Some(rendition);
    }

    /// Whether views are of any interest: something is not confirmed yet.
    pub fn is_waiting(&self) -> bool {
        match (&self.liveness.considered, &self.liveness.confirmed) {
            (Some(considered), Some(confirmed)) => !Arc::ptr_eq(considered, confirmed),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// What the proxies run now. Whether that changed anything.
    pub fn view(&mut self, view: &FleetView, now: Timestamp) -> bool {
        if !self.is_waiting() {
            return false;
        }
        let trail = &self.liveness.trail;
        let Some(slowest) = reached(trail, view).first().copied() else {
            return false;
        };
        let Some(snapshot) = trail.at(slowest).map(|source| source.snapshot.clone()) else {
            return false;
        };
        let is_known = |confirmed: &Arc<Snapshot>| Arc::ptr_eq(confirmed, &snapshot);
        if self.liveness.confirmed.as_ref().is_some_and(is_known) {
            return false;
        }
        Arc::make_mut(&mut self.liveness.trail).forget_before(slowest);
        self.liveness.confirmations += 1;
        let changes = Arc::make_mut(&mut self.liveness.changes);
        self.pending.retain(|(kind, name)| {
            let Some(change) = changes.get_mut(&(*kind, name.clone())) else {
                return false;
            };
            // Later snapshots have been read meanwhile, in which it may say again what it said before.
            let said = snapshot.metadata(*kind, name).and_then(|metadata| metadata.digest);
            let is_in = said == change.digest && snapshot.generation >= change.generation;
            if is_in {
                change.effective = Some(now);
                change.confirmation = self.liveness.confirmations;
            }
            !is_in
        });
        self.liveness.confirmed = Some(snapshot);
        true
    }
}

impl Liveness {
    /// What the configurations were made of that the proxies run now, each of them one; none if that is not known of all.
    pub fn running(&self, view: &FleetView) -> Vec<&Source> {
        let reached = reached(&self.trail, view).into_iter();
        reached.filter_map(|milestone| self.trail.at(milestone)).collect()
    }

    /// What is missing until what was considered last is live; nothing if that was confirmed and still is.
    pub fn holdups(&self, view: &FleetView) -> Vec<Holdup> {
        match &self.rendition {
            Some(rendition) => holdups(rendition, view),
            None => vec![Holdup {
                proxy: None,
                reason: "NotRead".to_owned(),
                message: "the controller has not read everything yet".to_owned(),
            }],
        }
    }
}
