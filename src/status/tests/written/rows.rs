//! The row of each proxy, a ProxyInstance.

use std::sync::Arc;

use serde_json::json;

use super::super::{
    cluster::{Cluster, INSTANCE, POD, leader},
    world::{at, hash, profile, rendition, settings, snapshot, synced},
};
use crate::fleet::{HashMode, ProxyView};

#[tokio::test(start_paused = true)]
async fn each_proxy_has_a_row_that_belongs_to_its_pod() {
    let cluster = Cluster::running().await;
    let instance = cluster.instance("kong-a").expect("it was made");
    let owner = &instance["metadata"]["ownerReferences"][0];
    assert_eq!(owner["kind"], "Pod");
    assert_eq!(owner["uid"], "uid-of-kong-a");
    assert_eq!(owner["controller"], false);
    assert_eq!(owner["blockOwnerDeletion"], false);
    assert_eq!(instance["spec"]["nodeName"], "node-a");
    assert_eq!(instance["spec"]["adminUrl"], "https://10.0.0.1:8444");
    assert_eq!(
        instance["spec"]["service"],
        json!({ "namespace": "kong", "name": "kong-admin" })
    );
    assert_eq!(instance["spec"]["profile"], profile().to_string());
    let status = &instance["status"];
    let hash = status["configuration"]["observedHash"].as_str().expect("a hash");
    assert_eq!(
        status["configuration"]["shortHash"].as_str().expect("a hash"),
        &hash[..12]
    );
    assert_eq!(status["configuration"]["applyDuration"], "85ms");
    assert_eq!(status["configuration"]["complete"], true);
    assert_eq!(status["configuration"]["problems"], 0);
    assert_eq!(status["mtls"]["issuer"], "CN=silverback");
    assert_eq!(status["proxy"]["version"], "3.9.1");
    assert_eq!(status["errorCount"], 0);
    assert_eq!(
        status["observer"],
        json!({ "lease": "silverback/election", "epoch": "uid-of-lease:1" })
    );
    for type_ in ["Reachable", "MutualTLS", "Synced", "Complete", "Ready"] {
        let condition = cluster.condition(&format!("{INSTANCE}kong-a"), type_).expect(type_);
        assert_eq!(condition["status"], "True", "{type_}");
        assert_eq!(condition["lastTransitionTime"], at(0).to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn rows_go_when_their_pods_leave_the_slices_and_not_before() {
    let cluster = Cluster::running().await;
    cluster.show("one", vec![synced("kong-a", "one")]);
    cluster.settled().await;
    assert!(
        cluster.instance("kong-b").is_some(),
        "the slices still have it: the view may be behind"
    );
    cluster.snapshot.send_replace(snapshot(&["192.0.2.1"], &["kong-a"]));
    cluster.settled().await;
    assert!(cluster.instance("kong-b").is_none());
    assert!(cluster.instance("kong-a").is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_before_the_slices_are_known() {
    let first = Cluster::running().await;
    first.task.abort();
    let second = Cluster::new(first.api.clone(), settings());
    second.settled().await;
    assert!(second.instance("kong-a").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_removes_what_was_left_behind_and_writes_nothing_that_stands() {
    let first = Cluster::running().await;
    first.task.abort();
    let second = Cluster::new(first.api.clone(), settings());
    second.leadership.send_replace(leader(2));
    second.api.take_requests();
    second.snapshot.send_replace(snapshot(&["192.0.2.1"], &["kong-a"]));
    second.rendition.send_replace(rendition("one", &["web"], Vec::new()));
    second.show("one", vec![synced("kong-a", "one")]);
    second.settled().await;
    assert!(second.instance("kong-b").is_none());
    let writes = second.writes();
    let foreseen = |line: &String| {
        line.starts_with("DELETE /apis/gateway.silverback.dev/v1alpha1/namespaces/kong/proxyinstances/kong-b")
            || line.contains("/pods/kong-a/status")
            || line.contains("/proxyfleets/kong-admin/status")
            || line.contains("/events")
    };
    assert!(writes.iter().all(foreseen), "{writes:#?}");
    assert!(writes.len() <= 5, "{writes:#?}");
}

#[tokio::test(start_paused = true)]
async fn rows_of_another_controller_are_left_alone() {
    let cluster = Cluster::empty().await;
    let theirs = json!({
        "spec": { "podRef": { "name": "other", "uid": "uid-of-other" }, "adminUrl": "https://10.9.9.9:8444" },
        "status": { "observer": { "lease": "elsewhere/election", "epoch": "x:1" }, "errorCount": 0, "conditions": [] },
    });
    cluster.api.put(&format!("{INSTANCE}other"), theirs);
    cluster.task.abort();
    let cluster = Cluster::new(cluster.api.clone(), settings());
    cluster.snapshot.send_replace(snapshot(&[], &[]));
    cluster.settled().await;
    assert!(cluster.instance("other").is_some());
}

#[tokio::test(start_paused = true)]
async fn the_next_pod_of_that_name_gets_a_row_of_its_own() {
    let cluster = Cluster::running().await;
    let former = cluster.instance("kong-b").expect("it stands")["metadata"]["uid"].clone();
    let mut next = synced("kong-b", "one");
    let target = Arc::make_mut(&mut next.target);
    target.id = crate::model::ProxyId("uid-of-its-successor".into());
    target.pod.as_mut().unwrap().uid = "uid-of-its-successor".into();
    cluster.show("one", vec![synced("kong-a", "one"), next]);
    cluster.settled().await;
    let instance = cluster.instance("kong-b").expect("it was made");
    assert_ne!(instance["metadata"]["uid"], former);
    assert_eq!(
        instance["metadata"]["ownerReferences"][0]["uid"],
        "uid-of-its-successor"
    );
    assert_eq!(instance["status"]["errorCount"], 0, "with its status");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_somebody_deletes_comes_back() {
    let cluster = Cluster::running().await;
    cluster.api.delete(&format!("{INSTANCE}kong-a"));
    cluster.settled().await;
    let instance = cluster.instance("kong-a").expect("it was made again");
    assert_eq!(instance["status"]["proxy"]["version"], "3.9.1");
}

#[tokio::test(start_paused = true)]
async fn what_a_deposed_leader_writes_late_does_not_stay() {
    let cluster = Cluster::running().await;
    let (row, pod) = (format!("{INSTANCE}kong-a"), format!("{POD}kong-a"));
    let mut late = cluster.instance("kong-a").expect("it stands");
    late["status"]["observer"]["epoch"] = json!("uid-of-lease:1");
    late["status"]["conditions"] = json!([]);
    let mut closed = cluster.api.get(&pod).expect("it stands");
    closed["status"]["conditions"][0]["status"] = json!("False");
    cluster.leadership.send_replace(leader(2));
    cluster.settled().await;

    cluster.api.put(&pod, closed);
    cluster.api.put(&row, late.clone());
    cluster.settled().await;
    assert_eq!(cluster.condition(&row, "Ready").unwrap()["status"], "True");
    assert_eq!(
        cluster.gate("kong-a").as_deref(),
        Some("True"),
        "nor what it told the Pod"
    );
    let row_now = cluster.instance("kong-a").unwrap();
    assert_eq!(row_now["status"]["observer"]["epoch"], "uid-of-lease:2");

    // One that came after us is not written over: we just don't know yet.
    late["status"]["observer"]["epoch"] = json!("uid-of-lease:3");
    cluster.api.put(&row, late);
    cluster.settled().await;
    assert_eq!(
        cluster.instance("kong-a").unwrap()["status"]["observer"]["epoch"],
        "uid-of-lease:3"
    );
}

#[tokio::test(start_paused = true)]
async fn a_row_says_how_its_proxy_names_configurations() {
    let cluster = Cluster::running().await;
    let configuration = |name: &str| cluster.instance(name).unwrap()["status"]["configuration"].clone();
    assert!(
        configuration("kong-a")["hashMode"].is_null(),
        "it has confirmed nothing yet"
    );
    let predicted = ProxyView {
        hash_mode: HashMode::Predicted,
        ..synced("kong-a", "one")
    };
    let mut learned = ProxyView {
        hash_mode: HashMode::Learned,
        ..synced("kong-b", "one")
    };
    let own_name = hash("as it calls that");
    learned.report.as_mut().unwrap().hash = own_name;
    cluster.show("one", vec![predicted, learned]);
    cluster.settled().await;
    let ours = hash("one");
    for (name, mode, reported) in [("kong-a", "predicted", ours), ("kong-b", "learned", own_name)] {
        let configuration = configuration(name);
        assert_eq!(configuration["hashMode"], mode);
        assert_eq!(
            configuration["observedHash"],
            reported.to_string(),
            "what it says itself"
        );
        assert_eq!(
            configuration["shortHash"],
            ours.short(),
            "the same for all that run the same"
        );
    }
}
