//! When it is put away: a little after it changed, at most once in five minutes, and when the controller stops. When it is
//! read: at the start, and again by a replica that comes to lead.
//!
//! A replica writes only what proxies were found to run since it leads. What it saw before may be older than the last
//! write of who led before, and two replicas that end together would leave the older one.

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

use super::{LastGoods, Place, Store, directory::Directory, secrets::Secrets, shelf::Shelf};
use crate::{
    fleet::{FleetEvent, FleetView},
    model::{Leadership, Profile, Storage},
    render::{LastGood, Origin},
};

/// The least time between two writes, whoever leads.
pub(super) const INTERVAL: Duration = Duration::from_secs(300);
/// From a change to the write, so that changes that come together are written together.
pub(super) const CALM: Duration = Duration::from_secs(10);
/// Before what failed is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(60);
/// How long what was put away is looked for at the start: without it the controller goes on, too.
const LOAD_WITHIN: Duration = Duration::from_secs(30);
/// What that means, for the log.
const WITHOUT_IT: &str =
    "going on without it: kinds that the cluster lacks now count as never used, and nothing is held back for them";
/// The same of a replica that comes to lead.
const AS_BEFORE: &str = "going by what was found when this replica started";
/// How long that may take a replica that comes to lead: it has found something before.
const LOAD_AGAIN_WITHIN: Duration = Duration::from_secs(5);
/// How long it waits at the end for the fleet to say what it knows.
const LAST_WORD: Duration = Duration::from_millis(500);
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

/// What is to be put away: what is confirmed, and of other profiles what `before` holds, if it does.
fn to_write(good: &LastGoods, before: &LastGoods) -> LastGoods {
    let chosen = good.iter().map(|(profile, good)| {
        let before = before.get(profile).filter(|_| good.origin != Origin::Confirmed);
        (profile.clone(), before.unwrap_or(good).clone())
    });
    chosen.collect()
}

pub(super) async fn run(store: impl Store, mut inputs: Inputs) {
    let mut shelf = Shelf::new(store);
    let mut report = Storage::Stored { at: None, size: None };
    let found = match shelf.load(&inputs, LOAD_WITHIN, WITHOUT_IT).await {
        Ok(found) => found.unwrap_or_default(),
        Err(failed) => {
            report = failed;
            LastGoods::new()
        }
    };
    let mut written = hashes(&found);
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
    // What others had put away when this replica began to lead, until proxies have told what they run now.
    let mut before = LastGoods::new();
    let mut next = Instant::now();
    let mut due: Option<Instant> = None;
    let mut read_again: Option<Instant> = None;
    // Counts the times that it led; 0 before the first.
    let mut term = 0;
    let mut led = false;
    loop {
        let leads = inputs.leadership.borrow_and_update().is_leader();
        let has_won = leads && !led;
        led = leads || (led && inputs.stop.is_cancelled());
        if has_won {
            term += 1;
            due = None;
            read_again = Some(Instant::now());
            // Before it is read: what proxies take meanwhile is of this term.
            if inputs.events.send(FleetEvent::Term(term)).await.is_err() {
                return;
            }
        } else if !led {
            read_again = None;
            before.clear();
        }
        if read_again.is_some_and(|at| at <= Instant::now()) {
            // While it holds everything back it is looked at again: the last write of who led before may be under way.
            let goes_by_it = {
                let view = inputs.view.borrow();
                view.held && in_use(&view).values().all(|good| good.origin == Origin::Stored)
            };
            read_again = goes_by_it.then(|| Instant::now() + RETRY);
            match shelf.load(&inputs, LOAD_AGAIN_WITHIN, AS_BEFORE).await {
                Ok(Some(found)) if !found.is_empty() => {
                    tracing::info!("found what proxies accepted under the leader before");
                    written = hashes(&found);
                    before = found.clone();
                    report = Storage::Stored { at: None, size: None };
                    if inputs.events.send(FleetEvent::Stored(found)).await.is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(failed) => report = failed,
            }
        }
        if has_won {
            // Who led before may just have written.
            next = next.max(Instant::now() + INTERVAL.saturating_sub(shelf.age()));
        }
        let stops = inputs.stop.is_cancelled();
        if stops && led {
            // What it has confirmed shows once the fleet has heard that it leads. An error means that there is no fleet.
            let _ = timeout(LAST_WORD, inputs.view.wait_for(|view| view.term == term)).await;
        }
        let good = {
            let view = inputs.view.borrow_and_update();
            let mut good = in_use(&view);
            if view.term != term {
                good.clear();
            }
            good
        };
        before.retain(|profile, _| good.get(profile).is_none_or(|good| good.origin != Origin::Confirmed));
        // What is only out of use stays where it is until something else is accepted.
        let is_other = |(profile, good): (&Profile, &Arc<LastGood>)| {
            good.origin == Origin::Confirmed && written.get(profile) != Some(&good.rendered.hash)
        };
        let is_new = good.iter().any(is_other);
        due = is_new.then(|| due.unwrap_or_else(|| (Instant::now() + CALM).max(next)));
        let latest = if is_new && led && !matches!(report, Storage::Failed { .. }) {
            Storage::Waiting
        } else {
            report.clone()
        };
        publish(&inputs.reports, latest);
        if is_new && led && (stops || due.is_some_and(|due| due <= Instant::now())) {
            let content = to_write(&good, &before);
            report = match shelf.save(&content).await {
                Ok(size) => {
                    written = hashes(&content);
                    next = Instant::now() + INTERVAL;
                    Storage::Stored {
                        at: Some(Timestamp::now()),
                        size: Some(size),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "what proxies accepted last can't be put away; a restart of everything would lose it");
                    next = Instant::now() + RETRY;
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
