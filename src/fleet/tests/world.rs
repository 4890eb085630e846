//! A fleet of simulated proxies around the real state machine, on a clock of its own.

mod proxy;
mod renditions;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

pub(crate) use proxy::Mood;

use proxy::Proxy;

use crate::{
    fleet::{
        Command, FleetEvent, FleetView, ProxyView, PushOutcome, PushResult, Settings, TransportFault,
        TransportFaultKind, machine::Machine, state::Moment,
    },
    model::{Edition, Epoch, Leadership, NamespacedName, Profile, ProxyId, ProxyTarget},
    render::Rendered,
};

pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(5);
const LATENCY: Duration = Duration::from_millis(1);

/// Something that will happen.
enum Future {
    Probe(ProxyId),
    Regular(ProxyId),
    Outcome(ProxyId, u32, PushResult, ConfigHash, Duration),
    Load(ProxyId, u32, ConfigHash, Answered),
}

/// Whether the push that it came with has been answered, or nobody waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    Yes,
    No,
}

pub(crate) struct World {
    machine: Machine,
    began: Moment,
    elapsed: Duration,
    pub(crate) proxies: BTreeMap<ProxyId, Proxy>,
    pub(crate) targets: BTreeMap<ProxyId, Arc<ProxyTarget>>,
    attached: BTreeSet<ProxyId>,
    futures: Vec<(Duration, u64, Future)>,
    sequence: u64,
    generation: u64,
    leadership: Leadership,
    pub(crate) desired: Option<ConfigHash>,
    /// The proxies that hash otherwise from the start.
    pub(crate) salted: BTreeSet<ProxyId>,
    /// Configurations that simulated proxies refuse.
    bad: BTreeSet<ConfigHash>,
    /// Each that it was told to run.
    renditions: Vec<Weak<Rendered>>,
    is_paused: bool,
    pub(crate) view: FleetView,
    pub(crate) pushes: usize,
    pub(crate) most_at_once: usize,
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn id(name: &str) -> ProxyId {
    ProxyId(format!("uid-{name}").into())
}

pub(crate) fn leader(transitions: u64) -> Leadership {
    Leadership::Leader {
        epoch: epoch(transitions),
    }
}

pub(crate) fn epoch(transitions: u64) -> Epoch {
    Epoch {
        lease_uid: "lease".into(),
        transitions,
    }
}

pub(crate) fn rendered(text: &str) -> Arc<Rendered> {
    let bytes = Bytes::from(text.to_owned());
    Arc::new(Rendered {
        hash: ConfigHash::of(&bytes),
        bytes,
        confidential: Arc::default(),
    })
}

pub(crate) fn hash(text: &str) -> ConfigHash {
    ConfigHash::of(text.as_bytes())
}

/// What a proxy calls a configuration that hashes otherwise.
pub(crate) fn salted(hash: ConfigHash) -> ConfigHash {
    ConfigHash::of(hash.to_string().as_bytes())
}

pub(crate) fn target(name: &str) -> ProxyTarget {
    ProxyTarget {
        id: id(name),
        name: name.into(),
        namespace: "kong".into(),
        pod: None,
        node: None,
        urls: vec![format!("https://{name}:8444").into()],
        server_name: None,
        service: Some(NamespacedName::new("kong", "admin")),
        terminating: false,
    }
}

impl World {
    /// This replica leads, and there are proxies of these names: Kong, healthy, without configuration.
    pub(crate) fn new(names: &[&str]) -> Self {
        let mut world = Self::following(Settings::default());
        world.lead(leader(1));
        for name in names {
            world.add(name, Edition::OpenSource);
        }
        world.retarget();
        world
    }

    pub(crate) fn following(settings: Settings) -> Self {
        Self {
            machine: Machine::new(settings),
            began: Moment {
                instant: Instant::now(),
                timestamp: Timestamp::UNIX_EPOCH,
            },
            elapsed: Duration::ZERO,
            proxies: BTreeMap::new(),
            targets: BTreeMap::new(),
            attached: BTreeSet::new(),
            futures: Vec::new(),
            sequence: 0,
            generation: 0,
            leadership: Leadership::Unknown,
            desired: None,
            salted: BTreeSet::new(),
            bad: BTreeSet::new(),
            renditions: Vec::new(),
            is_paused: false,
            view: FleetView::default(),
            pushes: 0,
            most_at_once: 0,
        }
    }

    pub(crate) fn add(&mut self, name: &str, edition: Edition) {
        self.targets.insert(id(name), Arc::new(target(name)));
        self.proxies.entry(id(name)).or_insert(Proxy {
            mood: Mood::Healthy,
            process: 1,
            hash: ConfigHash::NONE,
            edition,
            database: "off",
            takes: Duration::from_millis(100),
            effective_after: Some(Duration::ZERO),
            is_salted: self.salted.contains(&id(name)),
            body_limit: None,
            retry_after: None,
            under_way: false,
            loads_until: Duration::ZERO,
            has_run: BTreeSet::new(),
            probes: 0,
            received: Vec::new(),
            refused: BTreeSet::new(),
            refuses: BTreeSet::new(),
            told: None,
            told_process: None,
            has_fixed_id: false,
        });
    }

    /// Another replica begins, which knows of the proxies what they tell.
    pub(crate) fn succeed(&mut self, leadership: Leadership) {
        self.machine = Machine::new(Settings::default());
        self.begin_anew(leadership);
    }

    fn begin_anew(&mut self, leadership: Leadership) {
        self.attached.clear();
        self.futures.retain(|(_, _, future)| matches!(future, Future::Load(..)));
        for proxy in self.proxies.values_mut() {
            proxy.under_way = false;
            proxy.told = None;
            proxy.told_process = None;
            proxy.refused.clear();
        }
        self.lead(leadership);
        self.retarget();
    }

    /// The same, where the leader before has told what it was still sending: these pushes go on.
    pub(crate) fn take_over(&mut self, leadership: Leadership) {
        let told = self.view.unsettled();
        for (_, _, future) in &mut self.futures {
            if let Future::Load(id, _, _, answered) = future
                && told.contains_key(id)
            {
                *answered = Answered::No;
            }
        }
        self.machine = Machine::new(Settings::default());
        self.event(FleetEvent::HandedOver(told));
        self.begin_anew(leadership);
    }

    /// Discovery sees `targets` as they are now.
    pub(crate) fn retarget(&mut self) {
        let targets = self.targets.values().cloned().collect();
        self.event(FleetEvent::Targets(targets));
    }

    pub(crate) fn proxy(&mut self, name: &str) -> &mut Proxy {
        self.proxies.get_mut(&id(name)).expect("it was added")
    }

    pub(crate) fn shown(&self, name: &str) -> &ProxyView {
        self.view
            .proxies
            .iter()
            .find(|proxy| proxy.target.id == id(name))
            .expect("it is in the view")
    }

    /// What each profile's proxies accepted last, with the number of the rendition that it is of.
    pub(crate) fn last_good(&self) -> BTreeMap<Profile, (u64, ConfigHash)> {
        let good = self.machine.last_good();
        good.map(|(profile, good)| (profile.clone(), (good.sequence, good.hash())))
            .collect()
    }

    /// How many of the configurations that there have been are in memory.
    pub(crate) fn in_memory(&self) -> usize {
        self.renditions.iter().filter(|made| made.strong_count() > 0).count()
    }

    /// The process starts again; its configuration is kept or not.
    pub(crate) fn restart(&mut self, name: &str, keeps: bool) {
        let proxy = self.proxy(name);
        proxy.process += 1;
        proxy.loads_until = Duration::ZERO;
        proxy.refused.clear();
        proxy.mood = Mood::Healthy;
        if !keeps {
            proxy.hash = ConfigHash::NONE;
        }
    }

    pub(crate) fn lead(&mut self, leadership: Leadership) {
        self.leadership = leadership.clone();
        self.event(FleetEvent::Leadership(leadership));
    }

    /// The operator stops changes, or lets them go on.
    pub(crate) fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
        let services = target("").service.into_iter().filter(|_| is_paused);
        self.event(FleetEvent::Paused(services.collect()));
    }

    pub(crate) fn now(&self) -> Moment {
        Moment {
            instant: self.began.instant + self.elapsed,
            timestamp: self.began.timestamp + SignedDuration::try_from(self.elapsed).expect("tests are short"),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Lets time pass, and everything happen in it in order.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.elapsed + duration;
        loop {
            let due = self.futures.iter().map(|(at, sequence, _)| (*at, *sequence)).min();
            let deadline = self
                .machine
                .deadline()
                .map(|at| at.saturating_duration_since(self.began.instant));
            match (due, deadline) {
                (Some((at, sequence)), _) if at <= end && deadline.is_none_or(|deadline| at <= deadline) => {
                    self.elapsed = self.elapsed.max(at);
                    let index = self
                        .futures
                        .iter()
                        .position(|(_, known, _)| *known == sequence)
                        .expect("found above");
                    let (_, _, future) = self.futures.swap_remove(index);
                    self.happen(future);
                }
                (_, Some(deadline)) if deadline <= end => {
                    assert!(deadline >= self.elapsed || self.machine.deadline().is_some());
                    self.elapsed = self.elapsed.max(deadline);
                    let commands = self.machine.tick(self.now());
                    self.obey(commands);
                    let next = self
                        .machine
                        .deadline()
                        .map(|at| at.saturating_duration_since(self.began.instant));
                    assert!(
                        next.is_none_or(|next| next > self.elapsed),
                        "a deadline must not stay due: {next:?}"
                    );
                }
                _ => break,
            }
        }
        self.elapsed = end;
    }

    fn after(&mut self, wait: Duration, future: Future) {
        self.sequence += 1;
        self.futures.push((self.elapsed + wait, self.sequence, future));
    }

    pub(crate) fn event(&mut self, event: FleetEvent) {
        let commands = self.machine.handle(event, self.now());
        self.obey(commands);
    }

    fn happen(&mut self, future: Future) {
        match future {
            Future::Probe(id) => self.answer_probe(&id),
            Future::Regular(id) => {
                if self.attached.contains(&id) {
                    self.answer_probe(&id);
                    self.after(PROBE_INTERVAL, Future::Regular(id));
                }
            }
            Future::Load(id, process, hash, _) => {
                let proxy = self.proxies.get_mut(&id).expect("known");
                if proxy.process == process {
                    proxy.hash = hash;
                    proxy.has_run.insert(hash);
                    // Another load of the same can't be told from this one.
                    for (_, _, future) in &mut self.futures {
                        match future {
                            Future::Load(of, loading, what, answered)
                                if *of == id && (*loading, *what) == (process, hash) =>
                            {
                                *answered = Answered::Yes;
                            }
                            _ => {}
                        }
                    }
                }
            }
            Future::Outcome(id, process, mut result, hash, took) => {
                let proxy = self.proxies.get_mut(&id).expect("known");
                proxy.under_way = false;
                if proxy.process != process {
                    result = PushResult::Unknown(TransportFault {
                        kind: TransportFaultKind::ConnectionFailed,
                        message: "the connection ended".to_owned(),
                    });
                }
                // That it has started again may be learned only after it refused something, which is tried once more then.
                if matches!(result, PushResult::Rejected { .. }) && proxy.told_process == Some(process) {
                    proxy.refused.insert(hash);
                }
                if matches!(result, PushResult::Accepted) {
                    proxy.told = Some(hash);
                    if proxy.effective_after == Some(Duration::ZERO) {
                        proxy.hash = hash;
                        proxy.has_run.insert(hash);
                    }
                }
                let outcome = PushOutcome {
                    hash,
                    started: self.now().timestamp,
                    took,
                    result,
                };
                self.event(FleetEvent::Pushed(id, outcome));
            }
        }
    }

    fn obey(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Attach(target) => {
                    let id = target.id.clone();
                    if self.attached.insert(id.clone()) {
                        self.after(LATENCY, Future::Regular(id));
                    }
                }
                Command::Detach(id) => {
                    self.attached.remove(&id);
                    self.futures
                        .retain(|(_, _, future)| !matches!(future, Future::Regular(regular) if *regular == id));
                }
                Command::Probe(id) => self.after(LATENCY, Future::Probe(id)),
                Command::Push { proxy, rendered, epoch } => self.take_push(&proxy, &rendered, &epoch),
            }
        }
        if let Some(view) = self.machine.view() {
            self.view = view;
        }
    }
}
