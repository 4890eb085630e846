//! Keeps what can be said of objects: which snapshot all proxies run, and how long changes took.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    fleet::FleetView,
    liveness::{Liveness, Tracker},
    model::Snapshot,
    render::Rendition,
};

/// The latest values.
pub(super) struct Inputs {
    /// What was read.
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What was translated, told after what came of it.
    pub(super) considered: watch::Receiver<Option<Arc<Snapshot>>>,
    /// What came of it.
    pub(super) renditions: watch::Receiver<Option<Arc<Rendition>>>,
    /// What the proxies run.
    pub(super) views: watch::Receiver<Arc<FleetView>>,
}

/// Follows them until a side hangs up.
pub(super) async fn follow(mut inputs: Inputs, liveness: watch::Sender<Liveness>) {
    let mut tracker = Tracker::default();
    loop {
        let now = Timestamp::now();
        tracker.read(&inputs.snapshots.borrow_and_update().clone(), now);
        if inputs.considered.has_changed().unwrap_or(false) {
            let considered = inputs.considered.borrow_and_update().clone();
            let rendition = inputs.renditions.borrow().clone();
            if let Some((considered, rendition)) = considered.zip(rendition) {
                tracker.considered(considered, rendition);
            }
        }
        let view = inputs.views.borrow_and_update().clone();
        tracker.view(&view, now);
        liveness.send_replace(tracker.liveness().clone());
        // While everything is confirmed, views change nothing, and there are many.
        let is_waiting = tracker.is_waiting();
        let changed = tokio::select! {
            changed = inputs.snapshots.changed() => changed,
            changed = inputs.considered.changed() => {
                inputs.considered.mark_changed();
                changed
            }
            changed = inputs.views.changed(), if is_waiting => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}
