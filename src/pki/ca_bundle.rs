//! The `caBundle` of a ValidatingWebhookConfiguration: whom the API server trusts when it asks the webhook.
//!
//! The chart leaves it out; the leader sets it by server-side apply, touches no other field, and gives up what it owns by
//! that. It sets it again when the authority is another one, and when somebody clears or changes it. A configuration that
//! another chart has rendered, as a rollback brings it back, is left to those whom it leads to.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration},
    apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::WebhookCertificate;
use crate::{back_off::BackOff, model::Leadership};

/// Who sets the field.
const FIELD_MANAGER: &str = "silverback-ca-bundle";
/// What charts say which one has rendered an object by.
const CHART: &str = "helm.sh/chart";
/// What our chart marks the configuration by where it leaves the bundle to the controller.
const MARK: &str = "gateway.silverback.dev/ca-bundle";
/// How long after a failed write the next one is tried.
const RETRY: Duration = Duration::from_secs(5);

/// Which configuration.
#[derive(Debug, Clone)]
pub struct CaBundleSettings {
    /// Name of the ValidatingWebhookConfiguration.
    pub configuration: String,
}

/// Keeps the bundle current as long as this replica leads, until an input ends.
pub async fn keep(
    client: Client,
    settings: CaBundleSettings,
    mut certificate: watch::Receiver<Option<Arc<WebhookCertificate>>>,
    mut leadership: watch::Receiver<Leadership>,
) {
    let api = Api::<ValidatingWebhookConfiguration>::all(client);
    loop {
        while !leadership.borrow_and_update().is_leader() {
            if leadership.changed().await.is_err() {
                return;
            }
        }
        if !lead(&api, &settings, &mut certificate, &mut leadership).await {
            return;
        }
    }
}

/// One leadership; whether there may be another one.
async fn lead(
    api: &Api<ValidatingWebhookConfiguration>,
    settings: &CaBundleSettings,
    certificate: &mut watch::Receiver<Option<Arc<WebhookCertificate>>>,
    leadership: &mut watch::Receiver<Leadership>,
) -> bool {
    let name = &settings.configuration;
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watcher(api.clone(), config).backoff(BackOff::default()));
    let mut found = None;
    let mut complained = false;
    loop {
        let authority = certificate
            .borrow_and_update()
            .as_ref()
            .map(|one| one.authority.clone());
        let due = match (&found, authority) {
            (Some(configuration), Some(authority)) => write(configuration, &authority).map(|write| (write, authority)),
            _ => None,
        };
        let mut wait = None;
        if let Some((write, authority)) = due {
            let outcome = match &write {
                Write::Set(bundle) => {
                    let parameters = PatchParams::apply(FIELD_MANAGER).force();
                    api.patch(name, &parameters, &Patch::Apply(bundle)).await
                }
                Write::GiveUp(owners) => api.patch(name, &PatchParams::default(), &Patch::Merge(owners)).await,
            };
            match outcome {
                Ok(stored) => {
                    complained = false;
                    if let Write::Set(_) = write {
                        tracing::info!(configuration = %name, "the API server trusts the admission webhook (caBundle)");
                        // What was set is to be given up at once; what is not there in spite of the answer can wait.
                        let is_set = has_bundle(&stored, &authority);
                        found = Some(stored);
                        if is_set {
                            continue;
                        }
                        wait = Some(RETRY);
                    } else {
                        found = Some(stored);
                    }
                }
                // Somebody was faster; the watch tells what stands there now.
                Err(kube::Error::Api(status)) if status.code == 409 => wait = Some(RETRY),
                Err(error) => {
                    if !complained {
                        complained = true;
                        tracing::error!(
                            configuration = %name, %error,
                            "failed to set the caBundle of the ValidatingWebhookConfiguration; if it is forbidden and that lasts, \
                             grant get, list, watch and patch on it by name"
                        );
                    }
                    wait = Some(RETRY);
                }
            }
        }
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(watcher::Event::Apply(one) | watcher::Event::InitApply(one))) => found = Some(one),
                Some(Ok(watcher::Event::Delete(_) | watcher::Event::Init)) => found = None,
                Some(Ok(watcher::Event::InitDone)) => {
                    if found.is_none() && !complained {
                        complained = true;
                        tracing::warn!(configuration = %name, "there is no such ValidatingWebhookConfiguration: nothing is reviewed");
                    }
                }
                Some(Err(error)) if !complained => {
                    complained = true;
                    tracing::warn!(configuration = %name, %error, "failed to watch the ValidatingWebhookConfiguration");
                }
                Some(Err(_)) => {}
                None => return false,
            },
            changed = certificate.changed() => if changed.is_err() {
                return false;
            },
            changed = leadership.changed() => {
                if changed.is_err() {
                    return false;
                }
                if !leadership.borrow_and_update().is_leader() {
                    return true;
                }
            }
            () = tokio::time::sleep(wait.unwrap_or(Duration::MAX)), if wait.is_some() => {}
        }
    }
}

/// What is to be written.
#[derive(Debug, PartialEq)]
enum Write {
    /// To apply: the bundle of every webhook.
    Set(Value),
    /// To merge: who owns what, without us. Who applies a manifest with a bundle, as `helm rollback` of Helm 4 does to another
    /// chart's revision, would be told of a conflict with the owner of the bundle, and would stop.
    GiveUp(Value),
}

/// What is to be done so that every webhook of the configuration has this bundle, and nobody owns it; `None` if it is so, or
/// where the configuration is another chart's.
fn write(configuration: &ValidatingWebhookConfiguration, authority: &str) -> Option<Write> {
    let metadata = &configuration.metadata;
    let is_of_a_chart = metadata
        .labels
        .as_ref()
        .is_some_and(|labels| labels.contains_key(CHART));
    let is_marked = metadata
        .annotations
        .as_ref()
        .is_some_and(|found| found.contains_key(MARK));
    if is_of_a_chart && !is_marked {
        return None;
    }
    if has_bundle(configuration, authority) {
        return give_up(configuration).map(Write::GiveUp);
    }
    let bundle = ByteString(authority.as_bytes().to_vec());
    let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
    let webhooks: Vec<Value> = webhooks
        .iter()
        .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}}))
        .collect();
    Some(Write::Set(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": metadata.name},
        "webhooks": webhooks,
    })))
}

/// Whether every webhook has this bundle.
fn has_bundle(configuration: &ValidatingWebhookConfiguration, authority: &str) -> bool {
    let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
    let has_it = |webhook: &ValidatingWebhook| {
        let bundle = webhook.client_config.ca_bundle.as_ref();
        bundle.is_some_and(|bundle| bundle.0 == authority.as_bytes())
    };
    webhooks.iter().all(has_it)
}

/// The owners without us. `None` where we are none of them, or the only one: an empty list would be taken for none at all.
fn give_up(configuration: &ValidatingWebhookConfiguration) -> Option<Value> {
    let metadata = &configuration.metadata;
    let owners = metadata.managed_fields.as_deref().unwrap_or_default();
    let is_us = |owner: &&ManagedFieldsEntry| owner.manager.as_deref() == Some(FIELD_MANAGER);
    let others: Vec<_> = owners.iter().filter(|owner| !is_us(owner)).collect();
    (!others.is_empty() && others.len() < owners.len())
        .then(|| json!({"metadata": {"resourceVersion": metadata.resource_version, "managedFields": others}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(bundles: [Option<&str>; 2]) -> ValidatingWebhookConfiguration {
        let webhooks = ["a.example", "b.example"]
            .into_iter()
            .zip(bundles)
            .map(|(name, bundle)| {
                let mut webhook = json!({"name": name, "clientConfig": {"service": {"name": "s", "namespace": "n"}},
                "admissionReviewVersions": ["v1"], "sideEffects": "None"});
                if let Some(bundle) = bundle {
                    webhook["clientConfig"]["caBundle"] = json!(ByteString(bundle.as_bytes().to_vec()));
                }
                webhook
            });
        let webhooks: Vec<_> = webhooks.collect();
        serde_json::from_value(json!({"metadata": {"name": "it"}, "webhooks": webhooks})).expect("it fits")
    }

    #[test]
    fn the_bundle_is_set_where_it_is_missing_or_another_and_nothing_else_is_touched() {
        assert_eq!(write(&configuration([Some("ours"), Some("ours")]), "ours"), None);
        for bundles in [[None, None], [Some("ours"), None], [Some("ours"), Some("theirs")]] {
            let bundle = json!(ByteString(b"ours".to_vec()));
            assert_eq!(
                write(&configuration(bundles), "ours"),
                Some(Write::Set(json!({
                    "apiVersion": "admissionregistration.k8s.io/v1",
                    "kind": "ValidatingWebhookConfiguration",
                    "metadata": {"name": "it"},
                    "webhooks": [
                        {"name": "a.example", "clientConfig": {"caBundle": bundle}},
                        {"name": "b.example", "clientConfig": {"caBundle": bundle}},
                    ],
                })))
            );
        }
    }

    fn owner(manager: &str) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some("Apply".to_owned()),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn what_was_set_is_owned_by_nobody_so_that_a_rollback_meets_no_conflict() {
        let mut it = configuration([Some("ours"), Some("ours")]);
        it.metadata.resource_version = Some("7".to_owned());
        it.metadata.managed_fields = Some(vec![owner("helm"), owner(FIELD_MANAGER)]);
        let kept = json!([{"manager": "helm", "operation": "Apply"}]);
        assert_eq!(
            write(&it, "ours"),
            Some(Write::GiveUp(
                json!({"metadata": {"resourceVersion": "7", "managedFields": kept}})
            ))
        );
        for owners in [vec![owner("helm")], vec![owner(FIELD_MANAGER)], vec![]] {
            it.metadata.managed_fields = Some(owners);
            assert_eq!(write(&it, "ours"), None);
        }
    }

    #[test]
    fn what_another_chart_has_rendered_is_left_alone() {
        let mut it = configuration([Some("theirs"), Some("theirs")]);
        it.metadata.labels = Some([(CHART.to_owned(), "kong-3.4.1".to_owned())].into());
        assert_eq!(write(&it, "ours"), None, "as after a rollback");
        it.metadata.annotations = Some([(MARK.to_owned(), "controller".to_owned())].into());
        assert!(matches!(write(&it, "ours"), Some(Write::Set(_))), "ours");
    }
}
