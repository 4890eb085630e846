//! What is wrong with a configuration, per entity: the shape of Kong's flattened errors.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All errors of one entity, as an element of `flattened_errors` in Kong's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntityError {
    /// Singular: `service`, `route`, `certificate`, …
    pub entity_type: String,
    /// The entity itself without its nested lists. May hold secrets: never stored, never logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<Value>,
    /// Its name, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_name: Option<String>,
    /// Its identifier, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_id: Option<String>,
    /// Its tags, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_tags: Option<Vec<String>>,
    /// What is wrong with it.
    pub errors: Vec<ErrorDetail>,
}

/// One thing that is wrong with an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// Whether a field is meant or the whole entity.
    #[serde(rename = "type")]
    pub kind: ErrorKind,
    /// The field: `paths.1`, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What is wrong, one message per element of the field, `null` for good ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Option<String>>>,
}

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorKind {
    /// A field.
    Field,
    /// The whole entity.
    Entity,
}
