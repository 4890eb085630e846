//! Which write is next: a pure step function over what is wanted, what was written, and a budget.
//!
//! Nothing is written on a timer, nothing that says the same as what stands there, and never two writes at once to one
//! object. Lanes share one budget: Pods' readiness gates, transitions, refreshes, and last what may be missed (DESIGN.md §4 and
//! `docs/adr/0013-news-have-a-lane.md`). Refreshes wait a second so that a change that comes in pieces is one write, the time
//! between two of one object grows with the queue, and they leave some of the budget and of the writes at once to the others.
//! What may be missed is a few a second, whatever the budget has left. What the API server refuses for good is left until it
//! changes; everything else is tried again, ever more slowly.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    budget::Budget,
    document::{Class, Document, Key, Lane},
};

/// How many writes are under way at once.
const MAX_UNDER_WAY: usize = 48;
/// How many of them are refreshes: however slow the API server is, there is room for what is urgent.
const MAX_REFRESHES_UNDER_WAY: usize = 16;
/// How long a refresh waits for more.
const SETTLE: Duration = Duration::from_secs(1);
/// The least time between two pieces of good news, whatever the budget has left.
const NEWS_SPACING: Duration = Duration::from_millis(200);
/// The longest wait of one object, of a kind that is refused or missing, or of all, after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What is next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// A write, which counts as under way until [`Planner::done`].
    Write(Write),
    /// Nothing before that time.
    At(Instant),
    /// Nothing, until something changes.
    Nothing,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Write {
    pub(super) key: Key,
    pub(super) action: Action,
}

/// What to do with the object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Make it so.
    Put(Arc<Document>),
    /// Delete what stands there, which belongs to something else of the same name; then make it so.
    Replace(Arc<Document>),
    /// Delete it.
    Delete,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It stands there.
    Written,
    /// The object that it belongs to is gone.
    Gone,
    /// The API server will never take this content.
    Invalid,
    /// No permission, or no such kind.
    Refused,
    /// Not now.
    Again,
    /// The API server is out of reach or overloaded: nothing else will work either.
    Unreachable,
}

/// How much waits to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Pods' readiness gates.
    pub gates: usize,
    /// Transitions.
    pub transitions: usize,
    /// Refreshes and events.
    pub refreshes: usize,
    /// Events that may be missed: a few a second, whatever the budget has left.
    pub news: usize,
    /// Writes so far.
    pub writes: u64,
    /// Writes that failed so far.
    pub failures: u64,
}

#[derive(Debug, Default)]
struct Item {
    /// What shall stand there; `None`: nothing.
    wanted: Option<Arc<Document>>,
    /// What stands there, as far as is known.
    written: Option<Arc<Document>>,
    /// What is being written.
    under_way: Option<UnderWay>,
    /// What somebody else wrote while that was under way: which of the two came last is not known.
    overwritten: Option<Arc<Document>>,
    last_write: Option<Instant>,
    retry_at: Option<Instant>,
    failures: u32,
    /// Nobody is interested any more; it goes when what is under way has ended.
    forgotten: bool,
}

#[derive(Debug)]
struct UnderWay {
    action: Action,
    lane: Lane,
}

/// An item whose wanted and written content differ.
#[derive(Debug, Clone, Copy)]
struct Dirty {
    since: Instant,
    lane: Lane,
}

/// A kind that is refused or missing in a namespace. An API server that has just started refuses what it will allow as soon
/// as it has read who may do what: so it is not left alone for long at first.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    times: u32,
    until: Instant,
}

/// Which write is next.
#[derive(Debug)]
pub(super) struct Planner {
    budget: Budget,
    items: HashMap<Key, Item>,
    dirty: BTreeMap<Key, Dirty>,
    under_way: usize,
    /// Those of them that are refreshes.
    refreshes_under_way: usize,
    refused: HashMap<(Class, Arc<str>), Refusal>,
    held: BTreeSet<Class>,
    /// When the next piece of good news may be written.
    news_at: Instant,
    unreachable_until: Option<Instant>,
    unreachable: u32,
    writes: u64,
    failures: u64,
}

impl Planner {
    pub(super) fn new(qps: u32, burst: u32, now: Instant) -> Self {
        Self {
            budget: Budget::new(qps, burst, now),
            items: HashMap::new(),
            dirty: BTreeMap::new(),
            under_way: 0,
            refreshes_under_way: 0,
            refused: HashMap::new(),
            held: BTreeSet::new(),
            news_at: now,
            unreachable_until: None,
            unreachable: 0,
            writes: 0,
            failures: 0,
        }
    }

    /// Writes nothing of a class until [`Planner::release`]: what stands there is not known yet.
    pub(super) fn hold(&mut self, class: Class) {
        self.held.insert(class);
    }

    /// What stands there is known now.
    pub(super) fn release(&mut self, class: Class) {
        self.held.remove(&class);
        self.refused.retain(|(refused, _), _| *refused != class);
    }

    /// What is known to stand there, for instance since an earlier leader wrote it. What we wrote counts more.
    pub(super) fn seed(&mut self, key: &Key, document: Document, now: Instant) {
        let item = self.items.entry(key.clone()).or_default();
        if item.written.is_none() && item.under_way.is_none() {
            item.written = Some(Arc::new(document));
            if item.wanted.is_some() {
                self.review(key, now);
            }
        }
    }

    /// Somebody else wrote this, perhaps over what we wrote. Returns whether it is news.
    pub(super) fn overwritten(&mut self, key: &Key, document: Document, now: Instant) -> bool {
        let item = self.items.entry(key.clone()).or_default();
        if item.under_way.is_some() {
            item.overwritten = Some(Arc::new(document));
            return true;
        }
        if item.written.as_deref() == Some(&document) {
            return false;
        }
        item.written = Some(Arc::new(document));
        if item.wanted.is_some() {
            self.review(key, now);
        }
        true
    }

    /// What was written there last, as far as is known.
    pub(super) fn written(&self, key: &Key) -> Option<&Document> {
        self.items.get(key)?.written.as_deref()
    }

    /// What shall stand there.
    pub(super) fn want(&mut self, key: &Key, document: Document, now: Instant) {
        let item = self.items.entry(key.clone()).or_default();
        if item.wanted.as_deref() == Some(&document) {
            return;
        }
        item.wanted = Some(Arc::new(document));
        item.retry_at = None;
        item.forgotten = false;
        self.review(key, now);
    }

    /// The same, where it may well stand there already: it does not go before what is known to have changed.
    pub(super) fn confirm(&mut self, key: &Key, document: Document, now: Instant) {
        self.want(key, document, now);
        if let Some(dirty) = self.dirty.get_mut(key) {
            dirty.lane = Lane::Refresh;
        }
    }

    /// The object shall not be there.
    pub(super) fn remove(&mut self, key: &Key, now: Instant) {
        if let Some(item) = self.items.get_mut(key) {
            item.wanted = None;
            item.retry_at = None;
            self.review(key, now);
        }
    }

    /// It is no longer of interest; it may stay as it is.
    pub(super) fn forget(&mut self, key: &Key) {
        self.dirty.remove(key);
        match self.items.get_mut(key) {
            Some(item) if item.under_way.is_some() => {
                *item = Item {
                    under_way: item.under_way.take(),
                    forgotten: true,
                    ..Item::default()
                };
            }
            _ => drop(self.items.remove(key)),
        }
    }

    /// Somebody else took it away.
    pub(super) fn lost(&mut self, key: &Key, now: Instant) {
        let dependent = key.dependent();
        for key in [Some(key), dependent.as_ref()].into_iter().flatten() {
            if let Some(item) = self.items.get_mut(key) {
                item.written = None;
                self.review(key, now);
            }
        }
    }

    /// How much waits.
    pub(super) fn load(&self) -> Load {
        let count = |lane| self.dirty.values().filter(|dirty| dirty.lane == lane).count();
        Load {
            gates: count(Lane::Gate),
            transitions: count(Lane::Transition),
            refreshes: count(Lane::Refresh),
            news: count(Lane::News),
            writes: self.writes,
            failures: self.failures,
        }
    }

    /// The next write, or when there may be one.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.under_way >= MAX_UNDER_WAY || self.dirty.is_empty() {
            return Next::Nothing;
        }
        if let Some(until) = self.unreachable_until.filter(|until| *until > now) {
            return Next::At(until);
        }
        let refreshes = self.dirty.values().filter(|dirty| dirty.lane == Lane::Refresh).count();
        let stretched = Duration::from_secs_f64(refreshes as f64 / self.budget.rate());
        let may_refresh = self.refreshes_under_way < MAX_REFRESHES_UNDER_WAY;
        let mut chosen: Option<(Lane, Instant, &Key)> = None;
        let mut earliest: Option<Instant> = None;
        for (key, dirty) in &self.dirty {
            if dirty.lane >= Lane::Refresh && !may_refresh {
                continue;
            }
            let Some(mut at) = self.due_at(key, dirty, stretched) else {
                continue;
            };
            if dirty.lane == Lane::News {
                at = at.max(self.news_at);
            }
            if at > now {
                earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
            } else if chosen.is_none_or(|(lane, since, _)| (dirty.lane, dirty.since) < (lane, since)) {
                chosen = Some((dirty.lane, dirty.since, key));
            }
        }
        let Some((lane, _, key)) = chosen else {
            return earliest.map_or(Next::Nothing, Next::At);
        };
        let token_at = self.budget.available_at(now, lane >= Lane::Refresh);
        if token_at > now {
            // Something urgent may become due before that.
            return Next::At(earliest.map_or(token_at, |earliest| earliest.min(token_at)));
        }
        let key = key.clone();
        self.budget.take(1);
        self.under_way += 1;
        self.refreshes_under_way += usize::from(lane >= Lane::Refresh);
        if lane == Lane::News {
            self.news_at = now + NEWS_SPACING;
        }
        let item = self.items.get_mut(&key).expect("what is dirty is an item");
        let action = match (&item.wanted, &item.written) {
            (None, _) => Action::Delete,
            (Some(wanted), Some(written)) if is_of_another(wanted, written) => Action::Replace(wanted.clone()),
            (Some(wanted), _) => Action::Put(wanted.clone()),
        };
        item.under_way = Some(UnderWay {
            action: action.clone(),
            lane,
        });
        item.last_write = Some(now);
        Next::Write(Write { key, action })
    }

    /// When a dirty item may be written; `None` when something else must happen first.
    fn due_at(&self, key: &Key, dirty: &Dirty, stretched: Duration) -> Option<Instant> {
        let item = self.items.get(key)?;
        if item.under_way.is_some() || self.held.contains(&key.class()) {
            return None;
        }
        if let Some(basis) = key.basis() {
            let basis = self.items.get(&basis)?;
            let stands = match (&basis.wanted, &basis.written) {
                (Some(wanted), Some(written)) => !is_of_another(wanted, written),
                _ => false,
            };
            if !stands {
                return None;
            }
        }
        let mut at = dirty.since;
        if let Some(wanted) = &item.wanted {
            at += wanted.patience();
            let mut spacing = wanted.spacing();
            if dirty.lane == Lane::Refresh && key.class() != Class::Event {
                at += SETTLE;
                spacing = spacing.max(stretched);
            }
            if let Some(last) = item.last_write {
                at = at.max(last + spacing);
            }
        }
        let refused = self.refused.get(&(key.class(), key.name().namespace.clone()));
        Some(
            [item.retry_at, refused.map(|refusal| refusal.until)]
                .into_iter()
                .flatten()
                .fold(at, Instant::max),
        )
    }

    /// Takes in what came of a write, and how many requests it took.
    pub(super) fn done(&mut self, key: &Key, outcome: Outcome, requests: u32, now: Instant) {
        self.budget.take(requests.saturating_sub(1));
        self.writes += 1;
        self.failures += u64::from(outcome != Outcome::Written);
        if outcome == Outcome::Unreachable {
            // Writes that were under way together fail together, and count once.
            if self.unreachable_until.is_none_or(|until| until <= now) {
                self.unreachable += 1;
                self.unreachable_until = Some(now + back_off(self.unreachable));
            }
        } else {
            self.unreachable = 0;
            self.unreachable_until = None;
        }
        let Some(item) = self.items.get_mut(key) else { return };
        let Some(UnderWay { action, lane }) = item.under_way.take() else {
            return;
        };
        self.under_way -= 1;
        self.refreshes_under_way -= usize::from(lane >= Lane::Refresh);
        if item.forgotten {
            self.items.remove(key);
            return;
        }
        let overwritten = item.overwritten.take();
        let mut anew = false;
        match (outcome, action) {
            (Outcome::Written | Outcome::Gone, Action::Delete) => item.written = None,
            (Outcome::Written, Action::Put(document) | Action::Replace(document)) => {
                anew = item
                    .written
                    .as_ref()
                    .is_none_or(|written| is_of_another(&document, written));
                item.written = Some(document);
            }
            // A status whose object is gone: the object is made again first.
            (Outcome::Gone, _) if key.basis().is_some() => {
                item.written = None;
                item.failures += 1;
                item.retry_at = Some(now + back_off(item.failures));
                if let Some(basis) = key.basis() {
                    self.lost(&basis, now);
                }
                return;
            }
            (Outcome::Gone | Outcome::Invalid, Action::Put(document) | Action::Replace(document)) => {
                item.written = Some(document);
            }
            (Outcome::Refused, _) => {
                item.failures += 1;
                item.retry_at = Some(now + back_off(item.failures));
                let kind = (key.class(), key.name().namespace.clone());
                let refusal = self.refused.entry(kind).or_insert(Refusal { times: 0, until: now });
                // Writes that were under way together are refused together, and count once.
                if refusal.until <= now {
                    refusal.times += 1;
                    refusal.until = now + back_off(refusal.times);
                }
            }
            (Outcome::Invalid | Outcome::Again, _) => {
                item.failures += 1;
                item.retry_at = Some(now + back_off(item.failures));
            }
            (Outcome::Unreachable, _) => {}
        }
        if overwritten.is_some() && !matches!(outcome, Outcome::Gone | Outcome::Invalid) {
            item.written = overwritten;
        }
        if matches!(outcome, Outcome::Written | Outcome::Gone) {
            item.failures = 0;
            item.retry_at = None;
            self.refused.remove(&(key.class(), key.name().namespace.clone()));
        }
        self.review(key, now);
        if anew && let Some(dependent) = key.dependent() {
            self.lost(&dependent, now);
        }
    }

    /// Decides anew whether, and how urgently, an item is to be written.
    fn review(&mut self, key: &Key, now: Instant) {
        let Some(item) = self.items.get(key) else { return };
        let lane = match (&item.wanted, &item.written) {
            (None, None) => {
                if item.under_way.is_none() {
                    self.items.remove(key);
                }
                self.dirty.remove(key);
                return;
            }
            (None, Some(_)) => Some(Lane::Transition),
            (Some(wanted), Some(written)) if wanted.says_the_same(written) => None,
            (Some(wanted), written) => Some(wanted.lane(written.as_deref())),
        };
        match lane {
            // An object that was only seeded, and that nobody has claimed or rejected yet, is left alone.
            None => drop(self.dirty.remove(key)),
            Some(lane) => {
                let dirty = self.dirty.entry(key.clone()).or_insert(Dirty { since: now, lane });
                dirty.lane = lane;
            }
        }
    }
}

/// Whether a `ProxyInstance` belongs to another Pod of the same name.
fn is_of_another(wanted: &Document, written: &Document) -> bool {
    match (wanted, written) {
        (Document::Instance(wanted), Document::Instance(written)) => wanted.pod_ref.uid != written.pod_ref.uid,
        _ => false,
    }
}

/// 1 s, 2 s, 4 s … up to the longest wait.
fn back_off(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    Duration::from_secs(1 << doublings).min(LONGEST_WAIT)
}
