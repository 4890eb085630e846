//! `silverback pause` and `silverback resume`: hold changes back from a fleet, and let them go again.
//!
//! Writes `spec.paused` of the ProxyFleet and nothing else, so that RBAC, audit and GitOps govern it as any object.

use anyhow::{Context, bail};
use clap::Args;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};

use super::cluster::{self, ClusterArguments};
use crate::status::resource::ProxyFleet;

/// Flags of `silverback pause` and `silverback resume`.
#[derive(Debug, Args)]
#[command(
    after_help = "The same with kubectl:\n  kubectl -n NAMESPACE patch proxyfleet NAME --type merge -p '{\"spec\":{\"paused\":true}}'"
)]
pub(super) struct PauseArguments {
    /// Name of the ProxyFleet; may be left out where the namespace has one only
    name: Option<String>,
    /// Namespace of the controller; that of the kubeconfig's context by default
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Sets `spec.paused` and says what that means.
pub(super) async fn run(arguments: PauseArguments, paused: bool) -> anyhow::Result<()> {
    let client = arguments.cluster.client().await?;
    let namespace = cluster::namespace(arguments.namespace.as_deref(), &client);
    let api: Api<ProxyFleet> = Api::namespaced(client, &namespace);
    let name = match arguments.name {
        Some(name) => name,
        None => only_one(&api).await?,
    };
    let patch = Patch::Merge(serde_json::json!({ "spec": { "paused": paused } }));
    let parameters = PatchParams {
        field_manager: Some("silverback-cli".to_owned()),
        ..PatchParams::default()
    };
    api.patch(&name, &parameters, &patch)
        .await
        .with_context(|| format!("failed to change spec.paused of ProxyFleet {name}"))?;
    if paused {
        println!("ProxyFleet {name} is paused: no change goes to proxies that have a configuration.");
        println!("Proxies without one still get one. End it with `silverback resume {name}`.");
    } else {
        println!("ProxyFleet {name} is resumed: changes go to its proxies again.");
    }
    Ok(())
}

async fn only_one(api: &Api<ProxyFleet>) -> anyhow::Result<String> {
    let fleets = api
        .list(&ListParams::default())
        .await
        .context("failed to list the ProxyFleets")?;
    let names: Vec<String> = fleets
        .items
        .into_iter()
        .filter_map(|fleet| fleet.metadata.name)
        .collect();
    match names.as_slice() {
        [name] => Ok(name.clone()),
        [] => bail!("there is no ProxyFleet in this namespace: give --namespace, where the controller runs"),
        names => bail!("there are several ProxyFleets, name one of them: {}", names.join(", ")),
    }
}
