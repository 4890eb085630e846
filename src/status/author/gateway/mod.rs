//! Statuses of the Gateway API's kinds. Pure, but for its memory of what it said before.
//!
//! What translation says of the objects is written as it is, and but for `Programmed` at once: that holds once all ready
//! proxies run a configuration with the object in it, and says of which generation that was. Until then it is what it
//! was before, of a new object `Pending` (Gateways) or `Unknown` (routes, Kong Ingress Controller's word). Entries of
//! ours that nothing stands for any more are taken away; objects of other controllers are left alone.

mod features;
mod place;
mod programmed;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::time::Instant;

pub(in crate::status) use self::features::Bundle;
use self::{
    place::{Place, Places},
    programmed::Judge,
};
use super::{
    World,
    addresses::Addresses,
    confirmed::Content,
    objects::{Id, refused},
    same,
};
use crate::{
    model::{Kind, ObjectRef, Profile, Snapshot},
    render::Rendition,
    status::{
        document::{Document, Key},
        entry::{AncestorRef, Entries, Entry, Writer},
        gateway_status::{GatewayClassStatus, GatewayStatus, ListenerStatus},
        object_condition::{ObjectCondition, Verdict},
        planner::Planner,
        settings::Settings,
    },
    translate::{ClassOutcome, ConditionOutcome, GatewayOutcome, PolicyOutcome},
};

/// Kinds whose statuses are written here.
pub(in crate::status) const KINDS: [Kind; 8] = [
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::HTTPRoute,
    Kind::GRPCRoute,
    Kind::TCPRoute,
    Kind::UDPRoute,
    Kind::TLSRoute,
    Kind::BackendTLSPolicy,
];

/// Whose entries in statuses are ours.
pub(in crate::status) fn writer(settings: &Settings) -> Writer {
    Writer {
        controller: settings.controller_name.as_str().into(),
        only_gateway: settings.gateway_to_reconcile.clone(),
    }
}

/// Tells the planner what statuses the Gateway API's objects shall have.
#[derive(Debug, Default)]
pub(super) struct GatewayApi {
    /// Kinds of which is known what stands there.
    known: BTreeSet<Kind>,
    /// What was said last, or found.
    told: BTreeMap<Key, Document>,
    /// The installed definitions; the outer `None` until that is known.
    bundle: Option<Option<Bundle>>,
    made_of: Option<Sources>,
}

/// What statuses are made of.
#[derive(Debug)]
struct Sources {
    latest: Arc<Rendition>,
    confirmed: Option<Arc<Content>>,
    refused: BTreeMap<Id, String>,
    places: Places,
}

impl GatewayApi {
    /// A status stands in the cluster.
    pub(super) fn found(&mut self, key: Key, document: Document) {
        self.told.entry(key).or_insert(document);
    }

    /// All statuses of a kind have been told.
    pub(super) fn listed(&mut self, kind: Kind) {
        if KINDS.contains(&kind) {
            self.known.insert(kind);
            self.made_of = None;
        }
    }

    /// Which definitions are installed.
    pub(super) fn found_bundle(&mut self, bundle: Option<Bundle>) {
        if self.bundle.as_ref() != Some(&bundle) {
            self.bundle = Some(bundle);
            self.made_of = None;
        }
    }

    /// Tells the planner what shall stand in the cluster now.
    pub(super) fn update(
        &mut self,
        settings: &Settings,
        world: &World,
        confirmed: Option<&Arc<Content>>,
        addresses: &Addresses,
        planner: &mut Planner,
        now: Instant,
    ) {
        // While a kind can't be read, what is known of it is what it was: nothing new can be said.
        let Some(latest) = world.rendition.as_ref().filter(|latest| latest.hold.is_none()) else {
            return;
        };
        let sources = Sources {
            latest: latest.clone(),
            confirmed: confirmed.cloned(),
            refused: refused(&world.view),
            places: Places::of(&latest.gateways, &world.snapshot, addresses),
        };
        if self.made_of.as_ref().is_some_and(|before| before.are(&sources)) {
            return;
        }
        let mut wanted = BTreeMap::new();
        self.tell_classes(&sources, &mut wanted);
        self.tell_gateways(&sources, &mut wanted);
        self.tell_routes(&sources, settings, &mut wanted);
        self.tell_policies(&sources, settings, &mut wanted);
        self.let_go(&latest.snapshot, &mut wanted, planner);
        for (key, document) in &wanted {
            planner.want(key, document.clone(), now);
        }
        // What was found of a kind that is not listed to its end waits for that.
        let known = &self.known;
        self.told
            .retain(|key, _| matches!(key, Key::Object(kind, ..) if !known.contains(kind)));
        self.told.extend(wanted);
        self.made_of = Some(sources);
    }

    fn tell_classes(&self, sources: &Sources, wanted: &mut BTreeMap<Key, Document>) {
        let Some(bundle) = &self.bundle else { return };
        let profiles = sources.latest.profiles.keys();
        for (object, outcome) in &sources.latest.gateways.classes {
            let Some(key) = self.key(object) else { continue };
            let former = match self.told.get(&key) {
                Some(Document::GatewayClass(former)) => &*former.conditions,
                _ => &[],
            };
            let status = class_status(outcome, bundle.as_ref(), profiles.clone(), former);
            wanted.insert(key, Document::GatewayClass(status));
        }
    }

    fn tell_gateways(&self, sources: &Sources, wanted: &mut BTreeMap<Key, Document>) {
        for (object, outcome) in &sources.latest.gateways.gateways {
            let Some(key) = self.key(object) else { continue };
            let former = match self.told.get(&key) {
                Some(Document::Gateway(former)) => Some(&**former),
                _ => None,
            };
            let status = gateway_status(object, outcome, sources, former);
            wanted.insert(key, Document::Gateway(Box::new(status)));
        }
    }

    fn tell_routes(&self, sources: &Sources, settings: &Settings, wanted: &mut BTreeMap<Key, Document>) {
        let writer = writer(settings);
        let judge = Judge::new(sources);
        for (object, outcome) in &sources.latest.gateways.routes {
            let Some(key) = self.key(object) else { continue };
            let former = match self.told.get(&key) {
                Some(Document::Parents(former)) => Some(former),
                _ => None,
            };
            let route = judge.route(object, outcome);
            let entries = outcome.parents.iter().map(|parent| {
                let former = former.map_or(&[][..], |former| former.conditions(&parent.parent));
                let mut conditions = conditions(&parent.conditions, outcome.observed_generation, former);
                conditions.push(route.of_parent(parent, former));
                Entry {
                    reference: parent.parent.clone(),
                    conditions: by_type(conditions),
                }
            });
            let entries = Entries {
                writer: writer.clone(),
                entries: entries.collect(),
            };
            wanted.insert(key, Document::Parents(entries));
        }
    }

    fn tell_policies(&self, sources: &Sources, settings: &Settings, wanted: &mut BTreeMap<Key, Document>) {
        let writer = writer(settings);
        for (object, outcome) in &sources.latest.gateways.policies {
            let Some(key) = self.key(object) else { continue };
            let former = match self.told.get(&key) {
                Some(Document::Ancestors(former)) => Some(former),
                _ => None,
            };
            let entries = Entries {
                writer: writer.clone(),
                entries: ancestors(outcome, former),
            };
            wanted.insert(key, Document::Ancestors(entries));
        }
    }

    /// What was told of objects that are ours no more: our entries go; what has none is its next controller's.
    fn let_go(&self, snapshot: &Snapshot, wanted: &mut BTreeMap<Key, Document>, planner: &mut Planner) {
        for (key, told) in &self.told {
            let Key::Object(kind, name, uid) = key else { continue };
            if wanted.contains_key(key) || !self.known.contains(kind) {
                continue;
            }
            let is_there = snapshot
                .metadata(*kind, name)
                .is_some_and(|metadata| metadata.uid == *uid);
            let document = match told {
                Document::Parents(told) if is_there => Document::Parents(Entries {
                    entries: Vec::new(),
                    writer: told.writer.clone(),
                }),
                Document::Ancestors(told) if is_there => Document::Ancestors(Entries {
                    entries: Vec::new(),
                    writer: told.writer.clone(),
                }),
                _ => {
                    planner.forget(key);
                    continue;
                }
            };
            wanted.insert(key.clone(), document);
        }
    }

    /// What an object's status is written by, if it can be.
    fn key(&self, object: &ObjectRef) -> Option<Key> {
        let kind = Kind::find(&object.group, &object.kind)?;
        let is_written = self.known.contains(&kind) && !object.uid.is_empty();
        is_written.then(|| Key::Object(kind, object.namespaced_name(), object.uid.clone()))
    }
}

impl Sources {
    /// Whether statuses made of these are those made of others.
    fn are(&self, others: &Self) -> bool {
        same(Some(&self.latest), Some(&others.latest))
            && same(self.confirmed.as_ref(), others.confirmed.as_ref())
            && self.refused == others.refused
            && self.places == others.places
    }
}

fn class_status<'a>(
    outcome: &ClassOutcome,
    bundle: Option<&Bundle>,
    profiles: impl Iterator<Item = &'a Profile> + Clone,
    former: &[ObjectCondition],
) -> GatewayClassStatus {
    let generation = outcome.observed_generation;
    let mut conditions = conditions(&outcome.conditions, generation, former);
    if let Some(bundle) = bundle {
        let version = bundle.version.as_deref().unwrap_or("of no version");
        let (holds, reason) = match bundle.is_known() {
            true => (true, "SupportedVersion"),
            false => (false, "UnsupportedVersion"),
        };
        let message = match holds {
            true => format!("The definitions of the Gateway API are {version}."),
            false => format!(
                "The definitions of the Gateway API are {version}: fields that v1.7 does not have are not looked at."
            ),
        };
        let verdict = Verdict {
            holds,
            reason,
            message: &message,
        };
        let type_ = "SupportedVersion";
        let former = former.iter().find(|former| former.type_ == type_);
        conditions.push(ObjectCondition::new(type_, &verdict, generation, former));
    }
    GatewayClassStatus {
        conditions: by_type(conditions),
        supported_features: features::supported(&profiles),
    }
}

fn gateway_status(
    object: &ObjectRef,
    outcome: &GatewayOutcome,
    sources: &Sources,
    former: Option<&GatewayStatus>,
) -> GatewayStatus {
    let generation = outcome.observed_generation;
    let confirmed = sources.confirmed.as_ref();
    let confirmed = confirmed.and_then(|confirmed| confirmed.gateways.get(object));
    let nowhere = Place::default();
    let place = sources.places.of_gateway(object).unwrap_or(&nowhere);
    let refusal = Kind::find(&object.group, &object.kind)
        .and_then(|kind| sources.refused.get(&(kind, object.namespaced_name())))
        .map(String::as_str);
    let of_former = former.map_or(&[][..], |former| &former.conditions);
    let mut stated = Vec::new();
    for said in &outcome.conditions {
        let before = of_former.iter().find(|before| before.type_ == said.condition);
        stated.push(match said.condition {
            "Programmed" => {
                let confirmed = confirmed.map(|confirmed| (&*confirmed.conditions, confirmed.observed_generation));
                let fault = refusal.map(|message| ("Invalid", message)).or(place.fault());
                programmed::of_gateway(said, generation, confirmed, fault, before)
            }
            _ => match place.unsupported.as_deref().filter(|_| said.condition == "Accepted") {
                Some(message) => {
                    let verdict = Verdict {
                        holds: false,
                        reason: "UnsupportedAddress",
                        message,
                    };
                    ObjectCondition::new(said.condition, &verdict, generation, before)
                }
                None => condition(said, generation, before),
            },
        });
    }
    let listeners = outcome.listeners.iter().map(|listener| {
        let of_former = former.and_then(|former| former.listener(&listener.name));
        let of_former = of_former.map_or(&[][..], |former| &former.conditions);
        let confirmed = confirmed.and_then(|confirmed| {
            let mut listeners = confirmed.listeners.iter();
            let listener = listeners.find(|confirmed| confirmed.name == listener.name)?;
            Some((&*listener.conditions, confirmed.observed_generation))
        });
        let conditions = listener.conditions.iter().map(|said| {
            let before = of_former.iter().find(|before| before.type_ == said.condition);
            match said.condition {
                "Programmed" => {
                    let fault = refusal.map(|message| ("Invalid", message));
                    programmed::of_gateway(said, generation, confirmed, fault, before)
                }
                _ => condition(said, generation, before),
            }
        });
        ListenerStatus {
            name: listener.name.clone(),
            supported_kinds: listener.supported_kinds.clone(),
            attached_routes: listener.attached_routes,
            conditions: by_type(conditions.collect()),
        }
    });
    GatewayStatus {
        addresses: place.addresses.clone(),
        conditions: by_type(stated),
        listeners: listeners.collect(),
    }
}

fn ancestors(outcome: &PolicyOutcome, former: Option<&Entries<AncestorRef>>) -> Vec<Entry<AncestorRef>> {
    let entry = |gateway: &ObjectRef| {
        let reference = AncestorRef {
            group: gateway.group.to_string(),
            kind: gateway.kind.to_string(),
            namespace: gateway.namespace.to_string(),
            name: gateway.name.to_string(),
        };
        let former = former.map_or(&[][..], |former| former.conditions(&reference));
        let conditions = conditions(&outcome.conditions, outcome.observed_generation, former);
        Entry {
            reference,
            conditions: by_type(conditions),
        }
    };
    outcome.ancestors.iter().map(entry).collect()
}

/// What translation says, as conditions.
fn conditions(
    outcomes: &[ConditionOutcome],
    generation: Option<i64>,
    former: &[ObjectCondition],
) -> Vec<ObjectCondition> {
    let former = |type_: &str| former.iter().find(|former| former.type_ == type_);
    let outcomes = outcomes.iter();
    outcomes
        .map(|outcome| condition(outcome, generation, former(outcome.condition)))
        .collect()
}

fn condition(outcome: &ConditionOutcome, generation: Option<i64>, former: Option<&ObjectCondition>) -> ObjectCondition {
    let verdict = Verdict {
        holds: outcome.status,
        reason: outcome.reason,
        message: &outcome.message,
    };
    ObjectCondition::new(outcome.condition, &verdict, generation, former)
}

/// The order in which conditions are compared with those that stand there.
fn by_type(mut conditions: Vec<ObjectCondition>) -> Vec<ObjectCondition> {
    conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    conditions
}
