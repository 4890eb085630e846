//! Joins the modules: starts the tasks and carries values and commands between them.
//!
//! The only place that knows every module of the rim. Called by the verbs `run` and `demo`.

mod admission;
mod certificates;
mod identity;
mod leftovers;
mod liveness;
mod news;
mod own_proxy;
mod pipeline;
mod request_rate;
#[cfg(test)]
mod secrecy;
mod settings;
mod source;
mod statuses;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::FutureExt;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    archive::{self, Archive},
    fleet::{
        self, Command, ConditionStatus, Fleet, FleetEvent, FleetView, PushResult,
        discovery::{self, AdminService},
    },
    lease::{self, LeaseSettings, Reach, ReplicaPod},
    liveness::Liveness,
    model::{Leadership, NamespacedName, ProxyTarget, Snapshot, Storage},
    observe::{self, metrics::Metrics},
    pki::{CertificateMaterial, FleetKnowledge, client::AdminTls},
    push,
    render::Rendition,
    serve::{self, MetricsAccess, ServeSettings, Sources},
    status::{self, OwnPod},
};
use own_proxy::OwnProxy;

pub use source::client;

pub use settings::{
    AdminCertificates, AdmissionCertificate, AdmissionSettings, ControllerSettings, ElectionScope, ProfileOverride,
    ProxyIdentitySettings, RequestRate, Source, StatusSettings,
};

/// Events on their way to the fleet; each is small, and the fleet never waits for anything.
const EVENT_QUEUE: usize = 1024;
/// How long a stopping leader waits for the pushes under way; what takes longer is broken off. Kubernetes gives a pod
/// 30 s, `--term-delay` included.
const LAST_PUSHES: Duration = Duration::from_secs(5);
/// How long a connection to a proxy may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A controller that runs.
pub struct Controller {
    /// The proxies, always the latest.
    pub view: watch::Receiver<Arc<FleetView>>,
    /// What they shall run, and what is wrong with the objects.
    pub rendition: watch::Receiver<Option<Arc<Rendition>>>,
    /// Where the dashboard is.
    pub dashboard: Option<SocketAddr>,
    tasks: JoinSet<&'static str>,
    resignation: Resignation,
    lease_task: Option<tokio::task::JoinHandle<()>>,
    archive: Option<Archive>,
}

/// The steps by which a leader stops.
#[derive(Clone, Default)]
struct Resignation {
    /// No push begins any more.
    no_more_pushes: CancellationToken,
    /// Pushes under way are broken off.
    break_off: CancellationToken,
    /// The Lease is given back.
    lease: CancellationToken,
}

impl Resignation {
    /// Lets the pushes under way end: whoever leads next may push within milliseconds of getting the Lease, and a push
    /// of ours that is loaded after that would undo theirs.
    async fn last_pushes(&self, view: &mut watch::Receiver<Arc<FleetView>>) {
        self.no_more_pushes.cancel();
        let mut limit = LAST_PUSHES;
        for _ in 0..2 {
            let ended = view.wait_for(|view| !view.may_push && view.pushes_under_way == 0);
            // An error means that there is no fleet any more, and so no push.
            if tokio::time::timeout(limit, ended).await.is_ok() {
                return;
            }
            let pushes = view.borrow().pushes_under_way;
            tracing::warn!(pushes, "pushes that take too long are broken off");
            self.break_off.cancel();
            limit = Duration::from_secs(1);
        }
    }
}

impl Controller {
    /// Gives the Lease up after the last push, so that another replica leads at once.
    pub async fn release(&mut self) {
        if let Some(task) = self.lease_task.take() {
            self.resignation.last_pushes(&mut self.view).await;
            // While it still leads: the next leader has nothing to write so soon.
            if let Some(archive) = &self.archive {
                archive.finish();
            }
            self.resignation.lease.cancel();
            // It ends by itself; when it can't reach the API server, the Lease runs out.
            let _ = tokio::time::timeout(Duration::from_secs(6), task).await;
        }
        if let Some(archive) = self.archive.take() {
            archive.finish();
            archive.finished().await;
        }
    }

    /// Ends when a task ended that must not, and the Lease was given up for it.
    pub async fn ended(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(name)) => tracing::error!(task = name, "a task ended"),
            Some(Err(error)) => tracing::error!(%error, "a task failed"),
            None => {}
        }
        self.release().await;
    }

    /// Waits until everything has stopped after the shutdown, for a bounded time.
    pub async fn stopped(mut self) {
        self.release().await;
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts a controller; it goes on until `shutdown`.
///
/// # Errors
/// What can't be used of the settings: a kubeconfig, certificates, an address that is taken.
pub async fn start(settings: ControllerSettings, shutdown: CancellationToken) -> anyhow::Result<Controller> {
    let client = source::client(&settings.source).await?;
    let own_proxy = OwnProxy::of(&settings, OwnPod::from_environment());
    let mut tasks = JoinSet::new();
    let resignation = Resignation::default();
    let (reach_sender, reach) = watch::channel(Reach::default());
    let (elected, lease_task) = match &client {
        Some(client) if settings.election != ElectionScope::Nothing => {
            let lease = lease_settings(&settings)?;
            let candidate = lease::spawn(client.clone(), lease, reach, resignation.lease.clone());
            (candidate.leadership, Some(candidate.task))
        }
        _ => (lease::always_leader(), None),
    };
    // Who drives the proxies; `elected` is who writes to the cluster.
    let leadership = match settings.election {
        ElectionScope::Everything => elected.clone(),
        ElectionScope::Writing | ElectionScope::Nothing => lease::always_leader(),
    };

    let (snapshot, store) = source::start(&settings, client.as_ref(), &mut tasks)?;
    let (rendition_sender, rendition) = watch::channel(None);
    let (view_sender, view) = watch::channel(Arc::new(FleetView::default()));
    let (considered_sender, considered) = watch::channel(None);
    let (liveness_sender, liveness) = watch::channel(Liveness::default());
    let material = {
        let fleet = FleetKnowledge {
            view: view.clone(),
            leadership: elected.clone(),
        };
        let (issuing, issues) = settings.identity.as_ref().map(identity::issuing).unzip();
        if let (Some(identity), Some(issues)) = (&settings.identity, issues) {
            let fleet = fleet.clone();
            identity::serve(
                &settings,
                identity,
                client.as_ref(),
                issues,
                fleet,
                &mut tasks,
                &shutdown,
            )
            .await?;
        }
        certificates::follow(&settings, client.as_ref(), fleet, issuing)?
    };
    let metrics = Arc::new(Metrics::default());
    let served = serve::start(
        &ServeSettings {
            health: settings.health,
            metrics: settings.metrics,
            dashboard: settings.dashboard,
        },
        Sources {
            view: view.clone(),
            rendition: rendition.clone(),
            snapshot: snapshot.clone(),
            leadership: leadership.clone(),
            liveness,
            read_configuration: read_configuration(&settings, &material),
            metrics_access: client
                .clone()
                .filter(|_| settings.protect_metrics)
                .map(|client| Arc::new(MetricsAccess::new(client))),
            metrics: Arc::new({
                let (metrics, view) = (metrics.clone(), view.clone());
                move || metrics.encode(&view.borrow())
            }),
        },
        &shutdown,
    )
    .await?;

    spawn(&mut tasks, "news", news::follow(rendition.clone(), view.clone()));
    let pipeline = pipeline::run(
        pipeline::Rules {
            settings: settings.translation.clone(),
            assumed: settings.profile.clone(),
            keep: settings.keep_last_valid,
        },
        store,
        snapshot.clone(),
        view.clone(),
        rendition_sender,
        considered_sender,
    );
    spawn(&mut tasks, "pipeline", pipeline);
    let inputs = liveness::Inputs {
        snapshots: snapshot.clone(),
        considered,
        renditions: rendition.clone(),
        views: view.clone(),
    };
    spawn(&mut tasks, "liveness", liveness::follow(inputs, liveness_sender));
    let (events, fleet_events) = mpsc::channel(EVENT_QUEUE);
    let (commands, fleet_commands) = mpsc::channel(EVENT_QUEUE);
    spawn(
        &mut tasks,
        "fleet",
        Fleet::run(fleet_settings(&settings), fleet_events, commands, view_sender),
    );
    spawn(
        &mut tasks,
        "discovery",
        discover(
            static_targets(&settings, own_proxy.as_ref())?,
            settings.clone(),
            snapshot.clone(),
            events.clone(),
        ),
    );
    spawn(
        &mut tasks,
        "renditions",
        carry_renditions(rendition.clone(), events.clone(), metrics.clone()),
    );
    spawn(
        &mut tasks,
        "leadership",
        carry_leadership(
            leadership.clone(),
            resignation.no_more_pushes.clone(),
            events.clone(),
            metrics.clone(),
        ),
    );
    let keeper = match settings.archive {
        Some(archive::Place::Secrets(_)) => &elected,
        _ => &leadership,
    };
    let (archive, archived) = put_away(&settings, client.as_ref(), &view, keeper, &events);
    let (outcomes, rim_events) = mpsc::channel(EVENT_QUEUE);
    spawn(
        &mut tasks,
        "outcomes",
        carry_outcomes(rim_events, events.clone(), view.clone(), metrics.clone()),
    );
    let inputs = admission::Inputs {
        snapshot: snapshot.clone(),
        view: view.clone(),
        leadership: elected.clone(),
        material: material.clone(),
        metrics: metrics.clone(),
    };
    admission::serve(&settings, client.as_ref(), inputs, &mut tasks, &shutdown).await?;
    spawn(
        &mut tasks,
        "proxies",
        drive(
            settings.clone(),
            resignation.break_off.clone(),
            material,
            fleet_commands,
            events,
            outcomes,
        ),
    );
    if let Some(client) = client {
        let objects_are_ours = settings.upgrade_record.clone().map(|record| {
            let (sender, receiver) = watch::channel(false);
            let own = OwnPod::from_environment().map(|pod| pod.name);
            let removal = leftovers::remove(client.clone(), record, own, elected.clone(), sender);
            spawn(&mut tasks, "leftovers", removal);
            receiver
        });
        let inputs = status::Inputs {
            view: view.clone(),
            rendition: rendition.clone(),
            snapshot,
            leadership: elected,
            objects_are_ours,
            storage: archived.clone(),
        };
        statuses::write(
            client,
            &settings,
            own_proxy.as_ref(),
            inputs,
            metrics.clone(),
            &mut tasks,
        )?;
    }
    if let Some(storage) = archived {
        spawn(&mut tasks, "storage metrics", follow_storage(storage, metrics));
    }
    spawn(&mut tasks, "reach", follow_reach(view.clone(), reach_sender));
    Ok(Controller {
        view,
        rendition,
        dashboard: served.dashboard,
        tasks,
        resignation,
        lease_task,
        archive,
    })
}

/// What proxies accept is put away, if there is a place for it.
fn put_away(
    settings: &ControllerSettings,
    client: Option<&kube::Client>,
    view: &watch::Receiver<Arc<FleetView>>,
    leadership: &watch::Receiver<Leadership>,
    events: &mpsc::Sender<FleetEvent>,
) -> (Option<Archive>, Option<watch::Receiver<Storage>>) {
    let Some(place) = &settings.archive else {
        return (None, None);
    };
    let (archive, report) = archive::follow(place, client.cloned(), view.clone(), leadership.clone(), events.clone());
    (Some(archive), Some(report))
}

fn spawn(tasks: &mut JoinSet<&'static str>, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(async move {
        task.await;
        name
    });
}

/// Asks a proxy for what it runs, one at a time, with the certificates of the moment.
fn read_configuration(
    settings: &ControllerSettings,
    material: &watch::Receiver<Option<Arc<CertificateMaterial>>>,
) -> serve::ReadConfiguration {
    let settings = Arc::new(settings.clone());
    let material = material.clone();
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    Arc::new(move |target: Arc<ProxyTarget>| {
        let (settings, material, turn) = (settings.clone(), material.borrow().clone(), turn.clone());
        async move {
            let material = material.ok_or_else(|| "there are no certificates yet".to_owned())?;
            let tls = certificates::admin_tls(&settings, &material).map_err(|error| error.to_string())?;
            let _turn = turn.lock().await;
            observe::configuration(&tls, &target).await
        }
        .boxed()
    })
}

fn lease_settings(settings: &ControllerSettings) -> anyhow::Result<LeaseSettings> {
    let namespace = match settings.election_namespace.as_str() {
        "" => own_namespace(settings).context("give --election-namespace, or POD_NAMESPACE in the environment")?,
        namespace => namespace.to_owned(),
    };
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let pod = variable("POD_NAME").or_else(|| variable("HOSTNAME"));
    let pod = ReplicaPod {
        name: pod.as_deref().unwrap_or("silverback").into(),
        uid: variable("POD_UID").map(Arc::from),
    };
    Ok(LeaseSettings::new(
        NamespacedName::new(namespace, settings.election_id.as_str()),
        pod,
    ))
}

/// The controller's namespace: the pod's, or that of the Admin Service when it runs outside of the cluster.
fn own_namespace(settings: &ControllerSettings) -> Option<String> {
    let of_pod = std::env::var("POD_NAMESPACE")
        .ok()
        .filter(|namespace| !namespace.is_empty());
    of_pod.or_else(|| {
        settings
            .admin_services
            .first()
            .map(|service| service.namespace.to_string())
    })
}

fn static_targets(settings: &ControllerSettings, own: Option<&OwnProxy>) -> anyhow::Result<Vec<Arc<ProxyTarget>>> {
    let urls: Vec<String> = settings.static_proxies.iter().map(|(_, url)| url.clone()).collect();
    let targets = discovery::static_targets(&urls, settings.server_name.as_deref())?;
    let name = |target: &ProxyTarget| {
        let mut given = settings.static_proxies.iter();
        let given = given.find(|(_, url)| target.urls.iter().any(|known| **known == *url.trim_end_matches('/')));
        given.map_or_else(|| target.name.clone(), |(name, _)| name.as_str().into())
    };
    if let Some(own) = own {
        return Ok(targets.iter().map(|target| Arc::new(own.known(target))).collect());
    }
    let names: Vec<Arc<str>> = targets.iter().map(|target| name(target)).collect();
    let named = targets.into_iter().zip(&names).map(|(target, name)| {
        // http and https of one host and port: two proxies, which rows and metrics have to keep apart.
        let is_taken = names.iter().filter(|other| *other == name).count() > 1;
        let name = target.urls.first().filter(|_| is_taken).unwrap_or(name).clone();
        Arc::new(ProxyTarget {
            name,
            ..ProxyTarget::clone(&target)
        })
    });
    Ok(named.collect())
}

/// Tells the fleet which proxies there are, whenever that changes.
async fn discover(
    fixed: Vec<Arc<ProxyTarget>>,
    settings: ControllerSettings,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    events: mpsc::Sender<FleetEvent>,
) {
    let services: Vec<_> = settings
        .admin_services
        .iter()
        .map(|name| AdminService {
            name: name.clone(),
            has_identities: settings.identity.is_some(),
        })
        .collect();
    let namespace = own_namespace(&settings);
    let mut last = None;
    let mut last_paused = BTreeSet::new();
    loop {
        let mut targets = fixed.clone();
        let snapshot = snapshots.borrow_and_update().clone();
        // Before the targets: nothing goes to a proxy of a paused fleet, not even at the start.
        let paused = discovery::paused(&snapshot, namespace.as_deref(), &settings.admin_services);
        if last_paused != paused {
            if events.send(FleetEvent::Paused(paused.clone())).await.is_err() {
                return;
            }
            last_paused = paused;
        }
        targets.extend(discovery::discover(
            &snapshot.endpoint_slices,
            &services,
            &settings.admin_port_names,
        ));
        if last.as_ref() != Some(&targets) {
            if events.send(FleetEvent::Targets(targets.clone())).await.is_err() {
                return;
            }
            last = Some(targets);
        }
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

async fn carry_renditions(
    mut renditions: watch::Receiver<Option<Arc<Rendition>>>,
    events: mpsc::Sender<FleetEvent>,
    metrics: Arc<Metrics>,
) {
    loop {
        let latest = renditions.borrow_and_update().clone();
        if let Some(rendition) = latest {
            tracing::info!(
                generation = rendition.generation.0,
                problems = rendition.problems.len(),
                hold = rendition.hold.as_deref(),
                milliseconds = u64::try_from(rendition.took.as_millis()).unwrap_or(u64::MAX),
                "configuration rendered"
            );
            metrics.rendered(&rendition);
            if events.send(FleetEvent::Rendition(rendition)).await.is_err() {
                return;
            }
        }
        if renditions.changed().await.is_err() {
            return;
        }
    }
}

/// Tells the fleet what this replica's part is; once it resigns, that it has none, whatever the Lease says.
async fn carry_leadership(
    mut leadership: watch::Receiver<Leadership>,
    resigned: CancellationToken,
    events: mpsc::Sender<FleetEvent>,
    metrics: Arc<Metrics>,
) {
    loop {
        let latest = leadership.borrow_and_update().clone();
        tracing::info!("this replica's part: {latest}");
        metrics.leading(&latest);
        if events.send(FleetEvent::Leadership(latest)).await.is_err() {
            return;
        }
        tokio::select! {
            changed = leadership.changed() => if changed.is_err() { return },
            () = resigned.cancelled() => break,
        }
    }
    let none = Leadership::Follower { holder: None };
    metrics.leading(&none);
    if events.send(FleetEvent::Leadership(none)).await.is_ok() {
        // To end would mean that something went wrong.
        std::future::pending::<()>().await;
    }
}

/// What pushes report, counted on its way to the fleet.
async fn carry_outcomes(
    mut reports: mpsc::Receiver<FleetEvent>,
    events: mpsc::Sender<FleetEvent>,
    view: watch::Receiver<Arc<FleetView>>,
    metrics: Arc<Metrics>,
) {
    while let Some(report) = reports.recv().await {
        if let FleetEvent::Pushed(id, outcome) = &report
            && let Some(proxy) = view.borrow().proxies.iter().find(|proxy| proxy.target.id == *id)
        {
            let result = match &outcome.result {
                // The entities stand in the statuses; there may be thousands.
                PushResult::Rejected { message, .. } => format!("Rejected: {message}"),
                other => format!("{other:?}"),
            };
            tracing::info!(proxy = %proxy.target.name, hash = %outcome.hash.short(), result, took = ?outcome.took, "push");
            metrics.pushed(&proxy.target, outcome);
        }
        if events.send(report).await.is_err() {
            return;
        }
    }
}

async fn follow_reach(mut views: watch::Receiver<Arc<FleetView>>, reach: watch::Sender<Reach>) {
    loop {
        let reached = reach_of(&views.borrow_and_update());
        reach.send_if_modified(|known| std::mem::replace(known, reached) != reached);
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// How many of the proxies that stay answer this replica; one that has not been asked yet is not known.
fn reach_of(view: &FleetView) -> Reach {
    let staying = view.proxies.iter().filter(|proxy| !proxy.target.terminating);
    let known = staying.filter(|proxy| proxy.reachable.status != ConditionStatus::Unknown);
    known.fold(Reach::default(), |reach, proxy| Reach {
        reachable: reach.reachable + usize::from(proxy.reachable.status == ConditionStatus::True),
        total: reach.total + 1,
    })
}

async fn follow_storage(mut storage: watch::Receiver<Storage>, metrics: Arc<Metrics>) {
    loop {
        metrics.stored(&storage.borrow_and_update());
        if storage.changed().await.is_err() {
            // It ends when the controller does.
            return std::future::pending().await;
        }
    }
}

/// Carries the fleet's commands out, as soon as there are certificates to do it with.
async fn drive(
    settings: ControllerSettings,
    stop: CancellationToken,
    mut material: watch::Receiver<Option<Arc<CertificateMaterial>>>,
    mut commands: mpsc::Receiver<Command>,
    observations: mpsc::Sender<FleetEvent>,
    outcomes: mpsc::Sender<FleetEvent>,
) {
    let Ok(first) = material
        .wait_for(Option::is_some)
        .await
        .map(|material| material.clone())
    else {
        return;
    };
    let Some(tls) = first.and_then(|material| usable(&settings, &material)) else {
        return;
    };
    let (tls_sender, tls) = watch::channel(Arc::new(tls));
    let mut prober = observe::Prober::new(observe_settings(&settings), tls.clone(), observations);
    let mut pusher = push::Pusher::new(push_settings(&settings, stop), tls, outcomes);
    loop {
        tokio::select! {
            command = commands.recv() => {
                let Some(command) = command else { return };
                if let (Command::Detach(id), Some(pins)) = (&command, &settings.first_keys) {
                    pins.forget(id);
                }
                prober.handle(&command);
                pusher.handle(&command);
            }
            changed = material.changed() => {
                if changed.is_err() {
                    return;
                }
                let latest = material.borrow_and_update().clone();
                if let Some(tls) = latest.and_then(|material| usable(&settings, &material)) {
                    tls_sender.send_replace(Arc::new(tls));
                }
            }
        }
    }
}

fn usable(settings: &ControllerSettings, material: &CertificateMaterial) -> Option<AdminTls> {
    certificates::admin_tls(settings, material)
        .inspect_err(|error| tracing::error!(%error, "the certificates for the Admin API can't be used"))
        .ok()
}

fn fleet_settings(settings: &ControllerSettings) -> fleet::Settings {
    fleet::Settings {
        push_duty: settings.push_duty,
        max_concurrent_pushes: settings.max_concurrent_pushes as usize,
        max_push_bandwidth: Some(settings.max_push_bandwidth).filter(|limit| *limit > 0),
    }
}

fn observe_settings(settings: &ControllerSettings) -> observe::Settings {
    observe::Settings {
        interval: settings.probe_interval,
        timeout: settings.probe_timeout,
        // Shorter, so that a proxy's other address is tried.
        connect_timeout: CONNECT_TIMEOUT.min(settings.probe_timeout * 3 / 4),
    }
}

fn push_settings(settings: &ControllerSettings, stop: CancellationToken) -> push::Settings {
    push::Settings {
        stop,
        timeout: settings.push_timeout,
        connect_timeout: CONNECT_TIMEOUT,
        ..push::Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_given_proxy_has_a_name_of_its_own() {
        let given = |url: &str| (url.split_once("://").expect("a URL").1.to_owned(), url.to_owned());
        let settings = ControllerSettings {
            static_proxies: vec![
                given("https://127.0.0.1:8444"),
                given("http://127.0.0.1:8444"),
                given("https://127.0.0.1:8446/kong"),
            ],
            ..ControllerSettings::new(Source::Directory {
                path: "manifests".into(),
                additional: Vec::new(),
            })
        };
        let targets = static_targets(&settings, None).expect("all are addresses");
        let names: Vec<_> = targets.iter().map(|target| &*target.name).collect();
        assert_eq!(
            names,
            ["https://127.0.0.1:8444", "http://127.0.0.1:8444", "127.0.0.1:8446/kong"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_stops_waits_for_its_pushes_and_breaks_off_what_hangs() {
        let publish = |may_push, pushes_under_way| {
            Arc::new(FleetView {
                may_push,
                pushes_under_way,
                ..FleetView::default()
            })
        };
        let (sender, mut view) = watch::channel(publish(true, 2));
        let resignation = Resignation::default();
        let begun = tokio::time::Instant::now();
        let fleet = async {
            resignation.no_more_pushes.cancelled().await;
            sender.send_replace(publish(false, 2));
            tokio::time::sleep(Duration::from_secs(2)).await;
            sender.send_replace(publish(false, 0));
        };
        tokio::join!(fleet, resignation.last_pushes(&mut view));
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
        assert!(!resignation.break_off.is_cancelled());

        let resignation = Resignation::default();
        sender.send_replace(publish(false, 1));
        let begun = tokio::time::Instant::now();
        let fleet = async {
            resignation.break_off.cancelled().await;
            sender.send_replace(publish(false, 0));
        };
        tokio::join!(fleet, resignation.last_pushes(&mut view));
        assert_eq!(begun.elapsed(), LAST_PUSHES);
    }
}
