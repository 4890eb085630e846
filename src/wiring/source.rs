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
