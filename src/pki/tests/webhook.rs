//! The webhook's certificate in its Secret, and the `caBundle`, against an API server in memory.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::eventually;
use crate::{
    lease::fake_api::FakeApi,
    model::{Epoch, Leadership, NamespacedName},
    pki::{CaBundleSettings, WebhookCertificate, WebhookSecretSettings, keep_ca_bundle, keep_webhook_secret},
};

const LIMIT: Duration = Duration::from_secs(60);
const SECRET: &str = "/api/v1/namespaces/gateway/secrets/webhook-tls";
const CONFIGURATION: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/validations";

type Certificates = watch::Receiver<Option<Arc<WebhookCertificate>>>;

fn keep(api: &FakeApi) -> Certificates {
    // Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (sender, receiver) = watch::channel(None);
    let settings = WebhookSecretSettings {
        secret: NamespacedName::new("gateway", "webhook-tls"),
        names: vec!["webhook.gateway.svc".to_owned()],
    };
    tokio::spawn(keep_webhook_secret(api.client(), settings, sender));
    receiver
}

async fn published(certificates: &mut Certificates) -> Arc<WebhookCertificate> {
    let published = tokio::time::timeout(LIMIT, certificates.wait_for(Option::is_some)).await;
    published.expect("in time").expect("it is kept").clone().unwrap()
}

#[tokio::test(start_paused = true)]
async fn replicas_share_one_certificate_and_replace_it_when_it_is_emptied() {
    let api = FakeApi::new();
    api.put(SECRET, json!({"type": "Opaque"}));
    let (mut one, other) = (keep(&api), keep(&api));
    let first = published(&mut one).await;
    eventually("both show the same", || other.borrow().as_ref() == Some(&first)).await;
    let (_, leaf) = x509_parser::pem::parse_x509_pem(first.pair.certificate.as_bytes()).unwrap();
    let leaf = leaf.parse_x509().unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap().value;
    assert!(format!("{names:?}").contains("webhook.gateway.svc"), "{names:?}");
    let (_, authority) = x509_parser::pem::parse_x509_pem(first.authority.as_bytes()).unwrap();
    let authority = authority.parse_x509().unwrap();
    leaf.verify_signature(Some(authority.public_key())).unwrap();

    api.put(SECRET, json!({"type": "Opaque"}));
    let of_one = one.clone();
    eventually("a new one is made", || of_one.borrow().as_ref() != Some(&first)).await;
    let second = published(&mut one).await;
    eventually("both show the new one", || other.borrow().as_ref() == Some(&second)).await;
    assert_ne!(first.authority, second.authority);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_for_other_names_is_issued_anew_by_the_same_authority() {
    let api = FakeApi::new();
    api.put(SECRET, json!({"type": "Opaque"}));
    let first = published(&mut keep(&api)).await;
    let mut secret = api.get(SECRET).unwrap();
    secret["data"]["names"] = json!(STANDARD.encode("elsewhere.gateway.svc"));
    api.put(SECRET, secret);
    let mut certificates = keep(&api);
    let second = published(&mut certificates).await;
    assert_eq!(first.authority, second.authority);
    assert_ne!(first.pair.certificate, second.pair.certificate);
}

fn configuration() -> Value {
    let webhook = |name: &str| {
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
            "clientConfig": {"service": {"name": "webhook", "namespace": "gateway"}},
        })
    };
    let metadata = json!({
        "labels": {"helm.sh/chart": "silverback-1.0.0"}, "annotations": {"gateway.silverback.dev/ca-bundle": "controller"},
        "managedFields": [{"manager": "helm", "operation": "Apply"}],
    });
    json!({"metadata": metadata, "webhooks": [webhook("a.example"), webhook("b.example")]})
}

fn bundles(api: &FakeApi) -> Vec<String> {
    let configuration = api.get(CONFIGURATION).unwrap_or_default();
    let webhooks = configuration["webhooks"].as_array().cloned().unwrap_or_default();
    let bundle = |webhook: &Value| {
        assert_eq!(webhook["failurePolicy"], "Ignore", "nothing else is touched");
        let bundle = webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default();
        String::from_utf8(STANDARD.decode(bundle).unwrap()).unwrap()
    };
    webhooks.iter().map(bundle).collect()
}

#[tokio::test(start_paused = true)]
async fn the_leader_alone_sets_the_bundle_and_sets_it_again() {
    let api = FakeApi::new();
    api.put(SECRET, json!({"type": "Opaque"}));
    api.put(CONFIGURATION, configuration());
    let mut certificates = keep(&api);
    let authority = published(&mut certificates).await.authority.clone();
    let (leadership, follows) = watch::channel(Leadership::Follower { holder: None });
    let settings = CaBundleSettings {
        configuration: "validations".to_owned(),
    };
    tokio::spawn(keep_ca_bundle(api.client(), settings, certificates.clone(), follows));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(bundles(&api), ["", ""], "a follower writes nothing");

    leadership.send_replace(Leadership::Leader {
        epoch: Epoch {
            lease_uid: "lease".into(),
            transitions: 1,
        },
    });
    let ours = |api: &FakeApi| bundles(api) == [authority.clone(), authority.clone()];
    eventually("it is set", || ours(&api)).await;
    let owners = |api: &FakeApi| api.get(CONFIGURATION).unwrap_or_default()["metadata"]["managedFields"].clone();
    eventually(
        "nobody owns it, so that nobody who applies one meets a conflict",
        || owners(&api) == json!([{"manager": "helm", "operation": "Apply"}]),
    )
    .await;
    assert!(ours(&api), "it stands there all the same");
    api.put(CONFIGURATION, configuration());
    eventually("it is set again after somebody cleared it, and given up", || {
        ours(&api) && owners(&api) == json!([{"manager": "helm", "operation": "Apply"}])
    })
    .await;
    api.take_requests();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let writes: Vec<_> = api
        .take_requests()
        .into_iter()
        .filter(|line| line.starts_with("PATCH"))
        .collect();
    assert!(writes.is_empty(), "{writes:?}");

    api.put(SECRET, json!({"type": "Opaque"}));
    eventually("another authority is set", || {
        let bundles = bundles(&api);
        bundles[0] != authority && bundles[0] == bundles[1] && !bundles[0].is_empty()
    })
    .await;

    // A rollback brings another chart's back, with whose bundle it may be.
    let mut theirs = configuration();
    theirs["metadata"] = json!({"labels": {"helm.sh/chart": "kong-3.4.1"}});
    for webhook in theirs["webhooks"].as_array_mut().unwrap() {
        webhook["clientConfig"]["caBundle"] = json!(STANDARD.encode("theirs"));
    }
    api.put(CONFIGURATION, theirs);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        bundles(&api),
        ["theirs", "theirs"],
        "it is left to those whom it leads to"
    );
}
