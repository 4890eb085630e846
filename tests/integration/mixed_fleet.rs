//! Proxies of different kinds behind one discovered Admin Service: each gets a configuration that it can take.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use proxy_config_schema::ConfigHash;
use serde_json::{Value, json};

use crate::{
    cluster::{certificates, controller, in_sync, proxy, slice},
    harness::{Running, client, eventually, fake_kong_with_tls, free_ports},
};

/// A Kong that takes what it is given, and remembers the last of it; the port of its Admin API.
fn kong(
    state: &Path,
    version: &'static str,
    edition: &'static str,
    flavor: &'static str,
    plugins: &'static [&'static str],
) -> (u16, Arc<Mutex<Value>>) {
    let taken = Arc::new(Mutex::new(Value::Null));
    let keeper = taken.clone();
    let hash = Arc::new(Mutex::new("0".repeat(32)));
    let answer = move |request: &str, body: &[u8]| {
        let plugins: Value = plugins
            .iter()
            .map(|name| ((*name).to_owned(), json!({"version": version})))
            .collect();
        match request {
            "GET /" => (
                "200 OK",
                json!({
                    "version": version, "tagline": "Welcome to kong", "hostname": "fake", "edition": edition,
                    "node_id": "4c2c0a64-3d2b-4e43-9d4f-0d9c7f6f8a01",
                    "configuration": {"database": "off", "router_flavor": flavor},
                    "plugins": {"available_on_server": plugins},
                }),
            ),
            "GET /status" => (
                "200 OK",
                json!({"configuration_hash": *hash.lock().unwrap(), "server": {"total_requests": 1}}),
            ),
            request if request.starts_with("POST /config") => {
                *keeper.lock().unwrap() = serde_json::from_slice(body).unwrap_or_default();
                *hash.lock().unwrap() = ConfigHash::of(body).to_string();
                ("201 Created", json!({}))
            }
            _ => ("404 Not Found", json!({"message": "Not found"})),
        }
    };
    let port = fake_kong_with_tls(&state.join("proxy.crt"), &state.join("proxy.key"), answer);
    (port, taken)
}

/// An Ingress with a plugin, and a consumer in a group.
fn objects() -> Vec<(&'static str, Value)> {
    let metadata = |name: &str| {
        json!({
            "name": name, "namespace": "demo", "uid": name, "resourceVersion": "1",
            "annotations": {"kubernetes.io/ingress.class": "kong"},
        })
    };
    let mut protected = metadata("web");
    protected["annotations"]["konghq.com/plugins"] = "limit".into();
    let backend = json!({"service": {"name": "echo", "port": {"number": 80}}});
    let paths = json!([{"path": "/a", "pathType": "Prefix", "backend": backend}]);
    vec![
        (
            "ingresses",
            json!({
                "metadata": protected,
                "spec": {"rules": [{"host": "web.localhost", "http": {"paths": paths}}]},
            }),
        ),
        (
            "services",
            json!({"metadata": metadata("echo"), "spec": {"ports": [{"name": "http", "port": 80}]}}),
        ),
        (
            "kongplugins",
            json!({"metadata": metadata("limit"), "plugin": "rate-limiting", "config": {"minute": 5}}),
        ),
        ("kongconsumergroups", json!({"metadata": metadata("gold")})),
        (
            "kongconsumers",
            json!({"metadata": metadata("alice"), "username": "alice", "consumerGroups": ["gold"]}),
        ),
    ]
}

#[tokio::test]
async fn each_kind_of_proxy_gets_what_it_can_take() {
    let state = tempfile::tempdir().unwrap();
    certificates(state.path());

    let (modern, of_modern) = kong(
        state.path(),
        "3.9.1",
        "community",
        "expressions",
        &["request-termination", "rate-limiting"],
    );
    let (plain, of_plain) = kong(
        state.path(),
        "3.4.2",
        "community",
        "traditional_compatible",
        &["request-termination"],
    );
    let (paid, of_paid) = kong(
        state.path(),
        "3.8.0.0",
        "enterprise",
        "traditional_compatible",
        &["request-termination", "rate-limiting"],
    );
    let ports = free_ports(3);
    let (dashboard, embedded, traffic) = (ports, ports + 1, ports + 2);
    let listen = |port: u16| format!("127.0.0.1:{port}");
    let mut proxy = proxy(state.path(), "embedded", &listen(embedded), &listen(traffic));
    let _proxy = Running::start(&mut proxy);
    let mut objects = objects();
    for (pod, port) in [
        ("modern", modern),
        ("plain", plain),
        ("paid", paid),
        ("embedded", embedded),
    ] {
        let port = ("kong-admin-tls", port);
        objects.push((
            "endpointslices",
            slice("gateway", "admin", "IPv4", "127.0.0.1", port, pod),
        ));
    }
    let _controller = Running::start(&mut controller(state.path(), objects, &[], dashboard));
    let route = async |what: &str, taken: &Arc<Mutex<Value>>| {
        eventually(what, async || {
            let configuration = taken.lock().unwrap().clone();
            match configuration.pointer("/services/0/routes/0") {
                Some(route) => Ok((route.clone(), configuration)),
                None => Err("nothing was sent".to_owned()),
            }
        })
        .await
    };
    let (route_of_modern, sent) = route("the modern proxy is configured", &of_modern).await;
    assert!(
        route_of_modern["expression"].as_str().unwrap().contains("http.path"),
        "{route_of_modern}"
    );
    assert!(
        route_of_modern["paths"].is_null() && route_of_modern["plugins"].is_null(),
        "{route_of_modern}"
    );
    assert_eq!(sent["plugins"][0]["name"], "rate-limiting");
    assert!(sent["consumer_groups"].is_null(), "open-source Kong has none: {sent}");
    let (_, sent) = route("the enterprise proxy is configured", &of_paid).await;
    assert_eq!(sent["consumer_groups"][0]["name"], "gold");
    assert_eq!(sent["plugins"][0]["name"], "rate-limiting");
    let (route_of_plain, sent) = route("the plain proxy is configured", &of_plain).await;
    assert!(
        route_of_plain["paths"].is_array() && route_of_plain["expression"].is_null(),
        "{route_of_plain}"
    );
    // It has no such plugin: what the plugin protects is closed there, and there alone.
    assert_eq!(route_of_plain["plugins"][0]["name"], "request-termination");
    assert!(sent["plugins"].is_null() && sent["consumer_groups"].is_null(), "{sent}");

    let client = client().build().unwrap();
    eventually(
        "the embedded proxy closes the route whose plugin it lacks",
        async || {
            let request = client
                .get(format!("http://127.0.0.1:{traffic}/a"))
                .header("host", "web.localhost");
            match request
                .send()
                .await
                .map_err(|error| error.to_string())?
                .status()
                .as_u16()
            {
                503 => Ok(()),
                other => Err(other.to_string()),
            }
        },
    )
    .await;
    let problems = eventually("the plugin has a problem", async || {
        let answer = client
            .get(format!("http://127.0.0.1:{dashboard}/api/v1/problems"))
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let body = answer.text().await.map_err(|error| error.to_string())?;
        body.contains("Unsupported").then_some(body.clone()).ok_or(body)
    })
    .await;
    assert!(
        problems.contains("traditional_compatible/open-source/3.4") && problems.contains("rate-limiting"),
        "{problems}"
    );
    assert!(
        problems.contains("KongConsumerGroup demo/gold"),
        "what open-source proxies can't take is told on its object: {problems}"
    );
    let rows = in_sync(dashboard, 4).await;
    assert_eq!(rows.len(), 4);
}
