#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn object(kind: Kind, namespace: &str, name: &str, mut value: Value) -> Object {
    value["metadata"]["name"] = json!(name);
    if kind.is_namespaced() {
        value["metadata"]["namespace"] = json!(namespace);
    }
    value["metadata"]["uid"] = json!(format!("{}-{namespace}-{name}", kind.name()));
    Object::from_json(kind, value).unwrap()
}

fn snapshot(objects: impl IntoIterator<Item = Object>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    objects.into_iter().for_each(|object| snapshot.insert(object));
    snapshot
}

fn ingress(name: &str, service: &str, plugins: &str) -> Object {
    let backend = json!({"service": {"name": service, "port": {"number": 80}}});
    let annotations = json!({"konghq.com/plugins": plugins});
    let spec = json!({"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        "tls": [{"secretName": "certificate"}]});
    let value = json!({"metadata": {"annotations": annotations}, "spec": spec});
    object(Kind::Ingress, "shop", name, value)
}

fn service(name: &str, annotations: &Value) -> Object {
    let value = json!({"metadata": {"annotations": annotations}, "spec": {"ports": [{"port": 80}]}});
    object(Kind::Service, "shop", name, value)
}

fn plugin(name: &str, limit: u32) -> Object {
    let value = json!({"plugin": "rate-limiting", "config": {"minute": limit}});
    object(Kind::KongPlugin, "shop", name, value)
}

fn refusal(hash: &str, guilty: &[&Object], sources: &Snapshot) -> Arc<Refusal> {
    let blamed = guilty.iter().map(|object| {
        Blame::of(
            &object.object_ref(),
            Some(("plugin", "config.minute")),
            "it is wrong",
            sources,
        )
        .unwrap()
    });
    Arc::new(Refusal {
        hash: ConfigHash::of(hash.as_bytes()),
        blamed: blamed.collect(),
    })
}

fn refusals(latest: impl IntoIterator<Item = Arc<Refusal>>) -> Refusals {
    Refusals {
        forgiven: 0,
        latest: latest.into_iter().collect(),
    }
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    let kinds = Kind::ALL.iter().copied();
    let ids = kinds.flat_map(|kind| snapshot.keys(kind).into_iter().map(move |key| display(&(kind, key))));
    ids.collect()
}

#[test]
fn what_depends_on_a_refused_object_goes_with_it() {
    let bad = plugin("limit", 0);
    let objects = snapshot([
        bad.clone(),
        ingress("web", "a", "limit"),
        ingress("api", "b", ""),
        ingress("admin", "c", ""),
        service("a", &json!({})),
        service("b", &json!({"konghq.com/plugins": "limit"})),
        service("c", &json!({})),
    ]);
    let mut isolation = Isolation::default();
    isolation.update(&objects, &refusals([refusal("1", &[&bad], &objects)]));
    let reduced = isolation.reduce(&objects, None, false).unwrap();
    assert_eq!(
        names(&reduced.snapshot),
        ["Ingress shop/admin", "Service shop/a", "Service shop/c"]
    );
    assert_eq!((reduced.left_out, reduced.kept), (4, 0));
    let said: Vec<_> = reduced
        .problems
        .iter()
        .map(|problem| format!("{} {}: {}", problem.object, problem.reason, problem.message))
        .collect();
    let fields: Vec<_> = reduced
        .problems
        .iter()
        .filter_map(|problem| problem.field.as_deref())
        .collect();
    assert_eq!(fields, ["config.minute"], "of the one at fault");
    assert_eq!(
        said,
        [
            "Ingress shop/api DependsOnRejected: it depends on KongPlugin shop/limit, which a proxy refused; it is left out",
            "Ingress shop/web DependsOnRejected: it depends on KongPlugin shop/limit, which a proxy refused; it is left out",
            "Service shop/b DependsOnRejected: it depends on KongPlugin shop/limit, which a proxy refused; it is left out",
            "KongPlugin shop/limit ConfigRejected: a proxy refused it: it is wrong; it is left out",
        ]
    );
}

#[test]
fn what_a_facade_is_verified_by_takes_it_along() {
    let authority = object(
        Kind::ConfigMap,
        "shop",
        "authority",
        json!({"metadata": {"labels": {"konghq.com/ca-cert": "true"}}}),
    );
    let annotations = json!({"konghq.com/ca-certificates-configmaps": "authority"});
    let facade = json!({"metadata": {"annotations": annotations}, "spec": {"backendRef": {"name": "a", "port": 80}}});
    let facade = object(Kind::KongServiceFacade, "shop", "facade", facade);
    let objects = snapshot([authority.clone(), facade, service("a", &json!({}))]);
    let mut isolation = Isolation::default();
    isolation.update(&objects, &refusals([refusal("1", &[&authority], &objects)]));
    let reduced = isolation.reduce(&objects, None, false).unwrap();
    assert_eq!(names(&reduced.snapshot), ["Service shop/a"]);
}

#[test]
fn a_certificate_takes_no_route_with_it() {
    let certificate = object(
        Kind::Secret,
        "shop",
        "certificate",
        json!({"type": "kubernetes.io/tls"}),
    );
    let objects = snapshot([certificate.clone(), ingress("web", "a", ""), service("a", &json!({}))]);
    let mut isolation = Isolation::default();
    isolation.update(&objects, &refusals([refusal("1", &[&certificate], &objects)]));
    let reduced = isolation.reduce(&objects, None, false).unwrap();
    assert_eq!(names(&reduced.snapshot), ["Ingress shop/web", "Service shop/a"]);
}

#[test]
fn an_object_that_changed_or_whose_secret_did_is_tried_again() {
    let from = json!({"plugin": "key-auth", "configFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
    let bad = object(Kind::KongPlugin, "shop", "auth", from);
    let secret = |value: &str| object(Kind::Secret, "shop", "s", json!({"data": {"k": value}}));
    let objects = snapshot([bad.clone(), secret("YQ==")]);
    let refused = refusals([refusal("1", &[&bad], &objects)]);
    let mut isolation = Isolation::default();
    isolation.update(&objects, &refused);
    assert!(isolation.reduce(&objects, None, false).is_some());
    let mut unrelated = objects.clone();
    unrelated.insert(service("a", &json!({})));
    isolation.update(&unrelated, &refused);
    assert!(isolation.reduce(&unrelated, None, false).is_some());
    let mut mended = unrelated.clone();
    mended.insert(secret("Yg=="));
    isolation.update(&mended, &refused);
    assert!(isolation.reduce(&mended, None, false).is_none());
    // What is as it was when it was refused is refused without another try, even when that is long ago.
    isolation.update(&unrelated, &refused);
    assert!(isolation.reduce(&unrelated, None, false).is_some());
    isolation.update(&unrelated, &refusals([]));
    assert!(
        isolation.reduce(&unrelated, None, false).is_some(),
        "only what changed is forgotten"
    );
    let forgiven = Refusals {
        forgiven: 1,
        latest: Vec::new(),
    };
    isolation.update(&unrelated, &forgiven);
    assert!(isolation.reduce(&unrelated, None, false).is_none());
}

#[test]
fn objects_stay_as_they_were_accepted_last() {
    let last = snapshot([
        plugin("limit", 5),
        ingress("web", "a", "limit"),
        service("a", &json!({})),
    ]);
    let bad = plugin("limit", 0);
    let now = snapshot([
        bad.clone(),
        ingress("web", "b", "limit"),
        ingress("new", "b", "limit"),
        service("b", &json!({})),
    ]);
    let mut isolation = Isolation::default();
    isolation.update(&now, &refusals([refusal("1", &[&bad], &now)]));
    let reduced = isolation.reduce(&now, Some(&last), true).unwrap();
    assert_eq!(
        names(&reduced.snapshot),
        [
            "Ingress shop/web",
            "Service shop/a",
            "Service shop/b",
            "KongPlugin shop/limit"
        ],
        "a Service that is gone comes back with the route that needs it; a route that was never accepted is left out"
    );
    let key = NamespacedName::new("shop", "limit");
    assert_eq!(
        reduced.snapshot.get(Kind::KongPlugin, &key),
        last.get(Kind::KongPlugin, &key)
    );
    assert_eq!((reduced.left_out, reduced.kept), (1, 2));
    assert!(isolation.reduce(&now, Some(&last), false).unwrap().kept == 0);
}

#[test]
fn what_was_accepted_once_and_is_refused_now_is_not_kept() {
    let bad = plugin("limit", 0);
    let now = snapshot([bad.clone(), ingress("web", "a", "limit"), service("a", &json!({}))]);
    let mut isolation = Isolation::default();
    isolation.update(&now, &refusals([refusal("1", &[&bad], &now)]));
    let reduced = isolation.reduce(&now, Some(&now), true).unwrap();
    assert_eq!(names(&reduced.snapshot), ["Service shop/a"]);
}

#[test]
fn a_plugin_for_all_requests_is_kept_or_nothing_is_left_out() {
    let global = |limit: u32| {
        let labels = json!({"global": "true"});
        let value = json!({"metadata": {"labels": labels}, "plugin": "key-auth", "config": {"limit": limit}});
        object(Kind::KongClusterPlugin, "", "auth", value)
    };
    let bad = global(0);
    let now = snapshot([bad.clone(), service("a", &json!({}))]);
    let mut isolation = Isolation::default();
    isolation.update(&now, &refusals([refusal("1", &[&bad], &now)]));
    assert!(
        isolation.reduce(&now, None, false).is_none(),
        "without it everything would be open"
    );
    let last = snapshot([global(1)]);
    let reduced = isolation.reduce(&now, Some(&last), false).unwrap();
    let key = NamespacedName::new("", "auth");
    assert_eq!(
        reduced.snapshot.get(Kind::KongClusterPlugin, &key),
        last.get(Kind::KongClusterPlugin, &key)
    );
}

#[test]
fn another_object_of_the_same_name_is_not_to_blame() {
    let mut other = plugin("limit", 0).object_ref();
    let objects = snapshot([plugin("limit", 0)]);
    assert!(Blame::of(&other, None, "", &objects).is_some());
    other.uid = "older".into();
    assert!(Blame::of(&other, None, "", &objects).is_none());
    other.name = "nobody".into();
    assert!(Blame::of(&other, None, "", &objects).is_none());
}

#[test]
fn what_is_restored_has_the_addresses_and_keys_of_now() {
    let slice = |name: &str, service: &str, address: &str| {
        let labels = json!({"kubernetes.io/service-name": service});
        let value = json!({"metadata": {"labels": labels}, "addressType": "IPv4",
            "endpoints": [{"addresses": [address]}], "ports": [{"port": 80}]});
        object(Kind::EndpointSlice, "shop", name, value)
    };
    let secret = |name: &str, value: &str| object(Kind::Secret, "shop", name, json!({"data": {"k": value}}));
    let last = snapshot([
        ingress("web", "a", ""),
        service("a", &json!({})),
        service("gone", &json!({})),
        slice("a-1", "a", "10.0.0.1"),
        slice("gone-1", "gone", "10.0.0.2"),
        secret("s", "YQ=="),
        secret("unreferenced", "YQ=="),
    ]);
    let now = snapshot([
        ingress("web", "b", ""),
        service("b", &json!({})),
        slice("a-2", "a", "10.0.0.9"),
        secret("s", "Yg=="),
    ]);
    let restored = restore(&last, &now);
    assert_eq!(*restored.ingresses, *last.ingresses);
    assert_eq!(*restored.services, *last.services);
    let slices: Vec<_> = restored
        .endpoint_slices
        .keys()
        .map(|key| key.name.to_string())
        .collect();
    assert_eq!(slices, ["a-2", "gone-1"]);
    let key = NamespacedName::new("shop", "s");
    assert!(restored.secrets.contains_key(&key));
    assert_eq!(restored.secrets.get(&key), now.secrets.get(&key));
    assert_eq!(restored.secrets.len(), 2);
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn name() -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(&NAMES[..])
}

/// Objects that refer to one another, to what is not there, and in circles as far as their kinds can.
fn any_object() -> impl Strategy<Value = Object> {
    let plugins = prop::collection::vec(name(), 0..3)
        .prop_map(|names| names.join(","))
        .boxed();
    prop_oneof![
        (name(), name(), plugins.clone()).prop_map(|(own, service, plugins)| ingress(own, service, &plugins)),
        (name(), name(), plugins.clone(), any::<bool>()).prop_map(|(own, policy, plugins, is_bound)| {
            let mut annotations = json!({"konghq.com/plugins": plugins});
            if is_bound {
                annotations["konghq.com/upstream-policy"] = json!(policy);
            }
            service(own, &annotations)
        }),
        (name(), name(), any::<bool>()).prop_map(|(own, secret, from_secret)| {
            let mut value = json!({"plugin": "key-auth"});
            if from_secret {
                value["configFrom"] = json!({"secretKeyRef": {"name": secret, "key": "k"}});
            }
            object(Kind::KongPlugin, "shop", own, value)
        }),
        name().prop_map(|own| object(Kind::KongClusterPlugin, "", own, json!({"plugin": "cors"}))),
        name().prop_map(|own| object(Kind::Secret, "shop", own, json!({}))),
        name().prop_map(|own| object(Kind::KongUpstreamPolicy, "shop", own, json!({"spec": {}}))),
        (name(), name()).prop_map(|(own, target)| {
            let target = json!([{"group": "", "kind": "Service", "name": target}]);
            object(
                Kind::BackendTLSPolicy,
                "shop",
                own,
                json!({"spec": {"targetRefs": target}}),
            )
        }),
        (name(), name(), plugins).prop_map(|(own, service, plugins)| {
            let annotations = json!({"konghq.com/plugins": plugins});
            let rules = json!([{"backendRefs": [{"kind": "Service", "name": service, "port": 80}]}]);
            let spec = json!({"parentRefs": [{"name": own}], "rules": rules});
            object(
                Kind::HTTPRoute,
                "shop",
                own,
                json!({"metadata": {"annotations": annotations}, "spec": spec}),
            )
        }),
        name().prop_map(|own| object(Kind::Gateway, "shop", own, json!({"spec": {"gatewayClassName": own}}))),
        (name(), name(), name()).prop_map(|(own, credential, group)| {
            let value = json!({"username": own, "credentials": [credential], "consumerGroups": [group]});
            object(Kind::KongConsumer, "shop", own, value)
        }),
        name().prop_map(|own| object(Kind::KongConsumerGroup, "shop", own, json!({}))),
        (name(), name()).prop_map(|(own, plugin)| {
            let spec = json!({"type": "degraphql_routes", "parentRef": {"name": plugin}});
            object(Kind::KongCustomEntity, "shop", own, json!({"spec": spec}))
        }),
    ]
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    prop::collection::vec(any_object(), 0..24).prop_map(snapshot)
}

fn ids(snapshot: &Snapshot) -> Vec<ObjectId> {
    let kinds = Kind::ALL.iter().copied();
    kinds
        .flat_map(|kind| snapshot.keys(kind).into_iter().map(move |key| (kind, key)))
        .collect()
}

fn essential(id: &ObjectId, snapshot: &Snapshot) -> Vec<ObjectId> {
    let Some(object) = snapshot.get(id.0, &id.1) else {
        return Vec::new();
    };
    let edges = dependencies::direct(&object, snapshot).into_iter();
    edges.filter(|edge| edge.essential).map(|edge| edge.on).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_out_is_what_depends_on_it_and_no_more(
        objects in any_snapshot(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let all = ids(&objects);
        prop_assume!(!all.is_empty());
        let guilty: BTreeSet<&ObjectId> = picks.iter().map(|pick| pick.get(&all)).collect();
        let of = |id: &&ObjectId| objects.get(id.0, &id.1).unwrap();
        let found: Vec<Object> = guilty.iter().map(of).collect();
        let refused = refusal("1", &found.iter().collect::<Vec<_>>(), &objects);
        let mut isolation = Isolation::default();
        isolation.update(&objects, &refusals([refused]));
        let reduced = isolation.reduce(&objects, None, false).unwrap();
        let remaining: BTreeSet<ObjectId> = ids(&reduced.snapshot).into_iter().collect();
        // The graph of what was there decides, not of what is left: a plugin of the same name may stand in then.
        for id in &all {
            let depends = |on: &ObjectId| !remaining.contains(on) && all.contains(on);
            let is_affected = guilty.contains(id) || essential(id, &objects).iter().any(depends);
            prop_assert_eq!(!remaining.contains(id), is_affected, "{}", display(id));
            if let Some(object) = reduced.snapshot.get(id.0, &id.1) {
                prop_assert_eq!(Some(object), objects.get(id.0, &id.1), "the others stay as they are");
            }
        }
        // Each that goes leads to one that is at fault.
        let affected = Dependencies::of(&objects).affected(guilty.iter().copied());
        for (id, root) in &affected {
            prop_assert!(guilty.contains(root));
            prop_assert!(id == root || transitive(id, &objects).contains(root), "{} {}", display(id), display(root));
        }
        prop_assert_eq!(reduced.problems.len(), affected.len());
        prop_assert_eq!(all.len() - remaining.len(), reduced.left_out);
    }

    #[test]
    fn with_the_last_versions_nothing_that_was_accepted_is_lost(
        last in any_snapshot(),
        now in any_snapshot(),
        pick in any::<prop::sample::Index>(),
    ) {
        let all = ids(&now);
        prop_assume!(!all.is_empty());
        let guilty = pick.get(&all);
        let found = now.get(guilty.0, &guilty.1).unwrap();
        let mut isolation = Isolation::default();
        isolation.update(&now, &refusals([refusal("1", &[&found], &now)]));
        let reduced = isolation.reduce(&now, Some(&last), true).unwrap();
        let affected = Dependencies::of(&now).affected([guilty].into_iter());
        let is_refused_again = last.get(guilty.0, &guilty.1).as_ref() == Some(&found);
        for id in affected.keys() {
            let then = last.get(id.0, &id.1);
            let got = reduced.snapshot.get(id.0, &id.1);
            if !is_refused_again {
                prop_assert_eq!(got, then, "{}", display(id));
            } else if got.is_some() {
                prop_assert_eq!(got, then, "{}", display(id));
            }
        }
        for id in all.iter().filter(|id| !affected.contains_key(id)) {
            let of_guilty = transitive(guilty, &last).contains(id);
            if !of_guilty {
                prop_assert_eq!(reduced.snapshot.get(id.0, &id.1), now.get(id.0, &id.1), "{}", display(id));
            }
        }
    }

    #[test]
    fn circles_end(objects in any_snapshot()) {
        for id in ids(&objects) {
            prop_assert!(!transitive(&id, &objects).contains(&id));
        }
    }
}
