//! All proxies together: routes events to the step function, and lets the pushes begin that the limits allow.
//!
//! No IO and no clock of its own: the moment is an argument. Run by `actor`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

use super::{
    Command, EntityError, FleetEvent, FleetView, Observation, PushOutcome, PushResult, Settings,
    configuration::{Configuration, Configurations, Goal, Permission, RestoreReason, profile_of},
    decision::Want,
    proxy::{Listed, Proxy},
    state::{Look, Moment, Predecessor, ProxyState, UNKNOWN_FOR},
    step::{Event, step},
    throttle::Throttle,
    trial::Trials,
};
use crate::model::{Epoch, LAST_PUSHES, Leadership, NamespacedName, Profile, ProxyId, ProxyTarget};

/// How long a proxy is remembered after it has gone: longer than the outcome of a push can be open.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// The state of the fleet.
pub(super) struct Machine {
    settings: Settings,
    leadership: Leadership,
    /// Under which epoch it led last.
    led: Option<Epoch>,
    /// The Admin Services to whose proxies no changes go.
    paused: BTreeSet<NamespacedName>,
    configurations: Configurations,
    /// Whether what was accepted in an earlier run has been told.
    recalled: bool,
    /// Since when what proxies accepted is to be confirmed ([`FleetEvent::Term`]).
    term: u64,
    proxies: BTreeMap<ProxyId, Proxy>,
    /// Proxies that are gone, and since when. Should one come back, a push to it may still be under way, and what it
    /// refused it will refuse again.
    departed: HashMap<ProxyId, (Instant, Proxy)>,
    /// What the leader before was still sending when it gave the Lease back, and until when that may be loaded; no more once
    /// it is settled.
    handed_over: BTreeMap<ProxyId, Predecessor>,
    /// How many proxies run which configuration.
    running: HashMap<ConfigHash, usize>,
    /// Proxies that want a push: those without any configuration first, then those that have waited longest.
    queue: BTreeSet<(bool, Instant, ProxyId)>,
    /// When to step which proxy again.
    deadlines: BTreeSet<(Instant, ProxyId)>,
    throttle: Throttle,
    trials: Trials,
    /// When the throttle, or a trial, may admit more.
    throttled_until: Option<Instant>,
    changed: bool,
}

impl Machine {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            throttle: Throttle::new(&settings),
            settings,
            leadership: Leadership::Unknown,
            led: None,
            paused: BTreeSet::new(),
            configurations: Configurations::default(),
            recalled: false,
            term: 0,
            proxies: BTreeMap::new(),
            departed: HashMap::new(),
            handed_over: BTreeMap::new(),
            running: HashMap::new(),
            queue: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            trials: Trials::default(),
            throttled_until: None,
            changed: true,
        }
    }

    /// Takes an event, and says what is to be done.
    pub(super) fn handle(&mut self, event: FleetEvent, now: Moment) -> Vec<Command> {
        let mut commands = Vec::new();
        self.departed
            .retain(|_, (since, proxy)| proxy.state.in_flight.is_some() || now.instant < *since + REMEMBERED_FOR);
        match event {
            FleetEvent::Targets(targets) => self.retarget(targets, now, &mut commands),
            FleetEvent::Stored(found) => {
                for (profile, good) in found {
                    let of_profile = self
                        .proxies
                        .values()
                        .filter(|proxy| proxy.profile.as_ref() == Some(&profile));
                    let run: BTreeSet<_> = of_profile.filter_map(|proxy| proxy.state.observed).collect();
                    self.configurations.stored(profile, &good, |hash| run.contains(&hash));
                }
                self.recalled = true;
                self.changed = true;
                self.step_all(now, &mut commands);
            }
            FleetEvent::Term(term) => {
                self.term = term;
                self.configurations.begin_term();
                self.changed = true;
            }
            FleetEvent::Rendition(rendition) => {
                self.configurations.set(rendition);
                self.changed = true;
                self.step_all(now, &mut commands);
            }
            FleetEvent::Leadership(leadership) => {
                if let Leadership::Leader { epoch } = &leadership
                    && self.led.as_ref() != Some(epoch)
                {
                    self.led = Some(epoch.clone());
                    for proxy in self.proxies.values_mut() {
                        proxy.state.look = Some(Look {
                            since: now.instant,
                            is_asked: false,
                        });
                    }
                }
                self.leadership = leadership;
                self.changed = true;
                self.step_all(now, &mut commands);
            }
            FleetEvent::HandedOver(sent) => {
                let until = now.instant + LAST_PUSHES + UNKNOWN_FOR;
                let sent = sent.into_iter().map(|(id, hash)| (id, Predecessor { hash, until }));
                self.handed_over = sent.collect();
                for (id, proxy) in &mut self.proxies {
                    proxy.state.await_predecessor(self.handed_over.get(id), now);
                }
                self.step_all(now, &mut commands);
            }
            FleetEvent::Paused(services) => {
                self.paused = services;
                self.changed = true;
                self.step_all(now, &mut commands);
            }
            FleetEvent::Observed(id, observation) => self.observed(&id, observation, now, &mut commands),
            FleetEvent::Pushed(id, outcome) => self.pushed(&id, outcome, now, &mut commands),
        }
        self.begin_pushes(now, &mut commands);
        commands
    }

    /// Does what has become due.
    pub(super) fn tick(&mut self, now: Moment) -> Vec<Command> {
        let mut commands = Vec::new();
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now.instant);
        let due: Vec<_> = due.map(|(_, id)| id.clone()).collect();
        for id in due {
            self.step(&id, Event::Tick, now, &mut commands);
        }
        self.begin_pushes(now, &mut commands);
        commands
    }

    /// When to call [`Self::tick`] next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let first = self.deadlines.first().map(|(at, _)| *at);
        first.into_iter().chain(self.throttled_until).min()
    }

    /// The fleet as it is, if it has changed since this was last asked.
    pub(super) fn view(&mut self) -> Option<FleetView> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut proxies: Vec<_> = self.proxies.values().map(|proxy| proxy.view.clone()).collect();
        proxies.sort_by(|a, b| (&a.target.namespace, &a.target.name).cmp(&(&b.target.namespace, &b.target.name)));
        // Of many proxies few differ, and equality is seen by the shared plugin types, while order compares them one by one.
        let mut distinct: Vec<&Profile> = Vec::new();
        for profile in self.proxies.values().filter_map(|proxy| proxy.profile.as_ref()) {
            if !distinct.contains(&profile) {
                distinct.push(profile);
            }
        }
        let served = distinct
            .into_iter()
            .filter(|profile| self.configurations.is_served(profile));
        let mut profiles: BTreeSet<Profile> = served.cloned().collect();
        if profiles.is_empty() {
            // When all proxies are gone, those that come next are most probably of the same kind.
            profiles = self.configurations.profiles().cloned().collect();
        }
        let hashes = |pick: &dyn Fn(&Profile) -> Option<ConfigHash>| {
            self.configurations
                .profiles()
                .filter_map(|profile| Some((profile.clone(), pick(profile)?)))
                .collect()
        };
        Some(FleetView {
            desired: hashes(&|profile| Some(self.configurations.desired(profile)?.hash())),
            last_good: hashes(&|profile| Some(self.configurations.last_good(profile)?.hash())),
            good: self.configurations.good(),
            recalled: self.recalled,
            term: self.term,
            held: self.configurations.hold().is_some(),
            refusals: self.configurations.refusals(),
            proxies,
            profiles,
            paused: self.paused.clone(),
            may_push: self.leadership.epoch().is_some(),
            pushes_under_way: self.pushes_under_way(),
        })
    }

    /// What each profile's proxies accepted last.
    #[cfg(test)]
    pub(super) fn last_good(&self) -> impl Iterator<Item = (&Profile, &Configuration)> {
        let profiles = self.configurations.profiles();
        profiles.filter_map(|profile| Some((profile, self.configurations.last_good(profile)?)))
    }

    fn pushes_under_way(&self) -> usize {
        let proxies = self.proxies.values();
        proxies.filter(|proxy| proxy.state.in_flight.is_some()).count()
    }

    fn retarget(&mut self, targets: Vec<Arc<ProxyTarget>>, now: Moment, commands: &mut Vec<Command>) {
        let present: BTreeSet<&ProxyId> = targets.iter().map(|target| &target.id).collect();
        let gone: Vec<_> = self
            .proxies
            .keys()
            .filter(|id| !present.contains(id))
            .cloned()
            .collect();
        for id in gone {
            if let Some(mut proxy) = self.proxies.remove(&id) {
                self.unlist(&id, &std::mem::take(&mut proxy.listed));
                self.count(proxy.state.observed, None);
                if let Some(profile) = &proxy.profile {
                    self.configurations.gone(profile, &id);
                }
                proxy.depart();
                self.departed.insert(id.clone(), (now.instant, proxy));
            }
            commands.push(Command::Detach(id));
            self.changed = true;
        }
        for target in targets {
            let id = target.id.clone();
            match self.proxies.get(&id) {
                Some(proxy) if proxy.state.target == target => continue,
                Some(_) => {}
                None => {
                    let known = self.departed.remove(&id).map(|(_, proxy)| proxy);
                    let mut proxy = known.unwrap_or_else(|| Proxy::new(ProxyState::new(target.clone(), now)));
                    // What it runs by now a probe will tell, whatever it took before.
                    proxy.state.observed = None;
                    proxy.state.names.open = None;
                    proxy.state.await_predecessor(self.handed_over.get(&id), now);
                    self.proxies.insert(id.clone(), proxy);
                    self.changed = true;
                }
            }
            commands.push(Command::Attach(target.clone()));
            self.step(&id, Event::Target(target), now, commands);
        }
    }

    fn observed(&mut self, id: &ProxyId, observation: Observation, now: Moment, commands: &mut Vec<Command>) {
        let Some(proxy) = self.proxies.get(id) else {
            return;
        };
        let (former, process) = (proxy.profile.clone(), proxy.state.process);
        if let Ok(report) = &observation.result {
            let profile = profile_of(report);
            if proxy.profile.as_ref() != Some(&profile) {
                let used = |known: &Profile| self.proxies.values().any(|proxy| proxy.profile.as_ref() == Some(known));
                // A proxy with a database is given nothing, and so needs no rendering of its own.
                if report.database == "off" {
                    self.configurations.admit(&profile, used);
                }
                self.changed = true;
                if let Some(proxy) = self.proxies.get_mut(id) {
                    proxy.profile = Some(profile);
                }
            }
        }
        self.step(id, Event::Observed(observation), now, commands);
        let proxy = &self.proxies[id];
        if let Some(former) = former
            && (proxy.state.process != process || proxy.profile.as_ref() != Some(&former))
        {
            self.configurations.gone(&former, id);
            self.changed = true;
        }
        self.learn(id, now, commands);
    }

    fn pushed(&mut self, id: &ProxyId, outcome: PushOutcome, now: Moment, commands: &mut Vec<Command>) {
        self.throttle.end(id);
        if matches!(outcome.result, PushResult::Accepted | PushResult::Unchanged)
            && let Some(profile) = self.proxies.get(id).and_then(|proxy| proxy.profile.as_ref())
        {
            self.trials.taken(profile, outcome.hash);
        }
        let refused = self.refused(id, &outcome);
        if let Some((since, mut proxy)) = self.departed.remove(id) {
            // It is gone: what came of it matters only should it come back.
            let goal = self.goal(&proxy);
            proxy.step = step(&mut proxy.state, Event::Pushed(outcome), &goal, &self.settings, now);
            proxy.depart();
            self.departed.insert(id.clone(), (since, proxy));
            self.changed = true;
            return;
        }
        self.step(id, Event::Pushed(outcome), now, commands);
        if let Some((profile, configuration, errors)) = refused {
            self.configurations.refused(&profile, id, &configuration, &errors);
            self.changed = true;
            // What it shall run instead may be known already: others have refused the same.
            self.step(id, Event::Tick, now, commands);
        }
        self.learn(id, now, commands);
    }

    /// What a proxy refused by that outcome, and why.
    fn refused(&self, id: &ProxyId, outcome: &PushOutcome) -> Option<(Profile, Configuration, Vec<EntityError>)> {
        let PushResult::Rejected { entities, .. } = &outcome.result else {
            return None;
        };
        let proxy = self.proxies.get(id)?;
        // What another process said than the one that is there now is of no interest.
        let push = proxy.state.in_flight.as_ref().filter(|push| !push.orphaned)?;
        let is_same = push.configuration.hash() == outcome.hash;
        is_same.then(|| Some((proxy.profile.clone()?, push.configuration.clone(), entities.clone())))?
    }

    /// What a proxy runs is good: it becomes the last good one of its profile, which others may be waiting for.
    fn learn(&mut self, id: &ProxyId, now: Moment, commands: &mut Vec<Command>) {
        let Some(proxy) = self.proxies.get(id) else {
            return;
        };
        let Some(profile) = proxy.profile.clone() else {
            return;
        };
        let accepted = proxy.state.accepted.as_ref();
        let accepted = accepted.and_then(|accepted| accepted.given.whole());
        let known = [
            self.configurations.whole(&profile),
            self.configurations.desired(&profile),
            self.configurations.kept(&profile),
            accepted,
        ];
        let running = known
            .into_iter()
            .flatten()
            .find(|configuration| proxy.state.runs(configuration))
            .cloned();
        if let Some(running) = running
            && self.configurations.accepted(&profile, &running, now.timestamp)
        {
            self.changed = true;
            let others: Vec<_> = self
                .proxies
                .iter()
                .filter(|(_, other)| other.profile.as_ref() == Some(&profile))
                .map(|(id, _)| id.clone())
                .collect();
            for other in others {
                self.step(&other, Event::Tick, now, commands);
            }
        }
    }

    fn step_all(&mut self, now: Moment, commands: &mut Vec<Command>) {
        let all: Vec<_> = self.proxies.keys().cloned().collect();
        for id in all {
            self.step(&id, Event::Tick, now, commands);
        }
    }

    fn step(&mut self, id: &ProxyId, event: Event, now: Moment, commands: &mut Vec<Command>) {
        let Some(proxy) = self.proxies.get(id) else {
            return;
        };
        let goal = self.goal(proxy);
        let proxy = self.proxies.get_mut(id).expect("looked up above");
        let (ran, awaited) = (proxy.state.observed, proxy.state.predecessor.is_some());
        proxy.step = step(&mut proxy.state, event, &goal, &self.settings, now);
        proxy.wants_since = match proxy.step.want {
            Want::Push(_) => proxy.wants_since.or(Some(now.instant)),
            Want::Nothing | Want::Wait { .. } => None,
        };
        if proxy.step.probe {
            commands.push(Command::Probe(id.clone()));
        }
        let listed = Listed {
            push: proxy.wants_since.map(|since| (!proxy.state.is_unconfigured(), since)),
            deadline: proxy.step.deadline,
        };
        let (runs, awaits) = (proxy.state.observed, proxy.state.predecessor.is_some());
        let view = proxy.view(&goal);
        if *proxy.view != view {
            proxy.view = Arc::new(view);
            self.changed = true;
        }
        if proxy.listed != listed {
            let former = std::mem::replace(&mut proxy.listed, listed);
            self.relist(id, &former);
        }
        if ran != runs {
            self.count(ran, runs);
        }
        if awaited && !awaits {
            self.handed_over.remove(id);
        }
    }

    fn unlist(&mut self, id: &ProxyId, listed: &Listed) {
        if let Some((is_configured, since)) = listed.push {
            self.queue.remove(&(is_configured, since, id.clone()));
        }
        if let Some(at) = listed.deadline {
            self.deadlines.remove(&(at, id.clone()));
        }
    }

    fn relist(&mut self, id: &ProxyId, former: &Listed) {
        self.unlist(id, former);
        let listed = &self.proxies[id].listed;
        if let Some((is_configured, since)) = listed.push {
            self.queue.insert((is_configured, since, id.clone()));
        }
        if let Some(at) = listed.deadline {
            self.deadlines.insert((at, id.clone()));
        }
    }

    /// A proxy has come to run something else.
    fn count(&mut self, ran: Option<ConfigHash>, runs: Option<ConfigHash>) {
        if let Some(runs) = runs {
            *self.running.entry(runs).or_default() += 1;
        }
        if let Some(ran) = ran
            && let Some(count) = self.running.get_mut(&ran)
        {
            *count -= 1;
            if *count == 0 {
                self.running.remove(&ran);
            }
        }
    }

    fn goal(&self, proxy: &Proxy) -> Goal {
        let permission = match (&self.leadership, self.configurations.hold()) {
            (Leadership::Unknown | Leadership::Follower { .. }, _) => Permission::Nothing,
            (Leadership::Cut { .. }, _) => Permission::Restore(RestoreReason::Cut),
            (Leadership::Leader { .. }, Some(why)) => Permission::Restore(RestoreReason::Hold(why.clone())),
            (Leadership::Leader { .. }, None) if self.is_paused(&proxy.state.target) => {
                Permission::Restore(RestoreReason::Paused)
            }
            (Leadership::Leader { .. }, None) => Permission::Free,
        };
        let Some(profile) = &proxy.profile else {
            return Goal {
                permission,
                ..Goal::none()
            };
        };
        let last_good = self.configurations.last_good_to_give(profile);
        let whole = self.configurations.whole(profile);
        // What some proxies refuse and others run is not taken from those who do not refuse it.
        let takes_whole = |whole: &&Configuration| {
            let sent = proxy.state.in_flight.as_ref().map(|push| push.configuration.hash());
            let is_known =
                sent == Some(whole.hash()) || proxy.state.has_taken(whole) || self.running.contains_key(&whole.hash());
            is_known && proxy.state.rejection(whole.hash()).is_none()
        };
        Goal {
            permission,
            desired: whole
                .filter(takes_whole)
                .or(self.configurations.desired(profile))
                .cloned(),
            whole: whole.map(Configuration::hash),
            kept: self.configurations.kept(profile).cloned(),
            last_good: last_good.cloned(),
            last_good_first: self.configurations.is_desired_refused(profile)
                || last_good.is_some_and(|good| self.running.contains_key(&good.hash())),
            profile_served: self.configurations.is_served(profile),
        }
    }

    fn is_paused(&self, target: &ProxyTarget) -> bool {
        target
            .service
            .as_ref()
            .is_some_and(|service| self.paused.contains(service))
    }

    /// Those without any configuration go first, then those that have waited longest.
    fn begin_pushes(&mut self, now: Moment, commands: &mut Vec<Command>) {
        self.throttled_until = None;
        let Some(epoch) = self.leadership.epoch().cloned() else {
            return;
        };
        let mut next = self.queue.first().cloned();
        while let Some(entry) = next {
            let id = &entry.2;
            let Some(Want::Push(configuration)) = self.proxies.get(id).map(|proxy| proxy.step.want.clone()) else {
                unreachable!("what is in the queue wants a push");
            };
            let trial = self.needs_trial(id, &configuration);
            let tried = trial.as_ref().map_or(Ok(()), |profile| {
                self.trials.admits(profile, configuration.hash(), now.instant)
            });
            if let Err(until) = tried {
                self.throttled_until = self.throttled_until.into_iter().chain([until]).min();
            } else {
                if let Err(until) = self.throttle.admits(now.instant) {
                    self.throttled_until = self.throttled_until.into_iter().chain(until).min();
                    return;
                }
                if let Some(profile) = trial {
                    self.trials.begin(&profile, configuration.hash(), now.instant);
                }
                self.throttle.begin(id, configuration.rendered.bytes.len(), now.instant);
                commands.push(Command::Push {
                    proxy: id.clone(),
                    rendered: configuration.rendered.clone(),
                    epoch: epoch.clone(),
                });
                self.step(id, Event::Began(configuration), now, commands);
            }
            let later = (Bound::Excluded(&entry), Bound::Unbounded);
            next = self.queue.range::<(bool, Instant, ProxyId), _>(later).next().cloned();
        }
    }

    /// The profile for which a configuration is tried on one proxy first: nobody is known to take it, and this proxy runs
    /// something that this replica knows nothing of.
    fn needs_trial(&self, id: &ProxyId, configuration: &Configuration) -> Option<Profile> {
        let proxy = self.proxies.get(id)?;
        let profile = proxy.profile.as_ref()?;
        let runs = proxy.state.observed.filter(|runs| !runs.is_none())?;
        let is_taken =
            self.running.contains_key(&configuration.hash()) || self.configurations.is_good(profile, configuration);
        let is_known = proxy.state.sent.contains(&runs) || self.configurations.has_rendered(profile, runs);
        (!is_taken && !is_known).then(|| profile.clone())
    }
}
