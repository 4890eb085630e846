//! `KongCustomEntity`. Pure.

use super::{Question, Review, View, class};
use crate::{model::kong::KongCustomEntity, translate::is_entity_type};

/// Types with objects of their own (`kic.md` 2.3).
const KNOWN: [&str; 7] = [
    "services",
    "routes",
    "upstreams",
    "targets",
    "plugins",
    "consumers",
    "consumer_groups",
];

/// Asks the proxies whether they know such entities, and whether they would take this one.
pub(super) fn check(entity: &KongCustomEntity, view: View<'_>, review: &mut Review) {
    let enabled = |settings: &crate::translate::Settings| settings.feature_gates.kong_custom_entity;
    if !class::takes_name(&entity.spec.controller_name, view) || !view.settings.translations.iter().any(enabled) {
        return;
    }
    let kind = &entity.spec.type_;
    if !is_entity_type(kind) {
        review.verdict.deny(format!(
            "failed to get schema of Kong entity type '{kind}': that is no name of a type"
        ));
    } else if KNOWN.contains(&kind.as_str()) {
        review
            .verdict
            .deny("The type field cannot be one of the known Kong entity types");
    } else {
        review
            .questions
            .push(Question::custom_entity(kind, &entity.spec.fields));
    }
}
