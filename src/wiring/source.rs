//! Objects from a cluster or a directory, and statuses back to the cluster.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context;
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    EVENT_QUEUE,
    request_rate::RateLayer,
    settings::{ControllerSettings, Source},
};
use crate::{
    manifest::Limits,
    model::{Kind, Object, Snapshot},
    store::{self, Event, Retention},
    watch::{
        directory,
        kubernetes::{self, WatchSettings},
    },
};

/// The API server of a cluster.
pub(super) struct ApiServer {
    pub(super) client: Client,
    /// Where it is, and who says so.
    pub(super) address: Arc<str>,
}

/// The client of the cluster; none in directory mode.
pub async fn client(source: &Source) -> anyhow::Result<Option<Client>> {
    Ok(api_server(source).await?.map(|server| server.client))
}

/// The API server of the cluster; none in directory mode.
pub(super) async fn api_server(source: &Source) -> anyhow::Result<Option<ApiServer>> {
    let Source::Cluster {
        kubeconfig,
        server,
        rate,
        ..
    } = source
    else {
        return Ok(None);
    };
    let mut config = match kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path)
                .with_context(|| format!("failed to read the kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("failed to use the kubeconfig {}", path.display()))?
        }
        None => Config::infer().await.context(
            "no access to a cluster: run in a pod, give --kubeconfig FILE or set KUBECONFIG, or use --directory DIR",
        )?,
    };
    let named = std::env::var("KUBECONFIG").ok().filter(|paths| !paths.is_empty());
    let origin = match (server, kubeconfig, named) {
        (Some(_), _, _) => " of --apiserver-host".to_owned(),
        (None, Some(path), _) => format!(" of the kubeconfig {}", path.display()),
        (None, None, Some(paths)) => format!(" of the kubeconfig {paths} (KUBECONFIG)"),
        (None, None, None) => String::new(),
    };
    if let Some(server) = server {
        config.cluster_url = server
            .parse()
            .with_context(|| format!("--apiserver-host {server:?} is no URL"))?;
    }
    config.read_timeout = Some(kubernetes::READ_TIMEOUT);
    tracing::info!(server = %config.cluster_url, "API server");
    let address = format!("{}{origin}", config.cluster_url);
    // Environment proxies are for the outside world: the API server is reached as the kubeconfig says.
    let builder = ClientBuilder::try_from(config).context("failed to make a client for the API server")?;
    let client = match rate {
        Some(rate) => builder.with_layer(&RateLayer::new(*rate)).build(),
        None => builder.build(),
    };
    Ok(Some(ApiServer {
        client,
        address: address.into(),
    }))
}

/// Starts the source and the store; gives the snapshots, and the way to the store for others.
pub(super) fn start(
    settings: &ControllerSettings,
    server: Option<&ApiServer>,
    tasks: &mut JoinSet<&'static str>,
) -> anyhow::Result<(watch::Receiver<Arc<Snapshot>>, mpsc::WeakSender<Event>)> {
    let (events, store_events) = mpsc::channel(EVENT_QUEUE);
    let others = events.downgrade();
    let (snapshots, snapshot) = watch::channel(Arc::new(Snapshot {
        pending: Arc::new(Kind::ALL.iter().copied().collect()),
        ..Snapshot::default()
    }));
    let (interest_sender, interest) = watch::channel(Arc::default());
    let kept = settings
        .admin_services
        .iter()
        .chain(&settings.status.publish_service)
        .chain(&settings.status.publish_service_udp)
        .cloned()
        .collect();
    let retention = match server {
        Some(_) => Retention::Referenced { services: kept },
        None => Retention::All,
    };
    super::spawn(
        tasks,
        "store",
        store::run(retention, store_events, snapshots, interest_sender),
    );
    match &settings.source {
        Source::Directory { path, additional } => {
            let limits = Limits {
                default_namespace: if settings.translation.raw_objects {
                    "".into()
                } else {
                    "default".into()
                },
                ..Limits::default()
            };
            let (files, file_events) = mpsc::channel(EVENT_QUEUE);
            super::spawn(tasks, "directory", directory::run(path.clone(), limits, files));
            super::spawn(
                tasks,
                "additional objects",
                add_objects(file_events, additional.clone(), settings.unread_kinds.clone(), events),
            );
        }
        Source::Cluster { namespaces, .. } => {
            let server = server.expect("a cluster has an API server");
            let services = settings
                .admin_services
                .iter()
                .chain(&settings.status.publish_service)
                .chain(&settings.status.publish_service_udp);
            let mut watched = WatchSettings {
                server: server.address.clone(),
                namespaces: namespaces.iter().map(|namespace| namespace.as_str().into()).collect(),
                service_namespaces: services.map(|service| service.namespace.clone()).collect(),
                fleet_namespace: super::election::own_namespace(settings)
                    .filter(|_| !settings.admin_services.is_empty())
                    .map(Into::into),
                ..WatchSettings::default()
            };
            watched
                .kinds
                .retain(|watched| !settings.unread_kinds.contains(&watched.kind));
            let unread = events.clone();
            let absent = settings.unread_kinds.clone();
            super::spawn(tasks, "unread kinds", async move {
                for kind in absent {
                    // An error means that the store has ended, and everything with it.
                    let _ = unread.send(Event::Listed(kind, Vec::new(), Vec::new())).await;
                }
                std::future::pending::<()>().await;
            });
            let mut streams = kubernetes::spawn(&server.client, &watched, &events, interest);
            super::spawn(
                tasks,
                "watches",
                async move { while streams.join_next().await.is_some() {} },
            );
        }
    }
    super::spawn(
        tasks,
        "first listing",
        complain_of_missing_lists(snapshot.clone(), settings.first_list_patience),
    );
    Ok((snapshot, others))
}

/// Says once which kinds have not been listed after a while. Waiting goes on: without them nothing is rendered.
async fn complain_of_missing_lists(mut snapshots: watch::Receiver<Arc<Snapshot>>, patience: Duration) {
    let complete = snapshots.wait_for(|snapshot| snapshot.is_complete());
    if tokio::time::timeout(patience, complete).await.is_err() {
        let snapshot = snapshots.borrow().clone();
        let missing: Vec<&str> = snapshot.pending.iter().map(|kind| kind.name()).collect();
        tracing::error!(
            kinds = missing.join(", "),
            "not listed within {patience:?} (--cache-sync-timeout); nothing is configured before they are: is the API \
             server in reach, and does its RBAC let us read them?"
        );
    }
    std::future::pending::<()>().await;
}

/// Passes events on, with some objects more than the directory holds, and without kinds that are not read.
async fn add_objects(
    mut files: mpsc::Receiver<Event>,
    additional: Vec<Object>,
    unread: BTreeSet<Kind>,
    events: mpsc::Sender<Event>,
) {
    while let Some(event) = files.recv().await {
        let event = match event {
            Event::Loaded(mut objects, problems) => {
                objects.extend(additional.iter().cloned());
                objects.retain(|object| !unread.contains(&object.kind()));
                Event::Loaded(objects, problems)
            }
            other => other,
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::fake_api::FakeApi;

    #[tokio::test(start_paused = true)]
    async fn kinds_that_are_not_read_hold_nothing_up() {
        let api = FakeApi::new();
        // Whoever leaves a kind unread may have no right to read it.
        api.fail("/ingresses", 403);
        let mut settings = ControllerSettings::new(Source::Cluster {
            kubeconfig: None,
            server: None,
            rate: None,
            namespaces: Vec::new(),
        });
        settings.unread_kinds.insert(Kind::Ingress);
        settings.unread_kinds.insert(Kind::KongConsumer);
        let mut tasks = JoinSet::new();
        let server = ApiServer {
            client: api.client(),
            address: "".into(),
        };
        let (mut snapshot, _) = start(&settings, Some(&server), &mut tasks).expect("it starts");
        let complete = snapshot.wait_for(|snapshot| snapshot.is_complete());
        let complete = tokio::time::timeout(Duration::from_secs(60), complete).await;
        let snapshot = complete.expect("all kinds are listed").expect("the store runs").clone();
        assert!(snapshot.unavailable.is_empty(), "{:?}", snapshot.unavailable);
        let absent = &snapshot.absent;
        assert!(
            absent.is_empty(),
            "what nobody wants to be read is missed by nobody: {absent:?}"
        );
        let requests = api.take_requests();
        assert!(
            requests.iter().any(|line| line.contains("/kongplugins")),
            "{requests:?}"
        );
        assert!(
            !requests
                .iter()
                .any(|line| line.contains("/ingresses") || line.contains("/kongconsumers")),
            "{requests:?}"
        );
    }
}
