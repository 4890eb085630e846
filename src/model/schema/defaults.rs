//! Defaults, as the API server fills them in.

use serde_json::{Map, Value};

use super::{Fields, List, Type};

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
