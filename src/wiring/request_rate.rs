//! A limit of requests to the API server (`--apiserver-qps`, `--apiserver-burst`), as a layer of its client.
//!
//! All requests of the client wait in one line, watches and lists alike; each takes one token.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};
use tower::{Layer, Service};

use super::settings::RequestRate;

/// Puts a limit on a client.
#[derive(Debug, Clone)]
pub(super) struct RateLayer {
    rate: RequestRate,
}

impl RateLayer {
    pub(super) fn new(rate: RequestRate) -> Self {
        Self { rate }
    }
}

impl<S> Layer<S> for RateLayer {
    type Service = RateLimited<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let interval = Duration::from_secs(1) / self.rate.per_second.max(1);
        RateLimited {
            inner,
            interval,
            tolerance: interval * self.rate.burst.saturating_sub(1),
            full_at: Instant::now(),
            wait: None,
        }
    }
}

/// A client with a limit: a token bucket, kept as the moment at which it is full again (GCRA).
pub(super) struct RateLimited<S> {
    inner: S,
    interval: Duration,
    /// How far `full_at` may lie ahead for a request to go at once.
    tolerance: Duration,
    full_at: Instant,
    wait: Option<Pin<Box<Sleep>>>,
}

impl<S: Service<R>, R> Service<R> for RateLimited<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let allowed_at = self.full_at.checked_sub(self.tolerance);
        if let Some(allowed_at) = allowed_at.filter(|at| *at > Instant::now()) {
            let wait = self.wait.get_or_insert_with(|| Box::pin(sleep_until(allowed_at)));
            ready!(wait.as_mut().poll(context));
        }
        self.wait = None;
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.full_at = self.full_at.max(Instant::now()) + self.interval;
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn};

    use super::*;

    struct Clock;

    impl Service<()> for Clock {
        type Response = Instant;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Instant, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            std::future::ready(Ok(Instant::now()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let rate = RequestRate {
            per_second: 10,
            burst: 3,
        };
        let mut client = RateLayer::new(rate).layer(Clock);
        let begin = Instant::now();
        let mut after = Vec::new();
        for _ in 0..6 {
            poll_fn(|context| client.poll_ready(context))
                .await
                .expect("it is ready");
            let at = client.call(()).await.expect("it answers");
            after.push(at.duration_since(begin).as_millis());
        }
        assert_eq!(after, [0, 0, 0, 100, 200, 300]);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let rested = Instant::now();
        for _ in 0..3 {
            poll_fn(|context| client.poll_ready(context))
                .await
                .expect("it is ready");
            assert_eq!(
                client.call(()).await.expect("it answers"),
                rested,
                "after a rest all tokens are back, and no more"
            );
        }
    }
}
