//! Bytes both ways after an upgrade, until one side ends, both fall silent, or the proxy ends.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio_util::sync::CancellationToken;

use super::websocket::Frames;
use crate::data::drain::farewell;

/// Carries an upgraded connection to its end. Kong closes when the upstream has been silent for its read timeout; here
/// both have to be silent for as long, so that a client that only talks is not cut off. When it is cut, the client gets a
/// close frame that says that the proxy goes away.
pub(super) async fn run(client: OnUpgrade, upstream: OnUpgrade, silence: Duration, cut: CancellationToken) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(ends) => ends,
        Err(error) => {
            tracing::debug!(%error, "an upgrade came to nothing");
            return;
        }
    };
    let pieces = AtomicU64::new(0);
    let mut client = Watched {
        inner: TokioIo::new(client),
        pieces: &pieces,
    };
    let mut upstream = Watched {
        inner: Frames::new(TokioIo::new(upstream), cut.clone()),
        pieces: &pieces,
    };
    tokio::select! {
        outcome = copy_bidirectional(&mut client, &mut upstream) => {
            if let Err(error) = outcome {
                tracing::debug!(%error, "an upgraded connection ended early");
            }
        }
        () = silent(&pieces, silence) => tracing::debug!("an upgraded connection fell silent"),
        () = farewell(&cut) => tracing::debug!("an upgraded connection outlived the proxy"),
    }
}

/// Returns when nothing has been read for a whole period.
async fn silent(pieces: &AtomicU64, period: Duration) {
    loop {
        let before = pieces.load(Relaxed);
        tokio::time::sleep(period).await;
        if pieces.load(Relaxed) == before {
            return;
        }
    }
}

/// A stream that counts what is read from it.
struct Watched<'a, S> {
    inner: S,
    pieces: &'a AtomicU64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_read(context, buffer);
        if outcome.is_ready() {
            self.pieces.fetch_add(1, Relaxed);
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
