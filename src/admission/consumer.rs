//! `KongConsumer` and `KongConsumerGroup`. Pure.

use super::{Known, Question, Review, Verdict, View, class, credential};
use crate::model::{
    Edition, NamespacedName, Object,
    kong::{KongConsumer, KongConsumerGroup},
};

/// The Secrets that a consumer names.
pub(super) fn secrets(consumer: &KongConsumer) -> Vec<NamespacedName> {
    let namespace = &consumer.metadata.namespace;
    let names = consumer.credentials.iter().filter(|name| !name.is_empty());
    names
        .map(|name| NamespacedName::new(namespace.clone(), name.as_str()))
        .collect()
}

/// Whether a consumer is ours.
pub(super) fn is_ours(consumer: &KongConsumer, view: View<'_>) -> bool {
    class::takes(&consumer.metadata, view) && class::is_of_our_control_plane(consumer.spec.control_plane_ref.as_ref())
}

/// Checks that nobody else is called so, and the credentials.
pub(super) fn check(consumer: &KongConsumer, old: Option<&Object>, view: View<'_>, verdict: &mut Verdict) {
    if !is_ours(consumer, view) {
        return;
    }
    let key = consumer.metadata.key();
    let others = || {
        let consumers = view.snapshot.consumers.values().map(AsRef::as_ref);
        consumers.filter(|other: &&KongConsumer| other.metadata.key() != key && is_ours(other, view))
    };
    let old = match old {
        Some(Object::KongConsumer(old)) => Some(old),
        _ => None,
    };
    for (field, of) in [
        (
            "username",
            (|consumer| &consumer.username) as fn(&KongConsumer) -> &String,
        ),
        ("custom_id", |consumer| &consumer.custom_id),
    ] {
        let value = of(consumer);
        if value.is_empty() || old.is_some_and(|old| of(old) == value) {
            continue;
        }
        if let Some(other) = others().find(|other| of(other) == value) {
            let other = other.metadata.key();
            verdict.deny(format!(
                "consumer already exists: KongConsumer {other} has {field} {value:?}"
            ));
        }
    }
    for name in &consumer.consumer_groups {
        let group = NamespacedName::new(key.namespace.clone(), name.as_str());
        if !view.snapshot.consumer_groups.contains_key(&group) {
            verdict.warn(format!(
                "nonexistent consumer group: {group}; create it, or correct the name"
            ));
        }
    }
    let mut found = Vec::new();
    for key in secrets(consumer) {
        match view.secret(&key) {
            Known::Here(secret) => {
                if let Err(fault) = credential::check(secret) {
                    verdict.deny(format!("consumer credential failed validation: Secret {key}: {fault}"));
                }
                found.push(secret);
            }
            Known::Absent => verdict.deny(format!(
                "consumer referenced non-existent credentials secret: {key} does not exist; create it first"
            )),
            Known::Unknown => verdict.warn(format!(
                "the credentials in Secret {key} were not checked: it could not be read"
            )),
        }
    }
    if let Err(fault) = credential::check_unique(&found, &key, others(), view) {
        verdict.deny(format!("consumer credential failed validation: {fault}"));
    }
}

/// Checks that the proxies know groups at all.
pub(super) fn check_group(group: &KongConsumerGroup, view: View<'_>, review: &mut Review) {
    if !class::takes(&group.metadata, view) || !class::is_of_our_control_plane(group.spec.control_plane_ref.as_ref()) {
        return;
    }
    let editions = || {
        view.settings
            .translations
            .iter()
            .map(|settings| settings.profile.edition)
    };
    if editions().next().is_some() && editions().all(|edition| edition == Some(Edition::OpenSource)) {
        review.verdict.deny("consumer group support requires Kong Enterprise");
    } else if editions().any(|edition| edition == Some(Edition::Enterprise)) {
        review.questions.push(Question::consumer_groups());
    }
}
