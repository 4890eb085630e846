//! Listeners of the Admin API and of the status endpoint: sockets, TLS, HTTP. What is served is a [`Handler`]'s affair.
//!
//! - `socket`: binds addresses as Kong's settings say
//! - `certificate`: the certificate that is shown and the authorities that clients are verified by, read again on change
//! - `pem_file`: files of certificates, and which version of them was read
//! - `connection`: one connection, from its first byte to its drain
//!
//! Traffic is not served here but by `data`, which has other needs (upgrades, streaming, thousands of connections).

mod certificate;
mod connection;
mod pem_file;
mod socket;

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use certificate::{ServerCertificate, is_authority};
pub(crate) use pem_file::{PemFileError, Stamps, content};
pub(crate) use socket::bind;

/// Connections that one listener serves at once; more wait in the backlog.
const MAX_CONNECTIONS: usize = 512;

/// How long accepting pauses after it failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An answer: always whole, never streamed.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// Whether a certificate says that it may be here.
    pub(crate) verified: bool,
}

/// Answers requests.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers one request. The future may be dropped when the connection is lost.
    fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Pin<Box<dyn Future<Output = Answer> + Send>>;
}

/// A bound listener and how it is spoken to.
pub(crate) struct Endpoint {
    pub(crate) listener: TcpListener,
    /// TLS, if any.
    pub(crate) certificate: Option<Arc<ServerCertificate>>,
    /// Whether HTTP/2 is spoken, too.
    pub(crate) http2: bool,
}

/// Serves until `drain` is cancelled, then lets requests under way end, and returns.
pub(crate) async fn serve(endpoint: Endpoint, handler: Arc<dyn Handler>, drain: CancellationToken) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = drain.cancelled() => break,
            accepted = accept(&endpoint.listener, &connections) => accepted,
        };
        let Some((stream, address, permit)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = connection::Connection {
            address,
            certificate: endpoint.certificate.clone(),
            http2: endpoint.http2,
            handler: Arc::clone(&handler),
            drain: drain.clone(),
        };
        tracker.spawn(async move {
            connection.serve(stream).await;
            drop(permit);
        });
    }
    drop(endpoint);
    tracker.close();
    tracker.wait().await;
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    match listener.accept().await {
        Ok((stream, address)) => Some((stream, address, permit)),
        Err(error) => {
            tracing::warn!(%error, "can't accept a connection");
            None
        }
    }
}
