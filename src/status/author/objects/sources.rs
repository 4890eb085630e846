//! What conditions are made of: objects, what is wrong with them, what proxies accepted and refused. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, OnceLock},
};

use super::{
    super::{confirmed::Content, same},
    KINDS,
};
use crate::{
    fleet::FleetView,
    model::{Kind, NamespacedName, Object, ObjectRef, Reason, kubernetes::Metadata},
    render::Rendition,
    status::{author::World, document::Key},
    translate::Participants,
};

/// The annotation by which Services and KongServiceFacades name a KongUpstreamPolicy.
const ANNOTATION: &str = "konghq.com/upstream-policy";

/// An object by kind and name.
pub(in crate::status::author) type Id = (Kind, NamespacedName);

pub(super) fn id(object: &ObjectRef) -> Option<Id> {
    Some((Kind::find(&object.group, &object.kind)?, object.namespaced_name()))
}

/// Whether a condition of ours is on such objects, or depends on them.
fn matters(object: &ObjectRef) -> bool {
    let kind = Kind::find(&object.group, &object.kind);
    kind.is_some_and(|kind| KINDS.contains(&kind) || kind == Kind::Service)
}

/// The objects of a configuration that conditions of ours are on or depend on.
fn mattering(objects: &Participants) -> impl Iterator<Item = &ObjectRef> {
    let groups: BTreeSet<&str> = KINDS.iter().chain(&[Kind::Service]).map(|kind| kind.group()).collect();
    let of_groups = groups.into_iter().flat_map(|group| objects.of_group(group));
    of_groups.filter(|object| matters(object))
}

/// What conditions are made of.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    pub(super) latest: Arc<Rendition>,
    /// The last one that all ready proxies have got to.
    pub(super) accepted: Option<Arc<Content>>,
    /// What proxies say against objects.
    pub(super) refused: BTreeMap<Id, String>,
    /// The objects in the accepted one that matter here, found when they are asked for.
    in_force: OnceLock<HashSet<ObjectRef>>,
}

/// What is wrong with an object.
#[derive(Debug, Default)]
pub(super) struct Mistake {
    /// The first problem that stands against it.
    pub(super) message: Option<String>,
    /// Why the policy that it names is not used.
    pub(super) conflict_of_policy: Option<String>,
}

/// A Service or KongServiceFacade that names a policy.
#[derive(Debug)]
pub(super) struct User<'a> {
    pub(super) kind: Kind,
    pub(super) name: NamespacedName,
    metadata: &'a Metadata,
}

impl Sources {
    pub(super) fn new(latest: &Arc<Rendition>, accepted: Option<&Arc<Content>>, world: &World) -> Self {
        Self {
            latest: latest.clone(),
            accepted: accepted.cloned(),
            refused: refused(&world.view),
            in_force: OnceLock::new(),
        }
    }

    /// The objects that conditions of ours are on or depend on, in what is accepted and in what is to be.
    pub(super) fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.in_force().iter().chain(mattering(&self.latest.objects))
    }

    fn in_force(&self) -> &HashSet<ObjectRef> {
        self.in_force.get_or_init(|| {
            let objects = self.accepted.iter().flat_map(|accepted| mattering(&accepted.objects));
            objects.cloned().collect()
        })
    }

    /// Whether conditions made of these are those made of others.
    pub(super) fn are(&self, others: &Self) -> bool {
        same(Some(&self.latest), Some(&others.latest))
            && same(self.accepted.as_ref(), others.accepted.as_ref())
            && self.refused == others.refused
    }

    /// What is wrong with the objects.
    pub(super) fn mistakes(&self) -> BTreeMap<Id, Mistake> {
        let mut mistakes: BTreeMap<Id, Mistake> = BTreeMap::new();
        let problems = self.latest.problems.iter();
        for problem in problems.filter(|problem| problem.reason != Reason::Ignored) {
            let Some(id) = id(&problem.object) else { continue };
            let field = prefix(problem.field.as_deref());
            let message = format!("{field}{}; {}", problem.message, problem.remedy);
            let mistake = mistakes.entry(id).or_default();
            let is_conflict = matches!(problem.reason, Reason::Conflict | Reason::InconsistentServices);
            if is_conflict && field.contains(ANNOTATION) {
                mistake.conflict_of_policy.get_or_insert(message);
            } else if matches!(problem.condition.as_deref(), None | Some("Programmed")) {
                mistake.message.get_or_insert(message);
            }
        }
        mistakes
    }

    /// Why the object can't be in force, if so.
    pub(super) fn fault<'a>(
        &'a self,
        mistakes: &'a BTreeMap<Id, Mistake>,
        kind: Kind,
        name: &NamespacedName,
    ) -> Option<&'a str> {
        let id = (kind, name.clone());
        let mistake = mistakes.get(&id).and_then(|mistake| mistake.message.as_ref());
        self.refused.get(&id).or(mistake).map(String::as_str)
    }

    /// The object as it is now, if a status can be written of it.
    pub(super) fn object(&self, kind: Kind, name: &NamespacedName) -> Option<(Object, Key)> {
        let object = KINDS.contains(&kind).then(|| self.latest.snapshot.get(kind, name))??;
        let uid = object.metadata().uid.clone();
        (!uid.is_empty()).then(|| (object, Key::Object(kind, name.clone(), uid)))
    }

    /// Whether proxies run a configuration with the object in it.
    pub(super) fn has_accepted(&self, kind: Kind, name: &NamespacedName) -> bool {
        let Some(accepted) = &self.accepted else { return false };
        let object = accepted.snapshot.get(kind, name);
        object.is_some_and(|object| self.in_force().contains(&object.object_ref()))
    }

    /// Its generation there.
    pub(super) fn accepted_generation(&self, kind: Kind, name: &NamespacedName) -> Option<i64> {
        let accepted = self.accepted.as_ref()?;
        accepted.snapshot.get(kind, name)?.metadata().generation
    }

    /// Who names which policy, oldest first: those that are in a configuration, or that something is wrong with.
    pub(super) fn users(&self) -> BTreeMap<NamespacedName, Vec<User<'_>>> {
        let snapshot = &self.latest.snapshot;
        let services = snapshot.services.values();
        let services = services.map(|service| (Kind::Service, &service.metadata));
        let facades = snapshot.service_facades.values();
        let facades = facades.map(|facade| (Kind::KongServiceFacade, &facade.metadata));
        let mut known: BTreeSet<_> = self.latest.problems.iter().map(|problem| &problem.object).collect();
        known.extend(self.objects());
        let mut users: BTreeMap<NamespacedName, Vec<User<'_>>> = BTreeMap::new();
        for (kind, metadata) in services.chain(facades) {
            let policy = metadata.annotation(ANNOTATION).unwrap_or_default().trim();
            if !policy.is_empty() && known.contains(&kind.object_ref(metadata)) {
                let policy = NamespacedName::new(metadata.namespace.clone(), policy);
                users.entry(policy).or_default().push(User {
                    kind,
                    name: metadata.key(),
                    metadata,
                });
            }
        }
        for users in users.values_mut() {
            users.sort_by_key(|user| (user.metadata.creation_timestamp, user.kind, user.name.clone()));
        }
        users
    }
}

/// What proxies say against objects.
pub(in crate::status::author) fn refused(view: &FleetView) -> BTreeMap<Id, String> {
    let proxies = view.proxies.iter().filter(|proxy| !proxy.target.terminating);
    let mut refused = BTreeMap::new();
    for error in proxies.flat_map(|proxy| &proxy.errors) {
        if let Some(id) = error.object.as_ref().and_then(id) {
            let (entity, field) = (&error.entity_type, prefix(error.field.as_deref()));
            let message = format!("refused by a proxy: {entity} {field}{}", error.message);
            refused.entry(id).or_insert(message);
        }
    }
    refused
}

fn prefix(field: Option<&str>) -> String {
    field.map(|field| format!("{field}: ")).unwrap_or_default()
}
