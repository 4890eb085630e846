//! The rows of replicas that stand beside their proxies and write them themselves.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{
    cluster::{Cluster, INSTANCE},
    world::{no, rendition, settings, snapshot, synced},
};
use crate::{
    fleet::ProxyView,
    lease::fake_api::FakeApi,
    model::NamespacedName,
    status::{Rows, Settings},
};

/// A replica that drives the proxy in its own Pod, by the writer of its row.
fn own_row(name: &str) -> Settings {
    Settings {
        rows: Rows::Own(NamespacedName::new("kong", name)),
        update_status: false,
        emit_events: false,
        services: Vec::new(),
        lease: NamespacedName::new("kong", "election-sidecar"),
        ..settings()
    }
}

/// Its proxy: found through no Service, and reached without TLS.
fn beside(name: &str) -> ProxyView {
    let mut proxy = synced(name, "one");
    let target = Arc::make_mut(&mut proxy.target);
    target.service = None;
    target.urls = vec!["http://127.0.0.1:8001".into()];
    proxy.mutual_tls = no("Loopback");
    proxy.report.as_mut().expect("it reports").certificate = None;
    proxy
}

#[tokio::test(start_paused = true)]
async fn each_replica_writes_the_row_of_the_proxy_beside_it_and_nothing_else() {
    let api = FakeApi::new();
    for name in ["kong-a", "kong-b"] {
        let cluster = Cluster::new(api.clone(), own_row(name));
        cluster.pod(name);
        cluster.snapshot.send_replace(snapshot(&["192.0.2.1"], &[]));
        cluster.rendition.send_replace(rendition("one", &["web"], Vec::new()));
        cluster.show("one", vec![beside(name)]);
        cluster.settled().await;
        cluster.task.abort();
    }
    let cluster = Cluster::new(api, settings());
    let written = cluster.writes();
    for name in ["kong-a", "kong-b"] {
        let row = cluster.instance(name).expect("it was made");
        assert_eq!(row["metadata"]["ownerReferences"][0]["uid"], format!("uid-of-{name}"));
        assert_eq!(row["spec"]["service"], Value::Null);
        assert_eq!(row["status"]["mtls"], Value::Null);
        assert_eq!(
            row["status"]["observer"],
            json!({ "lease": "kong/election-sidecar", "epoch": "uid-of-lease:1" })
        );
        let condition = cluster.condition(&format!("{INSTANCE}{name}"), "MutualTLS").unwrap();
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("False"), &json!("Loopback"))
        );
        assert_eq!(cluster.gate(name).as_deref(), Some("True"));
        let of_it = written.iter().filter(|line| line.contains(name)).count();
        assert_eq!(of_it, 3, "the row, its status, the Pod's condition: {written:#?}");
    }
    assert_eq!(written.len(), 6, "{written:#?}");
    // The one controller of all leads while the replicas are left: their rows are theirs.
    cluster.snapshot.send_replace(snapshot(&["192.0.2.1"], &[]));
    cluster.settled().await;
    assert!(cluster.instance("kong-a").is_some() && cluster.instance("kong-b").is_some());
}

#[tokio::test(start_paused = true)]
async fn the_leader_of_replicas_that_write_their_rows_writes_none() {
    let leader = Settings {
        rows: Rows::None,
        services: Vec::new(),
        ..own_row("kong-a")
    };
    let cluster = Cluster::new(FakeApi::new(), leader);
    cluster.pod("kong-a");
    cluster.snapshot.send_replace(snapshot(&["192.0.2.1"], &[]));
    cluster.rendition.send_replace(rendition("one", &["web"], Vec::new()));
    cluster.show("one", vec![beside("kong-a")]);
    cluster.settled().await;
    assert_eq!(cluster.writes(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_has_no_status_yet_is_left_to_the_replica_that_made_it() {
    let cluster = Cluster::empty().await;
    let row = json!({
        "spec": { "podRef": { "name": "kong-z", "uid": "uid-of-kong-z" }, "adminUrl": "http://127.0.0.1:8001" },
    });
    cluster.api.put(&format!("{INSTANCE}kong-z"), row);
    cluster.task.abort();
    let cluster = Cluster::new(cluster.api.clone(), settings());
    cluster.snapshot.send_replace(snapshot(&[], &[]));
    cluster.settled().await;
    assert!(cluster.instance("kong-z").is_some());
}
