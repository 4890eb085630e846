//! Asks the API server, decides, signs.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    core::v1::Pod,
};
use kube::{Api, Client, api::PostParams};
use rcgen::{CertificateSigningRequestParams, DnType, DnValue, PKCS_ECDSA_P256_SHA256, PublicKey};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{
    AUDIENCE, IssuingMaterial, Refusal,
    challenge::Challenges,
    decision::{Holder, holder, lives},
};
use crate::{
    fleet::FleetView,
    model::{Leadership, NamespacedName},
    pki::Authority,
};

/// Requests that are decided at once: each asks the API server twice.
const AT_ONCE: usize = 8;
/// How long the API server may take to answer, both times together.
const ANSWER_AT_MOST: Duration = Duration::from_secs(5);
/// Largest signing request, in bytes; one with a P-256 key has about 500.
pub(crate) const MAX_REQUEST: usize = 8192;
/// Largest token, in bytes.
const MAX_TOKEN: usize = 16_384;

/// Who may have a certificate.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// ServiceAccounts of proxies (`--proxy-service-account`).
    pub accounts: Vec<NamespacedName>,
}

/// Issues certificates to embedded proxies.
pub struct IdentityIssuer {
    client: Client,
    settings: IdentitySettings,
    material: watch::Receiver<Option<Arc<IssuingMaterial>>>,
    view: watch::Receiver<Arc<FleetView>>,
    leadership: watch::Receiver<Leadership>,
    challenges: Mutex<Challenges>,
    turns: Semaphore,
}

impl IdentityIssuer {
    /// Needs `create` on `tokenreviews` in the cluster, and `get` on `pods` in the namespaces of the ServiceAccounts.
    pub fn new(
        client: Client,
        settings: IdentitySettings,
        material: watch::Receiver<Option<Arc<IssuingMaterial>>>,
        view: watch::Receiver<Arc<FleetView>>,
        leadership: watch::Receiver<Leadership>,
    ) -> Self {
        Self {
            client,
            settings,
            material,
            view,
            leadership,
            challenges: Mutex::new(Challenges::new()),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// A challenge for the common name of a signing request.
    ///
    /// # Errors
    /// When this replica does not lead.
    pub fn challenge(&self) -> Result<String, Refusal> {
        self.leads()?;
        Ok(self.challenges().make(Timestamp::now()))
    }

    /// A certificate for the key of the signing request, in the name of the pod of the token: its uid. `trusted` says by
    /// which authorities the proxy verifies controllers: SHA-256 of their certificates, with commas between them.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn issue(&self, token: &str, trusted: &str, request: &str) -> Result<String, Refusal> {
        let outcome = self.decide(token, trusted, request).await;
        match &outcome {
            Ok((holder, _)) => tracing::info!(pod = %holder.pod.name, uid = %holder.pod.uid, "certificate issued"),
            Err(refusal @ (Refusal::NotLeading | Refusal::Unavailable(_))) => {
                tracing::debug!(%refusal, "no certificate for a proxy now");
            }
            Err(refusal) => tracing::warn!(%refusal, "no certificate for whoever asked for a proxy's"),
        }
        outcome.map(|(_, certificate)| certificate)
    }

    async fn decide(&self, token: &str, trusted: &str, request: &str) -> Result<(Holder, String), Refusal> {
        self.leads()?;
        let (key, challenge) = read_request(request)?;
        // The challenge was made here and the key signed it, or nobody is asked anything.
        if !self.challenges().is_good(&challenge, Timestamp::now()) {
            return Err(Refusal::Challenge);
        }
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(Refusal::Token);
        }
        let Ok(_turn) = self.turns.try_acquire() else {
            return Err(Refusal::Unavailable("too many ask at once"));
        };
        let holder = timeout(ANSWER_AT_MOST, self.ask(token))
            .await
            .map_err(|_| Refusal::Unavailable("the API server does not answer"))??;
        let is_in_fleet = |view: &FleetView| {
            let pods = view.proxies.iter().filter_map(|proxy| proxy.target.pod.as_ref());
            pods.into_iter().any(|pod| *pod == holder.pod)
        };
        if !is_in_fleet(&self.view.borrow()) {
            return Err(Refusal::NotInFleet);
        }
        let material = self.material.borrow().clone();
        let material = material.ok_or(Refusal::Unavailable("there is no authority yet"))?;
        // Whoever asks last under a lost leadership is refused by the proxy's fence, but must not be certified either.
        self.leads()?;
        if !self.challenges().take(&challenge, Timestamp::now()) {
            return Err(Refusal::Challenge);
        }
        let trusted: Vec<&str> = trusted.split(',').map(str::trim).collect();
        let issued = Authority::from_pem(material.signer_for(&trusted).clone())
            .and_then(|authority| authority.issue_identity(&holder.pod, &key, Timestamp::now()));
        match issued {
            Ok(certificate) => Ok((holder, certificate)),
            Err(error) => {
                tracing::error!(%error, "failed to issue a proxy's certificate");
                Err(Refusal::Unavailable("the authority failed"))
            }
        }
    }

    async fn ask(&self, token: &str) -> Result<Holder, Refusal> {
        let unavailable = |error: kube::Error| {
            tracing::warn!(
                %error,
                "the API server can't be asked about a proxy's token; allow create on tokenreviews \
                 (authentication.k8s.io), and get on pods in the proxies' namespace"
            );
            Refusal::Unavailable("the API server can't be asked")
        };
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![AUDIENCE.to_owned()]),
                token: Some(token.to_owned()),
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let review = reviews
            .create(&PostParams::default(), &review)
            .await
            .map_err(unavailable)?;
        let holder = holder(&review.status.unwrap_or_default(), &self.settings.accounts)?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &holder.pod.namespace);
        let pod = pods.get_opt(&holder.pod.name).await.map_err(unavailable)?;
        lives(&holder, pod.as_ref())?;
        Ok(holder)
    }

    fn leads(&self) -> Result<(), Refusal> {
        match self.leadership.borrow().is_leader() {
            true => Ok(()),
            false => Err(Refusal::NotLeading),
        }
    }

    fn challenges(&self) -> std::sync::MutexGuard<'_, Challenges> {
        self.challenges.lock().expect("nothing panics while it holds the lock")
    }
}

/// The key of a signing request that is signed with it, and the challenge in its common name.
fn read_request(pem: &str) -> Result<(PublicKey, String), Refusal> {
    if pem.len() > MAX_REQUEST {
        return Err(Refusal::Malformed("it is too long"));
    }
    let request = CertificateSigningRequestParams::from_pem(pem)
        .map_err(|_| Refusal::Malformed("it is no PKCS #10 request in PEM, or its signature is wrong"))?;
    if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
        return Err(Refusal::Malformed("its key must be of ECDSA with P-256"));
    }
    let challenge = match request.params.distinguished_name.get(&DnType::CommonName) {
        Some(DnValue::Utf8String(text)) => text.clone(),
        Some(DnValue::PrintableString(text)) => text.as_str().to_owned(),
        _ => return Err(Refusal::Malformed("its common name must be the challenge")),
    };
    Ok((request.public_key, challenge))
}
