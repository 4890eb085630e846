//! One connection to an Admin API: dialled, verified, and driven by whoever asks over it.
//!
//! Nothing runs beside the question: a connection that is kept has no task of its own, so that a probe wakes nobody but the
//! prober. Whether the other side has closed it meanwhile shows when it is used again.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{CONTENT_LENGTH, HeaderMap},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{certificate, fault::AdminError};
use crate::model::PeerCertificate;

/// Whom to dial, and how to verify who answers.
pub(super) struct Dial {
    pub(super) place: Place,
    pub(super) tls: Option<Tls>,
    /// For TCP and TLS handshakes together.
    pub(super) limit: Duration,
    /// Whether the system sends nothing more once the connection is closed, but that it is.
    pub(super) is_abrupt: bool,
}

/// Where it is.
pub(super) enum Place {
    Address(SocketAddr),
    Name(String, u16),
}

/// How TLS is spoken.
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    /// What is asked for in the handshake (SNI).
    pub(super) asked: ServerName<'static>,
    /// What the certificate must bear, for people.
    pub(super) expected: String,
}

/// What is not wanted of a body is read up to this size, in bytes, so that the connection can be kept.
const MAX_DRAINED: usize = 64 * 1024;

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection that is up.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    driver: Option<Driver>,
    /// What the other side showed; `None` over plain HTTP.
    certificate: Option<Arc<PeerCertificate>>,
    /// Whether anything has been asked over it.
    is_used: bool,
}

/// The answer to a question.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as far as it was wanted.
    pub body: Bytes,
    /// Whether that is all of it.
    pub is_whole: bool,
    /// Whether the connection was made for this question: another process may answer than before.
    pub is_first: bool,
    /// The certificate of whoever answered; `None` over plain HTTP.
    pub certificate: Option<Arc<PeerCertificate>>,
}

impl Dial {
    /// Makes a connection.
    pub(super) async fn connect(&self) -> Result<Connection, AdminError> {
        match timeout(self.limit, self.try_connect()).await {
            Ok(result) => result,
            Err(_) => Err(AdminError::ConnectTimeout),
        }
    }

    async fn try_connect(&self) -> Result<Connection, AdminError> {
        let stream = match &self.place {
            Place::Address(address) => TcpStream::connect(address).await.map_err(AdminError::Connect)?,
            Place::Name(host, port) => {
                let addresses = lookup_host((host.as_str(), *port)).await.map_err(AdminError::Resolve)?;
                connect_to_any(addresses).await.map_err(AdminError::Connect)?
            }
        };
        stream.set_nodelay(true).map_err(AdminError::Connect)?;
        if self.is_abrupt {
            stream.set_zero_linger().map_err(AdminError::Connect)?;
        }
        let Some(tls) = &self.tls else {
            return Connection::new(stream, None).await;
        };
        let connector = TlsConnector::from(tls.config.clone());
        let connected = connector.connect(tls.asked.clone(), stream).await;
        let stream = connected.map_err(AdminError::Connect)?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.and_then(|der| certificate::describe(der, &tls.expected));
        Connection::new(stream, certificate.map(Arc::new)).await
    }
}

async fn connect_to_any(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Connection {
    async fn new(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        certificate: Option<Arc<PeerCertificate>>,
    ) -> Result<Self, AdminError> {
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(AdminError::Request)?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(driver)),
            certificate,
            is_used: false,
        })
    }

    /// Whether the other side has kept it, as far as is known.
    pub(super) async fn is_open(&mut self) -> bool {
        poll_fn(|context| {
            // First it takes in that the last answer has ended, or that the connection has.
            for _ in 0..2 {
                drive(&mut self.driver, context);
                if let Poll::Ready(ready) = self.sender.poll_ready(context) {
                    return Poll::Ready(self.driver.is_some() && ready.is_ok());
                }
            }
            Poll::Ready(false)
        })
        .await
    }

    /// Asks, and reads as much of the body as is wanted of an answer with that status. Says as well whether another question
    /// may follow.
    pub(super) async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
        wanted: fn(StatusCode) -> usize,
    ) -> Result<(Answer, bool), AdminError> {
        let Self {
            sender,
            driver,
            certificate,
            is_used,
        } = self;
        let certificate = certificate.clone();
        let is_first = !std::mem::replace(is_used, true);
        let mut work = pin!(async {
            let response = sender.try_send_request(request).await;
            let response = response.map_err(|mut error| match error.take_message() {
                Some(_) => AdminError::NotSent(error.into_error()),
                None => AdminError::Request(error.into_error()),
            })?;
            read(response, wanted, certificate, is_first).await
        });
        poll_fn(|context| {
            // What is asked reaches the connection first, and what it answers is there when it has been driven.
            if let Poll::Ready(answer) = work.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            drive(driver, context);
            work.as_mut().poll(context)
        })
        .await
    }
}

fn drive(driver: &mut Option<Driver>, context: &mut Context<'_>) {
    if let Some(running) = driver
        && running.as_mut().poll(context).is_ready()
    {
        // Its error, if it ended with one, is that of the request.
        *driver = None;
    }
}

/// At most `wanted` bytes of the body, and whether it was read to its end.
async fn read(
    response: Response<Incoming>,
    wanted: fn(StatusCode) -> usize,
    certificate: Option<Arc<PeerCertificate>>,
    is_first: bool,
) -> Result<(Answer, bool), AdminError> {
    let (head, mut incoming) = response.into_parts();
    let wanted = wanted(head.status);
    let announced = head.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let mut body = Body::default();
    let mut has_ended = false;
    while announced.is_none_or(|length| length <= wanted.max(MAX_DRAINED)) || wanted > 0 {
        match incoming.frame().await {
            Some(Ok(frame)) => body.take(frame.into_data().unwrap_or_default(), wanted),
            Some(Err(error)) if wanted > 0 => return Err(AdminError::Body(error)),
            // The answer stands; whatever was in its body is not wanted.
            Some(Err(_)) => break,
            None => {
                has_ended = true;
                break;
            }
        }
        if body.length > wanted.max(MAX_DRAINED) {
            break;
        }
    }
    let answer = Answer {
        status: head.status,
        headers: head.headers,
        is_whole: has_ended && body.length <= wanted,
        body: body.into_bytes(),
        certificate,
        is_first,
    };
    Ok((answer, has_ended))
}

/// The beginning of a body.
#[derive(Default)]
struct Body {
    /// Most come in one piece.
    first: Bytes,
    rest: BytesMut,
    /// Of all that came.
    length: usize,
}

impl Body {
    fn take(&mut self, mut data: Bytes, wanted: usize) {
        let room = wanted.saturating_sub(self.length);
        self.length += data.len();
        data.truncate(room);
        if self.first.is_empty() {
            self.first = data;
        } else {
            self.rest.extend_from_slice(&data);
        }
    }

    fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut all = BytesMut::with_capacity(self.first.len() + self.rest.len());
        all.extend_from_slice(&self.first);
        all.unsplit(self.rest);
        all.freeze()
    }
}
