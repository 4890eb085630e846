//! A table as an OpenAPI v3 schema, as custom resource definitions hold it.

use serde_json::{Map, Value, json};

use super::{Fields, Identity, List, Literal, OBJECT_META, Range, Rule, Text, Type};

/// The schema of an object with these fields.
pub fn open_api(fields: &'static Fields, description: &str) -> Value {
    let mut schema = of_fields(fields);
    describe(&mut schema, description);
    Value::Object(schema)
}

fn of_fields(fields: &'static Fields) -> Map<String, Value> {
    let mut properties = Map::new();
    for field in fields.fields {
        let mut schema = of_type(&field.type_);
        describe(&mut schema, field.description);
        if let Some(default) = &field.default {
            schema.insert("default".to_owned(), Literal::value(default));
        }
        properties.insert(field.name.to_owned(), Value::Object(schema));
    }
    let mut schema = typed("object");
    schema.insert("properties".to_owned(), Value::Object(properties));
    let mut required: Vec<_> = fields.required().collect();
    if !required.is_empty() {
        required.sort_unstable();
        schema.insert("required".to_owned(), json!(required));
    }
    add_rules(&mut schema, fields.rules);
    schema
}

fn of_type(type_: &'static Type) -> Map<String, Value> {
    match type_ {
        Type::Any => free(Map::new()),
        Type::AnyObject => free(typed("object")),
        Type::Text(text) => of_text(*text),
        Type::Integer(range) => of_range(*range),
        Type::Number => typed("number"),
        Type::PortOrName => {
            let mut schema = Map::new();
            schema.insert("x-kubernetes-int-or-string".to_owned(), true.into());
            schema
        }
        Type::Boolean => typed("boolean"),
        Type::Timestamp => formatted("string", "date-time"),
        Type::SecretBase64 => formatted("string", "byte"),
        Type::SecretText => typed("string"),
        Type::OneOf(words) => {
            let mut schema = typed("string");
            schema.insert("enum".to_owned(), json!(words));
            schema
        }
        Type::OneOfNumbers(numbers) => {
            let mut schema = typed("integer");
            schema.insert("enum".to_owned(), json!(numbers));
            schema
        }
        Type::Map(of) => {
            let mut schema = typed("object");
            schema.insert("additionalProperties".to_owned(), Value::Object(of_type(of)));
            schema
        }
        Type::List(list) => of_list(list),
        // The API server knows metadata better, and refuses its fields here.
        Type::Object(fields) if std::ptr::eq(*fields, &raw const OBJECT_META) => typed("object"),
        Type::Object(fields) => of_fields(fields),
    }
}

fn of_text(text: Text) -> Map<String, Value> {
    let mut schema = typed("string");
    if text.min > 0 {
        schema.insert("minLength".to_owned(), text.min.into());
    }
    if text.max < usize::MAX {
        schema.insert("maxLength".to_owned(), text.max.into());
    }
    if let Some(pattern) = text.pattern {
        schema.insert("pattern".to_owned(), pattern.into());
    }
    schema
}

fn of_range(range: Range) -> Map<String, Value> {
    let mut schema = typed("integer");
    if range.min > i64::MIN {
        schema.insert("minimum".to_owned(), range.min.into());
    }
    if range.max < i64::MAX {
        schema.insert("maximum".to_owned(), range.max.into());
    }
    if !range.format.is_empty() {
        schema.insert("format".to_owned(), range.format.into());
    }
    schema
}

fn of_list(list: &'static List) -> Map<String, Value> {
    let mut schema = typed("array");
    schema.insert("items".to_owned(), Value::Object(of_type(&list.items)));
    if list.min > 0 {
        schema.insert("minItems".to_owned(), list.min.into());
    }
    if list.max < usize::MAX {
        schema.insert("maxItems".to_owned(), list.max.into());
    }
    let name = match list.identity {
        Identity::Position => None,
        Identity::Atomic => Some("atomic"),
        Identity::Set => Some("set"),
        Identity::Keys(keys) => {
            schema.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
            Some("map")
        }
    };
    schema.extend(name.map(|name| ("x-kubernetes-list-type".to_owned(), name.into())));
    add_rules(&mut schema, list.rules);
    schema
}

fn add_rules(schema: &mut Map<String, Value>, rules: &[Rule]) {
    if !rules.is_empty() {
        let rules = rules
            .iter()
            .map(|rule| json!({ "message": rule.message, "rule": rule.cel }));
        schema.insert("x-kubernetes-validations".to_owned(), rules.collect());
    }
}

fn describe(schema: &mut Map<String, Value>, description: &str) {
    let description = description.trim();
    if !description.is_empty() {
        schema.insert("description".to_owned(), description.into());
    }
}

fn typed(type_: &str) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), type_.into());
    schema
}

fn formatted(type_: &str, format: &str) -> Map<String, Value> {
    let mut schema = typed(type_);
    schema.insert("format".to_owned(), format.into());
    schema
}

fn free(mut schema: Map<String, Value>) -> Map<String, Value> {
    schema.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
    schema
}
