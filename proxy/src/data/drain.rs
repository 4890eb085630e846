//! The end of the traffic, in two steps: clients are told to go, then what is left is closed in order.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How long a connection without a request is kept once the end has begun: a request that is on its way arrives, and is
/// answered with `Connection: close`, instead of meeting a closed connection.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// How long a client may take to read why its WebSocket or its call ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Returns when clients have had their time to leave after the cut.
pub(super) async fn farewell(cut: &CancellationToken) {
    cut.cancelled().await;
    tokio::time::sleep(FAREWELL).await;
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

    /// Returns when a connection that has said nothing yet has had its time.
    pub(super) async fn lingered(&self) {
        self.begun.cancelled().await;
        tokio::time::sleep(LINGER).await;
    }
}
