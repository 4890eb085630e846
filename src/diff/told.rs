//! What a proxy adds to the configuration that it was given, when it tells it: default values, times, identifiers. Pure.
//! Called before the two are compared.

use std::collections::BTreeSet;

use proxy_config_schema::defaults;
use serde_json::{Map, Value};

/// Times of an entity, which every proxy sets for itself.
const TIMES: [&str; 2] = ["created_at", "updated_at"];

/// Takes out of both documents what says the same by being there and by not being there, and out of the one that a proxy
/// told the identifiers that it made up.
pub fn without_additions(told: &mut Value, given: &mut Value) {
    let mut identified = BTreeSet::new();
    each_entity(given, &mut |list, entity| {
        if entity.contains_key("id") {
            identified.insert(list.to_owned());
        }
        drop_defaults(list, entity);
    });
    let made_up = made_up_references(told, &identified);
    each_entity(told, &mut |list, entity| {
        if !identified.contains(list) {
            entity.remove("id");
        }
        for value in entity.values_mut() {
            let id = value.as_str().or_else(|| value.get("id")?.as_str());
            if let Some((_, name)) = id.and_then(|id| made_up.iter().find(|(known, _)| known == id)) {
                *value = Value::String(name.clone());
            }
        }
        drop_defaults(list, entity);
    });
}

/// Identifiers that only the proxy knows, and the names that others refer to these entities by.
fn made_up_references(told: &mut Value, identified: &BTreeSet<String>) -> Vec<(String, String)> {
    let mut names = Vec::new();
    each_entity(told, &mut |list, entity| {
        let text = |field: &str| entity.get(field).and_then(Value::as_str).map(str::to_owned);
        if !identified.contains(list)
            && let (Some(id), Some(name)) = (text("id"), text("name").or_else(|| text("username")))
        {
            names.push((id, name));
        }
    });
    names
}

fn drop_defaults(list: &str, entity: &mut Map<String, Value>) {
    let defaults = defaults(list, entity);
    entity.retain(|field, value| {
        !value.is_null()
            && !TIMES.contains(&field.as_str())
            && defaults.get(field).is_none_or(|default| default != value)
    });
}

/// Calls back with each entity and the name of its list, wherever it stands.
fn each_entity(document: &mut Value, each: &mut dyn FnMut(&str, &mut Map<String, Value>)) {
    let Value::Object(lists) = document else {
        return;
    };
    for (list, entities) in lists {
        if !proxy_config_schema::is_entity_list(list) {
            continue;
        }
        for entity in entities.as_array_mut().into_iter().flatten() {
            each_entity(entity, each);
            if let Value::Object(entity) = entity {
                each(list, entity);
            }
        }
    }
}
