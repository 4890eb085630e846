//! Certificates of the Admin APIs as a channel, from wherever they come.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use jiff::Timestamp;
use tokio::{sync::watch, task::JoinSet};

use super::settings::{AdminCertificates, ControllerSettings};
use crate::{
    fleet::discovery,
    pki::{
        self, CertificateFiles, CertificateMaterial, FleetKnowledge, Issuing, KeyPairPem, PkiDirectory, SecretSettings,
        client::{AdminTls, AdminTlsError, AdminTlsMaterial},
    },
};

/// How long a connection is used before another handshake shows what the proxy's certificate is now.
const RECONNECT: Duration = Duration::from_secs(600);
/// The same while authorities or the proxies' certificates are being replaced.
const RECONNECT_CHANGING: Duration = Duration::from_secs(20);
/// How often certificates in a directory are looked after.
const DIRECTORY_INTERVAL: Duration = Duration::from_secs(3600);

/// Starts whatever keeps the certificates current. The receiver holds nothing until there are some.
pub(super) fn follow(
    settings: &ControllerSettings,
    client: Option<&kube::Client>,
    fleet: FleetKnowledge,
    issuing: Option<Issuing>,
) -> anyhow::Result<watch::Receiver<Option<Arc<CertificateMaterial>>>> {
    let (sender, receiver) = watch::channel(None);
    match &settings.certificates {
        AdminCertificates::Inline { client, authorities } => {
            let client = client.clone().map(|(certificate, key)| KeyPairPem { certificate, key });
            sender.send_replace(Some(Arc::new(CertificateMaterial {
                authorities: authorities.clone(),
                client,
                changing: false,
            })));
            // The channel stays open: a closed one would mean that nothing follows the certificates.
            tokio::spawn(async move { sender.closed().await });
        }
        AdminCertificates::Files {
            client: certificate,
            authorities,
            workloads,
        } => {
            if !workloads.is_empty() {
                let client = client.context("--restart-workload needs a cluster")?;
                tokio::spawn(pki::restart_before_expiry(client.clone(), workloads.clone(), fleet));
            }
            follow_files(
                CertificateFiles {
                    client: certificate.clone(),
                    authorities: authorities.clone(),
                },
                sender,
            )?;
        }
        AdminCertificates::Directory(path) => {
            follow_files(directory_files(path, settings)?, sender)?;
            tokio::spawn(renew_in_directory(path.clone(), settings.clone()));
        }
        AdminCertificates::Secrets {
            authorities,
            proxies,
            workloads,
        } => {
            let client = client.context("certificates in Secrets need a cluster")?;
            let names = settings.admin_services.iter().flat_map(|service| {
                [
                    format!("*.{}.{}.svc", service.name, service.namespace),
                    discovery::shared_server_name(service),
                ]
            });
            let settings = SecretSettings {
                workloads: workloads.clone(),
                authorities: authorities.clone(),
                proxies: proxies.clone(),
                names: names.collect(),
            };
            tokio::spawn(pki::keep_secrets(client.clone(), settings, fleet, issuing, sender));
        }
    }
    Ok(receiver)
}

fn follow_files(
    files: CertificateFiles,
    sender: watch::Sender<Option<Arc<CertificateMaterial>>>,
) -> anyhow::Result<()> {
    sender.send_replace(Some(Arc::new(files.read()?)));
    tokio::spawn(files.follow(sender));
    Ok(())
}

/// Makes anew what is past two thirds of its life, as long as the process lives. The files are read again by whoever uses
/// them.
async fn renew_in_directory(path: PathBuf, settings: ControllerSettings) {
    loop {
        tokio::time::sleep(DIRECTORY_INTERVAL).await;
        if let Err(error) = directory_files(&path, &settings) {
            tracing::error!(
                error = format!("{error:#}"),
                "failed to renew the certificates in the directory"
            );
        }
    }
}

/// Our own authorities in a directory: makes what is missing there, also for the proxies that are named.
fn directory_files(path: &Path, settings: &ControllerSettings) -> anyhow::Result<CertificateFiles> {
    let now = Timestamp::now();
    let directory = PkiDirectory::open(path, now)?;
    let controller = directory.controller(now)?;
    for (name, url) in &settings.static_proxies {
        let host = reqwest::Url::parse(url)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_default();
        let host = host.trim_matches(['[', ']']).to_owned();
        let names = settings
            .server_name
            .clone()
            .into_iter()
            .chain([host])
            .collect::<Vec<_>>();
        let files = directory.proxy(&name.replace([':', '/', '[', ']'], "-"), &names, now)?;
        tracing::info!(proxy = %name, directory = %files.display(), "certificate, key and client authority for this proxy");
    }
    Ok(CertificateFiles {
        client: Some((controller.join("tls.crt"), controller.join("tls.key"))),
        authorities: Some(controller.join("ca.crt")),
    })
}

/// What questions to proxies are asked with, as it is now. Pushes have their own, with what has to be said of certificates that
/// can't be used.
pub(super) fn for_questions(
    settings: &ControllerSettings,
    mut material: watch::Receiver<Option<Arc<CertificateMaterial>>>,
    tasks: &mut JoinSet<&'static str>,
) -> watch::Receiver<Option<Arc<AdminTls>>> {
    let (sender, receiver) = watch::channel(None);
    let settings = settings.clone();
    super::spawn(tasks, "certificates of questions", async move {
        loop {
            let latest = material.borrow_and_update().clone();
            let tls = latest.and_then(|material| admin_tls(&settings, &material).ok());
            sender.send_replace(tls.map(Arc::new));
            if material.changed().await.is_err() {
                // Inline certificates never change.
                std::future::pending::<()>().await;
            }
        }
    });
    receiver
}

/// What connections are made with: certificates, and the rest of the flags.
pub(super) fn admin_tls(
    settings: &ControllerSettings,
    material: &CertificateMaterial,
) -> Result<AdminTls, AdminTlsError> {
    let client = material.client.as_ref();
    AdminTls::new(&AdminTlsMaterial {
        roots: material.authorities.clone().map(String::into_bytes),
        certificate: client.map(|pair| pair.certificate.clone().into_bytes()),
        key: client.map(|pair| pair.key.clone().into_bytes()),
        first_keys: settings.first_keys.clone(),
        reconnect_after: if material.changing {
            RECONNECT_CHANGING
        } else {
            RECONNECT
        },
        token: None,
        headers: settings.headers.clone(),
        workspace: settings.workspace.clone(),
    })
}
