//! Listeners: accept, bound, hand each connection to a task of its own, drain.

mod connection;
mod stream;

use std::{sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(super) use connection::{Client, Scheme};

use super::DataPlane;

/// How long accepting rests after an error that is not the client's, such as too many open files.
const REST_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Accepts until `drain` is cancelled, then waits until every connection has ended.
pub(super) async fn serve(
    plane: Arc<DataPlane>,
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    drain: CancellationToken,
) {
    let tasks = TaskTracker::new();
    tokio::select! {
        () = accept(&plane, &listener, acceptor, &drain, &tasks) => {}
        () = drain.cancelled() => {}
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

async fn accept(
    plane: &Arc<DataPlane>,
    listener: &TcpListener,
    acceptor: Option<TlsAcceptor>,
    drain: &CancellationToken,
    tasks: &TaskTracker,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(REST_AFTER_ERROR).await;
                continue;
            }
        };
        let local = match stream
            .local_addr()
            .and_then(|local| stream.set_nodelay(true).map(|()| local))
        {
            Ok(local) => local,
            Err(error) => {
                tracing::debug!(%error, %peer, "the client left at once");
                continue;
            }
        };
        // Taken after accepting, so that no listener holds a place while it has no client.
        let permit = Arc::clone(&plane.admission)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let plane = Arc::clone(plane);
        let acceptor = acceptor.clone();
        let drain = drain.clone();
        let upgraded = tasks.clone();
        tasks.spawn(async move {
            connection::serve(plane, stream, peer, local, acceptor, drain, upgraded).await;
            drop(permit);
        });
    }
}
