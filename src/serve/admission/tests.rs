//! Reviews over real TLS.

#![allow(clippy::unwrap_used)]

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use jiff::Timestamp;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde_json::{Value, json};

use super::*;
use crate::{model::Kind, pki::Authority, translate};

const PATIENCE: Duration = Duration::from_secs(20);

/// A webhook that runs, and what its test turns.
struct Webhook {
    address: SocketAddr,
    authority: Authority,
    certificate: watch::Sender<Option<Arc<KeyPairPem>>>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    counted: Arc<Mutex<Vec<(&'static str, &'static str)>>>,
    _shutdown: tokio_util::sync::DropGuard,
}

fn pair(authority: &Authority) -> Arc<KeyPairPem> {
    let names = ["webhook.gateway.svc".to_owned()];
    Arc::new(authority.issue_server("webhook", &names, Timestamp::now()).unwrap())
}

/// Without proxies, and with no Secret but those of the snapshot.
fn inputs() -> (Inputs, Webhook) {
    // Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority = Authority::generate("webhook CA", Timestamp::now()).unwrap();
    let (certificate, shown) = watch::channel(Some(pair(&authority)));
    let (snapshot, objects) = watch::channel(Arc::new(Snapshot::default()));
    let counted: Arc<Mutex<Vec<_>>> = Arc::default();
    let shutdown = CancellationToken::new();
    let inputs = Inputs {
        snapshot: objects,
        settings: Arc::new(|| Settings {
            translations: vec![translate::Settings::default()],
        }),
        certificate: shown,
        proxies: Arc::new(|_| Box::pin(async { Vec::new() })),
        secrets: Arc::new(|_| Box::pin(async { LookUp::Absent })),
        count: Arc::new({
            let counted = counted.clone();
            move |kind, verdict, _| counted.lock().unwrap().push((kind, verdict))
        }),
    };
    let webhook = Webhook {
        address: "127.0.0.1:0".parse().unwrap(),
        authority,
        certificate,
        snapshot,
        counted,
        _shutdown: shutdown.drop_guard(),
    };
    (inputs, webhook)
}

impl Webhook {
    async fn start() -> Self {
        let (inputs, webhook) = inputs();
        webhook.serve(inputs, PATIENCE).await
    }

    async fn serve(mut self, inputs: Inputs, limit: Duration) -> Self {
        let settings = AdmissionSettings {
            address: self.address,
            limit,
        };
        let shutdown = CancellationToken::new();
        self.address = start(&settings, inputs, &shutdown).unwrap();
        self._shutdown = shutdown.drop_guard();
        self
    }

    /// A client that trusts this authority alone.
    fn client(&self, authority: &Authority, protocol: &[u8]) -> reqwest::Client {
        let mut roots = RootCertStore::empty();
        let pem = authority.pem().certificate.as_bytes();
        roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .tls_backend_preconfigured(config)
            .resolve("webhook.gateway.svc", self.address)
            .build()
            .unwrap()
    }

    fn url(&self) -> String {
        format!("https://webhook.gateway.svc:{}/", self.address.port())
    }

    async fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let client = self.client(&self.authority, b"h2");
        client.post(self.url()).body(body).send().await.unwrap()
    }

    /// The response of the review.
    async fn review(&self, review: &Value) -> Value {
        let answer = self.post(review.to_string()).await;
        assert_eq!(answer.status(), 200);
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], "u1");
        answer["response"].clone()
    }

    fn counted(&self) -> Vec<(&'static str, &'static str)> {
        std::mem::take(&mut self.counted.lock().unwrap())
    }
}

fn review(kind: Kind, mut object: Value) -> Value {
    object["metadata"]["name"] = json!("it");
    object["metadata"]["namespace"] = json!("shop");
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u1", "operation": "CREATE", "name": "it", "namespace": "shop", "object": object,
            "kind": {"group": kind.group(), "version": kind.version(), "kind": kind.name()},
        },
    })
}

fn credential(kind: &str) -> Value {
    let labels = json!({"konghq.com/credential": kind});
    review(
        Kind::Secret,
        json!({"metadata": {"labels": labels}, "data": {"key": "aHVudGVyMg=="}}),
    )
}

fn vault() -> Value {
    let annotations = json!({"kubernetes.io/ingress.class": "kong"});
    review(
        Kind::KongVault,
        json!({"metadata": {"annotations": annotations}, "spec": {"backend": "env", "prefix": "my-vault"}}),
    )
}

#[tokio::test]
async fn objects_are_admitted_or_denied_over_both_versions_of_http() {
    let webhook = Webhook::start().await;
    assert_eq!(
        webhook.review(&credential("key-auth")).await,
        json!({"uid": "u1", "allowed": true})
    );
    let denied = webhook.review(&credential("nosuch")).await;
    assert_eq!(
        denied,
        json!({"uid": "u1", "allowed": false, "status": {"code": 400, "message": "invalid credential type nosuch"}})
    );
    assert_eq!(webhook.counted(), [("Secret", "allowed"), ("Secret", "denied")]);
    for (protocol, version) in [
        (&b"h2"[..], hyper::Version::HTTP_2),
        (b"http/1.1", hyper::Version::HTTP_11),
    ] {
        let client = webhook.client(&webhook.authority, protocol);
        let answer = client
            .post(webhook.url())
            .body(credential("nosuch").to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.version(), version);
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn what_is_no_review_is_refused() {
    let webhook = Webhook::start().await;
    let answer = webhook.post("hunter2").await;
    assert_eq!(answer.status(), 400);
    assert!(!answer.text().await.unwrap().contains("hunter2"));
    assert_eq!(webhook.post(vec![b' '; (8 << 20) + 1]).await.status(), 413);
    let client = webhook.client(&webhook.authority, b"http/1.1");
    assert_eq!(client.get(webhook.url()).send().await.unwrap().status(), 405);
    assert!(webhook.counted().is_empty());
}

#[tokio::test]
async fn before_the_cluster_has_been_read_objects_are_admitted_with_a_warning() {
    let webhook = Webhook::start().await;
    webhook.snapshot.send_replace(Arc::new(Snapshot::unlisted()));
    let response = webhook.review(&credential("nosuch")).await;
    assert_eq!(response["allowed"], true);
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains("has not read the cluster yet"), "{warning}");
    assert_eq!(webhook.counted(), [("Secret", "unchecked")]);
}

#[tokio::test]
async fn proxies_are_asked_within_the_limit_of_time() {
    let (mut inputs, webhook) = inputs();
    inputs.proxies = Arc::new(|question| {
        Box::pin(async move {
            assert_eq!(question.path, "/schemas/vaults/validate");
            let body = json!({"message": "schema violation (name: vault 'env' is not installed)"});
            let answer = Answer {
                status: 400,
                body: body.to_string().into_bytes(),
            };
            vec![("traditional".to_owned(), answer)]
        })
    });
    let webhook = webhook.serve(inputs, PATIENCE).await;
    let denied = webhook.review(&vault()).await;
    assert_eq!(
        denied["status"]["message"],
        "vault configuration in invalid: schema violation (name: vault 'env' is not installed)"
    );
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_holds_nobody_up() {
    let (mut inputs, webhook) = inputs();
    inputs.proxies = Arc::new(|_| Box::pin(std::future::pending()));
    let webhook = webhook.serve(inputs, Duration::from_millis(300)).await;
    let began = std::time::Instant::now();
    let response = webhook.review(&vault()).await;
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    assert_eq!(response["allowed"], true);
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("not checked"), "{warning}");
    assert_eq!(webhook.counted(), [("KongVault", "unchecked")]);
}

#[tokio::test]
async fn past_the_limit_objects_are_admitted_with_a_warning() {
    let (inputs, webhook) = inputs();
    let webhook = webhook.serve(inputs, Duration::ZERO).await;
    let response = webhook.review(&credential("nosuch")).await;
    // The work may have been done before anybody looked at the clock.
    if response["allowed"] == true {
        let warning = response["warnings"][0].as_str().unwrap();
        assert!(warning.contains("took longer than"), "{warning}");
    }
}

#[tokio::test]
async fn secrets_that_the_snapshot_lacks_are_looked_up() {
    let (mut inputs, webhook) = inputs();
    let asked = Arc::new(AtomicUsize::new(0));
    inputs.secrets = Arc::new({
        let asked = asked.clone();
        move |key| {
            let turn = asked.fetch_add(1, Ordering::Relaxed);
            assert_eq!(key.to_string(), "shop/key");
            Box::pin(async move {
                if turn == 0 {
                    return LookUp::Absent;
                }
                let mut secret = Secret::default();
                secret.metadata.namespace = "shop".into();
                secret.metadata.name = "key".into();
                LookUp::Found(Arc::new(secret))
            })
        }
    });
    let webhook = webhook.serve(inputs, PATIENCE).await;
    let annotations = json!({"kubernetes.io/ingress.class": "kong"});
    let consumer = review(
        Kind::KongConsumer,
        json!({"metadata": {"annotations": annotations}, "username": "a", "credentials": ["key"]}),
    );
    let message = |response: Value| response["status"]["message"].as_str().unwrap().to_owned();
    let absent = message(webhook.review(&consumer).await);
    assert!(
        absent.starts_with("consumer referenced non-existent credentials secret"),
        "{absent}"
    );
    let found = message(webhook.review(&consumer).await);
    assert!(found.contains("secret has no credential type"), "{found}");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn the_certificate_is_changed_without_a_restart() {
    let webhook = Webhook::start().await;
    let other = Authority::generate("another CA", Timestamp::now()).unwrap();
    let ask = |authority: &Authority| {
        let client = webhook.client(authority, b"h2");
        client
            .post(webhook.url())
            .body(credential("key-auth").to_string())
            .send()
    };
    assert!(ask(&webhook.authority).await.is_ok());
    assert!(ask(&other).await.is_err(), "the client trusts another authority");
    let broken = KeyPairPem {
        certificate: "nothing".to_owned(),
        key: String::new(),
    };
    webhook.certificate.send_replace(Some(Arc::new(broken)));
    assert!(ask(&webhook.authority).await.is_ok(), "the former one stays");
    webhook.certificate.send_replace(Some(pair(&other)));
    let begun = std::time::Instant::now();
    while ask(&other).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "the new certificate is not shown");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn without_a_certificate_connections_are_closed() {
    let (inputs, webhook) = inputs();
    webhook.certificate.send_replace(None);
    let webhook = webhook.serve(inputs, PATIENCE).await;
    let client = webhook.client(&webhook.authority, b"h2");
    assert!(client.post(webhook.url()).body("{}").send().await.is_err());
    webhook.certificate.send_replace(Some(pair(&webhook.authority)));
    let begun = std::time::Instant::now();
    while webhook
        .client(&webhook.authority, b"h2")
        .post(webhook.url())
        .body("{}")
        .send()
        .await
        .is_err()
    {
        assert!(begun.elapsed() < PATIENCE, "the certificate is not shown");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
