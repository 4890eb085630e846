//! Our own authorities in two Secrets of the cluster.
//!
//! One holds both authorities with their keys: only the controller may read it. The other is mounted by the proxy pods:
//! their server certificate, its key, and the authority of the controller's client certificate. The chart makes both
//! empty; whichever replica comes first fills them (the API server refuses the second one by resourceVersion), and from
//! then on the leader alone changes what proxies mount: replicas of two releases may want different things. The
//! controller's client certificate never leaves memory: each replica issues its own.
//!
//! Authorities are replaced without a moment in which somebody is not trusted: see `rotation`. Only the leader takes the
//! step that depends on what proxies show.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::PostParams,
    runtime::{WatchStreamExt, watcher},
};
use tokio::{sync::watch, time::Instant};

use super::{
    Authority, CONTROLLER_NAME, CertificateMaterial, Error, IssuingMaterial, KeyPairPem, Validity,
    authority::{fingerprint, subject},
    identity::NextSigner,
    restart::{Given, LOOK_FOR_RESTARTS, Restarter, Workload},
    rotation::{Authorities, Stage},
};
use crate::{
    back_off::BackOff,
    fleet::FleetView,
    model::{Leadership, NamespacedName},
};

/// Annotation of the authorities' Secret that asks for new ones (`authorities TIME`), or for new certificates of the
/// proxies alone (`leaves TIME`).
pub const ROTATE: &str = "gateway.silverback.dev/rotate";

/// How long after a failed write the next one is tried; how often proxies are looked at during a replacement.
const RETRY: Duration = Duration::from_secs(5);
/// How long a replica has to lead before it knows all proxies.
const ACQUAINTANCE: Duration = Duration::from_secs(60);
/// How long after somebody asked for new certificates of the proxies it is looked often what they show: kubelet brings a
/// changed Secret within about a minute and a half.
const LOOK_AT_LEAVES: Duration = Duration::from_secs(300);
/// When a replacement has taken so long, it is told what holds it up.
const PATIENCE: Duration = Duration::from_secs(600);
/// Proxies that are named in one message.
const NAMED: usize = 5;

/// Where the authorities are, and whom the proxies' certificate names.
#[derive(Debug, Clone)]
pub struct SecretSettings {
    /// Workloads whose proxies are restarted when they have to read a certificate again (`--restart-workload`).
    pub workloads: Vec<Workload>,
    /// Both authorities with their keys.
    pub authorities: NamespacedName,
    /// What the proxy pods mount.
    pub proxies: NamespacedName,
    /// Names in the proxies' certificate: `*.<service>.<namespace>.svc` for each Admin Service.
    pub names: Vec<String>,
}

/// What a replacement of the authorities depends on.
#[derive(Clone)]
pub struct FleetKnowledge {
    /// The proxies, and what they show.
    pub view: watch::Receiver<Arc<FleetView>>,
    /// Only a leader goes by it.
    pub leadership: watch::Receiver<Leadership>,
}

/// Each proxy gets a certificate of its own by asking for it: then the proxies' Secret holds whom they trust, and no key.
pub struct Issuing {
    /// Names of the endpoint that proxies ask.
    pub names: Vec<String>,
    /// What it signs with and shows.
    pub out: watch::Sender<Option<Arc<IssuingMaterial>>>,
}

/// Keeps both Secrets filled and current, and publishes what the controller itself needs.
pub async fn run(
    client: Client,
    settings: SecretSettings,
    fleet: FleetKnowledge,
    issuing: Option<Issuing>,
    out: watch::Sender<Option<Arc<CertificateMaterial>>>,
) {
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
        restarter: Restarter::new(client, settings.workloads.clone()),
        settings,
        fleet,
        leads_since: None,
        told: None,
        leaves: None,
        issuing,
        endpoint: None,
        client: None,
        out,
    };
    let mut follows = true;
    loop {
        let wait = keeper.settle().await;
        tokio::select! {
            event = events.next() => {
                let Some((of_authorities, event)) = event else { return };
                let shelf = if of_authorities { &mut keeper.authorities } else { &mut keeper.proxies };
                shelf.take(event);
            }
            changed = keeper.fleet.leadership.changed(), if follows => follows = changed.is_ok(),
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
                        "may not watch the certificate Secret, which passes by itself where the API server has just started; if \
                         it lasts, grant get, list and watch on it by name"
                    ),
                    Some(_) => tracing::warn!(%secret, %error, "the certificate Secret can't be watched; trying again"),
                    // Whoever watches the users' objects says that the API server is out of reach.
                    None => tracing::debug!(%secret, %error, "the certificate Secret can't be watched; trying again"),
                }
            }
        }
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        let annotations = self.secret.as_ref()?.metadata.annotations.as_ref()?;
        annotations.get(name).map(String::as_str)
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
                    tracing::error!(secret = %name, %error, "failed to write the certificate Secret; if it is forbidden and that lasts, grant update on it by name");
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
    fleet: FleetKnowledge,
    leads_since: Option<Instant>,
    restarter: Restarter,
    /// The beginning of the replacement that was said to be held up.
    told: Option<Timestamp>,
    /// The last request for new certificates of the proxies, and until when it is looked often what they show.
    leaves: Option<(String, Instant)>,
    issuing: Option<Issuing>,
    /// The certificate of the endpoint, and the authority that it came from.
    endpoint: Option<(KeyPairPem, String)>,
    /// The controller's own certificate, and the authority that it came from.
    client: Option<(KeyPairPem, String)>,
    out: watch::Sender<Option<Arc<CertificateMaterial>>>,
}

impl Keeper {
    /// Brings everything up to date; says when to look again without an event.
    async fn settle(&mut self) -> Duration {
        let leads = self.fleet.leadership.borrow().is_leader();
        self.leads_since = leads.then(|| self.leads_since.unwrap_or_else(Instant::now));
        let wait = match self.bring_up_to_date().await {
            Ok(Some(next)) => Duration::try_from(next.duration_since(Timestamp::now()))
                .unwrap_or_default()
                .max(RETRY),
            Ok(None) => RETRY,
            Err(error) => {
                tracing::error!(
                    secret = %self.settings.authorities, %error,
                    "failed to make certificates; if the Secret holds what is no authority of ours, empty it"
                );
                RETRY
            }
        };
        let wait = match self.restarter.has_work() {
            true => wait.min(LOOK_FOR_RESTARTS),
            false => wait,
        };
        let leaves = self
            .leaves
            .as_ref()
            .map(|(_, until)| until.duration_since(Instant::now()));
        match leaves.filter(|left| !left.is_zero()) {
            Some(left) => wait.min(left),
            None => wait,
        }
    }

    async fn bring_up_to_date(&mut self) -> Result<Option<Timestamp>, Error> {
        if !self.authorities.listed || !self.proxies.listed {
            return Ok(None);
        }
        let now = Timestamp::now();
        let Some(authorities) = self.current_authorities(now).await? else {
            return Ok(None);
        };
        let Some(leaf_renewal) = self.give_to_proxies(&authorities, now).await? else {
            return Ok(None);
        };
        let client_renewal = self.publish(&authorities, now)?;
        let endpoint_renewal = self.publish_issuing(&authorities, now)?;
        self.restart_proxies(now).await;
        let next = leaf_renewal.min(client_renewal).min(endpoint_renewal);
        let next = next.min(authorities.changes_at()?);
        // Once time has done its part, the proxies have to do theirs.
        Ok(Some(next).filter(|_| authorities.awaited(now).is_none()))
    }

    /// The authorities, made now when there are none, one step further when it is time for it.
    async fn current_authorities(&mut self, now: Timestamp) -> Result<Option<Authorities>, Error> {
        let Some(authorities) = Authorities::read(&|key| self.authorities.text(key)) else {
            let made = Authorities::generate(now)?;
            return Ok(self.authorities.fill(made.write()).await.then_some(made));
        };
        let all_show_next = self.all_show_next(&authorities, now)?;
        let request = self.authorities.annotation(ROTATE);
        let Some(next) = authorities.step(now, request, all_show_next)? else {
            return Ok(Some(authorities));
        };
        if !self.authorities.fill(next.write()).await {
            return Ok(None);
        }
        match (&authorities.stage, &next.stage) {
            (_, Stage::Prepared { .. }) => {
                tracing::info!("new authorities: proxies get certificates of theirs, and trust both for a while");
            }
            (_, Stage::Switched { .. }) => {
                tracing::info!("all proxies show certificates of the new authority: the controllers follow");
            }
            (Stage::Switched { .. }, Stage::Steady) => tracing::info!("the old authorities are not trusted any more"),
            (_, Stage::Steady) => tracing::info!("new certificates for the proxies, as asked for"),
        }
        Ok(Some(next))
    }

    /// Whether every proxy that stays shows a certificate of the authority that is to come.
    fn all_show_next(&mut self, authorities: &Authorities, now: Timestamp) -> Result<bool, Error> {
        let (Some(next), Some(leads_since)) = (authorities.awaited(now), self.leads_since) else {
            return Ok(false);
        };
        let issuer = subject(next)?;
        let view = self.fleet.view.borrow().clone();
        let staying = view.proxies.iter().filter(|proxy| !proxy.target.terminating);
        let discovered = staying.filter(|proxy| proxy.target.service.is_some());
        let missing: Vec<&str> = discovered
            .filter(|proxy| {
                let shown = proxy.report.as_ref().and_then(|report| report.certificate.as_ref());
                shown.is_none_or(|shown| shown.issuer != issuer)
            })
            .map(|proxy| &*proxy.target.name)
            .collect();
        if let Stage::Prepared { since, .. } = &authorities.stage
            && !missing.is_empty()
            && now >= *since + PATIENCE
            && self.told.replace(*since) != Some(*since)
        {
            tracing::warn!(
                proxies = missing[..missing.len().min(NAMED)].join(", "),
                count = missing.len(),
                "the replacement of the authorities waits: these proxies do not show a certificate of the new one yet \
                 (Kong reads it at its start only: restart it, or name its workload with --restart-workload)"
            );
        }
        Ok(missing.is_empty() && leads_since.elapsed() >= ACQUAINTANCE)
    }

    /// Fills what proxy pods mount; says when their certificate is to be renewed. `None` when that has to be tried again.
    async fn give_to_proxies(&mut self, authorities: &Authorities, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let given = authorities.for_proxies(now);
        if self.leads_since.is_none() && self.proxies.text("ca.crt").is_some() {
            // The leader looks after it.
            return Ok(Some(Timestamp::MAX));
        }
        if self.issuing.is_some() {
            let mut trusted = given.trusted;
            if !authorities.leaves.is_empty() {
                // Proxies ask for new certificates when the file changes; what stands between certificates is no part
                // of them. It must stay one line.
                trusted += &format!("# {}\n", authorities.leaves.escape_debug());
            }
            let is_current =
                self.proxies.text("ca.crt").as_ref() == Some(&trusted) && self.proxies.text("tls.key").is_none();
            let data = BTreeMap::from([("ca.crt".to_owned(), trusted)]);
            let is_current = is_current || self.proxies.fill(data).await;
            return Ok(is_current.then_some(Timestamp::MAX));
        }
        let names = self.settings.names.join(",");
        let text = |key: &str| self.proxies.text(key).unwrap_or_default();
        let (names_fit, signer_fits, request_fits) = (
            text("names") == names,
            text("proxy-ca.crt") == given.signer.certificate,
            text("request") == authorities.leaves,
        );
        let fits = names_fit && signer_fits && request_fits;
        let pair = self.proxies.pair("tls.crt", "tls.key").filter(|_| fits);
        let validity = pair.as_ref().and_then(|pair| Validity::of_pem(&pair.certificate).ok());
        let kept = pair.zip(validity).filter(|(_, validity)| now < validity.renew_at);
        let (pair, renewal, urgent) = match kept {
            Some((_, validity)) if text("ca.crt") == given.trusted => return Ok(Some(validity.renew_at)),
            Some((pair, validity)) => (pair, validity.renew_at, text("urgent") == "true"),
            None => {
                let pair = Authority::from_pem(given.signer.clone())?.issue_server(
                    "silverback proxies",
                    &self.settings.names,
                    now,
                )?;
                let renewal = Validity::of_pem(&pair.certificate)?.renew_at;
                (pair, renewal, !fits)
            }
        };
        let data = BTreeMap::from([
            ("tls.crt".to_owned(), pair.certificate),
            ("tls.key".to_owned(), pair.key),
            ("ca.crt".to_owned(), given.trusted),
            ("proxy-ca.crt".to_owned(), given.signer.certificate.clone()),
            ("names".to_owned(), names),
            ("request".to_owned(), authorities.leaves.clone()),
            ("urgent".to_owned(), urgent.to_string()),
        ]);
        Ok(self.proxies.fill(data).await.then_some(renewal))
    }

    async fn restart_proxies(&mut self, now: Timestamp) {
        let is_acquainted = self.leads_since.is_some_and(|since| since.elapsed() >= ACQUAINTANCE);
        let Some(certificate) = self.proxies.text("tls.crt").filter(|_| is_acquainted) else {
            return;
        };
        let given = Given {
            certificate: &certificate,
            urgent: self.proxies.text("urgent").as_deref() == Some("true"),
        };
        let view = self.fleet.view.borrow().clone();
        self.restarter.settle(&view, given, now).await;
    }

    fn publish(&mut self, authorities: &Authorities, now: Timestamp) -> Result<Timestamp, Error> {
        let follows_leaves = self.follows_leaves(&authorities.leaves);
        let signer = &authorities.current.controller;
        let (pair, validity) = kept(&mut self.client, signer, now, |authority| {
            authority.issue_client(CONTROLLER_NAME, now)
        })?;
        let current = CertificateMaterial {
            authorities: Some(authorities.trusted_by_controllers()),
            client: Some(pair),
            changing: authorities.stage != Stage::Steady || follows_leaves,
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

    /// Whether somebody has asked for new certificates of the proxies lately, which only new connections show.
    fn follows_leaves(&mut self, request: &str) -> bool {
        let now = Instant::now();
        let until = match &self.leaves {
            Some((known, until)) if known == request => *until,
            Some(_) => now + LOOK_AT_LEAVES,
            // Whoever begins connects anew anyway.
            None => now,
        };
        self.leaves = Some((request.to_owned(), until));
        now < until
    }

    /// What identities are issued with. During a replacement it is for each proxy to say how far it is.
    fn publish_issuing(&mut self, authorities: &Authorities, now: Timestamp) -> Result<Timestamp, Error> {
        let Some(issuing) = &self.issuing else {
            return Ok(Timestamp::MAX);
        };
        let (server, validity) = kept(&mut self.endpoint, &authorities.current.controller, now, |authority| {
            authority.issue_server("silverback proxy identities", &issuing.names, now)
        })?;
        let next = authorities.next().map(|next| {
            Ok::<_, Error>(NextSigner {
                signer: next.proxy.clone(),
                controllers: fingerprint(&next.controller.certificate)?,
            })
        });
        let current = IssuingMaterial {
            signer: authorities.current.proxy.clone(),
            next: next.transpose()?,
            server,
        };
        issuing.out.send_if_modified(|published| {
            let changed = published.as_deref() != Some(&current);
            if changed {
                *published = Some(Arc::new(current));
            }
            changed
        });
        Ok(validity.renew_at)
    }
}

/// The certificate that was issued before, as long as it is of that authority and young; else another one.
fn kept(
    known: &mut Option<(KeyPairPem, String)>,
    signer: &KeyPairPem,
    now: Timestamp,
    issue: impl FnOnce(&Authority) -> Result<KeyPairPem, Error>,
) -> Result<(KeyPairPem, Validity), Error> {
    if let Some((pair, issuer)) = known
        && *issuer == signer.certificate
        && let Ok(validity) = Validity::of_pem(&pair.certificate)
        && now < validity.renew_at
    {
        return Ok((pair.clone(), validity));
    }
    let pair = issue(&Authority::from_pem(signer.clone())?)?;
    let validity = Validity::of_pem(&pair.certificate)?;
    *known = Some((pair.clone(), signer.certificate.clone()));
    Ok((pair, validity))
}
