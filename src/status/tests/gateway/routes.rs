//! What users see of routes.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_others_wrote_stays_and_what_is_stale_of_ours_goes() {
    let before = objects(&[CLASS, GATEWAY, ROUTE], 1);
    let cluster = cluster_with(settings(), &before).await;
    let parent = |controller: &str, name: &str| {
        json!({
            "parentRef": { "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name },
            "controllerName": controller,
            "conditions": [],
        })
    };
    let (theirs, stale) = (parent("example.com/other", "theirs"), parent(CONTROLLER, "gone"));
    stands(&cluster, &before[2], json!({ "parents": [theirs, stale] }));
    let foreign = |type_: &str| {
        json!({
            "type": type_, "status": "True", "reason": "Theirs", "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let listener =
        json!({ "name": "web", "attachedRoutes": 0, "supportedKinds": [], "conditions": [foreign("OfListener")] });
    let status_before = json!({ "conditions": [foreign("OfGateway")], "listeners": [listener] });
    stands(&cluster, &before[1], status_before);
    cluster.settled().await;
    show(&cluster, rendition("one", &before), proxies("one", "one")).await;
    let entries = status(&cluster, Kind::HTTPRoute, "web")["parents"].clone();
    assert_eq!(entries[0], theirs);
    assert_eq!(entries[1]["controllerName"], CONTROLLER);
    assert_eq!(entries[1]["parentRef"]["name"], "edge");
    assert_eq!(entries.as_array().map(Vec::len), Some(2), "{entries}");
    let gateway = status(&cluster, Kind::Gateway, "edge");
    let conditions = gateway["conditions"].as_array().expect("a list");
    assert!(conditions.contains(&foreign("OfGateway")), "{conditions:?}");
    let conditions = gateway["listeners"][0]["conditions"].as_array().expect("a list");
    assert!(conditions.contains(&foreign("OfListener")), "{conditions:?}");
    assert_eq!(conditions.len(), 5);
    let moved = ROUTE.replace("name: edge", "name: elsewhere");
    let after = objects(&[CLASS, GATEWAY, &moved], 2);
    show(&cluster, rendition("two", &after), proxies("two", "two")).await;
    assert_eq!(status(&cluster, Kind::HTTPRoute, "web")["parents"], json!([theirs]));
    let gateway = status(&cluster, Kind::Gateway, "edge");
    assert_eq!(gateway["listeners"][0]["attachedRoutes"], 0);
}

#[tokio::test(start_paused = true)]
async fn with_one_gateway_to_reconcile_the_entries_of_others_are_another_instances() {
    let two_parents = ROUTE.replace("[{name: edge}]", "[{name: edge}, {name: other}]");
    let other = GATEWAY.replace("name: edge", "name: other");
    let objects = objects(&[CLASS, GATEWAY, &other, &two_parents], 1);
    let only = NamespacedName::new("shop", "edge");
    let settings = Settings {
        gateway_to_reconcile: Some(only.clone()),
        ..settings()
    };
    let cluster = cluster_with(settings, &objects).await;
    let theirs = json!({
        "parentRef": { "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "other" },
        "controllerName": CONTROLLER,
        "conditions": [],
    });
    let route = objects
        .iter()
        .find(|object| object.kind() == Kind::HTTPRoute)
        .expect("a route");
    stands(&cluster, route, json!({ "parents": [theirs] }));
    cluster.settled().await;
    let translation = translate::Settings {
        gateway_to_reconcile: Some(only),
        ..translate::Settings::default()
    };
    show(
        &cluster,
        rendition_with("one", &objects, &translation),
        proxies("one", "one"),
    )
    .await;
    let entries = status(&cluster, Kind::HTTPRoute, "web")["parents"].clone();
    assert_eq!(entries[0], theirs);
    assert_eq!(entries[1]["parentRef"]["name"], "edge");
    assert_eq!(entries.as_array().map(Vec::len), Some(2), "{entries}");
    assert_eq!(status(&cluster, Kind::Gateway, "other"), json!({}));
}

#[tokio::test(start_paused = true)]
async fn mistakes_and_refusals_stand_on_the_route() {
    let missing = ROUTE.replace("{name: web, port: 80}]}", "{name: gone, port: 80}]}");
    let far = ROUTE.split("---").next().expect("the first document").to_owned() + "---\n";
    let far = far.replace("{name: web, namespace: shop}", "{name: far, namespace: shop}");
    let far = far.replace("{name: web, port: 80}", "{name: web, namespace: bank, port: 80}");
    let far = far.replace("rules: [{", "rules: [{matches: [{path: {value: /far}}], ");
    let nowhere = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: nowhere, namespace: shop}
spec: {parentRefs: [{name: edge, sectionName: none}]}
---
";
    let objects = objects(&[CLASS, GATEWAY, &missing, &far, nowhere], 1);
    let cluster = cluster(&objects).await;
    let mut proxies = proxies("one", "one");
    let far = objects
        .iter()
        .find(|object| &*object.metadata().name == "far")
        .expect("it is there");
    proxies[0].errors = vec![ProxyError {
        object: Some(far.object_ref()),
        entity_type: "route".to_owned(),
        field: Some("paths".to_owned()),
        message: "must be unique".to_owned(),
        since: at(0),
    }];
    show(&cluster, rendition("one", &objects), proxies).await;
    assert_eq!(
        of_route(&cluster, "web"),
        [
            "Accepted True Accepted @1",
            "Programmed True ConfiguredInGateway @1",
            "ResolvedRefs False BackendNotFound @1"
        ]
    );
    assert_eq!(
        of_route(&cluster, "far"),
        [
            "Accepted True Accepted @1",
            "Programmed False TranslationError @1",
            "ResolvedRefs False RefNotPermitted @1"
        ]
    );
    assert_eq!(
        of_route(&cluster, "nowhere"),
        [
            "Accepted False NoMatchingParent @1",
            "Programmed Unknown Unknown @1",
            "ResolvedRefs True ResolvedRefs @1"
        ]
    );
}
