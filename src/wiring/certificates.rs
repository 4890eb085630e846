//! Certificates of the Admin APIs as a channel, from wherever they come.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use jiff::Timestamp;
use tokio::sync::watch;

use super::settings::{AdminCertificates, ControllerSettings};
use crate::{
    fleet::discovery::AdminService,
    pki::{
        self, CertificateFiles, CertificateMaterial, KeyPairPem, PkiDirectory, SecretSettings,
        client::{AdminTls, AdminTlsError, AdminTlsMaterial},
    },
};

/// Starts whatever keeps the certificates current. The receiver holds nothing until there are some.
pub(super) fn follow(
    settings: &ControllerSettings,
    client: Option<&kube::Client>,
) -> anyhow::Result<watch::Receiver<Option<Arc<CertificateMaterial>>>> {
    let (sender, receiver) = watch::channel(None);
    match &settings.certificates {
        AdminCertificates::Inline { client, authorities } => {
            let client = client.clone().map(|(certificate, key)| KeyPairPem { certificate, key });
            sender.send_replace(Some(Arc::new(CertificateMaterial {
                authorities: authorities.clone(),
                client,
            })));
            // The channel stays open: a closed one would mean that nothing follows the certificates.
            tokio::spawn(async move { sender.closed().await });
        }
        AdminCertificates::Files { client, authorities } => {
            follow_files(
                CertificateFiles {
                    client: client.clone(),
                    authorities: authorities.clone(),
                },
                sender,
            )?;
        }
        AdminCertificates::Directory(path) => follow_files(directory_files(path, settings)?, sender)?,
        AdminCertificates::Secrets { authorities, proxies } => {
            let client = client.context("certificates in Secrets need a cluster")?;
            let names = settings.admin_services.iter().flat_map(|service| {
                let server_name = AdminService { name: service.clone() }.server_name();
                [format!("*.{}.{}.svc", service.name, service.namespace), server_name]
            });
            let settings = SecretSettings {
                authorities: authorities.clone(),
                proxies: proxies.clone(),
                names: names.collect(),
            };
            tokio::spawn(pki::keep_secrets(client.clone(), settings, sender));
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
        skip_verify: settings.skip_verify,
        token: None,
        headers: settings.headers.clone(),
        workspace: settings.workspace.clone(),
    })
}
