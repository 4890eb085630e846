//! Both authorities in their Secret, what proxies mount, and their replacement.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use proxy_config_schema::ConfigHash;
use serde_json::{Value, json};
use tokio::sync::watch;
use x509_parser::{certificate::X509Certificate, pem::Pem};

use super::{eventually, proxy_view};
use crate::{
    fleet::{ConnectionSecurity, FleetView, ProxyReport, ProxyView},
    lease::fake_api::FakeApi,
    model::{Edition, Epoch, Leadership, NamespacedName, PeerCertificate, PodRef, RouterFlavor},
    pki::{CertificateMaterial, FleetKnowledge, Issuing, ROTATE, SecretSettings, authority, keep_secrets},
};

pub(super) const AUTHORITIES: &str = "/api/v1/namespaces/gateway/secrets/ca";
pub(super) const PROXIES: &str = "/api/v1/namespaces/gateway/secrets/proxy-tls";
pub(super) const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/gateway/deployments/kong";

pub(super) struct Replica {
    view: watch::Sender<Arc<FleetView>>,
    pub(super) material: watch::Receiver<Option<Arc<CertificateMaterial>>>,
    leadership: watch::Sender<Leadership>,
}

pub(super) fn leader() -> Leadership {
    Leadership::Leader {
        epoch: Epoch {
            lease_uid: "lease".into(),
            transitions: 1,
        },
    }
}

fn replica(api: &FakeApi, part: Leadership) -> Replica {
    replica_with(api, part, None)
}

pub(super) fn replica_with(api: &FakeApi, part: Leadership, issuing: Option<Issuing>) -> Replica {
    // Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (out, material) = watch::channel(None);
    let (view, views) = watch::channel(Arc::default());
    let (leadership, parts) = watch::channel(part);
    let settings = SecretSettings {
        workloads: vec!["deployment/gateway/kong".parse().unwrap()],
        authorities: NamespacedName::new("gateway", "ca"),
        proxies: NamespacedName::new("gateway", "proxy-tls"),
        names: vec!["pod.admin.gateway.svc".to_owned()],
    };
    let fleet = FleetKnowledge {
        view: views,
        leadership: parts,
    };
    tokio::spawn(keep_secrets(api.client(), settings, fleet, issuing, out));
    Replica {
        view,
        material,
        leadership,
    }
}

pub(super) fn empty() -> FakeApi {
    let api = FakeApi::new();
    for path in [AUTHORITIES, PROXIES] {
        api.put(path, json!({"type": "Opaque"}));
    }
    api.put(DEPLOYMENT, json!({"spec": {"template": {"metadata": {}}}}));
    api
}

pub(super) fn text(api: &FakeApi, path: &str, key: &str) -> Option<String> {
    let secret = api.get(path)?;
    String::from_utf8(STANDARD.decode(secret["data"][key].as_str()?).unwrap()).ok()
}

pub(super) fn proxy(name: &str, edition: Edition, certificate: &str, not_after: Timestamp) -> Arc<ProxyView> {
    let mut view = proxy_view(PodRef {
        namespace: "gateway".into(),
        name: name.into(),
        uid: format!("uid-of-{name}").into(),
    });
    view.report = Some(ProxyReport {
        version: "3.9.1".to_owned(),
        edition,
        router_flavor: RouterFlavor::Traditional,
        plugins: None,
        database: "off".to_owned(),
        node_id: None,
        restarted: false,
        started_at: None,
        body_limit: None,
        hash: ConfigHash::NONE,
        security: ConnectionSecurity::Mutual,
        certificate: Some(PeerCertificate {
            server_name: "pod.admin.gateway.svc".to_owned(),
            issuer: with(certificate, |certificate| certificate.issuer().to_string()),
            fingerprint: authority::fingerprint(certificate).unwrap(),
            not_before: not_after - SignedDuration::from_hours(24 * 90),
            not_after,
        }),
    });
    Arc::new(view)
}

pub(super) fn show(replica: &Replica, proxies: Vec<Arc<ProxyView>>) {
    replica.view.send_replace(Arc::new(FleetView {
        proxies,
        ..FleetView::default()
    }));
}

fn with<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let block = Pem::iter_from_buffer(pem.as_bytes()).next().unwrap().unwrap();
    look(&block.parse_x509().unwrap())
}

pub(super) fn count(bundle: &Option<String>) -> usize {
    bundle
        .as_deref()
        .unwrap_or_default()
        .matches("BEGIN CERTIFICATE")
        .count()
}

/// The real clock stands still for a test: what waits for it is told that it has waited.
pub(super) fn wait_is_over(api: &FakeApi, key: &str) {
    let mut secret = api.get(AUTHORITIES).unwrap();
    let long_ago = Timestamp::now() - SignedDuration::from_mins(6);
    secret["data"][key] = Value::from(STANDARD.encode(long_ago.to_string()));
    api.put(AUTHORITIES, secret);
}

pub(super) fn in_a_month() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(24 * 30)
}

/// As `silverback certificates rotate` does.
pub(super) fn ask(api: &FakeApi, request: &str) {
    let mut secret = api.get(AUTHORITIES).unwrap();
    secret["metadata"]["annotations"] = json!({ ROTATE: request });
    api.put(AUTHORITIES, secret);
}

#[tokio::test(start_paused = true)]
async fn empty_secrets_are_filled_once_and_certificates_open_nothing_else() {
    let api = empty();
    let replicas = [replica(&api, leader()), replica(&api, Leadership::Unknown)];
    eventually("all have certificates", || {
        replicas.iter().all(|replica| replica.material.borrow().is_some())
    })
    .await;
    let materials: Vec<_> = replicas
        .iter()
        .map(|replica| replica.material.borrow().clone().unwrap())
        .collect();
    assert_eq!(materials[0].authorities, materials[1].authorities);
    assert_ne!(materials[0].client, materials[1].client, "each has a key of its own");

    let leaf = text(&api, PROXIES, "tls.crt").unwrap();
    with(&leaf, |leaf| {
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth, "{usage:?}");
        let names = format!("{:?}", leaf.subject_alternative_name().unwrap().unwrap().value);
        assert!(names.contains("pod.admin.gateway.svc"), "{names}");
        let from = leaf.validity().not_before.timestamp();
        let age = Timestamp::now().as_second() - from;
        assert!((3600..3700).contains(&age), "clocks differ: {age}");
    });
    let client = &materials[0].client.as_ref().unwrap().certificate;
    with(client, |client| {
        let usage = client.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth, "{usage:?}");
    });
    // Two authorities: what proxies trust does not sign proxies.
    let trusted_by_proxies = text(&api, PROXIES, "ca.crt").unwrap();
    let trusted_by_controllers = materials[0].authorities.clone().unwrap();
    assert_ne!(trusted_by_proxies, trusted_by_controllers);
    let issuer = with(&leaf, |leaf| leaf.issuer().to_string());
    assert_eq!(
        issuer,
        with(&trusted_by_controllers, |authority| authority.subject().to_string())
    );
    assert_ne!(
        issuer,
        with(&trusted_by_proxies, |authority| authority.subject().to_string())
    );

    // The proxies' Secret holds no key of an authority.
    let proxies = api.get(PROXIES).unwrap();
    let keys: Vec<_> = proxies["data"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys,
        [
            "ca.crt",
            "names",
            "proxy-ca.crt",
            "request",
            "tls.crt",
            "tls.key",
            "urgent"
        ]
    );
    api.take_requests();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(api.take_requests(), Vec::<String>::new(), "nothing is written again");
}

#[tokio::test(start_paused = true)]
async fn authorities_are_replaced_when_every_proxy_has_followed() {
    let api = empty();
    let leading = replica(&api, leader());
    let following = replica(&api, Leadership::Follower { holder: None });
    let client = |replica: &Replica| replica.material.borrow().clone().unwrap().client.clone().unwrap();
    let trusted = |replica: &Replica| replica.material.borrow().clone().unwrap().authorities.clone();
    eventually("certificates", || text(&api, PROXIES, "tls.crt").is_some()).await;
    let old_leaf = text(&api, PROXIES, "tls.crt").unwrap();
    eventually("material", || {
        following.material.borrow().is_some() && leading.material.borrow().is_some()
    })
    .await;
    let (old_client, old_trusted) = (client(&leading), text(&api, PROXIES, "ca.crt"));
    let all_old = |replica: &Replica| {
        let one = proxy("one", Edition::Embedded, &old_leaf, in_a_month());
        show(
            replica,
            vec![one, proxy("two", Edition::Embedded, &old_leaf, in_a_month())],
        );
    };
    all_old(&leading);

    ask(&api, "authorities now");
    eventually("both replicas trust both authorities", || {
        count(&trusted(&leading)) == 2 && count(&trusted(&following)) == 2
    })
    .await;
    assert_eq!(
        text(&api, PROXIES, "tls.crt").as_ref(),
        Some(&old_leaf),
        "not before all trust it"
    );
    wait_is_over(&api, "next-since");
    eventually("proxies are given a certificate of the new one", || {
        text(&api, PROXIES, "tls.crt").is_some_and(|leaf| leaf != old_leaf)
    })
    .await;
    let new_leaf = text(&api, PROXIES, "tls.crt").unwrap();
    assert_eq!(count(&text(&api, PROXIES, "ca.crt")), 2, "they trust both, too");

    // One has followed and one has not.
    let followed = proxy("one", Edition::Embedded, &new_leaf, in_a_month());
    let behind = proxy("two", Edition::Embedded, &old_leaf, in_a_month());
    show(&leading, vec![followed.clone(), behind]);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(client(&leading), old_client, "the controller waits for the last one");
    show(
        &leading,
        vec![followed, proxy("two", Edition::Embedded, &new_leaf, in_a_month())],
    );
    eventually("the controllers show certificates of the new authority", || {
        client(&leading) != old_client && text(&api, AUTHORITIES, "old-since").is_some()
    })
    .await;
    assert_eq!(count(&trusted(&leading)), 2);
    wait_is_over(&api, "old-since");
    eventually("the old ones are trusted no more", || {
        count(&trusted(&leading)) == 1 && count(&trusted(&following)) == 1
    })
    .await;
    eventually("by proxies neither", || count(&text(&api, PROXIES, "ca.crt")) == 1).await;
    assert_ne!(text(&api, PROXIES, "ca.crt"), old_trusted);
    assert_eq!(
        text(&api, PROXIES, "tls.crt"),
        Some(new_leaf),
        "the certificate stays: Kong is restarted once"
    );
    assert_eq!(text(&api, AUTHORITIES, "next-proxy-ca.key"), None);
}

#[tokio::test(start_paused = true)]
async fn kong_is_restarted_when_it_has_to_read_a_certificate_and_no_sooner() {
    let api = empty();
    let leading = replica(&api, leader());
    eventually("certificates", || text(&api, PROXIES, "tls.crt").is_some()).await;
    let old_leaf = text(&api, PROXIES, "tls.crt").unwrap();
    let restarted = |api: &FakeApi| {
        let deployment = api.get(DEPLOYMENT).unwrap();
        let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
        annotations["gateway.silverback.dev/certificate"]
            .as_str()
            .map(str::to_owned)
    };
    show(
        &leading,
        vec![proxy("one", Edition::OpenSource, &old_leaf, in_a_month())],
    );
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(restarted(&api), None, "it shows what it was given");

    // A renewal as it comes every two months waits for restarts that happen anyway.
    let mut secret = api.get(PROXIES).unwrap();
    secret["data"]["tls.crt"] = json!("");
    api.put(PROXIES, secret);
    eventually("another certificate", || {
        text(&api, PROXIES, "tls.crt").is_some_and(|leaf| !leaf.is_empty() && leaf != old_leaf)
    })
    .await;
    let second = text(&api, PROXIES, "tls.crt").unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(restarted(&api), None, "there is time");
    let soon = Timestamp::now() + SignedDuration::from_hours(24 * 10);
    show(&leading, vec![proxy("one", Edition::OpenSource, &old_leaf, soon)]);
    eventually("a restart in time", || restarted(&api).is_some()).await;
    assert_eq!(restarted(&api), authority::fingerprint(&second).ok());

    // Asked for, it is done at once, and an embedded proxy needs none.
    show(&leading, vec![proxy("one", Edition::Embedded, &second, in_a_month())]);
    ask(&api, "leaves now");
    eventually("a third certificate", || {
        text(&api, PROXIES, "tls.crt").is_some_and(|leaf| leaf != second)
    })
    .await;
    let third = text(&api, PROXIES, "tls.crt").unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(
        restarted(&api),
        authority::fingerprint(&second).ok(),
        "it reads files again by itself"
    );
    show(&leading, vec![proxy("one", Edition::OpenSource, &second, in_a_month())]);
    eventually("another restart", || {
        restarted(&api) == authority::fingerprint(&third).ok()
    })
    .await;
    assert_eq!(text(&api, AUTHORITIES, "next-since"), None, "the authorities stay");
}

#[tokio::test(start_paused = true)]
async fn what_proxies_mount_is_the_leaders_to_change() {
    let api = empty();
    let following = replica(&api, Leadership::Unknown);
    eventually("the first one fills it, leader or not", || {
        text(&api, PROXIES, "tls.crt").is_some()
    })
    .await;
    // A leader of another release wants other names.
    let mut secret = api.get(PROXIES).unwrap();
    secret["data"]["names"] = json!(STANDARD.encode("pod.other.gateway.svc"));
    api.put(PROXIES, secret);
    api.take_requests();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(api.take_requests(), Vec::<String>::new(), "they would take turns");
    following.leadership.send_replace(leader());
    eventually("it leads, and changes it", || {
        text(&api, PROXIES, "names").as_deref() == Some("pod.admin.gateway.svc")
    })
    .await;
}
