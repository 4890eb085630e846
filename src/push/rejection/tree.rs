//! `fields`: errors as a tree in the shape of the document, with a text at each place that is wrong.
//!
//! The same place in the document that was sent says whose entity it is.

use serde_json::{Map, Value};

use super::Errors;
use crate::fleet::EntityError;

/// Where the walk is.
#[derive(Clone, Default)]
struct Place<'a> {
    entity_type: String,
    /// The innermost entity, as it was sent.
    entity: Option<&'a Map<String, Value>>,
    /// The innermost one that says by its tags whose it is: what is nested in it is of the same object.
    tagged: Option<&'a Map<String, Value>>,
    /// The key under which the tree names it, if it was not found.
    key: Option<String>,
    /// Path within the entity.
    field: Vec<String>,
}

/// Adds every text of the tree.
pub(super) fn collect(fields: &Value, sent: Option<&Value>, errors: &mut Errors) {
    walk(fields, sent, &Place::default(), errors);
}

fn walk(node: &Value, sent: Option<&Value>, place: &Place<'_>, errors: &mut Errors) {
    match node {
        Value::String(message) => errors.add(place.error(message)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if item.is_string() && !matches!(sent, Some(Value::Array(_))) {
                    // Texts about the whole: `{"routes": {"r": ["invalid reference …"]}}`.
                    walk(item, None, place, errors);
                } else {
                    let element = sent.and_then(|sent| sent.get(index));
                    walk(item, element, &place.enter(&(index + 1).to_string(), element), errors);
                }
            }
        }
        Value::Object(map) => {
            for (key, child) in map {
                let below = sent.and_then(|sent| find(sent, key));
                walk(child, below, &place.enter(key, below), errors);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A key of the tree is a field, or in a list of entities a name or a position counted from 1.
fn find<'a>(sent: &'a Value, key: &str) -> Option<&'a Value> {
    let Value::Array(items) = sent else {
        return sent.get(key);
    };
    let named = items.iter().find(|item| {
        IDENTITIES
            .iter()
            .any(|field| item.get(field).and_then(Value::as_str) == Some(key))
    });
    named.or_else(|| items.get(key.parse::<usize>().ok()?.checked_sub(1)?))
}

impl<'a> Place<'a> {
    fn enter(&self, key: &str, below: Option<&'a Value>) -> Self {
        let mut next = self.clone();
        match below {
            // Names of entities differ from objects within one by what surrounds them: a list of objects that bear
            // an identity.
            Some(Value::Object(object)) if self.in_list() && is_entity(object) => {
                next.entity = Some(object);
                next.tagged = Some(object).filter(|object| has_tags(object)).or(self.tagged);
                next.entity_type = singular(self.field.last().map_or("", String::as_str));
                next.key = None;
                next.field.clear();
            }
            _ if self.entity.is_none() && self.key.is_none() && self.field.len() == 1 => {
                next.entity_type = singular(&self.field[0]);
                next.key = Some(key.to_owned());
                next.field.clear();
            }
            _ => next.field.push(key.to_owned()),
        }
        next
    }

    fn in_list(&self) -> bool {
        self.field.len() == 1
    }

    fn error(&self, message: &str) -> EntityError {
        let text = |name: &str| self.entity.and_then(|entity| entity.get(name)).and_then(Value::as_str);
        EntityError {
            entity_type: self.entity_type.clone(),
            entity_name: IDENTITIES
                .iter()
                .find_map(|name| text(name))
                .map(str::to_owned)
                .or_else(|| self.key.clone()),
            entity_tags: self.tagged.map(tags).unwrap_or_default(),
            field: (!self.field.is_empty()).then(|| self.field.join(".")),
            message: message.to_owned(),
        }
    }
}

fn has_tags(object: &Map<String, Value>) -> bool {
    object
        .get("tags")
        .and_then(Value::as_array)
        .is_some_and(|tags| !tags.is_empty())
}

fn tags(object: &Map<String, Value>) -> Vec<String> {
    let tags = object.get("tags").and_then(Value::as_array);
    let tags = tags.into_iter().flatten();
    tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
}

/// The tags of an entity that was sent, or of the one that it is nested in: some have none of their own (targets, SNIs).
pub(super) fn tags_of(sent: &Value, entity_type: &str, name: &str) -> Option<Vec<String>> {
    let mut found = None;
    let Value::Object(document) = sent else { return None };
    visit(document, None, &mut |list, entity, tagged| {
        let bears = |field: &&str| entity.get(*field).and_then(Value::as_str) == Some(name);
        if found.is_none() && singular(list) == entity_type && IDENTITIES.iter().any(bears) {
            found = tagged.map(tags);
        }
    });
    found
}

/// Entities of a list, wherever it is nested, that have the same in a field as one before: Kong says of them what they
/// have, and not which they are (reference: admin-api.md 23). The tags of each.
pub(super) fn duplicates(sent: &Value, list: &str, field: &str, value: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    if let Value::Object(document) = sent {
        visit(document, None, &mut |of, entity, tagged| {
            if of == list && entity.get(field).and_then(Value::as_str) == Some(value) {
                found.push(tagged.map(tags).unwrap_or_default());
            }
        });
    }
    found.drain(..found.len().min(1));
    found
}

/// Calls back with every entity, the name of its list, and the innermost of it and what it is nested in that has tags.
fn visit<'a>(
    within: &'a Map<String, Value>,
    tagged: Option<&'a Map<String, Value>>,
    each: &mut impl FnMut(&str, &'a Map<String, Value>, Option<&'a Map<String, Value>>),
) {
    for (list, items) in within
        .iter()
        .filter_map(|(list, items)| Some((list, items.as_array()?)))
    {
        for entity in items.iter().filter_map(Value::as_object) {
            let tagged = Some(entity).filter(|entity| has_tags(entity)).or(tagged);
            each(list, entity, tagged);
            visit(entity, tagged, each);
        }
    }
}

/// Fields that an entity is known by.
const IDENTITIES: [&str; 4] = ["name", "username", "target", "id"];

fn is_entity(object: &Map<String, Value>) -> bool {
    ["tags", "name", "id", "username", "target"]
        .iter()
        .any(|field| object.contains_key(*field))
}

fn singular(collection: &str) -> String {
    collection.strip_suffix('s').unwrap_or(collection).to_owned()
}
