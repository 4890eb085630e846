//! HTTPS for other programs: TLS with the certificate of the moment, HTTP/1.1 and HTTP/2, all of it bounded.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::pki::KeyPairPem;

/// Connections at once. Each API server keeps a few.
const MAX_CONNECTIONS: usize = 256;
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 64;
/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// How long request headers may take, the wait of an idle connection included.
const IDLE_LIMIT: Duration = Duration::from_secs(120);
/// How often a silent HTTP/2 peer is asked whether it is there, and how long it has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_LIMIT: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection, such as when there are too many open files.
const REST: Duration = Duration::from_millis(100);

/// Answers one request.
pub(super) type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Full<Bytes>>> + Send + Sync>;

/// Takes connections until `shutdown`; `what` is for the log.
pub(super) async fn serve(
    what: &'static str,
    listener: TcpListener,
    mut certificate: watch::Receiver<Option<Arc<KeyPairPem>>>,
    handler: Handler,
    shutdown: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut config = current(what, &mut certificate, None);
    let mut follows = true;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = certificate.changed(), if follows => {
                // Whoever gave the last one has ended: it stays.
                follows = changed.is_ok();
                config = current(what, &mut certificate, config);
                continue;
            }
            () = shutdown.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to {what} could not be taken");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        // Without a certificate, or with too many connections, this one is closed (the API server goes by failurePolicy).
        let (Some(config), Ok(slot)) = (config.clone(), slots.clone().try_acquire_owned()) else {
            continue;
        };
        let (handler, shutdown) = (handler.clone(), shutdown.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = converse(what, stream, config, handler) => {}
                () = shutdown.cancelled() => {}
            }
            drop(slot);
        });
    }
}

/// What connections are taken with from now on. A certificate that can't be used leaves the former one in force.
fn current(
    what: &'static str,
    certificate: &mut watch::Receiver<Option<Arc<KeyPairPem>>>,
    former: Option<Arc<ServerConfig>>,
) -> Option<Arc<ServerConfig>> {
    let pair = certificate.borrow_and_update().clone();
    match pair.map(|pair| tls_config(&pair)) {
        None => former,
        Some(Ok(config)) => {
            tracing::info!("{what} has a certificate");
            Some(config)
        }
        Some(Err(error)) => {
            tracing::error!(%error, "the certificate of {what} can't be used");
            former
        }
    }
}

async fn converse(what: &'static str, stream: TcpStream, config: Arc<ServerConfig>, handler: Handler) {
    // A failure means that the peer has gone, which the handshake will tell.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE_LIMIT, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "no handshake with {what}");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_LIMIT);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to {what} ended");
    }
}

/// Why a certificate can't be shown. Quotes nothing of the key.
#[derive(Debug, thiserror::Error)]
enum TlsError {
    /// No certificate in the PEM.
    #[error("there is no certificate in the PEM")]
    NoCertificate,
    /// No key in the PEM.
    #[error("there is no private key in the PEM")]
    NoKey,
    /// They don't belong together, or rustls can't use them.
    #[error(transparent)]
    Unusable(#[from] rustls::Error),
}

/// What connections are taken with: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
fn tls_config(pair: &KeyPairPem) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pair.certificate.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NoCertificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(|_| TlsError::NoKey)?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
