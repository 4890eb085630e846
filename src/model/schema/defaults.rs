//! Nulls and defaults, as the API server handles them.

use serde_json::{Map, Value};

use super::{Fields, List, Type};

/// Takes out fields that are `null`, at every depth: that stands for unset. What is in free form keeps its nulls, and so
/// do lists.
pub fn drop_nulls(object: &mut Value, fields: &'static Fields) {
    drop_nulls_of(object, &|name| fields.get(name).map(|field| &field.type_));
}

fn drop_nulls_of(object: &mut Value, type_of: &dyn Fn(&str) -> Option<&'static Type>) {
    if let Value::Object(object) = object {
        object.retain(|_, value| !value.is_null());
        for (name, value) in object {
            if let Some(type_) = type_of(name) {
                drop_nulls_in(value, type_);
            }
        }
    }
}

fn drop_nulls_in(value: &mut Value, type_: &'static Type) {
    match (type_, value) {
        (Type::Object(fields), value) => drop_nulls(value, fields),
        (Type::Map(of), value) => drop_nulls_of(value, &|_| Some(of)),
        (Type::List(List { items, .. }), Value::Array(values)) => {
            for value in values {
                drop_nulls_in(value, items);
            }
        }
        _ => {}
    }
}

/// Puts defaults where fields are missing, at every depth: a default object is looked into as well. What has a wrong
/// type stays as it is. Status is left alone: it is not the user's to write.
pub fn fill_in(object: &mut Value, fields: &'static Fields) {
    if let Value::Object(object) = object {
        let status = object.remove("status");
        fill_in_fields(object, fields, "status");
        object.extend(status.map(|status| ("status".to_owned(), status)));
    }
}

fn fill_in_fields(object: &mut Map<String, Value>, fields: &'static Fields, except: &str) {
    for field in fields.fields.iter().filter(|field| field.name != except) {
        if let Some(default) = &field.default
            && object.get(field.name).is_none_or(Value::is_null)
        {
            object.insert(field.name.to_owned(), default.value());
        }
        if let Some(value) = object.get_mut(field.name) {
            fill_in_value(value, &field.type_);
        }
    }
}

fn fill_in_value(value: &mut Value, type_: &'static Type) {
    match (type_, value) {
        (Type::Object(fields), Value::Object(object)) => fill_in_fields(object, fields, ""),
        (Type::Map(of), Value::Object(object)) => {
            for value in object.values_mut() {
                fill_in_value(value, of);
            }
        }
        (Type::List(List { items, .. }), Value::Array(values)) => {
            for value in values {
                fill_in_value(value, items);
            }
        }
        _ => {}
    }
}
