//! Asking one proxy.

use std::{sync::Arc, time::Duration};

use hyper::StatusCode;
use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

use super::{
    Settings,
    answer::{Identity, Status},
};
use crate::{
    fleet::{Observation, ProbeFault, ProxyReport, TransportFault, TransportFaultKind},
    model::{ByteSize, ProxyTarget},
    pki::client::{AdminClient, AdminError, AdminTls, Answer, ConnectionLimits, WHO_ANSWERS, answer_fault},
};

/// Answers are read up to this size, in bytes: `GET /` of Kong 3.9 has 16 KB.
const MAX_ANSWER: usize = 1024 * 1024;

/// `GET /` is asked again after so many probes, in case a restart went unnoticed: something in between may keep the
/// connection to us while the proxy behind it starts again.
const REFRESH_IDENTITY: u32 = 12;

/// One proxy, and what is known of it from one probe to the next.
pub(super) struct Probe {
    target: Arc<ProxyTarget>,
    clients: Vec<Result<AdminClient, TransportFault>>,
    /// The address that answered last: tried first.
    preferred: usize,
    identity: Option<Identity>,
    probes_since_identity: u32,
    /// Counted as if so many had been made when it answers first: of a thousand that are found together not all are asked
    /// together ever after.
    ahead: u32,
    /// Also of before a probe that failed.
    last: Option<Status>,
}

impl Probe {
    /// New connections, with the certificates of now.
    pub(super) fn new(target: Arc<ProxyTarget>, tls: &AdminTls, settings: &Settings) -> Self {
        let limits = ConnectionLimits {
            connect: settings.connect_timeout,
            request: settings.timeout,
            keep: Duration::MAX,
            is_abrupt: false,
        };
        let clients = target
            .urls
            .iter()
            .map(|url| tls.client(url, &target, &limits))
            .collect();
        let ahead = u32::from(target.id.0.bytes().fold(0_u8, u8::wrapping_add)) % REFRESH_IDENTITY;
        Self {
            target,
            clients,
            preferred: 0,
            identity: None,
            probes_since_identity: 0,
            ahead,
            last: None,
        }
    }

    /// Asks once.
    pub(super) async fn observe(&mut self) -> Observation {
        let mut started = Instant::now();
        let mut result = Err(TransportFault {
            kind: TransportFaultKind::ConnectionFailed,
            message: format!("{} has no address", self.target.name),
        });
        let count = self.clients.len();
        for offset in 0..count {
            let index = (self.preferred + offset) % count;
            started = Instant::now();
            let attempt = self.ask(index, &mut started).await;
            let reached = !matches!(&attempt, Err(failure) if !failure.reached);
            // The first address's failure is told, unless a later one leads to the proxy.
            if reached || offset == 0 {
                result = attempt.map_err(|failure| failure.fault);
            }
            if reached {
                self.preferred = index;
                break;
            }
        }
        if result.is_err() {
            self.identity = None;
        }
        Observation {
            started,
            at: Timestamp::now(),
            result: result.map_err(|fault| ProbeFault { fault }),
        }
    }

    async fn ask(&mut self, index: usize, started: &mut Instant) -> Result<ProxyReport, Failure> {
        let client = match &self.clients[index] {
            Ok(client) => client,
            Err(fault) => {
                return Err(Failure {
                    fault: fault.clone(),
                    reached: false,
                });
            }
        };
        let known = self
            .identity
            .take()
            .filter(|_| self.probes_since_identity < REFRESH_IDENTITY);
        let is_known = known.is_some();
        let mut identity = match known {
            Some(identity) => identity,
            None => ask_identity(client).await?,
        };
        *started = Instant::now();
        let (mut status, mut answer) = ask_status(client).await?;
        let looks_restarted = is_known && self.last.as_ref().is_some_and(|last| looks_restarted(last, &status));
        // The connections of a process end with it. Where each is closed after its answer, this is once a probe.
        let asks_again = answer.is_first || looks_restarted;
        if asks_again {
            let now = ask_identity(client).await?;
            if now != identity {
                identity = now;
                // What was answered in between may be of the one that has ended.
                *started = Instant::now();
                (status, answer) = ask_status(client).await?;
            }
        }
        self.probes_since_identity = match is_known && !asks_again {
            true => self.probes_since_identity + 1,
            false => 1 + std::mem::take(&mut self.ahead),
        };
        let hash = match status.hash {
            Some(hash) => hash,
            None if identity.has_database() => ConfigHash::NONE,
            None => {
                let message = format!(
                    "{}: GET /status has no configuration_hash; Kong 3.4 and later have one: upgrade the proxy, or is this not \
                     the Admin API?",
                    client.address()
                );
                return Err(Failure::unexpected(message));
            }
        };
        let report = ProxyReport {
            version: identity.version.clone(),
            edition: identity.edition,
            router_flavor: identity.router_flavor,
            plugins: identity.plugins.clone(),
            database: identity.database.clone(),
            node_id: identity.node_id.clone(),
            // An id that it was given stays the same.
            restarted: self.last.as_ref().is_some_and(|last| counts_anew(last, &status)),
            started_at: identity.started_at,
            body_limit: identity.body_limit,
            hash,
            security: client.security(),
            certificate: answer.certificate.as_deref().cloned(),
        };
        self.identity = Some(identity);
        self.last = Some(status);
        Ok(report)
    }
}

/// Nothing is configured any more, or the count of requests went back: also where something in between keeps the connection.
fn looks_restarted(last: &Status, now: &Status) -> bool {
    let lost = last.hash.is_some_and(|hash| !hash.is_none()) && now.hash.is_some_and(|hash| hash.is_none());
    lost || counts_anew(last, now)
}

/// Whether it has answered fewer requests than before: another process counts.
fn counts_anew(last: &Status, now: &Status) -> bool {
    let counts = now.total_requests.zip(last.total_requests);
    counts.is_some_and(|(now, last)| now < last)
}

/// A failure, and whether something answered at that address (so that no other address need be tried).
struct Failure {
    fault: TransportFault,
    reached: bool,
}

impl Failure {
    fn unexpected(message: String) -> Self {
        Self {
            fault: TransportFault {
                kind: TransportFaultKind::UnexpectedAnswer,
                message,
            },
            reached: true,
        }
    }
}

async fn ask_identity(client: &AdminClient) -> Result<Identity, Failure> {
    let answer = get(client, "/").await?;
    Identity::parse(&answer.body).map_err(|problem| not_kongs(client, &problem))
}

async fn ask_status(client: &AdminClient) -> Result<(Status, Answer), Failure> {
    let answer = get(client, "/status").await?;
    let status = Status::parse(&answer.body).map_err(|problem| not_kongs(client, &problem))?;
    Ok((status, answer))
}

fn not_kongs(client: &AdminClient, problem: &str) -> Failure {
    Failure::unexpected(format!("{}: {problem}; {WHO_ANSWERS}", client.address()))
}

/// An answer with status 200.
async fn get(client: &AdminClient, path: &str) -> Result<Answer, Failure> {
    let failed = |error: AdminError| Failure {
        fault: client.fault(&error),
        reached: !error.is_connect(),
    };
    let answer = client.get(path, |_| MAX_ANSWER).await.map_err(failed)?;
    if !answer.is_whole {
        let message = format!(
            "{}: the answer to GET {path} is over {}; {WHO_ANSWERS}",
            client.address(),
            ByteSize(MAX_ANSWER as u64)
        );
        return Err(Failure::unexpected(message));
    }
    let status = answer.status;
    if status == StatusCode::OK {
        return Ok(answer);
    }
    let status = status.as_u16();
    let fault = answer_fault(client.address(), status, &answer.body).unwrap_or_else(|| TransportFault {
        kind: TransportFaultKind::UnexpectedAnswer,
        message: format!("{} answered {status} to GET {path}; {WHO_ANSWERS}", client.address()),
    });
    Err(Failure { fault, reached: true })
}
