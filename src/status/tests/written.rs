//! What stands in the cluster, before an API server in memory.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    cluster::{Cluster, EVENTS, FLEET, INGRESS, INSTANCE, POD, leader},
    world::{at, newcomer, no, problem, profile, rendition, settings, snapshot, synced, terminating},
};
use crate::{
    fleet::{HashMode, ProxyView},
    lease::fake_api::FakeApi,
    model::{Leadership, NamespacedName, Snapshot, Storage},
    status::{Rows, Settings},
};

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
async fn the_fleet_counts_and_says_why() {
    let cluster = Cluster::running().await;
    let fleet = cluster.api.get(FLEET).expect("it was made");
    assert_eq!(
        fleet["status"]["proxies"],
        json!({ "discovered": 2, "ready": 2, "synced": 2 })
    );
    assert_eq!(
        fleet["status"]["profiles"][0]["desiredHash"],
        super::world::hash("one").to_string()
    );
    assert_eq!(
        fleet["status"]["profiles"][0]["servedHash"],
        super::world::hash("one").to_string()
    );
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
    let own_name = super::world::hash("as it calls that");
    learned.report.as_mut().unwrap().hash = own_name;
    cluster.show("one", vec![predicted, learned]);
    cluster.settled().await;
    let ours = super::world::hash("one");
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
