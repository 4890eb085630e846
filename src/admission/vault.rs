//! `KongVault`. Pure.

use proxy_config_schema::Secrets;
use serde_json::json;

use super::{Question, Review, View, class};
use crate::model::kong::KongVault;

/// Checks that no other vault has the prefix, and asks the proxies for the rest.
pub(super) fn check(vault: &KongVault, view: View<'_>, review: &mut Review) {
    let is_ours = |vault: &KongVault| {
        class::takes(&vault.metadata, view) && class::is_of_our_control_plane(vault.spec.control_plane_ref.as_ref())
    };
    if !is_ours(vault) {
        return;
    }
    let prefix = &vault.spec.prefix;
    let mut others = view.snapshot.vaults.values();
    let same = others
        .find(|other| other.metadata.name != vault.metadata.name && other.spec.prefix == *prefix && is_ours(other));
    if let Some(other) = same {
        let name = &other.metadata.name;
        review.verdict.deny(format!(
            "spec.prefix {prefix:?} is duplicate with existing KongVault {:?}",
            &**name
        ));
        return;
    }
    let mut entity = json!({ "name": vault.spec.backend, "prefix": prefix });
    if !vault.spec.description.is_empty() {
        entity["description"] = json!(vault.spec.description);
    }
    if let Some(config) = &vault.spec.config {
        entity["config"] = json!(config);
    }
    let secrets = vault.spec.config.as_ref().map(Secrets::of_settings).unwrap_or_default();
    let question = Question::schema("vaults", entity, "vault configuration in invalid: ", secrets);
    review.questions.push(question);
}
