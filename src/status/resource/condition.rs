//! Conditions as Kubernetes shows them.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{bound, cut};
use crate::fleet::{Condition, ConditionStatus};

/// What holds, since when and why. Same fields as `metav1.Condition`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusCondition {
    /// What is meant, one word.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = bound::WORD))]
    pub type_: String,
    /// Whether it holds: `True`, `False` or `Unknown`.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    /// Since when the status is what it is.
    #[schemars(schema_with = "date_time")]
    pub last_transition_time: Timestamp,
    /// Why, one word that a person can act on.
    #[schemars(length(max = bound::WORD))]
    pub reason: String,
    /// Why, in a sentence.
    #[schemars(length(max = bound::MESSAGE))]
    pub message: String,
}

impl StatusCondition {
    /// A condition of the fleet in the words of Kubernetes.
    pub(crate) fn new(type_: &str, condition: &Condition) -> Self {
        Self {
            type_: type_.to_owned(),
            status: condition.status.as_str().to_owned(),
            last_transition_time: whole_seconds(condition.since),
            reason: cut(&condition.reason, bound::WORD),
            message: cut(&condition.message, bound::MESSAGE),
        }
    }

    /// Whether it says so.
    pub(crate) fn is(&self, status: ConditionStatus) -> bool {
        self.status == status.as_str()
    }
}

/// Kubernetes keeps times in whole seconds: anything finer would differ from what is read back.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).expect("the second of a time is a time")
}

/// An RFC 3339 time.
pub(super) fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// A number of things.
pub(super) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 0 })
}

/// A number of things, if it is known.
pub(super) fn optional_count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 0, "nullable": true })
}

/// An RFC 3339 time, or none.
pub(super) fn optional_date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "nullable": true })
}
