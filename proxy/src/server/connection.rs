//! One connection, from its first byte to its drain.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{Request, StatusCode, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Answer, Handler, Peer, ServerCertificate, certificate::ClientFault};
use crate::answer;

/// How long the first byte and the handshake may take, each, and the request of a client that is turned away.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long request headers may take, the wait of an idle connection included. Longer than clients usually keep idle
/// connections (90 s), so that it is they who close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Concurrent requests of one HTTP/2 connection.
const MAX_STREAMS: u32 = 32;

/// What a connection needs to know.
pub(super) struct Connection {
    pub(super) address: SocketAddr,
    pub(super) certificate: Option<Arc<ServerCertificate>>,
    pub(super) http2: bool,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) drain: CancellationToken,
}

/// The HTTP versions of a connection.
#[derive(Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
    Either,
}

impl Connection {
    /// Serves until either side closes.
    pub(super) async fn serve(self, stream: TcpStream) {
        let address = self.address;
        if let Err(error) = self.try_serve(stream).await {
            tracing::debug!(%address, %error, "connection ended");
        }
    }

    async fn try_serve(self, stream: TcpStream) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        let Some(certificate) = self.certificate.clone() else {
            let protocol = if self.http2 { Protocol::Either } else { Protocol::Http1 };
            return self.serve_http(stream, protocol, None).await;
        };
        let mut first = [0];
        if timeout(HANDSHAKE_TIMEOUT, stream.peek(&mut first)).await?? == 0 {
            return Ok(());
        }
        if first[0] != TLS_HANDSHAKE {
            return self
                .turn_away(stream, Protocol::Http1, answer::plain_http_to_tls_port)
                .await;
        }
        let acceptor = TlsAcceptor::from(certificate.config());
        let stream = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
        let (_, session) = stream.get_ref();
        let protocol = match session.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let chain: Option<Vec<CertificateDer<'static>>> = session.peer_certificates().map(|chain| {
            chain
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect()
        });
        let client = Client {
            generation: AtomicU64::new(certificate.generation()),
            certificate,
            chain,
        };
        match client.verify() {
            Ok(verified) => self.serve_http(stream, protocol, Some((client, verified))).await,
            Err(fault) => {
                tracing::warn!(address = %self.address, ?fault, "client turned away from the Admin API");
                self.turn_away(stream, protocol, move || refusal(fault)).await
            }
        }
    }

    async fn serve_http<S>(
        self,
        stream: S,
        protocol: Protocol,
        client: Option<(Client, bool)>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (client, verified) = match client {
            Some((client, verified)) => (Some(client), verified),
            None => (None, false),
        };
        let peer = Peer {
            address: self.address,
            verified,
        };
        let handler = Arc::clone(&self.handler);
        let service = service_fn(move |request: Request<Incoming>| {
            let trusted = client.as_ref().map_or(Ok(()), Client::verify_again);
            let handler = Arc::clone(&handler);
            async move {
                let answer = match trusted {
                    Ok(()) => handler.handle(request, peer).await,
                    Err(fault) => refusal(fault),
                };
                Ok::<Answer, Infallible>(answer)
            }
        });
        let builder = builder(protocol, IDLE_TIMEOUT);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.drain.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }

    /// Answers whatever is asked with a refusal, and closes.
    async fn turn_away<S>(
        &self,
        stream: S,
        protocol: Protocol,
        refusal: impl Fn() -> Answer + Copy + Send + 'static,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(move |_: Request<Incoming>| async move { Ok::<Answer, Infallible>(refusal()) });
        let builder = builder(protocol, HANDSHAKE_TIMEOUT);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        timeout(HANDSHAKE_TIMEOUT, connection).await?
    }
}

fn builder(protocol: Protocol, header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(64 << 10)
        .keep_alive_interval(IDLE_TIMEOUT);
    match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
        Protocol::Either => builder,
    }
}

/// A client over TLS, and the state of the authorities that it was verified by.
struct Client {
    certificate: Arc<ServerCertificate>,
    chain: Option<Vec<CertificateDer<'static>>>,
    generation: AtomicU64,
}

impl Client {
    fn verify(&self) -> Result<bool, ClientFault> {
        self.certificate.verify(self.chain.as_deref())
    }

    /// Verifies again if authorities have changed since.
    fn verify_again(&self) -> Result<(), ClientFault> {
        let generation = self.certificate.generation();
        if self.generation.load(Ordering::Acquire) == generation {
            return Ok(());
        }
        self.verify()?;
        self.generation.store(generation, Ordering::Release);
        Ok(())
    }
}

fn refusal(fault: ClientFault) -> Answer {
    match fault {
        ClientFault::Missing => answer::certificate_missing(),
        ClientFault::Untrusted => answer::certificate_error(),
        ClientFault::Unnamed => {
            let mut refusal = answer::message(
                StatusCode::FORBIDDEN,
                "the client certificate bears none of the names that may use the Admin API",
            );
            answer::close(&mut refusal);
            refusal
        }
    }
}
