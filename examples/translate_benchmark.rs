//! Prints how long a translation from nothing takes: `cargo run --release --no-default-features --example
//! translate_benchmark [INGRESSES]`. The aim is 10,000 Ingresses in less than 250 ms on one core.

use std::time::Instant;

use serde_json::json;
use silverback::{
    model::{Kind, Object, Snapshot},
    render,
    translate::{Settings, translate},
};

const RUNS: usize = 10;

fn main() {
    let count = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(10_000);
    let snapshot = snapshot(count);
    let settings = Settings::default();
    let mut times = Vec::with_capacity(RUNS);
    let mut size = 0;
    for _ in 0..RUNS {
        let start = Instant::now();
        let translation = translate(&snapshot, &settings);
        let translated = start.elapsed();
        let rendered = render::render(&translation);
        times.push((translated, start.elapsed() - translated));
        size = rendered.bytes.len();
    }
    times.sort();
    let (translated, rendered) = times[RUNS / 2];
    println!(
        "{count} Ingresses, {size} bytes: translate {translated:?}, render {rendered:?} (median of {RUNS} runs; limit 250 ms for 10,000)"
    );
}

/// Each Ingress with a host, two paths and a Service with three endpoints of its own.
fn snapshot(count: usize) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for index in 0..count {
        let name = format!("app-{index}");
        let namespace = format!("team-{}", index % 100);
        let backend = json!({"service": {"name": name, "port": {"number": 80}}});
        let endpoints: Vec<_> = (1..4)
            .map(|pod| json!({"addresses": [format!("10.{}.{}.{pod}", index / 250, index % 250)]}))
            .collect();
        let metadata = json!({
            "name": name, "namespace": namespace, "uid": format!("00000000-0000-4000-8000-{index:012}"),
            "creationTimestamp": "2024-01-01T00:00:00Z", "labels": {"kubernetes.io/service-name": name},
        });
        let objects = [
            (
                Kind::Ingress,
                json!({"metadata": metadata, "spec": {"ingressClassName": "kong", "rules": [{
                    "host": format!("{name}.example.com"),
                    "http": {"paths": [
                        {"path": "/api", "pathType": "Prefix", "backend": backend},
                        {"path": "/login", "pathType": "Exact", "backend": backend},
                    ]},
                }]}}),
            ),
            (
                Kind::Service,
                json!({"metadata": metadata, "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}}),
            ),
            (
                Kind::EndpointSlice,
                json!({"metadata": metadata, "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints}),
            ),
        ];
        for (kind, value) in objects {
            snapshot.insert(Object::from_json(kind, value).expect("the objects are well formed"));
        }
    }
    snapshot
}
