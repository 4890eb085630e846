//! A refused configuration, and Kong's answer to it (`admin-api.md` 17-24).
//!
//! Differences to Kong 3.9, all in favour of who must find the culprit: with `flatten_errors` every error is attributed
//! to its entity where Kong tells nothing (references to missing entities, duplicate `custom_id`) or tells it in
//! `fields` alone (nested duplicates); and where Kong answers 500 (plugins that refer to missing entities, entities
//! that are no objects) this is an ordinary error.

use std::{collections::HashMap, fmt};

use serde_json::{Map, Value, json};

use crate::{
    EntityError, ErrorDetail, ErrorKind, JsonObject,
    finding::{Finding, Step},
    schema::ENTITIES,
};

/// A configuration is refused: what is wrong with which entity.
///
/// Holds copies of entities with their secrets: neither its entities nor the answer may be logged or stored.
#[derive(Clone, PartialEq)]
pub struct InvalidConfiguration {
    /// All entities at fault, in the order of the document.
    pub entities: Vec<EntityError>,
    /// What is wrong with the document itself, by field: `_format_version`, unknown lists.
    pub fields: JsonObject,
    /// All errors as a tree in the shape of the document, as Kong tells them without `flatten_errors`.
    tree: Value,
}

impl InvalidConfiguration {
    /// How many errors are kept at the most.
    pub(crate) const MAX_ERRORS: usize = 10_000;

    pub(crate) fn new(document: &JsonObject, mut findings: Vec<Finding>) -> Self {
        findings.truncate(Self::MAX_ERRORS);
        let mut fields = JsonObject::new();
        let mut tree = Value::Object(JsonObject::new());
        let mut entities: Vec<EntityError> = Vec::new();
        let mut positions: HashMap<Vec<Step>, usize> = HashMap::new();
        for finding in findings {
            tell(&mut tree, &finding);
            let Finding {
                entity_type,
                path,
                field,
                message,
                entity_id,
                ..
            } = finding;
            if path.is_empty() {
                fields.insert(dotted(&field), Value::String(message));
                continue;
            }
            let position = *positions.entry(path).or_insert_with_key(|path| {
                entities.push(describe(document, path, entity_type));
                entities.len() - 1
            });
            let error = &mut entities[position];
            error.entity_id = error.entity_id.take().or(entity_id);
            let field = (!field.is_empty()).then(|| dotted(&field));
            let known = |known: &ErrorDetail| known.field.is_some() && known.field == field;
            if !error.errors.iter().any(known) {
                error.errors.push(ErrorDetail {
                    kind: if field.is_some() {
                        ErrorKind::Field
                    } else {
                        ErrorKind::Entity
                    },
                    field,
                    message: Some(message),
                    messages: None,
                });
            }
        }
        Self { entities, fields, tree }
    }

    /// A document that is not an object at all.
    pub(crate) fn of_document(field: &str, message: &str) -> Self {
        let finding = Finding::new("", &[], vec![Step::Name(field.to_owned())], message.to_owned());
        Self::new(&JsonObject::new(), vec![finding])
    }

    /// The body of Kong's 400, with `flattened_errors` or without. Holds secrets if flattened.
    pub fn to_answer(&self, flatten: bool) -> Value {
        let fields = if flatten {
            Value::Object(self.fields.clone())
        } else {
            self.tree.clone()
        };
        let mut answer = json!({
            "code": 14,
            "name": "invalid declarative configuration",
            "message": format!("declarative config is invalid: {}", LuaTable(&fields)),
            "fields": fields,
        });
        if flatten {
            // An empty table of Lua becomes an object.
            answer["flattened_errors"] = match self.entities.as_slice() {
                [] => json!({}),
                entities => serde_json::to_value(entities).expect("entity errors have string keys only"),
            };
        }
        answer
    }
}

/// Counts alone: entities hold secrets, and messages quote them.
impl fmt::Debug for InvalidConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InvalidConfiguration")
            .field("entities", &self.entities.len())
            .field("fields", &self.fields.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.entities.len() + self.fields.len();
        write!(
            formatter,
            "invalid declarative configuration: {count} entities or fields are at fault"
        )
    }
}

impl std::error::Error for InvalidConfiguration {}

/// What is known of the entity at the path.
fn describe(document: &JsonObject, path: &[Step], entity_type: String) -> EntityError {
    let mut value = document.get(match path.first() {
        Some(Step::Name(list)) => list.as_str(),
        _ => "",
    });
    for step in &path[1..] {
        value = match (step, value) {
            (Step::Name(name), Some(Value::Object(object))) => object.get(name),
            (Step::Index(index), Some(Value::Array(elements))) => elements.get(*index),
            _ => None,
        };
    }
    let object = value.and_then(Value::as_object);
    let text = |field: &str| object?.get(field)?.as_str();
    let id = text("id").filter(|id| uuid::Uuid::try_parse(id).is_ok());
    let tags = object.and_then(|object| {
        let tags = object.get("tags")?.as_array()?.iter();
        tags.map(|tag| tag.as_str().map(str::to_owned)).collect()
    });
    EntityError {
        entity: object.map_or_else(|| value.cloned(), |object| Some(without_children(object, &entity_type))),
        entity_name: text("name").map(str::to_owned),
        entity_id: id.map(str::to_owned),
        entity_tags: tags,
        entity_type,
        errors: Vec::new(),
    }
}

/// The entity without its nested lists.
fn without_children(object: &JsonObject, entity_type: &str) -> Value {
    let schema = ENTITIES.iter().find(|entity| entity.singular == entity_type);
    let children = schema.map_or(&[][..], |schema| schema.children);
    let own = object
        .iter()
        .filter(|(name, _)| !children.iter().any(|(child, _)| child.plural == name.as_str()));
    Value::Object(own.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// `paths.1`
pub(crate) fn dotted(field: &[Step]) -> String {
    let steps = field.iter().map(|step| match step {
        Step::Name(name) => name.clone(),
        Step::Index(index) => (index + 1).to_string(),
    });
    steps.collect::<Vec<_>>().join(".")
}

/// Puts an error into the tree, where nothing is told yet.
pub(crate) fn tell(tree: &mut Value, finding: &Finding) {
    let steps: Vec<Step> = match &finding.told_at {
        Some(path) => path.clone(),
        None if finding.field.is_empty() => {
            let mut path = finding.path.clone();
            path.push(Step::Name("@entity".to_owned()));
            let told = at(tree, &path).and_then(|told| told.as_array()).map_or(0, Vec::len);
            path.push(Step::Index(told));
            path
        }
        None => [finding.path.as_slice(), finding.field.as_slice()].concat(),
    };
    let mut node = tree;
    for step in steps {
        node = match step {
            Step::Name(name) => {
                if node.is_null() {
                    *node = Value::Object(Map::new());
                }
                let Some(object) = node.as_object_mut() else { return };
                object.entry(name).or_insert(Value::Null)
            }
            Step::Index(index) => {
                if node.is_null() {
                    *node = Value::Array(Vec::new());
                }
                let Some(elements) = node.as_array_mut() else { return };
                if elements.len() <= index {
                    elements.resize(index + 1, Value::Null);
                }
                &mut elements[index]
            }
        };
    }
    if node.is_null() {
        *node = Value::String(finding.message.clone());
    }
}

fn at<'a>(tree: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(tree, |node, step| match step {
        Step::Name(name) => node.get(name),
        Step::Index(index) => node.get(*index),
    })
}

/// A JSON value as Kong writes tables into its messages.
struct LuaTable<'a>(&'a Value);

impl fmt::Display for LuaTable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Object(entries) => {
                formatter.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    if is_lua_name(key) {
                        write!(formatter, "{comma}{key}={}", LuaTable(value))?;
                    } else {
                        write!(formatter, "{comma}[{}]={}", LuaText(key), LuaTable(value))?;
                    }
                }
                formatter.write_str("}")
            }
            Value::Array(elements) => {
                formatter.write_str("{")?;
                let mut gap = false;
                let mut comma = "";
                for (index, value) in elements.iter().enumerate() {
                    if value.is_null() {
                        gap = true;
                        continue;
                    }
                    if gap {
                        write!(formatter, "{comma}[{}]={}", index + 1, LuaTable(value))?;
                    } else {
                        write!(formatter, "{comma}{}", LuaTable(value))?;
                    }
                    comma = ",";
                }
                formatter.write_str("}")
            }
            Value::String(text) => write!(formatter, "{}", LuaText(text)),
            other => write!(formatter, "{other}"),
        }
    }
}

struct LuaText<'a>(&'a str);

impl fmt::Display for LuaText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains('\n') && !self.0.contains("]]") {
            return write!(formatter, "[[{}]]", self.0);
        }
        formatter.write_str("\"")?;
        for character in self.0.chars() {
            match character {
                '"' => formatter.write_str("\\\"")?,
                '\\' => formatter.write_str("\\\\")?,
                '\n' => formatter.write_str("\\n")?,
                control if control.is_ascii_control() => write!(formatter, "\\{}", u32::from(control))?,
                other => write!(formatter, "{other}")?,
            }
        }
        formatter.write_str("\"")
    }
}

fn is_lua_name(key: &str) -> bool {
    let mut bytes = key.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
