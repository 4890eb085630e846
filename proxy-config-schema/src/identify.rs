//! Identifiers for entities that come without one, as Kong gives them (`admin-api.md` 15).
//!
//! Entities with a unique name: the UUID of their name; targets, plugins, ACL groups, basic-auth and hmac-auth
//! credentials: of their type and the fields that make up their identity. All this is Kong's, to the byte. The rest
//! (certificates, authorities, API keys, nameless routes …) gets a random identifier from Kong at every load; here it is
//! the UUID of the entity's content, so that it survives a load of the same content. Called by `validate`.

use std::collections::HashSet;

use serde_json::Value;

use crate::{
    JsonObject, id,
    schema::{ENTITIES, Entity},
};

/// Gives identifiers to all entities of a normalised document.
pub(crate) fn identify(document: &mut JsonObject) {
    let mut taken = HashSet::new();
    for entity in ENTITIES {
        if let Some(list) = document.get_mut(entity.plural) {
            identify_list(entity, list, None, &mut taken);
        }
    }
}

/// What an entity is nested in: the field that would refer to it, and its identifier.
pub(crate) type Parent<'a> = Option<(&'a str, &'a str)>;

fn identify_list(entity: &Entity, list: &mut Value, parent: Parent<'_>, taken: &mut HashSet<String>) {
    list.as_array_mut()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
        .for_each(|object| identify_entity(entity, object, parent, taken));
}

/// Gives an identifier to one normalised entity, and to those that are nested in it; none that is `taken`.
pub(crate) fn identify_entity(
    entity: &Entity,
    object: &mut JsonObject,
    parent: Parent<'_>,
    taken: &mut HashSet<String>,
) {
    // Memberships are the one type without an identifier.
    let has_id = entity.fields.iter().any(|field| field.name == "id");
    if has_id && !object.contains_key("id") {
        let id = identifier(entity, object, parent, taken);
        taken.insert(id.clone());
        object.insert("id".to_owned(), Value::String(id));
    }
    let Some(id) = object.get("id").and_then(Value::as_str).map(str::to_owned) else {
        return;
    };
    for (child, field) in entity.children {
        if let Some(list) = object.get_mut(child.plural) {
            identify_list(child, list, Some((field, &id)), taken);
        }
    }
}

fn identifier(entity: &Entity, object: &JsonObject, parent: Parent<'_>, taken: &HashSet<String>) -> String {
    if !entity.identity.is_empty() {
        return id::entity(entity.plural, None, &identity_key(entity, object, parent)).to_string();
    }
    // Credentials' keys are unique but no names: Kong does not derive identifiers from them.
    let named = !entity.fields.iter().any(|field| field.name == "consumer");
    let name = entity
        .endpoint_key
        .filter(|_| named)
        .and_then(|key| object.get(key)?.as_str());
    if let Some(name) = name {
        return id::entity(entity.plural, None, name).to_string();
    }
    let own = object
        .iter()
        .filter(|(name, _)| !entity.children.iter().any(|(child, _)| child.plural == name.as_str()));
    let own: JsonObject = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    let content = serde_json::to_string(&own).expect("keys are strings");
    let parent = parent.map_or("", |(_, id)| id);
    (0..)
        .map(|copy| id::entity(entity.plural, None, &format!("{parent}:{copy}:{content}")).to_string())
        .find(|id| !taken.contains(id))
        .expect("there are more identifiers than entities")
}

/// `plugins:*:key-auth:<route>:<service>:<consumer>`, where `*` stands for the workspace.
fn identity_key(entity: &Entity, object: &JsonObject, parent: Parent<'_>) -> String {
    let mut key = format!("{}:*", entity.plural);
    for field in entity.identity {
        let value = match object.get(*field) {
            Some(Value::String(text)) => text.as_str(),
            Some(reference) => reference.get("id").and_then(Value::as_str).unwrap_or(""),
            None => parent.filter(|(name, _)| name == field).map_or("", |(_, id)| id),
        };
        // Open-source Kong has no consumer groups: they take part only where one is meant.
        if *field == "consumer_group" && value.is_empty() {
            continue;
        }
        key.push(':');
        key.push_str(value);
    }
    key
}
