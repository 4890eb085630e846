//! The fleet at one moment: what `status` writes and `serve` shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use proxy_config_schema::ConfigHash;

use super::{Condition, ConditionStatus, HashMode, ProxyReport, configuration::takes_in_order, verdict};
use crate::{
    model::{NamespacedName, ObjectRef, Profile, ProxyId, ProxyTarget},
    render::LastGood,
    translate::fallback::Refusals,
};

/// All proxies at one moment. Published after every change, the latest value only.
#[derive(Debug, Clone, Default)]
pub struct FleetView {
    /// Proxies by namespace and name.
    pub proxies: Vec<Arc<ProxyView>>,
    /// Profiles that proxies have: one rendering each.
    pub profiles: BTreeSet<Profile>,
    /// What each profile shall run.
    pub desired: BTreeMap<Profile, ConfigHash>,
    /// What each profile's proxies accepted last.
    pub last_good: BTreeMap<Profile, ConfigHash>,
    /// The same, with the objects that it was made of.
    pub good: BTreeMap<Profile, Arc<LastGood>>,
    /// Whether it is known what proxies accepted before this controller began, as far as it can be.
    pub recalled: bool,
    /// The term in which what is good is confirmed ([`FleetEvent::Term`](super::FleetEvent::Term)).
    pub term: u64,
    /// Whether nothing may be sent now, since a source of the configuration is unavailable.
    pub held: bool,
    /// What each profile's proxies refused.
    pub refusals: BTreeMap<Profile, Arc<Refusals>>,
    /// The Admin Services to whose proxies no changes go.
    pub paused: BTreeSet<NamespacedName>,
    /// Whether this replica may begin pushes.
    pub may_push: bool,
    /// Pushes that have begun and not ended, but for those to proxies that are gone.
    pub pushes_under_way: usize,
}

/// One proxy at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyView {
    /// Who and where it is.
    pub target: Arc<ProxyTarget>,
    /// What the state machine is at.
    pub phase: Phase,
    /// Its profile, once it is known.
    pub profile: Option<Profile>,
    /// What it said of itself last.
    pub report: Option<ProxyReport>,
    /// What it shall run.
    pub desired: Option<ConfigHash>,
    /// What it runs, as far as is known: under our name for it.
    pub observed: Option<ConfigHash>,
    /// What else it may run at any moment: it is being pushed, or was, and the proxy has not shown yet what came of it.
    pub pending: Option<ConfigHash>,
    /// What it was sent by a push that has not ended, or ended without an answer: it may come to run that at any moment.
    pub unsettled: Option<ConfigHash>,
    /// What its hashes mean. What it calls that itself is in `report`.
    pub hash_mode: HashMode,
    /// What it accepted last.
    pub last_good: Option<ConfigHash>,
    /// When it accepted that.
    pub applied_at: Option<Timestamp>,
    /// How long that took.
    pub apply_duration: Option<Duration>,
    /// Size of what it accepted, in bytes.
    pub size_bytes: Option<u64>,
    /// Whether its Admin API answers.
    pub reachable: Condition,
    /// Whether both sides verified each other's certificate.
    pub mutual_tls: Condition,
    /// Whether it runs what it shall.
    pub synced: Condition,
    /// Whether nothing was left out of what it runs.
    pub complete: Condition,
    /// Whether it serves a configuration that was accepted.
    pub ready: Condition,
    /// Why it refused what it was sent, bounded and redacted.
    pub errors: Vec<ProxyError>,
    /// How many errors there are, also those beyond the bound.
    pub error_count: usize,
}

impl FleetView {
    /// What proxies were sent that may load it late and out of order: whoever leads next has to wait for that. The embedded
    /// proxy is none of these.
    pub fn unsettled(&self) -> BTreeMap<ProxyId, ConfigHash> {
        let unsettled = self.proxies.iter().filter_map(|proxy| {
            let edition = proxy.report.as_ref().map(|report| report.edition);
            let hash = proxy.unsettled.filter(|_| !edition.is_some_and(takes_in_order))?;
            Some((proxy.target.id.clone(), hash))
        });
        unsettled.collect()
    }
}

impl ProxyView {
    /// A warning, when it runs a configuration that uses over 80 % of what it takes.
    pub fn nearly_too_large(&self) -> Option<String> {
        verdict::nearly_too_large(self.size_bytes?, self.report.as_ref()?)
    }

    /// What does not hold of it, with the names of the conditions. Of a proxy that does not answer all else follows from that.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, &Condition)> {
        let fails = |(_, condition): &(_, &Condition)| condition.status == ConditionStatus::False;
        let reachable = ("Reachable", &self.reachable);
        let others = [("MutualTLS", &self.mutual_tls), ("Synced", &self.synced)];
        let others = others.into_iter().filter(move |_| !fails(&reachable));
        [reachable].into_iter().chain(others).filter(fails)
    }
}

/// One reason why a proxy refused a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyError {
    /// The object that the entity comes from, if the tags say so.
    pub object: Option<ObjectRef>,
    /// `route`, `service`, …; empty when the whole configuration is meant.
    pub entity_type: String,
    /// The field, if the error is about one.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// States of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Found; no probe has answered yet.
    Discovered,
    /// Answers, and has no configuration.
    Unconfigured,
    /// A push is under way, or has ended with a yes that the proxy's hash does not show yet.
    Pushing,
    /// A push ended without an answer: its hash will tell.
    Unknown,
    /// Runs what it shall.
    Synced,
    /// Refused what it shall run.
    Rejected,
    /// Does not answer.
    Unreachable,
    /// Runs something that it was not given.
    Drifted,
    /// Rests before the next push.
    Paced,
    /// Waits after a failed push, or until this replica may push.
    Waiting,
    /// Going away: still gets changes.
    Terminating,
}

impl Phase {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discovered => "Discovered",
            Self::Unconfigured => "Unconfigured",
            Self::Pushing => "Pushing",
            Self::Unknown => "Unknown",
            Self::Synced => "Synced",
            Self::Rejected => "Rejected",
            Self::Unreachable => "Unreachable",
            Self::Drifted => "Drifted",
            Self::Paced => "Paced",
            Self::Waiting => "Waiting",
            Self::Terminating => "Terminating",
        }
    }
}
