//! When it is put away: a little after it changed, at most once in five minutes, and when the controller stops; at once
//! when nothing may be sent any more, and within a minute when a kind has gone out of use, though never more than three
//! writes ahead of one in five minutes. When it is read: at the start, and
//! again by a replica that comes to lead with nothing else to go by.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use kube::Client;
use proxy_config_schema::ConfigHash;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Error, LastGoods, Place, Store,
    directory::Directory,
    seal::{self, Key},
    secrets::Secrets,
};
use crate::{
    fleet::{FleetEvent, FleetView},
    model::{Kind, Leadership, Profile, Storage},
    render::LastGood,
};

/// The least time between two writes.
pub(super) const INTERVAL: Duration = Duration::from_secs(300);
/// From a change to the write, so that changes that come together are written together.
pub(super) const CALM: Duration = Duration::from_secs(10);
/// Before what failed is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(60);
/// The least time between two writes when the last object of a kind has gone: what says that it was in use would hold
/// everything back where the kind itself goes next.
pub(super) const KIND_GONE: Duration = Duration::from_secs(60);
/// How far writes that don't wait their five minutes may be ahead of one in [`INTERVAL`]: three of them.
pub(super) const AHEAD: Duration = Duration::from_secs(3 * INTERVAL.as_secs());
/// How long what was put away is looked for at the start: without it the controller goes on, too.
const LOAD_WITHIN: Duration = Duration::from_secs(30);
/// What that means, for the log.
const WITHOUT_IT: &str =
    "going on without it: kinds that the cluster lacks now count as never used, and nothing is held back for them";
/// The same of a replica that comes to lead.
const AS_BEFORE: &str = "going by what was found when this replica started";
/// Between two attempts to find it.
const LOAD_AGAIN: Duration = Duration::from_secs(2);
/// How long that may take a replica that comes to lead: it has found something before.
const LOAD_AGAIN_WITHIN: Duration = Duration::from_secs(5);
/// How long the last write may take when the controller stops.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// What puts it away; to be stopped last.
pub struct Archive {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Archive {
    /// Begins to write what has not been written yet, as the last thing.
    pub fn finish(&self) {
        self.stop.cancel();
    }

    /// Waits for that, for a bounded time.
    pub async fn finished(self) {
        // An error means that it panicked, and is in the log.
        let _ = timeout(LAST_WRITE, self.task).await;
    }
}

/// Looks for what was put away and tells the fleet, then puts away what proxies accept as long as this replica leads.
pub fn follow(
    place: &Place,
    client: Option<Client>,
    view: watch::Receiver<Arc<FleetView>>,
    leadership: watch::Receiver<Leadership>,
    events: mpsc::Sender<FleetEvent>,
) -> (Archive, watch::Receiver<Storage>) {
    let (reports, report) = watch::channel(Storage::Waiting);
    let stop = CancellationToken::new();
    let inputs = Inputs {
        view,
        leadership,
        events,
        reports,
        stop: stop.clone(),
    };
    let task = match (place, client) {
        (Place::Directory { directory, key }, _) => {
            let (directory, key) = (directory.clone(), key.clone());
            tokio::spawn(run(Directory { directory, key }, inputs))
        }
        (Place::Secrets(name), Some(client)) => tokio::spawn(run(Secrets::new(client, name.clone()), inputs)),
        (Place::Secrets(_), None) => unreachable!("the flags are refused without a cluster"),
    };
    (Archive { stop, task }, report)
}

/// What the task lives on.
pub(super) struct Inputs {
    pub(super) view: watch::Receiver<Arc<FleetView>>,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) events: mpsc::Sender<FleetEvent>,
    pub(super) reports: watch::Sender<Storage>,
    pub(super) stop: CancellationToken,
}

type Hashes = BTreeMap<Profile, ConfigHash>;

fn hashes(goods: &LastGoods) -> Hashes {
    let goods = goods.iter();
    goods
        .map(|(profile, good)| (profile.clone(), good.rendered.hash))
        .collect()
}

/// The kinds of which there were objects.
fn kinds(goods: &LastGoods) -> BTreeSet<Kind> {
    let has_some = |kind: &Kind| goods.values().any(|good| !good.sources.has_none_of(*kind));
    Kind::ALL.iter().copied().filter(has_some).collect()
}

/// What proxies accepted of the profiles that they have. Of others it may be long out of date, and would tell the next
/// controller that what it was made of is still in use. As long as a proxy has not said what it is, and while there are none,
/// all counts.
fn in_use(view: &FleetView) -> LastGoods {
    let profiles = view.proxies.iter().map(|proxy| proxy.profile.as_ref());
    let profiles: Option<BTreeSet<&Profile>> = profiles.collect();
    let profiles = profiles.filter(|profiles| !profiles.is_empty());
    let is_used = |profile: &Profile| profiles.as_ref().is_none_or(|profiles| profiles.contains(profile));
    let used = view.good.iter().filter(|(profile, _)| is_used(profile));
    used.map(|(profile, good)| (profile.clone(), good.clone())).collect()
}

pub(super) async fn run(store: impl Store, mut inputs: Inputs) {
    let mut key = None;
    let mut report = Storage::Stored { at: None, size: None };
    let found = match load(&store, &mut key, &inputs, LOAD_WITHIN, WITHOUT_IT).await {
        Ok(found) => found,
        Err(failed) => {
            report = failed;
            LastGoods::new()
        }
    };
    let (mut written, mut written_kinds) = (hashes(&found), kinds(&found));
    if !found.is_empty() {
        let names: Vec<String> = found.keys().map(ToString::to_string).collect();
        tracing::info!(
            profiles = names.join(", "),
            "found what proxies accepted last, of an earlier run"
        );
    }
    // Also that there is nothing: it is waited for.
    if inputs.events.send(FleetEvent::Stored(found)).await.is_err() {
        return;
    }
    // When it may be written next: as a rule, and when a kind has gone.
    let (mut next, mut soon) = (Instant::now(), Instant::now());
    // When what has been written so far would have been, one in five minutes.
    let mut paid_at = Instant::now();
    let mut due: Option<Instant> = None;
    let mut read_again: Option<Instant> = None;
    let mut led = false;
    let mut was_held = false;
    loop {
        let leads = inputs.leadership.borrow_and_update().is_leader();
        let has_won = leads && !led;
        led = leads || (led && inputs.stop.is_cancelled());
        let (good, is_held) = {
            let view = inputs.view.borrow_and_update();
            (in_use(&view), view.held)
        };
        // Then it goes by what was put away, and whoever led meanwhile may have put away something else.
        let goes_by_it = good.values().all(|good| good.stored);
        if !leads {
            read_again = None;
        } else if has_won && goes_by_it {
            read_again = Some(Instant::now());
        }
        if read_again.is_some_and(|at| at <= Instant::now()) {
            // While it holds everything back it is looked at again: the last write of who led before may be under way.
            read_again = (is_held && goes_by_it).then(|| Instant::now() + RETRY);
            match load(&store, &mut key, &inputs, LOAD_AGAIN_WITHIN, AS_BEFORE).await {
                Ok(found) if found.is_empty() || hashes(&found) == written => {}
                Ok(found) => {
                    tracing::info!("found what proxies accepted under the leader before");
                    (written, written_kinds) = (hashes(&found), kinds(&found));
                    report = Storage::Stored { at: None, size: None };
                    if inputs.events.send(FleetEvent::Stored(found)).await.is_err() {
                        return;
                    }
                }
                Err(failed) => report = failed,
            }
        }
        // What is only out of use stays where it is until something else is accepted.
        let is_other = |(profile, good): (&Profile, &Arc<LastGood>)| written.get(profile) != Some(&good.rendered.hash);
        let is_new = !goes_by_it && good.iter().any(is_other);
        let has_lost_a_kind = is_new && !written_kinds.is_subset(&kinds(&good));
        let early = Instant::now() + paid_at.saturating_duration_since(Instant::now() + AHEAD);
        if !is_new {
            due = None;
        } else if is_held && !was_held {
            // A controller that starts while a kind is away has nothing else that tells whether it was in use.
            due = Some(early);
        } else if has_lost_a_kind {
            let at = (Instant::now() + CALM).max(soon).max(early);
            due = Some(due.map_or(at, |due| due.min(at)));
        } else if due.is_none() {
            due = Some((Instant::now() + CALM).max(next));
        }
        was_held = is_held;
        let latest = if is_new && led && !matches!(report, Storage::Failed { .. }) {
            Storage::Waiting
        } else {
            report.clone()
        };
        publish(&inputs.reports, latest);
        let stops = inputs.stop.is_cancelled();
        if is_new && led && (stops || due.is_some_and(|due| due <= Instant::now())) {
            let outcome = save(&store, &mut key, &good).await;
            report = match outcome {
                Ok(size) => {
                    (written, written_kinds) = (hashes(&good), kinds(&good));
                    paid_at = paid_at.max(Instant::now()) + INTERVAL;
                    next = Instant::now() + INTERVAL;
                    soon = Instant::now() + KIND_GONE;
                    Storage::Stored {
                        at: Some(Timestamp::now()),
                        size: Some(size),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "what proxies accepted last can't be put away; a restart of everything would lose it");
                    next = Instant::now() + RETRY;
                    soon = next;
                    Storage::Failed {
                        reason: error.reason(),
                        message: error.to_string(),
                    }
                }
            };
            due = None;
            publish(&inputs.reports, report.clone());
            if !stops {
                continue;
            }
        }
        if stops {
            return;
        }
        tokio::select! {
            changed = inputs.view.changed() => if changed.is_err() { return },
            changed = inputs.leadership.changed() => if changed.is_err() { return },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && led => {}
            () = sleep_until(read_again.unwrap_or_else(Instant::now)), if read_again.is_some() => {}
            () = inputs.stop.cancelled() => {}
        }
    }
}

fn publish(reports: &watch::Sender<Storage>, report: Storage) {
    reports.send_if_modified(|known| {
        let changed = *known != report;
        *known = report;
        changed
    });
}

/// What was put away; nothing if it can't be had in time. `Err` says what is in the way and does not pass by itself.
async fn load(
    store: &impl Store,
    key: &mut Option<Key>,
    inputs: &Inputs,
    within: Duration,
    otherwise: &str,
) -> Result<LastGoods, Storage> {
    let attempts = async {
        loop {
            match try_load(store, key).await {
                Ok(found) => return Ok(found),
                Err(error @ Error::Kubernetes(_)) => {
                    tracing::debug!(%error, "what was put away can't be read yet");
                    tokio::time::sleep(LOAD_AGAIN).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "what was put away can't be read; {otherwise}");
                    return Err(Storage::Failed {
                        reason: error.reason(),
                        message: error.to_string(),
                    });
                }
            }
        }
    };
    tokio::select! {
        found = timeout(within, attempts) => found.unwrap_or_else(|_| {
            tracing::warn!("what was put away can't be read within {within:?}; {otherwise}");
            Ok(LastGoods::new())
        }),
        () = inputs.stop.cancelled() => Ok(LastGoods::new()),
    }
}

async fn try_load(store: &impl Store, key: &mut Option<Key>) -> Result<LastGoods, Error> {
    // Without anything there a key need not be made.
    let Some(sealed) = store.load().await? else {
        return Ok(LastGoods::new());
    };
    let found = store.key().await?;
    *key = Some(found.clone());
    let opened = tokio::task::spawn_blocking(move || seal::open(sealed, &found)).await;
    opened.expect("reading does not panic")
}

async fn save(store: &impl Store, key: &mut Option<Key>, good: &LastGoods) -> Result<u64, Error> {
    let found = match key {
        Some(key) => key.clone(),
        None => key.insert(store.key().await?).clone(),
    };
    let good = good.clone();
    let sealed = tokio::task::spawn_blocking(move || seal::seal(&good, &found)).await;
    let sealed = sealed.expect("sealing does not panic");
    let size = sealed.len() as u64;
    let saved = store.save(sealed).await;
    if saved.is_err() {
        // It may have been deleted, with the key.
        *key = None;
    }
    saved.map(|()| size)
}
