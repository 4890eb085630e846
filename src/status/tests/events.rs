//! Events, as `kubectl describe` shows them.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    cluster::{Cluster, FLEET, INSTANCE, leader},
    world::{at, hash, ingress_ref, no, problem, rendition, snapshot, synced, view, with_whole},
};
use crate::{
    fleet::{Condition, ProxyError, ProxyView},
    liveness::Tracker,
    model::{Digest, Kind, Leadership, NamespacedName, Object, Problem, ProxyTarget, Reason, Snapshot, Unavailable},
    render::Rendition,
    status::author::{events, news},
};

#[tokio::test(start_paused = true)]
async fn a_problem_is_one_event_on_its_object_and_one_more_when_it_comes_back() {
    let cluster = Cluster::running().await;
    let wrong = || vec![problem("web", "Service shop/none does not exist")];
    for text in ["two", "three", "four"] {
        cluster.rendition.send_replace(rendition(text, &["web"], wrong()));
        cluster.settled().await;
    }
    let events = cluster.events("shop");
    assert_eq!(events.len(), 1, "{events:#?}");
    let event = &events[0];
    assert_eq!(event["reason"], "KongConfigurationTranslationFailed");
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["regarding"]["kind"], "Ingress");
    assert_eq!(event["regarding"]["apiVersion"], "networking.k8s.io/v1");
    assert_eq!(event["regarding"]["uid"], "uid-of-web");
    let note = event["note"].as_str().unwrap();
    for part in [
        "spec.rules[0].http.paths[0].backend.service.name",
        "Service shop/none does not exist",
        "create it",
    ] {
        assert!(note.contains(part), "{note}");
    }
    assert!(
        event.get("series").is_none_or(Value::is_null),
        "not counted up: {event:#}"
    );

    cluster.rendition.send_replace(rendition("five", &["web"], Vec::new()));
    cluster.settled().await;
    cluster.rendition.send_replace(rendition("six", &["web"], wrong()));
    cluster.settled().await;
    let events = cluster.events("shop");
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0]["series"]["count"], 2);
}

#[tokio::test(start_paused = true)]
async fn what_proxies_refuse_is_told_on_the_object_and_on_the_controllers_pod() {
    let cluster = Cluster::running().await;
    let refused = |name: &str| ProxyView {
        synced: no("ConfigRejected"),
        errors: vec![ProxyError {
            object: Some(ingress_ref("web")),
            entity_type: "route".to_owned(),
            field: Some("paths".to_owned()),
            message: "invalid regex".to_owned(),
            since: at(5),
        }],
        error_count: 1,
        ..synced(name, "one")
    };
    cluster.show("two", vec![refused("kong-a"), refused("kong-b")]);
    cluster.settled().await;
    let events = cluster.events("shop");
    assert_eq!(events.len(), 1, "one for both proxies: {events:#?}");
    assert_eq!(events[0]["reason"], "KongConfigurationApplyFailed");
    assert!(events[0]["note"].as_str().unwrap().contains("paths: invalid regex"));
    let on_pod = cluster.events("silverback");
    let failed: Vec<_> = on_pod
        .iter()
        .filter(|event| event["reason"] == "KongConfigurationApplyFailed")
        .collect();
    assert_eq!(failed.len(), 1, "{on_pod:#?}");
    assert_eq!(failed[0]["regarding"]["uid"], "uid-of-silverback-0");
    let note = failed[0]["note"].as_str().unwrap();
    assert!(note.contains("https://10.0.0.1:8444 and 1 more"), "{note}");
    let instance = cluster.instance("kong-a").unwrap();
    assert_eq!(instance["status"]["errorCount"], 1);
    assert_eq!(instance["status"]["errors"][0]["objectRef"]["name"], "web");
    assert_eq!(instance["status"]["errors"][0]["field"], "paths");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_writer_is_told_on_the_controllers_pod_and_in_the_row() {
    let cluster = Cluster::running().await;
    let overwritten = ProxyView {
        observed: Some(hash("foreign")),
        synced: Condition {
            message: "somebody else keeps configuring this proxy".to_owned(),
            ..no("ForeignWriter")
        },
        ..synced("kong-a", "one")
    };
    for _ in 0..3 {
        cluster.show("one", vec![overwritten.clone(), synced("kong-b", "one")]);
        cluster.settled().await;
    }
    let told = on_pod(&cluster, "KongConfigurationApplyFailed");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["type"], "Warning");
    let note = told[0]["note"].as_str().unwrap();
    assert!(
        note.contains("ForeignWriter") && note.contains("https://10.0.0.1:8444"),
        "{note}"
    );
    assert!(told[0].get("series").is_none_or(Value::is_null), "told once: {told:#?}");
    let row = cluster.condition(&format!("{INSTANCE}kong-a"), "Synced").unwrap();
    assert_eq!(
        (&row["status"], &row["reason"]),
        (&json!("False"), &json!("ForeignWriter"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_configuration_of_over_four_fifths_of_what_a_proxy_takes_is_told_once() {
    let cluster = Cluster::running().await;
    let of_size = |size: u64| {
        let mut proxy = synced("kong-a", "one");
        proxy.report.as_mut().unwrap().body_limit = Some(10_000);
        proxy.size_bytes = Some(size);
        proxy
    };
    cluster.show("one", vec![of_size(8_000), synced("kong-b", "one")]);
    cluster.settled().await;
    assert_eq!(on_pod(&cluster, "ConfigurationNearlyTooLarge"), Vec::<Value>::new());
    // It goes on growing.
    for size in [8_001, 8_500, 9_990] {
        cluster.show("one", vec![of_size(size), synced("kong-b", "one")]);
        cluster.settled().await;
    }
    let told = on_pod(&cluster, "ConfigurationNearlyTooLarge");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["type"], "Warning");
    let note = told[0]["note"].as_str().unwrap();
    assert!(
        note.starts_with("kong-a: ") && note.contains("KONG_NGINX_ADMIN_CLIENT_MAX_BODY_SIZE"),
        "{note}"
    );
}

/// Events on the controller's Pod for that reason.
fn on_pod(cluster: &Cluster, reason: &str) -> Vec<Value> {
    let mut events = cluster.events("silverback");
    events.retain(|event| event["reason"] == reason && event["regarding"]["uid"] == "uid-of-silverback-0");
    events
}

#[tokio::test(start_paused = true)]
async fn success_is_told_on_the_controllers_pod_at_most_once_a_minute() {
    let cluster = Cluster::running().await;
    for index in 0..600 {
        let text = format!("text {index}");
        cluster.show(&text, vec![synced("kong-a", &text), synced("kong-b", &text)]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let events = cluster.events("silverback");
    let told: Vec<_> = events
        .iter()
        .filter(|event| event["reason"] == "KongConfigurationSucceeded")
        .collect();
    assert_eq!(told.len(), 1, "{events:#?}");
    assert_eq!(told[0]["type"], "Normal");
    let requests = cluster.writes();
    let events = requests.iter().filter(|line| line.contains("/events")).count();
    assert!((9..=12).contains(&events), "{events}");
}

#[tokio::test(start_paused = true)]
async fn success_is_told_where_some_proxies_run_what_others_refuse() {
    let cluster = Cluster::running().await;
    cluster.rendition.send_replace(with_whole("reduced", "whole"));
    cluster.show("reduced", vec![synced("kong-a", "whole"), synced("kong-b", "reduced")]);
    tokio::time::sleep(Duration::from_secs(70)).await;
    let events = cluster.events("silverback").into_iter();
    let told: Vec<_> = events
        .filter(|event| event["reason"] == "FallbackKongConfigurationSucceeded")
        .collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0]["note"].as_str().unwrap().contains("but for 1 objects"));
}

/// A controller that follows what objects say, and proxies that run it half a second later.
struct Shop {
    cluster: Cluster,
    tracker: Tracker,
    snapshot: Snapshot,
    turn: u64,
}

impl Shop {
    /// With Ingress, Service and Secrets, which nobody has changed.
    async fn open() -> Self {
        let mut shop = Self {
            cluster: Cluster::running().await,
            tracker: Tracker::default(),
            snapshot: Snapshot::default(),
            turn: 0,
        };
        for (kind, name) in [
            (Kind::Ingress, "web"),
            (Kind::Service, "web"),
            (Kind::Secret, "tls"),
            (Kind::Secret, "unused"),
        ] {
            shop.write(kind, name);
        }
        shop.goes_live(Vec::new()).await;
        shop.cluster.settled().await;
        shop
    }

    fn write(&mut self, kind: Kind, name: &str) {
        self.turn += 1;
        let mut value = json!({ "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-of-{name}") } });
        if kind == Kind::Ingress {
            value["spec"] = json!({ "tls": [{ "secretName": "tls" }] });
        }
        let mut object = Object::from_json(kind, value).unwrap();
        object.metadata_mut().digest = Some(Digest::of(&self.turn.to_string(), None, None, &Value::Null));
        self.snapshot.insert(object);
    }

    async fn goes_live(&mut self, problems: Vec<Problem>) {
        self.turn += 1;
        self.snapshot.generation.0 = self.turn;
        let snapshot = Arc::new(self.snapshot.clone());
        let text = format!("turn {}", self.turn);
        let rendition = rendition(&text, &["web"], problems).unwrap();
        let seen = at(i64::try_from(self.turn).unwrap());
        let proxies = || vec![synced("kong-a", &text), synced("kong-b", &text)];
        self.tracker.read(&snapshot, seen);
        self.tracker.considered(snapshot, rendition.clone());
        self.tracker
            .view(&view(&text, proxies()), seen + Duration::from_millis(480));
        self.cluster.rendition.send_replace(Some(rendition));
        self.cluster.show(&text, proxies());
        self.cluster.liveness.send_replace(self.tracker.liveness().clone());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Kind, name, note and how often.
    fn told(&self) -> Vec<(String, String, u64)> {
        let events = self.cluster.events("shop").into_iter();
        let told = events.filter(|event| event["reason"] == "Programmed").map(|event| {
            assert_eq!(event["type"], "Normal");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let object = format!(
                "{} {}",
                text(&event["regarding"]["kind"]),
                text(&event["regarding"]["name"])
            );
            (
                object,
                text(&event["note"]),
                event["series"]["count"].as_u64().unwrap_or(1),
            )
        });
        told.collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_live_is_told_on_objects_without_conditions() {
    let mut shop = Shop::open().await;
    assert_eq!(shop.told(), [], "what stood there from the start is no news");
    shop.write(Kind::Ingress, "web");
    shop.write(Kind::Secret, "unused");
    shop.goes_live(Vec::new()).await;
    let note = "live on all proxies (2), within 500 ms of being read".to_owned();
    assert_eq!(shop.told(), [("Ingress web".to_owned(), note.clone(), 1)]);
    shop.write(Kind::Secret, "tls");
    shop.goes_live(Vec::new()).await;
    let mut told = shop.told();
    told.sort();
    assert_eq!(told[1], ("Secret tls".to_owned(), note, 1));
    assert_eq!(told.len(), 2, "nothing is said of what nothing uses: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_changes_all_the_time_has_one_event_that_is_counted_up() {
    let mut shop = Shop::open().await;
    shop.cluster.writes();
    for _ in 0..120 {
        shop.write(Kind::Ingress, "web");
        shop.goes_live(Vec::new()).await;
    }
    shop.cluster.settled().await;
    let told = shop.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].2, 120);
    let writes = shop.cluster.writes();
    let events = writes
        .iter()
        .filter(|line| line.contains("/namespaces/shop/events"))
        .count();
    assert!((10..=14).contains(&events), "{events}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_as_it_says_is_not_told_to_be_live() {
    let mut shop = Shop::open().await;
    shop.write(Kind::Ingress, "web");
    shop.goes_live(vec![problem("web", "Service shop/none does not exist")])
        .await;
    shop.cluster.settled().await;
    assert_eq!(shop.told(), []);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_effect_does_not_stand_against_what_is_live() {
    let mut shop = Shop::open().await;
    shop.write(Kind::Ingress, "web");
    let ignored = Problem {
        reason: Reason::Ignored,
        ..problem("web", "no host is listed")
    };
    shop.goes_live(vec![ignored]).await;
    shop.cluster.settled().await;
    assert_eq!(shop.told().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_does_not_tell_what_went_live_before_and_followers_tell_nothing() {
    let mut shop = Shop::open().await;
    shop.cluster.leadership.send_replace(Leadership::Follower {
        holder: Some("other".into()),
    });
    shop.write(Kind::Ingress, "web");
    shop.goes_live(Vec::new()).await;
    shop.cluster.settled().await;
    assert_eq!(shop.told(), []);
    shop.cluster.leadership.send_replace(leader(2));
    shop.cluster.settled().await;
    assert_eq!(shop.told(), []);
    shop.write(Kind::Ingress, "web");
    shop.goes_live(Vec::new()).await;
    assert_eq!(shop.told().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_admin_service_without_endpoints_is_told_on_the_service() {
    let cluster = Cluster::running().await;
    cluster.snapshot.send_replace(snapshot(&[], &[]));
    cluster.show("one", Vec::new());
    cluster.settled().await;
    let events = cluster.events("kong");
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0]["reason"], "NoProxies");
    assert_eq!(events[0]["regarding"]["name"], "kong-admin");
    let condition = cluster.condition(FLEET, "Synced").unwrap();
    assert_eq!(
        (condition["status"].as_str(), condition["reason"].as_str()),
        (Some("False"), Some("NoProxies"))
    );
}

/// The first one given counts; the other one has no proxies of its own.
#[tokio::test(start_paused = true)]
async fn an_admin_service_whose_pods_were_found_by_another_one_does_not_lack_endpoints() {
    let cluster = Cluster::running().await;
    let mut proxy = synced("kong-a", "one");
    let mut target = ProxyTarget::clone(&proxy.target);
    target.service = Some(NamespacedName::new("kong", "first"));
    proxy.target = Arc::new(target);
    cluster.show("one", vec![proxy]);
    cluster.settled().await;
    assert_eq!(cluster.events("kong"), [Value::Null; 0]);
    let condition = cluster.condition(FLEET, "Synced").unwrap();
    assert_eq!(
        (condition["status"].as_str(), condition["reason"].as_str()),
        (Some("Unknown"), Some("CountedElsewhere"))
    );
    let message = condition["message"].as_str().unwrap();
    assert!(message.contains("kong/first"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_can_not_be_read_is_told_on_the_controllers_pod_if_it_lasts() {
    let cluster = Cluster::running().await;
    cluster.pod("silverback-0");
    cluster.show("one", vec![synced("kong-a", "one")]);
    let with = |unavailable: &[Kind]| {
        let mut snapshot = Snapshot::clone(&snapshot(&[], &["kong-a"]));
        for kind in unavailable {
            Arc::make_mut(&mut snapshot.unavailable).insert(
                *kind,
                Unavailable::resource(*kind, "ingresses can't be listed", "grant it"),
            );
        }
        Arc::new(snapshot)
    };
    let told = || {
        let events = cluster.events("silverback");
        let told = events.iter().filter(|event| event["reason"] == "SourceUnavailable");
        told.map(|event| (event["regarding"]["name"].clone(), event["note"].clone()))
            .collect::<Vec<_>>()
    };
    cluster.snapshot.send_replace(with(&[Kind::Ingress]));
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.snapshot.send_replace(with(&[]));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(told(), [], "it was over soon");
    cluster.snapshot.send_replace(with(&[Kind::Ingress]));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(
        told(),
        [(json!("silverback-0"), json!("ingresses can't be listed; grant it"))]
    );
}

/// A kind that the cluster has lacked since before the controller began.
#[tokio::test(start_paused = true)]
async fn a_kind_that_is_absent_and_holds_everything_back_is_told_on_the_controllers_pod() {
    let cluster = Cluster::running().await;
    cluster.pod("silverback-0");
    cluster.show("one", vec![synced("kong-a", "one")]);
    let absent = Unavailable::resource(Kind::KongPlugin, "the API server does not know it", "install its CRD");
    let held = rendition("one", &["web"], vec![absent.problem()]).map(|rendition| Rendition {
        hold: Some(absent.to_string()),
        ..Rendition::clone(&rendition)
    });
    cluster.rendition.send_replace(held.map(Arc::new));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let events = cluster.events("silverback");
    let told = events.iter().filter(|event| event["reason"] == "SourceUnavailable");
    let told: Vec<_> = told.map(|event| event["note"].clone()).collect();
    assert_eq!(told, [json!("the API server does not know it; install its CRD")]);
}

#[test]
fn every_reason_is_explained() {
    let page = include_str!("../../../docs/reference/events.md");
    let explained: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let reasons = [
        events::TRANSLATION_FAILED,
        events::APPLY_FAILED,
        events::SUCCEEDED,
        events::FALLBACK_SUCCEEDED,
        news::PROGRAMMED,
        events::UNPROTECTED,
        events::NO_PROXIES,
        events::SOURCE_UNAVAILABLE,
        events::NEARLY_TOO_LARGE,
    ];
    assert_eq!(explained, reasons);
}

#[tokio::test(start_paused = true)]
async fn an_admin_api_that_is_not_protected_is_told_on_the_controllers_pod() {
    let cluster = Cluster::running().await;
    let unverified = |name: &str| ProxyView {
        mutual_tls: no("VerificationDisabled"),
        ..synced(name, "one")
    };
    cluster.show("one", vec![unverified("kong-a"), unverified("kong-b")]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let unprotected = |cluster: &Cluster| {
        let events = cluster.events("silverback").into_iter();
        let told = events.filter(|event| event["reason"] == "AdminAPIUnprotected");
        told.collect::<Vec<_>>()
    };
    let told = unprotected(&cluster);
    assert_eq!(told.len(), 1, "one for both: {told:#?}");
    assert_eq!(told[0]["type"], "Warning");
    let note = told[0]["note"].as_str().unwrap();
    assert!(note.contains("kong-a: VerificationDisabled"), "{note}");
    let instance = cluster.instance("kong-b").unwrap();
    let conditions = instance["status"]["conditions"].as_array().unwrap();
    let mutual = conditions
        .iter()
        .find(|condition| condition["type"] == "MutualTLS")
        .unwrap();
    assert_eq!(
        (&mutual["status"], &mutual["reason"]),
        (&"False".into(), &"VerificationDisabled".into())
    );
    cluster.show("one", vec![synced("kong-a", "one"), unverified("kong-b")]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(unprotected(&cluster).len(), 1, "the same problem is told once");
}
