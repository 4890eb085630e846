//! The election as a pure step function: what is seen goes in, requests and leadership come out. No IO, no clock.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use tokio::time::Instant;

use super::{
    LeaseSettings,
    handover::{self, Unsettled},
};
use crate::model::{Epoch, Leadership};

/// The longest time for which another holder's Lease is respected, whatever it says.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

/// What the election learns.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// The watch shows the Lease.
    Seen(Box<Lease>),
    /// The watch says that there is no Lease. It may be behind: the Lease is read before anything follows from it.
    Gone,
    /// The watch does not work.
    Blind,
    /// The request under way ended.
    Answered(Answer),
    /// Time has passed.
    Tick,
    /// Give it back and end.
    Stop,
    /// Give it back, and leave it to the others for a while.
    GiveUp,
}

/// The outcome of a request.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// The Lease as it is now; after a write, as it was written.
    Lease(Box<Lease>),
    /// There is no Lease.
    Absent,
    /// The write is based on a state that is over.
    Conflict,
    /// Refused, or the outcome is not known.
    Failed,
}

/// A request to the API server. There is never more than one under way.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    /// `GET`.
    Read,
    /// `POST`.
    Create(Box<Lease>),
    /// `PUT`, with the resource version that it is based on.
    Replace(Box<Lease>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Read,
    Create,
    Renew,
    Acquire,
    Release,
}

/// What is known of the Lease.
#[derive(Debug)]
enum Knowledge {
    Nothing,
    Absent,
    Lease {
        lease: Box<Lease>,
        /// When it was seen to change, by the local clock.
        changed: Instant,
    },
}

/// Leadership that was won and not seen lost.
#[derive(Debug)]
struct Held {
    epoch: Epoch,
    /// Until when it holds without another renewal: the renew deadline after the last one was sent.
    until: Instant,
}

/// One replica's part in the election.
#[derive(Debug)]
pub(super) struct Election {
    settings: LeaseSettings,
    knowledge: Knowledge,
    /// Whether the Lease is to be read before it is written, and when.
    read_at: Option<Instant>,
    /// The earliest next write.
    write_at: Instant,
    under_way: Option<(Purpose, Instant)>,
    held: Option<Held>,
    leadership: Leadership,
    stopping: bool,
    /// The Lease is ours and on its way back.
    giving_up: bool,
    /// Before this moment it is left to the others.
    not_before: Option<Instant>,
    /// What this replica is still sending, to be told when it gives the Lease back.
    unsettled: Unsettled,
    /// What the one before was still sending when this replica took the Lease.
    handed_over: Unsettled,
}

impl Election {
    pub(super) fn new(settings: LeaseSettings, now: Instant) -> Self {
        Self {
            settings,
            knowledge: Knowledge::Nothing,
            read_at: Some(now),
            write_at: now,
            under_way: None,
            held: None,
            leadership: Leadership::Unknown,
            stopping: false,
            giving_up: false,
            not_before: None,
            unsettled: Unsettled::new(),
            handed_over: Unsettled::new(),
        }
    }

    /// Whether the Lease is about to be given back: then [`Self::tell`] what the next leader has to know.
    pub(super) fn gives_back(&self) -> bool {
        self.stopping || self.giving_up
    }

    /// What this replica is still sending to proxies.
    pub(super) fn tell(&mut self, unsettled: Unsettled) {
        self.unsettled = unsettled;
    }

    /// What the leader before was still sending to proxies when it gave the Lease back to this one.
    pub(super) fn handed_over(&self) -> &Unsettled {
        &self.handed_over
    }

    /// This replica's part now.
    pub(super) fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Whose Lease is being taken over, and for how long it was not seen to change; `None` when nobody held it.
    pub(super) fn takes_over_from(&self, now: Instant) -> Option<(&str, Duration)> {
        match (&self.under_way, &self.knowledge) {
            (Some((Purpose::Acquire, _)), Knowledge::Lease { lease, changed }) => {
                Some((holder(lease)?, now.duration_since(*changed)))
            }
            _ => None,
        }
    }

    /// Whether the end has come: stopped, and the Lease is not (or no longer) ours.
    pub(super) fn is_over(&self) -> bool {
        self.stopping && self.under_way.is_none() && self.next().is_none()
    }

    /// When [`Event::Tick`] is due.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let request = self.next().map(|(at, _)| at);
        let deadline = match (&self.leadership, &self.held) {
            (Leadership::Leader { .. }, Some(held)) => Some(held.until),
            _ => None,
        };
        request.into_iter().chain(deadline).min()
    }

    /// The request that is due now, if any; it counts as under way until it is answered.
    pub(super) fn request(&mut self, now: Instant, wall: Timestamp) -> Option<Request> {
        let (_, purpose) = self.next().filter(|(at, _)| *at <= now)?;
        self.under_way = Some((purpose, now));
        match (purpose, &self.knowledge) {
            (Purpose::Acquire, Knowledge::Lease { lease, .. }) => self.handed_over = handover::read(lease),
            // What was handed over with the one before has long been told.
            (Purpose::Create, _) => self.handed_over.clear(),
            _ => {}
        }
        match purpose {
            Purpose::Read => self.read_at = None,
            _ => self.write_at = now + self.settings.timing.retry_period,
        }
        Some(match (purpose, &self.knowledge) {
            (Purpose::Create, _) => Request::Create(Box::new(self.first_lease(wall))),
            (Purpose::Renew | Purpose::Acquire | Purpose::Release, Knowledge::Lease { lease, .. }) => {
                Request::Replace(Box::new(self.next_lease(lease, purpose, wall)))
            }
            _ => Request::Read,
        })
    }

    /// Takes in what was learnt.
    pub(super) fn step(&mut self, now: Instant, event: Event) {
        match event {
            // The watch may lag behind what was read or written.
            Event::Seen(lease) if self.is_older(&lease) => {}
            Event::Seen(lease) => self.observe(lease, now),
            Event::Gone if matches!(self.knowledge, Knowledge::Absent) => {}
            Event::Gone => self.read_at = Some(now),
            // A leader learns what it needs from its renewals.
            Event::Blind if self.held.is_none() => self.read_at = self.read_at.or(Some(now)),
            Event::Blind | Event::Tick => {}
            Event::Answered(answer) => self.answered(answer, now),
            Event::Stop => {
                self.stopping = true;
                self.write_at = now;
                self.held = None;
                self.leadership = Leadership::Follower { holder: None };
            }
            // Who does not hold it has nothing to give.
            Event::GiveUp if self.held.is_none() => {}
            Event::GiveUp => {
                self.giving_up = true;
                self.not_before = Some(now + self.settings.timing.lease_duration);
                self.write_at = now;
                self.held = None;
                self.leadership = Leadership::Follower { holder: None };
            }
        }
        if let (Leadership::Leader { epoch }, Some(held)) = (&self.leadership, &self.held)
            && now >= held.until
        {
            self.leadership = Leadership::Cut { epoch: epoch.clone() };
        }
    }

    fn answered(&mut self, answer: Answer, now: Instant) {
        let Some((purpose, sent)) = self.under_way.take() else {
            return;
        };
        match answer {
            Answer::Lease(lease) => {
                let won = matches!(purpose, Purpose::Create | Purpose::Renew | Purpose::Acquire).then(|| Held {
                    epoch: epoch(&lease),
                    until: sent + self.settings.timing.renew_deadline,
                });
                self.observe(lease, now);
                if self.stopping || self.giving_up {
                    self.write_at = now;
                } else if let Some(held) = won {
                    self.leadership = Leadership::Leader {
                        epoch: held.epoch.clone(),
                    };
                    self.held = Some(held);
                }
            }
            Answer::Absent => {
                self.knowledge = Knowledge::Absent;
                self.write_at = now;
                self.giving_up = false;
                self.follow(None);
            }
            Answer::Conflict => self.read_at = Some(now),
            Answer::Failed if purpose == Purpose::Read => self.read_at = Some(sent + self.settings.timing.retry_period),
            Answer::Failed => {}
        }
    }

    /// Takes in the Lease as it was read, watched or written.
    fn observe(&mut self, lease: Box<Lease>, now: Instant) {
        let mut changed_at = now;
        let mut was_held = true;
        if let Knowledge::Lease { lease: known, changed } = &self.knowledge {
            was_held = holder(known).is_some();
            if known.spec == lease.spec && known.metadata.uid == lease.metadata.uid {
                changed_at = *changed;
            }
        }
        let holder = holder(&lease).map(Arc::<str>::from);
        if holder.is_none() && was_held {
            self.write_at = now;
        }
        self.knowledge = Knowledge::Lease {
            lease,
            changed: changed_at,
        };
        if holder.as_ref() != Some(&self.settings.identity) {
            self.giving_up = false;
            self.follow(holder);
        } else if self.held.is_none() && !self.stopping {
            // A write of ours that seemed to fail got through: renew at once to know that it still holds.
            self.write_at = now;
        }
    }

    fn is_older(&self, lease: &Lease) -> bool {
        let Knowledge::Lease { lease: known, .. } = &self.knowledge else {
            return false;
        };
        matches!((version(lease), version(known)), (Some(seen), Some(known)) if seen < known)
    }

    fn follow(&mut self, holder: Option<Arc<str>>) {
        self.held = None;
        self.leadership = Leadership::Follower { holder };
    }

    /// What is to be done next, and when.
    fn next(&self) -> Option<(Instant, Purpose)> {
        if self.under_way.is_some() {
            return None;
        }
        let ours = matches!(&self.knowledge, Knowledge::Lease { lease, .. }
            if holder(lease) == Some(&self.settings.identity));
        if self.stopping && !ours {
            return None;
        }
        if let Some(at) = self.read_at {
            return Some((at, Purpose::Read));
        }
        match &self.knowledge {
            _ if ours && (self.stopping || self.giving_up) => Some((self.write_at, Purpose::Release)),
            _ if ours => Some((self.write_at, Purpose::Renew)),
            Knowledge::Nothing => Some((self.write_at, Purpose::Read)),
            Knowledge::Absent => Some((self.not_before(self.write_at), Purpose::Create)),
            Knowledge::Lease { lease, changed } => {
                let free_at = match holder(lease) {
                    Some(_) => *changed + duration(lease),
                    None => *changed,
                };
                Some((self.not_before(free_at.max(self.write_at)), Purpose::Acquire))
            }
        }
    }

    fn not_before(&self, at: Instant) -> Instant {
        self.not_before.map_or(at, |limit| limit.max(at))
    }

    fn first_lease(&self, wall: Timestamp) -> Lease {
        let metadata = ObjectMeta {
            namespace: Some(self.settings.lease.namespace.to_string()),
            name: Some(self.settings.lease.name.to_string()),
            ..ObjectMeta::default()
        };
        let spec = LeaseSpec {
            acquire_time: Some(MicroTime(wall)),
            lease_transitions: Some(0),
            ..self.spec(wall)
        };
        Lease {
            metadata,
            spec: Some(spec),
        }
    }

    /// The Lease that follows `known`; its labels and annotations stay.
    fn next_lease(&self, known: &Lease, purpose: Purpose, wall: Timestamp) -> Lease {
        let spec = known.spec.clone().unwrap_or_default();
        let next = match purpose {
            Purpose::Renew => LeaseSpec {
                acquire_time: spec.acquire_time,
                lease_transitions: spec.lease_transitions,
                ..self.spec(wall)
            },
            Purpose::Release => LeaseSpec {
                acquire_time: Some(MicroTime(wall)),
                holder_identity: None,
                lease_duration_seconds: Some(1),
                lease_transitions: spec.lease_transitions,
                ..self.spec(wall)
            },
            Purpose::Acquire | Purpose::Create | Purpose::Read => LeaseSpec {
                acquire_time: Some(MicroTime(wall)),
                lease_transitions: Some(spec.lease_transitions.unwrap_or(0).saturating_add(1)),
                ..self.spec(wall)
            },
        };
        let mut metadata = known.metadata.clone();
        metadata.managed_fields = None;
        let told = (purpose == Purpose::Release).then_some(&self.unsettled);
        handover::write(&mut metadata, told);
        Lease {
            metadata,
            spec: Some(next),
        }
    }

    fn spec(&self, wall: Timestamp) -> LeaseSpec {
        let seconds = self.settings.timing.lease_duration.as_secs().max(1);
        LeaseSpec {
            holder_identity: Some(self.settings.identity.to_string()),
            lease_duration_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
            renew_time: Some(MicroTime(wall)),
            ..LeaseSpec::default()
        }
    }
}

/// Who holds a Lease; an empty name is nobody.
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref()?;
    (!holder.is_empty()).then_some(holder)
}

/// Under which leadership who holds a Lease leads.
pub(super) fn epoch(lease: &Lease) -> Epoch {
    let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0);
    Epoch {
        lease_uid: lease.metadata.uid.as_deref().unwrap_or_default().into(),
        transitions: u64::try_from(transitions).unwrap_or(0),
    }
}

/// How long a Lease holds after its last change.
fn duration(lease: &Lease) -> Duration {
    let seconds = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.lease_duration_seconds)
        .unwrap_or(0);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).clamp(Duration::from_secs(1), LONGEST_LEASE)
}

/// Resource versions grow with every write to the store (Kubernetes 1.35 makes that a promise).
fn version(lease: &Lease) -> Option<u128> {
    lease.metadata.resource_version.as_deref()?.parse().ok()
}
