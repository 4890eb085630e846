//! Who may read the metrics, where that is asked for (`--metrics-access-filter=rbac`): whoever shows a token that the
//! API server knows (TokenReview) and whom its RBAC allows `get` on `/metrics` (SubjectAccessReview).
//!
//! Fails closed: when the API server can't be asked, nobody may. Answers are kept for half a minute, so that a scrape
//! costs no request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use sha2::{Digest, Sha256};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// How long an answer holds.
const KEPT: Duration = Duration::from_secs(30);
/// Answers that are kept; more tokens than that are not used within half a minute.
const MOST_KEPT: usize = 256;
/// Questions under way at the same time.
const QUESTIONS: usize = 4;
/// How long the API server may take.
const ANSWER_AT_MOST: Duration = Duration::from_secs(5);

/// Asks the API server who may read `/metrics`.
pub struct MetricsAccess {
    client: Client,
    questions: Semaphore,
    /// By the token's digest: tokens themselves are not kept.
    answers: Mutex<HashMap<[u8; 32], (Instant, Verdict)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Forbidden,
    Unknown,
}

impl MetricsAccess {
    /// Needs `create` on `tokenreviews` and `subjectaccessreviews` (ClusterRole `system:auth-delegator`).
    pub fn new(client: Client) -> Self {
        Self {
            client,
            questions: Semaphore::new(QUESTIONS),
            answers: Mutex::default(),
        }
    }

    async fn verdict(&self, token: &str) -> Result<Verdict, kube::Error> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(verdict) = self.kept(&digest) {
            return Ok(verdict);
        }
        let _turn = self.questions.acquire().await.expect("the semaphore is never closed");
        if let Some(verdict) = self.kept(&digest) {
            return Ok(verdict);
        }
        let verdict = self.ask(token).await?;
        let mut answers = self.answers.lock().expect("nothing panics while it holds the lock");
        if answers.len() >= MOST_KEPT {
            answers.clear();
        }
        answers.insert(digest, (Instant::now(), verdict));
        Ok(verdict)
    }

    fn kept(&self, digest: &[u8; 32]) -> Option<Verdict> {
        let answers = self.answers.lock().expect("nothing panics while it holds the lock");
        let (since, verdict) = answers.get(digest)?;
        (since.elapsed() < KEPT).then_some(*verdict)
    }

    async fn ask(&self, token: &str) -> Result<Verdict, kube::Error> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let status = reviews.create(&PostParams::default(), &review).await?.status;
        let user = status.filter(|status| status.authenticated == Some(true));
        let Some(user) = user.and_then(|status| status.user) else {
            return Ok(Verdict::Unknown);
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = reviews.create(&PostParams::default(), &may_read(user)).await?;
        Ok(match review.status {
            Some(status) if status.allowed => Verdict::Allowed,
            _ => Verdict::Forbidden,
        })
    }
}

fn may_read(user: UserInfo) -> SubjectAccessReview {
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            extra: user.extra,
            groups: user.groups,
            uid: user.uid,
            user: user.username,
            non_resource_attributes: Some(NonResourceAttributes {
                path: Some("/metrics".to_owned()),
                verb: Some("get".to_owned()),
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

/// Lets requests through whose token allows it.
pub(super) async fn filter(State(access): State<Arc<MetricsAccess>>, request: Request, next: Next) -> Response {
    let verdict = match token(request.headers()) {
        Some(token) => match timeout(ANSWER_AT_MOST, access.verdict(token)).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the API server can't be asked who may read the metrics");
                return unavailable();
            }
            Err(_) => return unavailable(),
        },
        None => Verdict::Unknown,
    };
    match verdict {
        Verdict::Allowed => next.run(request).await,
        Verdict::Forbidden => (
            StatusCode::FORBIDDEN,
            "a ClusterRole must allow get on the nonResourceURL /metrics\n",
        )
            .into_response(),
        Verdict::Unknown => (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer")],
            "show the token of a ServiceAccount\n",
        )
            .into_response(),
    }
}

fn unavailable() -> Response {
    let message = "the API server can't be asked who may read this\n";
    (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::{Json, Router, routing::post};
    use serde_json::{Value, json};

    use super::*;

    /// An API server that knows `scraper`, whom it allows it, and `other`, whom it does not.
    fn api_server(asked: Arc<AtomicU32>) -> Client {
        let token_review = move |Json(review): Json<Value>| async move {
            asked.fetch_add(1, Ordering::SeqCst);
            let token = review["spec"]["token"].as_str().unwrap_or_default().to_owned();
            if token == "broken" {
                return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({})));
            }
            let known = token == "scraper" || token == "other";
            let status =
                json!({"authenticated": known, "user": {"username": token, "groups": ["system:authenticated"]}});
            (
                StatusCode::CREATED,
                Json(
                    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {}, "status": status}),
                ),
            )
        };
        let access_review = |Json(review): Json<Value>| async move {
            let asked = &review["spec"]["nonResourceAttributes"];
            let allowed = review["spec"]["user"] == "scraper" && asked["path"] == "/metrics" && asked["verb"] == "get";
            let status = json!({"allowed": allowed});
            Json(
                json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}, "status": status}),
            )
        };
        let router = Router::new()
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(token_review))
            .route(
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                post(access_review),
            );
        Client::new(router, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn only_whom_the_api_server_allows_it() {
        let asked = Arc::new(AtomicU32::new(0));
        let access = MetricsAccess::new(api_server(asked.clone()));
        let verdict = async |token: &str| access.verdict(token).await.ok();
        assert_eq!(verdict("scraper").await, Some(Verdict::Allowed));
        assert_eq!(verdict("other").await, Some(Verdict::Forbidden));
        assert_eq!(verdict("nobody").await, Some(Verdict::Unknown));
        assert_eq!(verdict("broken").await, None);
        assert_eq!(asked.swap(0, Ordering::SeqCst), 4);
        assert_eq!(verdict("scraper").await, Some(Verdict::Allowed));
        assert_eq!(asked.load(Ordering::SeqCst), 0, "the answer is kept");
        tokio::time::sleep(KEPT).await;
        assert_eq!(verdict("scraper").await, Some(Verdict::Allowed));
        assert_eq!(asked.load(Ordering::SeqCst), 1, "but not for ever");
    }

    #[tokio::test]
    async fn answers_tell_what_is_missing() {
        let access = Arc::new(MetricsAccess::new(api_server(Arc::default())));
        let router = crate::serve::metrics::router(Arc::new(|| "metrics".to_owned()), Some(access));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/metrics", listener.local_addr().expect("it has an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let status = async |header: Option<&str>| {
            let request = client.get(&url);
            let request = match header {
                Some(header) => request.header("authorization", header),
                None => request,
            };
            request.send().await.expect("an answer").status().as_u16()
        };
        assert_eq!(status(None).await, 401);
        assert_eq!(status(Some("Basic c2NyYXBlcg==")).await, 401);
        assert_eq!(status(Some("Bearer nobody")).await, 401);
        assert_eq!(status(Some("Bearer other")).await, 403);
        assert_eq!(status(Some("bearer scraper")).await, 200);
        assert_eq!(status(Some("Bearer broken")).await, 503);
    }
}
