//! The writer's task: follows what is known while this replica leads, and carries out what the planner says.

use std::{collections::BTreeSet, pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use kube::Client;
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tracing::{debug, error, info, warn};

use super::{
    author::{Author, World},
    document::{Class, Document, Key},
    planner::{Load, Next, Outcome, Planner},
    resource::name_of,
    seed::{self, Found},
    served::Served,
    settings::Settings,
    writer::{self, Report},
};
use crate::{
    fleet::FleetView,
    liveness::Liveness,
    model::{Epoch, Leadership, Snapshot, Storage},
    render::Rendition,
};

/// The least time between two looks at what is known: a burst of views is one look.
const PACE: Duration = Duration::from_millis(20);
/// What each proxy adds to it: a look goes over all of them, and while a change is on its way to many there is news all the time.
const PACE_OF_EACH: Duration = Duration::from_millis(1);
/// What all proxies together add at most.
const PACE_OF_ALL: Duration = Duration::from_millis(200);
/// How long it is waited for what stands in the cluster before statuses are made.
const SEED_LIMIT: Duration = Duration::from_secs(5);

/// What statuses are made of.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// All proxies.
    pub view: watch::Receiver<Arc<FleetView>>,
    /// What they shall run, and what is wrong with the objects.
    pub rendition: watch::Receiver<Option<Arc<Rendition>>>,
    /// All objects.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Whether this replica may write.
    pub leadership: watch::Receiver<Leadership>,
    /// Whether nobody else writes statuses of users' objects without asking for the Lease; `None` if there is nobody of
    /// that kind. What stands there is read anew when that changes.
    pub objects_are_ours: Option<watch::Receiver<bool>>,
    /// Whether what was accepted last would survive the controller; `None` if it is not put away at all.
    pub storage: Option<watch::Receiver<Storage>>,
    /// Which changes of objects have come to run on all proxies.
    pub liveness: watch::Receiver<Liveness>,
}

/// What the writer tells of itself.
#[derive(Debug, Clone)]
pub struct Reports {
    /// How much waits to be written, and how much was.
    pub load: watch::Receiver<Load>,
}

/// A writer of statuses; it runs until an input ends.
pub fn writer(
    client: Client,
    settings: Settings,
    inputs: Inputs,
) -> (impl Future<Output = ()> + Send + 'static, Reports) {
    let (load_sender, load) = watch::channel(Load::default());
    let future = async move {
        let mut inputs = inputs;
        loop {
            let leadership = inputs.leadership.borrow_and_update().clone();
            let objects_are_ours = inputs
                .objects_are_ours
                .as_mut()
                .is_none_or(|ours| *ours.borrow_and_update());
            let still_going = match leadership {
                Leadership::Leader { epoch } => {
                    let settings = Settings {
                        update_status: settings.update_status && objects_are_ours,
                        ..settings.clone()
                    };
                    let mut term = Term::new(client.clone(), settings, epoch, &load_sender);
                    // Boxed: a leader's state is large, and followers need none of it.
                    Box::pin(term.run(&mut inputs)).await
                }
                _ => inputs.leadership.changed().await.is_ok(),
            };
            if !still_going {
                return;
            }
        }
    };
    (future, Reports { load })
}

/// How long a fleet of that many proxies is not looked at again.
fn pace(proxies: usize) -> Duration {
    let of_all = PACE_OF_EACH.saturating_mul(u32::try_from(proxies).unwrap_or(u32::MAX));
    PACE + of_all.min(PACE_OF_ALL)
}

/// Waits until there are news; for ever if there can't be any.
async fn news_of<T>(input: Option<&mut watch::Receiver<T>>) {
    let changed = match input {
        Some(input) => input.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending::<()>().await;
    }
}

/// Waits until all proxies run something else; what else liveness tells is told by the other inputs, too.
async fn another_confirmation(liveness: &mut watch::Receiver<Liveness>, seen: u64) {
    let is_another = |liveness: &Liveness| liveness.confirmations != seen;
    if liveness.wait_for(is_another).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// One leadership, or a part of it.
struct Term<'a> {
    client: Client,
    served: Served,
    settings: Settings,
    epoch: Epoch,
    author: Author,
    planner: Planner,
    under_way: JoinSet<Report>,
    /// Lists that are waited for before statuses are made.
    awaited: usize,
    awaited_until: Instant,
    instances_awaited: usize,
    complaints: BTreeSet<(Class, Arc<str>)>,
    unreachable: bool,
    /// The last one that was looked at.
    confirmations: u64,
    load: &'a watch::Sender<Load>,
    before: Load,
}

impl<'a> Term<'a> {
    fn new(client: Client, settings: Settings, epoch: Epoch, load: &'a watch::Sender<Load>) -> Self {
        let now = Instant::now();
        let mut planner = Planner::new(settings.qps, settings.burst, now);
        let instances_awaited = seed::instance_namespaces(&settings).len();
        if instances_awaited > 0 {
            planner.hold(Class::Instance);
        }
        planner.hold(Class::Fleet);
        if settings.update_status {
            for kind in seed::status_kinds() {
                planner.hold(Class::Object(kind));
            }
        }
        Self {
            author: Author::new(settings.clone()),
            planner,
            under_way: JoinSet::new(),
            awaited: instances_awaited + usize::from(!settings.services.is_empty()),
            awaited_until: now + SEED_LIMIT,
            instances_awaited,
            complaints: BTreeSet::new(),
            unreachable: false,
            confirmations: 0,
            before: *load.borrow(),
            served: Served::new(client.clone()),
            client,
            settings,
            epoch,
            load,
        }
    }

    /// Writes until leadership changes; `false` when an input ended.
    async fn run(&mut self, inputs: &mut Inputs) -> bool {
        let mut found = pin!(seed::follow(&self.client, &self.settings, &self.served));
        let mut stale = true;
        let mut look_at = Instant::now();
        loop {
            let now = Instant::now();
            let settled = self.awaited == 0 || now >= self.awaited_until;
            if stale && settled && now >= look_at {
                let world = World {
                    view: inputs.view.borrow_and_update().clone(),
                    rendition: inputs.rendition.borrow_and_update().clone(),
                    snapshot: inputs.snapshot.borrow_and_update().clone(),
                    epoch: self.epoch.clone(),
                    storage: inputs
                        .storage
                        .as_mut()
                        .map(|storage| storage.borrow_and_update().clone()),
                    liveness: inputs.liveness.borrow_and_update().clone(),
                };
                self.confirmations = world.liveness.confirmations;
                self.author.update(&world, &mut self.planner, now);
                stale = false;
                look_at = now + pace(world.view.proxies.len());
            }
            let next_write = self.start_writes(now);
            self.report();
            let look = stale.then(|| {
                if self.awaited == 0 {
                    look_at
                } else {
                    look_at.max(self.awaited_until)
                }
            });
            let wake_at = [look, next_write].into_iter().flatten().min();
            tokio::select! {
                changed = inputs.leadership.changed() => return changed.is_ok(),
                () = news_of(inputs.objects_are_ours.as_mut()) => return true,
                changed = inputs.view.changed(), if !stale => match changed {
                    Ok(()) => stale = true,
                    Err(_) => return false,
                },
                changed = inputs.rendition.changed(), if !stale => match changed {
                    Ok(()) => stale = true,
                    Err(_) => return false,
                },
                changed = inputs.snapshot.changed(), if !stale => match changed {
                    Ok(()) => stale = true,
                    Err(_) => return false,
                },
                () = news_of(inputs.storage.as_mut()), if !stale => stale = true,
                () = another_confirmation(&mut inputs.liveness, self.confirmations), if !stale => stale = true,
                Some(found) = found.next() => stale |= self.take_in(found),
                Some(report) = self.under_way.join_next() => {
                    self.done(report.expect("a write does not panic"));
                }
                () = sleep_until(wake_at) => {}
            }
        }
    }

    /// Starts all writes that are due; says when the next one is.
    fn start_writes(&mut self, now: Instant) -> Option<Instant> {
        loop {
            match self.planner.next(now) {
                Next::Write(write) => {
                    let instance = self.settings.own_pod.as_ref().map_or("silverback", |pod| &pod.name);
                    let work = writer::carry_out(self.client.clone(), self.served.clone(), write, instance.to_owned());
                    self.under_way.spawn(work);
                }
                Next::At(at) => return Some(at),
                Next::Nothing => return None,
            }
        }
    }

    /// Takes in what stands in the cluster. Returns whether statuses are to be made anew.
    fn take_in(&mut self, found: Found) -> bool {
        let now = Instant::now();
        let planner = &mut self.planner;
        match found {
            Found::Instance(instance) => self.author.found_instance(*instance, &self.epoch, planner, now),
            Found::InstanceWritten(instance) => {
                self.author.found_instance(*instance, &self.epoch, planner, now);
            }
            Found::InstanceDeleted(instance) => {
                let name = name_of(&*instance);
                let key = Key::Instance(name);
                // One that was replaced is none of ours any more.
                let stands = matches!(planner.written(&key),
                    Some(Document::Instance(spec)) if spec.pod_ref.uid == instance.spec.pod_ref.uid);
                if stands {
                    planner.lost(&key, now);
                }
            }
            Found::InstancesListed(namespace, listed) => {
                self.author.listed_instances(&namespace, &listed, planner, now);
                self.instances_awaited = self.instances_awaited.saturating_sub(1);
                self.awaited = self.awaited.saturating_sub(1);
                if self.instances_awaited == 0 {
                    planner.release(Class::Instance);
                }
                return true;
            }
            Found::Fleet(fleet) => {
                if self.author.found_fleet(*fleet, planner, now) {
                    return true;
                }
            }
            Found::FleetDeleted(fleet) => {
                planner.lost(&Key::Fleet(name_of(&*fleet)), now);
                return true;
            }
            Found::FleetsListed => {
                self.awaited = self.awaited.saturating_sub(1);
                planner.release(Class::Fleet);
                return true;
            }
            Found::Failed => self.awaited_until = now,
            Found::Statuses(statuses) => {
                for (key, document) in statuses {
                    self.author.found_status(key, document, planner, now);
                }
            }
            Found::StatusesListed(kind) => {
                planner.release(Class::Object(kind));
                self.author.listed_statuses(kind);
                return true;
            }
            Found::Bundle(bundle) => {
                self.author.found_bundle(bundle);
                return true;
            }
            Found::OwnPod(pod) => {
                self.author.own_pod(pod);
                return true;
            }
        }
        false
    }

    fn done(&mut self, report: Report) {
        let Report {
            key,
            outcome,
            requests,
            fault,
        } = report;
        let (class, name) = (key.class(), key.name().clone());
        self.planner.done(&key, outcome, requests, Instant::now());
        let fault = fault.unwrap_or_default();
        match outcome {
            Outcome::Written => {
                self.unreachable = false;
                if self.complaints.remove(&(class, name.namespace)) {
                    info!("{} is allowed now", class.permission());
                }
            }
            Outcome::Refused => {
                let permission = class.permission();
                if self.complaints.insert((class, name.namespace.clone())) {
                    error!(
                        namespace = %name.namespace,
                        %fault,
                        "a status can't be written, which passes by itself where the API server has just started; if it \
                         lasts, install the definitions (silverback crds print) and allow {permission}"
                    );
                }
            }
            Outcome::Invalid => warn!(object = %name, ?class, %fault, "the API server does not take a status"),
            Outcome::Unreachable => {
                if !std::mem::replace(&mut self.unreachable, true) {
                    warn!(%fault, "statuses can't be written now; trying again");
                }
            }
            Outcome::Gone | Outcome::Again => debug!(object = %name, ?class, %fault, "not written"),
        }
    }

    fn report(&self) {
        let load = self.planner.load();
        let load = Load {
            writes: self.before.writes + load.writes,
            failures: self.before.failures + load.failures,
            ..load
        };
        self.load.send_if_modified(|current| {
            let changed = *current != load;
            *current = load;
            changed
        });
    }
}

impl Drop for Term<'_> {
    fn drop(&mut self) {
        // What waits is the next leader's to write.
        self.load.send_modify(|load| {
            *load = Load {
                writes: load.writes,
                failures: load.failures,
                ..Load::default()
            };
        });
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
