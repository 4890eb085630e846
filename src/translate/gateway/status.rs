//! What can be said of the Gateway API's objects that are ours: values from which their statuses are written.
//!
//! Translation sees objects, not proxies: a condition `Programmed` that is true here means that nothing in the objects
//! stands against it. The writer turns it into false (reason `Pending`) until the proxies have the configuration.

use std::collections::BTreeMap;

use crate::model::{
    ObjectRef,
    gateway::{ParentReference, RouteGroupKind},
};

/// Statuses of all objects of the Gateway API that are ours, by object. Objects of other controllers are not in here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GatewayStatuses {
    /// GatewayClasses with our controller's name.
    pub classes: BTreeMap<ObjectRef, ClassOutcome>,
    /// Gateways of these classes.
    pub gateways: BTreeMap<ObjectRef, GatewayOutcome>,
    /// Routes of any kind with at least one parent among these Gateways.
    pub routes: BTreeMap<ObjectRef, RouteOutcome>,
    /// BackendTLSPolicies whose Services are used by these routes.
    pub policies: BTreeMap<ObjectRef, PolicyOutcome>,
}

/// A condition, but for its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionOutcome {
    /// Its type: `Accepted`, `ResolvedRefs`, `Programmed`, `Conflicted`.
    pub condition: &'static str,
    /// `True` or `False`.
    pub status: bool,
    /// Reason, a word of the Gateway API's.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// Status of a GatewayClass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassOutcome {
    /// The generation that was looked at.
    pub observed_generation: Option<i64>,
    /// `Accepted`.
    pub conditions: Vec<ConditionOutcome>,
}

/// Status of a Gateway, but for its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GatewayOutcome {
    /// The generation that was looked at.
    pub observed_generation: Option<i64>,
    /// `Accepted`, `Programmed`.
    pub conditions: Vec<ConditionOutcome>,
    /// Its listeners, in their order.
    pub listeners: Vec<ListenerOutcome>,
}

/// Status of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListenerOutcome {
    /// Name.
    pub name: String,
    /// Kinds of routes that may attach.
    pub supported_kinds: Vec<RouteGroupKind>,
    /// How many routes of any kind are attached.
    pub attached_routes: i64,
    /// `Accepted`, `Conflicted`, `ResolvedRefs`, `Programmed`.
    pub conditions: Vec<ConditionOutcome>,
}

/// Status of a route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteOutcome {
    /// The generation that was looked at.
    pub observed_generation: Option<i64>,
    /// One entry for each parent that is a Gateway of ours, in the route's order. Entries of ours in the status for other
    /// parents are stale.
    pub parents: Vec<ParentOutcome>,
    /// Why nothing or not all of it could be translated; `Programmed` is then false with reason `TranslationError`.
    pub translation_error: Option<String>,
}

/// What a route and one of its parents are to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentOutcome {
    /// The parent, as the route names it.
    pub parent: ParentReference,
    /// `Accepted`, `ResolvedRefs`, and `PartiallyInvalid` where that is so.
    pub conditions: Vec<ConditionOutcome>,
}

/// Status of a BackendTLSPolicy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyOutcome {
    /// The generation that was looked at.
    pub observed_generation: Option<i64>,
    /// The Gateways whose routes use its Services, sorted; at most 16, which is what the API takes.
    pub ancestors: Vec<ObjectRef>,
    /// `Accepted`, `ResolvedRefs`, the same for each ancestor.
    pub conditions: Vec<ConditionOutcome>,
}

impl GatewayStatuses {
    /// Adds what is said of the same objects for other proxies: what some of them can't have counts.
    pub fn join(&mut self, others: &Self) {
        for (object, theirs) in &others.routes {
            if let Some(ours) = self.routes.get_mut(object)
                && ours.translation_error.is_none()
                && theirs.translation_error.is_some()
            {
                ours.clone_from(theirs);
            }
        }
        for (object, theirs) in &others.gateways {
            let ours = self.gateways.get_mut(object).map(|ours| &mut ours.listeners);
            for (ours, theirs) in ours.into_iter().flatten().zip(&theirs.listeners) {
                ours.attached_routes = ours.attached_routes.min(theirs.attached_routes);
            }
        }
    }

    /// Whether there is nothing to be said.
    pub(in crate::translate) fn is_empty(&self) -> bool {
        let Self {
            classes,
            gateways,
            routes,
            policies,
        } = self;
        classes.is_empty() && gateways.is_empty() && routes.is_empty() && policies.is_empty()
    }
}

impl ConditionOutcome {
    /// A condition that holds.
    pub(super) fn yes(condition: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            condition,
            status: true,
            reason,
            message: message.into(),
        }
    }

    /// A condition that does not.
    pub(super) fn no(condition: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            condition,
            status: false,
            reason,
            message: message.into(),
        }
    }
}

impl ParentOutcome {
    /// Whether the parent takes the route as it is written.
    pub fn is_accepted(&self) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|condition| condition.condition == "Accepted" && condition.status)
    }

    /// Whether it would, if all that the route asks for could be done.
    pub fn is_attached(&self) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|condition| {
            let is_of_values = matches!(condition.reason, "UnsupportedValue" | "IncompatibleFilters");
            condition.condition == "Accepted" && (condition.status || is_of_values)
        })
    }
}

impl RouteOutcome {
    /// Nothing of the route can be had.
    pub(super) fn refuse(&mut self, reason: &'static str, message: &str) {
        let conditions = self.parents.iter_mut().flat_map(|parent| &mut parent.conditions);
        for accepted in conditions.filter(|condition| condition.condition == "Accepted" && condition.status) {
            *accepted = ConditionOutcome::no("Accepted", reason, message);
        }
    }

    /// A part of the route can't be had. The message begins as the Gateway API wants it.
    pub(super) fn drop_part(&mut self, message: &str) {
        for parent in self.parents.iter_mut().filter(|parent| parent.is_accepted()) {
            let message = format!("Dropped Rule, or a part of it: {message}");
            parent.conditions.push(ConditionOutcome::yes(
                "PartiallyInvalid",
                super::UNSUPPORTED_VALUE,
                message,
            ));
        }
    }

    /// Notes a reference that leads nowhere. The first one is what the condition tells.
    pub(super) fn refuse_reference(&mut self, reason: &'static str, message: &str) {
        for parent in &mut self.parents {
            let conditions = parent.conditions.iter_mut();
            for resolved in conditions.filter(|condition| condition.condition == "ResolvedRefs" && condition.status) {
                *resolved = ConditionOutcome::no("ResolvedRefs", reason, message);
            }
        }
    }
}
