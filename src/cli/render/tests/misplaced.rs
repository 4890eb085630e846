//! Every annotation on kinds that it is not for: it is told, with the kinds that it is for, and does nothing.

use super::*;
use crate::model::{
    Reason,
    annotations::{ANNOTATIONS, INGRESS_PREFIX, PREFIX},
};

/// One object of many kinds, the first of them with a mark where its annotations are.
const OBJECTS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: it, namespace: shop, annotations: {kubernetes.io/ingress.class: kong}}
spec: {rules: [{host: shop.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: it, port: {number: 80}}}}]}}]}
---
apiVersion: v1
kind: Service
metadata: {name: it, namespace: shop, annotations: {}}
spec: {ports: [{port: 80}]}
---
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: it, namespace: shop, annotations: {}}
plugin: prometheus
---
apiVersion: configuration.konghq.com/v1
kind: KongConsumer
metadata: {name: it, namespace: shop, annotations: {kubernetes.io/ingress.class: kong}}
username: it
---
apiVersion: configuration.konghq.com/v1beta1
kind: UDPIngress
metadata: {name: it, namespace: shop, annotations: {kubernetes.io/ingress.class: kong}}
spec: {rules: [{port: 9000, backend: {serviceName: it, servicePort: 80}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: it}
spec: {controllerName: konghq.com/kic-gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: it, namespace: shop, annotations: {}}
spec: {gatewayClassName: it, listeners: [{name: http, protocol: HTTP, port: 80}]}
";

const KINDS: [Kind; 6] = [
    Kind::Ingress,
    Kind::Service,
    Kind::KongPlugin,
    Kind::KongConsumer,
    Kind::UDPIngress,
    Kind::Gateway,
];

/// The objects, that of a kind with an annotation more.
fn with(kind: Kind, name: &str, value: &str) -> Outcome {
    let mut documents: Vec<Value> = OBJECTS.split("\n---").map(self::value).collect();
    let object = documents
        .iter_mut()
        .find(|object| object["kind"] == kind.name())
        .unwrap();
    object["metadata"]["annotations"][name] = json!(value);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": documents});
    render("", &list.to_string())
}

#[test]
fn an_annotation_on_a_kind_that_it_is_not_for_is_told_and_does_nothing() {
    let plain = render("", OBJECTS);
    let mut told = 0;
    for annotation in ANNOTATIONS {
        // What it would hold where it acts; text that can't be used must not be told as such.
        let name = match annotation.name.ends_with('.') {
            true => format!("{}x-test", annotation.name),
            false => annotation.name.to_owned(),
        };
        for kind in KINDS {
            let outcome = with(kind, &name, "perhaps");
            let mut ignored = outcome.problems.iter().filter(|problem| {
                let of_it = problem
                    .field
                    .as_ref()
                    .is_some_and(|field| field.ends_with(&format!("[{name}]")));
                of_it && problem.message.contains("has no effect on objects of kind")
            });
            let is_ours = name.starts_with(PREFIX) || name.starts_with(INGRESS_PREFIX);
            if annotation.kinds.contains(&kind) || !is_ours {
                assert!(ignored.next().is_none(), "{name} on {}", kind.name());
                continue;
            }
            let problem = ignored
                .next()
                .unwrap_or_else(|| panic!("{name} on {} is not told", kind.name()));
            assert_eq!(problem.reason, Reason::Ignored, "all else is served");
            assert_eq!(
                (&*problem.object.kind, &*problem.object.name),
                (kind.name(), "it"),
                "{name}"
            );
            for kind in annotation.kinds {
                assert!(problem.remedy.contains(kind.name()), "{name}: {}", problem.remedy);
            }
            assert_eq!(outcome.configuration, plain.configuration, "{name} on {}", kind.name());
            let more = outcome.problems.len() - plain.problems.len();
            assert_eq!(
                more,
                1,
                "{name} on {} is told once: {:?}",
                kind.name(),
                outcome.problems
            );
            told += 1;
        }
    }
    assert!(told > 100, "{told}");
}

#[test]
fn the_kind_that_an_annotation_is_for_is_named() {
    let outcome = with(Kind::Ingress, "konghq.com/protocol", "https");
    let problem = outcome
        .problems
        .iter()
        .find(|problem| problem.reason == Reason::Ignored)
        .unwrap();
    assert_eq!(
        problem.message,
        "konghq.com/protocol has no effect on objects of kind Ingress"
    );
    assert_eq!(
        problem.remedy,
        "remove it, or put it on an object that it is for: Service or KongServiceFacade"
    );
}
