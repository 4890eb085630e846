//! From what is known to what shall stand in the cluster. Pure, but for its memory of what it said before.

pub(super) mod addresses;
mod confirmed;
pub(super) mod events;
mod fleet;
pub(super) mod gateway;
pub(super) mod instance;
pub(super) mod news;
pub(super) mod objects;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

pub(super) use self::gateway::Bundle;
use self::{
    addresses::Addresses,
    confirmed::{Confirmed, Content},
    events::EventLog,
    gateway::GatewayApi,
    news::News,
    objects::ObjectConditions,
};
use super::{
    document::{Document, FleetOwner, Gate, Key},
    planner::Planner,
    resource::{ObserverStatus, ProxyFleet, ProxyInstance, StatusCondition, name_of},
    settings::{Rows, Settings},
};
use crate::{
    fleet::{FleetView, ProxyView},
    liveness::Liveness,
    model::{Epoch, Kind, NamespacedName, ObjectRef, PodRef, ProxyId, Snapshot, Storage, fleet_names},
    render::Rendition,
};

/// How many configurations' counts of problems are remembered.
const REMEMBERED_RENDITIONS: usize = 32;

/// All that statuses are made of, at one moment.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) view: Arc<FleetView>,
    pub(super) rendition: Option<Arc<Rendition>>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) epoch: Epoch,
    pub(super) storage: Option<Storage>,
    pub(super) liveness: Liveness,
}

/// Tells the planner what shall stand in the cluster.
#[derive(Debug)]
pub(super) struct Author {
    settings: Settings,
    own_pod: Option<ObjectRef>,
    /// The views that the statuses were made of last.
    seen: HashMap<ProxyId, Arc<ProxyView>>,
    rendition: Option<Arc<Rendition>>,
    problem_counts: VecDeque<(ConfigHash, u32)>,
    /// `ProxyInstance`s that stand there or shall, with the UID of their Pod.
    instances: BTreeMap<NamespacedName, Arc<str>>,
    /// What Pods were told last, by UID.
    gates: HashMap<Arc<str>, Gate>,
    /// Conditions of `ProxyFleet`s as they were told last.
    fleet_conditions: HashMap<NamespacedName, Vec<StatusCondition>>,
    paused: BTreeSet<NamespacedName>,
    /// `ProxyFleet`s that go with their Service.
    fleets_owned: BTreeSet<NamespacedName>,
    confirmed: Confirmed,
    addressed: BTreeSet<Key>,
    /// The configuration and the addresses of which that was told last.
    told_addresses: Option<(Arc<Content>, Addresses)>,
    conditions: ObjectConditions,
    gateway_api: GatewayApi,
    object_events: EventLog,
    fleet_events: EventLog,
    news: News,
}

impl Author {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            own_pod: None,
            seen: HashMap::new(),
            rendition: None,
            problem_counts: VecDeque::new(),
            instances: BTreeMap::new(),
            gates: HashMap::new(),
            fleet_conditions: HashMap::new(),
            paused: BTreeSet::new(),
            fleets_owned: BTreeSet::new(),
            confirmed: Confirmed::default(),
            addressed: BTreeSet::new(),
            told_addresses: None,
            conditions: ObjectConditions::default(),
            gateway_api: GatewayApi::default(),
            object_events: EventLog::default(),
            fleet_events: EventLog::default(),
            news: News::default(),
        }
    }

    /// The controller's own Pod is known.
    pub(super) fn own_pod(&mut self, pod: ObjectRef) {
        self.own_pod = Some(pod);
    }

    /// A `ProxyInstance` stands in the cluster, or was written.
    ///
    /// A leader that was deposed may have sent a write that lands much later, over what was written since.
    pub(super) fn found_instance(
        &mut self,
        instance: ProxyInstance,
        epoch: &Epoch,
        planner: &mut Planner,
        now: Instant,
    ) {
        if !self.is_ours(&instance) {
            return;
        }
        let observer = instance.status.as_ref().and_then(|status| status.observer.as_ref());
        let deposed = observer.is_some_and(|observer| epoch.is_after(&observer.epoch));
        let name = name_of(&instance);
        self.instances
            .entry(name.clone())
            .or_insert_with(|| instance.spec.pod_ref.uid.as_str().into());
        let gate = Key::Gate(name.clone(), instance.spec.pod_ref.uid.as_str().into());
        planner.seed(&Key::Instance(name.clone()), Document::Instance(instance.spec), now);
        let Some(status) = instance.status else { return };
        let (key, status) = (Key::InstanceStatus(name), Document::InstanceStatus(Box::new(status)));
        if !deposed {
            planner.seed(&key, status, now);
        } else if planner.overwritten(&key, status, now) {
            // What it told the Pod came before that, and is not watched.
            planner.lost(&gate, now);
        }
    }

    fn is_ours(&self, instance: &ProxyInstance) -> bool {
        let observer = instance.status.as_ref().and_then(|status| status.observer.as_ref());
        match (&self.settings.rows, observer) {
            (Rows::Own(pod), _) => name_of(instance) == *pod,
            (Rows::None, _) => false,
            (Rows::Fleet, Some(observer)) => observer.lease == self.settings.lease.to_string(),
            // Without a Service: a proxy that the controller in its own Pod drives.
            (Rows::Fleet, None) => instance.spec.service.as_ref().is_some_and(|found| {
                let known =
                    |service: &NamespacedName| *service.namespace == *found.namespace && *service.name == *found.name;
                self.settings.services.iter().any(known)
            }),
        }
    }

    /// These are all `ProxyInstance`s of a namespace: others that were written have been taken away unseen.
    pub(super) fn listed_instances(
        &self,
        namespace: &str,
        listed: &HashSet<NamespacedName>,
        planner: &mut Planner,
        now: Instant,
    ) {
        for name in self
            .instances
            .keys()
            .filter(|name| *name.namespace == *namespace && !listed.contains(*name))
        {
            planner.lost(&Key::Instance(name.clone()), now);
        }
    }

    /// A `ProxyFleet` stands in the cluster, or changed. Returns whether another set of fleets is paused now.
    pub(super) fn found_fleet(&mut self, found: ProxyFleet, planner: &mut Planner, now: Instant) -> bool {
        let name = name_of(&found);
        if !self.fleet_names().iter().any(|(fleet, _)| *fleet == name) {
            return false;
        }
        let changed = match found.spec.paused {
            Some(true) => self.paused.insert(name.clone()),
            _ => self.paused.remove(&name),
        };
        let owners = found.metadata.owner_references.unwrap_or_default();
        let owner = owners.into_iter().find(|owner| owner.kind == "Service");
        let owner = owner.map(|owner| FleetOwner {
            name: owner.name.into(),
            uid: owner.uid.into(),
        });
        if owner.is_some() {
            self.fleets_owned.insert(name.clone());
        }
        planner.seed(&Key::Fleet(name.clone()), Document::Fleet(owner), now);
        if let Some(status) = found.status {
            self.fleet_conditions
                .entry(name.clone())
                .or_insert_with(|| status.conditions.clone());
            planner.seed(&Key::FleetStatus(name), Document::FleetStatus(Box::new(status)), now);
        }
        changed
    }

    /// The status of a user's object stands in the cluster.
    pub(super) fn found_status(&mut self, key: Key, document: Document, planner: &mut Planner, now: Instant) {
        planner.seed(&key, document.clone(), now);
        match (&key, &document) {
            (_, Document::Addresses(_)) => {}
            (Key::Object(kind, ..), _) if gateway::KINDS.contains(kind) => self.gateway_api.found(key, document),
            _ => self.conditions.found(key, document),
        }
    }

    /// All statuses of a kind have been told, or can't be.
    pub(super) fn listed_statuses(&mut self, kind: Kind) {
        self.conditions.listed(kind);
        self.gateway_api.listed(kind);
    }

    /// Which bundle of the Gateway API is installed.
    pub(super) fn found_bundle(&mut self, bundle: Option<Bundle>) {
        self.gateway_api.found_bundle(bundle);
    }

    /// Tells the planner what shall stand in the cluster now.
    pub(super) fn update(&mut self, world: &World, planner: &mut Planner, now: Instant) {
        let another = !same(self.rendition.as_ref(), world.rendition.as_ref());
        if let (true, Some(rendition)) = (another, &world.rendition) {
            self.remember_problems(rendition);
            self.confirmed.add(rendition);
        }
        self.confirmed.look(&world.view);
        self.rendition.clone_from(&world.rendition);
        self.tell_proxies(world, another, planner, now);
        self.tell_fleets(world, planner, now);
        if self.settings.update_status {
            let addresses = Addresses::of(&self.settings, &world.snapshot);
            self.tell_ingresses(&addresses, planner, now);
            let confirmed = self.confirmed.by_all();
            self.conditions.update(&self.settings, world, confirmed, planner, now);
            self.gateway_api
                .update(&self.settings, world, confirmed, &addresses, planner, now);
        }
        if self.settings.emit_events {
            if let (true, Some(rendition)) = (another, &world.rendition) {
                self.object_events.update(events::of_rendition(rendition), planner, now);
            }
            let problems = events::of_fleet(&self.settings, self.own_pod.as_ref(), world);
            self.fleet_events.update(problems, planner, now);
            events::tell_successes(self.own_pod.as_ref(), world, &mut self.fleet_events, planner, now);
            self.news.update(world, planner, now);
        }
    }

    fn remember_problems(&mut self, rendition: &Rendition) {
        let count = u32::try_from(rendition.problems.len()).unwrap_or(u32::MAX);
        for rendered in rendition.profiles.values() {
            self.problem_counts.retain(|(hash, _)| *hash != rendered.hash);
            self.problem_counts.push_back((rendered.hash, count));
        }
        while self.problem_counts.len() > REMEMBERED_RENDITIONS {
            self.problem_counts.pop_front();
        }
    }

    fn tell_proxies(&mut self, world: &World, another: bool, planner: &mut Planner, now: Instant) {
        if self.settings.rows == Rows::None {
            return;
        }
        let mut present = HashSet::new();
        let mut seen = HashMap::new();
        for proxy in &world.view.proxies {
            let Some(pod) = &proxy.target.pod else { continue };
            let name = NamespacedName::new(pod.namespace.clone(), pod.name.clone());
            let known = self
                .seen
                .get(&proxy.target.id)
                .is_some_and(|known| Arc::ptr_eq(known, proxy));
            if another || !known {
                self.tell_gate(proxy, pod, &name, planner, now);
                self.tell_instance(proxy, &name, world, planner, now);
            }
            self.instances.insert(name.clone(), pod.uid.clone());
            present.insert(name);
            seen.insert(proxy.target.id.clone(), proxy.clone());
        }
        self.seen = seen;
        // A replica's own row goes with its Pod.
        if self.settings.rows == Rows::Fleet {
            self.remove_orphans(&present, &world.snapshot, planner, now);
        }
    }

    fn tell_gate(
        &mut self,
        proxy: &ProxyView,
        pod: &PodRef,
        name: &NamespacedName,
        planner: &mut Planner,
        now: Instant,
    ) {
        let former = self.gates.get(&pod.uid);
        let Some(gate) = instance::gate(proxy, former) else {
            return;
        };
        let (key, document) = (Key::gate(pod), Document::Gate(gate.clone()));
        // An earlier leader told the Pod before it wrote the status: this is to make sure, and not urgent.
        let told = former.is_none() && instance::was_told(planner, name, &pod.uid, gate.status);
        if told {
            planner.confirm(&key, document, now);
        } else {
            planner.want(&key, document, now);
        }
        self.gates.insert(pod.uid.clone(), gate);
    }

    fn tell_instance(
        &self,
        proxy: &ProxyView,
        name: &NamespacedName,
        world: &World,
        planner: &mut Planner,
        now: Instant,
    ) {
        let Some(spec) = instance::spec(&proxy.target, proxy.profile.as_ref()) else {
            return;
        };
        let counted = proxy.observed.and_then(|hash| {
            let mut counts = self.problem_counts.iter();
            counts.find_map(|(counted, problems)| (*counted == hash).then_some(*problems))
        });
        let observer = ObserverStatus {
            lease: self.settings.lease.to_string(),
            epoch: world.epoch.to_string(),
        };
        let status = instance::status(proxy, counted, observer);
        planner.want(&Key::Instance(name.clone()), Document::Instance(spec), now);
        planner.want(
            &Key::InstanceStatus(name.clone()),
            Document::InstanceStatus(Box::new(status)),
            now,
        );
    }

    /// Removes what belongs to Pods that left the EndpointSlices. A view may be behind: the slices themselves decide.
    fn remove_orphans(
        &mut self,
        present: &HashSet<NamespacedName>,
        snapshot: &Snapshot,
        planner: &mut Planner,
        now: Instant,
    ) {
        let absent: Vec<_> = self
            .instances
            .keys()
            .filter(|name| !present.contains(*name))
            .cloned()
            .collect();
        if absent.is_empty() || !snapshot.is_complete() {
            return;
        }
        let listed = instance::pods_of(snapshot, &self.settings.services);
        for name in absent {
            let uid = self.instances.get(&name).cloned().expect("it was just there");
            if listed.contains(&uid) {
                continue;
            }
            self.instances.remove(&name);
            self.gates.remove(&uid);
            planner.forget(&Key::Gate(name.clone(), uid));
            planner.forget(&Key::InstanceStatus(name.clone()));
            planner.remove(&Key::Instance(name), now);
        }
    }

    fn tell_fleets(&mut self, world: &World, planner: &mut Planner, now: Instant) {
        for (name, service) in self.fleet_names() {
            let found = world.snapshot.services.get(&service);
            // It goes with its Service, as at a rollback: whatever is written would bring it back.
            if found.is_none() && world.snapshot.is_complete() && self.fleets_owned.contains(&name) {
                planner.forget(&Key::FleetStatus(name.clone()));
                planner.forget(&Key::Fleet(name));
                continue;
            }
            let owner = found.filter(|_| service.namespace == name.namespace);
            let owner = owner.map(|found| FleetOwner {
                name: service.name.clone(),
                uid: found.metadata.uid.clone(),
            });
            if owner.is_some() {
                self.fleets_owned.insert(name.clone());
            }
            let former = self.fleet_conditions.get(&name).map_or(&[][..], Vec::as_slice);
            let paused = self.paused.contains(&name);
            let status = fleet::status(&service, world, paused, former);
            self.fleet_conditions.insert(name.clone(), status.conditions.clone());
            planner.want(&Key::Fleet(name.clone()), Document::Fleet(owner), now);
            planner.want(&Key::FleetStatus(name), Document::FleetStatus(Box::new(status)), now);
        }
    }

    /// The `ProxyFleet` of each Admin Service.
    fn fleet_names(&self) -> Vec<(NamespacedName, NamespacedName)> {
        fleet_names(&self.settings.namespace, &self.settings.services)
    }

    fn tell_ingresses(&mut self, addresses: &Addresses, planner: &mut Planner, now: Instant) {
        let Some(confirmed) = self.confirmed.by_one() else {
            return;
        };
        // There are many Ingresses, and views change often.
        let told = self.told_addresses.as_ref();
        if told.is_some_and(|(content, told)| Arc::ptr_eq(content, confirmed) && told == addresses) {
            return;
        }
        self.told_addresses = Some((confirmed.clone(), addresses.clone()));
        let mut addressed = BTreeSet::new();
        for object in confirmed.objects.iter() {
            let Some(kind) = addresses::bears(object) else { continue };
            let addresses = addresses.of_kind(kind);
            if addresses.is_empty() {
                continue;
            }
            let key = Key::Object(kind, object.namespaced_name(), object.uid.clone());
            planner.want(&key, Document::Addresses(addresses.clone()), now);
            addressed.insert(key);
        }
        for key in self.addressed.difference(&addressed) {
            planner.forget(key);
        }
        self.addressed = addressed;
    }
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
