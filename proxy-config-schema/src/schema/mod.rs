//! Kong's schemas of the entities, as tables, and the walk that checks a document against them.
//!
//! A document is checked as JSON, before it becomes entity types, so that every entity at fault is found and named.
//! What concerns one entity alone is checked here; what concerns several (references, uniqueness) in `crosscheck`.
//! Message texts are Kong's. Called by `validate`.

mod certificate;
mod consumer;
mod kind;
mod plugin;
mod route;
mod service;
pub(crate) mod text;
mod upstream;

use serde_json::Value;

use crate::{
    JsonObject, ValidationOptions,
    finding::{Finding, Step},
};

pub(crate) use kind::{Field, Kind, Presence, integer};

/// The schema of an entity type.
pub(crate) struct Entity {
    /// As in `entity_type` of an error: `route`.
    pub(crate) singular: &'static str,
    /// As the list in the document: `routes`.
    pub(crate) plural: &'static str,
    pub(crate) fields: &'static [Field],
    /// Entity types whose lists may be nested in this one, and the field by which they refer to it.
    pub(crate) children: &'static [(&'static Entity, &'static str)],
    /// The unique field by which others may refer to it, besides its identifier.
    pub(crate) endpoint_key: Option<&'static str>,
    /// Further unique fields.
    pub(crate) unique: &'static [&'static str],
    /// The fields that make up the identity of one without an identifier.
    pub(crate) identity: &'static [&'static str],
    /// Whether open-source Kong has it.
    pub(crate) enterprise: bool,
    /// Checks across its fields.
    pub(crate) check: fn(&mut Scope<'_>),
}

/// All lists that a document may have, in Kong's order of dependence: what is referred to comes first.
pub(crate) static ENTITIES: &[&Entity] = &[
    &certificate::CERTIFICATE,
    &certificate::CA_CERTIFICATE,
    &service::SERVICE,
    &route::ROUTE,
    &certificate::SNI,
    &upstream::UPSTREAM,
    &upstream::TARGET,
    &consumer::CONSUMER,
    &consumer::CONSUMER_GROUP,
    &consumer::CONSUMER_GROUP_CONSUMER,
    &plugin::PLUGIN,
    &plugin::VAULT,
    &plugin::LICENSE,
    &consumer::KEYAUTH,
    &consumer::BASICAUTH,
    &consumer::HMACAUTH,
    &consumer::JWT,
    &consumer::OAUTH2,
    &consumer::ACL,
    &consumer::MTLS_AUTH,
];

/// Whether a document's field of that name is a list of one of Kong's own entity types, so that no custom entity can be
/// called so.
pub fn is_entity_list(name: &str) -> bool {
    ENTITIES.iter().any(|entity| entity.plural == name)
}

/// Fields of the document itself, with their kinds.
static TOP_LEVEL: &[(&str, Kind)] = &[
    ("_format_version", Kind::OneOf(&["1.1", "2.1", "3.0"])),
    ("_transform", Kind::Boolean),
    ("_comment", Kind::Any),
    ("_ignore", Kind::Any),
];

/// Fields that every entity may have, and Kong drops.
pub(crate) const IGNORED: [&str; 2] = ["_comment", "_ignore"];

/// How much is asked of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// That it can become entity types: known fields of the right type.
    Shape,
    /// All that Kong asks of an entity.
    Full,
}

/// One entity under check: its fields, and where errors go.
pub(crate) struct Scope<'a> {
    /// The entity's fields.
    pub(crate) object: &'a JsonObject,
    /// What the proxy can take.
    pub(crate) options: &'a ValidationOptions,
    entity: &'static Entity,
    path: &'a [Step],
    findings: &'a mut Vec<Finding>,
}

impl Scope<'_> {
    /// A field that is set: there and not `null`.
    pub(crate) fn get(&self, field: &str) -> Option<&Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    /// A text field that is set, or its default.
    pub(crate) fn text_or<'a>(&'a self, field: &str, default: &'a str) -> &'a str {
        self.get(field).and_then(Value::as_str).unwrap_or(default)
    }

    /// Whether a list or map is set and has elements.
    pub(crate) fn has_elements(&self, field: &str) -> bool {
        match self.get(field) {
            Some(Value::Array(elements)) => !elements.is_empty(),
            Some(Value::Object(entries)) => !entries.is_empty(),
            _ => false,
        }
    }

    /// Reports an error of a field. The first one of a field counts.
    pub(crate) fn field(&mut self, field: &str, message: impl Into<String>) {
        let field = field.split('.').map(Step::from_text).collect();
        self.findings
            .push(Finding::new(self.entity.singular, self.path, field, message.into()));
    }

    /// Reports an error of the whole entity.
    pub(crate) fn whole(&mut self, message: impl Into<String>) {
        self.findings.push(Finding::new(
            self.entity.singular,
            self.path,
            Vec::new(),
            message.into(),
        ));
    }
}

/// Checks every entity of a document. Errors of the document itself have an empty path and no entity type.
pub(crate) fn check(document: &JsonObject, depth: Depth, options: &ValidationOptions) -> Vec<Finding> {
    let mut walk = Walk {
        depth,
        options,
        path: Vec::new(),
        findings: Vec::new(),
    };
    walk.document(document);
    walk.findings
}

/// Whether one entity is all that Kong asks of it. If it is nested, `parent_field` is by which it refers to its parent.
pub(crate) fn accepts(
    entity: &'static Entity,
    parent_field: Option<&str>,
    object: &JsonObject,
    options: &ValidationOptions,
) -> bool {
    let mut walk = Walk {
        depth: Depth::Full,
        options,
        path: Vec::new(),
        findings: Vec::new(),
    };
    walk.entity(entity, parent_field, object);
    walk.findings.is_empty()
}

struct Walk<'a> {
    depth: Depth,
    options: &'a ValidationOptions,
    path: Vec<Step>,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn document(&mut self, document: &JsonObject) {
        if document.get("_format_version").is_none_or(Value::is_null) {
            self.top_level("_format_version", "required field missing");
        }
        for (name, value) in document {
            if value.is_null() {
                continue;
            }
            if let Some((_, kind)) = TOP_LEVEL.iter().find(|(known, _)| known == name) {
                if let Err(mut errors) = kind.check(value, self.depth, self.options) {
                    let (_, message) = errors.swap_remove(0);
                    self.top_level(name, message);
                }
            } else if let Some(entity) = ENTITIES.iter().find(|entity| entity.plural == name) {
                if entity.enterprise && !self.options.enterprise && self.depth == Depth::Full {
                    self.top_level(name, "unknown field");
                } else {
                    self.list(entity, None, value);
                }
            } else if name.starts_with('_') || !self.options.takes_custom_entity(name) {
                self.top_level(name, "unknown field");
            } else {
                self.custom(name, value);
            }
        }
    }

    fn top_level(&mut self, name: &str, message: impl Into<String>) {
        let field = vec![Step::Name(name.to_owned())];
        self.findings.push(Finding::new("", &[], field, message.into()));
    }

    /// Custom entities have no schema here: they are objects.
    fn custom(&mut self, name: &str, value: &Value) {
        let Some(elements) = kind::list(value) else {
            self.top_level(name, "expected an array");
            return;
        };
        for (index, element) in elements.iter().enumerate() {
            if !element.is_object() {
                let path = [Step::Name(name.to_owned()), Step::Index(index)];
                let singular = name.strip_suffix('s').unwrap_or(name);
                self.findings.push(Finding::new(
                    singular,
                    &path,
                    Vec::new(),
                    "expected a record".to_owned(),
                ));
            }
        }
    }

    /// A list of entities, at the top or nested in `parent`.
    fn list(&mut self, entity: &'static Entity, parent: Option<(&'static Entity, &'static str)>, value: &Value) {
        let Some(elements) = kind::list(value) else {
            match parent {
                None => self.top_level(entity.plural, "expected an array"),
                Some((parent, _)) => {
                    self.error(parent, vec![Step::Name(entity.plural.to_owned())], "expected an array");
                }
            }
            return;
        };
        self.path.push(Step::Name(entity.plural.to_owned()));
        for (index, element) in elements.iter().enumerate() {
            self.path.push(Step::Index(index));
            match element {
                Value::Object(object) => self.entity(entity, parent.map(|(_, field)| field), object),
                _ => self.findings.push(Finding::new(
                    entity.singular,
                    &self.path,
                    Vec::new(),
                    "expected a record".to_owned(),
                )),
            }
            self.path.pop();
        }
        self.path.pop();
    }

    fn entity(&mut self, entity: &'static Entity, parent_field: Option<&str>, object: &JsonObject) {
        for (name, value) in object {
            if let Some(field) = entity.fields.iter().find(|field| field.name == name) {
                if self.depth == Depth::Full && !field.is_available(self.options) {
                    self.error(entity, vec![Step::Name(name.clone())], "unknown field");
                } else if !value.is_null() {
                    self.field(entity, field, value);
                }
            } else if let Some((child, parent_field)) = entity.children.iter().find(|(child, _)| child.plural == name) {
                if self.depth == Depth::Full && child.enterprise && !self.options.enterprise {
                    self.error(entity, vec![Step::Name(name.clone())], "unknown field");
                } else if !value.is_null() {
                    self.list(child, Some((entity, parent_field)), value);
                }
            } else if !IGNORED.contains(&name.as_str()) {
                self.error(entity, vec![Step::Name(name.clone())], "unknown field");
            }
        }
        for field in entity.fields {
            let given_by_parent = parent_field == Some(field.name);
            if field.is_required(object, self.depth)
                && !given_by_parent
                && object.get(field.name).is_none_or(Value::is_null)
            {
                self.error(
                    entity,
                    vec![Step::Name(field.name.to_owned())],
                    "required field missing",
                );
            }
        }
        if self.depth == Depth::Full {
            let mut scope = Scope {
                object,
                options: self.options,
                entity,
                path: &self.path,
                findings: &mut self.findings,
            };
            (entity.check)(&mut scope);
            if let Some(check) = &self.options.entity_check {
                for (field, message) in check.check(entity.singular, object) {
                    match field {
                        Some(field) => scope.field(&field, message),
                        None => scope.whole(message),
                    }
                }
            }
        }
    }

    fn field(&mut self, entity: &'static Entity, field: &Field, value: &Value) {
        if let Kind::Reference(plural) = field.kind
            && let Value::Object(key) = value
            && !key.get("id").is_some_and(Value::is_string)
        {
            // Kong blames the entity that is referred to.
            let referred = ENTITIES.iter().find(|entity| entity.plural == plural);
            let singular = referred.map_or(entity.singular, |referred| referred.singular);
            self.path.push(Step::Name(field.name.to_owned()));
            let field = vec![Step::Name("id".to_owned())];
            self.findings.push(Finding::new(
                singular,
                &self.path,
                field,
                "missing primary key".to_owned(),
            ));
            self.path.pop();
            return;
        }
        if let Err(errors) = field.kind.check(value, self.depth, self.options) {
            for (mut below, message) in errors {
                below.insert(0, Step::Name(field.name.to_owned()));
                self.error(entity, below, message);
            }
        }
    }

    fn error(&mut self, entity: &'static Entity, field: Vec<Step>, message: impl Into<String>) {
        self.findings
            .push(Finding::new(entity.singular, &self.path, field, message.into()));
    }
}

/// For entities without checks across fields.
fn unchecked(_: &mut Scope<'_>) {}

/// Names in quotes, separated by commas, as Kong lists fields.
fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("'{name}'"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The definition of an entity type in the JSON Schema of [`crate::Configuration`].
    fn definition<'a>(schema: &'a Value, list: &str) -> &'a Value {
        let target = schema["properties"][list]["items"]["$ref"]
            .as_str()
            .expect("a list of entities");
        &schema["$defs"][target.trim_start_matches("#/$defs/")]
    }

    #[test]
    fn tables_and_entity_types_have_the_same_fields() {
        let schema = crate::json_schema();
        for entity in ENTITIES {
            let definition = definition(&schema, entity.plural);
            let typed: BTreeSet<&str> = definition["properties"]
                .as_object()
                .expect("fields")
                .keys()
                .map(String::as_str)
                .collect();
            let fields = entity.fields.iter().map(|field| field.name);
            let children = entity.children.iter().map(|(child, _)| child.plural);
            assert_eq!(
                fields.chain(children).collect::<BTreeSet<_>>(),
                typed,
                "{}",
                entity.plural
            );
            let required: BTreeSet<&str> = definition["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let needed = entity
                .fields
                .iter()
                .filter(|field| field.presence == Presence::Required);
            assert_eq!(
                needed.map(|field| field.name).collect::<BTreeSet<_>>(),
                required,
                "{}",
                entity.plural
            );
        }
    }

    #[test]
    fn every_list_of_a_configuration_has_a_table() {
        let schema = crate::json_schema();
        let lists = schema["properties"].as_object().expect("fields").keys();
        let tables: BTreeSet<&str> = ENTITIES.iter().map(|entity| entity.plural).collect();
        let lists: BTreeSet<&str> = lists
            .map(String::as_str)
            .filter(|name| !name.starts_with('_'))
            .collect();
        assert_eq!(tables, lists);
    }

    #[test]
    fn children_refer_to_their_parents() {
        for entity in ENTITIES {
            for (child, field) in entity.children {
                let reference = child.fields.iter().find(|known| known.name == *field);
                let list = reference.map(|field| match field.kind {
                    Kind::Reference(list) => list,
                    _ => "",
                });
                assert_eq!(list, Some(entity.plural), "{} in {}", child.plural, entity.plural);
            }
        }
    }
}
