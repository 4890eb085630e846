//! What is known of one proxy. Facts only: what to do about them is in `step`, what to say in `verdict`.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

use super::{
    ProxyError, ProxyReport, TransportFault,
    configuration::{Configuration, Given, pays_for_pushes},
    names::Names,
    verdict::Conditions,
};
use crate::model::{ProxyId, ProxyTarget};

/// How long the outcome of a push without an answer stays open: Kong has finished loads 49 s after later ones
/// (reference: admin-api.md, "State and hash" 8).
pub(super) const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// The same of a proxy that takes configurations in order, from its first answer after the connection was lost or given up:
/// for what it has received and not got to yet (ADR 12).
pub(super) const UNKNOWN_IN_ORDER: Duration = Duration::from_secs(2);
/// Failed probes after which a proxy counts as unreachable.
pub(super) const FAILURES_TO_UNREACHABLE: u32 = 2;
/// Drifts within [`DRIFT_WINDOW`] that make a foreign writer.
pub(super) const DRIFTS_TO_FOREIGN_WRITER: usize = 3;
/// See [`DRIFTS_TO_FOREIGN_WRITER`].
pub(super) const DRIFT_WINDOW: Duration = Duration::from_secs(300);
/// Between two repairs against a foreign writer, or pushes to a proxy that has seen a later leader.
pub(super) const ONE_ATTEMPT: Duration = Duration::from_secs(60);
/// Hashes that are remembered as sent.
const MAX_SENT: usize = 8;
/// The first wait after a failed push; doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after a failed push, before it differs from proxy to proxy: 60 s at the most.
const LONGEST_WAIT: Duration = Duration::from_secs(48);

/// A moment on both clocks: one to measure by, one to show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) instant: Instant,
    pub(super) timestamp: Timestamp,
}

/// One proxy.
#[derive(Debug)]
pub(super) struct ProxyState {
    pub(super) target: Arc<ProxyTarget>,
    /// Its last answer.
    pub(super) report: Option<ProxyReport>,
    /// Counts its processes, as far as another one was noticed.
    pub(super) process: u64,
    /// What it runs, as far as is known: under our name for it, whatever the proxy calls it.
    pub(super) observed: Option<ConfigHash>,
    /// How its hashes are to be read.
    pub(super) names: Names,
    /// Probes have failed since its last answer.
    pub(super) trouble: Option<Trouble>,
    /// A push is under way.
    pub(super) in_flight: Option<InFlight>,
    /// A push ended without an answer.
    pub(super) unknown: Option<Unresolved>,
    /// The leader before was still sending it something when it gave the Lease back.
    pub(super) predecessor: Option<Predecessor>,
    /// This replica has come to lead: what the proxy runs now is to be seen before it is sent anything.
    pub(super) look: Option<Look>,
    /// When the last push ended: a probe that began before may tell of before.
    pub(super) settled: Option<Instant>,
    /// What it accepted last.
    pub(super) accepted: Option<Accepted>,
    /// What it refused, as far as it may be wanted again.
    pub(super) rejections: Vec<Rejection>,
    pub(super) back_off: BackOff,
    /// No push before, for pacing.
    pub(super) rests_until: Option<Instant>,
    /// What it was sent lately, by this replica.
    pub(super) sent: VecDeque<ConfigHash>,
    pub(super) drift: Drift,
    /// Since when it runs something else than it shall.
    pub(super) behind_since: Option<Instant>,
    /// When a probe is wanted ahead of the next one that comes anyway.
    pub(super) probe_at: Option<Instant>,
    pub(super) conditions: Conditions,
}

/// Failed probes.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) fault: TransportFault,
    pub(super) failures: u32,
}

/// A push under way.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) configuration: Configuration,
    pub(super) began: Instant,
    /// What the proxy reported before.
    pub(super) reported: Option<ConfigHash>,
    /// The process that it was sent to is gone.
    pub(super) orphaned: bool,
}

/// A push whose outcome is not known.
#[derive(Debug)]
pub(super) struct Unresolved {
    pub(super) given: Given,
    pub(super) began: Instant,
    pub(super) until: Instant,
    pub(super) fault: TransportFault,
}

/// A push of the leader before.
#[derive(Debug, Clone)]
pub(super) struct Predecessor {
    pub(super) hash: ConfigHash,
    /// Until when it may still be loaded.
    pub(super) until: Instant,
}

/// What a new leader knows of a proxy is of its time as a standby, up to a probe interval old: the leader before may have sent
/// the very same since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// An answer to a question that was asked before says nothing.
    pub(super) since: Instant,
    /// Whether the question is on its way.
    pub(super) is_asked: bool,
}

/// A configuration that the proxy accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) given: Given,
    pub(super) at: Timestamp,
    /// `None` when it had it already.
    pub(super) took: Option<Duration>,
}

/// A configuration that the proxy refused.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) hash: ConfigHash,
    pub(super) at: Instant,
    pub(super) message: String,
    pub(super) errors: Vec<ProxyError>,
    pub(super) count: usize,
}

/// Waiting after pushes that failed.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    pub(super) failures: u32,
    pub(super) until: Option<Instant>,
    pub(super) cause: Option<Cause>,
}

/// Why a push failed.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    Fault(TransportFault),
    Busy,
    Fenced,
    Unconfirmed,
    /// It was taken, and never came into effect.
    Ignored,
}

/// Changes of what a proxy runs that nobody here made.
#[derive(Debug, Default)]
pub(super) struct Drift {
    /// What it is known to run by what this replica did or saw while it led.
    pub(super) baseline: Option<ConfigHash>,
    /// What it was found to run instead, until it is repaired.
    pub(super) found: Option<ConfigHash>,
    /// When drifts were found, within the window.
    pub(super) times: VecDeque<Instant>,
    /// No repair before.
    pub(super) not_before: Option<Instant>,
}

impl ProxyState {
    pub(super) fn new(target: Arc<ProxyTarget>, now: Moment) -> Self {
        Self {
            target,
            report: None,
            process: 0,
            observed: None,
            names: Names::default(),
            trouble: None,
            in_flight: None,
            unknown: None,
            predecessor: None,
            look: None,
            settled: None,
            accepted: None,
            rejections: Vec::new(),
            back_off: BackOff::default(),
            rests_until: None,
            sent: VecDeque::new(),
            drift: Drift::default(),
            behind_since: None,
            probe_at: None,
            conditions: Conditions::new(now.timestamp),
        }
    }

    /// Whether it has been probed, and has no configuration.
    pub(super) fn is_unconfigured(&self) -> bool {
        self.observed.is_some_and(|hash| hash.is_none())
    }

    /// Whether it reports what a proxy reports that runs that configuration.
    pub(super) fn runs(&self, configuration: &Configuration) -> bool {
        self.observed == Some(configuration.hash())
    }

    /// The same, and nothing else is on its way to it.
    pub(super) fn stays_at(&self, configuration: &Configuration) -> bool {
        self.runs(configuration) && self.pending().is_none_or(|hash| hash == configuration.hash())
    }

    /// Whether it has answered that it took something else than what it was seen to run.
    pub(super) fn is_leaving(&self) -> bool {
        let open = self.names.open.as_ref();
        open.is_some_and(|open| Some(open.ours) != self.observed)
    }

    /// Whether it has answered that it took that configuration, and not reported yet that it runs it.
    pub(super) fn has_taken(&self, configuration: &Configuration) -> bool {
        let open = self.names.open.as_ref();
        open.is_some_and(|open| open.ours == configuration.hash())
    }

    /// What was sent to it of which it has not shown yet what came.
    pub(super) fn pending(&self) -> Option<ConfigHash> {
        let pushed = self.in_flight.as_ref().map(|push| push.configuration.hash());
        let unanswered = self.unknown.as_ref().map(|unknown| unknown.given.hash);
        let taken = self.names.open.as_ref().map(|open| open.ours);
        pushed.or(unanswered).or(taken)
    }

    /// What was sent to it and has not been answered.
    pub(super) fn unsettled(&self) -> Option<ConfigHash> {
        let pushed = self.in_flight.as_ref().map(|push| push.configuration.hash());
        let unanswered = self.unknown.as_ref().map(|unknown| unknown.given.hash);
        let earlier = self.predecessor.as_ref().map(|push| push.hash);
        pushed.or(unanswered).or(earlier)
    }

    /// What it was given and has taken, or may have.
    pub(super) fn given(&mut self) -> impl Iterator<Item = &mut Given> {
        let accepted = self.accepted.as_mut().map(|accepted| &mut accepted.given);
        let unknown = self.unknown.as_mut().map(|open| &mut open.given);
        accepted.into_iter().chain(unknown)
    }

    /// The leader before was still sending it that: it is waited for, and no drift when it comes.
    pub(super) fn await_predecessor(&mut self, push: Option<&Predecessor>, now: Moment) {
        if let Some(push) = push {
            self.remember_sent(push.hash);
            self.predecessor = Some(push.clone());
            self.probe_at = Some(now.instant);
        }
    }

    pub(super) fn rejection(&self, hash: ConfigHash) -> Option<&Rejection> {
        self.rejections.iter().find(|rejection| rejection.hash == hash)
    }

    /// Whether it does not answer. A probe that fails during a push is no sign of that where applying keeps the proxy from
    /// answering.
    pub(super) fn unreachable(&self) -> Option<&TransportFault> {
        let trouble = self.trouble.as_ref()?;
        let edition = self.report.as_ref().map(|report| report.edition);
        let is_busy = self.in_flight.is_some() && edition.is_some_and(pays_for_pushes);
        (trouble.failures >= FAILURES_TO_UNREACHABLE && !is_busy).then_some(&trouble.fault)
    }

    /// Whether it has a database, so that it takes no declarative configuration.
    pub(super) fn has_database(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.database != "off")
    }

    pub(super) fn remember_sent(&mut self, hash: ConfigHash) {
        if self.sent.contains(&hash) {
            return;
        }
        if self.sent.len() == MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back(hash);
    }

    /// Waits longer after each failure; never less than `at_least`.
    pub(super) fn back_off(&mut self, cause: Cause, at_least: Duration, now: Moment) {
        let wait = wait(&self.target.id, self.back_off.failures).max(at_least);
        self.back_off = BackOff {
            failures: self.back_off.failures.saturating_add(1),
            until: Some(now.instant + wait),
            cause: Some(cause),
        };
    }
}

impl Drift {
    /// Notes one; says whether it is the first within the window.
    pub(super) fn note(&mut self, hash: ConfigHash, id: &ProxyId, now: Moment) {
        self.forget_old(now.instant);
        self.times.push_back(now.instant);
        self.found = Some(hash);
        self.baseline = Some(hash);
        self.not_before = match self.times.len() {
            1 => None,
            count if count < DRIFTS_TO_FOREIGN_WRITER => Some(now.instant + wait(id, 1)),
            _ => Some(now.instant + ONE_ATTEMPT),
        };
        // Enough to tell a foreign writer, and bounded.
        while self.times.len() > DRIFTS_TO_FOREIGN_WRITER {
            self.times.pop_front();
        }
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        while self
            .times
            .front()
            .is_some_and(|&time| now.duration_since(time) > DRIFT_WINDOW)
        {
            self.times.pop_front();
        }
    }

    pub(super) fn is_foreign_writer(&self) -> bool {
        self.found.is_some() && self.times.len() >= DRIFTS_TO_FOREIGN_WRITER
    }
}

/// Doubles with each failure, and differs from proxy to proxy by up to a quarter either way, so that many that failed
/// together don't come back together. Without randomness, so that a step can be repeated.
fn wait(id: &ProxyId, failures: u32) -> Duration {
    let wait = FIRST_WAIT.saturating_mul(1 << failures.min(6)).min(LONGEST_WAIT);
    let mut hasher = DefaultHasher::new();
    (id, failures).hash(&mut hasher);
    wait.mul_f64(0.75 + (hasher.finish() % 512) as f64 / 1024.0)
}
