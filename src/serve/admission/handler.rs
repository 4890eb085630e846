//! One request: read, reviewed within the limit of time, answered.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request as HttpRequest, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};

use super::{Inputs, LookUp};
use crate::{
    admission::{self, Request, Review, Verdict},
    model::{Kind, NamespacedName, Object, Snapshot},
};

/// Largest body, in bytes: the API server takes objects of up to 3 MiB, and sends the old and the new one.
const MAX_BODY: usize = 8 << 20;
/// How long a body may take to come.
const BODY_LIMIT: Duration = Duration::from_secs(5);
/// Bodies that are read at once.
const MAX_BODIES: usize = 32;
/// Reviews at once: more than this only wait for one another.
const MAX_REVIEWS: usize = 16;
/// How often answers of proxies may lead to further questions.
const MAX_ROUNDS: usize = 3;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Answers requests.
pub(super) struct Handler {
    inputs: Inputs,
    limit: Duration,
    bodies: Semaphore,
    reviews: Arc<Semaphore>,
}

/// How a review ended.
struct Conclusion {
    verdict: Verdict,
    /// Whether it was looked at to the end.
    is_checked: bool,
}

impl Conclusion {
    fn unchecked(warning: &str) -> Self {
        Self {
            verdict: Verdict::warned(warning),
            is_checked: false,
        }
    }
}

impl Handler {
    pub(super) fn new(inputs: Inputs, limit: Duration) -> Self {
        Self {
            inputs,
            limit,
            bodies: Semaphore::new(MAX_BODIES),
            reviews: Arc::new(Semaphore::new(MAX_REVIEWS)),
        }
    }

    pub(super) async fn handle(&self, request: HttpRequest<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "POST an AdmissionReview");
        }
        let body = {
            let Ok(_permit) = self.bodies.try_acquire() else {
                return text(StatusCode::SERVICE_UNAVAILABLE, "too many reviews at once");
            };
            let reading = Limited::new(request.into_body(), MAX_BODY).collect();
            match timeout(BODY_LIMIT, reading).await {
                Ok(Ok(body)) => body.to_bytes(),
                Ok(Err(_)) => return text(StatusCode::PAYLOAD_TOO_LARGE, "the body ended early, or is over 8 MiB"),
                Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
            }
        };
        let began = Instant::now();
        // A large object takes a while to parse.
        let parsed = tokio::task::spawn_blocking(move || Request::parse(&body)).await;
        let request = match parsed {
            Ok(Ok(request)) => Arc::new(request),
            Ok(Err(malformed)) => return text(StatusCode::BAD_REQUEST, &malformed.to_string()),
            Err(_) => return text(StatusCode::INTERNAL_SERVER_ERROR, "the review could not be read"),
        };
        let conclusion = self.conclude(&request, began + self.limit).await;
        let took = began.elapsed();
        let word = word(&conclusion);
        (self.inputs.count)(request.kind.map_or("other", Kind::name), word, took);
        tracing::debug!(?request, verdict = word, ?took, "admission review");
        let mut answer = Response::new(Full::new(request.answer(&conclusion.verdict).to_string().into()));
        answer.headers_mut().insert(CONTENT_TYPE, JSON);
        answer
    }

    async fn conclude(&self, request: &Arc<Request>, deadline: Instant) -> Conclusion {
        let snapshot = self.inputs.snapshot.borrow().clone();
        if !snapshot.is_complete() {
            return Conclusion::unchecked("not checked: silverback has not read the cluster yet");
        }
        let Ok(permit) = self.reviews.clone().try_acquire_owned() else {
            return Conclusion::unchecked("not checked: too many objects change at once");
        };
        let (snapshot, absent) = self.look_up(request, snapshot, deadline).await;
        let settings = (self.inputs.settings)();
        let reviewed = {
            let request = request.clone();
            tokio::task::spawn_blocking(move || {
                let review = admission::review(&request, &snapshot, &absent, &settings);
                // Work that comes too late still counts as work until it ends.
                drop(permit);
                review
            })
        };
        match timeout_at(deadline, reviewed).await {
            Ok(Ok(review)) => self.ask(review, deadline).await,
            Ok(Err(error)) => {
                tracing::error!(%error, ?request, "a review failed");
                Conclusion::unchecked("not checked: the review failed, see the log of silverback")
            }
            Err(_) => Conclusion::unchecked(&format!("not checked: it took longer than {:?}", self.limit)),
        }
    }

    /// Gets the Secrets that the object is the first to use.
    async fn look_up(
        &self,
        request: &Request,
        snapshot: Arc<Snapshot>,
        deadline: Instant,
    ) -> (Arc<Snapshot>, BTreeSet<NamespacedName>) {
        let missing = admission::missing_secrets(request, &snapshot);
        if missing.is_empty() {
            return (snapshot, BTreeSet::new());
        }
        let asked = missing.into_iter().map(|key| {
            let asked = (self.inputs.secrets)(key.clone());
            async move { (key, timeout_at(deadline, asked).await.unwrap_or(LookUp::Unknown)) }
        });
        let mut with_found = Snapshot::clone(&snapshot);
        let mut absent = BTreeSet::new();
        for (key, found) in join_all(asked).await {
            match found {
                LookUp::Found(secret) => with_found.insert(Object::Secret(secret)),
                LookUp::Absent => drop(absent.insert(key)),
                LookUp::Unknown => {}
            }
        }
        (Arc::new(with_found), absent)
    }

    /// Asks the proxies, as far as there is time.
    async fn ask(&self, mut review: Review, deadline: Instant) -> Conclusion {
        for _ in 0..MAX_ROUNDS {
            let asked = review.take_questions().into_iter().map(|question| {
                let asked = (self.inputs.proxies)(question.clone());
                async move { (question, timeout_at(deadline, asked).await) }
            });
            let answers = join_all(asked).await;
            if answers.is_empty() {
                break;
            }
            let is_late = answers.iter().any(|(_, answers)| answers.is_err());
            for (question, answers) in answers {
                review.answer(&question, &answers.unwrap_or_default());
            }
            if is_late {
                let mut verdict = review.conclude();
                verdict.warn(format!(
                    "not checked by the proxies: they took longer than {:?}",
                    self.limit
                ));
                return Conclusion {
                    verdict,
                    is_checked: false,
                };
            }
        }
        Conclusion {
            verdict: review.conclude(),
            is_checked: true,
        }
    }
}

/// The verdict as a label of metrics.
fn word(conclusion: &Conclusion) -> &'static str {
    if !conclusion.verdict.is_allowed() {
        "denied"
    } else if !conclusion.is_checked {
        "unchecked"
    } else if conclusion.verdict.warnings.is_empty() {
        "allowed"
    } else {
        "warned"
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(format!("{text}\n").into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, TEXT);
    answer
}
