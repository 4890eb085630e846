//! The end of the traffic, in two steps: clients are told to go, then what is left is closed in order.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    task::Context,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a client may take to read why its WebSocket or its call ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Returns when clients have had their time to leave after the cut.
pub(super) async fn farewell(cut: &CancellationToken) {
    cut.cancelled().await;
    tokio::time::sleep(FAREWELL).await;
}

/// A connection that is to end as soon as its client has said nothing more.
///
/// HTTP/1 has no word for "I take no more requests" but in an answer, so that a request may be under way while an idle
/// connection is closed (RFC 9112, section 9.6). The stream closes it, not the one who asks: it alone can look whether a
/// request has arrived, at the very moment.
#[derive(Debug, Default)]
pub(super) struct Parting {
    asked: AtomicBool,
    reader: AtomicWaker,
}

impl Parting {
    /// Ends the connection, unless something has arrived.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        self.reader.wake();
    }

    /// Something has arrived.
    pub(super) fn take_back(&self) {
        // Mostly nobody has asked, and a look is cheap.
        if self.asked.load(Ordering::Relaxed) {
            self.asked.store(false, Ordering::SeqCst);
        }
    }

    /// Whether it is to end; the reader is woken when it is asked later.
    pub(super) fn is_asked(&self, context: &Context<'_>) -> bool {
        self.reader.register(context.waker());
        self.asked.load(Ordering::SeqCst)
    }
}

/// How far the end has come. Clones are the same end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drain {
    /// No new connections; clients of the others are told to go (`Connection: close`, GOAWAY).
    pub begun: CancellationToken,
    /// Time is up: WebSockets are closed with 1001, gRPC calls end with the status UNAVAILABLE, everything else as it is.
    pub cut: CancellationToken,
}

impl Drain {
    /// The same end, for one connection: what is asked at every step must not be shared, and locked, by all of them.
    pub(super) fn of_connection(&self) -> Self {
        Self {
            begun: self.begun.child_token(),
            cut: self.cut.child_token(),
        }
    }

    /// Whether clients are told to go.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Returns when a connection that has said nothing yet has had its time, which the cut shortens.
    pub(super) async fn lingered(&self, time: Duration) {
        self.begun.cancelled().await;
        // Either is the end of it.
        let _ = timeout(time, self.cut.cancelled()).await;
    }
}
