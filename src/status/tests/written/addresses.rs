//! The addresses of Ingresses, and when users' objects are left alone.

use serde_json::{Value, json};

use super::super::{
    cluster::{Cluster, EVENTS, INGRESS},
    world::{problem, rendition, settings, snapshot, synced},
};
use crate::{lease::fake_api::FakeApi, status::Settings};

#[tokio::test(start_paused = true)]
async fn an_ingress_gets_its_addresses_once_a_proxy_runs_it() {
    let cluster = Cluster::running().await;
    assert_eq!(cluster.addresses("web"), json!([{ "ip": "192.0.2.1" }]));

    cluster.api.put(
        &format!("{INGRESS}late"),
        json!({ "metadata": { "uid": "uid-of-late" } }),
    );
    cluster
        .rendition
        .send_replace(rendition("two", &["web", "late"], Vec::new()));
    cluster.settled().await;
    assert_eq!(cluster.addresses("late"), Value::Null, "no proxy has it yet");
    cluster.show("two", vec![synced("kong-a", "two"), synced("kong-b", "one")]);
    cluster.settled().await;
    assert_eq!(cluster.addresses("late"), json!([{ "ip": "192.0.2.1" }]));

    cluster
        .snapshot
        .send_replace(snapshot(&["192.0.2.9"], &["kong-a", "kong-b"]));
    cluster.settled().await;
    assert_eq!(cluster.addresses("web"), json!([{ "ip": "192.0.2.9" }]));
    cluster.snapshot.send_replace(snapshot(&[], &["kong-a", "kong-b"]));
    cluster.settled().await;
    assert_eq!(
        cluster.addresses("web"),
        json!([{ "ip": "10.96.0.7" }]),
        "else its cluster address, as KIC"
    );
}

#[tokio::test(start_paused = true)]
async fn given_addresses_go_before_those_of_the_service() {
    let given = Settings {
        publish_addresses: vec!["lb.example.com".to_owned(), "2001:db8::1".to_owned()],
        ..settings()
    };
    let cluster = Cluster::new(FakeApi::new(), given);
    cluster
        .api
        .put(&format!("{INGRESS}web"), json!({ "metadata": { "uid": "uid-of-web" } }));
    cluster.snapshot.send_replace(snapshot(&["192.0.2.1"], &["kong-a"]));
    cluster.rendition.send_replace(rendition("one", &["web"], Vec::new()));
    cluster.show("one", vec![synced("kong-a", "one")]);
    cluster.settled().await;
    assert_eq!(
        cluster.addresses("web"),
        json!([{ "hostname": "lb.example.com" }, { "ip": "2001:db8::1" }])
    );
}

#[tokio::test(start_paused = true)]
async fn update_status_off_leaves_users_objects_alone() {
    let off = Settings {
        update_status: false,
        emit_events: false,
        ..settings()
    };
    let cluster = Cluster::new(FakeApi::new(), off);
    cluster
        .api
        .put(&format!("{INGRESS}web"), json!({ "metadata": { "uid": "uid-of-web" } }));
    cluster.snapshot.send_replace(snapshot(&["192.0.2.1"], &["kong-a"]));
    cluster
        .rendition
        .send_replace(rendition("one", &["web"], vec![problem("web", "missing")]));
    cluster.show("one", vec![synced("kong-a", "one")]);
    cluster.settled().await;
    assert_eq!(cluster.addresses("web"), Value::Null);
    assert_eq!(cluster.api.names(EVENTS), [] as [&str; 0]);
    assert!(cluster.instance("kong-a").is_some());
}

#[tokio::test(start_paused = true)]
async fn users_objects_are_left_to_others_as_long_as_they_write_them() {
    let cluster = Cluster::new(FakeApi::new(), settings());
    cluster.objects_are_ours.send_replace(false);
    let path = format!("{INGRESS}web");
    cluster.api.put(&path, json!({ "metadata": { "uid": "uid-of-web" } }));
    cluster.snapshot.send_replace(snapshot(&["192.0.2.1"], &["kong-a"]));
    cluster.rendition.send_replace(rendition("one", &["web"], Vec::new()));
    cluster.show("one", vec![synced("kong-a", "one")]);
    cluster.settled().await;
    assert_eq!(cluster.addresses("web"), Value::Null);
    assert!(
        cluster.instance("kong-a").is_some(),
        "what nobody else writes is written"
    );

    // What they leave there is read before anything is written.
    let left = json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.9" }] } });
    cluster
        .api
        .put(&path, json!({ "metadata": { "uid": "uid-of-web" }, "status": left }));
    cluster.objects_are_ours.send_replace(true);
    cluster.settled().await;
    assert_eq!(cluster.addresses("web"), json!([{ "ip": "192.0.2.1" }]));
}
