//! Objects from a cluster or a directory, and statuses back to the cluster.

use anyhow::Context;
use kube::{Client, Config, config::KubeConfigOptions, config::Kubeconfig};

use super::settings::Source;

/// The client of the cluster; none in directory mode.
pub(super) async fn client(source: &Source) -> anyhow::Result<Option<Client>> {
    let Source::Cluster { kubeconfig, server, .. } = source else { return Ok(None) };
    let mut config = match kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path).with_context(|| format!("failed to read the kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("failed to use the kubeconfig {}", path.display()))?
        }
        None => Config::infer().await.context(
            "no access to a cluster: run in a pod, give --kubeconfig FILE or set KUBECONFIG, or use --directory DIR",
        )?,
    };
    if let Some(server) = server {
        config.cluster_url = server.parse().with_context(|| format!("--apiserver-host {server:?} is no URL"))?;
    }
    // Environment proxies are for the outside world: the API server is reached as the kubeconfig says.
    Ok(Some(Client::try_from(config).context("failed to make a client for the API server")?))
}

/// Starts the source and the store; gives the snapshots.
pub(super) fn start(
    settings: &ControllerSettings,
    client: Option<&Client>,
    tasks: &mut JoinSet<&'static str>,
) -> anyhow::Result<watch::Receiver<Arc<Snapshot>>> {
    let (events, store_events) = mpsc::channel(EVENT_QUEUE);
    let (snapshots, snapshot) = watch::channel(Arc::new(Snapshot { pending: Arc::new(Kind::ALL.iter().copied().collect()), ..Snapshot::default() }));
    let (interest_sender, interest) = watch::channel(Arc::default());
    let kept = settings.admin_services.iter().chain(&settings.status.publish_service).cloned().collect();
    let retention = match client {
        Some(_) => Retention::Referenced { services: kept },
        None => Retention::All,
    };
    super::spawn(tasks, "store", store::run(retention, store_events, snapshots, interest_sender));
    let _ = (events, interest);
    Ok(snapshot)
}
