//! Secrets of an API server in memory, with all that may come between.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::lease::fake_api::FakeApi;

fn part(digest: &str, sequence: u64, index: usize, of: usize) -> Part {
    Part {
        digest: digest.to_owned(),
        sequence,
        index,
        of,
        bytes: Vec::new(),
    }
}

#[test]
fn the_latest_that_is_whole_counts() {
    let found = |parts: &[Part]| latest(parts.iter()).map(|(sequence, whole)| (sequence, whole.len()));
    let old = || [part("a", 1, 1, 2), part("a", 1, 0, 2)];
    assert_eq!(found(&[]), None);
    assert_eq!(found(&old()), Some((1, 2)));
    let [one, other] = old();
    assert_eq!(
        found(&[one, other, part("b", 2, 0, 2)]),
        Some((1, 2)),
        "a write was broken off"
    );
    let [one, other] = old();
    assert_eq!(found(&[one, other, part("b", 2, 0, 1)]), Some((2, 1)));
    let [one, _] = old();
    assert_eq!(found(&[one, part("b", 2, 0, 2)]), None);
}

const PATH: &str = "/api/v1/namespaces/gateway/secrets/last-good-";

/// Empty Secrets, as the chart makes them.
fn empty() -> FakeApi {
    let api = FakeApi::new();
    for suffix in ["key", "0", "1", "2", "3"] {
        api.put(&format!("{PATH}{suffix}"), json!({ "type": SECRET_TYPE }));
    }
    api
}

/// A controller that has just started.
fn secrets(api: &FakeApi) -> Secrets {
    Secrets::new(api.client(), NamespacedName::new("gateway", "last-good"))
}

/// So many Secrets full, less a byte, of something that tells one from another.
fn sealed(parts: usize, kind: u8) -> Vec<u8> {
    let length = parts * MOST - 1;
    (0..length).map(|at| kind ^ (at % 251) as u8).collect()
}

async fn loaded(api: &FakeApi) -> Option<Vec<u8>> {
    secrets(api).load().await.unwrap()
}

/// Names of the Secrets that were written since this was asked last.
fn written(api: &FakeApi) -> Vec<String> {
    let puts = api.take_requests();
    let puts = puts.iter().filter(|line| line.starts_with("PUT "));
    let name = |line: &String| line.split(['?', ' ']).nth(1).unwrap().replace(PATH, "");
    puts.map(name).collect()
}

#[tokio::test]
async fn what_needs_one_two_or_four_secrets_comes_back_as_it_was() {
    let api = empty();
    assert_eq!(loaded(&api).await, None);
    for (kind, parts) in [1, 2, 4, 2, 1, 3, 1].into_iter().enumerate() {
        let sealed = sealed(parts, kind as u8);
        api.take_requests();
        secrets(&api).save(sealed.clone()).await.unwrap();
        assert_eq!(written(&api).len(), parts);
        assert!(loaded(&api).await == Some(sealed), "{parts} parts");
    }
}

#[tokio::test]
async fn a_fifth_secret_is_refused_and_what_was_there_stays() {
    let api = empty();
    secrets(&api).save(sealed(4, 1)).await.unwrap();
    api.take_requests();
    let refused = secrets(&api)
        .save(sealed(4, 2).into_iter().chain([1, 2]).collect())
        .await;
    let error = refused.unwrap_err();
    assert_eq!(error.reason(), "TooLarge");
    assert!(error.to_string().contains("--last-good-directory"), "{error}");
    assert_eq!(written(&api), Vec::<String>::new());
    assert!(loaded(&api).await == Some(sealed(4, 1)));
}

#[tokio::test]
async fn a_write_that_breaks_off_leaves_what_was_there_before() {
    // Two and two fit beside each other, and so do one and three.
    for (before, after) in [(1, 2), (2, 2), (1, 3)] {
        let api = empty();
        secrets(&api).save(sealed(before, 1)).await.unwrap();
        api.take_requests();
        secrets(&api).save(sealed(after, 2)).await.unwrap();
        let order = written(&api);
        // The same once more, and nobody answers after the first part.
        let api = empty();
        secrets(&api).save(sealed(before, 1)).await.unwrap();
        api.fail(&format!("PUT {PATH}{}", order[1]), 500);
        let error = secrets(&api).save(sealed(after, 2)).await.unwrap_err();
        assert_eq!(error.reason(), "WriteFailed");
        api.heal();
        assert!(loaded(&api).await == Some(sealed(before, 1)), "{before}, then {after}");
        // It is tried again, by whoever leads then.
        secrets(&api).save(sealed(after, 2)).await.unwrap();
        assert!(loaded(&api).await == Some(sealed(after, 2)), "{before}, then {after}");
    }
}

/// There is no room for both: what is half of one and half of the other is taken for neither.
#[tokio::test]
async fn a_large_write_that_breaks_off_leaves_nothing_rather_than_a_mixture() {
    let api = empty();
    secrets(&api).save(sealed(4, 1)).await.unwrap();
    api.take_requests();
    api.fail(&format!("PUT {PATH}1"), 500);
    secrets(&api).save(sealed(4, 2)).await.unwrap_err();
    assert_eq!(written(&api), ["0", "1"]);
    api.heal();
    assert_eq!(loaded(&api).await, None);
    secrets(&api).save(sealed(4, 2)).await.unwrap();
    assert!(loaded(&api).await == Some(sealed(4, 2)));
}

#[tokio::test]
async fn what_somebody_changed_is_damaged() {
    let api = empty();
    secrets(&api).save(sealed(1, 1)).await.unwrap();
    let mut secret = api.get(&format!("{PATH}0")).unwrap();
    secret["data"]["part"] = "AAAA".into();
    api.put(&format!("{PATH}0"), secret);
    let error = secrets(&api).load().await.unwrap_err();
    assert_eq!(error.reason(), "Damaged");
}

#[tokio::test]
async fn there_is_one_key_whoever_asks_first() {
    let api = empty();
    let made = secrets(&api).key().await.unwrap();
    assert_eq!(secrets(&api).key().await.unwrap(), made);
    assert_eq!(written(&api), ["key"]);
}

#[tokio::test]
async fn what_is_missing_or_forbidden_is_told_by_name() {
    let api = empty();
    api.delete(&format!("{PATH}2"));
    let error = secrets(&api).save(sealed(1, 1)).await.unwrap_err();
    assert_eq!(
        (error.reason(), error.to_string().contains("gateway/last-good-2")),
        ("SecretMissing", true)
    );
    let api = empty();
    api.fail("PUT ", 403);
    let error = secrets(&api).save(sealed(1, 1)).await.unwrap_err();
    assert_eq!(error.reason(), "Forbidden");
    assert!(
        error.to_string().contains("may not update Secret gateway/last-good-0"),
        "{error}"
    );
}
