//! The admission webhook: its certificate, its questions to proxies and to the API server, its figures.

use std::sync::Arc;

use anyhow::bail;
use futures_util::FutureExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    entity_schemas::Schemas,
    pipeline,
    settings::{AdmissionCertificate, AdmissionSettings, ControllerSettings},
    spokesmen::ask_proxies,
};
use crate::{
    admission,
    fleet::FleetView,
    model::{Kind, Leadership, NamespacedName, Object, Snapshot},
    observe::metrics::Metrics,
    pki::{
        self, CaBundleSettings, CertificateFiles, CertificateMaterial, KeyPairPem, WebhookCertificate,
        WebhookSecretSettings, client::AdminTls,
    },
    serve::admission::{self as webhook, LookUp, LookUpSecret},
    translate,
};

/// What the webhook follows.
pub(super) struct Inputs {
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
    pub(super) view: watch::Receiver<Arc<FleetView>>,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) tls: watch::Receiver<Option<Arc<AdminTls>>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) schemas: Schemas,
}

/// Serves the webhook, if it shall be served.
pub(super) fn serve(
    settings: &ControllerSettings,
    client: Option<&Client>,
    inputs: Inputs,
    tasks: &mut JoinSet<&'static str>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let Some(admission) = &settings.admission else {
        return Ok(());
    };
    let certificate = certificate(admission, client, &inputs, tasks)?;
    let limit = webhook::AdmissionSettings::LIMIT;
    let metrics = inputs.metrics;
    let served = webhook::AdmissionSettings {
        address: admission.listen,
        limit,
    };
    let inputs = webhook::Inputs {
        snapshot: inputs.snapshot,
        settings: translations(settings.clone(), inputs.view.clone(), inputs.schemas),
        certificate,
        proxies: ask_proxies(settings, inputs.view, inputs.tls, limit),
        secrets: look_up(client.cloned()),
        count: Arc::new(move |kind, verdict, took| metrics.reviewed(kind, verdict, took)),
    };
    webhook::start(&served, inputs, shutdown)?;
    Ok(())
}

/// The certificate that is shown, from wherever it comes.
fn certificate(
    admission: &AdmissionSettings,
    client: Option<&Client>,
    inputs: &Inputs,
    tasks: &mut JoinSet<&'static str>,
) -> anyhow::Result<watch::Receiver<Option<Arc<KeyPairPem>>>> {
    let (sender, receiver) = watch::channel(None);
    match (&admission.certificate, client) {
        (AdmissionCertificate::Inline { certificate, key }, _) => {
            sender.send_replace(Some(Arc::new(KeyPairPem {
                certificate: certificate.clone(),
                key: key.clone(),
            })));
        }
        (AdmissionCertificate::Files { certificate, key }, _) => {
            let files = CertificateFiles {
                client: Some((certificate.clone(), key.clone())),
                authorities: None,
            };
            let (material, follows) = watch::channel(None);
            tokio::spawn(files.follow(material));
            tokio::spawn(carry(follows, sender, |material: &CertificateMaterial| {
                material.client.clone()
            }));
        }
        (AdmissionCertificate::Own { secret, service }, Some(client)) => {
            let settings = WebhookSecretSettings {
                secret: secret.clone(),
                names: vec![format!("{}.{}.svc", service.name, service.namespace)],
            };
            let (kept, follows) = watch::channel(None);
            let keeper = pki::keep_webhook_secret(client.clone(), settings, kept);
            super::spawn(tasks, "webhook certificate", keeper);
            if let Some(configuration) = &admission.configuration {
                let settings = CaBundleSettings {
                    configuration: configuration.clone(),
                };
                let leadership = inputs.leadership.clone();
                let keeper = pki::keep_ca_bundle(client.clone(), settings, follows.clone(), leadership);
                super::spawn(tasks, "webhook configuration", keeper);
            }
            tokio::spawn(carry(follows, sender, |certificate: &WebhookCertificate| {
                Some(certificate.pair.clone())
            }));
        }
        (AdmissionCertificate::Own { .. }, None) => bail!(
            "--admission-webhook-listen needs a certificate: give --admission-webhook-cert-file and --admission-webhook-key-file"
        ),
    }
    Ok(receiver)
}

/// Passes a part of each value on.
async fn carry<T, U>(
    mut from: watch::Receiver<Option<Arc<T>>>,
    to: watch::Sender<Option<Arc<U>>>,
    part: impl Fn(&T) -> Option<U>,
) {
    loop {
        let latest = from.borrow_and_update().as_deref().and_then(&part);
        to.send_replace(latest.map(Arc::new));
        tokio::select! {
            changed = from.changed() => if changed.is_err() {
                return;
            },
            () = to.closed() => return,
        }
    }
}

/// How objects are translated for the proxies of the moment.
fn translations(
    settings: ControllerSettings,
    view: watch::Receiver<Arc<FleetView>>,
    schemas: Schemas,
) -> Arc<dyn Fn() -> admission::Settings + Send + Sync> {
    Arc::new(move || {
        let schemas = schemas.clone().known();
        let present = view.borrow().profiles.clone();
        let profiles = pipeline::wanted_profiles(&settings.translation, &present, Default::default());
        let of_profile = |profile| translate::Settings {
            profile: settings.profile.of(&profile),
            entity_schemas: schemas.of(&profile),
            ..pipeline::as_of_now(&settings.translation)
        };
        admission::Settings {
            translations: profiles.into_iter().map(of_profile).collect(),
        }
    })
}

/// Asks the API server for a Secret. Without a cluster all there is has been read.
fn look_up(client: Option<Client>) -> LookUpSecret {
    Arc::new(move |key: NamespacedName| {
        let client = client.clone();
        async move {
            match client {
                None => LookUp::Absent,
                Some(client) => read(&client, &key).await,
            }
        }
        .boxed()
    })
}

async fn read(client: &Client, key: &NamespacedName) -> LookUp {
    let api = Api::<Secret>::namespaced(client.clone(), &key.namespace);
    match api.get_opt(&key.name).await {
        Ok(None) => LookUp::Absent,
        Ok(Some(secret)) => {
            let value = serde_json::to_value(secret).ok();
            match value.map(|value| Object::from_json(Kind::Secret, value)) {
                Some(Ok(Object::Secret(secret))) => LookUp::Found(secret),
                _ => LookUp::Unknown,
            }
        }
        Err(error) => {
            tracing::debug!(%error, secret = %key, "a Secret could not be read for a review");
            LookUp::Unknown
        }
    }
}
