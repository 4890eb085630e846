//! Consumers, their credentials and their groups.

use super::*;
use crate::model::{Edition, Profile, RouterFlavor};

#[test]
fn credentials_need_a_known_type_and_its_fields() {
    for (kind, texts, message) in [
        ("key-auth", json!({"key": "k"}), ""),
        ("key-auth", json!({"kay": "k"}), "missing required field(s): key"),
        (
            "key-auth",
            json!({"key": ""}),
            "some fields were invalid due to missing data: key",
        ),
        ("basic-auth", json!({"username": "u", "password": "p"}), ""),
        ("basic-auth", json!({}), "missing required field(s): username, password"),
        (
            "hmac-auth",
            json!({"username": "u"}),
            "missing required field(s): secret",
        ),
        ("jwt", json!({"key": "k"}), "missing required field(s): algorithm"),
        ("jwt", json!({"key": "k", "algorithm": "HS256", "secret": "s"}), ""),
        (
            "jwt",
            json!({"key": "k", "algorithm": "HS256"}),
            "missing required field(s): secret",
        ),
        (
            "jwt",
            json!({"key": "k", "algorithm": "RS256", "secret": "s"}),
            "missing required field(s): rsa_public_key",
        ),
        (
            "oauth2",
            json!({"name": "n", "client_id": "i"}),
            "missing required field(s): client_secret, redirect_uris",
        ),
        ("acl", json!({}), "missing required field(s): group"),
        ("mtls-auth", json!({"subject_name": "s"}), ""),
        ("konnect", json!({}), ""),
        ("nosuch", json!({"key": "k"}), "invalid credential type nosuch"),
    ] {
        let found = denial(Kind::Secret, &credential("it", kind, &texts), &[]);
        assert_eq!(found, message, "{kind} {texts}");
    }
}

#[test]
fn two_credentials_of_our_consumers_must_differ() {
    let consumers = [
        (
            Kind::KongConsumer,
            ours(json!({"metadata": {"name": "alice"}, "username": "alice", "credentials": ["alice-key"]})),
        ),
        (
            Kind::KongConsumer,
            ours(json!({"metadata": {"name": "bob"}, "username": "bob", "credentials": ["bob-key"]})),
        ),
        (
            Kind::Secret,
            credential("alice-key", "key-auth", &json!({"key": "hunter2"})),
        ),
    ];
    let same = credential("bob-key", "key-auth", &json!({"key": "hunter2"}));
    let message = denial(Kind::Secret, &same, &consumers);
    assert!(
        message.starts_with("unique key constraint violated for key"),
        "{message}"
    );
    assert!(
        message.contains("shop/alice") && !message.contains("hunter2"),
        "{message}"
    );
    let other = credential("bob-key", "key-auth", &json!({"key": "hunter3"}));
    assert_eq!(denial(Kind::Secret, &other, &consumers), "");
    let other_type = credential(
        "bob-key",
        "jwt",
        &json!({"key": "hunter2", "algorithm": "HS256", "secret": "s"}),
    );
    assert_eq!(denial(Kind::Secret, &other_type, &consumers), "");
    let unused = credential("carol-key", "key-auth", &json!({"key": "hunter2"}));
    assert_eq!(denial(Kind::Secret, &unused, &consumers), "", "nobody uses it yet");
    let carol = ours(json!({"username": "carol", "credentials": ["carol-key"]}));
    let mut with_secret = consumers.to_vec();
    with_secret.push((Kind::Secret, unused));
    let message = denial(Kind::KongConsumer, &carol, &with_secret);
    assert!(
        message.starts_with("consumer credential failed validation: unique key constraint violated for key"),
        "{message}"
    );
    // The key of alice's own Secret may change and change back.
    let own = credential("alice-key", "key-auth", &json!({"key": "hunter2"}));
    assert_eq!(denial(Kind::Secret, &own, &consumers), "");
}

#[test]
fn consumers_have_a_name_of_their_own() {
    let alice = (
        Kind::KongConsumer,
        ours(json!({"metadata": {"name": "alice"}, "username": "alice", "custom_id": "1"})),
    );
    let objects = [alice.clone()];
    for (new, message) in [
        (
            json!({"username": "alice"}),
            "consumer already exists: KongConsumer shop/alice has username \"alice\"",
        ),
        (
            json!({"username": "bob", "custom_id": "1"}),
            "consumer already exists: KongConsumer shop/alice has custom_id \"1\"",
        ),
        (json!({"username": "bob", "custom_id": "2"}), ""),
    ] {
        assert_eq!(
            denial(Kind::KongConsumer, &ours(new.clone()), &objects),
            message,
            "{new}"
        );
    }
    assert_eq!(
        denial(Kind::KongConsumer, &json!({"username": "alice"}), &objects),
        "",
        "without our class it is not ours"
    );
    let renamed = ours(json!({"metadata": {"name": "alice"}, "username": "alice", "custom_id": "2"}));
    let review = reviewed(Kind::KongConsumer, &renamed, Some(&alice.1), &objects);
    assert!(review.conclude().is_allowed(), "its own name is no clash");
    let of_konnect = json!({"username": "alice", "spec": {"controlPlaneRef": {"type": "konnectNamespacedRef"}}});
    assert_eq!(denial(Kind::KongConsumer, &ours(of_konnect), &objects), "");
}

#[test]
fn consumers_need_their_secrets() {
    let consumer = ours(json!({"username": "alice", "credentials": ["key"]}));
    let request = request(Kind::KongConsumer, &consumer, None);
    let (denial, warnings) = without_secret(&request, "key");
    assert_eq!(
        denial.as_deref(),
        Some("consumer referenced non-existent credentials secret: shop/key does not exist; create it first")
    );
    assert!(warnings[0].contains("not checked"), "{warnings:?}");
    let with_bad = snapshot(&[(Kind::Secret, credential("key", "key-auth", &json!({"key": ""})))]);
    assert!(missing_secrets(&request, &with_bad).is_empty());
    let message = review(&request, &with_bad, &BTreeSet::new(), &settings())
        .conclude()
        .message();
    assert_eq!(
        message.as_deref(),
        Some(
            "consumer credential failed validation: Secret shop/key: some fields were invalid due to missing data: key"
        )
    );
}

fn settings_of(editions: &[Option<Edition>]) -> Settings {
    let profile = |edition: &Option<Edition>| translate::Settings {
        profile: Profile {
            router_flavor: RouterFlavor::Traditional,
            edition: *edition,
            version: None,
            plugins: None,
        },
        ..translate::Settings::default()
    };
    Settings {
        translations: editions.iter().map(profile).collect(),
    }
}

#[test]
fn groups_need_an_edition_that_has_them() {
    let request = request(Kind::KongConsumerGroup, &ours(json!({})), None);
    let of =
        |editions: &[Option<Edition>]| review(&request, &Snapshot::default(), &BTreeSet::new(), &settings_of(editions));
    assert_eq!(
        of(&[Some(Edition::OpenSource)]).conclude().message().as_deref(),
        Some("consumer group support requires Kong Enterprise")
    );
    assert!(of(&[None]).conclude().is_allowed());
    assert!(of(&[Some(Edition::OpenSource), None]).conclude().is_allowed());
    for (status, message) in [
        (200, None),
        (404, Some("consumer group support requires Kong Enterprise")),
        (
            403,
            Some("consumer group support requires a valid Kong Enterprise license"),
        ),
        (500, None),
    ] {
        let mut review = of(&[Some(Edition::Enterprise)]);
        let questions = review.take_questions();
        assert_eq!(questions.len(), 1);
        assert_eq!(
            (questions[0].method, questions[0].path.as_str()),
            (Method::Get, "/consumer_groups")
        );
        review.answer(&questions[0], &[("enterprise".to_owned(), answer(status, &json!({})))]);
        assert_eq!(review.conclude().message().as_deref(), message, "{status}");
    }
}
