//! Who gets a certificate, before an API server that knows some tokens.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
};
use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use serde_json::{Value, json};
use silverback_proxy::ProxyArguments;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use x509_parser::pem::Pem;

use super::{AUDIENCE, IdentityIssuer, IdentitySettings, IssuingMaterial, NextSigner, Refusal};
use crate::{
    fleet::{ConnectionSecurity, FleetView, TransportFaultKind},
    model::{Epoch, Leadership, NamespacedName, PeerCertificate, PodRef, ProxyTarget},
    pki::{
        Authority, CONTROLLER_NAME, KeyPairPem,
        authority::fingerprint,
        client::{AdminClient, AdminTls, AdminTlsMaterial, ConnectionLimits},
        tests::proxy_view,
    },
    serve,
};

/// `token` of a pod is `<name>/<uid>`; what else there is about it stands behind.
fn review(Json(review): Json<Value>) -> Json<Value> {
    let token = review["spec"]["token"].as_str().unwrap_or_default();
    let asked = review["spec"]["audiences"].clone();
    let status = match token.split('/').collect::<Vec<_>>()[..] {
        // A token for the API server itself: not valid for ours.
        [_, _, "default-audience"] => json!({ "authenticated": false, "error": "token audiences mismatch" }),
        // The API server knows that the pod is gone.
        [_, _, "deleted"] => json!({ "authenticated": false, "error": "pod no longer exists" }),
        [_, _, "audiences-unknown"] => json!({ "authenticated": true, "user": { "username": "somebody" } }),
        [_, _, "unbound"] => json!({
            "authenticated": true, "audiences": asked,
            "user": { "username": "system:serviceaccount:gateway:proxy" },
        }),
        [_, _, "person"] => json!({ "authenticated": true, "audiences": asked, "user": { "username": "jane" } }),
        [pod, uid, ref rest @ ..] => json!({
            "authenticated": true, "audiences": asked,
            "user": {
                "username": format!("system:serviceaccount:gateway:{}", rest.first().unwrap_or(&"proxy")),
                "extra": {
                    "authentication.kubernetes.io/pod-name": [pod],
                    "authentication.kubernetes.io/pod-uid": [uid],
                },
            },
        }),
        _ => json!({ "authenticated": false }),
    };
    Json(json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {}, "status": status }))
}

async fn pod(Path(name): Path<String>) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "namespace": "gateway", "name": name, "uid": format!("uid-of-{name}") },
        "spec": { "serviceAccountName": "proxy", "containers": [] },
        "status": { "phase": "Running" },
    });
    match &*name {
        "gone" => {
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound", "message": "" });
            return Err((StatusCode::NOT_FOUND, Json(status)));
        }
        "going" => pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
        "ended" => pod["status"]["phase"] = json!("Failed"),
        _ => {}
    }
    Ok(Json(pod))
}

struct Bench {
    issuer: Arc<IdentityIssuer>,
    leadership: watch::Sender<Leadership>,
    /// Signs proxies.
    authority: Authority,
    /// Signs controllers, and what their endpoint shows.
    controllers: Authority,
    server: KeyPairPem,
    material: watch::Sender<Option<Arc<IssuingMaterial>>>,
    _view: watch::Sender<Arc<FleetView>>,
}

fn bench() -> Bench {
    let router = Router::new()
        .route(
            "/apis/authentication.k8s.io/v1/tokenreviews",
            post(|body| async { review(body) }),
        )
        .route("/api/v1/namespaces/gateway/pods/{name}", get(pod));
    let now = Timestamp::now();
    let authority = Authority::generate("proxies", now).unwrap();
    let controllers = Authority::generate("controllers", now).unwrap();
    let server = controllers
        .issue_server("endpoint", &["localhost".to_owned()], now)
        .unwrap();
    let material = IssuingMaterial {
        signer: authority.pem().clone(),
        next: None,
        server: server.clone(),
    };
    let names = ["proxy-a", "proxy-b", "gone", "going", "ended"];
    let proxies = names.map(|name| {
        Arc::new(proxy_view(PodRef {
            namespace: "gateway".into(),
            name: name.into(),
            uid: format!("uid-of-{name}").into(),
        }))
    });
    let view = FleetView {
        proxies: proxies.to_vec(),
        ..FleetView::default()
    };
    let (sender, material) = watch::channel(Some(Arc::new(material)));
    let (view_sender, view) = watch::channel(Arc::new(view));
    let (leadership, part) = watch::channel(Leadership::Leader {
        epoch: Epoch {
            lease_uid: "lease".into(),
            transitions: 0,
        },
    });
    let settings = IdentitySettings {
        accounts: vec![NamespacedName::new("gateway", "proxy")],
    };
    let client = kube::Client::new(router, "default");
    Bench {
        issuer: Arc::new(IdentityIssuer::new(client, settings, material, view, part)),
        leadership,
        authority,
        controllers,
        server,
        material: sender,
        _view: view_sender,
    }
}

/// A signing request that asks for more than it may have.
fn request(challenge: &str, key: &KeyPair) -> String {
    let mut parameters = CertificateParams::new(vec!["pod.admin.gateway.svc".to_owned()]).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, challenge);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters
        .subject_alt_names
        .push(SanType::DnsName("controller.silverback.internal".try_into().unwrap()));
    parameters.serialize_request(key).unwrap().pem().unwrap()
}

impl Bench {
    async fn ask(&self, token: &str) -> Result<String, Refusal> {
        let challenge = self.issuer.challenge()?;
        self.issuer
            .issue(token, "", &request(&challenge, &KeyPair::generate().unwrap()))
            .await
    }
}

#[tokio::test]
async fn a_living_proxy_gets_a_certificate_in_its_pods_name_and_no_other() {
    let bench = bench();
    let key = KeyPair::generate().unwrap();
    let challenge = bench.issuer.challenge().unwrap();
    let issued = bench
        .issuer
        .issue("proxy-a/uid-of-proxy-a", "", &request(&challenge, &key))
        .await
        .unwrap();
    let block = Pem::iter_from_buffer(issued.as_bytes()).next().unwrap().unwrap();
    let leaf = block.parse_x509().unwrap();
    let names = format!(
        "{:?}",
        leaf.subject_alternative_name().unwrap().unwrap().value.general_names
    );
    assert_eq!(names, r#"[DNSName("uid-of-proxy-a")]"#);
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
    assert!(!leaf.is_ca());
    assert_eq!(leaf.subject().to_string(), "CN=uid-of-proxy-a");
    assert_eq!(leaf.public_key().subject_public_key.data.as_ref(), key.public_key_raw());
    let life = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
    assert_eq!(life, 25 * 3600, "a day, and an hour back");
    let block = Pem::iter_from_buffer(bench.authority.pem().certificate.as_bytes())
        .next()
        .unwrap()
        .unwrap();
    let authority = block.parse_x509().unwrap();
    leaf.verify_signature(Some(authority.public_key())).unwrap();
}

#[tokio::test]
async fn others_get_none() {
    let bench = bench();
    for (token, refusal) in [
        ("", Refusal::Token),
        ("nonsense", Refusal::Token),
        ("proxy-a/uid-of-proxy-a/default-audience", Refusal::Token),
        ("proxy-a/uid-of-proxy-a/deleted", Refusal::Token),
        ("proxy-a/uid-of-proxy-a/audiences-unknown", Refusal::Token),
        ("proxy-a/uid-of-proxy-a/unbound", Refusal::Unbound),
        ("proxy-a/uid-of-proxy-a/person", Refusal::Unbound),
        // Of a pod that is no proxy, in the same namespace.
        (
            "proxy-a/uid-of-proxy-a/shop",
            Refusal::Account("gateway/shop".to_owned()),
        ),
        ("gone/uid-of-gone", Refusal::Pod("does not exist")),
        ("going/uid-of-going", Refusal::Pod("is being deleted")),
        ("ended/uid-of-ended", Refusal::Pod("has ended")),
        // The pod of that name is another one by now.
        (
            "proxy-a/uid-of-its-predecessor",
            Refusal::Pod("has been replaced by another one"),
        ),
        ("stranger/uid-of-stranger", Refusal::NotInFleet),
    ] {
        assert_eq!(bench.ask(token).await, Err(refusal), "{token}");
    }
    assert!(bench.ask("proxy-b/uid-of-proxy-b").await.is_ok(), "the others go on");
}

#[tokio::test]
async fn a_request_is_good_once() {
    let bench = bench();
    let challenge = bench.issuer.challenge().unwrap();
    let sent = request(&challenge, &KeyPair::generate().unwrap());
    assert!(bench.issuer.issue("proxy-a/uid-of-proxy-a", "", &sent).await.is_ok());
    let again = bench.issuer.issue("proxy-a/uid-of-proxy-a", "", &sent).await;
    assert_eq!(again, Err(Refusal::Challenge), "the same request");
    let other_key = request(&challenge, &KeyPair::generate().unwrap());
    let again = bench.issuer.issue("proxy-a/uid-of-proxy-a", "", &other_key).await;
    assert_eq!(again, Err(Refusal::Challenge), "the same challenge");
    let invented = request(&"0".repeat(64), &KeyPair::generate().unwrap());
    let refused = bench.issuer.issue("proxy-a/uid-of-proxy-a", "", &invented).await;
    assert_eq!(refused, Err(Refusal::Challenge));
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_before_anybody_is_asked() {
    let bench = bench();
    let challenge = bench.issuer.challenge().unwrap();
    let good = request(&challenge, &KeyPair::generate().unwrap());
    let (head, tail) = good.split_at(200);
    let forged = format!("{head}{}", tail.replacen('A', "B", 1));
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    for text in ["", "x", &forged, &"x".repeat(20_000), &request(&challenge, &p384)] {
        let refused = bench.issuer.issue("proxy-a/uid-of-proxy-a", "", text).await;
        assert!(
            matches!(refused, Err(Refusal::Malformed(_) | Refusal::Challenge)),
            "{refused:?}"
        );
    }
    assert!(bench.issuer.issue("proxy-a/uid-of-proxy-a", "", &good).await.is_ok());
}

#[tokio::test]
async fn only_the_leader_issues() {
    let bench = bench();
    let challenge = bench.issuer.challenge().unwrap();
    let sent = request(&challenge, &KeyPair::generate().unwrap());
    bench.leadership.send_replace(Leadership::Follower { holder: None });
    assert_eq!(bench.issuer.challenge(), Err(Refusal::NotLeading));
    let refused = bench.issuer.issue("proxy-a/uid-of-proxy-a", "", &sent).await;
    assert_eq!(refused, Err(Refusal::NotLeading));
    assert_eq!(AUDIENCE, "identity.gateway.silverback.dev");
}

/// An embedded proxy that asks the issuer, and who speaks to its Admin API.
struct Asking {
    directory: tempfile::TempDir,
    arguments: ProxyArguments,
    port: u16,
    shutdown: CancellationToken,
    _shown: watch::Sender<Option<Arc<KeyPairPem>>>,
}

impl Asking {
    fn new(bench: &Bench) -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let shutdown = CancellationToken::new();
        let (shown, certificate) = watch::channel(Some(Arc::new(bench.server.clone())));
        let endpoint = serve::identity::start(
            "127.0.0.1:0".parse().unwrap(),
            bench.issuer.clone(),
            certificate,
            &shutdown,
        );
        let endpoint = endpoint.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            Some(path.display().to_string())
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let arguments = ProxyArguments {
            proxy_listen: Some("off".to_owned()),
            status_listen: Some("off".to_owned()),
            admin_listen: Some(format!("127.0.0.1:{port} ssl")),
            admin_ssl_client_certificate: file("ca.crt", &bench.controllers.pem().certificate),
            admin_client_name: vec![CONTROLLER_NAME.to_owned()],
            identity_url: Some(format!("https://localhost:{}", endpoint.port())),
            identity_token_file: file("token", "proxy-a/uid-of-proxy-a\n"),
            prefix: Some(directory.path().display().to_string()),
            ..ProxyArguments::default()
        };
        Self {
            directory,
            arguments,
            port,
            shutdown,
            _shown: shown,
        }
    }

    /// A controller of one of these authorities, that takes the proxy for that pod and trusts those.
    fn client(&self, controllers: &Authority, trusted: &str, uid: &str) -> AdminClient {
        let client = controllers.issue_client(CONTROLLER_NAME, Timestamp::now()).unwrap();
        let tls = AdminTls::new(&AdminTlsMaterial {
            roots: Some(trusted.as_bytes().to_vec()),
            certificate: Some(client.certificate.into_bytes()),
            key: Some(client.key.into_bytes()),
            ..AdminTlsMaterial::default()
        })
        .unwrap();
        let limits = ConnectionLimits {
            connect: Duration::from_secs(2),
            request: Duration::from_secs(2),
            keep: Duration::ZERO,
            is_abrupt: false,
        };
        let target = proxy_view(PodRef {
            namespace: "gateway".into(),
            name: "proxy-a".into(),
            uid: uid.into(),
        })
        .target;
        let target = ProxyTarget {
            server_name: Some(uid.into()),
            ..ProxyTarget::clone(&target)
        };
        tls.client(&format!("https://127.0.0.1:{}", self.port), &target, &limits)
            .unwrap()
    }

    /// As soon as its certificate is trusted: that, as it is seen.
    async fn shown(&self, client: &AdminClient) -> Arc<PeerCertificate> {
        let answer = loop {
            match client.get("/status", |_| 1 << 20).await {
                Ok(answer) => break answer,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        assert_eq!(answer.status, 200);
        assert_eq!(client.security(), ConnectionSecurity::Mutual);
        answer.certificate.unwrap()
    }

    /// Runs the proxy as long as somebody asks it.
    async fn while_it_runs(&self, asked: impl Future<Output = ()>) {
        tokio::select! {
            ended = silverback_proxy::run(&self.arguments) => panic!("the proxy ended: {ended:?}"),
            asked = tokio::time::timeout(Duration::from_secs(60), asked) => asked.expect("in time"),
        }
        self.shutdown.cancel();
    }
}

#[tokio::test]
async fn an_embedded_proxy_gets_its_certificate_by_itself_and_is_dialled_by_its_uid() {
    let bench = bench();
    let proxy = Asking::new(&bench);
    let asked = async {
        let trusted = &bench.authority.pem().certificate;
        let client = proxy.client(&bench.controllers, trusted, "uid-of-proxy-a");
        let shown = proxy.shown(&client).await;
        assert_eq!((&*shown.server_name, &*shown.issuer), ("uid-of-proxy-a", "CN=proxies"));
        // It is nobody else.
        let client = proxy.client(&bench.controllers, trusted, "uid-of-proxy-b");
        let refused = client.get("/status", |_| 1 << 20).await.unwrap_err();
        assert_eq!(client.fault(&refused).kind, TransportFaultKind::CertificateUntrusted);
    };
    proxy.while_it_runs(asked).await;
    let key = std::fs::metadata(proxy.directory.path().join("identity/tls.key")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777,
        0o600
    );
}

/// Whoever shows a certificate of the next authority is taken for one that trusts the next controllers.
#[tokio::test]
async fn a_proxy_that_shows_a_certificate_of_the_next_authority_trusts_the_next_controllers() {
    let bench = bench();
    let now = Timestamp::now();
    let next = Authority::generate("next proxies", now).unwrap();
    let next_controllers = Authority::generate("next controllers", now).unwrap();
    let controllers = fingerprint(&next_controllers.pem().certificate).unwrap();
    let both = [&*bench.authority.pem().certificate, &next.pem().certificate].concat();
    bench.material.send_replace(Some(Arc::new(IssuingMaterial {
        signer: bench.authority.pem().clone(),
        next: Some(NextSigner {
            signer: next.pem().clone(),
            controllers,
        }),
        server: bench.server.clone(),
    })));
    let proxy = Asking::new(&bench);
    let asked = async {
        // It starts, and kubelet has not brought it the new file yet.
        let old = proxy.client(&bench.controllers, &both, "uid-of-proxy-a");
        assert_eq!(proxy.shown(&old).await.issuer, "CN=proxies");
        let file = [
            &*bench.controllers.pem().certificate,
            &next_controllers.pem().certificate,
        ];
        std::fs::write(proxy.directory.path().join("ca.crt"), file.concat()).unwrap();
        while proxy.shown(&old).await.issuer != "CN=next proxies" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let new = proxy.client(&next_controllers, &both, "uid-of-proxy-a");
        let answer = new.get("/status", |_| 1 << 20).await;
        assert_eq!(answer.expect("the next controllers are let in").status, 200);
    };
    proxy.while_it_runs(asked).await;
}
