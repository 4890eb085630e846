//! Certificates that embedded proxies ask for (`--proxy-identity-listen`).

use std::sync::Arc;

use anyhow::Context;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::settings::{ControllerSettings, ProxyIdentitySettings};
use crate::{
    pki::{FleetKnowledge, IdentityIssuer, IdentitySettings, Issuing, IssuingMaterial, KeyPairPem},
    serve,
};

/// The channel between whoever keeps the authorities and whoever issues.
pub(super) fn issuing(settings: &ProxyIdentitySettings) -> (Issuing, watch::Receiver<Option<Arc<IssuingMaterial>>>) {
    let (out, material) = watch::channel(None);
    let service = &settings.service;
    let names = vec![
        format!("{}.{}.svc", service.name, service.namespace),
        format!("{}.{}", service.name, service.namespace),
        service.name.to_string(),
    ];
    (Issuing { names, out }, material)
}

/// Serves it.
pub(super) fn serve(
    settings: &ControllerSettings,
    identity: &ProxyIdentitySettings,
    client: Option<&kube::Client>,
    material: watch::Receiver<Option<Arc<IssuingMaterial>>>,
    fleet: FleetKnowledge,
    tasks: &mut JoinSet<&'static str>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let client = client.context("--proxy-identity-listen needs a cluster")?;
    let accounts = IdentitySettings {
        accounts: identity.accounts.clone(),
    };
    let (certificates, certificate) = watch::channel(None);
    let issuer = IdentityIssuer::new(client.clone(), accounts, material.clone(), fleet.view, fleet.leadership);
    super::spawn(tasks, "identities", show(material, certificates));
    tracing::info!(
        services = settings.admin_services.len(),
        "proxies have certificates of their own"
    );
    serve::identity::start(identity.listen, Arc::new(issuer), certificate, shutdown)?;
    Ok(())
}

/// Passes the endpoint's certificate on.
async fn show(
    mut material: watch::Receiver<Option<Arc<IssuingMaterial>>>,
    certificates: watch::Sender<Option<Arc<KeyPairPem>>>,
) {
    loop {
        let server = material
            .borrow_and_update()
            .as_ref()
            .map(|material| Arc::new(material.server.clone()));
        certificates.send_if_modified(|shown| {
            let changed = *shown != server;
            *shown = server;
            changed
        });
        if material.changed().await.is_err() {
            return;
        }
    }
}
