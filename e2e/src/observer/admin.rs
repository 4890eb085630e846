//! The Admin APIs, asked as the controller asks them: over mutual TLS, with a certificate of its authority. What they say is
//! seen without the controller.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, body::Incoming, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use proxy_config_schema::ConfigHash;
use serde_json::Value;
use silverback::pki::{Authority, CONTROLLER_NAME, KeyPairPem};
use tokio::{
    net::TcpStream,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::{
    comparison::Answer,
    content::{Shown, digest},
};
use crate::api;

/// Between two questions to a proxy: 5 Hz.
pub(super) const PERIOD: Duration = Duration::from_millis(200);
/// Who says nothing for so long hangs.
const LIMIT: Duration = Duration::from_secs(1);
/// Between two looks at all that a proxy runs. All look at the same time, so that they can be compared.
const CONTENT_PERIOD: Duration = Duration::from_secs(10);
/// Configurations of a proxy that wait to be compared.
const CONTENTS: usize = 4;
/// Longest answer that is read, in bytes.
const LONGEST: usize = 16 << 20;

/// Whom proxies of a release take for their controller.
#[derive(Clone)]
pub(crate) struct AdminAccess {
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl AdminAccess {
    /// By the Secret of the release's authorities, for proxies of that Admin Service.
    pub(crate) fn new(authorities: &Value, service: &str, namespace: &str) -> anyhow::Result<Self> {
        let text = |key: &str| {
            let bytes = api::decoded(&authorities["data"][key]).with_context(|| key.to_owned())?;
            String::from_utf8(bytes).context("PEM is text")
        };
        let authority = Authority::from_pem(KeyPairPem {
            certificate: text("controller-ca.crt")?,
            key: text("controller-ca.key")?,
        })?;
        let own = authority.issue_client(CONTROLLER_NAME, jiff::Timestamp::now())?;
        let mut tls = api::client_config(
            text("proxy-ca.crt")?.as_bytes(),
            own.certificate.as_bytes(),
            own.key.as_bytes(),
        )?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: Arc::new(tls),
            name: ServerName::try_from(format!("pod.{service}.{namespace}.svc"))?,
        })
    }

    async fn connect(&self, address: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        let stream = TlsConnector::from(self.tls.clone())
            .connect(self.name.clone(), stream)
            .await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// One request on a connection of its own: status and body.
    pub(crate) async fn request(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(u16, Bytes)> {
        let mut connection = self.connect(address).await.context("connect")?;
        send(&mut connection, method, path, body).await
    }
}

type Connection = http1::SendRequest<Full<Bytes>>;

async fn send(connection: &mut Connection, method: Method, path: &str, body: Bytes) -> anyhow::Result<(u16, Bytes)> {
    connection.ready().await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost")
        .header("content-type", "application/json")
        .body(Full::new(body))?;
    let answer: hyper::Response<Incoming> = connection.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
    Ok((status, body.to_bytes()))
}

/// What a proxy did when it was asked last.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// When it was asked.
    pub(super) asked: Instant,
    pub(super) answer: Answer,
    /// What it says that it runs.
    pub(super) hash: Option<String>,
}

/// The latest sample, how many there were, and what the proxy has shown of what it runs since somebody took that.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) sample: Option<Sample>,
    pub(super) count: u64,
    pub(super) shown: Vec<Shown>,
}

/// What whoever asks and whoever compares share.
pub(super) type Latest = Arc<Mutex<Answers>>;

/// A proxy, and when the observation began.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) began: Instant,
}

/// Asks a proxy five times a second until nobody looks at what it says.
pub(super) async fn watch(access: AdminAccess, proxy: Watched, latest: Latest) {
    let mut rounds = 0;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = None;
    while Arc::strong_count(&latest) > 1 {
        ticks.tick().await;
        let asked = Instant::now();
        let (answer, hash) = match timeout(LIMIT, ask(&access, proxy.address, &mut kept)).await {
            Ok(Ok(hash)) => (Answer::Answers, Some(hash)),
            Ok(Err(_)) => (Answer::Refuses, None),
            Err(_) => (Answer::Hangs, None),
        };
        if hash.is_none() {
            kept = None;
        }
        let answers = hash.clone();
        {
            let mut latest = latest.lock().expect("no holder panics");
            latest.sample = Some(Sample { asked, answer, hash });
            latest.count += 1;
        }
        let round = proxy.began.elapsed().as_secs() / CONTENT_PERIOD.as_secs();
        let (true, Some(hash), Some(connection)) = (round >= rounds, answers, kept.as_mut()) else {
            continue;
        };
        let looked = timeout(LIMIT, content(connection, &hash)).await;
        match looked {
            Ok(Ok(Some(content))) => {
                rounds = round + 1;
                let mut latest = latest.lock().expect("no holder panics");
                if latest.shown.len() < CONTENTS {
                    let proxy = proxy.name.clone();
                    latest.shown.push(Shown { proxy, hash, content });
                }
            }
            // It was given another one meanwhile: soon again.
            Ok(Ok(None)) => {}
            Ok(Err(_)) | Err(_) => {
                rounds = round + 1;
                kept = None;
            }
        }
    }
}

/// What it runs, if it reports that hash before and after it shows it.
async fn content(connection: &mut Connection, hash: &str) -> anyhow::Result<Option<ConfigHash>> {
    let (status, body) = send(connection, Method::GET, "/config", Bytes::new()).await?;
    ensure!(status == 200, "{status}");
    if reported(connection).await? != hash {
        return Ok(None);
    }
    let answer: Value = serde_json::from_slice(&body)?;
    let text = answer["config"].as_str().context("it tells no configuration")?;
    Ok(Some(digest(serde_saphyr::from_str(text)?)))
}

async fn reported(connection: &mut Connection) -> anyhow::Result<String> {
    let (status, body) = send(connection, Method::GET, "/status", Bytes::new()).await?;
    ensure!(status == 200, "{status}");
    let status: Value = serde_json::from_slice(&body)?;
    Ok(status["configuration_hash"]
        .as_str()
        .context("it tells no hash")?
        .to_owned())
}

async fn ask(access: &AdminAccess, address: SocketAddr, kept: &mut Option<Connection>) -> anyhow::Result<String> {
    let mut connection = match kept.take().filter(|kept| !kept.is_closed()) {
        Some(connection) => connection,
        None => access.connect(address).await?,
    };
    let hash = reported(&mut connection).await?;
    *kept = Some(connection);
    Ok(hash)
}
