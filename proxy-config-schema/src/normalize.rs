//! Brings a checked document into the form of the entity types: no `null`, whole numbers as integers, no ignored fields,
//! `url` of services expanded as Kong does. Called by `validate`.

use serde_json::Value;

use crate::{
    JsonObject,
    schema::{ENTITIES, Entity, Field, IGNORED, Kind, integer},
    url::ServiceUrl,
};

/// Normalises a document that has passed the check of its shape.
pub(crate) fn normalize(document: &mut JsonObject) {
    document.retain(|_, value| !value.is_null());
    for (list, value) in document.iter_mut() {
        match ENTITIES.iter().find(|entity| entity.plural == list) {
            Some(entity) => normalize_list(entity, value),
            None if !list.starts_with('_') => empty_table_to_list(value),
            None => {}
        }
    }
}

fn normalize_list(entity: &Entity, value: &mut Value) {
    empty_table_to_list(value);
    for object in value
        .as_array_mut()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        normalize_entity(entity, object);
    }
}

/// Normalises one entity with those that are nested in it.
pub(crate) fn normalize_entity(entity: &Entity, object: &mut JsonObject) {
    object.retain(|name, value| !value.is_null() && !IGNORED.contains(&name.as_str()));
    normalize_fields(entity.fields, object);
    for (child, _) in entity.children {
        if let Some(list) = object.get_mut(child.plural) {
            normalize_list(child, list);
        }
    }
}

fn normalize_fields(fields: &[Field], object: &mut JsonObject) {
    for (name, value) in object.iter_mut() {
        if let Some(field) = fields.iter().find(|field| field.name == name) {
            normalize_value(&field.kind, value);
        }
    }
}

fn normalize_value(kind: &Kind, value: &mut Value) {
    match kind {
        Kind::Integer(..) | Kind::OneOfInteger(_) => {
            if let Some(number) = integer(value) {
                *value = number.into();
            }
        }
        Kind::Array(element) | Kind::Set(element, _) => {
            empty_table_to_list(value);
            for element_value in value.as_array_mut().into_iter().flatten() {
                normalize_value(element, element_value);
            }
        }
        Kind::Map(_, kind) => {
            empty_table_to_object(value);
            for entry in value
                .as_object_mut()
                .into_iter()
                .flat_map(|entries| entries.values_mut())
            {
                normalize_value(kind, entry);
            }
        }
        Kind::Record(fields) => {
            empty_table_to_object(value);
            if let Value::Object(object) = value {
                object.retain(|_, value| !value.is_null());
                normalize_fields(fields, object);
            }
        }
        Kind::Object => empty_table_to_object(value),
        Kind::Reference(_) => {
            if let Value::Object(key) = value {
                key.retain(|name, _| name == "id");
            }
        }
        Kind::Any
        | Kind::Boolean
        | Kind::Number(..)
        | Kind::Text
        | Kind::TextBy(_)
        | Kind::FreeText
        | Kind::OneOf(_)
        | Kind::OneOfOrSticky(..)
        | Kind::Uuid => {}
    }
}

fn empty_table_to_list(value: &mut Value) {
    if value.as_object().is_some_and(JsonObject::is_empty) {
        *value = Value::Array(Vec::new());
    }
}

fn empty_table_to_object(value: &mut Value) {
    if value.as_array().is_some_and(Vec::is_empty) {
        *value = Value::Object(JsonObject::new());
    }
}

/// Expands `url` of all services: it wins over the fields that it stands for.
pub(crate) fn expand_urls(document: &mut JsonObject) {
    let services = document.get_mut("services").and_then(Value::as_array_mut);
    services
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
        .for_each(expand_url);
}

/// Expands `url` of one service.
pub(crate) fn expand_url(service: &mut JsonObject) {
    let Some(url) = service.get("url").and_then(Value::as_str).map(str::to_owned) else {
        return;
    };
    let Some(url) = ServiceUrl::parse(&url) else { return };
    service.remove("url");
    service.remove("path");
    service.insert("protocol".to_owned(), url.protocol.into());
    service.insert("host".to_owned(), url.host.into());
    service.insert("port".to_owned(), url.port.into());
    if let Some(path) = url.path {
        service.insert("path".to_owned(), path.into());
    }
}
