//! The validating admission webhook: `AdmissionReview`s over HTTPS.
//!
//! Every replica serves it, from its own snapshot; what it answers is decided in `admission`. It never holds the API
//! server up: past its limit of time, with too much to do, or before the cluster has been read, an object is admitted
//! with a warning. What proxies and the API server are asked is asked through [`Inputs`], since modules of the rim know
//! nothing of one another. Started by `wiring`.

mod handler;

#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{ListenError, Place, https, listen};
use crate::{
    admission::{Answer, Question, Settings},
    model::{NamespacedName, Snapshot, kubernetes::Secret},
    pki::KeyPairPem,
};

/// Where and how fast reviews are answered.
#[derive(Debug, Clone)]
pub struct AdmissionSettings {
    /// Where.
    pub address: SocketAddr,
    /// How long a review may take, proxies included; past it the object is admitted.
    pub limit: Duration,
}

impl AdmissionSettings {
    /// How long a review may take by default: nobody who types `kubectl apply` notices it.
    pub const LIMIT: Duration = Duration::from_millis(100);
}

/// What became of looking for a Secret.
#[derive(Debug, Clone)]
pub enum LookUp {
    /// Here it is.
    Found(Arc<Secret>),
    /// The API server has none of that name.
    Absent,
    /// It could not be asked.
    Unknown,
}

/// Asks one proxy of each profile; gives the profile and answer of each that answered.
pub type AskProxies = Arc<dyn Fn(Question) -> BoxFuture<'static, Vec<(String, Answer)>> + Send + Sync>;
/// Asks the API server for a Secret.
pub type LookUpSecret = Arc<dyn Fn(NamespacedName) -> BoxFuture<'static, LookUp> + Send + Sync>;
/// Counts a review: kind, verdict (`allowed`, `warned`, `denied`, `unchecked`), duration.
pub type Count = Arc<dyn Fn(&'static str, &'static str, Duration) + Send + Sync>;

/// What reviews are made of, and whom they ask.
#[derive(Clone)]
pub struct Inputs {
    /// The objects.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// How objects are translated now.
    pub settings: Arc<dyn Fn() -> Settings + Send + Sync>,
    /// What is shown to the API server; without one, connections are closed.
    pub certificate: watch::Receiver<Option<Arc<KeyPairPem>>>,
    /// The proxies.
    pub proxies: AskProxies,
    /// Secrets that the snapshot lacks.
    pub secrets: LookUpSecret,
    /// Metrics.
    pub count: Count,
}

/// Opens the listener, then serves until `shutdown`; within a tokio runtime. Gives the address that is served in fact.
///
/// # Errors
/// Names the address that is taken, and the flag that changes it.
pub fn start(
    settings: &AdmissionSettings,
    inputs: Inputs,
    shutdown: &CancellationToken,
) -> Result<SocketAddr, ListenError> {
    let listener = listen(
        "the admission webhook",
        "admission-webhook-listen",
        Some(Place::At(settings.address)),
    )?
    .expect("an address was given");
    let address = listener.local_addr().unwrap_or(settings.address);
    let certificate = inputs.certificate.clone();
    let handler = Arc::new(handler::Handler::new(inputs, settings.limit));
    let answer: https::Handler = Arc::new(move |request| {
        let handler = handler.clone();
        async move { handler.handle(request).await }.boxed()
    });
    let what = "the admission webhook";
    tokio::spawn(https::serve(what, listener, certificate, answer, shutdown.clone()));
    Ok(address)
}
