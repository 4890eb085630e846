//! The `caBundle` of a ValidatingWebhookConfiguration: whom the API server trusts when it asks the webhook.
//!
//! The chart leaves it out; the leader sets it by server-side apply, and owns no other field. It sets it again when the
//! authority is another one, and when somebody clears or changes it.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration},
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

/// Who owns the field.
const FIELD_MANAGER: &str = "silverback-ca-bundle";
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
        let patch = match (&found, authority) {
            (Some(configuration), Some(authority)) => patch(configuration, &authority),
            _ => None,
        };
        let mut wait = None;
        if let Some(patch) = patch {
            let parameters = PatchParams::apply(FIELD_MANAGER).force();
            match api.patch(name, &parameters, &Patch::Apply(&patch)).await {
                Ok(stored) => {
                    tracing::info!(configuration = %name, "the API server trusts the admission webhook (caBundle)");
                    found = Some(stored);
                    complained = false;
                }
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

/// What to apply so that every webhook of the configuration has this bundle; `None` if they all have.
fn patch(configuration: &ValidatingWebhookConfiguration, authority: &str) -> Option<Value> {
    let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
    let bundle = ByteString(authority.as_bytes().to_vec());
    let has_it = |webhook: &ValidatingWebhook| webhook.client_config.ca_bundle.as_ref() == Some(&bundle);
    if webhooks.iter().all(has_it) {
        return None;
    }
    let webhooks: Vec<Value> = webhooks
        .iter()
        .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}}))
        .collect();
    Some(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": configuration.metadata.name},
        "webhooks": webhooks,
    }))
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
        assert_eq!(patch(&configuration([Some("ours"), Some("ours")]), "ours"), None);
        for bundles in [[None, None], [Some("ours"), None], [Some("ours"), Some("theirs")]] {
            let patch = patch(&configuration(bundles), "ours").expect("something to do");
            let bundle = json!(ByteString(b"ours".to_vec()));
            assert_eq!(
                patch,
                json!({
                    "apiVersion": "admissionregistration.k8s.io/v1",
                    "kind": "ValidatingWebhookConfiguration",
                    "metadata": {"name": "it"},
                    "webhooks": [
                        {"name": "a.example", "clientConfig": {"caBundle": bundle}},
                        {"name": "b.example", "clientConfig": {"caBundle": bundle}},
                    ],
                })
            );
        }
    }
}
