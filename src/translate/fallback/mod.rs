//! What proxies get while they refuse some object: the objects without it and without what depends on it, or with the
//! versions that were accepted last. Pure: objects in, objects out; what comes out is translated like any others.
//!
//! Told by the fleet which entities were refused ([`Refusal`]), called by the pipeline of the controller for each
//! profile ([`Isolation`]). That an object is at fault is remembered for that very object with all that it depends on: as
//! soon as one of these is another one, the object is tried anew.

mod dependencies;
mod field;
mod restore;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use proxy_config_schema::ConfigHash;

use self::dependencies::{Dependencies, is_apart, transitive};
pub use self::{dependencies::ObjectId, restore::restore};
use super::plugin;
use crate::model::{Kind, NamespacedName, Object, ObjectRef, Problem, Reason, Snapshot};

/// What an object refers to itself, whether it is there or not.
pub fn references(object: &Object, snapshot: &Snapshot) -> impl Iterator<Item = ObjectId> {
    let found = dependencies::direct(object, snapshot);
    found.into_iter().map(|dependency| dependency.on)
}

/// What a proxy said against an object, and the object that it said it of.
#[derive(Clone)]
pub struct Blame {
    object: ObjectRef,
    id: ObjectId,
    field: Option<String>,
    message: String,
    /// The object and all that it depends on, as they were.
    evidence: Vec<(ObjectId, Option<Object>)>,
}

/// Without the objects: they may hold secrets.
impl fmt::Debug for Blame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.object, self.message)
    }
}

impl Blame {
    /// Blames an object of the snapshot that the refused configuration was made of; `None` if it is not there: then the
    /// entity is nobody's. `place` is the type of the entity and its field, if the error is about one.
    pub fn of(object: &ObjectRef, place: Option<(&str, &str)>, message: &str, sources: &Snapshot) -> Option<Self> {
        let kind = Kind::find(&object.group, &object.kind).filter(|kind| !is_apart(*kind))?;
        let id = (kind, object.namespaced_name());
        let found = sources.get(kind, &id.1)?;
        let is_same = object.uid.is_empty() || object.uid == found.metadata().uid;
        if !is_same {
            return None;
        }
        let of = |(kind, key): ObjectId| {
            let object = sources.get(kind, &key);
            ((kind, key), object)
        };
        let evidence = transitive(&id, sources).into_iter().map(of);
        Some(Self {
            object: found.object_ref(),
            field: place.map(|(entity_type, field)| field::of(&found, entity_type, field)),
            message: message.to_owned(),
            evidence: evidence.chain([(id.clone(), Some(found.clone()))]).collect(),
            id,
        })
    }

    /// Whether what was refused is still what there is.
    fn holds(&self, snapshot: &Snapshot) -> bool {
        let is_same = |((kind, key), then): &(ObjectId, Option<Object>)| snapshot.get(*kind, key) == *then;
        self.evidence.iter().all(is_same)
    }
}

/// A configuration that a proxy refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Of its bytes.
    pub hash: ConfigHash,
    /// The objects at fault, as far as the proxy said so; without any nothing can be left out.
    pub blamed: Vec<Blame>,
}

/// What the proxies of a profile refused.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    /// Counts how often all was forgiven: the processes that had refused something are gone.
    pub forgiven: u64,
    /// The latest ones.
    pub latest: Vec<Arc<Refusal>>,
}

impl Refusals {
    /// Whether those bytes were refused.
    pub fn contain(&self, hash: ConfigHash) -> bool {
        self.latest.iter().any(|refusal| refusal.hash == hash)
    }
}

/// The objects of a profile that are at fault now.
#[derive(Debug, Default)]
pub struct Isolation {
    forgiven: u64,
    guilty: BTreeMap<ObjectId, Blame>,
    /// What depends on what, and the objects that this was found of: as long as something is refused, every change of
    /// an endpoint would find it anew.
    known: Option<(Snapshot, Dependencies)>,
}

/// A snapshot that stands in for another one.
#[derive(Debug)]
pub struct Reduced {
    /// The objects.
    pub snapshot: Snapshot,
    /// What is not in force as it is written, and why.
    pub problems: Vec<Problem>,
    /// Objects that are left out.
    pub left_out: usize,
    /// Objects that stay in the version that was accepted last.
    pub kept: usize,
}

impl Isolation {
    /// Takes in what was refused by now, and forgets what is no longer there as it was.
    pub fn update(&mut self, snapshot: &Snapshot, refusals: &Refusals) {
        if self.forgiven != refusals.forgiven {
            self.guilty.clear();
            self.forgiven = refusals.forgiven;
        }
        self.guilty.retain(|_, blame| blame.holds(snapshot));
        for blame in refusals.latest.iter().flat_map(|refusal| &refusal.blamed) {
            if !self.guilty.contains_key(&blame.id) && blame.holds(snapshot) {
                self.guilty.insert(blame.id.clone(), blame.clone());
            }
        }
    }

    /// The snapshot without what is at fault; `None` if nothing is, or if it can't go without it.
    ///
    /// `last` is what was accepted last. With `keep`, objects stay as they were there. Without it they do so only where
    /// to leave one out would open everything: a plugin for all requests. Was that never accepted, nothing can be left out.
    pub fn reduce(&mut self, snapshot: &Snapshot, last: Option<&Snapshot>, keep: bool) -> Option<Reduced> {
        if self.guilty.is_empty() {
            self.known = None;
            return None;
        }
        let affected = self.affected(snapshot);
        let kept = self.kept(&affected, last, keep);
        let protects_everything = |id: &&ObjectId| {
            id.0 == Kind::KongClusterPlugin
                && snapshot
                    .cluster_plugins
                    .get(&id.1)
                    .is_some_and(|found| plugin::protects_everything(found))
        };
        if affected.keys().filter(protects_everything).any(|id| !kept.contains(id)) {
            return None;
        }
        let mut reduced = snapshot.clone();
        let mut problems = Vec::new();
        for (id, root) in &affected {
            let (kind, key) = id;
            let Some(now) = snapshot.get(*kind, key) else { continue };
            let is_kept = kept.contains(id);
            problems.push(self.problem(&now, id, root, is_kept));
            if !is_kept {
                reduced.remove(*kind, key);
            }
        }
        if let Some(last) = last {
            for id in &kept {
                let is_guilty = self.guilty.contains_key(id);
                restore::put_back(id, is_guilty, last, snapshot, &affected, &mut reduced);
            }
        }
        Some(Reduced {
            snapshot: reduced,
            problems,
            left_out: affected.len() - kept.len(),
            kept: kept.len(),
        })
    }

    /// What is at fault, and what depends on it.
    fn affected(&mut self, snapshot: &Snapshot) -> BTreeMap<ObjectId, ObjectId> {
        let former = self.known.take().filter(|(known, _)| {
            let mut is_same = true;
            snapshot.changes_since(known, |kind, _| is_same &= is_apart(kind));
            is_same
        });
        let dependencies = former.map_or_else(|| Dependencies::of(snapshot), |(_, dependencies)| dependencies);
        let affected = dependencies.affected(self.guilty.keys());
        self.known = Some((snapshot.clone(), dependencies));
        affected
    }

    /// The affected objects that can stay as they were accepted last.
    fn kept(&self, affected: &BTreeMap<ObjectId, ObjectId>, last: Option<&Snapshot>, keep: bool) -> BTreeSet<ObjectId> {
        let Some(last) = last else { return BTreeSet::new() };
        let is_global = |id: &ObjectId| {
            let found = last.cluster_plugins.get(&id.1);
            id.0 == Kind::KongClusterPlugin && found.is_some_and(|found| plugin::protects_everything(found))
        };
        let wanted = affected.keys().filter(|id| keep || is_global(id));
        // What was refused in this very version does not get better by being kept.
        let is_refused = |id: &ObjectId| self.guilty.get(id).is_some_and(|blame| blame.holds(last));
        let can_stay = |id: &&ObjectId| {
            last.get(id.0, &id.1).is_some() && !is_refused(id) && !transitive(id, last).iter().any(is_refused)
        };
        wanted.filter(can_stay).cloned().collect()
    }

    fn problem(&self, object: &Object, id: &ObjectId, root: &ObjectId, is_kept: bool) -> Problem {
        let consequence = if is_kept {
            "what was accepted last of it stays in force"
        } else {
            "it is left out"
        };
        let (field, reason, message, remedy) = match self.guilty.get(id) {
            Some(blame) => (
                blame.field.clone(),
                Reason::ConfigRejected,
                format!("a proxy refused it: {}; {consequence}", blame.message),
                "correct it; all that does not depend on it is in force".to_owned(),
            ),
            None => {
                let root = display(root);
                (
                    None,
                    Reason::DependsOnRejected,
                    format!("it depends on {root}, which a proxy refused; {consequence}"),
                    format!("correct {root}, or do not refer to it"),
                )
            }
        };
        Problem {
            object: object.object_ref(),
            field,
            condition: None,
            reason,
            message,
            remedy,
            source: object.metadata().source.clone(),
        }
    }
}

fn display((kind, NamespacedName { namespace, name }): &ObjectId) -> String {
    match &**namespace {
        "" => format!("{} {name}", kind.name()),
        namespace => format!("{} {namespace}/{name}", kind.name()),
    }
}
