//! Both authorities are replaced while each proxy asks for a certificate of its own.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use x509_parser::pem::Pem;

use super::{
    eventually,
    secrets::{
        AUTHORITIES, PROXIES, Replica, ask, count, empty, in_a_month, leader, proxy, replica_with, show, text,
        wait_is_over,
    },
};
use crate::{
    lease::fake_api::FakeApi,
    model::{Edition, Leadership},
    pki::{Authority, Issuing, IssuingMaterial, KeyPairPem},
};

struct Issuer {
    replica: Replica,
    signs_with: watch::Receiver<Option<Arc<IssuingMaterial>>>,
}

impl Issuer {
    fn new(api: &FakeApi, part: Leadership) -> Self {
        let (out, signs_with) = watch::channel(None);
        let issuing = Issuing {
            names: vec!["identity.gateway.svc".to_owned()],
            out,
        };
        Self {
            replica: replica_with(api, part, Some(issuing)),
            signs_with,
        }
    }

    fn is_changing(&self) -> bool {
        let material = self.replica.material.borrow();
        material.as_ref().is_some_and(|material| material.changing)
    }

    /// The authority of the certificate that a proxy gets whose file of trusted authorities is this one.
    fn signs_for(&self, file: &str) -> String {
        let blocks = Pem::iter_from_buffer(file.as_bytes()).map(Result::unwrap);
        let hashes: Vec<String> = blocks
            .map(|block| {
                let hash = Sha256::digest(&block.contents);
                hash.iter().map(|byte| format!("{byte:02x}")).collect()
            })
            .collect();
        let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
        let material = self.signs_with.borrow().clone().unwrap();
        material.signer_for(&hashes).certificate.clone()
    }
}

/// A leader and a follower that have their certificates.
async fn issuers(api: &FakeApi) -> [Issuer; 2] {
    let issuers = [
        Issuer::new(api, leader()),
        Issuer::new(api, Leadership::Follower { holder: None }),
    ];
    eventually("both can sign", || {
        issuers.iter().all(|issuer| issuer.signs_with.borrow().is_some())
    })
    .await;
    issuers
}

#[tokio::test(start_paused = true)]
async fn a_proxy_gets_a_certificate_of_the_next_authority_as_soon_as_it_trusts_the_next_controllers() {
    let api = empty();
    let issuers = issuers(&api).await;
    let [leading, _] = &issuers;
    let read = |secret: &str, key: &str| text(&api, secret, key).unwrap();
    let old_file = read(PROXIES, "ca.crt");
    assert_eq!(text(&api, PROXIES, "tls.key"), None, "no key in the Secret");
    let old = read(AUTHORITIES, "proxy-ca.crt");
    show(
        &leading.replica,
        vec![proxy("one", Edition::Embedded, &old, in_a_month())],
    );

    ask(&api, "authorities now");
    eventually("there are new authorities", || {
        text(&api, AUTHORITIES, "next-proxy-ca.crt").is_some() && issuers.iter().all(Issuer::is_changing)
    })
    .await;
    let next = KeyPairPem {
        certificate: read(AUTHORITIES, "next-proxy-ca.crt"),
        key: read(AUTHORITIES, "next-proxy-ca.key"),
    };
    let new_file = [&*old_file, &read(AUTHORITIES, "next-controller-ca.crt")].concat();
    assert_eq!(read(PROXIES, "ca.crt"), old_file, "no proxy has been told");
    // Before anybody is told, so that it is so whoever leads when a proxy asks, and whatever its clock says.
    for issuer in &issuers {
        assert_eq!(issuer.signs_for(&new_file), next.certificate);
    }
    wait_is_over(&api, "next-since");
    eventually("proxies are told", || count(&text(&api, PROXIES, "ca.crt")) == 2).await;
    // Kubelet takes its time: such a proxy would refuse the controllers that follow when all show the next authority.
    for issuer in &issuers {
        assert_eq!(issuer.signs_for(&old_file), old);
        assert_eq!(issuer.signs_for(&read(PROXIES, "ca.crt")), next.certificate);
        assert_eq!(issuer.signs_for(""), old, "a proxy that says nothing");
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(text(&api, AUTHORITIES, "old-since"), None, "the controllers wait");

    let names = ["uid-of-one".to_owned()];
    let leaf = Authority::from_pem(next.clone()).unwrap();
    let leaf = leaf.issue_server("one", &names, Timestamp::now()).unwrap();
    show(
        &leading.replica,
        vec![proxy("one", Edition::Embedded, &leaf.certificate, in_a_month())],
    );
    eventually("the controllers follow", || {
        text(&api, AUTHORITIES, "old-since").is_some()
    })
    .await;
    eventually("both sign with it alone", || {
        issuers.iter().all(|issuer| issuer.signs_for("") == next.certificate)
    })
    .await;
    wait_is_over(&api, "old-since");
    eventually("the old authorities are forgotten", || {
        count(&text(&api, PROXIES, "ca.crt")) == 1 && !issuers.iter().any(Issuer::is_changing)
    })
    .await;
    assert_eq!(issuers[0].signs_for(&read(PROXIES, "ca.crt")), next.certificate);
}

#[tokio::test(start_paused = true)]
async fn proxies_ask_again_when_new_certificates_are_wanted_and_it_is_looked_what_they_show() {
    let api = empty();
    let issuers = issuers(&api).await;
    let file = text(&api, PROXIES, "ca.crt").unwrap();
    assert!(!issuers.iter().any(Issuer::is_changing));
    ask(&api, "leaves now\n-----BEGIN CERTIFICATE-----");
    eventually("the file changes", || {
        text(&api, PROXIES, "ca.crt").is_some_and(|changed| changed != file)
    })
    .await;
    let changed = text(&api, PROXIES, "ca.crt").unwrap();
    let added = changed.strip_prefix(&*file).unwrap();
    assert!(
        added.starts_with("# ") && added.lines().count() == 1,
        "it is trusted no other: {added:?}"
    );
    assert_eq!(
        issuers[0].signs_for(&changed),
        text(&api, AUTHORITIES, "proxy-ca.crt").unwrap()
    );
    eventually("every replica connects often", || {
        issuers.iter().all(Issuer::is_changing)
    })
    .await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(
        issuers.iter().all(Issuer::is_changing),
        "until kubelet has brought the file"
    );
    tokio::time::sleep(Duration::from_secs(110)).await;
    assert!(!issuers.iter().any(Issuer::is_changing), "and no longer");
}
