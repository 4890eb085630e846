//! What users see of the Gateway API's objects: of each kind in its file, of all of them here.

mod classes;
mod gateways;
mod policies;
mod routes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    cluster::{Cluster, leader},
    world::{at, hash, profile, settings, synced, with_whole},
};
use crate::{
    fleet::{ProxyError, ProxyView},
    lease::fake_api::FakeApi,
    manifest::{self, Limits},
    model::{Kind, Leadership, NamespacedName, Object, Snapshot},
    render::{Rendered, Rendition},
    status::Settings,
    translate::{self, translate},
};

const CONTROLLER: &str = "konghq.com/kic-gateway-controller";
const DEFINITION: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gatewayclasses.gateway.networking.k8s.io";

const CLASS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: kong}
spec: {controllerName: konghq.com/kic-gateway-controller}
---
";
const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: kong
  listeners: [{name: web, port: 80, protocol: HTTP}]
---
";
const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
---
";

fn path_in(kind: Kind, version: &str, name: &str) -> String {
    let namespace = if kind.is_namespaced() { "namespaces/shop/" } else { "" };
    format!("/apis/{}/{version}/{namespace}{}/{name}", kind.group(), kind.plural())
}

fn path(kind: Kind, name: &str) -> String {
    path_in(kind, kind.version(), name)
}

/// The objects of manifests, each of a generation.
fn objects(manifests: &[&str], generation: i64) -> Vec<Object> {
    let text = manifests.concat();
    let parsed = manifest::parse("in.yaml", text.as_bytes(), &Limits::default());
    assert_eq!(parsed.problems, []);
    let mut objects = parsed.objects;
    for object in &mut objects {
        let metadata = object.metadata_mut();
        metadata.uid = format!("uid-of-{}", metadata.name).into();
        metadata.generation = Some(generation);
    }
    objects
}

/// What comes of objects: a configuration with this text in place of its own.
fn rendition_with(text: &str, objects: &[Object], settings: &translate::Settings) -> Option<Arc<Rendition>> {
    let mut snapshot = Snapshot::default();
    for object in objects {
        snapshot.insert(object.clone());
    }
    let translation = translate(&snapshot, settings);
    let rendered = Rendered {
        bytes: text.to_owned().into(),
        hash: hash(text),
        confidential: Default::default(),
    };
    Some(Arc::new(Rendition {
        generation: snapshot.generation,
        profiles: BTreeMap::from([(profile(), Arc::new(rendered))]),
        fallbacks: BTreeMap::new(),
        problems: translation.problems.into(),
        objects: translation.objects,
        gateways: translation.gateways,
        snapshot: Arc::new(snapshot),
        hold: None,
        created: at(0),
        took: Duration::from_millis(1),
    }))
}

fn rendition(text: &str, objects: &[Object]) -> Option<Arc<Rendition>> {
    rendition_with(text, objects, &translate::Settings::default())
}

/// A cluster in which these objects stand.
async fn cluster_with(settings: Settings, objects: &[Object]) -> Cluster {
    let cluster = Cluster::new(FakeApi::new(), settings);
    let annotations = json!({ "gateway.networking.k8s.io/bundle-version": "v1.6.3" });
    cluster
        .api
        .put(DEFINITION, json!({ "metadata": { "annotations": annotations } }));
    for object in objects {
        if KINDS.contains(&object.kind()) {
            stands(&cluster, object, json!({}));
        }
    }
    cluster
}

const KINDS: [Kind; 5] = [
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::HTTPRoute,
    Kind::TLSRoute,
    Kind::BackendTLSPolicy,
];

async fn cluster(objects: &[Object]) -> Cluster {
    let cluster = cluster_with(settings(), objects).await;
    cluster.settled().await;
    cluster
}

fn stands(cluster: &Cluster, object: &Object, status: Value) {
    let metadata = object.metadata();
    let stored = json!({ "metadata": { "uid": &*metadata.uid }, "status": status });
    cluster.api.put(&path(object.kind(), &metadata.name), stored);
}

/// Shows what came of the objects and what the proxies run, and lets everything be written.
async fn show(cluster: &Cluster, rendition: Option<Arc<Rendition>>, proxies: Vec<ProxyView>) {
    let latest = rendition.as_ref().expect("there is one");
    let mut snapshot = (*super::world::snapshot(&["192.0.2.1"], &[])).clone();
    for kind in [Kind::Gateway, Kind::HTTPRoute] {
        for key in latest.snapshot.keys(kind) {
            snapshot.insert(latest.snapshot.get(kind, &key).expect("it is listed"));
        }
    }
    cluster.snapshot.send_replace(Arc::new(snapshot));
    cluster.rendition.send_replace(rendition);
    cluster.show("one", proxies);
    cluster.settled().await;
}

fn status(cluster: &Cluster, kind: Kind, name: &str) -> Value {
    cluster.api.get(&path(kind, name)).expect("it stands")["status"].clone()
}

/// `Type Status Reason @generation` of each condition.
fn said(conditions: &Value) -> Vec<String> {
    let conditions = conditions.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    conditions
        .iter()
        .map(|condition| {
            let (type_, status) = (text(&condition["type"]), text(&condition["status"]));
            format!(
                "{type_} {status} {} @{}",
                text(&condition["reason"]),
                condition["observedGeneration"]
            )
        })
        .collect()
}

fn of_route(cluster: &Cluster, name: &str) -> Vec<String> {
    let status = status(cluster, Kind::HTTPRoute, name);
    let parents = status["parents"].as_array().expect("a list");
    let ours = parents.iter().filter(|parent| parent["controllerName"] == CONTROLLER);
    ours.flat_map(|parent| said(&parent["conditions"])).collect()
}

fn of_gateway(cluster: &Cluster) -> Vec<String> {
    said(&status(cluster, Kind::Gateway, "edge")["conditions"])
}

fn writes(cluster: &Cluster) -> Vec<String> {
    let writes = cluster.writes().into_iter();
    writes
        .filter(|line| line.contains("gateway.networking.k8s.io"))
        .collect()
}

fn proxies(one: &str, other: &str) -> Vec<ProxyView> {
    vec![synced("kong-a", one), synced("kong-b", other)]
}

#[tokio::test(start_paused = true)]
async fn what_is_translated_is_accepted_and_what_all_ready_proxies_run_is_programmed() {
    let objects = objects(&[CLASS, GATEWAY, ROUTE], 1);
    let cluster = cluster(&objects).await;
    show(&cluster, rendition("two", &objects), proxies("one", "one")).await;
    let class = status(&cluster, Kind::GatewayClass, "kong");
    assert_eq!(
        said(&class["conditions"]),
        ["Accepted True Accepted @1", "SupportedVersion True SupportedVersion @1"]
    );
    let features = class["supportedFeatures"].as_array().expect("a list");
    let names: Vec<_> = features
        .iter()
        .map(|feature| feature["name"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted() && names.contains(&"Gateway"), "{names:?}");
    assert_eq!(
        of_gateway(&cluster),
        ["Accepted True Accepted @1", "Programmed False Pending @1"]
    );
    assert_eq!(
        of_route(&cluster, "web"),
        [
            "Accepted True Accepted @1",
            "Programmed Unknown Unknown @1",
            "ResolvedRefs True ResolvedRefs @1"
        ]
    );
    cluster.show("two", proxies("two", "one"));
    cluster.settled().await;
    assert_eq!(
        of_route(&cluster, "web")[1],
        "Programmed Unknown Unknown @1",
        "one lags"
    );
    cluster.show("two", proxies("two", "two"));
    cluster.settled().await;
    assert_eq!(of_route(&cluster, "web")[1], "Programmed True ConfiguredInGateway @1");
    let gateway = status(&cluster, Kind::Gateway, "edge");
    assert_eq!(
        said(&gateway["conditions"]),
        ["Accepted True Accepted @1", "Programmed True Programmed @1"]
    );
    assert_eq!(
        gateway["addresses"],
        json!([{ "type": "IPAddress", "value": "192.0.2.1" }])
    );
    let listener = &gateway["listeners"][0];
    assert_eq!(listener["name"], "web");
    assert_eq!(listener["attachedRoutes"], 1);
    let group = "gateway.networking.k8s.io";
    assert_eq!(
        listener["supportedKinds"],
        json!([{ "group": group, "kind": "HTTPRoute" }, { "group": group, "kind": "GRPCRoute" }])
    );
    assert_eq!(
        said(&listener["conditions"]),
        [
            "Accepted True Accepted @1",
            "Conflicted False NoConflicts @1",
            "Programmed True Programmed @1",
            "ResolvedRefs True ResolvedRefs @1"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_shows_at_once_and_its_generation_is_programmed_once_proxies_have_it() {
    let before = objects(&[CLASS, GATEWAY, ROUTE], 1);
    let cluster = cluster(&before).await;
    show(&cluster, rendition("one", &before), proxies("one", "one")).await;
    let time = |cluster: &Cluster| {
        let status = status(cluster, Kind::HTTPRoute, "web");
        status["parents"][0]["conditions"][1]["lastTransitionTime"].clone()
    };
    let since = time(&cluster);
    let after = objects(&[CLASS, GATEWAY, ROUTE], 2);
    show(&cluster, rendition("two", &after), proxies("one", "one")).await;
    assert_eq!(
        of_route(&cluster, "web"),
        [
            "Accepted True Accepted @2",
            "Programmed True ConfiguredInGateway @1",
            "ResolvedRefs True ResolvedRefs @2"
        ]
    );
    cluster.show("two", proxies("two", "two"));
    cluster.settled().await;
    assert_eq!(of_route(&cluster, "web")[1], "Programmed True ConfiguredInGateway @2");
    assert_eq!(of_gateway(&cluster)[1], "Programmed True Programmed @2");
    assert_eq!(time(&cluster), since);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_programmed_for_nobody_also_where_it_says_what_proxies_run() {
    let before = objects(&[CLASS, GATEWAY, ROUTE], 1);
    let cluster = cluster(&before).await;
    show(&cluster, rendition("one", &before), proxies("one", "one")).await;
    let after = objects(&[CLASS, GATEWAY, ROUTE], 2);
    let mut held = rendition("one", &after).expect("it was made");
    Arc::make_mut(&mut held).hold = Some("KongPlugin can't be read".to_owned());
    show(&cluster, Some(held), proxies("one", "one")).await;
    assert_eq!(of_route(&cluster, "web")[1], "Programmed True ConfiguredInGateway @1");
    show(&cluster, rendition("one", &after), proxies("one", "one")).await;
    assert_eq!(of_route(&cluster, "web")[1], "Programmed True ConfiguredInGateway @2");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_twice_not_by_the_next_leader_either() {
    let objects = objects(&[CLASS, GATEWAY, ROUTE], 1);
    let cluster = cluster(&objects).await;
    show(&cluster, rendition("one", &objects), proxies("one", "one")).await;
    assert_ne!(writes(&cluster), [] as [&str; 0]);
    show(&cluster, rendition("two", &objects), proxies("one", "one")).await;
    show(&cluster, rendition("two", &objects), proxies("two", "one")).await;
    show(&cluster, rendition("two", &objects), proxies("two", "two")).await;
    assert_eq!(writes(&cluster), [] as [&str; 0]);
    cluster.leadership.send_replace(Leadership::Follower { holder: None });
    cluster.settled().await;
    cluster.leadership.send_replace(leader(2));
    cluster.settled().await;
    assert_eq!(writes(&cluster), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_takes_nothing_back_before_it_has_seen_proxies() {
    let objects = objects(&[CLASS, GATEWAY, ROUTE], 1);
    let cluster = cluster(&objects).await;
    show(&cluster, rendition("one", &objects), proxies("one", "one")).await;
    cluster.leadership.send_replace(Leadership::Follower { holder: None });
    cluster.show("one", vec![]);
    cluster.settled().await;
    writes(&cluster);
    cluster.leadership.send_replace(leader(2));
    cluster.settled().await;
    assert_eq!(writes(&cluster), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn kinds_are_written_in_the_version_that_is_served() {
    let gateway = GATEWAY.replace(
        "{name: web, port: 80, protocol: HTTP}",
        "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}",
    );
    let route = "
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TLSRoute
metadata: {name: secret, namespace: shop}
spec:
  hostnames: [shop.example]
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
";
    let objects = objects(&[CLASS, &gateway, route], 1);
    let cluster = cluster_with(settings(), &objects[..2]).await;
    cluster.api.fail("/apis/gateway.networking.k8s.io/v1alpha2", 404);
    cluster.api.fail("/apis/gateway.networking.k8s.io/v1alpha3", 404);
    let path = path_in(Kind::TLSRoute, "v1", "secret");
    cluster
        .api
        .put(&path, json!({ "metadata": { "uid": "uid-of-secret" } }));
    cluster.settled().await;
    show(&cluster, rendition("one", &objects), proxies("one", "one")).await;
    let status = cluster.api.get(&path).expect("it stands")["status"].clone();
    assert_eq!(status["parents"][0]["conditions"][0]["type"], "Accepted", "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_runs_what_another_refuses_holds_no_generation_up() {
    let at_generation = |generation| objects(&[CLASS, GATEWAY, ROUTE], generation);
    let cluster = cluster(&at_generation(1)).await;
    show(&cluster, rendition("1", &at_generation(1)), proxies("1", "1")).await;
    let mut mixed = Rendition::clone(&rendition("reduced", &at_generation(2)).unwrap());
    mixed.fallbacks = with_whole("reduced", "whole").unwrap().fallbacks.clone();
    show(&cluster, Some(Arc::new(mixed)), proxies("whole", "reduced")).await;
    assert_eq!(of_route(&cluster, "web")[1], "Programmed True ConfiguredInGateway @2");
}

#[tokio::test(start_paused = true)]
async fn while_proxies_lag_behind_one_another_what_all_have_got_to_is_programmed() {
    let at_generation = |generation| objects(&[CLASS, GATEWAY, ROUTE], generation);
    let cluster = cluster(&at_generation(1)).await;
    show(&cluster, rendition("1", &at_generation(1)), proxies("1", "1")).await;
    for generation in 2..=6 {
        let text = generation.to_string();
        let lagging = (generation - 1).to_string();
        show(
            &cluster,
            rendition(&text, &at_generation(generation)),
            proxies(&text, &lagging),
        )
        .await;
        let expected = format!("Programmed True ConfiguredInGateway @{lagging}");
        assert_eq!(of_route(&cluster, "web")[1], expected);
    }
}
