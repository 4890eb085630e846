//! Between the fleet and its proxies: which there are, commands on their way to them, and what they run when asked.
//!
//! Decides nothing about a proxy. `discover` and `drive` are tasks of the wiring's.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{ControllerSettings, certificates, election::own_namespace, own_proxy::OwnProxy};
use crate::{
    fleet::{
        self, Command, FleetEvent,
        discovery::{self, AdminService},
    },
    model::{ProxyTarget, Snapshot},
    observe,
    pki::{CertificateMaterial, client::AdminTls},
    push, serve,
};

/// How long a connection to a proxy may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn static_targets(
    settings: &ControllerSettings,
    own: Option<&OwnProxy>,
) -> anyhow::Result<Vec<Arc<ProxyTarget>>> {
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
pub(super) async fn discover(
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

/// Carries the fleet's commands out, as soon as there are certificates to do it with.
pub(super) async fn drive(
    settings: ControllerSettings,
    (stop, still_leads): (CancellationToken, push::StillLeads),
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
    let mut pusher = push::Pusher::new(push_settings(&settings, stop, still_leads), tls, outcomes);
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

pub(super) fn fleet_settings(settings: &ControllerSettings) -> fleet::Settings {
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

fn push_settings(
    settings: &ControllerSettings,
    stop: CancellationToken,
    still_leads: push::StillLeads,
) -> push::Settings {
    push::Settings {
        stop,
        still_leads,
        timeout: settings.push_timeout,
        connect_timeout: CONNECT_TIMEOUT,
        ..push::Settings::default()
    }
}

/// Asks a proxy for what it runs, one at a time, with the certificates of the moment.
pub(super) fn read_configuration(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::Source;

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
}
