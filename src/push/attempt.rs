//! One push to one proxy, and what its answer means.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use tokio::time::Instant;

use super::{Settings, StillLeads, rejection};
use crate::{
    fleet::{PushResult, TransportFault, TransportFaultKind},
    model::{Epoch, ProxyTarget},
    pki::client::{
        AdminClient, AdminError, AdminTls, Answer, ConnectionLimits, Question, WHO_ANSWERS, answer_fault, excerpt,
    },
    render::Rendered,
};

/// Errors are read up to this size, in bytes: each repeats the entity that it is about.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// Under which leadership a configuration is sent.
const EPOCH: HeaderName = HeaderName::from_static("silverback-epoch");

/// The epoch that a proxy has seen, and that this replica led after.
const SUPERSEDES: HeaderName = HeaderName::from_static("silverback-supersedes");

/// What is posted, and how it is asked to be answered.
const PUSH: &str = "/config?check_hash=1&flatten_errors=1";

/// The longest wait that a proxy can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Everything that one push needs.
pub(super) struct Attempt {
    pub(super) target: Arc<ProxyTarget>,
    pub(super) rendered: Arc<Rendered>,
    pub(super) epoch: Epoch,
    pub(super) clients: Arc<Clients>,
    /// When the whole push is given up.
    pub(super) deadline: Instant,
    pub(super) still_leads: StillLeads,
}

/// The clients for the addresses of a proxy, kept from one push to the next. Connections are for a moment.
pub(super) struct Clients {
    tls: Arc<AdminTls>,
    target: Arc<ProxyTarget>,
    /// By address, in their order.
    clients: Vec<Result<AdminClient, TransportFault>>,
}

impl Clients {
    pub(super) fn new(target: Arc<ProxyTarget>, tls: Arc<AdminTls>, settings: &Settings) -> Self {
        let limits = ConnectionLimits {
            connect: settings.connect_timeout,
            request: settings.timeout,
            keep: settings.keep,
            is_abrupt: true,
        };
        let client = |url: &Arc<str>| tls.client(url, &target, &limits);
        Self {
            clients: target.urls.iter().map(client).collect(),
            target,
            tls,
        }
    }

    /// Closes all connections.
    pub(super) fn let_go(&self) {
        self.clients.iter().flatten().for_each(AdminClient::let_go);
    }

    /// Whether they are what would be made now.
    pub(super) fn fit(&self, target: &ProxyTarget, tls: &Arc<AdminTls>) -> bool {
        Arc::ptr_eq(&self.tls, tls) && self.target.urls == target.urls && self.target.server_name == target.server_name
    }
}

/// Nothing was sent, or what was sent was not looked at.
pub(super) fn not_sent(kind: TransportFaultKind, message: String) -> PushResult {
    PushResult::NotSent(TransportFault { kind, message })
}

/// Sent, maybe loaded.
pub(super) fn unknown(fault: TransportFault) -> PushResult {
    PushResult::Unknown(fault)
}

impl Attempt {
    /// Tries the addresses in order until one takes a connection.
    pub(super) async fn run(self) -> PushResult {
        let mut first_failure = None;
        for client in &self.clients.clients {
            match self.try_address(client).await {
                Ok(result) => return result,
                Err(fault) => {
                    first_failure.get_or_insert(fault);
                }
            }
        }
        first_failure.map_or_else(
            || {
                not_sent(
                    TransportFaultKind::ConnectionFailed,
                    format!("{} has no address", self.target.name),
                )
            },
            PushResult::NotSent,
        )
    }

    /// `Err` when there was no connection, so that another address may be tried.
    async fn try_address(&self, client: &Result<AdminClient, TransportFault>) -> Result<PushResult, TransportFault> {
        let client = client.as_ref().map_err(Clone::clone)?;
        let answer = match self.send_as_leader(client).await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(PushResult::Unconfirmed),
            Err(error) => {
                let fault = client.fault(&error);
                if error.is_connect() {
                    return Err(fault);
                }
                return Ok(match fault.kind {
                    // With TLS 1.3 such a refusal arrives after the handshake; the request was not looked at.
                    TransportFaultKind::CertificateUntrusted | TransportFaultKind::ClientCertificateRefused => {
                        PushResult::NotSent(fault)
                    }
                    _ => unknown(fault),
                });
            }
        };
        Ok(self.interpret(client, &answer).await)
    }

    /// Sends it, and again if the proxy has seen another leader, which this replica led after: the Lease was made again, or
    /// another release had pushed. Who was deposed gets no further than the first time (ADR 14). No answer where nobody says
    /// which of both it is.
    async fn send_as_leader(&self, client: &AdminClient) -> Result<Option<Answer>, AdminError> {
        let answer = self.send(client, PUSH, None).await?;
        let Some(seen) = answer
            .headers
            .get(EPOCH)
            .filter(|_| answer.status == StatusCode::CONFLICT)
        else {
            return Ok(Some(answer));
        };
        match (self.still_leads)(self.epoch.clone()).await {
            Some(true) => {}
            Some(false) => return Ok(Some(answer)),
            None => return Ok(None),
        }
        tracing::info!(
            proxy = %self.target.name, ?seen, epoch = %self.epoch,
            "the proxy has a configuration of another leader; the Lease is ours: sending again"
        );
        self.send(client, PUSH, Some(seen.clone())).await.map(Some)
    }

    async fn send(
        &self,
        client: &AdminClient,
        path: &str,
        supersedes: Option<HeaderValue>,
    ) -> Result<Answer, AdminError> {
        let epoch = HeaderValue::from_str(&self.epoch.to_string()).expect("the UID of a Lease is a word");
        let mut headers = vec![
            // JSON under this type is hashed as it stands (reference: admin-api.md, "How to push").
            (CONTENT_TYPE, HeaderValue::from_static("application/yaml")),
            (EPOCH, epoch),
        ];
        headers.extend(supersedes.map(|seen| (SUPERSEDES, seen)));
        client
            .ask(&Question {
                method: Method::POST,
                path,
                headers: &headers,
                body: self.rendered.bytes.clone(),
                deadline: self.deadline,
                wanted,
            })
            .await
    }

    async fn interpret(&self, client: &AdminClient, answer: &Answer) -> PushResult {
        let status = answer.status;
        let retry_after = retry_after(answer);
        match status {
            StatusCode::CREATED => return PushResult::Accepted,
            StatusCode::NOT_MODIFIED => return PushResult::Unchanged,
            StatusCode::CONFLICT => return PushResult::Fenced,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => return PushResult::Busy { retry_after },
            // Something in between has given up: the proxy may have got it all, and go on loading.
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
                return unknown(TransportFault {
                    kind: TransportFaultKind::UnexpectedAnswer,
                    message: format!(
                        "{} answered {status} to POST /config, as something in front of the proxy does that lost it; the log \
                         of whatever stands there says more",
                        client.address()
                    ),
                });
            }
            _ => {}
        }
        let unexpected = |problem: String| {
            not_sent(
                TransportFaultKind::UnexpectedAnswer,
                format!("{}: {problem}; {WHO_ANSWERS}", client.address()),
            )
        };
        let body = &answer.body;
        if let Some(fault) = answer_fault(client.address(), status.as_u16(), body) {
            return PushResult::NotSent(fault);
        }
        match status {
            StatusCode::BAD_REQUEST => match self.parse(body).await {
                Some(rejection) if rejection.names_somebody() => rejection.into_result(),
                Some(rejection) => self.ask_for_more(client, rejection).await.unexplained().into_result(),
                None => unexpected(format!("answered 400, not as Kong does: {}", excerpt(body))),
            },
            StatusCode::PAYLOAD_TOO_LARGE => rejection::too_large(body, &self.rendered).into_result(),
            StatusCode::INTERNAL_SERVER_ERROR => match self.parse(body).await {
                Some(rejection) => rejection.internal_error().into_result(),
                None => unexpected(format!("answered 500: {}", excerpt(body))),
            },
            // Something took it, and it may be Kong behind something that changes answers: the hash will tell.
            status if status.is_success() => unknown(TransportFault {
                kind: TransportFaultKind::UnexpectedAnswer,
                message: format!(
                    "{} answered {status} to POST /config, not 201; {WHO_ANSWERS}",
                    client.address()
                ),
            }),
            status => unexpected(format!("answered {status} to POST /config: {}", excerpt(body))),
        }
    }

    /// With flattening some errors are empty: asked without it they speak (reference: admin-api.md 20). Kong has
    /// refused these bytes already, so that sending them again changes nothing.
    async fn ask_for_more(&self, client: &AdminClient, first: rejection::Rejection) -> rejection::Rejection {
        match self.send(client, "/config?check_hash=1", None).await {
            Ok(answer) if answer.status == StatusCode::BAD_REQUEST => self.parse(&answer.body).await.unwrap_or(first),
            Ok(_) | Err(_) => first,
        }
    }

    /// Takes the longer the larger the configuration is, and so happens on no thread that others wait for.
    async fn parse(&self, body: &Bytes) -> Option<rejection::Rejection> {
        let (body, rendered) = (body.clone(), self.rendered.clone());
        let parsed = tokio::task::spawn_blocking(move || rejection::parse(&body, &rendered)).await;
        parsed.expect("reading an answer does not panic")
    }
}

/// How much of an answer is of interest. That to a configuration that was taken holds all of it, keys included.
fn wanted(status: StatusCode) -> usize {
    match status {
        StatusCode::CREATED | StatusCode::NOT_MODIFIED => 0,
        _ => MAX_ANSWER,
    }
}

/// Seconds only: Kong sends no dates.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds: u64 = answer.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}
