//! Carries out what the election decides: requests to the API server, a watch on the Lease, time.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::PostParams,
    runtime::{
        WatchStreamExt,
        utils::Backoff,
        watcher::{self, watch_object},
    },
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    LeaseSettings,
    election::{Answer, Election, Event, Request},
    handover::Unsettled,
};
use crate::model::Leadership;

/// How long the Lease is tried to be given back: a pod has other things to do when it ends.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

/// Takes part in the election until `shutdown`. Ends when the Lease was given back, or could not be within 5 s.
pub(super) async fn run(
    client: kube::Client,
    settings: LeaseSettings,
    shutdown: CancellationToken,
    give_up: Arc<Notify>,
    unsettled: impl Fn() -> Unsettled + Send,
    hand_over: watch::Sender<Unsettled>,
    publish: watch::Sender<Leadership>,
) {
    let api: Api<Lease> = Api::namespaced(client, &settings.lease.namespace);
    // An API server that accepts connections and says nothing must not cost the whole deadline.
    let request_limit = settings.timing.renew_deadline / 2;
    let mut watch = std::pin::pin!(
        watch_object(api.clone(), &settings.lease.name).backoff(Constantly(settings.timing.retry_period))
    );
    let mut report = Report::new(&settings);
    let mut election = Election::new(settings.clone(), Instant::now());
    let mut under_way: Option<UnderWay> = None;
    let mut give_up_at = None;
    loop {
        if election.gives_back() {
            election.tell(unsettled());
        }
        if let Some(request) = election.request(Instant::now(), Timestamp::now()) {
            report.takeover(election.takes_over_from(Instant::now()));
            let name = settings.lease.name.to_string();
            under_way = Some(Box::pin(perform(api.clone(), name, request, request_limit)));
        }
        // Before it leads, who goes by it knows.
        if election.leadership().is_leader() && *hand_over.borrow() != *election.handed_over() {
            hand_over.send_replace(election.handed_over().clone());
        }
        publish.send_if_modified(|leadership| {
            let changed = leadership != election.leadership();
            if changed {
                report.leadership(election.leadership());
                leadership.clone_from(election.leadership());
            }
            changed
        });
        if election.is_over() || give_up_at.is_some_and(|at| at <= Instant::now()) {
            return;
        }
        let wake_at = election.wake_at().into_iter().chain(give_up_at).min();
        let event = tokio::select! {
            outcome = answered(&mut under_way) => Event::Answered(report.outcome(outcome)),
            Some(seen) = watch.next(), if give_up_at.is_none() => {
                report.watch(seen.as_ref().err());
                match seen {
                    Ok(Some(lease)) => Event::Seen(Box::new(lease)),
                    Ok(None) => Event::Gone,
                    Err(_) => Event::Blind,
                }
            }
            () = shutdown.cancelled(), if give_up_at.is_none() => {
                give_up_at = Some(Instant::now() + RELEASE_LIMIT);
                Event::Stop
            }
            () = give_up.notified() => Event::GiveUp,
            () = sleep_until(wake_at) => Event::Tick,
        };
        election.step(Instant::now(), event);
    }
}

/// The request under way, if any.
type UnderWay = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Waits for the request under way; for ever without one.
async fn answered(under_way: &mut Option<UnderWay>) -> Outcome {
    match under_way {
        Some(request) => {
            let outcome = request.await;
            *under_way = None;
            outcome
        }
        None => std::future::pending().await,
    }
}

/// Sleeps until then; for ever without a moment.
pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What a request led to: the answer, and what went wrong if something did.
struct Outcome {
    answer: Answer,
    fault: Option<Fault>,
}

enum Fault {
    Timeout(Duration),
    Kube(kube::Error),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout(limit) => write!(formatter, "no answer within {} s", limit.as_secs_f32()),
            Self::Kube(kube::Error::Api(status)) => write!(formatter, "{} (status {})", status.message, status.code),
            Self::Kube(error) => write!(formatter, "{}", first_cause(error)),
        }
    }
}

/// What says it in short: the messages above it say only that a request failed.
fn first_cause(error: &dyn std::error::Error) -> &dyn std::error::Error {
    std::iter::successors(Some(error), |cause| cause.source())
        .last()
        .unwrap_or(error)
}

async fn perform(api: Api<Lease>, name: String, request: Request, limit: Duration) -> Outcome {
    let creates = matches!(request, Request::Create(_));
    let parameters = PostParams::default();
    let answer = tokio::time::timeout(limit, async {
        match request {
            Request::Read => api.get(&name).await,
            Request::Create(lease) => api.create(&parameters, &lease).await,
            Request::Replace(lease) => api.replace(&name, &parameters, &lease).await,
        }
    });
    let fault = match answer.await {
        Ok(Ok(lease)) => {
            return Outcome {
                answer: Answer::Lease(Box::new(lease)),
                fault: None,
            };
        }
        Ok(Err(error)) => Fault::Kube(error),
        Err(_) => Fault::Timeout(limit),
    };
    let code = match &fault {
        Fault::Kube(kube::Error::Api(status)) => status.code,
        _ => 0,
    };
    match code {
        409 => Outcome {
            answer: Answer::Conflict,
            fault: None,
        },
        // A namespace that does not exist is a fault, not a Lease to be made.
        404 if !creates => Outcome {
            answer: Answer::Absent,
            fault: None,
        },
        _ => Outcome {
            answer: Answer::Failed,
            fault: Some(fault),
        },
    }
}

/// Retries a broken watch at a constant pace: whoever stands by must not sleep for long.
struct Constantly(Duration);

impl Iterator for Constantly {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0)
    }
}

impl Backoff for Constantly {
    fn reset(&mut self) {}
}

/// The log: each change once, not each attempt.
struct Report {
    lease: String,
    identity: String,
    failing: bool,
    blind: bool,
    /// Whose Lease was said to be taken over.
    silent: Option<String>,
}

impl Report {
    fn new(settings: &LeaseSettings) -> Self {
        Self {
            lease: settings.lease.to_string(),
            identity: settings.identity.to_string(),
            failing: false,
            blind: false,
            silent: None,
        }
    }

    fn takeover(&mut self, former: Option<(&str, Duration)>) {
        let Some((holder, silent)) = former else {
            return;
        };
        if self.silent.as_deref() != Some(holder) {
            warn!(
                lease = %self.lease,
                %holder,
                "the leader has not renewed the Lease for {} s (it ended without giving it back, hangs, or is cut off): \
                 taking over",
                silent.as_secs()
            );
            self.silent = Some(holder.to_owned());
        }
    }

    fn leadership(&self, leadership: &Leadership) {
        let (lease, identity) = (&self.lease, &self.identity);
        match leadership {
            Leadership::Unknown => {}
            Leadership::Leader { epoch } => info!(%lease, %identity, %epoch, "leading"),
            Leadership::Follower { holder: Some(holder) } => info!(%lease, %identity, %holder, "following"),
            Leadership::Follower { holder: None } => info!(%lease, %identity, "following; nobody leads"),
            Leadership::Cut { .. } => warn!(
                %lease,
                %identity,
                "the Lease could not be renewed in time: only proxies without a configuration get one until it can be"
            ),
        }
    }

    fn outcome(&mut self, outcome: Outcome) -> Answer {
        let lease = &self.lease;
        match &outcome.fault {
            None => self.failing = false,
            Some(fault) if self.failing => debug!(%lease, %fault, "the Lease still can't be read or written"),
            Some(Fault::Kube(kube::Error::Api(status))) if status.code == 403 => error!(
                %lease,
                message = %status.message,
                "may not read or write the Lease, which passes by itself where the API server has just started; if it \
                 lasts, allow get, create, update, list and watch on leases (coordination.k8s.io) in its namespace"
            ),
            Some(fault) => warn!(%lease, %fault, "the Lease can't be read or written; trying again"),
        }
        self.failing = outcome.fault.is_some();
        outcome.answer
    }

    fn watch(&mut self, error: Option<&watcher::Error>) {
        let lease = &self.lease;
        match error {
            Some(error) if self.blind => debug!(%lease, %error, "the watch on the Lease is still broken"),
            Some(error) => warn!(
                %lease,
                error = %first_cause(error),
                "the watch on the Lease is broken: reading it now and then instead"
            ),
            None => {}
        }
        self.blind = error.is_some();
    }
}
