//! Pauses between attempts to watch the API server.
//!
//! kube's own back-off begins anew with every event of a stream, and a stream's first event ("a list begins") comes before
//! anything was asked: a list that fails would be tried again every second for ever. This one begins anew only when the
//! attempt after the last pause lasted for a while. Called by whoever watches: `watch` and `pki`.

use std::time::Duration;

use kube::runtime::{utils::Backoff, watcher::DefaultBackoff};
use tokio::time::Instant;

/// How long an attempt must last to count as a success.
const SUCCESS_AFTER: Duration = Duration::from_secs(10);

/// The pauses of client-go's reflector: from 0.8 s, doubled up to 30 s, with jitter.
#[derive(Default)]
pub(crate) struct BackOff {
    pauses: DefaultBackoff,
    /// When the last pause ends.
    resumed_at: Option<Instant>,
}

impl Iterator for BackOff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.resumed_at.is_some_and(|at| now > at + SUCCESS_AFTER) {
            self.pauses.reset();
        }
        let pause = self.pauses.next()?;
        self.resumed_at = Some(now + pause);
        Some(pause)
    }
}

impl Backoff for BackOff {
    /// Does nothing: time tells whether an attempt was a success, not its first sign of life.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use kube::runtime::WatchStreamExt as _;

    use super::*;
    use futures_util::{StreamExt as _, stream};

    #[tokio::test(start_paused = true)]
    async fn a_list_that_keeps_failing_is_tried_twice_a_minute_and_one_that_worked_at_once() {
        // Each attempt begins with a sign of life, as kube's do.
        let attempts = stream::iter(0..).map(|number| if number % 2 == 0 { Ok(()) } else { Err("refused") });
        let mut attempts = std::pin::pin!(attempts.backoff(BackOff::default()));
        let begun = Instant::now();
        let mut count = 0;
        while begun.elapsed() < Duration::from_secs(600) {
            attempts.next().await.expect("it goes on").ok();
            count += 1;
        }
        assert!((20..70).contains(&count), "{count} events in ten minutes");

        let mut pauses = BackOff::default();
        let mut pause = Duration::ZERO;
        for _ in 0..8 {
            pause = pauses.next().expect("there is always another one");
            tokio::time::sleep(pause).await;
        }
        assert!(pause > Duration::from_secs(20), "{pause:?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(pauses.next() < Some(Duration::from_secs(3)));
    }
}
