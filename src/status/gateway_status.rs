//! Statuses of GatewayClasses and Gateways: what is written of them, and what of it stands there already. Pure.
//!
//! Conditions of other types stay, on a listener too: they are somebody else's.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::object_condition::{self, ObjectCondition};
use crate::model::gateway::{GatewayAddress, RouteGroupKind};

/// Types of our conditions on GatewayClasses.
const OF_CLASS: &[&str] = &["Accepted", "SupportedVersion"];
/// Types of our conditions on Gateways.
const OF_GATEWAY: &[&str] = &["Accepted", "Programmed"];
/// Types of our conditions on listeners.
const OF_LISTENER: &[&str] = &["Accepted", "Conflicted", "Programmed", "ResolvedRefs"];

/// Status of a GatewayClass.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GatewayClassStatus {
    /// By type.
    pub(super) conditions: Vec<ObjectCondition>,
    /// In order.
    pub(super) supported_features: Vec<String>,
}

/// Status of a Gateway.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GatewayStatus {
    pub(super) addresses: Vec<GatewayAddress>,
    /// By type.
    pub(super) conditions: Vec<ObjectCondition>,
    /// In the Gateway's order.
    pub(super) listeners: Vec<ListenerStatus>,
}

/// Status of a listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListenerStatus {
    pub(super) name: String,
    #[serde(default)]
    pub(super) supported_kinds: Vec<RouteGroupKind>,
    pub(super) attached_routes: i64,
    /// By type.
    #[serde(default)]
    pub(super) conditions: Vec<ObjectCondition>,
}

impl GatewayClassStatus {
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.supported_features == other.supported_features
            && object_condition::say_the_same(&self.conditions, &other.conditions)
    }

    /// Whether somebody waits to be told.
    pub(super) fn turned(&self, before: &Self) -> bool {
        object_condition::turned(&self.conditions, &before.conditions)
    }

    /// The status: what stands there of others, and ours.
    pub(super) fn joined(&self, found: &Value) -> Value {
        let features = self.supported_features.iter().map(|name| json!({ "name": name }));
        json!({
            "conditions": joined(&self.conditions, &found["conditions"]),
            "supportedFeatures": features.collect::<Vec<_>>(),
        })
    }

    /// What a status says of ours.
    pub(super) fn found(status: &Value) -> Self {
        let features = status["supportedFeatures"].as_array().map(Vec::as_slice);
        let features = features.unwrap_or_default().iter();
        let names = features.filter_map(|feature| feature["name"].as_str());
        Self {
            conditions: ours(&status["conditions"], OF_CLASS),
            supported_features: names.map(str::to_owned).collect(),
        }
    }
}

impl GatewayStatus {
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.addresses == other.addresses
            && object_condition::say_the_same(&self.conditions, &other.conditions)
            && self.listeners.len() == other.listeners.len()
            && self.listeners.iter().zip(&other.listeners).all(|(one, other)| {
                one.name == other.name
                    && one.supported_kinds == other.supported_kinds
                    && one.attached_routes == other.attached_routes
                    && object_condition::say_the_same(&one.conditions, &other.conditions)
            })
    }

    /// Whether somebody waits to be told: it can be more than a count or a generation.
    pub(super) fn turned(&self, before: &Self) -> bool {
        self.addresses != before.addresses
            || object_condition::turned(&self.conditions, &before.conditions)
            || self.listeners.len() != before.listeners.len()
            || self.listeners.iter().any(|listener| {
                let former = before.listener(&listener.name);
                former.is_none_or(|former| object_condition::turned(&listener.conditions, &former.conditions))
            })
    }

    /// The listener of that name.
    pub(super) fn listener(&self, name: &str) -> Option<&ListenerStatus> {
        self.listeners.iter().find(|listener| listener.name == name)
    }

    /// The status: what stands there of others, and ours.
    pub(super) fn joined(&self, found: &Value) -> Value {
        let known = found["listeners"].as_array().map(Vec::as_slice).unwrap_or_default();
        let listeners = self.listeners.iter().map(|listener| {
            let found = known.iter().find(|found| found["name"] == listener.name);
            let mut status = json!(listener);
            status["conditions"] = joined(
                &listener.conditions,
                found.map_or(&Value::Null, |found| &found["conditions"]),
            );
            status
        });
        json!({
            "addresses": self.addresses,
            "conditions": joined(&self.conditions, &found["conditions"]),
            "listeners": listeners.collect::<Vec<_>>(),
        })
    }

    /// What a status says of ours.
    pub(super) fn found(status: &Value) -> Self {
        let listeners = status["listeners"].as_array().map(Vec::as_slice).unwrap_or_default();
        let listeners = listeners.iter().filter_map(|found| {
            let listener = ListenerStatus {
                conditions: ours(&found["conditions"], OF_LISTENER),
                ..ListenerStatus::deserialize(found).ok()?
            };
            Some(listener)
        });
        Self {
            addresses: Vec::deserialize(&status["addresses"]).unwrap_or_default(),
            conditions: ours(&status["conditions"], OF_GATEWAY),
            listeners: listeners.collect(),
        }
    }
}

/// Our conditions in a list, by type.
fn ours(found: &Value, types: &[&str]) -> Vec<ObjectCondition> {
    let found = found.as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let mut conditions: Vec<ObjectCondition> = found
        .filter_map(|condition| ObjectCondition::deserialize(condition).ok())
        .filter(|condition| types.contains(&&*condition.type_))
        .collect();
    conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    conditions
}

/// Our conditions, and those of other types that stand there. One that speaks of a later generation than ours stays as
/// it is: whoever wrote it has seen more.
fn joined(ours: &[ObjectCondition], found: &Value) -> Value {
    let found = found.as_array().map(Vec::as_slice).unwrap_or_default();
    let of_type = |type_: &str| found.iter().find(|found| found["type"] == *type_);
    let kept = ours.iter().map(|condition| match of_type(&condition.type_) {
        Some(found) if found["observedGeneration"].as_i64() > condition.observed_generation => found.clone(),
        _ => json!(condition),
    });
    let foreign = found
        .iter()
        .filter(|found| ours.iter().all(|condition| found["type"] != *condition.type_));
    kept.chain(foreign.cloned()).collect()
}
