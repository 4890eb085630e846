//! One task per proxy, each with its own rhythm.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::probe::Probe;
use crate::{
    fleet::{Command, FleetEvent},
    model::{ProxyId, ProxyTarget},
    pki::client::AdminTls,
};

/// How probes are made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From one probe to the next (`--probe-interval`).
    pub interval: Duration,
    /// For one request.
    pub timeout: Duration,
    /// For connecting, the TLS handshake included.
    pub connect_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_millis(1500),
        }
    }
}

/// Probes every attached proxy, and tells the fleet what came of it.
pub struct Prober {
    settings: Arc<Settings>,
    /// When the first beat was ([`Rhythm`]).
    start: Instant,
    tls: watch::Receiver<Arc<AdminTls>>,
    events: mpsc::Sender<FleetEvent>,
    tasks: HashMap<ProxyId, Task>,
}

/// A task that ends with its handle.
struct Task {
    target: Arc<ProxyTarget>,
    wake: Arc<Notify>,
    handle: JoinHandle<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Prober {
    /// Connections are made with what `tls` holds at the time; when it changes they are made anew. Ends with the
    /// receiver of `events`.
    pub fn new(settings: Settings, tls: watch::Receiver<Arc<AdminTls>>, events: mpsc::Sender<FleetEvent>) -> Self {
        Self {
            settings: Arc::new(settings),
            start: Instant::now(),
            tls,
            events,
            tasks: HashMap::new(),
        }
    }

    /// Does what the fleet wants, as far as it concerns probing; never waits. To be called within a runtime.
    pub fn handle(&mut self, command: &Command) {
        match command {
            Command::Attach(target) => self.attach(target.clone()),
            Command::Detach(id) => drop(self.tasks.remove(id)),
            Command::Probe(id) => {
                if let Some(task) = self.tasks.get(id) {
                    task.wake.notify_one();
                }
            }
            Command::Push { .. } => {}
        }
    }

    fn attach(&mut self, target: Arc<ProxyTarget>) {
        let known = self.tasks.get_mut(&target.id);
        if let Some(task) = known
            && task.target.urls == target.urls
            && task.target.server_name == target.server_name
        {
            task.target = target;
            return;
        }
        let wake = Arc::new(Notify::new());
        let run = run(
            target.clone(),
            self.settings.clone(),
            Rhythm::new(self.start, self.settings.interval, &target.id),
            self.tls.clone(),
            wake.clone(),
            self.events.clone(),
        );
        let task = Task {
            handle: tokio::spawn(run),
            wake,
            target: target.clone(),
        };
        self.tasks.insert(target.id.clone(), task);
    }
}

async fn run(
    target: Arc<ProxyTarget>,
    settings: Arc<Settings>,
    rhythm: Rhythm,
    mut tls: watch::Receiver<Arc<AdminTls>>,
    wake: Arc<Notify>,
    events: mpsc::Sender<FleetEvent>,
) {
    let (mut probe, mut reconnect_at) = new_probe(&target, &mut tls, &settings);
    // The first probe comes at once, since a newcomer waits for its configuration; the others are spread.
    let mut next = rhythm.after(Instant::now());
    loop {
        let observation = tokio::select! {
            observation = probe.observe() => observation,
            // Whatever the old certificates would have shown is of no interest any more.
            () = changed(&mut tls) => {
                (probe, reconnect_at) = new_probe(&target, &mut tls, &settings);
                continue;
            }
        };
        if events
            .send(FleetEvent::Observed(target.id.clone(), observation))
            .await
            .is_err()
        {
            return;
        }
        tokio::select! {
            () = sleep_until(next) => next = rhythm.after(Instant::now()),
            () = wake.notified() => {}
            () = changed(&mut tls) => (probe, reconnect_at) = new_probe(&target, &mut tls, &settings),
        }
        if reconnect_at.is_some_and(|at| at <= Instant::now()) {
            (probe, reconnect_at) = new_probe(&target, &mut tls, &settings);
        }
    }
}

/// New connections, and when they are to be replaced: at another time for each proxy.
fn new_probe(
    target: &Arc<ProxyTarget>,
    tls: &mut watch::Receiver<Arc<AdminTls>>,
    settings: &Settings,
) -> (Probe, Option<Instant>) {
    let tls = tls.borrow_and_update().clone();
    let share = 0.75 + phase(&target.id) / 4.0;
    let reconnect_at = tls.reconnect_after().map(|after| Instant::now() + after.mul_f64(share));
    (Probe::new(target.clone(), &tls, settings), reconnect_at)
}

/// Returns when the certificates change; never, when nobody can change them any more.
async fn changed(tls: &mut watch::Receiver<Arc<AdminTls>>) {
    if tls.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// When a proxy's turn is. Turns come in beats that all proxies share: of a thousand proxies twenty are asked together, so that
/// the process wakes ten times a second for them rather than two hundred times. That is half of what probing costs.
struct Rhythm {
    first: Instant,
    interval: Duration,
}

impl Rhythm {
    /// Beats in an interval.
    const BEATS: u32 = 50;

    fn new(start: Instant, interval: Duration, id: &ProxyId) -> Self {
        let beat = (phase(id) * f64::from(Self::BEATS)) as u32;
        Self {
            first: start + interval / Self::BEATS * beat,
            interval,
        }
    }

    /// The next turn after that time.
    fn after(&self, now: Instant) -> Instant {
        let Some(since) = now.checked_duration_since(self.first) else {
            return self.first;
        };
        let turns = since.as_nanos() / self.interval.as_nanos().max(1) + 1;
        let until = u64::try_from(turns * self.interval.as_nanos()).unwrap_or(u64::MAX);
        self.first + Duration::from_nanos(until)
    }
}

/// A proxy's place within the interval, from 0 to 1.
fn phase(id: &ProxyId) -> f64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    (hasher.finish() % 1024) as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proxy_has_its_turn_once_an_interval_together_with_others() {
        let start = Instant::now();
        let interval = Duration::from_secs(5);
        let ids = (0..1000).map(|number| ProxyId(format!("pod-{number}").into()));
        let mut beats = HashMap::<Duration, usize>::new();
        for id in ids {
            let rhythm = Rhythm::new(start, interval, &id);
            let first = rhythm.after(start + interval);
            let later = first + Duration::from_millis(1);
            assert!(first > start + interval && first <= start + interval * 2);
            assert_eq!(rhythm.after(first), first + interval, "its turn is over");
            assert_eq!(rhythm.after(later), first + interval);
            // One that takes longer than an interval misses turns, and asks no faster after that.
            assert_eq!(rhythm.after(first + interval.mul_f64(2.5)), first + interval * 3);
            *beats.entry(first - start).or_default() += 1;
        }
        let most = beats.values().max().copied().unwrap_or_default();
        assert_eq!(beats.len(), Rhythm::BEATS as usize);
        assert!(most <= 45, "{most} of 1,000 at once");
    }

    #[test]
    fn who_joins_before_the_first_beat_waits_for_it() {
        let start = Instant::now();
        let id = ProxyId("late".into());
        let rhythm = Rhythm::new(start, Duration::from_millis(100), &id);
        let next = rhythm.after(start);
        assert!(next >= start && next <= start + Duration::from_millis(100));
    }
}
