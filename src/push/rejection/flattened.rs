//! `flattened_errors`: a list of entities with their errors; an object when it is empty.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use crate::fleet::EntityError;

/// The errors, each with its entity; anything but a list is none.
#[derive(Default)]
pub(super) struct Errors(pub(super) super::Errors);

/// What an entity is known by that has no name. All else that is repeated of it (`entity`) is not even read.
#[derive(Deserialize)]
struct Identity {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    target: Option<String>,
}

/// One entity.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    entity: Option<Maybe<Identity>>,
    #[serde(default)]
    entity_type: Option<String>,
    #[serde(default)]
    entity_name: Option<String>,
    #[serde(default)]
    entity_id: Option<String>,
    #[serde(default)]
    entity_tags: Option<Vec<String>>,
    #[serde(default)]
    errors: Option<Vec<Single>>,
}

#[derive(Deserialize)]
struct Single {
    #[serde(default)]
    field: Option<Value>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    messages: Option<Vec<Option<String>>>,
}

/// An entry that may be of any shape: Kong has answered odd ones.
#[derive(Deserialize)]
#[serde(untagged)]
enum Maybe<T> {
    Known(T),
    Other(IgnoredAny),
}

impl<'de> Deserialize<'de> for Errors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ErrorsVisitor)
    }
}

struct ErrorsVisitor;

impl<'de> Visitor<'de> for ErrorsVisitor {
    type Value = Errors;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of errors")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Errors, A::Error> {
        let mut errors = Errors::default();
        while let Some(entry) = list.next_element::<Maybe<Entry>>()? {
            if let Maybe::Known(entry) = entry {
                add(entry, &mut errors.0);
            }
        }
        Ok(errors)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Errors, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Errors::default())
    }

    fn visit_unit<E>(self) -> Result<Errors, E> {
        Ok(Errors::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Errors, E> {
        Ok(Errors::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Errors, E> {
        Ok(Errors::default())
    }
}

fn add(entry: Entry, errors: &mut super::Errors) {
    let known_by = match entry.entity {
        Some(Maybe::Known(identity)) => identity.target.or(identity.username),
        _ => None,
    };
    let name = entry.entity_name.or(known_by).or(entry.entity_id);
    let error = |field: Option<String>, message: String| EntityError {
        entity_type: entry.entity_type.clone().unwrap_or_default(),
        entity_name: name.clone(),
        entity_tags: entry.entity_tags.clone().unwrap_or_default(),
        field,
        message,
    };
    for single in entry.errors.unwrap_or_default() {
        let field = match single.field {
            Some(Value::String(field)) if !field.is_empty() => Some(field),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        if let Some(message) = single.message {
            errors.add(error(field, message));
            continue;
        }
        // One message per element of a list (KIC writes `field[i]`).
        for (index, message) in single.messages.unwrap_or_default().into_iter().enumerate() {
            if let Some(message) = message {
                errors.add(error(field.as_ref().map(|field| format!("{field}[{index}]")), message));
            }
        }
    }
}
