//! The admission webhook's certificate, and the authority that it comes from, in one Secret of the cluster.
//!
//! The chart makes it empty; whichever replica comes first fills it, and all show the same. Nobody mounts it: replicas
//! read it from the API server, which is the only client of the webhook anyway.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::watch;

use super::{Authority, Error, KeyPairPem, Validity, secrets::Shelf};
use crate::{back_off::BackOff, model::NamespacedName};

/// How long after a failed write the next one is tried.
const RETRY: Duration = Duration::from_secs(5);

/// Where the certificate is, and whom it names.
#[derive(Debug, Clone)]
pub struct WebhookSecretSettings {
    /// The Secret.
    pub secret: NamespacedName,
    /// Names in the certificate: `<service>.<namespace>.svc`.
    pub names: Vec<String>,
}

/// What the webhook shows, and whom the API server is to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookCertificate {
    /// Certificate and key.
    pub pair: KeyPairPem,
    /// The authority's certificate, PEM: the `caBundle`.
    pub authority: String,
}

/// Keeps the Secret filled and current, and publishes what is in it, until nobody listens.
pub async fn keep(
    client: Client,
    settings: WebhookSecretSettings,
    out: watch::Sender<Option<Arc<WebhookCertificate>>>,
) {
    let api = Api::<Secret>::namespaced(client, &settings.secret.namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", settings.secret.name));
    let mut events = pin!(watcher(api.clone(), config).backoff(BackOff::default()));
    let mut shelf = Shelf::new(api, &settings.secret);
    loop {
        let wait = match settle(&mut shelf, &settings, &out).await {
            Ok(Some(renewal)) => Duration::try_from(renewal.duration_since(Timestamp::now())).unwrap_or_default(),
            Ok(None) => RETRY,
            Err(error) => {
                tracing::error!(%error, "failed to make the certificate of the admission webhook");
                RETRY
            }
        };
        tokio::select! {
            event = events.next() => match event {
                Some(event) => shelf.take(event),
                None => return,
            },
            () = tokio::time::sleep(wait.max(RETRY)) => {}
            () = out.closed() => return,
        }
    }
}

/// Publishes what is in the Secret; fills it when something is missing or has to be renewed. Gives the time of that.
async fn settle(
    shelf: &mut Shelf,
    settings: &WebhookSecretSettings,
    out: &watch::Sender<Option<Arc<WebhookCertificate>>>,
) -> Result<Option<Timestamp>, Error> {
    if !shelf.listed {
        return Ok(None);
    }
    let now = Timestamp::now();
    let names = settings.names.join(",");
    if let Some((certificate, renewal)) = current(shelf, &names, now) {
        publish(certificate, out);
        return Ok(Some(renewal));
    }
    let authority = match shelf.pair("ca.crt", "ca.key") {
        Some(pem) if Validity::of_pem(&pem.certificate).is_ok_and(|validity| now < validity.renew_at) => {
            Authority::from_pem(pem)?
        }
        _ => Authority::generate("silverback admission webhook CA", now)?,
    };
    let pair = authority.issue_server("silverback admission webhook", &settings.names, now)?;
    let data = BTreeMap::from([
        ("ca.crt".to_owned(), authority.pem().certificate.clone()),
        ("ca.key".to_owned(), authority.pem().key.clone()),
        ("tls.crt".to_owned(), pair.certificate),
        ("tls.key".to_owned(), pair.key),
        ("names".to_owned(), names.clone()),
    ]);
    if !shelf.fill(data).await {
        return Ok(None);
    }
    Ok(current(shelf, &names, now).map(|(certificate, renewal)| {
        publish(certificate, out);
        renewal
    }))
}

/// What the Secret holds, if it is whole, bears the names, and has not to be renewed.
fn current(shelf: &Shelf, names: &str, now: Timestamp) -> Option<(WebhookCertificate, Timestamp)> {
    let certificate = WebhookCertificate {
        pair: shelf.pair("tls.crt", "tls.key")?,
        authority: shelf.text("ca.crt")?,
    };
    let of_leaf = Validity::of_pem(&certificate.pair.certificate).ok()?;
    let of_authority = Validity::of_pem(&certificate.authority).ok()?;
    let renewal = of_leaf.renew_at.min(of_authority.renew_at);
    (shelf.text("names").as_deref() == Some(names) && now < renewal).then_some((certificate, renewal))
}

fn publish(certificate: WebhookCertificate, out: &watch::Sender<Option<Arc<WebhookCertificate>>>) {
    out.send_if_modified(|published| {
        let changed = published.as_deref() != Some(&certificate);
        if changed {
            *published = Some(Arc::new(certificate));
        }
        changed
    });
}
