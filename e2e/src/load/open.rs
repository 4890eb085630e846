//! Open-loop load: requests begin at their planned times, whatever became of those before, so that a server that stalls is
//! seen as users see it. New connections throughout; every answer is counted for the step in which it was planned.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::time::{sleep_until, timeout};

use super::{
    clients::{Clients, Target, Used},
    follow::{self, Backends},
    tally::{Lost, Row, Tally},
};

/// Limit of one request.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// How long requests under way may take at the end.
const REST: Duration = Duration::from_secs(11);

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// HTTP/1.1, a connection for each.
    New,
    /// HTTP/1.1, connections kept.
    Kept,
    /// HTTPS, a connection for each.
    Tls,
    /// HTTP/2 over TLS, requests share connections, which are replaced in turn.
    Http2,
    /// Messages over WebSockets that stay open.
    Socket,
    /// Messages of gRPC calls that go on, over TLS.
    Call,
}

impl Way {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::New => "new connection",
            Self::Kept => "kept connection",
            Self::Tls => "TLS",
            Self::Http2 => "HTTP/2",
            Self::Socket => "WebSocket",
            Self::Call => "gRPC",
        }
    }
}

/// Requests a second, by way.
pub(crate) const RATES: [(Way, u32); 6] = [
    (Way::New, 20),
    (Way::Kept, 25),
    (Way::Tls, 5),
    (Way::Http2, 25),
    (Way::Socket, 15),
    (Way::Call, 10),
];

/// All of them together.
pub(crate) fn rate() -> u32 {
    RATES.iter().map(|(_, rate)| rate).sum()
}

/// Load until it is finished.
pub(crate) struct OpenLoad {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    follower: Option<JoinHandle<()>>,
}

impl OpenLoad {
    /// Begins. What is planned before the first step counts for nothing. `backends` tells where connections have led.
    ///
    /// # Errors
    /// The trusted certificate can't be used.
    pub(crate) fn start(
        target: Target,
        backends: impl Fn() -> anyhow::Result<Backends> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::new(rate())));
        let clients = Arc::new(Clients::new(target)?);
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&tally));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut schedules = tokio::task::JoinSet::new();
                for (way, rate) in RATES {
                    schedules.spawn(schedule(way, rate, clients.clone(), counted.clone(), stopped.clone()));
                }
                schedules.join_all().await;
            });
            runtime.shutdown_timeout(REST);
            Ok(())
        });
        let follower = follow::start(Arc::clone(&tally), Arc::clone(&stop), backends);
        Ok(Self {
            stop,
            tally,
            thread: Some(thread),
            follower: Some(follower),
        })
    }

    /// From now on requests count for this step.
    pub(crate) fn step(&self, name: &str) {
        self.tally.step(name, false);
    }

    /// The same, and some of them may fail.
    pub(crate) fn step_with_losses(&self, name: &str) {
        self.tally.step(name, true);
    }

    /// How long it took until everything was as wanted after the step's change.
    pub(crate) fn synced(&self, after: Duration) {
        self.tally.synced(after);
    }

    /// Failures so far in the step that is under way.
    pub(crate) fn failures(&self) -> u64 {
        self.tally.failures()
    }

    /// The requests that have failed so far in the step of that name.
    pub(crate) fn lost(&self, step: &str) -> Vec<Lost> {
        let rows = self.tally.rows();
        let named = rows.into_iter().filter(|row| row.name == step);
        named.flat_map(|row| row.lost).collect()
    }

    /// Ends it, and gives one row per step.
    ///
    /// # Errors
    /// The load could not be made.
    pub(crate) fn finish(mut self) -> anyhow::Result<Vec<Row>> {
        self.tally.step("", false);
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok().context("the load's thread panicked")??;
        }
        if let Some(follower) = self.follower.take() {
            follower.join().ok().context("the follower's thread panicked")?;
        }
        Ok(self.tally.rows())
    }
}

impl Drop for OpenLoad {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

async fn schedule(way: Way, rate: u32, clients: Arc<Clients>, tally: Arc<Tally>, stop: Arc<AtomicBool>) {
    let began = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for number in 0_u32.. {
        let planned = began + Duration::from_secs(1) * number / rate;
        sleep_until(planned.into()).await;
        if stop.load(Relaxed) {
            break;
        }
        let step = tally.planned();
        let (clients, tally) = (Arc::clone(&clients), Arc::clone(&tally));
        running.spawn(async move {
            let used = Used::default();
            let outcome = match timeout(LIMIT, clients.request(way, number, &used)).await {
                Ok(outcome) => outcome.map_err(|error| format!("{error:#}")),
                Err(_) => Err(format!("no answer within {LIMIT:?}")),
            };
            let outcome = outcome.map_err(|error| (error, used.all()));
            tally.ended(step, way, outcome, planned.elapsed());
        });
        while running.try_join_next().is_some() {}
    }
    running.join_all().await;
}
