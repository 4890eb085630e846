//! What users see of Kong's objects.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    cluster::{Cluster, leader},
    world::{at, hash, profile, synced},
};
use crate::{
    fleet::{ProxyError, ProxyView},
    lease::fake_api::FakeApi,
    model::{Kind, Leadership, Object, ObjectRef, Problem, Reason, Snapshot},
    render::{Rendered, Rendition, render},
    translate::{Settings, translate},
};

fn path(kind: Kind, name: &str) -> String {
    let namespace = if kind.is_namespaced() { "namespaces/shop/" } else { "" };
    format!(
        "/apis/{}/{}/{namespace}{}/{name}",
        kind.group(),
        kind.version(),
        kind.plural()
    )
}

/// An object of the namespace `shop`, or of none.
fn object(kind: Kind, name: &str, generation: i64, mut rest: Value) -> Object {
    rest["metadata"]["name"] = json!(name);
    rest["metadata"]["uid"] = json!(format!("uid-of-{name}"));
    rest["metadata"]["generation"] = json!(generation);
    if kind.is_namespaced() {
        rest["metadata"]["namespace"] = json!("shop");
    }
    Object::from_json(kind, rest).expect("an object")
}

fn consumer(name: &str, generation: i64) -> Object {
    object(Kind::KongConsumer, name, generation, json!({ "username": name }))
}

fn problem(object: ObjectRef, reason: Reason, field: &str) -> Problem {
    Problem {
        object,
        field: Some(field.to_owned()),
        condition: None,
        reason,
        message: "it is wrong".to_owned(),
        remedy: "correct it".to_owned(),
        source: None,
    }
}

/// What came of these objects: a configuration with this text, in which the named ones take part.
fn rendition(text: &str, objects: &[Object], taking_part: &[&str], problems: Vec<Problem>) -> Option<Arc<Rendition>> {
    let mut snapshot = Snapshot::default();
    for object in objects {
        snapshot.insert(object.clone());
    }
    let rendered = Rendered {
        bytes: text.to_owned().into(),
        hash: hash(text),
        confidential: Default::default(),
    };
    let taking_part = objects
        .iter()
        .filter(|object| taking_part.contains(&&*object.key().name));
    Some(Arc::new(Rendition {
        generation: snapshot.generation,
        profiles: BTreeMap::from([(profile(), Arc::new(rendered))]),
        fallbacks: Default::default(),
        problems: problems.into(),
        objects: taking_part.map(Object::object_ref).collect(),
        snapshot: Arc::new(snapshot),
        gateways: Default::default(),
        hold: None,
        created: at(0),
        took: Duration::from_millis(1),
    }))
}

/// A cluster in which these objects stand.
async fn cluster(objects: &[Object]) -> Cluster {
    let cluster = Cluster::new(FakeApi::new(), super::world::settings());
    cluster
        .snapshot
        .send_replace(super::world::snapshot(&["192.0.2.1"], &[]));
    for object in objects {
        stands(&cluster, object);
    }
    cluster.settled().await;
    cluster
}

fn stands(cluster: &Cluster, object: &Object) {
    let (kind, metadata) = (object.kind(), object.metadata());
    cluster.api.put(
        &path(kind, &metadata.name),
        json!({ "metadata": { "uid": &*metadata.uid } }),
    );
}

/// Shows what came of the objects and what the only proxy runs, and lets everything be written.
async fn show(cluster: &Cluster, rendition: Option<Arc<Rendition>>, proxies: Vec<ProxyView>) {
    cluster.rendition.send_replace(rendition);
    cluster.show("one", proxies);
    cluster.settled().await;
}

/// Writes to Kong's objects since the last look.
fn writes_of_objects(cluster: &Cluster) -> Vec<String> {
    let writes = cluster.writes().into_iter();
    writes.filter(|line| line.contains("konghq.com")).collect()
}

/// Status, reason and generation of `Programmed`.
fn programmed(cluster: &Cluster, kind: Kind, name: &str) -> Option<(String, String, i64)> {
    let condition = cluster.condition(&path(kind, name), "Programmed")?;
    let text = |field: &str| condition[field].as_str().expect("a text").to_owned();
    let generation = condition["observedGeneration"].as_i64().expect("a number");
    Some((text("status"), text("reason"), generation))
}

fn is(status: &str, reason: &str, generation: i64) -> Option<(String, String, i64)> {
    Some((status.to_owned(), reason.to_owned(), generation))
}

#[tokio::test(start_paused = true)]
async fn an_object_is_programmed_once_a_proxy_runs_it() {
    let objects = [consumer("alice", 1)];
    let cluster = cluster(&objects).await;
    show(
        &cluster,
        rendition("two", &objects, &["alice"], vec![]),
        vec![synced("kong-a", "one")],
    )
    .await;
    assert_eq!(
        programmed(&cluster, Kind::KongConsumer, "alice"),
        is("False", "Pending", 1)
    );
    cluster.show("two", vec![synced("kong-a", "two")]);
    cluster.settled().await;
    assert_eq!(
        programmed(&cluster, Kind::KongConsumer, "alice"),
        is("True", "Programmed", 1)
    );
    let condition = cluster
        .condition(&path(Kind::KongConsumer, "alice"), "Programmed")
        .expect("it was written");
    assert_eq!(condition["message"], "Object was successfully configured in Kong.");
}

#[tokio::test(start_paused = true)]
async fn a_change_shows_once_proxies_have_it_and_the_time_stays() {
    let objects = [consumer("alice", 1)];
    let cluster = cluster(&objects).await;
    let proxies = |text| vec![synced("kong-a", text)];
    show(&cluster, rendition("one", &objects, &["alice"], vec![]), proxies("one")).await;
    let condition = || {
        cluster
            .condition(&path(Kind::KongConsumer, "alice"), "Programmed")
            .expect("it stands")
    };
    let before = condition();
    let changed = [consumer("alice", 2)];
    show(&cluster, rendition("two", &changed, &["alice"], vec![]), proxies("one")).await;
    assert_eq!(condition(), before, "proxies still run what it was");
    cluster.show("two", proxies("two"));
    cluster.settled().await;
    assert_eq!(
        programmed(&cluster, Kind::KongConsumer, "alice"),
        is("True", "Programmed", 2)
    );
    assert_eq!(condition()["lastTransitionTime"], before["lastTransitionTime"]);
    cluster.api.take_requests();
    show(&cluster, rendition("two", &changed, &["alice"], vec![]), proxies("two")).await;
    assert_eq!(writes_of_objects(&cluster), [] as [&str; 0], "nothing is written twice");
}

#[tokio::test(start_paused = true)]
async fn a_mistake_and_a_refusal_stand_in_the_message() {
    let objects = [consumer("alice", 3), consumer("bob", 1)];
    let cluster = cluster(&objects).await;
    let mistake = problem(objects[0].object_ref(), Reason::SecretNotFound, "credentials[0]");
    let mut proxy = synced("kong-a", "one");
    proxy.errors = vec![ProxyError {
        object: Some(objects[1].object_ref()),
        entity_type: "consumer".to_owned(),
        field: Some("username".to_owned()),
        message: "must be unique".to_owned(),
        since: at(0),
    }];
    show(
        &cluster,
        rendition("one", &objects, &["alice", "bob"], vec![mistake]),
        vec![proxy],
    )
    .await;
    let message = |name| {
        let condition = cluster
            .condition(&path(Kind::KongConsumer, name), "Programmed")
            .expect("it stands");
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("False"), &json!("Invalid"))
        );
        condition["message"].as_str().expect("a text").to_owned()
    };
    assert_eq!(message("alice"), "credentials[0]: it is wrong; correct it");
    assert_eq!(message("bob"), "refused by a proxy: consumer username: must be unique");
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_nobody_uses_any_more_is_pending() {
    let plugin = |generation| {
        object(
            Kind::KongPlugin,
            "limit",
            generation,
            json!({ "plugin": "rate-limiting" }),
        )
    };
    let objects = [
        plugin(1),
        object(Kind::KongPlugin, "other", 1, json!({ "plugin": "cors" })),
    ];
    let cluster = cluster(&objects).await;
    let proxies = |text| vec![synced("kong-a", text)];
    show(&cluster, rendition("one", &objects, &["limit"], vec![]), proxies("one")).await;
    assert_eq!(
        programmed(&cluster, Kind::KongPlugin, "limit"),
        is("True", "Programmed", 1)
    );
    show(&cluster, rendition("two", &objects, &[], vec![]), proxies("two")).await;
    assert_eq!(
        programmed(&cluster, Kind::KongPlugin, "limit"),
        is("False", "Pending", 1)
    );
    assert_eq!(
        programmed(&cluster, Kind::KongPlugin, "other"),
        None,
        "it never was ours"
    );
}

#[tokio::test(start_paused = true)]
async fn the_next_leader_writes_nothing_again_and_corrects_what_is_stale() {
    let objects = [
        consumer("alice", 1),
        object(Kind::KongPlugin, "limit", 1, json!({ "plugin": "rate-limiting" })),
    ];
    let cluster = cluster(&objects).await;
    let proxies = |text| vec![synced("kong-a", text)];
    show(
        &cluster,
        rendition("one", &objects, &["alice", "limit"], vec![]),
        proxies("one"),
    )
    .await;
    cluster.leadership.send_replace(Leadership::Follower { holder: None });
    cluster.settled().await;
    cluster.api.take_requests();
    cluster.leadership.send_replace(leader(2));
    cluster.settled().await;
    assert_eq!(writes_of_objects(&cluster), [] as [&str; 0]);
    cluster.leadership.send_replace(Leadership::Follower { holder: None });
    cluster.settled().await;
    show(&cluster, rendition("two", &objects, &["alice"], vec![]), proxies("two")).await;
    cluster.leadership.send_replace(leader(3));
    cluster.settled().await;
    assert_eq!(
        programmed(&cluster, Kind::KongPlugin, "limit"),
        is("False", "Pending", 1)
    );
    assert_eq!(
        programmed(&cluster, Kind::KongConsumer, "alice"),
        is("True", "Programmed", 1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_another_controller_said_of_a_plugin_that_an_object_names_is_left_alone() {
    let plugin = |name: &str| object(Kind::KongPlugin, name, 1, json!({ "plugin": "cors" }));
    let by_filter = json!({ "spec": { "rules": [
        { "filters": [{ "type": "ExtensionRef", "extensionRef": { "group": "configuration.konghq.com", "kind": "KongPlugin", "name": "filter" } }] },
    ] } });
    let named = json!({ "metadata": { "annotations": { "konghq.com/plugins": "one, annotation" } } });
    let objects = [
        plugin("annotation"),
        plugin("filter"),
        plugin("unnamed"),
        object(Kind::Ingress, "theirs", 1, named),
        object(Kind::HTTPRoute, "theirs", 1, by_filter),
    ];
    let cluster = cluster(&objects).await;
    let proxies = || vec![synced("kong-a", "one")];
    cluster.leadership.send_replace(Leadership::Follower { holder: None });
    cluster.settled().await;
    let names = ["annotation", "filter", "unnamed"];
    for name in names {
        let condition = json!({
            "type": "Programmed", "status": "True", "reason": "Programmed", "message": "by another one",
            "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let uid = format!("uid-of-{name}");
        let stands = json!({ "metadata": { "uid": uid }, "status": { "conditions": [condition] } });
        cluster.api.put(&path(Kind::KongPlugin, name), stands);
    }
    cluster.leadership.send_replace(leader(2));
    show(&cluster, rendition("one", &objects, &[], vec![]), proxies()).await;
    let said = names.map(|name| programmed(&cluster, Kind::KongPlugin, name));
    let theirs = is("True", "Programmed", 1);
    assert_eq!(said, [theirs.clone(), theirs, is("False", "Pending", 1)]);
}

#[tokio::test(start_paused = true)]
async fn of_licenses_the_newest_is_picked() {
    let license = |name, enabled: bool| {
        let rest = json!({ "rawLicenseString": "{}", "enabled": enabled });
        object(Kind::KongLicense, name, 1, rest)
    };
    let objects = [license("old", true), license("new", true), license("off", false)];
    let cluster = cluster(&objects).await;
    show(
        &cluster,
        rendition("one", &objects, &["new"], vec![]),
        vec![synced("kong-a", "one")],
    )
    .await;
    let said = |name: &str| {
        let license = cluster.api.get(&path(Kind::KongLicense, name)).expect("it stands");
        let entry = &license["status"]["controllers"][0];
        assert_eq!(entry["controllerName"], "konghq.com/kong-ingress-controller/election");
        let condition = &entry["conditions"][0];
        let text = |field: &str| condition[field].as_str().expect("a text").to_owned();
        format!("{} {}", text("status"), text("reason"))
    };
    assert_eq!(said("new"), "True PickedAsLatest");
    assert_eq!(said("old"), "False ReplacedByNewer");
    assert_eq!(said("off"), "False Disabled");
}

#[tokio::test(start_paused = true)]
async fn a_policy_says_what_became_of_it_on_each_service() {
    let service = |name| {
        let annotations = json!({ "konghq.com/upstream-policy": "policy" });
        object(
            Kind::Service,
            name,
            1,
            json!({ "metadata": { "annotations": annotations } }),
        )
    };
    let policy = object(
        Kind::KongUpstreamPolicy,
        "policy",
        7,
        json!({ "spec": { "slots": 100 } }),
    );
    let objects = [service("web"), service("odd"), service("unused"), policy];
    let cluster = cluster(&objects[3..]).await;
    let foreign = json!({
        "ancestorRef": { "group": "core", "kind": "Service", "namespace": "shop", "name": "web" },
        "controllerName": "example.com/other",
        "conditions": [],
    });
    cluster.api.put(
        &path(Kind::KongUpstreamPolicy, "policy"),
        json!({ "metadata": { "uid": "uid-of-policy" }, "status": { "ancestors": [foreign] } }),
    );
    let field = "metadata.annotations[\"konghq.com/upstream-policy\"]";
    let conflict = problem(objects[1].object_ref(), Reason::InconsistentServices, field);
    show(
        &cluster,
        rendition("one", &objects, &["web", "odd", "policy"], vec![conflict]),
        vec![synced("kong-a", "one")],
    )
    .await;
    let (others, said) = said_of_policy(&cluster);
    assert_eq!(others, [foreign], "what others say stays");
    let expected = [
        ("odd", "Accepted False Conflicted, Programmed False Pending"),
        ("web", "Accepted True Accepted, Programmed True Programmed"),
    ];
    assert_eq!(said, expected.map(|(name, words)| (name.to_owned(), words.to_owned())));
}

/// What stands on the policy: what others say, and what we say of which Service.
fn said_of_policy(cluster: &Cluster) -> (Vec<Value>, Vec<(String, String)>) {
    let policy = cluster.api.get(&path(Kind::KongUpstreamPolicy, "policy"));
    let status = policy.expect("it stands")["status"].clone();
    let entries = status["ancestors"].as_array().expect("a list").iter().cloned();
    let (ours, others): (Vec<_>, Vec<_>) =
        entries.partition(|entry| entry["controllerName"] == "konghq.com/kic-gateway-controller");
    let said = ours.iter().map(|entry| {
        assert_eq!(entry["ancestorRef"]["group"], "core");
        let conditions = entry["conditions"].as_array().expect("a list").iter();
        let words = conditions.map(|condition| {
            assert_eq!(condition["observedGeneration"], 7);
            let text = |field: &str| condition[field].as_str().expect("a text").to_owned();
            format!("{} {} {}", text("type"), text("status"), text("reason"))
        });
        let name = entry["ancestorRef"]["name"].as_str().expect("a text").to_owned();
        (name, words.collect::<Vec<_>>().join(", "))
    });
    (others, said.collect())
}

/// Services of one rule have to name one policy, from the objects to what stands on it.
#[tokio::test(start_paused = true)]
async fn a_policy_that_services_of_a_rule_disagree_about_is_conflicted() {
    let service = |name: &str, policy: Option<&str>| {
        let annotations = policy.map(|policy| json!({ "konghq.com/upstream-policy": policy }));
        let spec = json!({ "ports": [{ "port": 80 }] });
        object(
            Kind::Service,
            name,
            1,
            json!({ "metadata": { "annotations": annotations }, "spec": spec }),
        )
    };
    let backends = |names: &[&str]| -> Vec<Value> {
        let names = names.iter();
        names
            .map(|name| json!({ "kind": "Service", "name": name, "port": 80, "weight": 1 }))
            .collect()
    };
    let gateway = json!({ "spec": {
        "gatewayClassName": "kong",
        "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP" }],
    }});
    let rules = json!([
        { "backendRefs": backends(&["web", "odd"]), "matches": [{ "path": { "type": "PathPrefix", "value": "/a" } }] },
        { "backendRefs": backends(&["alone"]), "matches": [{ "path": { "type": "PathPrefix", "value": "/b" } }] },
    ]);
    let route = json!({ "spec": { "parentRefs": [{ "name": "kong" }], "rules": rules } });
    let class = json!({ "spec": { "controllerName": "konghq.com/kic-gateway-controller" } });
    let policy = json!({ "spec": { "algorithm": "least-connections" } });
    let disagreeing = |odd: Option<&str>| {
        vec![
            object(Kind::GatewayClass, "kong", 1, class.clone()),
            object(Kind::Gateway, "kong", 1, gateway.clone()),
            object(Kind::HTTPRoute, "shop", 1, route.clone()),
            service("web", Some("policy")),
            service("odd", odd),
            service("alone", Some("policy")),
            object(Kind::KongUpstreamPolicy, "policy", 7, policy.clone()),
        ]
    };
    let conflicted = "Accepted False Conflicted, Programmed False Pending".to_owned();
    let accepted = "Accepted True Accepted, Programmed True Programmed".to_owned();
    for (odd, expected) in [
        (None, [("alone", &accepted), ("web", &conflicted)].to_vec()),
        (Some("other"), [("alone", &accepted), ("web", &conflicted)].to_vec()),
        (
            Some("policy"),
            [("alone", &accepted), ("odd", &accepted), ("web", &accepted)].to_vec(),
        ),
    ] {
        let objects = disagreeing(odd);
        let cluster = cluster(&objects[6..]).await;
        let rendition = translated(&objects);
        let mut proxy = synced("kong-a", "one");
        proxy.observed = rendition.profiles.get(&profile()).map(|rendered| rendered.hash);
        proxy.desired = proxy.observed;
        show(&cluster, Some(rendition), vec![proxy]).await;
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, words)| ((*name).to_owned(), (*words).clone()))
            .collect();
        assert_eq!(said_of_policy(&cluster).1, expected, "{odd:?}");
    }
}

/// What translation makes of these objects.
fn translated(objects: &[Object]) -> Arc<Rendition> {
    let mut snapshot = Snapshot::default();
    for object in objects {
        snapshot.insert(object.clone());
    }
    let settings = Settings {
        profile: profile(),
        ..Settings::default()
    };
    let translation = translate(&snapshot, &settings);
    Arc::new(Rendition {
        generation: snapshot.generation,
        profiles: BTreeMap::from([(profile(), Arc::new(render(&translation)))]),
        fallbacks: Default::default(),
        problems: translation.problems.into(),
        objects: translation.objects,
        snapshot: Arc::new(snapshot),
        gateways: translation.gateways,
        hold: None,
        created: at(0),
        took: Duration::from_millis(1),
    })
}

#[tokio::test(start_paused = true)]
async fn stream_ingresses_bear_addresses() {
    let objects = [
        object(Kind::TCPIngress, "db", 1, json!({})),
        object(Kind::UDPIngress, "dns", 1, json!({})),
    ];
    let mut settings = super::world::settings();
    settings.publish_addresses_udp = vec!["udp.example".to_owned()];
    let cluster = Cluster::new(FakeApi::new(), settings);
    cluster
        .snapshot
        .send_replace(super::world::snapshot(&["192.0.2.1"], &[]));
    for object in &objects {
        stands(&cluster, object);
    }
    cluster.settled().await;
    show(
        &cluster,
        rendition("one", &objects, &["db", "dns"], vec![]),
        vec![synced("kong-a", "one")],
    )
    .await;
    let addresses = |kind, name| {
        cluster.api.get(&path(kind, name)).expect("it stands")["status"]["loadBalancer"]["ingress"].clone()
    };
    assert_eq!(addresses(Kind::TCPIngress, "db"), json!([{ "ip": "192.0.2.1" }]));
    assert_eq!(
        addresses(Kind::UDPIngress, "dns"),
        json!([{ "hostname": "udp.example" }])
    );
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_made_anew_is_told_anew() {
    let objects = [consumer("alice", 1)];
    let cluster = cluster(&objects).await;
    let proxies = || vec![synced("kong-a", "one")];
    show(&cluster, rendition("one", &objects, &["alice"], vec![]), proxies()).await;
    let mut successor = consumer("alice", 1);
    successor.metadata_mut().uid = "uid-of-its-successor".into();
    cluster.api.delete(&path(Kind::KongConsumer, "alice"));
    stands(&cluster, &successor);
    show(&cluster, rendition("one", &[successor], &["alice"], vec![]), proxies()).await;
    assert_eq!(
        programmed(&cluster, Kind::KongConsumer, "alice"),
        is("True", "Programmed", 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_facade_of_our_class_that_nobody_refers_to_says_so() {
    let facade = |name: &str, class: &str| {
        let annotations = json!({ "kubernetes.io/ingress.class": class });
        let spec = json!({ "backendRef": { "name": "web", "port": 80 } });
        let value = json!({ "metadata": { "annotations": annotations }, "spec": spec });
        object(Kind::KongServiceFacade, name, 3, value)
    };
    let objects = [facade("unused", "kong"), facade("foreign", "other")];
    let cluster = cluster(&objects).await;
    show(
        &cluster,
        rendition("one", &objects, &[], Vec::new()),
        vec![synced("kong-a", "one")],
    )
    .await;
    let status = |name: &str| {
        let object = cluster.api.get(&path(Kind::KongServiceFacade, name));
        object.expect("it stands")["status"].clone()
    };
    let condition = &status("unused")["conditions"][0];
    assert_eq!(condition["status"], "False");
    assert_eq!(condition["reason"], "Pending");
    assert_eq!(
        condition["message"],
        "Found no references to this resource in Ingress or similar resources."
    );
    assert_eq!(status("foreign"), Value::Null);
}
