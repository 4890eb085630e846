//! Conditions on users' objects: what is written of them, and what of it stands there already. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::resource::{bound, cut, whole_seconds};

/// A condition, with the fields of `metav1.Condition`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectCondition {
    /// What is meant: `Programmed`, `Accepted`.
    #[serde(rename = "type")]
    pub(super) type_: String,
    /// `True`, `False` or `Unknown`.
    pub(super) status: String,
    /// Why, one word.
    pub(super) reason: String,
    /// Why, in a sentence.
    pub(super) message: String,
    /// The generation of the object that it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) observed_generation: Option<i64>,
    /// Since when the status is what it is.
    pub(super) last_transition_time: Timestamp,
}

impl ObjectCondition {
    /// A condition; its time is the former one's as long as the status stays.
    pub(super) fn new(
        type_: &str,
        verdict: &Verdict<'_>,
        observed_generation: Option<i64>,
        former: Option<&Self>,
    ) -> Self {
        let status = if verdict.holds { "True" } else { "False" };
        let since = former.filter(|former| former.status == status);
        Self {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.to_owned(),
            message: cut(verdict.message, bound::MESSAGE),
            observed_generation,
            last_transition_time: since
                .map_or_else(|| whole_seconds(Timestamp::now()), |former| former.last_transition_time),
        }
    }

    /// Whether it says nothing else than another, whenever that was.
    fn says_the_same(&self, other: &Self) -> bool {
        let last_transition_time = other.last_transition_time;
        Self {
            last_transition_time,
            ..self.clone()
        } == *other
    }

    /// Whether somebody waits to be told.
    pub(super) fn turned(&self, before: &Self) -> bool {
        self.status != before.status || self.reason != before.reason
    }
}

/// What a condition says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict<'a> {
    pub(super) holds: bool,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
}

/// The condition `Programmed` of an object; of a KongLicense it stands under the name of a controller.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Programmed {
    pub(super) controller: Option<Arc<str>>,
    pub(super) condition: ObjectCondition,
}

impl Programmed {
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.condition.says_the_same(&other.condition)
    }

    /// What is applied: conditions and controllers of others stay, since these lists are joined by key.
    pub(super) fn status(&self) -> Value {
        match &self.controller {
            None => json!({ "conditions": [self.condition] }),
            Some(controller) => {
                json!({ "controllers": [{ "controllerName": controller, "conditions": [self.condition] }] })
            }
        }
    }

    /// What a status says, unless it is what the API server puts there before anyone has looked.
    pub(super) fn found(status: &Value, controller: Option<&Arc<str>>) -> Option<Self> {
        let holder = match controller {
            None => status,
            Some(controller) => {
                let mut controllers = status["controllers"].as_array()?.iter();
                controllers.find(|entry| entry["controllerName"] == **controller)?
            }
        };
        let mut conditions = holder["conditions"].as_array()?.iter();
        let condition = conditions.find(|condition| condition["type"] == "Programmed")?;
        let condition: ObjectCondition = serde_json::from_value(condition.clone()).ok()?;
        (condition.status != "Unknown").then(|| Self {
            controller: controller.cloned(),
            condition,
        })
    }
}

/// What became of a KongUpstreamPolicy on the objects that name it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ancestors {
    /// Who says so; entries of others stay.
    pub(super) controller: Arc<str>,
    pub(super) entries: Vec<Ancestor>,
}

/// What became of it on one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ancestor {
    pub(super) ancestor_ref: AncestorRef,
    pub(super) conditions: Vec<ObjectCondition>,
}

/// A Service or KongServiceFacade.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct AncestorRef {
    /// `core` for Services, as with Kong Ingress Controller.
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Ancestors {
    /// Entries of all controllers in one status.
    pub(super) const MOST: usize = 16;

    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len()
            && self.entries.iter().zip(&other.entries).all(|(one, other)| {
                one.ancestor_ref == other.ancestor_ref
                    && one.conditions.len() == other.conditions.len()
                    && one
                        .conditions
                        .iter()
                        .zip(&other.conditions)
                        .all(|(one, other)| one.says_the_same(other))
            })
    }

    /// Whether somebody waits to be told.
    pub(super) fn turned(&self, before: &Self) -> bool {
        self.entries.len() != before.entries.len()
            || self.entries.iter().zip(&before.entries).any(|(now, before)| {
                now.ancestor_ref != before.ancestor_ref
                    || now.conditions.len() != before.conditions.len()
                    || now
                        .conditions
                        .iter()
                        .zip(&before.conditions)
                        .any(|(now, before)| now.turned(before))
            })
    }

    /// The former condition of that type on an object.
    pub(super) fn condition(&self, reference: &AncestorRef, type_: &str) -> Option<&ObjectCondition> {
        let entry = self.entries.iter().find(|entry| entry.ancestor_ref == *reference)?;
        entry.conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// The whole list: what stands there of other controllers, then ours, as far as there is room.
    pub(super) fn joined(&self, found: &Value) -> Value {
        let found = found.as_array().map(Vec::as_slice).unwrap_or_default();
        let others = found.iter().filter(|entry| entry["controllerName"] != *self.controller);
        let ours = self.entries.iter().map(|entry| {
            let mut entry = json!(entry);
            entry["controllerName"] = json!(self.controller);
            entry
        });
        others.cloned().chain(ours).take(Self::MOST).collect()
    }

    /// Our entries in a status, if there are any.
    pub(super) fn found(status: &Value, controller: &Arc<str>) -> Option<Self> {
        let entries = status["ancestors"].as_array()?.iter();
        let ours = entries.filter(|entry| entry["controllerName"] == **controller);
        let ours: Vec<Ancestor> = ours
            .filter_map(|entry| serde_json::from_value(entry.clone()).ok())
            .collect();
        (!ours.is_empty()).then(|| Self {
            controller: controller.clone(),
            entries: ours,
        })
    }
}
