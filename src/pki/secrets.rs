//! Our own authorities in two Secrets of the cluster.
//!
//! One holds both authorities with their keys: only the controller may read it. The other is mounted by the proxy pods:
//! their server certificate, its key, and the authority of the controller's client certificate. The chart makes both
//! empty; whichever replica comes first fills them (the API server refuses the second one by resourceVersion). The
//! controller's client certificate never leaves memory: each replica issues its own.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::PostParams,
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::watch;

use super::{Authority, CONTROLLER_NAME, CertificateMaterial, Error, KeyPairPem, Validity};
use crate::{back_off::BackOff, model::NamespacedName};

/// How long after a failed write the next one is tried.
const RETRY: Duration = Duration::from_secs(5);

/// Where the authorities are, and whom the proxies' certificate names.
#[derive(Debug, Clone)]
pub struct SecretSettings {
    /// Both authorities with their keys.
    pub authorities: NamespacedName,
    /// What the proxy pods mount.
    pub proxies: NamespacedName,
    /// Names in the proxies' certificate: `*.<service>.<namespace>.svc` for each Admin Service.
    pub names: Vec<String>,
}

/// Keeps both Secrets filled and current, and publishes what the controller itself needs.
pub async fn run(client: Client, settings: SecretSettings, out: watch::Sender<Option<Arc<CertificateMaterial>>>) {
    let api = |name: &NamespacedName| Api::<Secret>::namespaced(client.clone(), &name.namespace);
    let (authorities, proxies) = (api(&settings.authorities), api(&settings.proxies));
    let follow = |api: Api<Secret>, name: &NamespacedName| {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", name.name));
        watcher(api, config).backoff(BackOff::default())
    };
    let mut events = pin!(stream::select(
        follow(authorities.clone(), &settings.authorities).map(|event| (true, event)),
        follow(proxies.clone(), &settings.proxies).map(|event| (false, event)),
    ));
    let mut keeper = Keeper {
        authorities: Shelf::new(authorities, &settings.authorities),
        proxies: Shelf::new(proxies, &settings.proxies),
        settings,
        client: None,
        out,
    };
    loop {
        let wait = keeper.settle().await;
        tokio::select! {
            event = events.next() => {
                let Some((of_authorities, event)) = event else { return };
                let shelf = if of_authorities { &mut keeper.authorities } else { &mut keeper.proxies };
                shelf.take(event);
            }
            () = tokio::time::sleep(wait) => {}
            () = keeper.out.closed() => return,
        }
    }
}

/// One Secret as it is known.
pub(super) struct Shelf {
    api: Api<Secret>,
    name: NamespacedName,
    secret: Option<Secret>,
    pub(super) listed: bool,
    /// Whether the watch does not work.
    blind: bool,
    complained: bool,
}

/// The status that the API server answered with, if it did.
fn answered(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

impl Shelf {
    pub(super) fn new(api: Api<Secret>, name: &NamespacedName) -> Self {
        Self {
            api,
            name: name.clone(),
            secret: None,
            listed: false,
            blind: false,
            complained: false,
        }
    }

    pub(super) fn take(&mut self, event: Result<watcher::Event<Secret>, watcher::Error>) {
        match event {
            Ok(watcher::Event::Apply(secret) | watcher::Event::InitApply(secret)) => self.secret = Some(secret),
            Ok(watcher::Event::Delete(_)) => self.secret = None,
            // A list begins, and may fail: until it has ended it is not known what there is.
            Ok(watcher::Event::Init) => {
                self.secret = None;
                self.listed = false;
            }
            Ok(watcher::Event::InitDone) => {
                self.listed = true;
                self.blind = false;
            }
            Err(error) if self.blind => tracing::debug!(%error, "the certificate Secret still can't be watched"),
            Err(error) => {
                self.blind = true;
                let secret = &self.name;
                match answered(&error) {
                    Some(403) => tracing::error!(
                        %secret,
                        %error,
                        "may not watch the certificate Secret; grant get, list and watch on it by name"
                    ),
                    Some(_) => tracing::warn!(%secret, %error, "the certificate Secret can't be watched; trying again"),
                    // Whoever watches the users' objects says that the API server is out of reach.
                    None => tracing::debug!(%secret, %error, "the certificate Secret can't be watched; trying again"),
                }
            }
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        let bytes = &self.secret.as_ref()?.data.as_ref()?.get(key)?.0;
        String::from_utf8(bytes.clone()).ok().filter(|text| !text.is_empty())
    }

    pub(super) fn pair(&self, certificate: &str, key: &str) -> Option<KeyPairPem> {
        Some(KeyPairPem {
            certificate: self.text(certificate)?,
            key: self.text(key)?,
        })
    }

    /// Replaces the content, unless somebody else was faster: then the watch tells what there is now.
    pub(super) async fn fill(&mut self, data: BTreeMap<String, String>) -> bool {
        let name = &self.name;
        let Some(mut secret) = self.secret.clone() else {
            if self.listed && !self.complained {
                self.complained = true;
                tracing::error!(secret = %name, "the certificate Secret does not exist; create it empty, as the chart does");
            }
            return false;
        };
        secret.data = Some(
            data.into_iter()
                .map(|(key, text)| (key, ByteString(text.into_bytes())))
                .collect(),
        );
        secret.metadata.managed_fields = None;
        match self.api.replace(&name.name, &PostParams::default(), &secret).await {
            Ok(stored) => {
                tracing::info!(secret = %name, "certificates written");
                self.secret = Some(stored);
                self.complained = false;
                true
            }
            Err(kube::Error::Api(status)) if status.code == 409 => false,
            Err(error) => {
                if !self.complained {
                    self.complained = true;
                    tracing::error!(secret = %name, %error, "failed to write the certificate Secret; grant update on it by name");
                }
                false
            }
        }
    }
}

struct Keeper {
    settings: SecretSettings,
    authorities: Shelf,
    proxies: Shelf,
    /// The controller's own certificate, and the authority that it came from.
    client: Option<(KeyPairPem, String)>,
    out: watch::Sender<Option<Arc<CertificateMaterial>>>,
}

impl Keeper {
    /// Brings everything up to date; says when to look again without an event.
    async fn settle(&mut self) -> Duration {
        match self.bring_up_to_date().await {
            Ok(Some(next)) => Duration::try_from(next.duration_since(Timestamp::now()))
                .unwrap_or_default()
                .max(RETRY),
            Ok(None) => RETRY,
            Err(error) => {
                tracing::error!(%error, "failed to make certificates");
                RETRY
            }
        }
    }

    async fn bring_up_to_date(&mut self) -> Result<Option<Timestamp>, Error> {
        if !self.authorities.listed || !self.proxies.listed {
            return Ok(None);
        }
        let now = Timestamp::now();
        let Some((controller, proxy)) = self.load_authorities(now).await? else {
            return Ok(None);
        };
        let names_current = self.proxies.text("names") == Some(self.settings.names.join(","));
        let leaf = self.proxies.text("tls.crt").and_then(|pem| Validity::of_pem(&pem).ok());
        let current = names_current
            && self.proxies.text("tls.key").is_some()
            && self.proxies.text("ca.crt").as_ref() == Some(&controller.pem().certificate)
            && self.proxies.text("proxy-ca.crt").as_ref() == Some(&proxy.pem().certificate);
        let leaf_renewal = match leaf.filter(|leaf| current && now < leaf.renew_at) {
            Some(leaf) => leaf.renew_at,
            None => {
                let pair = proxy.issue_server("silverback proxies", &self.settings.names, now)?;
                let renewal = Validity::of_pem(&pair.certificate)?.renew_at;
                let data = BTreeMap::from([
                    ("tls.crt".to_owned(), pair.certificate),
                    ("tls.key".to_owned(), pair.key),
                    ("ca.crt".to_owned(), controller.pem().certificate.clone()),
                    ("proxy-ca.crt".to_owned(), proxy.pem().certificate.clone()),
                    ("names".to_owned(), self.settings.names.join(",")),
                ]);
                if !self.proxies.fill(data).await {
                    return Ok(None);
                }
                renewal
            }
        };
        let client_renewal = self.publish(&controller, &proxy, now)?;
        Ok(Some(leaf_renewal.min(client_renewal)))
    }

    /// The controllers' and the proxies' authority, made now when there are none.
    async fn load_authorities(&mut self, now: Timestamp) -> Result<Option<(Authority, Authority)>, Error> {
        let controller = self.authorities.pair("controller-ca.crt", "controller-ca.key");
        let proxy = self.authorities.pair("proxy-ca.crt", "proxy-ca.key");
        if let (Some(controller), Some(proxy)) = (controller, proxy) {
            return Ok(Some((Authority::from_pem(controller)?, Authority::from_pem(proxy)?)));
        }
        let controller = Authority::generate("silverback controller CA", now)?;
        let proxy = Authority::generate("silverback proxy CA", now)?;
        let data = BTreeMap::from([
            ("controller-ca.crt".to_owned(), controller.pem().certificate.clone()),
            ("controller-ca.key".to_owned(), controller.pem().key.clone()),
            ("proxy-ca.crt".to_owned(), proxy.pem().certificate.clone()),
            ("proxy-ca.key".to_owned(), proxy.pem().key.clone()),
        ]);
        Ok(self.authorities.fill(data).await.then_some((controller, proxy)))
    }

    fn publish(&mut self, controller: &Authority, proxy: &Authority, now: Timestamp) -> Result<Timestamp, Error> {
        let usable = self
            .client
            .as_ref()
            .filter(|(_, issuer)| *issuer == controller.pem().certificate);
        let usable = usable.and_then(|(pair, _)| Some((pair.clone(), Validity::of_pem(&pair.certificate).ok()?)));
        let (pair, validity) = match usable.filter(|(_, validity)| now < validity.renew_at) {
            Some(usable) => usable,
            None => {
                let pair = controller.issue_client(CONTROLLER_NAME, now)?;
                let validity = Validity::of_pem(&pair.certificate)?;
                self.client = Some((pair.clone(), controller.pem().certificate.clone()));
                (pair, validity)
            }
        };
        let current = CertificateMaterial {
            authorities: Some(proxy.pem().certificate.clone()),
            client: Some(pair),
        };
        self.out.send_if_modified(|published| {
            let changed = published.as_deref() != Some(&current);
            if changed {
                *published = Some(Arc::new(current));
            }
            changed
        });
        Ok(validity.renew_at)
    }
}
