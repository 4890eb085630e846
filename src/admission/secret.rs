//! Secrets: credentials of consumers, configurations of plugins, CA certificates. Pure.

use super::{Change, Review, View, consumer, credential, plugin};
use crate::model::kubernetes::Secret;

/// Checks a Secret for whoever uses it.
pub(super) fn check(secret: &Secret, change: &Change, view: View<'_>, review: &mut Review) {
    if secret.metadata.labels.contains_key(credential::LABEL) {
        check_credential(secret, change, view, review);
    }
    plugin::check_users(change, view, review);
}

fn check_credential(secret: &Secret, change: &Change, view: View<'_>, review: &mut Review) {
    if let Err(fault) = credential::check(secret) {
        review.verdict.deny(fault.to_string());
        return;
    }
    let consumers = || {
        let consumers = view.snapshot.consumers.values().map(AsRef::as_ref);
        consumers.filter(|one| consumer::is_ours(one, view))
    };
    let user = consumers().find(|one| consumer::secrets(one).contains(&change.key));
    if let Some(user) = user
        && let Err(fault) = credential::check_unique(&[secret], &user.metadata.key(), consumers(), view)
    {
        review.verdict.deny(fault.to_string());
    }
}
