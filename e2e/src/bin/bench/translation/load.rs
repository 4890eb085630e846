//! The objects: ten Ingresses to a Service, every second one of these with a plugin, each consumer with a key.

use serde_json::{Value, json};
use silverback::model::{Kind, Object, Snapshot};

pub(super) const INGRESSES: usize = 10_000;
pub(super) const SERVICES: usize = 1_000;
pub(super) const PLUGINS: usize = 500;
pub(super) const CONSUMERS: usize = 1_000;
const NAMESPACES: usize = 100;

pub(super) fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for index in 0..INGRESSES {
        snapshot.insert(ingress(index, "/api"));
    }
    for index in 0..SERVICES {
        snapshot.insert(service(index, "60000"));
        snapshot.insert(endpoint_slice(index, 1));
    }
    for index in 0..PLUGINS {
        snapshot.insert(plugin(index, 10));
    }
    for index in 0..CONSUMERS {
        snapshot.insert(consumer(index, &format!("customer-{index}")));
        snapshot.insert(credential(index, &format!("key-{index}")));
    }
    snapshot
}

/// A host and two paths, the first of them as given.
pub(super) fn ingress(index: usize, path: &str) -> Object {
    let backend = json!({"service": {"name": format!("service-{}", index % SERVICES), "port": {"number": 80}}});
    let mut metadata = metadata("ingress", index);
    let turn = index / SERVICES;
    if turn.is_multiple_of(2) {
        let plugin = index % NAMESPACES + NAMESPACES * (turn / 2 % (PLUGINS / NAMESPACES));
        metadata["annotations"] = json!({"konghq.com/plugins": format!("plugin-{plugin}")});
    }
    object(
        Kind::Ingress,
        json!({"metadata": metadata, "spec": {"ingressClassName": "kong", "rules": [{
            "host": format!("host-{index}.example.com"),
            "http": {"paths": [
                {"path": path, "pathType": "Prefix", "backend": backend},
                {"path": "/login", "pathType": "Exact", "backend": backend},
            ]},
        }]}}),
    )
}

pub(super) fn service(index: usize, read_timeout: &str) -> Object {
    let mut metadata = metadata("service", index);
    metadata["annotations"] = json!({"konghq.com/read-timeout": read_timeout});
    let spec = json!({"selector": {"app": format!("app-{index}")}, "ports": [{"name": "http", "port": 80}]});
    object(Kind::Service, json!({"metadata": metadata, "spec": spec}))
}

/// Three endpoints, the last one as given.
pub(super) fn endpoint_slice(index: usize, last: usize) -> Object {
    let mut metadata = metadata("service", index);
    metadata["labels"] = json!({"kubernetes.io/service-name": format!("service-{index}")});
    let endpoints: Vec<Value> = [201, 202, last]
        .iter()
        .map(|pod| json!({"addresses": [format!("10.{}.{}.{pod}", index / 250, index % 250)]}))
        .collect();
    object(
        Kind::EndpointSlice,
        json!({"metadata": metadata, "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints}),
    )
}

pub(super) fn plugin(index: usize, minute: usize) -> Object {
    let config =
        json!({"minute": minute, "hour": 5000, "policy": "local", "limit_by": "consumer", "fault_tolerant": true});
    object(
        Kind::KongPlugin,
        json!({"metadata": metadata("plugin", index), "plugin": "rate-limiting", "config": config}),
    )
}

pub(super) fn consumer(index: usize, custom_id: &str) -> Object {
    let mut metadata = metadata("consumer", index);
    metadata["annotations"] = json!({"kubernetes.io/ingress.class": "kong"});
    object(
        Kind::KongConsumer,
        json!({
            "metadata": metadata, "username": format!("consumer-{index}"), "custom_id": custom_id,
            "credentials": [format!("credential-{index}")],
        }),
    )
}

pub(super) fn credential(index: usize, key: &str) -> Object {
    let mut metadata = metadata("credential", index);
    metadata["labels"] = json!({"konghq.com/credential": "key-auth"});
    object(
        Kind::Secret,
        json!({"metadata": metadata, "type": "Opaque", "stringData": {"key": key}}),
    )
}

fn metadata(kind: &str, index: usize) -> Value {
    json!({
        "name": format!("{kind}-{index}"), "namespace": format!("team-{}", index % NAMESPACES),
        "uid": format!("00000000-0000-4000-8000-{index:012}"), "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
    })
}

fn object(kind: Kind, value: Value) -> Object {
    Object::from_json(kind, value).expect("the objects are well formed")
}
