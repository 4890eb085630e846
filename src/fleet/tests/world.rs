//! A fleet of simulated proxies around the real state machine, on a clock of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

use crate::{
    fleet::{
        Command, ConnectionSecurity, EntityError, FleetEvent, FleetView, Observation, ProbeFault, ProxyReport,
        ProxyView, PushOutcome, PushResult, Settings, TransportFault, TransportFaultKind, machine::Machine,
        state::Moment,
    },
    model::{
        Edition, Epoch, Generation, Leadership, NamespacedName, ObjectRef, Problem, Profile, ProxyId, ProxyTarget,
        Reason, RouterFlavor,
    },
    render::{Fallback, LastGood, Rendered, Rendition, Restored},
};

pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(5);
const PUSH_TIMEOUT: Duration = Duration::from_secs(30);
const LATENCY: Duration = Duration::from_millis(1);

/// How a simulated proxy behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Healthy,
    /// Nothing listens.
    Down,
    /// Takes a push and does not answer it; loads it in the end or not.
    Hangs {
        loads: bool,
    },
    /// Breaks the connection off in the middle of a push; loads it all the same or not.
    Resets {
        loads: bool,
    },
    Busy,
    /// Neither answers probes nor takes connections.
    Silent,
}

pub(crate) struct Proxy {
    pub(crate) mood: Mood,
    pub(crate) process: u32,
    pub(crate) hash: ConfigHash,
    pub(crate) edition: Edition,
    pub(crate) database: &'static str,
    pub(crate) takes: Duration,
    /// From its answer that it has taken a configuration until it reports it; `None` for never.
    pub(crate) effective_after: Option<Duration>,
    /// Whether it hashes otherwise than is predicted.
    pub(crate) is_salted: bool,
    pub(crate) body_limit: Option<u64>,
    /// How long it asks to be left alone while it is busy.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) under_way: bool,
    /// Until when it loads what it was sent, if it takes one configuration after another.
    loads_until: Duration,
    /// All that it has loaded, or had at a probe.
    pub(crate) has_run: BTreeSet<ConfigHash>,
    /// How often it was asked what it runs.
    pub(crate) probes: usize,
    /// Every hash that it was sent, with the time since the start.
    pub(crate) received: Vec<(Duration, ConfigHash)>,
    /// Refused since its start, while the same configuration was wanted.
    refused: BTreeSet<ConfigHash>,
    /// What the last probe told.
    told: Option<ConfigHash>,
    /// Of which process it told.
    told_process: Option<u32>,
}

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

/// The profiles of all simulated proxies.
fn profiles() -> Vec<Profile> {
    [Edition::OpenSource, Edition::Embedded]
        .map(|edition| Profile {
            router_flavor: RouterFlavor::Traditional,
            edition: Some(edition),
            version: Some((3, 9)),
            plugins: None,
        })
        .into()
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
            told: None,
            told_process: None,
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

    pub(crate) fn run(&mut self, text: &str) {
        self.rendition(text, None, Vec::new());
    }

    /// A configuration that every proxy refuses.
    pub(crate) fn run_bad(&mut self, text: &str) {
        self.bad.insert(hash(text));
        self.run(text);
    }

    /// The operator stops changes, or lets them go on.
    pub(crate) fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
        let services = target("").service.into_iter().filter(|_| is_paused);
        self.event(FleetEvent::Paused(services.collect()));
    }

    /// What proxies accepted in an earlier run, or under another leader, was found.
    pub(crate) fn recall(&mut self, text: &str) {
        let good = Arc::new(LastGood {
            rendered: rendered(text),
            sources: Arc::default(),
            stored: true,
        });
        let found = profiles().into_iter().map(|profile| (profile, good.clone()));
        self.event(FleetEvent::Stored(found.collect()));
    }

    pub(crate) fn hold(&mut self, text: &str) {
        self.rendition(text, Some("Ingresses can't be read".to_owned()), Vec::new());
    }

    pub(crate) fn run_with_problem(&mut self, text: &str, reason: Reason) {
        let object = ObjectRef {
            group: "networking.k8s.io".into(),
            version: "v1".into(),
            kind: "Ingress".into(),
            namespace: "shop".into(),
            name: "web".into(),
            uid: "u".into(),
        };
        let problem = Problem {
            object,
            field: None,
            condition: None,
            reason,
            message: String::new(),
            remedy: String::new(),
            source: None,
        };
        self.rendition(text, None, vec![problem]);
    }

    /// What the proxies refused is left out: this is what remains.
    pub(crate) fn run_reduced(&mut self, whole: &str, reduced: &str) {
        self.bad.insert(hash(whole));
        let fallback = Fallback {
            whole: Some(rendered(whole)),
            sources: Arc::default(),
            kept: None,
            left_out: 1,
            old: 0,
        };
        self.rendition_with(reduced, None, Vec::new(), Some(&fallback));
    }

    /// Every proxy refuses the newest, and nobody is to blame: this is the last good one with the addresses of now.
    pub(crate) fn run_kept(&mut self, newest: &str, kept: &str) {
        self.bad.insert(hash(newest));
        let fallback = Fallback {
            whole: None,
            sources: Arc::default(),
            kept: Some(Restored {
                rendered: rendered(kept),
                sources: Arc::default(),
            }),
            left_out: 0,
            old: 0,
        };
        self.rendition_with(newest, None, Vec::new(), Some(&fallback));
    }

    fn rendition(&mut self, text: &str, hold: Option<String>, problems: Vec<Problem>) {
        self.rendition_with(text, hold, problems, None);
    }

    fn rendition_with(
        &mut self,
        text: &str,
        hold: Option<String>,
        problems: Vec<Problem>,
        fallback: Option<&Fallback>,
    ) {
        self.generation += 1;
        let shared = rendered(text);
        if hold.is_none() && self.desired != Some(shared.hash) {
            self.desired = Some(shared.hash);
            // A configuration that changed and changed back may be tried again.
            self.proxies.values_mut().for_each(|proxy| proxy.refused.clear());
        }
        let rendition = Rendition {
            generation: Generation(self.generation),
            snapshot: Arc::default(),
            profiles: profiles()
                .into_iter()
                .map(|profile| (profile, shared.clone()))
                .collect(),
            fallbacks: fallback
                .into_iter()
                .flat_map(|fallback| profiles().into_iter().map(|profile| (profile, fallback.clone())))
                .collect(),
            problems: problems.into(),
            objects: crate::translate::Participants::default(),
            gateways: Arc::default(),
            hold,
            created: self.now().timestamp,
            took: Duration::ZERO,
        };
        self.event(FleetEvent::Rendition(Arc::new(rendition)));
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

    fn answer_probe(&mut self, id: &ProxyId) {
        if !self.attached.contains(id) {
            return;
        }
        let proxy = self.proxies.get_mut(id).expect("known");
        proxy.probes += 1;
        let fault = |kind| {
            Err(ProbeFault {
                fault: TransportFault {
                    kind,
                    message: "it fails".to_owned(),
                },
            })
        };
        let result = match proxy.mood {
            Mood::Down => fault(TransportFaultKind::ConnectionRefused),
            Mood::Silent => fault(TransportFaultKind::Timeout),
            Mood::Healthy | Mood::Busy | Mood::Hangs { .. } | Mood::Resets { .. } => {
                proxy.told = Some(proxy.hash);
                proxy.has_run.insert(proxy.hash);
                proxy.told_process = Some(proxy.process);
                Ok(ProxyReport {
                    version: "3.9.1".to_owned(),
                    plugins: None,
                    edition: proxy.edition,
                    router_flavor: RouterFlavor::Traditional,
                    database: proxy.database.to_owned(),
                    node_id: Some(proxy.process.to_string()),
                    started_at: None,
                    body_limit: proxy.body_limit,
                    hash: if proxy.is_salted && !proxy.hash.is_none() {
                        salted(proxy.hash)
                    } else {
                        proxy.hash
                    },
                    security: ConnectionSecurity::Mutual,
                    certificate: None,
                })
            }
        };
        let observation = Observation {
            started: self.now().instant,
            at: self.now().timestamp,
            result,
        };
        self.event(FleetEvent::Observed(id.clone(), observation));
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

    fn take_push(&mut self, id: &ProxyId, rendered: &Rendered, sent_under: &Epoch) {
        let (elapsed, hash) = (self.elapsed, rendered.hash);
        assert_eq!(self.leadership.epoch(), Some(sent_under), "only a leader pushes");
        let refuses = self.bad.contains(&hash);
        let cut = matches!(self.leadership, Leadership::Cut { .. });
        let proxy = self.proxies.get_mut(id).expect("known");
        assert!(!proxy.under_way, "never two pushes at once");
        // What it calls a configuration that it was not seen to take is not known.
        assert!(
            proxy.is_salted || proxy.told != Some(hash),
            "nothing is sent to a proxy that reports it already"
        );
        assert!(!proxy.refused.contains(&hash), "what was refused is not sent again");
        assert!(
            !cut || proxy.told == Some(ConfigHash::NONE),
            "without a Lease only empty proxies are given anything"
        );
        assert!(
            !self.is_paused || proxy.told == Some(ConfigHash::NONE),
            "of a paused fleet only empty proxies are given anything"
        );
        assert_eq!(proxy.database, "off", "a proxy with a database is left alone");
        proxy.under_way = true;
        proxy.received.push((elapsed, hash));
        self.pushes += 1;
        let (mood, process, takes, edition) = (proxy.mood, proxy.process, proxy.takes, proxy.edition);
        let retry_after = proxy.retry_after;
        let effective_after = proxy.effective_after;
        let runs_it = proxy.hash == hash;
        // What comes later is loaded later: it need not be waited for.
        let in_order = edition == Edition::Embedded;
        let begins = if in_order {
            proxy.loads_until.max(elapsed)
        } else {
            elapsed
        };
        // That it has started again may be learned only after it was sent something: what its predecessor was sent is not
        // waited for.
        let unanswered = match proxy.told_process == Some(process) && begins == elapsed {
            true => Answered::No,
            false => Answered::Yes,
        };
        let may_still_load = |future: &Future| matches!(future, Future::Load(of, loading, _, Answered::No) if of == id && *loading == process);
        assert!(
            !self.futures.iter().any(|(_, _, future)| may_still_load(future)),
            "nothing is sent while what was sent before may still be loaded"
        );
        let fault = |kind| TransportFault {
            kind,
            message: "it failed".to_owned(),
        };
        let (wait, result) = match mood {
            Mood::Down => (
                LATENCY,
                PushResult::NotSent(fault(TransportFaultKind::ConnectionRefused)),
            ),
            Mood::Silent => (
                Duration::from_secs(3),
                PushResult::NotSent(fault(TransportFaultKind::Timeout)),
            ),
            Mood::Busy => (LATENCY, PushResult::Busy { retry_after }),
            Mood::Hangs { loads } => {
                if loads && !refuses {
                    let loaded = begins.max(elapsed + Duration::from_secs(45));
                    proxy.loads_until = loaded;
                    let answered = if in_order { Answered::Yes } else { unanswered };
                    let load = Future::Load(id.clone(), process, hash, answered);
                    self.after(loaded - elapsed, load);
                }
                (PUSH_TIMEOUT, PushResult::Unknown(fault(TransportFaultKind::Timeout)))
            }
            Mood::Resets { loads } => {
                if loads && !refuses {
                    // Kong has been seen to finish so late; the embedded proxy goes on at once with what it has got.
                    let late = match edition {
                        Edition::OpenSource | Edition::Enterprise => Duration::from_secs(49),
                        Edition::Embedded => begins + takes - elapsed,
                    };
                    proxy.loads_until = elapsed + late;
                    self.after(late, Future::Load(id.clone(), process, hash, unanswered));
                }
                let lost = fault(TransportFaultKind::ConnectionFailed);
                (LATENCY, PushResult::Unknown(lost))
            }
            Mood::Healthy if runs_it => (LATENCY, PushResult::Unchanged),
            Mood::Healthy if refuses => {
                let entity = EntityError {
                    entity_type: "route".to_owned(),
                    entity_name: Some("shop.web.0".to_owned()),
                    entity_tags: [
                        "k8s-name:web",
                        "k8s-namespace:shop",
                        "k8s-kind:Ingress",
                        "k8s-version:v1",
                    ]
                    .map(str::to_owned)
                    .into(),
                    field: Some("paths.1".to_owned()),
                    message: "invalid regex".to_owned(),
                };
                let rejected = PushResult::Rejected {
                    message: "route paths.1: invalid regex".to_owned(),
                    entities: vec![entity],
                    count: 1,
                };
                (takes, rejected)
            }
            Mood::Healthy => {
                let loaded = begins + takes;
                proxy.loads_until = loaded;
                let answers = loaded - elapsed;
                if let Some(after) = effective_after {
                    self.after(answers + after, Future::Load(id.clone(), process, hash, Answered::Yes));
                }
                if answers > PUSH_TIMEOUT {
                    (PUSH_TIMEOUT, PushResult::Unknown(fault(TransportFaultKind::Timeout)))
                } else {
                    (answers, PushResult::Accepted)
                }
            }
        };
        self.after(wait, Future::Outcome(id.clone(), process, result, hash, wait));
        let under_way = self.proxies.values().filter(|proxy| proxy.under_way).count();
        self.most_at_once = self.most_at_once.max(under_way);
    }
}
