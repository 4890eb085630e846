//! Statuses back to the cluster, and what they cost as metrics.

use std::sync::Arc;

use futures_util::future::select_all;
use kube::Client;
use tokio::{sync::watch, task::JoinSet};

use super::{
    own_proxy::OwnProxy,
    settings::{ControllerSettings, Source},
};
use crate::{
    lease,
    observe::metrics::Metrics,
    status::{self, Inputs, Load, OwnPod, Rows},
};

/// Starts the writer of statuses: that of the leader; where each replica drives its own proxy, one for its row, too.
pub(super) fn write(
    client: Client,
    settings: &ControllerSettings,
    own_proxy: Option<&OwnProxy>,
    inputs: Inputs,
    metrics: Arc<Metrics>,
    tasks: &mut JoinSet<&'static str>,
) -> anyhow::Result<()> {
    let own_pod = OwnPod::from_environment();
    let lease = super::election::lease_settings(settings)?.lease;
    let namespace = super::election::own_namespace(settings).unwrap_or_else(|| lease.namespace.to_string());
    let status_settings = status::Settings {
        publish_service: settings.status.publish_service.clone(),
        publish_addresses: settings.status.publish_addresses.clone(),
        publish_service_udp: settings.status.publish_service_udp.clone(),
        publish_addresses_udp: settings.status.publish_addresses_udp.clone(),
        controller_name: settings.translation.gateway_controller_name.clone(),
        facade_class: (settings.translation.feature_gates.kong_service_facade)
            .then(|| settings.translation.ingress_class.clone()),
        gateway_to_reconcile: settings.translation.gateway_to_reconcile.clone(),
        update_status: settings.status.update_status,
        emit_events: settings.status.emit_events,
        qps: settings.status.qps,
        burst: settings.status.burst,
        rows: match own_proxy {
            Some(_) => Rows::None,
            None => Rows::Fleet,
        },
        services: settings.admin_services.clone(),
        watched_namespaces: match &settings.source {
            Source::Cluster { namespaces, .. } => namespaces.clone(),
            Source::Directory { .. } => Vec::new(),
        },
        namespace: namespace.into(),
        lease,
        own_pod,
    };
    let mut loads = Vec::new();
    if let Some(own) = own_proxy {
        let row = status::Settings {
            rows: Rows::Own(own.name()),
            update_status: false,
            emit_events: false,
            ..status_settings.clone()
        };
        let inputs = Inputs {
            leadership: lease::always_leader(),
            objects_are_ours: None,
            storage: None,
            ..inputs.clone()
        };
        let (writer, reports) = status::writer(client.clone(), row, inputs);
        super::spawn(tasks, "own row", writer);
        loads.push(reports.load);
    }
    let (writer, reports) = status::writer(client, status_settings, inputs);
    super::spawn(tasks, "statuses", writer);
    loads.push(reports.load);
    super::spawn(tasks, "status metrics", follow_loads(loads, metrics));
    Ok(())
}

async fn follow_loads(mut loads: Vec<watch::Receiver<Load>>, metrics: Arc<Metrics>) {
    loop {
        let all = loads.iter_mut().map(|load| *load.borrow_and_update());
        let load = all.fold(Load::default(), |sum, load| Load {
            gates: sum.gates + load.gates,
            transitions: sum.transitions + load.transitions,
            refreshes: sum.refreshes + load.refreshes,
            news: sum.news + load.news,
            writes: sum.writes + load.writes,
            failures: sum.failures + load.failures,
        });
        let waiting = [
            ("gates", load.gates),
            ("transitions", load.transitions),
            ("refreshes", load.refreshes),
            ("news", load.news),
        ];
        metrics.statuses(waiting, load.writes, load.failures);
        let changes = loads.iter_mut().map(|load| Box::pin(load.changed()));
        if select_all(changes).await.0.is_err() {
            return;
        }
    }
}
