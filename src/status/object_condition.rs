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
        Self::stated(type_, status, verdict, observed_generation, former)
    }

    /// A condition of which is not known whether it holds, whatever the verdict says.
    pub(super) fn unknown(
        type_: &str,
        verdict: &Verdict<'_>,
        observed_generation: Option<i64>,
        former: Option<&Self>,
    ) -> Self {
        Self::stated(type_, "Unknown", verdict, observed_generation, former)
    }

    fn stated(
        type_: &str,
        status: &str,
        verdict: &Verdict<'_>,
        observed_generation: Option<i64>,
        former: Option<&Self>,
    ) -> Self {
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

    /// Whether it holds.
    pub(super) fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// Whether it says nothing else than another, whenever that was.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
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

/// The condition of a type.
pub(super) fn of_type<'a>(conditions: &'a [ObjectCondition], type_: &str) -> Option<&'a ObjectCondition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether two lists of conditions say nothing else than one another.
pub(super) fn say_the_same(one: &[ObjectCondition], other: &[ObjectCondition]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.says_the_same(other))
}

/// Whether somebody waits to be told of one list that was another before.
pub(super) fn turned(now: &[ObjectCondition], before: &[ObjectCondition]) -> bool {
    now.len() != before.len()
        || now.iter().any(|condition| {
            let former = of_type(before, &condition.type_);
            former.is_none_or(|former| condition.turned(former))
        })
}
