//! One request each way. A request fails on anything but the application's own answer.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::{http1, http2},
    header::{CONNECTION, HOST},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::{call::Call, open::Way, socket::Socket};

/// Connections that HTTP/2 requests share.
const SHARED: usize = 4;
/// Requests after which such a connection is replaced.
const REPLACED_AFTER: usize = 100;
/// How long an answer may take before its connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(9);
/// WebSockets that stay open.
const SOCKETS: usize = 10;
/// gRPC calls that go on.
const CALLS: usize = 5;

type Body = Empty<Bytes>;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The Service's port for HTTP, and that for HTTPS.
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) host: String,
    /// The certificate that is shown for this host, in PEM.
    pub(crate) certificate: String,
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// As it shall.
    Well,
    /// As it shall, over a new WebSocket or call: the one before was told that its proxy goes away.
    AfterGoingAway,
}

/// A connection of the load's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connection {
    /// Its port on this side, which the way into the cluster keeps.
    pub(crate) port: u16,
    /// Whether it leads to the port for HTTPS.
    pub(crate) is_tls: bool,
    pub(crate) made: Instant,
}

/// How many connections of a request are remembered, the latest ones.
const REMEMBERED: usize = 4;

/// What a request went over, or waited for, also when it is given up. The last one is what it went over last.
#[derive(Default)]
pub(super) struct Used(Mutex<VecDeque<Connection>>);

impl Used {
    pub(super) fn last(&self) -> Option<Connection> {
        self.0.lock().expect("no holder panics").back().copied()
    }

    pub(super) fn all(&self) -> Vec<Connection> {
        self.0.lock().expect("no holder panics").iter().copied().collect()
    }

    fn add(&self, connection: Connection) {
        let mut used = self.0.lock().expect("no holder panics");
        if used.back() != Some(&connection) {
            used.push_back(connection);
        }
        if used.len() > REMEMBERED {
            used.pop_front();
        }
    }
}

/// A place for one connection, which requests use in turn. Whoever waits for his turn waits for that connection.
struct Slot<T> {
    held: tokio::sync::Mutex<Option<T>>,
    over: Used,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            held: tokio::sync::Mutex::default(),
            over: Used::default(),
        }
    }
}

impl<T> Slot<T> {
    async fn turn(&self, used: &Used) -> tokio::sync::MutexGuard<'_, Option<T>> {
        self.tell(used);
        let held = self.held.lock().await;
        self.tell(used);
        held
    }

    fn tell(&self, used: &Used) {
        if let Some(connection) = self.over.last() {
            used.add(connection);
        }
    }
}

/// Clients and the connections that they keep.
pub(super) struct Clients {
    target: Target,
    tls: ClientConfig,
    /// The one that has rested longest is used next, so that none is left unused for long.
    kept: Mutex<VecDeque<(http1::SendRequest<Body>, Option<Connection>)>>,
    shared: [Slot<Shared>; SHARED],
    sockets: [Slot<Socket>; SOCKETS],
    calls: [Slot<Call>; CALLS],
}

#[derive(Clone)]
struct Shared {
    sender: http2::SendRequest<Body>,
    requests: Arc<AtomicUsize>,
}

impl Clients {
    pub(super) fn new(target: Target) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(target.certificate.as_bytes()).map_err(|error| anyhow!("{error}"))?)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            target,
            tls,
            kept: Mutex::default(),
            shared: Default::default(),
            sockets: Default::default(),
            calls: Default::default(),
        })
    }

    /// `used` is told of each connection that the request is sent over.
    pub(super) async fn request(&self, way: Way, number: u32, used: &Used) -> anyhow::Result<Answered> {
        let number = number as usize;
        match way {
            Way::New => {
                let stream = self.connect(false, &[used]).await?;
                self.once(stream).await.map(|()| Answered::Well)
            }
            Way::Tls => {
                let stream = self.handshake(&[b"http/1.1"], &[used]).await?;
                self.once(stream).await.map(|()| Answered::Well)
            }
            Way::Kept => self.kept(used).await.map(|()| Answered::Well),
            Way::Http2 => self
                .http2(&self.shared[number % SHARED], used)
                .await
                .map(|()| Answered::Well),
            Way::Socket => self.socket(&self.sockets[number % SOCKETS], used).await,
            Way::Call => self.call(&self.calls[number % CALLS], used).await,
        }
    }

    fn head(&self, version: hyper::Version) -> anyhow::Result<Request<Body>> {
        let builder = match version {
            hyper::Version::HTTP_2 => Request::get(format!("https://{}/", self.target.host)),
            _ => Request::get("/").header(HOST, &self.target.host),
        };
        Ok(builder.body(Body::new())?)
    }

    async fn connect(&self, is_tls: bool, used: &[&Used]) -> anyhow::Result<TcpStream> {
        let to = if is_tls { self.target.tls } else { self.target.plain };
        let stream = TcpStream::connect(to).await.context("connect")?;
        let connection = Connection {
            port: stream.local_addr()?.port(),
            is_tls,
            made: Instant::now(),
        };
        for used in used {
            used.add(connection);
        }
        Ok(stream)
    }

    async fn handshake(&self, protocols: &[&[u8]], used: &[&Used]) -> anyhow::Result<TlsStream<TcpStream>> {
        let mut config = self.tls.clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = self.connect(true, used).await?;
        let name = ServerName::try_from(self.target.host.clone())?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .context("TLS handshake")
    }

    async fn once(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> anyhow::Result<()> {
        let mut sender = opened(stream).await?;
        let mut request = self.head(hyper::Version::HTTP_11)?;
        request.headers_mut().insert(CONNECTION, "close".parse()?);
        good(sender.send_request(request).await?).await.map(drop)
    }

    async fn kept(&self, used: &Used) -> anyhow::Result<()> {
        let mut sender = loop {
            let found = self.kept.lock().expect("no holder panics").pop_front();
            match found {
                Some((sender, connection)) if sender.is_ready() => {
                    if let Some(connection) = connection {
                        used.add(connection);
                    }
                    break sender;
                }
                Some(_) => {}
                None => break opened(self.connect(false, &[used]).await?).await?,
            }
        };
        let goes_on = good(sender.send_request(self.head(hyper::Version::HTTP_11)?).await?).await?;
        if goes_on && sender.ready().await.is_ok() {
            let mut kept = self.kept.lock().expect("no holder panics");
            kept.push_back((sender, used.last()));
        }
        Ok(())
    }

    async fn http2(&self, slot: &Slot<Shared>, used: &Used) -> anyhow::Result<()> {
        match timeout(SILENCE, self.try_http2(slot, used)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                *slot.held.lock().await = None;
                bail!("no answer within {SILENCE:?}")
            }
        }
    }

    async fn try_http2(&self, slot: &Slot<Shared>, used: &Used) -> anyhow::Result<()> {
        let mut sender = self.shared(slot, used).await?.sender;
        match sender.send_request(self.head(hyper::Version::HTTP_2)?).await {
            Ok(response) => good(response).await.map(drop),
            // What a GOAWAY says was not processed goes to another connection, as RFC 9113 (6.8) has it.
            Err(error) if error.is_canceled() || format!("{error:?}").contains("GoAway") => {
                *slot.held.lock().await = None;
                let mut sender = self.shared(slot, used).await?.sender;
                good(sender.send_request(self.head(hyper::Version::HTTP_2)?).await?)
                    .await
                    .map(drop)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The connection of this slot; a new one where there is none, or where it was used enough or ends.
    async fn shared(&self, slot: &Slot<Shared>, used: &Used) -> anyhow::Result<Shared> {
        let mut held = slot.turn(used).await;
        if let Some(shared) = &*held
            && !shared.sender.is_closed()
            && shared.requests.fetch_add(1, Relaxed) < REPLACED_AFTER
        {
            return Ok(shared.clone());
        }
        let stream = self.handshake(&[b"h2"], &[used, &slot.over]).await?;
        ensure!(
            stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            "HTTP/2 was not agreed on"
        );
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let shared = Shared {
            sender,
            requests: Arc::default(),
        };
        *held = Some(shared.clone());
        Ok(shared)
    }

    async fn socket(&self, slot: &Slot<Socket>, used: &Used) -> anyhow::Result<Answered> {
        let mut held = slot.turn(used).await;
        let mut answered = Answered::Well;
        if let Some(mut socket) = held.take() {
            if socket.echo().await? {
                *held = Some(socket);
                return Ok(answered);
            }
            answered = Answered::AfterGoingAway;
        }
        let stream = self.connect(false, &[used, &slot.over]).await?;
        let mut socket = Socket::open(stream, &self.target.host).await?;
        ensure!(socket.echo().await?, "a new WebSocket was closed at once");
        *held = Some(socket);
        Ok(answered)
    }

    async fn call(&self, slot: &Slot<Call>, used: &Used) -> anyhow::Result<Answered> {
        let mut held = slot.turn(used).await;
        let mut answered = Answered::Well;
        if let Some(mut call) = held.take() {
            if call.echo().await? {
                *held = Some(call);
                return Ok(answered);
            }
            answered = Answered::AfterGoingAway;
        }
        let stream = self.handshake(&[b"h2"], &[used, &slot.over]).await?;
        let mut call = Call::open(stream, &self.target.host).await?;
        ensure!(call.echo().await?, "a new call was ended at once");
        *held = Some(call);
        Ok(answered)
    }
}

async fn opened(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> anyhow::Result<http1::SendRequest<Body>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Whether the application has answered, whole; whether the connection goes on.
async fn good(response: Response<Incoming>) -> anyhow::Result<bool> {
    let status = response.status();
    let goes_on = response.headers().get(CONNECTION).is_none_or(|value| value != "close");
    let body = response
        .into_body()
        .collect()
        .await
        .context("the answer broke off")?
        .to_bytes();
    if status != StatusCode::OK {
        // Without what differs from one answer to the next, so that equal failures are counted together.
        let said = String::from_utf8_lossy(&body);
        let said = said.split("\"request_id\"").next().unwrap_or_default();
        bail!("{status} {}", said.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    ensure!(!body.is_empty(), "an empty answer");
    Ok(goes_on)
}
