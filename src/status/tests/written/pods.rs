//! What Pods are told: the condition that opens their readiness gate.

use std::time::Duration;

use serde_json::json;

use super::super::{
    cluster::{Cluster, POD},
    world::{newcomer, snapshot, synced},
};

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_its_configuration_and_again_after_a_restart() {
    let cluster = Cluster::running().await;
    cluster.pod("kong-c");
    cluster
        .snapshot
        .send_replace(snapshot(&["192.0.2.1"], &["kong-a", "kong-b", "kong-c"]));
    let others = || vec![synced("kong-a", "one"), synced("kong-b", "one")];
    let with = |proxy| [others(), vec![proxy]].concat();
    cluster.show("one", with(newcomer("kong-c")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(cluster.gate("kong-c").as_deref(), Some("False"));
    cluster.show("one", with(synced("kong-c", "one")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(cluster.gate("kong-c").as_deref(), Some("True"));
    cluster.show("one", with(newcomer("kong-c")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(cluster.gate("kong-c").as_deref(), Some("False"));
}

#[tokio::test(start_paused = true)]
async fn other_conditions_of_a_pod_stay() {
    let cluster = Cluster::empty().await;
    let theirs = json!({ "type": "Ready", "status": "True" });
    cluster.api.put(
        &format!("{POD}kong-a"),
        json!({ "metadata": { "uid": "uid-of-kong-a" }, "status": { "conditions": [theirs] } }),
    );
    cluster.snapshot.send_replace(snapshot(&[], &["kong-a"]));
    cluster.show("one", vec![synced("kong-a", "one")]);
    cluster.settled().await;
    assert_eq!(cluster.gate("kong-a").as_deref(), Some("True"));
    assert_eq!(cluster.condition(&format!("{POD}kong-a"), "Ready"), Some(theirs));
}

#[tokio::test(start_paused = true)]
async fn the_next_pod_of_that_name_is_not_told_what_its_predecessor_was() {
    let cluster = Cluster::running().await;
    cluster.api.delete(&format!("{POD}kong-a"));
    cluster.api.put(
        &format!("{POD}kong-a"),
        json!({ "metadata": { "uid": "uid-of-its-successor" } }),
    );
    cluster.api.take_requests();
    cluster.show("one", vec![newcomer("kong-a"), synced("kong-b", "one")]);
    cluster.settled().await;
    assert_eq!(cluster.gate("kong-a"), None);
    let attempts = cluster.writes().iter().filter(|line| line.contains("/pods/")).count();
    assert_eq!(attempts, 1);
}
