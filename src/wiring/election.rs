//! Which Lease this replica competes for, and as whom: from the flags and from what Kubernetes tells a pod.
//!
//! Competes for nothing. Called by the wiring when it starts.

use std::sync::Arc;

use anyhow::Context;
use futures_util::FutureExt;
use kube::Client;

use super::{ControllerSettings, ElectionScope};
use crate::{
    lease::{Confirmation, LeaseSettings, ReplicaPod},
    model::NamespacedName,
    push::StillLeads,
};

/// How a replica makes sure that it is still the one that drives the proxies.
pub(super) fn still_leads(scope: ElectionScope, client: &Client, lease: &LeaseSettings) -> Option<StillLeads> {
    if scope != ElectionScope::Everything {
        return None;
    }
    let confirmation = Arc::new(Confirmation::new(client.clone(), lease.clone()));
    Some(Arc::new(move |epoch| {
        let confirmation = confirmation.clone();
        async move { confirmation.leads(&epoch).await }.boxed()
    }))
}

pub(super) fn lease_settings(settings: &ControllerSettings) -> anyhow::Result<LeaseSettings> {
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
pub(super) fn own_namespace(settings: &ControllerSettings) -> Option<String> {
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
