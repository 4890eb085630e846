//! Proxies of different kinds under one controller: each gets a configuration that it can take.

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::harness::{Running, client, eventually, fake_kong, free_ports, ingress, silverback};

/// A Kong that takes what it is given, and remembers the last of it.
fn kong(
    version: &'static str,
    edition: &'static str,
    flavor: &'static str,
    plugins: &'static [&'static str],
) -> (String, Arc<Mutex<Value>>) {
    let taken = Arc::new(Mutex::new(Value::Null));
    let keeper = taken.clone();
    let url = fake_kong(move |request, body| {
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
                json!({"configuration_hash": "0".repeat(32), "server": {"total_requests": 1}}),
            ),
            request if request.starts_with("POST /config") => {
                *keeper.lock().unwrap() = serde_json::from_slice(body).unwrap_or_default();
                ("201 Created", json!({}))
            }
            _ => ("404 Not Found", json!({"message": "Not found"})),
        }
    });
    (url, taken)
}

#[tokio::test]
async fn each_kind_of_proxy_gets_what_it_can_take() {
    let state = tempfile::tempdir().unwrap();
    let manifests = state.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    let plugin = "---\napiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nmetadata: {name: limit, namespace: demo}\n\
                  plugin: rate-limiting\nconfig: {minute: 5}\n";
    let web = ingress("web", "web.localhost", "/a").replacen(
        "namespace: demo",
        "namespace: demo, annotations: {konghq.com/plugins: limit}",
        1,
    );
    let group = "---\napiVersion: configuration.konghq.com/v1beta1\nkind: KongConsumerGroup\n\
                 metadata: {name: gold, namespace: demo, annotations: {kubernetes.io/ingress.class: kong}}\n\
                 ---\napiVersion: configuration.konghq.com/v1\nkind: KongConsumer\nusername: alice\nconsumerGroups: [gold]\n\
                 metadata: {name: alice, namespace: demo, annotations: {kubernetes.io/ingress.class: kong}}\n";
    std::fs::write(manifests.join("web.yaml"), web + plugin + group).unwrap();

    let (modern, of_modern) = kong(
        "3.9.1",
        "community",
        "expressions",
        &["request-termination", "rate-limiting"],
    );
    let (plain, of_plain) = kong("3.4.2", "community", "traditional_compatible", &["request-termination"]);
    let (paid, of_paid) = kong(
        "3.8.0.0",
        "enterprise",
        "traditional_compatible",
        &["request-termination", "rate-limiting"],
    );
    let ports = free_ports(3);
    let dashboard = format!("127.0.0.1:{ports}");
    let embedded = format!("http://127.0.0.1:{}", ports + 1);
    let mut proxy = silverback();
    proxy
        .args(["proxy", "--status-listen=off", "--log-level=warn"])
        .arg(format!("--admin-listen=127.0.0.1:{}", ports + 1))
        .arg(format!("--proxy-listen=127.0.0.1:{}", ports + 2))
        .arg(format!("--prefix={}", state.path().join("prefix").display()));
    let _proxy = Running::start(&mut proxy);
    let mut controller = silverback();
    controller
        .args([
            "run",
            "--probe-interval=200ms",
            "--health-probe-bind-address=off",
            "--metrics-bind-address=off",
        ])
        .args([
            "--dashboard-bind-address",
            &dashboard,
            "--proxy",
            &modern,
            "--proxy",
            &plain,
            "--proxy",
            &paid,
            "--proxy",
            &embedded,
        ])
        .arg("--directory")
        .arg(&manifests)
        .arg("--pki-directory")
        .arg(state.path().join("pki"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut controller = controller.spawn().unwrap();
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
                .get(format!("http://127.0.0.1:{}/a", ports + 2))
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
            .get(format!("http://{dashboard}/api/v1/problems"))
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
    controller.kill().unwrap();
    controller.wait().unwrap();
}
