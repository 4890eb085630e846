//! What an entity has to do with others: unique values, identifiers, references. Called by `incremental`.
//!
//! The rules are those of `crosscheck`, which says what is wrong; here it only matters whether anything is.

use std::{
    collections::HashSet,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

use serde_json::Value;

use crate::{
    JsonObject,
    schema::{ENTITIES, Entity, Kind},
};

/// What is kept of one entity and all that is nested in it. Texts are kept as 64-bit hashes with a secret key: two that
/// differ are as good as never the same.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What no other entity may have.
    unique: Box<[u64]>,
    references: Box<[Reference]>,
    /// How many entities these are.
    pub(super) count: usize,
}

#[derive(Debug)]
struct Reference {
    by_name: Option<u64>,
    by_id: u64,
}

impl Facts {
    /// Of an entity that has its identifiers.
    pub(super) fn of(entity: &'static Entity, object: &JsonObject, count: usize, hasher: &RandomState) -> Self {
        let mut collector = Collector {
            hasher,
            unique: Vec::new(),
            references: Vec::new(),
        };
        collector.add(entity, object);
        Self {
            unique: collector.unique.into(),
            references: collector.references.into(),
            count,
        }
    }
}

struct Collector<'a> {
    hasher: &'a RandomState,
    unique: Vec<u64>,
    references: Vec<Reference>,
}

impl Collector<'_> {
    fn add(&mut self, entity: &'static Entity, object: &JsonObject) {
        for (child, _) in entity.children {
            let list = object.get(child.plural).and_then(Value::as_array);
            for object in list.into_iter().flatten().filter_map(Value::as_object) {
                self.add(child, object);
            }
        }
        for field in entity.endpoint_key.iter().chain(entity.unique) {
            if let Some(text) = object.get(*field).and_then(Value::as_str) {
                self.unique.push(self.hasher.hash_one((entity.plural, *field, text)));
            }
        }
        if let Some(id) = object.get("id").and_then(Value::as_str) {
            self.unique.push(self.id(entity.plural, id));
        }
        for field in entity.fields {
            if let Kind::Reference(list) = field.kind
                && let Some(value) = object.get(field.name)
            {
                let key = match value {
                    Value::String(key) => key.as_str(),
                    reference => reference.get("id").and_then(Value::as_str).unwrap_or_default(),
                };
                let referred = ENTITIES.iter().find(|entity| entity.plural == list);
                let name = referred.and_then(|entity| entity.endpoint_key);
                let reference = Reference {
                    by_name: name.map(|field| self.hasher.hash_one((list, field, key))),
                    by_id: self.id(list, key),
                };
                self.references.push(reference);
            }
        }
    }

    /// An identifier; no field has an empty name.
    fn id(&self, list: &str, id: &str) -> u64 {
        self.hasher.hash_one((list, "", id))
    }
}

/// Whether all entities agree: nothing unique is there twice, and nothing is referred to that is not there.
pub(super) fn agree<'a>(entities: impl Iterator<Item = &'a Facts> + Clone) -> bool {
    let count = entities.clone().map(|facts| facts.unique.len()).sum();
    let mut known: HashSet<u64, BuildHasherDefault<AsItIs>> =
        HashSet::with_capacity_and_hasher(count, Default::default());
    let unique = entities.clone().flat_map(|facts| &facts.unique);
    for value in unique {
        if !known.insert(*value) {
            return false;
        }
    }
    let mut references = entities.flat_map(|facts| &facts.references);
    references.all(|reference| {
        known.contains(&reference.by_id) || reference.by_name.is_some_and(|name| known.contains(&name))
    })
}

/// For what is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
