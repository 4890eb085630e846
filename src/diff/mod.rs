//! Two configurations -> what changes, grouped by the Kubernetes object that it comes from. Pure.
//!
//! Entities are matched by what people call them (name, username, target …), not by their place in a list; nested ones
//! and those that refer to their parent are the same. No secret is in the result: it only says that one changed. Called
//! by the verb `diff`.

mod entity;
mod field;
mod text;
mod told;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use proxy_config_schema::Configuration;
use serde::Serialize;

use self::entity::Entity;
pub use self::{
    entity::{EntityKey, SourceObject},
    field::{FieldChange, Shown},
    told::without_additions,
};

/// All that changes from one configuration to another.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// By source object; entities that come from none are last.
    pub objects: Vec<ObjectChanges>,
    /// Secrets that could not be compared, since one of the two configurations does not show them.
    pub hidden_secrets: usize,
}

/// What changes of the entities of one source object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectChanges {
    /// The object, as the entities' tags name it; `None` for entities without such tags.
    pub object: Option<SourceObject>,
    /// The entities that change, in order of type and name.
    pub entities: Vec<EntityChange>,
}

/// What becomes of one entity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntityChange {
    /// Which one.
    #[serde(flatten)]
    pub entity: EntityKey,
    /// What becomes of it.
    pub change: ChangeKind,
    /// Its fields: those that differ, or all of an added or removed entity.
    pub fields: Vec<FieldChange>,
}

/// What becomes of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Only the second configuration has it.
    Added,
    /// Only the first configuration has it.
    Removed,
    /// Both have it, and fields differ.
    Changed,
}

impl Changes {
    /// Whether both are the same, as far as they show what they hold.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Takes out the fields that only the first configuration sets, of entities that both have: a proxy tells default
    /// values, identifiers and times of its own, too. Says how many there were.
    pub fn forget_filled_in(&mut self) -> usize {
        let mut forgotten = 0;
        for object in &mut self.objects {
            for entity in &mut object.entities {
                if entity.change == ChangeKind::Changed {
                    let before = entity.fields.len();
                    entity.fields.retain(|field| field.after != Shown::Unset);
                    forgotten += before - entity.fields.len();
                }
            }
            object.entities.retain(|entity| !entity.fields.is_empty());
        }
        self.objects.retain(|object| !object.entities.is_empty());
        forgotten
    }
}

/// What changes from the first configuration to the second. `confidential` are values that settings of plugins have from
/// Secrets: they are shown no more than what is secret by its name.
pub fn diff(before: &Configuration, after: &Configuration, confidential: &BTreeSet<String>) -> Changes {
    let mut changes = Changes::default();
    let mut pairs: BTreeMap<_, (Vec<Entity>, Vec<Entity>)> = BTreeMap::new();
    for entity in entity::all(before, confidential) {
        pairs.entry(entity.identity()).or_default().0.push(entity);
    }
    for entity in entity::all(after, confidential) {
        pairs.entry(entity.identity()).or_default().1.push(entity);
    }
    let mut by_object: BTreeMap<(bool, Option<SourceObject>), Vec<EntityChange>> = BTreeMap::new();
    for (mut before, mut after) in pairs.into_values() {
        drop_equal(&mut before, &mut after);
        let (mut before, mut after) = (before.into_iter(), after.into_iter());
        loop {
            let (before, after) = (before.next(), after.next());
            let Some(known) = after.as_ref().or(before.as_ref()) else {
                break;
            };
            let (object, entity) = (known.object.clone(), known.key.clone());
            let compared = field::compare(before.as_ref(), after.as_ref());
            changes.hidden_secrets += compared.hidden_secrets;
            let change = match (&before, &after) {
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Removed,
                _ if compared.fields.is_empty() => continue,
                _ => ChangeKind::Changed,
            };
            let list = by_object.entry((object.is_none(), object)).or_default();
            list.push(EntityChange {
                entity,
                change,
                fields: compared.fields,
            });
        }
    }
    changes.objects = by_object
        .into_iter()
        .map(|((_, object), entities)| ObjectChanges { object, entities })
        .collect();
    changes
}

/// Takes out what both have: entities may bear the same key, as API keys of one consumer do.
fn drop_equal(before: &mut Vec<Entity>, after: &mut Vec<Entity>) {
    before.retain(|one| {
        let twin = after.iter().position(|other| one.fields == other.fields);
        twin.map(|at| after.remove(at)).is_none()
    });
}
