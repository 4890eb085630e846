//! Listeners: accept, bound, hand each connection to a task of its own, drain.

mod connection;
mod stream;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

pub(super) use connection::{Client, Scheme};

use super::{DataPlane, Drain};

/// How long accepting rests after an error that is not the client's, such as too many open files.
const REST_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Accepts until `drain` has begun, then waits until every connection has ended.
pub(super) async fn serve(plane: Arc<DataPlane>, listener: TcpListener, acceptor: Option<TlsAcceptor>, drain: Drain) {
    let tasks = TaskTracker::new();
    tokio::select! {
        () = accept(&plane, &listener, acceptor.as_ref(), &drain, &tasks) => {}
        () = drain.begun.cancelled() => {}
    }
    // Clients whose connections wait already have been let in by the kernel: closing the listener would reset them.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        admit(&plane, stream, peer, acceptor.as_ref(), &drain, &tasks).await;
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

async fn accept(
    plane: &Arc<DataPlane>,
    listener: &TcpListener,
    acceptor: Option<&TlsAcceptor>,
    drain: &Drain,
    tasks: &TaskTracker,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => admit(plane, stream, peer, acceptor, drain, tasks).await,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(REST_AFTER_ERROR).await;
            }
        }
    }
}

/// Gives a connection a task of its own, once there is room for it.
async fn admit(
    plane: &Arc<DataPlane>,
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<&TlsAcceptor>,
    drain: &Drain,
    tasks: &TaskTracker,
) {
    let local = match stream
        .local_addr()
        .and_then(|local| stream.set_nodelay(true).map(|()| local))
    {
        Ok(local) => local,
        Err(error) => {
            tracing::debug!(%error, %peer, "the client left at once");
            return;
        }
    };
    // Taken after accepting, so that no listener holds a place while it has no client.
    let permit = Arc::clone(&plane.admission)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let plane = Arc::clone(plane);
    let acceptor = acceptor.cloned();
    let drain = drain.of_connection();
    let upgraded = tasks.clone();
    tasks.spawn(async move {
        connection::serve(plane, stream, peer, local, acceptor, drain, upgraded).await;
        drop(permit);
    });
}
