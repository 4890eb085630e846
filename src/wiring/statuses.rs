//! Statuses back to the cluster, and what they cost as metrics.

use std::sync::Arc;

use kube::Client;
use tokio::{sync::watch, task::JoinSet};

use super::settings::{ControllerSettings, Source};
use crate::{
    observe::metrics::Metrics,
    status::{self, Inputs, Load, OwnPod},
};

/// Starts the writer of statuses.
pub(super) fn write(
    client: Client,
    settings: &ControllerSettings,
    inputs: Inputs,
    metrics: Arc<Metrics>,
    tasks: &mut JoinSet<&'static str>,
) -> anyhow::Result<()> {
    let own_pod = OwnPod::from_environment();
    let lease = super::lease_settings(settings)?.lease;
    let namespace = super::own_namespace(settings).unwrap_or_else(|| lease.namespace.to_string());
    let status_settings = status::Settings {
        publish_service: settings.status.publish_service.clone(),
        publish_addresses: settings.status.publish_addresses.clone(),
        publish_service_udp: settings.status.publish_service_udp.clone(),
        publish_addresses_udp: settings.status.publish_addresses_udp.clone(),
        controller_name: settings.translation.gateway_controller_name.clone(),
        gateway_to_reconcile: settings.translation.gateway_to_reconcile.clone(),
        update_status: settings.status.update_status,
        emit_events: settings.status.emit_events,
        qps: settings.status.qps,
        burst: settings.status.burst,
        services: settings.admin_services.clone(),
        watched_namespaces: match &settings.source {
            Source::Cluster { namespaces, .. } => namespaces.clone(),
            Source::Directory { .. } => Vec::new(),
        },
        namespace: namespace.into(),
        lease,
        own_pod,
    };
    let (writer, reports) = status::writer(client, status_settings, inputs);
    super::spawn(tasks, "statuses", writer);
    super::spawn(tasks, "status metrics", follow_load(reports.load, metrics));
    Ok(())
}

async fn follow_load(mut loads: watch::Receiver<Load>, metrics: Arc<Metrics>) {
    loop {
        let load = *loads.borrow_and_update();
        let waiting = [
            ("gates", load.gates),
            ("transitions", load.transitions),
            ("refreshes", load.refreshes),
        ];
        metrics.statuses(waiting, load.writes, load.failures);
        if loads.changed().await.is_err() {
            return;
        }
    }
}
