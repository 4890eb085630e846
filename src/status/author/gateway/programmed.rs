//! When `Programmed` holds. Pure.

use std::collections::BTreeSet;

use super::Sources;
use crate::{
    model::{Kind, ObjectRef},
    status::object_condition::{ObjectCondition, Verdict},
    translate::{ConditionOutcome, ParentOutcome, RouteOutcome},
};

const TYPE: &str = "Programmed";

/// That of a Gateway or a listener: what translation says, once the proxies have it.
pub(super) fn of_gateway(
    said: &ConditionOutcome,
    generation: Option<i64>,
    confirmed: Option<(&[ConditionOutcome], Option<i64>)>,
    fault: Option<(&'static str, &str)>,
    former: Option<&ObjectCondition>,
) -> ObjectCondition {
    let new = |holds, reason, message: &str, generation| {
        let verdict = Verdict { holds, reason, message };
        ObjectCondition::new(TYPE, &verdict, generation, former)
    };
    if !said.status {
        return new(false, said.reason, &said.message, generation);
    }
    if let Some((reason, message)) = fault {
        return new(false, reason, message, generation);
    }
    let confirmed = confirmed.and_then(|(conditions, generation)| {
        let mut conditions = conditions.iter();
        let confirmed = conditions.find(|confirmed| confirmed.condition == TYPE && confirmed.status)?;
        Some((confirmed, generation))
    });
    match (confirmed, former) {
        (Some((confirmed, generation)), _) => new(true, confirmed.reason, &confirmed.message, generation),
        // It is in force as it was.
        (None, Some(former)) if former.is_true() => former.clone(),
        _ => {
            let message = "The ready proxies have not all confirmed a configuration with it yet.";
            new(false, "Pending", message, generation)
        }
    }
}

/// Judges routes.
pub(super) struct Judge<'a> {
    sources: &'a Sources,
    /// The objects that the configuration has something of which all ready proxies have got to.
    in_force: BTreeSet<&'a ObjectRef>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        let group = Kind::HTTPRoute.group();
        let confirmed = sources.confirmed.iter();
        Self {
            sources,
            in_force: confirmed
                .flat_map(|confirmed| confirmed.objects.of_group(group))
                .collect(),
        }
    }

    pub(super) fn route(&self, object: &ObjectRef, outcome: &'a RouteOutcome) -> Route<'a> {
        let confirmed = self
            .sources
            .confirmed
            .as_ref()
            .filter(|_| self.in_force.contains(object));
        let refusal = Kind::find(&object.group, &object.kind)
            .and_then(|kind| self.sources.refused.get(&(kind, object.namespaced_name())));
        Route {
            outcome,
            confirmed: confirmed.and_then(|confirmed| confirmed.routes.get(object)),
            fault: outcome.translation_error.as_ref().or(refusal).map(String::as_str),
        }
    }
}

/// A route that is judged.
pub(super) struct Route<'a> {
    outcome: &'a RouteOutcome,
    confirmed: Option<&'a RouteOutcome>,
    /// Why it is not served, or not as a whole.
    fault: Option<&'a str>,
}

impl Route<'_> {
    /// What is so with one of its parents, in Kong Ingress Controller's words.
    pub(super) fn of_parent(&self, parent: &ParentOutcome, former: &[ObjectCondition]) -> ObjectCondition {
        let former = former.iter().find(|former| former.type_ == TYPE);
        let generation = self.outcome.observed_generation;
        let verdict = |holds, reason, message| Verdict { holds, reason, message };
        if !parent.is_attached() {
            let verdict = verdict(false, "Unknown", "The route is not attached here.");
            return ObjectCondition::unknown(TYPE, &verdict, generation, former);
        }
        if let Some(message) = self.fault {
            let verdict = verdict(false, "TranslationError", message);
            return ObjectCondition::new(TYPE, &verdict, generation, former);
        }
        let confirmed = self.confirmed.filter(|confirmed| {
            let mut parents = confirmed.parents.iter();
            let attached = parents.any(|known| known.parent == parent.parent && known.is_attached());
            attached && confirmed.translation_error.is_none()
        });
        match (confirmed, former) {
            (Some(confirmed), _) => {
                let message = "All ready proxies run a configuration with the route.";
                let verdict = verdict(true, "ConfiguredInGateway", message);
                ObjectCondition::new(TYPE, &verdict, confirmed.observed_generation, former)
            }
            // It is in force as it was.
            (None, Some(former)) if former.is_true() => former.clone(),
            _ => {
                let message = "The ready proxies have not all confirmed a configuration with it yet.";
                let verdict = verdict(false, "Unknown", message);
                ObjectCondition::unknown(TYPE, &verdict, generation, former)
            }
        }
    }
}
