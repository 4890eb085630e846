//! A thousand proxies and some Ingresses, a change a second, default flags: what it costs the API server, and who waits for
//! whom.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::world::{newcomer, rendition, settings, snapshot, synced, view};
use crate::{
    cli,
    fleet::{FleetView, ProxyView},
    liveness::Liveness,
    model::{Epoch, Kind, Snapshot},
    render::Rendition,
    status::{
        author::{Author, World},
        document::{Class, Key},
        planner::{Next, Outcome, Planner},
    },
};

const PROXIES: usize = 1000;
const SECONDS: u64 = 60;
/// Objects whose statuses bear the addresses, which change each second.
const INGRESSES: [&str; 5] = ["one", "two", "three", "four", "five"];
/// Proxies that restart at once, every four seconds.
const RESTARTS: usize = 8;

/// The writer's pure part, and an API server that takes its time.
struct Simulation {
    author: Author,
    planner: Planner,
    start: Instant,
    now: Instant,
    latency: Duration,
    proxies: Vec<Arc<ProxyView>>,
    rendition: Option<Arc<Rendition>>,
    snapshot: Arc<Snapshot>,
    under_way: Vec<(Instant, Key)>,
    /// When each write began.
    writes: Vec<(Duration, Class)>,
    /// Gates that are to be written, since when.
    wanted: HashMap<Key, Instant>,
    longest_wait: Duration,
    refreshed: HashMap<Key, Vec<Duration>>,
}

impl Simulation {
    fn new(latency: Duration, (rate, burst): (u32, u32)) -> Self {
        let now = Instant::now();
        Self {
            author: Author::new(settings()),
            planner: Planner::new(rate, burst, now),
            start: now,
            now,
            latency,
            proxies: Vec::new(),
            rendition: rendition("before", &INGRESSES, Vec::new()),
            snapshot: snapshot(&["192.0.2.1"], &[]),
            under_way: Vec::new(),
            writes: Vec::new(),
            wanted: HashMap::new(),
            longest_wait: Duration::ZERO,
            refreshed: HashMap::new(),
        }
    }

    fn show(&mut self) {
        let world = World {
            view: Arc::new(FleetView {
                proxies: self.proxies.clone(),
                ..(*view("any", Vec::new())).clone()
            }),
            rendition: self.rendition.clone(),
            snapshot: self.snapshot.clone(),
            epoch: Epoch {
                lease_uid: "uid".into(),
                transitions: 1,
            },
            storage: None,
            liveness: Liveness::default(),
        };
        self.author.update(&world, &mut self.planner, self.now);
    }

    /// A proxy is seen differently, and its gate is to say so.
    fn turn(&mut self, index: usize, proxy: ProxyView) {
        let pod = proxy.target.pod.clone().expect("it has a Pod");
        self.wanted.insert(Key::gate(&pod), self.now);
        self.proxies[index] = Arc::new(proxy);
    }

    /// Lets time pass, and everything be written in it.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = match self.planner.next(self.now) {
                Next::Write(write) => {
                    self.begin(write.key);
                    continue;
                }
                Next::At(at) => {
                    assert!(at > self.now, "it does not spin");
                    Some(at)
                }
                Next::Nothing => None,
            };
            let answer = self.under_way.iter().map(|(at, _)| *at).min();
            let at = [next, answer].into_iter().flatten().min().unwrap_or(end);
            if at > end {
                break;
            }
            self.now = at;
            let (done, open) = std::mem::take(&mut self.under_way)
                .into_iter()
                .partition(|(answered, _)| *answered <= at);
            self.under_way = open;
            for (_, key) in done {
                self.planner.done(&key, Outcome::Written, 1, at);
            }
            if at == end {
                break;
            }
        }
        self.now = end;
    }

    fn begin(&mut self, key: Key) {
        let at = self.now - self.start;
        self.writes.push((at, key.class()));
        if let Some(since) = self.wanted.remove(&key) {
            self.longest_wait = self.longest_wait.max(self.now - since);
        }
        if key.class() == Class::InstanceStatus {
            self.refreshed.entry(key.clone()).or_default().push(at);
        }
        self.under_way.push((self.now + self.latency, key));
    }

    fn count(&self, class: Class) -> usize {
        self.writes.iter().filter(|(_, written)| *written == class).count()
    }
}

/// What that flag of `run` is if it is not given.
fn default_of(flag: &str) -> u32 {
    let command = cli::command();
    let run = command.find_subcommand("run").unwrap();
    let argument = run.get_arguments().find(|known| known.get_long() == Some(flag));
    let default = argument.unwrap().get_default_values()[0].to_str();
    default.unwrap().parse().unwrap()
}

fn name(index: usize) -> String {
    format!("kong-{index}")
}

#[test]
fn writes_stay_under_the_budget_and_gates_never_queue_behind_hashes() {
    let (rate, burst) = (default_of("status-qps"), default_of("status-burst"));
    for latency in [5, 1500].map(Duration::from_millis) {
        let mut simulation = Simulation::new(latency, (rate, burst));
        for index in 0..PROXIES {
            simulation.proxies.push(Arc::new(synced(&name(index), "before")));
            if index % 50 == 49 {
                simulation.show();
                simulation.pass(Duration::from_secs(15));
            }
        }
        assert_eq!(simulation.planner.load().gates, 0, "all has been told");
        simulation.writes.clear();
        simulation.refreshed.clear();
        simulation.start = simulation.now;
        for second in 0..SECONDS {
            let text = format!("change {second}");
            simulation.rendition = rendition(&text, &INGRESSES, Vec::new());
            simulation.snapshot = snapshot(&[&format!("198.51.100.{second}")], &[]);
            for index in 0..PROXIES {
                simulation.proxies[index] = Arc::new(synced(&name(index), &text));
            }
            let first = usize::try_from(second / 4).expect("few") * RESTARTS;
            let restarting = first..first + RESTARTS;
            match second % 4 {
                // An own earlier write of a gate has ended by then, however slow the API server is.
                0 => restarting.for_each(|index| simulation.turn(index, newcomer(&name(index)))),
                2 => restarting.for_each(|index| simulation.turn(index, synced(&name(index), &text))),
                1 => restarting.for_each(|index| simulation.proxies[index] = Arc::new(newcomer(&name(index)))),
                _ => {}
            }
            simulation.show();
            simulation.pass(Duration::from_secs(1));
        }
        let (gates, hashes) = (simulation.count(Class::Gate), simulation.count(Class::InstanceStatus));
        let addresses = simulation.count(Class::Object(Kind::Ingress));
        let intervals = simulation.refreshed.values().flat_map(|times| {
            let pairs = times.windows(2);
            pairs.map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect::<Vec<_>>()
        });
        let intervals: Vec<f64> = intervals.collect();
        println!(
            "an answer in {latency:?}: {} writes in {SECONDS} s ({gates} gates, {addresses} of Ingresses, {hashes} of proxies, each {:.0} s after the one before); \
             a gate waited {:?} at most",
            simulation.writes.len(),
            intervals.iter().sum::<f64>() / intervals.len().max(1) as f64,
            simulation.longest_wait,
        );
        for (index, (at, _)) in simulation.writes.iter().enumerate() {
            let allowed = f64::from(burst) + f64::from(rate) * at.as_secs_f64();
            assert!(
                (index + 1) as f64 <= allowed + 0.01,
                "{} writes after {at:?}",
                index + 1
            );
        }
        assert_eq!(gates, RESTARTS * SECONDS as usize / 2, "each gate closed and opened");
        assert!(simulation.wanted.is_empty());
        assert_eq!(simulation.longest_wait, Duration::ZERO, "with answers in {latency:?}");
        assert!(hashes > SECONDS as usize, "hashes are told, too: {hashes}");
        // One that changes while it is being written is written again once that has ended.
        let least = INGRESSES.len() * SECONDS as usize / latency.as_secs_f64().ceil().max(1.0) as usize;
        assert!(addresses >= least, "addresses are told, too: {addresses}");
    }
}
