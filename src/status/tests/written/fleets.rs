//! The ProxyFleet of each Admin Service.

use std::sync::Arc;

use serde_json::json;

use super::super::{
    cluster::{Cluster, FLEET},
    world::{hash, no, settings, snapshot, synced, terminating},
};
use crate::{
    fleet::ProxyView,
    lease::fake_api::FakeApi,
    model::{Snapshot, Storage},
    status::Settings,
};

#[tokio::test(start_paused = true)]
async fn the_fleet_counts_and_says_why() {
    let cluster = Cluster::running().await;
    let fleet = cluster.api.get(FLEET).expect("it was made");
    assert_eq!(
        fleet["status"]["proxies"],
        json!({ "discovered": 2, "ready": 2, "synced": 2 })
    );
    assert_eq!(fleet["status"]["profiles"][0]["desiredHash"], hash("one").to_string());
    assert_eq!(fleet["status"]["profiles"][0]["servedHash"], hash("one").to_string());
    assert_eq!(cluster.condition(FLEET, "Synced").unwrap()["status"], "True");
    assert_eq!(cluster.condition(FLEET, "Paused").unwrap()["status"], "False");
    assert_eq!(
        cluster.condition(FLEET, "SourceUnavailable").unwrap()["status"],
        "False"
    );

    let refused = ProxyView {
        synced: no("ConfigRejected"),
        ..synced("kong-b", "one")
    };
    cluster.show(
        "one",
        vec![synced("kong-a", "one"), refused, terminating(synced("kong-c", "one"))],
    );
    cluster.settled().await;
    let synced_condition = cluster.condition(FLEET, "Synced").unwrap();
    assert_eq!(synced_condition["status"], "False");
    assert_eq!(synced_condition["reason"], "ConfigRejected");
    let message = synced_condition["message"].as_str().unwrap();
    assert!(
        message.contains("1 of 2 proxies") && message.contains("kong-b"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_fleet_says_why_what_was_accepted_last_can_not_be_put_away() {
    let cluster = Cluster::running().await;
    assert_eq!(cluster.condition(FLEET, "LastGoodStored").unwrap()["status"], "True");
    cluster.storage.send_replace(Storage::Failed {
        reason: "TooLarge",
        message: "put it on a volume (--last-good-directory)".to_owned(),
    });
    cluster.settled().await;
    let stored = cluster.condition(FLEET, "LastGoodStored").unwrap();
    assert_eq!(
        (&stored["status"], &stored["reason"]),
        (&json!("False"), &json!("TooLarge"))
    );
    let message = stored["message"].as_str().unwrap();
    assert!(message.contains("--last-good-directory"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn users_own_the_spec_of_a_fleet() {
    let cluster = Cluster::running().await;
    let mut fleet = cluster.api.get(FLEET).expect("it was made");
    fleet["spec"]["paused"] = json!(true);
    cluster.api.put(FLEET, fleet);
    cluster.settled().await;
    assert_eq!(cluster.api.get(FLEET).unwrap()["spec"]["paused"], true);
    assert_eq!(cluster.condition(FLEET, "Paused").unwrap()["status"], "True");
    cluster.show("two", vec![synced("kong-a", "two"), synced("kong-b", "two")]);
    cluster.settled().await;
    assert_eq!(cluster.api.get(FLEET).unwrap()["spec"]["paused"], true);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_goes_with_its_service_and_comes_back_only_with_one() {
    let path = "/apis/gateway.silverback.dev/v1alpha1/namespaces/kong/proxyfleets/kong-admin";
    let cluster = Cluster::new(
        FakeApi::new(),
        Settings {
            namespace: "kong".into(),
            ..settings()
        },
    );
    cluster.snapshot.send_replace(snapshot(&[], &[]));
    cluster.settled().await;
    let owner = json!({
        "apiVersion": "v1", "kind": "Service", "name": "kong-admin", "uid": "uid-of-kong-admin",
        "controller": false, "blockOwnerDeletion": false,
    });
    assert_eq!(
        cluster.api.get(path).expect("it was made")["metadata"]["ownerReferences"],
        json!([owner])
    );

    cluster.snapshot.send_replace(Arc::new(Snapshot::default()));
    cluster.api.delete(path);
    cluster.settled().await;
    assert_eq!(cluster.api.get(path), None);

    cluster.snapshot.send_replace(snapshot(&[], &[]));
    cluster.settled().await;
    assert!(cluster.api.get(path).is_some());
}
