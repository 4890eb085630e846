//! The step function of one proxy: an event changes what is known of it, and from that follows what to do next.
//!
//! Whether that is a push, `decision` says. Pure: the same state, event, goal and moment always give the same step. Called
//! by `machine` for every event, and when a deadline has come. The rules are those of DESIGN.md §3.

use std::{sync::Arc, time::Duration};

use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

use super::{
    Observation, Phase, ProxyReport, PushOutcome, PushResult, Settings, TransportFaultKind,
    attribution::proxy_errors,
    configuration::{Configuration, Given, Goal, Permission, pays_for_pushes, takes_in_order},
    decision::{Wait, Want, decide},
    names::Reading,
    state::{
        Accepted, BackOff, Cause, InFlight, Moment, ONE_ATTEMPT, ProxyState, Rejection, Trouble, UNKNOWN_FOR,
        UNKNOWN_IN_ORDER, Unresolved,
    },
    verdict,
};
use crate::model::{Edition, ProxyTarget};

/// Behind what it shall run for longer than this, a proxy is not synced any more.
pub(super) const LAG: Duration = Duration::from_secs(10);
/// From one probe to the next while the outcome of a push, or whether a proxy is there at all, is open.
const PROBE_SOON: Duration = Duration::from_secs(1);
/// After the first failed probe: is it unreachable, or did a kept connection end?
const PROBE_AGAIN: Duration = Duration::from_millis(250);
/// Failed probes after which only the regular ones go on.
const HURRIED_PROBES: u32 = 60;

/// What happens to a proxy.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A probe ended.
    Observed(Observation),
    /// The push that this replica began has begun.
    Began(Configuration),
    /// It ended.
    Pushed(PushOutcome),
    /// Discovery sees it differently.
    Target(Arc<ProxyTarget>),
    /// Its goal changed, or a deadline has come.
    Tick,
}

/// What to do next.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) want: Want,
    /// The name of the state that the proxy is in.
    pub(super) phase: Phase,
    /// Probe now.
    pub(super) probe: bool,
    /// When to step again, at the latest.
    pub(super) deadline: Option<Instant>,
}

/// One step.
pub(super) fn step(state: &mut ProxyState, event: Event, goal: &Goal, settings: &Settings, now: Moment) -> Step {
    if goal.permission != Permission::Free {
        // Another leader's pushes are no drift.
        state.drift.baseline = None;
        state.drift.found = None;
        state.drift.not_before = None;
    }
    match event {
        Event::Observed(observation) => observed(state, observation, goal, settings, now),
        Event::Began(configuration) => {
            state.remember_sent(configuration.hash());
            state.in_flight = Some(InFlight {
                configuration,
                began: now.instant,
                reported: state.report.as_ref().map(|report| report.hash),
                orphaned: false,
            });
        }
        Event::Pushed(outcome) => pushed(state, outcome, goal, settings, now),
        Event::Target(target) => state.target = target,
        Event::Tick => {}
    }
    if state.unknown.as_ref().is_some_and(|open| open.until <= now.instant) {
        state.unknown = None;
    }
    state.predecessor.take_if(|push| push.until <= now.instant);
    let settled = state.in_flight.is_none() && goal.desired.as_ref().is_some_and(|desired| state.runs(desired));
    if settled {
        state.drift.found = None;
        state.drift.not_before = None;
        state.back_off = BackOff::default();
    }
    state.drift.forget_old(now.instant);
    forget_rejections(state, goal);
    let_go(state, goal);
    note_lag(state, goal, now);

    let want = decide(state, goal, now);
    let mut probe = state.probe_at.is_some_and(|at| at <= now.instant);
    if probe {
        state.probe_at = None;
    }
    if let Want::Wait { why: Wait::Look, .. } = want
        && let Some(look) = &mut state.look
    {
        probe |= !std::mem::replace(&mut look.is_asked, true);
    }
    let (phase, judged) = verdict::judge(state, goal, &want, now);
    state.conditions.update(judged, now.timestamp);
    let waits_until = match &want {
        Want::Wait { until, .. } => *until,
        Want::Nothing | Want::Push(_) => None,
    };
    let lag = state
        .behind_since
        .map(|since| since + LAG)
        .filter(|&at| at > now.instant);
    Step {
        want,
        phase,
        probe,
        deadline: [waits_until, state.probe_at, lag].into_iter().flatten().min(),
    }
}

fn observed(state: &mut ProxyState, observation: Observation, goal: &Goal, settings: &Settings, now: Moment) {
    let report = match observation.result {
        Err(failed) => {
            let failures = state
                .trouble
                .take()
                .map_or(0, |trouble| trouble.failures)
                .saturating_add(1);
            state.trouble = Some(Trouble {
                fault: failed.fault,
                failures,
            });
            state.probe_at = match failures {
                1 => Some(now.instant + PROBE_AGAIN),
                2..=HURRIED_PROBES => Some(now.instant + PROBE_SOON),
                _ => None,
            };
            return;
        }
        Ok(report) => report,
    };
    if state.trouble.take().is_some() && matches!(state.back_off.cause, Some(Cause::Fault(_))) {
        // It is back: what failed because it was away need not wait.
        state.back_off = BackOff::default();
    }
    state.look.take_if(|look| observation.started >= look.since);
    let after_push = state.settled.is_none_or(|settled| observation.started >= settled);
    let fresh = after_push && state.in_flight.is_none();
    let restarted = restarted(state, &report, after_push);
    let Read { hash, confirmed, waits } = read_hash(state, &report, after_push, restarted, goal, now);
    if restarted {
        // Another process: nothing that was sent to the old one can still be loaded, and it may take what that refused.
        state.process += 1;
        state.unknown = None;
        if let Some(push) = &mut state.in_flight {
            push.orphaned = true;
        }
        state.rejections.clear();
        state.back_off = BackOff::default();
        state.rests_until = None;
        state.drift.baseline = None;
        state.drift.found = None;
        state.drift.not_before = None;
    }
    let sent_now = state
        .in_flight
        .as_ref()
        .is_some_and(|push| push.configuration.hash() == hash);
    let confirmed = confirmed || sent_now;
    if fresh && takes_in_order(report.edition) {
        // Nothing more of it is on its way: the connection is gone. What something in between has taken may be (502, 504).
        let is_over = |open: &&mut Unresolved| {
            matches!(
                open.fault.kind,
                TransportFaultKind::ConnectionFailed | TransportFaultKind::Timeout
            )
        };
        if let Some(open) = state.unknown.as_mut().filter(is_over) {
            open.until = open.until.min(now.instant + UNKNOWN_IN_ORDER);
        }
    }
    state.predecessor.take_if(|push| restarted || push.hash == hash);
    if fresh || restarted || confirmed || state.observed.is_none() {
        if let Some(open) = state.unknown.take_if(|open| open.given.hash == hash) {
            // Had it been away in between, this would say little of what the load cost.
            let took = now.instant.duration_since(open.began).min(UNKNOWN_FOR);
            accept(state, open.given, Some(took), settings, now);
        }
        // What it ran before it took something is no drift.
        if fresh && !waits && !restarted && goal.permission == Permission::Free && goal.desired.is_some() {
            note_drift(state, hash, goal, now);
        }
        state.observed = Some(hash);
    }
    state.report = Some(report);
    let pause = match &mut state.names.open {
        Some(open) => Some(open.pause()),
        None => (state.unknown.is_some() || state.predecessor.is_some()).then_some(PROBE_SOON),
    };
    state.probe_at = pause.map(|pause| now.instant + pause);
}

/// What a report comes to.
struct Read {
    /// What the proxy runs, under our name for it.
    hash: ConfigHash,
    /// It has taken that before, and had not been seen to run it.
    confirmed: bool,
    /// It is still at what it ran before it took something, or this may be its name for that.
    waits: bool,
}

fn read_hash(
    state: &mut ProxyState,
    report: &ProxyReport,
    after_push: bool,
    restarted: bool,
    goal: &Goal,
    now: Moment,
) -> Read {
    let plain = |hash| Read {
        hash,
        confirmed: false,
        waits: false,
    };
    if restarted {
        let before = state.report.as_ref();
        let is_same = before.is_some_and(|before| before.version == report.version && before.edition == report.edition);
        state.names.restarted(is_same);
    }
    if !after_push {
        return plain(state.names.ours(report.hash));
    }
    if state.in_flight.is_some() {
        let began = state.names.confirms(report.hash);
        if let Some(began) = began {
            confirm(state, report.hash, began, goal);
        }
        return Read {
            confirmed: began.is_some(),
            ..plain(state.names.ours(report.hash))
        };
    }
    let known: Vec<ConfigHash> = goal.hashes().chain(state.sent.iter().copied()).collect();
    match state.names.read(report.hash, |hash| known.contains(&hash), now.instant) {
        Reading::Runs(hash) => plain(hash),
        Reading::Confirmed(hash, began) => {
            confirm(state, hash, began, goal);
            Read {
                confirmed: true,
                ..plain(hash)
            }
        }
        Reading::NotYet(hash) => Read {
            waits: true,
            ..plain(hash)
        },
        Reading::Unnamed(hash) => Read {
            waits: true,
            ..plain(hash)
        },
        Reading::Ignored(hash) => {
            // Without any configuration it is better given one once more than left alone.
            if !hash.is_none() {
                state.back_off(Cause::Ignored, ONE_ATTEMPT, now);
            }
            // That it goes on with this is nobody's doing.
            state.drift.baseline = Some(hash);
            Read {
                waits: true,
                ..plain(hash)
            }
        }
    }
}

/// It reports what it has taken before.
fn confirm(state: &mut ProxyState, hash: ConfigHash, began: Instant, goal: &Goal) {
    if goal.desired.as_ref().is_some_and(|desired| desired.hash() != hash) {
        // It runs what was the newest when the push began.
        state.behind_since = Some(began);
    }
}

/// Whether another process answers than before.
fn restarted(state: &ProxyState, report: &ProxyReport, after_push: bool) -> bool {
    let Some(before) = &state.report else {
        return false;
    };
    if report.restarted {
        return true;
    }
    let differs = |before: bool, after: bool, same: bool| before && after && !same;
    differs(
        before.node_id.is_some(),
        report.node_id.is_some(),
        before.node_id == report.node_id,
    ) || differs(
        before.started_at.is_some(),
        report.started_at.is_some(),
        before.started_at == report.started_at,
    ) || (!is_told(before, report)
        && after_push
        && report.hash.is_none()
        && state.observed.is_some_and(|hash| !hash.is_none()))
}

/// Whether a proxy tells its process apart from others: if it is the same one, who took its configuration away did that
/// from outside.
fn is_told(before: &ProxyReport, report: &ProxyReport) -> bool {
    let ids = before.node_id.is_some() && report.node_id.is_some();
    ids || (before.started_at.is_some() && report.started_at.is_some())
}

/// It runs something that nobody here gave it.
fn note_drift(state: &mut ProxyState, hash: ConfigHash, goal: &Goal, now: Moment) {
    let wanted = goal.desired.as_ref().is_some_and(|desired| desired.hash() == hash);
    let ours = wanted || state.sent.contains(&hash);
    match state.drift.baseline {
        Some(baseline) if baseline != hash && !ours => {
            let id = state.target.id.clone();
            state.drift.note(hash, &id, now);
        }
        _ => state.drift.baseline = Some(hash),
    }
}

fn pushed(state: &mut ProxyState, outcome: PushOutcome, goal: &Goal, settings: &Settings, now: Moment) {
    let Some(push) = state
        .in_flight
        .take_if(|push| push.configuration.hash() == outcome.hash)
    else {
        tracing::warn!(proxy = %state.target.id, hash = %outcome.hash, "an outcome came of a push that was not under way");
        return;
    };
    state.settled = Some(now.instant);
    state.probe_at = Some(now.instant);
    match outcome.result {
        PushResult::Accepted | PushResult::Unchanged => {
            state.trouble = None;
            if matches!(outcome.result, PushResult::Unchanged) {
                // It has compared the hashes itself.
                state
                    .names
                    .recognised(outcome.hash, push.reported, push.began, now.instant);
                state.observed = Some(outcome.hash);
                confirm(state, outcome.hash, push.began, goal);
            } else {
                // What it runs is what it reports: it is asked now.
                let reported = state.report.as_ref().map(|report| report.hash);
                state.names.taken(outcome.hash, reported, push.began, now.instant);
            }
            let took = matches!(outcome.result, PushResult::Accepted).then_some(outcome.took);
            accept(state, push.configuration.into(), took, settings, now);
        }
        PushResult::Rejected {
            message,
            entities,
            count,
        } => {
            state.trouble = None;
            state.back_off = BackOff::default();
            rest(state, outcome.took, settings, now);
            state.rejections.retain(|known| known.hash != outcome.hash);
            state.rejections.push(Rejection {
                hash: outcome.hash,
                at: now.instant,
                errors: proxy_errors(&message, &entities, now.timestamp),
                count,
                message,
            });
        }
        PushResult::Busy { retry_after } => {
            state.back_off(Cause::Busy, retry_after.unwrap_or_default(), now);
        }
        PushResult::Fenced => state.back_off(Cause::Fenced, ONE_ATTEMPT, now),
        PushResult::Unconfirmed => state.back_off(Cause::Unconfirmed, Duration::ZERO, now),
        PushResult::NotSent(fault) => state.back_off(Cause::Fault(fault), Duration::ZERO, now),
        PushResult::Unknown(fault) => {
            state.back_off(Cause::Fault(fault.clone()), Duration::ZERO, now);
            state.unknown = (!push.orphaned).then_some(Unresolved {
                given: push.configuration.into(),
                began: push.began,
                until: now.instant + UNKNOWN_FOR,
                fault,
            });
        }
    }
}

/// It has taken a configuration.
fn accept(state: &mut ProxyState, given: Given, took: Option<Duration>, settings: &Settings, now: Moment) {
    state.back_off = BackOff::default();
    state.drift.baseline = Some(given.hash);
    state.drift.found = None;
    if let Some(took) = took {
        rest(state, took, settings, now);
    }
    let known = state
        .accepted
        .take()
        .filter(|known| took.is_none() && known.given.hash == given.hash);
    state.accepted = Some(Accepted {
        at: known.as_ref().map_or(now.timestamp, |known| known.at),
        took: known.map_or(took, |known| known.took),
        given,
    });
}

/// A proxy that pays for pushes rests in proportion to what the last one cost it.
fn rest(state: &mut ProxyState, took: Duration, settings: &Settings, now: Moment) {
    let edition = state
        .report
        .as_ref()
        .map_or(Edition::OpenSource, |report| report.edition);
    let rest = if pays_for_pushes(edition) {
        settings.rest_after(took)
    } else {
        Duration::ZERO
    };
    state.rests_until = (!rest.is_zero()).then(|| now.instant + rest);
}

/// What can't be wanted again need not be remembered: a configuration that changed and changed back is tried anew.
fn forget_rejections(state: &mut ProxyState, goal: &Goal) {
    let accepted = state.accepted.as_ref().map(|accepted| accepted.given.hash);
    let keep: Vec<ConfigHash> = goal.hashes().chain(accepted).collect();
    state.rejections.retain(|rejection| keep.contains(&rejection.hash));
}

/// What it was given is of use only until something newer is known to be good, which it can be given instead. So it can not
/// while it has nothing, is just being sent that, or refuses it. Proxies that rest accept each another one, and there may be
/// many.
fn let_go(state: &mut ProxyState, goal: &Goal) {
    let Some(good) = &goal.last_good else {
        return;
    };
    let sent = state.in_flight.as_ref().map(|push| push.configuration.hash());
    if state.is_unconfigured() || sent == Some(good.hash()) || state.rejection(good.hash()).is_some() {
        return;
    }
    let older = state.given().filter(|given| given.is_older_than(good));
    older.for_each(Given::let_go);
}

fn note_lag(state: &mut ProxyState, goal: &Goal, now: Moment) {
    match &goal.desired {
        Some(desired) if state.report.is_some() && !state.stays_at(desired) => {
            state.behind_since.get_or_insert(now.instant);
        }
        _ => state.behind_since = None,
    }
}
