//! What the API server is asked: nothing without need, and again in good time what it did not do.

use std::time::Duration;

use serde_json::json;

use super::super::{
    cluster::{Cluster, FLEET, INGRESS, leader},
    world::{newcomer, rendition, settings, snapshot, synced},
};
use crate::{lease::fake_api::FakeApi, model::Leadership};

#[tokio::test(start_paused = true)]
async fn a_quiet_cluster_costs_no_request() {
    let cluster = Cluster::running().await;
    cluster.api.take_requests();
    let before = *cluster.reports.load.borrow();
    for _ in 0..100 {
        cluster.show("one", vec![synced("kong-a", "one"), synced("kong-b", "one")]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(cluster.api.take_requests(), [] as [&str; 0]);
    assert_eq!(*cluster.reports.load.borrow(), before);
    assert_eq!(before.failures, 0, "{before:?}");
}

#[tokio::test(start_paused = true)]
async fn followers_write_nothing() {
    let cluster = Cluster::running().await;
    cluster.leadership.send_replace(Leadership::Follower { holder: None });
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.api.take_requests();
    cluster.show("two", vec![newcomer("kong-a")]);
    cluster.snapshot.send_replace(snapshot(&["192.0.2.77"], &["kong-a"]));
    cluster.settled().await;
    assert_eq!(cluster.api.take_requests(), [] as [&str; 0]);
    cluster.leadership.send_replace(leader(3));
    cluster.settled().await;
    assert_eq!(cluster.gate("kong-a").as_deref(), Some("False"));
    assert!(cluster.instance("kong-b").is_none());
}

#[tokio::test(start_paused = true)]
async fn without_the_definitions_the_rest_goes_on_and_rows_come_when_they_are_there() {
    let api = FakeApi::new();
    api.fail("gateway.silverback.dev", 404);
    let cluster = Cluster::new(api, settings());
    cluster.pod("kong-a");
    cluster
        .api
        .put(&format!("{INGRESS}web"), json!({ "metadata": { "uid": "uid-of-web" } }));
    cluster.snapshot.send_replace(snapshot(&["192.0.2.1"], &["kong-a"]));
    cluster.rendition.send_replace(rendition("one", &["web"], Vec::new()));
    cluster.show("one", vec![synced("kong-a", "one")]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(cluster.gate("kong-a").as_deref(), Some("True"));
    assert_eq!(cluster.addresses("web"), json!([{ "ip": "192.0.2.1" }]));
    let requests = cluster.api.take_requests().len();
    assert!(requests < 150, "{requests} requests in 10 minutes");
    cluster.api.heal();
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(cluster.instance("kong-a").is_some());
    assert!(cluster.api.get(FLEET).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_is_missing_stops_its_kind_only() {
    let cluster = Cluster::running().await;
    cluster.api.fail("/ingresses/web/status", 403);
    cluster
        .snapshot
        .send_replace(snapshot(&["192.0.2.50"], &["kong-a", "kong-b"]));
    cluster.settled().await;
    cluster.api.take_requests();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let attempts = cluster.writes().len();
    // 1 s, 2 s, 4 s and so on, then one a minute.
    assert!((10..=17).contains(&attempts), "{attempts} attempts in 10 minutes");
    cluster.show("one", vec![newcomer("kong-a"), synced("kong-b", "one")]);
    cluster.settled().await;
    assert_eq!(cluster.gate("kong-a").as_deref(), Some("False"));
    cluster.api.heal();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(cluster.addresses("web"), json!([{ "ip": "192.0.2.50" }]));
}

#[tokio::test(start_paused = true)]
async fn a_silent_api_server_loses_nothing() {
    let cluster = Cluster::running().await;
    cluster.api.fail("PATCH", 0);
    cluster.show("one", vec![newcomer("kong-a"), synced("kong-b", "one")]);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(cluster.gate("kong-a").as_deref(), Some("True"), "the old one");
    assert!(cluster.reports.load.borrow().gates >= 1);
    cluster.api.heal();
    tokio::time::sleep(Duration::from_secs(75)).await;
    assert_eq!(cluster.gate("kong-a").as_deref(), Some("False"));
    assert_eq!(cluster.reports.load.borrow().gates, 0);
}
