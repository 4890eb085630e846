//! Checks between entities: unique names and identifiers, references to what is there. Called by `validate`, on a
//! document in which every entity has an identifier.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::{
    JsonObject,
    finding::{Finding, Step},
    schema::{ENTITIES, Entity, Kind},
};

/// All violations in a document.
pub(crate) fn check(document: &JsonObject) -> Vec<Finding> {
    let mut index = Index::default();
    for entity in ENTITIES {
        if let Some(list) = document.get(entity.plural) {
            index.add_list(entity, list, &[], None);
        }
    }
    index.check_references();
    index.findings
}

#[derive(Default)]
struct Index<'a> {
    /// Unique values by list and field.
    unique: HashSet<(&'static str, &'static str, &'a str)>,
    /// Identifiers by list.
    ids: HashSet<(&'static str, &'a str)>,
    references: Vec<Referrer<'a>>,
    findings: Vec<Finding>,
}

/// A reference that is to be checked.
struct Referrer<'a> {
    entity: &'static Entity,
    path: Vec<Step>,
    /// What Kong calls the referring entity.
    name: String,
    field: &'static str,
    /// The list that it refers to.
    list: &'static str,
    value: &'a Value,
}

impl<'a> Index<'a> {
    fn add_list(
        &mut self,
        entity: &'static Entity,
        list: &'a Value,
        path: &[Step],
        parent: Option<(&'static str, usize)>,
    ) {
        let objects = list.as_array().into_iter().flatten().enumerate();
        for (index, object) in objects.filter_map(|(index, value)| Some((index, value.as_object()?))) {
            let mut path = path.to_vec();
            path.push(Step::Name(entity.plural.to_owned()));
            path.push(Step::Index(index));
            for (child, _) in entity.children {
                if let Some(list) = object.get(child.plural) {
                    self.add_list(child, list, &path, Some((entity.plural, index)));
                }
            }
            self.add(entity, object, &path, index, parent);
        }
    }

    fn add(
        &mut self,
        entity: &'static Entity,
        object: &'a JsonObject,
        path: &[Step],
        index: usize,
        parent: Option<(&'static str, usize)>,
    ) {
        let text = |field: &str| object.get(field).and_then(Value::as_str);
        let id = text("id");
        let key = entity.endpoint_key.and_then(|field| Some((field, text(field)?)));
        let name = key.map(|(_, key)| key).or(id).unwrap_or_default().to_owned();
        let own_place = vec![Step::Name(entity.plural.to_owned()), Step::Index(index)];
        let mut is_duplicate = false;
        if let Some((field, key)) = key
            && !self.unique.insert((entity.plural, field, key))
        {
            is_duplicate = true;
            self.duplicate(entity, path, id, field, key, own_place.clone());
        }
        for field in entity.unique {
            if let Some(value) = text(field)
                && !self.unique.insert((entity.plural, field, value))
            {
                let place = vec![Step::Name(entity.plural.to_owned()), Step::Name(name.clone())];
                self.duplicate(entity, path, id, field, value, place);
            }
        }
        if let Some(id) = id
            && !self.ids.insert((entity.plural, id))
            && !is_duplicate
        {
            let mut place = own_place;
            if let Some((list, index)) = parent {
                place.splice(0..0, [Step::Name(list.to_owned()), Step::Index(index)]);
            }
            self.duplicate(entity, path, Some(id), "primary key", id, place);
        }
        for field in entity.fields {
            if let Kind::Reference(list) = field.kind
                && let Some(value) = object.get(field.name)
            {
                self.references.push(Referrer {
                    entity,
                    path: path.to_vec(),
                    name: name.clone(),
                    field: field.name,
                    list,
                    value,
                });
            }
        }
    }

    fn duplicate(
        &mut self,
        entity: &Entity,
        path: &[Step],
        id: Option<&str>,
        field: &str,
        value: &str,
        told_at: Vec<Step>,
    ) {
        let message = format!(
            "uniqueness violation: '{}' entity with {field} set to '{value}' already declared",
            entity.plural
        );
        self.findings.push(Finding {
            told_at: Some(told_at),
            entity_id: id.map(str::to_owned),
            ..Finding::new(entity.singular, path, Vec::new(), message)
        });
    }

    fn check_references(&mut self) {
        let mut told: HashMap<(&str, String), usize> = HashMap::new();
        for referrer in std::mem::take(&mut self.references) {
            let key = match referrer.value {
                Value::String(key) => key.as_str(),
                reference => reference.get("id").and_then(Value::as_str).unwrap_or_default(),
            };
            let by_name = ENTITIES
                .iter()
                .find(|entity| entity.plural == referrer.list)
                .and_then(|entity| entity.endpoint_key)
                .is_some_and(|field| self.unique.contains(&(referrer.list, field, key)));
            if by_name || self.ids.contains(&(referrer.list, key)) {
                continue;
            }
            let shown = match referrer.value {
                Value::String(key) => key.clone(),
                reference => reference.to_string(),
            };
            let message = format!(
                "invalid reference '{}: {shown}' (no such entry in '{}')",
                referrer.field, referrer.list
            );
            let count = told.entry((referrer.entity.plural, referrer.name.clone())).or_default();
            let told_at = vec![
                Step::Name(referrer.entity.plural.to_owned()),
                Step::Name(referrer.name),
                Step::Index(*count),
            ];
            *count += 1;
            let field = vec![Step::Name(referrer.field.to_owned())];
            self.findings.push(Finding {
                told_at: Some(told_at),
                ..Finding::new(referrer.entity.singular, &referrer.path, field, message)
            });
        }
    }
}
