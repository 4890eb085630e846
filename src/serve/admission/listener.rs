//! Connections: TLS with the certificate of the moment, HTTP/1.1 and HTTP/2, all of it bounded.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{handler::Handler, tls};
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

/// Takes connections until `shutdown`.
pub(super) async fn serve(
    listener: TcpListener,
    mut certificate: watch::Receiver<Option<Arc<KeyPairPem>>>,
    handler: Arc<Handler>,
    shutdown: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut config = current(&mut certificate, None);
    let mut follows = true;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = certificate.changed(), if follows => {
                // Whoever gave the last one has ended: it stays.
                follows = changed.is_ok();
                config = current(&mut certificate, config);
                continue;
            }
            () = shutdown.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to the admission webhook could not be taken");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        // Without a certificate, or with too many connections, this one is closed: the API server goes by failurePolicy.
        let (Some(config), Ok(slot)) = (config.clone(), slots.clone().try_acquire_owned()) else {
            continue;
        };
        let (handler, shutdown) = (handler.clone(), shutdown.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = converse(stream, config, handler) => {}
                () = shutdown.cancelled() => {}
            }
            drop(slot);
        });
    }
}

/// What connections are taken with from now on. A certificate that can't be used leaves the former one in force.
fn current(
    certificate: &mut watch::Receiver<Option<Arc<KeyPairPem>>>,
    former: Option<Arc<ServerConfig>>,
) -> Option<Arc<ServerConfig>> {
    let pair = certificate.borrow_and_update().clone();
    match pair.map(|pair| tls::config(&pair)) {
        None => former,
        Some(Ok(config)) => {
            tracing::info!("the admission webhook has a certificate");
            Some(config)
        }
        Some(Err(error)) => {
            tracing::error!(%error, "the certificate of the admission webhook can't be used");
            former
        }
    }
}

async fn converse(stream: TcpStream, config: Arc<ServerConfig>, handler: Arc<Handler>) {
    // A failure means that the peer has gone, which the handshake will tell.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE_LIMIT, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "no handshake with the admission webhook");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.handle(request).await) }
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
        tracing::debug!(%error, "a connection to the admission webhook ended");
    }
}
