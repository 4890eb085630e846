//! One proxy as the machine keeps it: what is known of it, what it wants, where it is listed, and what is shown of it. Pure.
//!
//! Called by `machine`, which steps it.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Phase, ProxyView,
    configuration::{Configuration, Given, Goal},
    decision::Want,
    state::ProxyState,
    step::Step,
};
use crate::model::Profile;

pub(super) struct Proxy {
    pub(super) state: ProxyState,
    pub(super) profile: Option<Profile>,
    pub(super) step: Step,
    /// Since when a push is wanted.
    pub(super) wants_since: Option<Instant>,
    pub(super) listed: Listed,
    pub(super) view: Arc<ProxyView>,
}

/// Where a proxy stands in the queue and among the deadlines: a fleet is large, and most of it has nothing to do.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) push: Option<(bool, Instant)>,
    pub(super) deadline: Option<Instant>,
}

impl Proxy {
    pub(super) fn new(state: ProxyState) -> Self {
        let step = Step {
            want: Want::Nothing,
            phase: Phase::Discovered,
            probe: false,
            deadline: None,
        };
        let view = view(&state, None, step.phase, &Goal::none());
        Self {
            state,
            profile: None,
            step,
            wants_since: None,
            listed: Listed::default(),
            view: Arc::new(view),
        }
    }

    pub(super) fn view(&self, goal: &Goal) -> ProxyView {
        view(&self.state, self.profile.as_ref(), self.step.phase, goal)
    }

    /// It is gone. Should it come back it is asked what it runs, and given what is wanted then.
    pub(super) fn depart(&mut self) {
        self.step.want = Want::Nothing;
        self.state.given().for_each(Given::let_go);
    }
}

fn view(state: &ProxyState, profile: Option<&Profile>, phase: Phase, goal: &Goal) -> ProxyView {
    let desired = goal.desired.as_ref().map(Configuration::hash);
    // What was left out for it has been refused before.
    let refused = [desired, goal.whole];
    let rejection = refused.into_iter().flatten().find_map(|hash| state.rejection(hash));
    let accepted = state.accepted.as_ref();
    ProxyView {
        target: state.target.clone(),
        phase,
        profile: profile.cloned(),
        report: state.report.clone(),
        desired,
        observed: state.observed,
        pending: state.pending().filter(|hash| Some(*hash) != state.observed),
        unsettled: state.unsettled(),
        hash_mode: state.names.mode,
        last_good: accepted.map(|accepted| accepted.given.hash),
        applied_at: accepted.map(|accepted| accepted.at),
        apply_duration: accepted.and_then(|accepted| accepted.took),
        size_bytes: accepted.map(|accepted| accepted.given.size),
        reachable: state.conditions.reachable.clone(),
        mutual_tls: state.conditions.mutual_tls.clone(),
        synced: state.conditions.synced.clone(),
        complete: state.conditions.complete.clone(),
        ready: state.conditions.ready.clone(),
        errors: rejection.map(|rejection| rejection.errors.clone()).unwrap_or_default(),
        error_count: rejection.map_or(0, |rejection| rejection.count),
    }
}
