//! Joins the modules: starts the tasks and carries values and commands between them.
//!
//! The only place that knows every module of the rim. Called by the verbs `run` and `demo`.

mod admission;
mod carry;
mod certificates;
mod controller;
mod election;
mod entity_schemas;
mod hold;
mod identity;
mod leftovers;
mod liveness;
mod news;
mod own_proxy;
mod pipeline;
mod proxies;
mod request_rate;
mod settings;
mod source;
mod spokesmen;
mod statuses;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    archive::{self, Archive},
    fleet::{Fleet, FleetEvent, FleetView},
    lease::{self, Reach},
    liveness::Liveness,
    model::{Leadership, Snapshot, Storage},
    observe::metrics::Metrics,
    pki::{FleetKnowledge, client::AdminTls},
    push,
    serve::{self, MetricsAccess, ServeSettings, Sources},
    status::{self, OwnPod},
};
use controller::Resignation;
use entity_schemas::Schemas;
use own_proxy::OwnProxy;
use source::ApiServer;

pub use controller::Controller;
pub use source::client;

pub use settings::{
    AdminCertificates, AdmissionCertificate, AdmissionSettings, ControllerSettings, ElectionScope, ProfileOverride,
    ProxyIdentitySettings, RequestRate, Source, StatusSettings,
};

/// Events on their way to the fleet; each is small, and the fleet never waits for anything.
const EVENT_QUEUE: usize = 1024;

/// Starts a controller; it goes on until `shutdown`.
///
/// # Errors
/// What can't be used of the settings: a kubeconfig, certificates, an address that is taken.
pub async fn start(settings: ControllerSettings, shutdown: CancellationToken) -> anyhow::Result<Controller> {
    let server = source::api_server(&settings.source).await?;
    start_at(settings, server, shutdown).await
}

/// The same, with an API server that is known already.
async fn start_at(
    settings: ControllerSettings,
    server: Option<ApiServer>,
    shutdown: CancellationToken,
) -> anyhow::Result<Controller> {
    let client = server.as_ref().map(|server| server.client.clone());
    let own_proxy = OwnProxy::of(&settings, OwnPod::from_environment());
    let mut tasks = JoinSet::new();
    let resignation = Resignation::default();
    let (reach_sender, reach) = watch::channel(Reach::default());
    let mut still_leads = push::Settings::default().still_leads;
    let (view_sender, view) = watch::channel(Arc::new(FleetView::default()));
    let (elected, handed_over, lease_task) = match &client {
        Some(client) if settings.election != ElectionScope::Nothing => {
            let lease = election::lease_settings(&settings)?;
            still_leads = election::still_leads(settings.election, client, &lease).unwrap_or(still_leads);
            let unsettled = {
                let view = view.clone();
                move || view.borrow().unsettled()
            };
            let candidate = lease::spawn(client.clone(), lease, reach, unsettled, resignation.lease.clone());
            (candidate.leadership, Some(candidate.handed_over), Some(candidate.task))
        }
        _ => (lease::always_leader(), None, None),
    };
    // Who drives the proxies; `elected` is who writes to the cluster.
    let leadership = match settings.election {
        ElectionScope::Everything => elected.clone(),
        ElectionScope::Writing | ElectionScope::Nothing => lease::always_leader(),
    };

    let (snapshot, store) = source::start(&settings, server.as_ref(), &mut tasks)?;
    let (rendition_sender, rendition) = watch::channel(None);
    let (considered_sender, considered) = watch::channel(None);
    let (liveness_sender, liveness) = watch::channel(Liveness::default());
    let (deserted_sender, deserted) = watch::channel(Arc::default());
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
            )?;
        }
        certificates::follow(&settings, client.as_ref(), fleet, issuing)?
    };
    let metrics = Arc::new(Metrics::default());
    let served = serve::start(
        &ServeSettings {
            health: settings.health,
            metrics: settings.metrics,
            dashboard: settings.dashboard.clone(),
        },
        Sources {
            view: view.clone(),
            rendition: rendition.clone(),
            snapshot: snapshot.clone(),
            leadership: leadership.clone(),
            liveness: liveness.clone(),
            deserted,
            read_configuration: proxies::read_configuration(&settings, &material),
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
    )?;

    let tls = certificates::for_questions(&settings, material.clone(), &mut tasks);
    let schemas = ask_for_schemas(&settings, &snapshot, &view, &tls, &mut tasks);
    let services = (settings.admin_services.clone(), snapshot.clone());
    let news = news::follow(rendition.clone(), view.clone(), services, deserted_sender);
    spawn(&mut tasks, "news", news);
    let pipeline = pipeline::run(
        pipeline::Rules {
            settings: settings.translation.clone(),
            assumed: settings.profile.clone(),
            schemas: schemas.clone(),
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
        Fleet::run(proxies::fleet_settings(&settings), fleet_events, commands, view_sender),
    );
    spawn(
        &mut tasks,
        "discovery",
        proxies::discover(
            proxies::static_targets(&settings, own_proxy.as_ref())?,
            settings.clone(),
            snapshot.clone(),
            events.clone(),
        ),
    );
    spawn(
        &mut tasks,
        "renditions",
        carry::renditions(rendition.clone(), events.clone(), metrics.clone()),
    );
    spawn(
        &mut tasks,
        "leadership",
        carry::leadership(
            leadership.clone(),
            handed_over.filter(|_| settings.election == ElectionScope::Everything),
            resignation.no_more_pushes.clone(),
            events.clone(),
            metrics.clone(),
        ),
    );
    let keeper = match settings.archive {
        Some(archive::Place::Secrets(_)) => &elected,
        _ => &leadership,
    };
    let (archive, archived) = put_away(&settings, client.as_ref(), &view, keeper, &events).await;
    let (outcomes, rim_events) = mpsc::channel(EVENT_QUEUE);
    spawn(
        &mut tasks,
        "outcomes",
        carry::outcomes(rim_events, events.clone(), view.clone(), metrics.clone()),
    );
    let inputs = admission::Inputs {
        snapshot: snapshot.clone(),
        view: view.clone(),
        leadership: elected.clone(),
        tls,
        metrics: metrics.clone(),
        schemas,
    };
    admission::serve(&settings, client.as_ref(), inputs, &mut tasks, &shutdown)?;
    spawn(
        &mut tasks,
        "proxies",
        proxies::drive(
            settings.clone(),
            (resignation.break_off.clone(), still_leads),
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
            liveness,
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
        spawn(&mut tasks, "storage metrics", carry::storage(storage, metrics));
    }
    spawn(&mut tasks, "reach", carry::reach(view.clone(), reach_sender));
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

/// What is known of custom entities: proxies are asked, unless none are translated or all is as in a comparison.
fn ask_for_schemas(
    settings: &ControllerSettings,
    snapshots: &watch::Receiver<Arc<Snapshot>>,
    views: &watch::Receiver<Arc<FleetView>>,
    tls: &watch::Receiver<Option<Arc<AdminTls>>>,
    tasks: &mut JoinSet<&'static str>,
) -> Schemas {
    let translation = &settings.translation;
    let schemas = |answers| Schemas::new(translation.entity_schemas.clone(), settings.profile.clone(), answers);
    if !translation.feature_gates.kong_custom_entity || translation.raw_objects {
        return schemas(None);
    }
    let (sender, answers) = watch::channel(Arc::default());
    let inquiry = entity_schemas::Inquiry {
        ask: spokesmen::ask_proxies(settings, views.clone(), tls.clone(), entity_schemas::LIMIT),
        snapshots: snapshots.clone(),
        views: views.clone(),
        assumed: settings.profile.clone(),
        settings: translation.clone(),
    };
    spawn(
        tasks,
        "schemas of custom entities",
        entity_schemas::follow(inquiry, sender),
    );
    schemas(Some(answers))
}

/// What proxies accept is put away, if there is a place for it.
async fn put_away(
    settings: &ControllerSettings,
    client: Option<&kube::Client>,
    view: &watch::Receiver<Arc<FleetView>>,
    leadership: &watch::Receiver<Leadership>,
    events: &mpsc::Sender<FleetEvent>,
) -> (Option<Archive>, Option<watch::Receiver<Storage>>) {
    let Some(place) = &settings.archive else {
        // Nothing is known of earlier runs. An error means that the fleet has ended, and everything with it.
        let _ = events.send(FleetEvent::Stored(BTreeMap::new())).await;
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
