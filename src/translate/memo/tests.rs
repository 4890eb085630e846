//! What is kept from one translation to the next makes no difference: after any edits, what comes out is what a
//! translation from nothing gives.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Common, Problems, Source, TlsPolicies, Translator,
    groups::{self, outlines},
    merge, rest,
};
use crate::{
    model::{Kind, NamespacedName, Object, Reason, RouterFlavor, Snapshot},
    translate::{FeatureGates, Settings, Translation},
};

/// Certificates and keys: two of them are of one pair.
static PAIRS: LazyLock<[(String, String); 3]> = LazyLock::new(|| {
    let pair = |name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("it can be made");
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let first = pair("first.example");
    [first.clone(), pair("second.example"), first]
});

/// A certificate of an authority.
static AUTHORITY: LazyLock<String> = LazyLock::new(|| {
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().expect("it can be made");
    params.self_signed(&key).expect("it can be made").pem()
});

/// An object of the small world that is edited: its kind, its number among those, and which of its forms it has.
fn object(kind: Kind, number: usize, form: usize) -> Object {
    let namespace = ["shop", "httproute"][number % 2];
    let mut value = match kind {
        Kind::IngressClass => json!({
            "metadata": {"annotations": {"ingressclass.kubernetes.io/is-default-class": form.is_multiple_of(2).to_string()}},
            "spec": {"controller": "ingress-controllers.konghq.com/kong"},
        }),
        Kind::Ingress => ingress(number, form),
        Kind::Service => json!({
            "metadata": {"annotations": match form {
                0 => json!({}),
                1 => json!({"konghq.com/plugins": "p0"}),
                2 => json!({"konghq.com/protocol": "https", "konghq.com/client-cert": "s0", "konghq.com/tls-verify": "true",
                    "konghq.com/ca-certificates-secrets": "s1,s0"}),
                _ => json!({"konghq.com/upstream-policy": "u0", "konghq.com/retries": "3"}),
            }},
            "spec": {"ports": [{"port": 80, "name": "http"}]},
        }),
        Kind::EndpointSlice => json!({
            "metadata": {"labels": {"kubernetes.io/service-name": format!("s{}", form % 3)}},
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [{"addresses": [format!("10.0.0.{number}{form}")]}],
        }),
        Kind::Secret => {
            let (certificate, key) = &PAIRS[(number + form) % 3];
            let label = if form == 3 { "key-auth" } else { "" };
            // Two of them may have the same identifier.
            let id = if form > 1 {
                "11111111-2222-4333-8444-555555555555"
            } else {
                ""
            };
            json!({
                "metadata": {"labels": {"konghq.com/credential": label, "konghq.com/ca-cert": (form == 2).to_string()},
                    "uid": format!("uid-{number}")},
                "stringData": {"ca.crt": *AUTHORITY, "id": id, "tls.crt": certificate, "tls.key": key, "key": format!("k{}", form % 2), "config": "{\"minute\": 5}"},
            })
        }
        Kind::KongUpstreamPolicy => {
            let algorithm = ["round-robin", "least-connections", "wrong", "latency"][form];
            json!({"spec": {"algorithm": algorithm}})
        }
        Kind::KongPlugin => match form {
            0 => json!({"plugin": "rate-limiting", "config": {"minute": number}}),
            1 => json!({"plugin": "rate-limiting", "configFrom": {"secretKeyRef": {"name": "s1", "key": "config"}}}),
            2 => json!({"plugin": "cors"}),
            _ => json!({"plugin": "cors", "configFrom": {"secretKeyRef": {"name": "nowhere", "key": "config"}}}),
        },
        Kind::KongConsumer => json!({
            "username": format!("user{}", form % 2),
            "credentials": ["s0", "s1"],
            "metadata": {"annotations": {"konghq.com/plugins": if form > 1 { "p1" } else { "" }}},
        }),
        Kind::TCPIngress => json!({"spec": {
            "rules": [{"port": 9000 + form, "backend": {"serviceName": format!("s{}", form % 2), "servicePort": 80}}],
            "tls": [{"hosts": [format!("h{form}.example")], "secretName": "s1"}],
        }}),
        Kind::GatewayClass => json!({"spec": {"controllerName": "konghq.com/kic-gateway-controller"}}),
        Kind::Gateway => json!({"spec": {"gatewayClassName": "g0", "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP"},
            {"name": "tcp", "port": 9000 + form % 2, "protocol": "TCP"},
            {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": format!("h{form}.example"),
             "tls": {"certificateRefs": [{"name": "s0"}]}},
        ]}}),
        Kind::HTTPRoute => json!({
            "metadata": {"annotations": {"konghq.com/plugins": if form > 1 { "p0" } else { "" }}},
            "spec": {
                // Of one listener, with its name; of any, without one.
                "parentRefs": [{"name": "g0", "sectionName": (form == 2).then_some("https")}],
                "hostnames": if form < 2 { json!([format!("h{form}.example")]) } else { json!([]) },
                // Some of them are claimed by Ingresses, too.
                "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": (["/a", "/1", "/b", "/"][form])}}],
                           "backendRefs": [{"kind": "Service", "name": format!("s{}", form % 3), "port": 80, "weight": 1}]}],
            },
        }),
        Kind::TCPRoute => json!({"spec": {
            "parentRefs": [{"name": "g0"}],
            "rules": [{"backendRefs": [{"kind": "Service", "name": format!("s{}", form % 3), "port": 80, "weight": 1}]}],
        }}),
        _ => unreachable!("no such kind in this world"),
    };
    let short = match kind {
        Kind::IngressClass => "kong".to_owned(),
        Kind::Ingress => format!("i{number}"),
        Kind::Service | Kind::Secret | Kind::EndpointSlice => format!("s{}", number / 2),
        Kind::KongPlugin => format!("p{}", number / 2),
        Kind::KongUpstreamPolicy => format!("u{}", number / 2),
        Kind::Gateway | Kind::GatewayClass => format!("g{}", number / 2),
        _ => format!("o{number}"),
    };
    value["metadata"]["name"] = json!(short);
    if kind.is_namespaced() {
        value["metadata"]["namespace"] = json!(namespace);
    }
    value["metadata"]["creationTimestamp"] = json!(format!("2026-01-0{}T00:00:00Z", 1 + (number * 7 + form) % 3));
    Object::from_json(kind, value).expect("it fits its kind")
}

fn ingress(number: usize, form: usize) -> Value {
    let backend = |service: usize| json!({"service": {"name": format!("s{service}"), "port": {"number": 80}}});
    let path = |path: &str, service: usize| json!({"path": path, "pathType": "Prefix", "backend": backend(service)});
    let annotations = match form {
        1 => json!({"konghq.com/plugins": "p0,p1"}),
        2 => json!({"konghq.com/host-aliases": "h0.example"}),
        _ => json!({}),
    };
    let mut spec = json!({
        "ingressClassName": "kong",
        "rules": [{"host": format!("h{}.example", (number + form) % 3), "http": {"paths": [path("/a", form % 3), path("/b", 0)]}}],
    });
    match form {
        0 => {
            spec["tls"] =
                json!([{"hosts": [format!("h{}.example", number % 2)], "secretName": format!("s{}", number % 2)}]);
        }
        3 => {
            spec["defaultBackend"] = backend(1);
            spec["rules"][0]["http"]["paths"] = json!([path("/", 1)]);
        }
        _ => {}
    }
    json!({"metadata": {"annotations": annotations}, "spec": spec})
}

const KINDS: &[(Kind, usize)] = &[
    (Kind::Ingress, 6),
    (Kind::Service, 6),
    (Kind::EndpointSlice, 4),
    (Kind::Secret, 4),
    (Kind::KongPlugin, 4),
    (Kind::KongUpstreamPolicy, 2),
    (Kind::KongConsumer, 2),
    (Kind::TCPIngress, 2),
    (Kind::GatewayClass, 1),
    (Kind::Gateway, 2),
    (Kind::HTTPRoute, 3),
    (Kind::TCPRoute, 2),
    (Kind::IngressClass, 1),
];

/// Which object, and what becomes of it: one of four forms, or nothing.
fn edit() -> impl Strategy<Value = (Kind, usize, usize)> {
    (0..KINDS.len(), 0..6usize, 0..6usize).prop_map(|(kind, number, form)| {
        let (kind, count) = KINDS[kind];
        (kind, number % count, form)
    })
}

fn settings(flavor: RouterFlavor) -> Settings {
    let mut settings = Settings {
        feature_gates: FeatureGates {
            rewrite_uris: true,
            kong_service_facade: true,
            ..FeatureGates::default()
        },
        ..Settings::default()
    };
    settings.profile.router_flavor = flavor;
    settings
}

/// A translation of all objects as one group.
fn in_one_piece(snapshot: &Snapshot, settings: &Settings) -> Translation {
    let mut problems = Problems::default();
    let policies = TlsPolicies::find(snapshot, settings, &mut problems);
    let common = Common::new(snapshot, settings, &policies, &mut problems);
    let sources: Vec<Source> = outlines(snapshot, &common.class).into_keys().collect();
    let all = vec![groups::translate(&sources, &common)];
    let parts = groups::Parts {
        mattering: all.iter().filter(|part| part.matters()).cloned().collect(),
        all,
    };
    let mut translation = merge::routes(&parts.all);
    let rest = rest::translate(&common, &parts, &mut translation.configuration);
    merge::finish(&mut translation, &parts.all, &rest, &common, problems);
    translation
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_kept_makes_no_difference(
        start in prop::collection::vec(edit(), 20..40),
        rounds in prop::collection::vec(prop::collection::vec(edit(), 1..3), 1..8),
        expressions in any::<bool>(),
    ) {
        let settings = settings(if expressions { RouterFlavor::Expressions } else { RouterFlavor::Traditional });
        let mut translator = Translator::default();
        let mut snapshot = Snapshot::default();
        for round in std::iter::once(start).chain(rounds) {
            for (kind, number, form) in round {
                let object = object(kind, number, form % 4);
                if form < 4 {
                    snapshot.insert(object);
                } else {
                    snapshot.remove(kind, &object.key());
                }
            }
            let kept = translator.translate(&snapshot, &settings);
            let fresh = in_one_piece(&snapshot, &settings);
            prop_assert_eq!(kept.configuration.to_bytes(), fresh.configuration.to_bytes());
            prop_assert_eq!(&kept.problems, &fresh.problems);
            prop_assert_eq!(&kept.gateways, &fresh.gateways);
            prop_assert_eq!(&kept.confidential, &fresh.confidential);
            let objects = |translation: &Translation| -> BTreeSet<_> { translation.objects.iter().cloned().collect() };
            prop_assert_eq!(objects(&kept), objects(&fresh));
        }
    }
}

#[test]
fn objects_of_other_groups_stay_the_very_same() {
    let settings = settings(RouterFlavor::Traditional);
    let mut translator = Translator::default();
    let mut snapshot = Snapshot::default();
    for number in 0..3 {
        snapshot.insert(object(Kind::Service, number * 2, 0));
    }
    for (name, host, service) in [("one", "one.example", "s0"), ("two", "two.example", "s1")] {
        let value = json!({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"ingressClassName": "kong", "rules": [{"host": host, "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}}]}}]},
        });
        snapshot.insert(Object::from_json(Kind::Ingress, value).expect("it fits"));
    }
    let before = translator.translate(&snapshot, &settings);
    let mut changed = snapshot
        .get(Kind::Ingress, &NamespacedName::new("shop", "two"))
        .expect("it is there");
    changed
        .metadata_mut()
        .annotations
        .insert("konghq.com/strip-path".to_owned(), "true".to_owned());
    snapshot.insert(changed);
    let after = translator.translate(&snapshot, &settings);
    let same: Vec<bool> = before
        .configuration
        .services
        .iter()
        .zip(&after.configuration.services)
        .map(|(before, after)| Arc::ptr_eq(before, after))
        .collect();
    // In descending order of names: that of s1 first.
    assert_eq!(same, [false, true]);
}

#[test]
fn a_regular_expression_of_an_http_route_and_the_exact_path_that_it_says_are_claimed_once() {
    let settings = settings(RouterFlavor::Traditional);
    let objects = [
        (
            Kind::GatewayClass,
            json!({"metadata": {"name": "g"}, "spec": {"controllerName": "konghq.com/kic-gateway-controller"}}),
        ),
        (
            Kind::Gateway,
            json!({"metadata": {"name": "g", "namespace": "shop"}, "spec": {"gatewayClassName": "g", "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP"}]}}),
        ),
        (
            Kind::HTTPRoute,
            json!({"metadata": {"name": "h", "namespace": "shop"}, "spec": {
                "parentRefs": [{"name": "g"}], "hostnames": ["shop.example"], "rules": [{
                    "matches": [{"path": {"type": "RegularExpression", "value": "/b$"}}],
                    "backendRefs": [{"kind": "Service", "name": "two", "port": 80, "weight": 1}]}]}}),
        ),
        (
            Kind::Ingress,
            json!({"metadata": {"name": "i", "namespace": "shop"}, "spec": {"ingressClassName": "kong", "rules": [
                {"host": "shop.example", "http": {"paths": [{"path": "/b", "pathType": "Exact",
                    "backend": {"service": {"name": "one", "port": {"number": 80}}}}]}}]}}),
        ),
    ];
    let mut snapshot = Snapshot::default();
    for (kind, value) in objects {
        snapshot.insert(Object::from_json(kind, value).expect("it fits"));
    }
    let apart = Translator::default().translate(&snapshot, &settings);
    let whole = in_one_piece(&snapshot, &settings);
    let mut conflicts = apart.problems.iter().filter(|it| it.reason.as_str() == "Conflict");
    let is_told = conflicts.any(|problem| *problem.object.kind == *"HTTPRoute");
    assert!(is_told, "{:?}", apart.problems);
    assert_eq!(apart.problems, whole.problems);
    assert_eq!(apart.configuration.to_bytes(), whole.configuration.to_bytes());
}

/// Two consumers with keys, and two plugins on one Ingress.
fn snapshot_of_two() -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut insert = |kind, value| snapshot.insert(Object::from_json(kind, value).expect("it fits"));
    for name in ["one", "two"] {
        insert(
            Kind::KongConsumer,
            json!({
                "metadata": {"name": name, "namespace": "shop", "annotations": {"kubernetes.io/ingress.class": "kong"}},
                "username": name, "credentials": [format!("{name}-key")],
            }),
        );
    }
    for (name, key) in [("one", "1"), ("two", "2")] {
        insert(Kind::Secret, credential(name, key));
    }
    insert(
        Kind::KongPlugin,
        json!({"metadata": {"name": "one", "namespace": "shop"}, "plugin": "rate-limiting", "config": {"minute": 1}}),
    );
    insert(
        Kind::KongPlugin,
        json!({"metadata": {"name": "two", "namespace": "shop"}, "plugin": "cors"}),
    );
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    insert(
        Kind::Ingress,
        json!({
            "metadata": {"name": "web", "namespace": "shop", "annotations": {"konghq.com/plugins": "one,two"}},
            "spec": {"ingressClassName": "kong", "rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
        }),
    );
    insert(
        Kind::Service,
        json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}),
    );
    snapshot
}

fn credential(consumer: &str, key: &str) -> Value {
    json!({
        "metadata": {"name": format!("{consumer}-key"), "namespace": "shop", "labels": {"konghq.com/credential": "key-auth"}},
        "stringData": {"key": key},
    })
}

#[test]
fn what_changes_in_its_place_is_all_that_is_made_anew() {
    let settings = settings(RouterFlavor::Traditional);
    let plugin = |minute| json!({"metadata": {"name": "one", "namespace": "shop"}, "plugin": "rate-limiting", "config": {"minute": minute}});
    let edits = [
        // Which plugins and consumers are the very same afterwards, in canonical order.
        (Kind::KongPlugin, plugin(2), [false, true], [true, true]),
        (Kind::Secret, credential("two", "3"), [true, true], [true, false]),
        // A key that another has: the whole is translated.
        (Kind::Secret, credential("two", "1"), [false, false], [false, false]),
        (Kind::Secret, credential("two", "4"), [false, false], [false, false]),
        (Kind::Secret, credential("one", "5"), [true, true], [false, true]),
    ];
    let mut snapshot = snapshot_of_two();
    let mut translator = Translator::default();
    let mut before = translator.translate(&snapshot, &settings);
    for (kind, value, plugins, consumers) in edits {
        snapshot.insert(Object::from_json(kind, value).expect("it fits"));
        let after = translator.translate(&snapshot, &settings);
        let fresh = in_one_piece(&snapshot, &settings);
        assert_eq!(after.configuration.to_bytes(), fresh.configuration.to_bytes());
        assert_eq!(after.problems, fresh.problems);
        let (ours, others) = (&after.configuration, &before.configuration);
        let same = |(a, b): (&Arc<_>, &Arc<_>)| Arc::ptr_eq(a, b);
        assert!(ours.plugins.iter().zip(&others.plugins).map(same).eq(plugins));
        let same = |(a, b): (&Arc<_>, &Arc<_>)| Arc::ptr_eq(a, b);
        assert!(ours.consumers.iter().zip(&others.consumers).map(same).eq(consumers));
        before = after;
    }
}

/// An Ingress of another host with plugins.
fn ingress_with(name: &str, plugins: &str) -> Object {
    let backend = json!({"service": {"name": name, "port": {"number": 80}}});
    let value = json!({
        "metadata": {"name": name, "namespace": "shop", "annotations": {"konghq.com/plugins": plugins}},
        "spec": {"ingressClassName": "kong", "rules": [{"host": format!("{name}.example"), "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
    });
    Object::from_json(Kind::Ingress, value).expect("it fits")
}

/// What is done to a snapshot.
type Edit<'a> = &'a dyn Fn(&mut Snapshot);

#[test]
fn routes_with_plugins_come_and_go_without_the_plugins_of_others() {
    let settings = settings(RouterFlavor::Traditional);
    let mut snapshot = snapshot_of_two();
    let mut translator = Translator::default();
    let mut before = translator.translate(&snapshot, &settings);
    let gone = |name: &str| ingress_with(name, "").key();
    // What is edited, and how many plugins there are and are the very same afterwards.
    let edits: [(Edit<'_>, usize, usize); 6] = [
        (&|snapshot| snapshot.insert(ingress_with("other", "one")), 3, 2),
        (&|snapshot| snapshot.insert(ingress_with("other", "two,one")), 4, 2),
        (&|snapshot| snapshot.insert(ingress_with("third", "two")), 5, 4),
        (&|snapshot| snapshot.remove(Kind::Ingress, &gone("other")), 3, 3),
        // Nobody has the first one any more; then somebody has it again.
        (&|snapshot| snapshot.insert(ingress_with("web", "two")), 2, 1),
        (&|snapshot| snapshot.insert(ingress_with("third", "one")), 2, 1),
    ];
    for (number, (edit, plugins, kept)) in edits.into_iter().enumerate() {
        edit(&mut snapshot);
        let after = translator.translate(&snapshot, &settings);
        let fresh = in_one_piece(&snapshot, &settings);
        assert_eq!(
            after.configuration.to_bytes(),
            fresh.configuration.to_bytes(),
            "edit {number}"
        );
        assert_eq!(after.problems, fresh.problems, "edit {number}");
        let objects = |translation: &Translation| -> BTreeSet<_> { translation.objects.iter().cloned().collect() };
        assert_eq!(objects(&after), objects(&fresh), "edit {number}");
        let others = &before.configuration.plugins;
        let is_same = |plugin: &&Arc<_>| others.iter().any(|other| Arc::ptr_eq(other, plugin));
        let same = after.configuration.plugins.iter().filter(is_same).count();
        assert_eq!(
            (after.configuration.plugins.len(), same),
            (plugins, kept),
            "edit {number}"
        );
        before = after;
    }
}

#[test]
fn regular_expressions_that_an_http_route_becomes_are_claimed_once() {
    let settings = settings(RouterFlavor::Traditional);
    let class = json!({"metadata": {"name": "g"}, "spec": {"controllerName": "konghq.com/kic-gateway-controller"}});
    let gateway = json!({"metadata": {"name": "g", "namespace": "shop"}, "spec": {"gatewayClassName": "g", "listeners": [
        {"name": "http", "port": 80, "protocol": "HTTP"}]}});
    let rewrite = |with: &str| {
        json!([{"type": "URLRewrite", "urlRewrite": {"path":
        {"type": "ReplacePrefixMatch", "replacePrefixMatch": with}}}])
    };
    // The path that a prefix is named by is no conflict: what asks for it alone has it.
    let cases = [
        ("/~/(.*)", "PathPrefix", "/", rewrite("/new"), 1),
        ("/~/a(/.*)", "PathPrefix", "/a", rewrite("/new"), 1),
        ("/~/a$", "PathPrefix", "/a", rewrite("/new"), 0),
        ("/~/a$", "Exact", "/a", json!([]), 1),
        (r"/~/a\(b$", "Exact", "/a(b", json!([]), 1),
    ];
    for (path, kind, value, filters, conflicts) in cases {
        let ingress = json!({"metadata": {"name": "i", "namespace": "shop"}, "spec": {"ingressClassName": "kong", "rules": [
            {"host": "shop.example", "http": {"paths": [{"path": path, "pathType": "ImplementationSpecific",
                "backend": {"service": {"name": "one", "port": {"number": 80}}}}]}}]}});
        let route = json!({"metadata": {"name": "h", "namespace": "shop"}, "spec": {
            "parentRefs": [{"name": "g"}], "hostnames": ["shop.example"], "rules": [{
                "matches": [{"path": {"type": kind, "value": value}}], "filters": filters,
                "backendRefs": [{"kind": "Service", "name": "two", "port": 80, "weight": 1}]}]}});
        let mut snapshot = Snapshot::default();
        for (kind, value) in [
            (Kind::GatewayClass, class.clone()),
            (Kind::Gateway, gateway.clone()),
            (Kind::Ingress, ingress),
            (Kind::HTTPRoute, route),
        ] {
            snapshot.insert(Object::from_json(kind, value).expect("it fits"));
        }
        let apart = Translator::default().translate(&snapshot, &settings);
        let whole = in_one_piece(&snapshot, &settings);
        let told = |translation: &Translation| {
            let conflicts = translation.problems.iter().filter(|it| it.reason == Reason::Conflict);
            conflicts.map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(&apart).len(), conflicts, "{path}: {:?}", apart.problems);
        assert_eq!(told(&apart), told(&whole), "{path}");
        assert_eq!(apart.configuration.to_bytes(), whole.configuration.to_bytes(), "{path}");
    }
}
