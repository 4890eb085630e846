//! What a proxy shall be given now, if anything, and else what it waits for.
//!
//! Pure, and changes nothing: what is known of the proxy is an argument, as is the moment. Called by `step` after each
//! event; whether a push that is wanted begins, `machine` decides. The rules are those of DESIGN.md §3.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    configuration::{Configuration, Goal, Permission, RestoreReason, pays_for_pushes},
    state::{Moment, ProxyState},
};

/// How long something newer waits until a proxy has reported that it runs what it has just taken, at most.
const CONFIRM_FIRST: Duration = Duration::from_secs(1);
/// After what it shall run was refused, something else is rendered in a moment: nothing older goes to it before.
const RENDERED_WITHIN: Duration = Duration::from_secs(2);
/// Between two configurations for a proxy that somebody keeps taking them away from.
const EMPTIED_AGAIN: Duration = Duration::from_secs(10);

/// Whether a push is wanted.
#[derive(Debug, Clone)]
pub(super) enum Want {
    /// It runs what it may run.
    Nothing,
    /// Not now.
    Wait { why: Wait, until: Option<Instant> },
    /// As soon as the limits of the fleet allow.
    Push(Configuration),
}

/// Why no push is wanted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    PushUnderWay,
    Outcome,
    Confirmation,
    FirstProbe,
    Look,
    Answer,
    Database,
    ProfileNotServed,
    Configuration,
    Leadership,
    Lease,
    Source,
    Pause,
    Refused,
    BackOff,
    Drift,
    Rest,
}

/// What it shall be given now, if anything.
pub(super) fn decide(state: &ProxyState, goal: &Goal, now: Moment) -> Want {
    let wait = |why| Want::Wait { why, until: None };
    let later = |why, until: Option<Instant>| {
        until.filter(|&until| until > now.instant).map(|until| Want::Wait {
            why,
            until: Some(until),
        })
    };
    if state.in_flight.is_some() {
        return wait(Wait::PushUnderWay);
    }
    if let Some(open) = &state.unknown {
        return Want::Wait {
            why: Wait::Outcome,
            until: Some(open.until),
        };
    }
    if let Some(push) = &state.predecessor {
        return Want::Wait {
            why: Wait::Outcome,
            until: Some(push.until),
        };
    }
    let (Some(report), Some(observed)) = (&state.report, state.observed) else {
        return wait(Wait::FirstProbe);
    };
    if state.trouble.is_some() {
        // What it runs is not known now, and a push would only wait for it. Probes tell when it is back.
        return wait(Wait::Answer);
    }
    if state.has_database() {
        return wait(Wait::Database);
    }
    if !goal.profile_served {
        return wait(Wait::ProfileNotServed);
    }
    let runs_it = goal.desired.as_ref().is_some_and(|desired| desired.hash() == observed);
    if runs_it && !state.is_leaving() {
        return Want::Nothing;
    }
    if goal.permission == Permission::Nothing {
        return wait(Wait::Leadership);
    }
    if runs_it {
        // It will have to be brought back once what it has taken is effective.
        return wait(Wait::Confirmation);
    }
    // What it has taken counts as run, as long as it may come into effect.
    let mut running = observed;
    if let Some(open) = &state.names.open {
        if goal.desired.as_ref().is_some_and(|desired| state.has_taken(desired)) {
            return wait(Wait::Confirmation);
        }
        if let Some(wait) = later(Wait::Confirmation, Some(open.taken + CONFIRM_FIRST)) {
            return wait;
        }
        running = open.ours;
    }
    let first = running.is_none();
    match (&goal.permission, first) {
        (Permission::Restore(RestoreReason::Cut), false) => return wait(Wait::Lease),
        (Permission::Restore(RestoreReason::Hold(_)), false) => return wait(Wait::Source),
        (Permission::Restore(RestoreReason::Paused), false) => return wait(Wait::Pause),
        (Permission::Restore(_), true) | (Permission::Free | Permission::Nothing, _) => {}
    }
    let Some(candidate) = candidate(state, goal, first) else {
        let refused = goal
            .desired
            .as_ref()
            .is_some_and(|desired| state.rejection(desired.hash()).is_some());
        return wait(match &goal.permission {
            _ if refused => Wait::Refused,
            Permission::Restore(RestoreReason::Cut) => Wait::Lease,
            Permission::Restore(RestoreReason::Hold(_)) => Wait::Source,
            Permission::Restore(RestoreReason::Paused) => Wait::Pause,
            Permission::Free | Permission::Nothing => Wait::Configuration,
        });
    };
    if candidate.hash() == running {
        return wait(Wait::Refused);
    }
    if candidate.hash() == observed {
        // As above: what it reports is not sent to it.
        return wait(Wait::Confirmation);
    }
    let refused = goal
        .desired
        .as_ref()
        .and_then(|desired| state.rejection(desired.hash()));
    if !first
        && let Some(refused) = refused
        && let Some(wait) = later(Wait::Refused, Some(refused.at + RENDERED_WITHIN))
    {
        return wait;
    }
    if let Some(wait) = later(Wait::BackOff, state.back_off.until) {
        return wait;
    }
    let mut repaired = state.drift.not_before;
    if first {
        // It serves nothing: that is soon mended, and whoever takes it away again is not outrun.
        repaired = repaired.min(state.settled.map(|settled| settled + EMPTIED_AGAIN));
    }
    if let Some(wait) = later(Wait::Drift, repaired) {
        return wait;
    }
    let first_repair = state.drift.found.is_some() && state.drift.times.len() == 1;
    // It is not applied again, if it is what it runs.
    let is_question = state.drift.found.is_none() && state.names.asks(candidate.hash());
    if !first
        && !first_repair
        && !is_question
        && pays_for_pushes(report.edition)
        && let Some(wait) = later(Wait::Rest, state.rests_until)
    {
        return wait;
    }
    if state.look.is_some() {
        return wait(Wait::Look);
    }
    Want::Push(candidate.clone())
}

/// The first configuration of those that it may be given that it has not refused.
fn candidate<'a>(state: &'a ProxyState, goal: &'a Goal, first: bool) -> Option<&'a Configuration> {
    let desired = goal.desired.as_ref();
    let last_good = goal.last_good.as_ref();
    // Old bytes carry old addresses: they come after what was made of the same objects now.
    let kept = goal.kept.as_ref();
    let accepted = state.accepted.as_ref().and_then(|accepted| accepted.given.whole());
    let order = match (&goal.permission, first) {
        (Permission::Nothing, _) => return None,
        // Better the newest than none at all: nothing is known to be wrong with it.
        (Permission::Restore(RestoreReason::Paused), _) => [kept, last_good, accepted, desired],
        (Permission::Restore(_), _) => [kept, last_good, accepted, None],
        (Permission::Free, true) if goal.last_good_first => [kept, last_good, desired, accepted],
        (Permission::Free, true) => [desired, kept, last_good, accepted],
        // Nothing is taken back from a proxy that runs something as long as nothing is known to be better.
        (Permission::Free, false) => [Some(desired?), kept, last_good, accepted],
    };
    order
        .into_iter()
        .flatten()
        .find(|configuration| state.rejection(configuration.hash()).is_none())
}
