//! `--watch-namespace`: the Admin Service and its proxies may be elsewhere, and nothing else is read there.

use serde_json::{Value, json};

use crate::{
    cluster::{Objects, certificates, controller, in_sync, proxy, slice},
    harness::{Running, client, eventually, free_ports},
};

/// An Ingress for `NAMESPACE.example` with its Service.
fn shop(namespace: &str) -> Objects {
    let metadata = |name: &str| -> Value {
        json!({
            "name": name, "namespace": namespace, "uid": format!("{name}-{namespace}"), "resourceVersion": "1",
            "annotations": {"kubernetes.io/ingress.class": "kong"},
        })
    };
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
    vec![
        (
            "ingresses",
            json!({
                "metadata": metadata("web"),
                "spec": {"rules": [{"host": format!("{namespace}.example"), "http": {"paths": paths}}]},
            }),
        ),
        (
            "services",
            json!({"metadata": metadata("web"), "spec": {"ports": [{"name": "http", "port": 80}]}}),
        ),
    ]
}

#[tokio::test]
async fn proxies_behind_an_admin_service_outside_of_the_watched_namespaces_are_found() {
    let state = tempfile::tempdir().unwrap();
    certificates(state.path());
    let ports = free_ports(3);
    let (dashboard, admin, traffic) = (ports, ports + 1, ports + 2);
    let listen = |port: u16| format!("127.0.0.1:{port}");
    let _proxy = Running::start(&mut proxy(state.path(), "one", &listen(admin), &listen(traffic)));
    let mut objects: Objects = ["shop", "gateway", "other"].into_iter().flat_map(shop).collect();
    let port = ("kong-admin-tls", admin);
    objects.push((
        "endpointslices",
        slice("gateway", "admin", "IPv4", "127.0.0.1", port, "one"),
    ));
    // It has no right to read anything in other namespaces, or in all of them at once.
    let mut controller = controller(state.path(), objects, &["shop", "gateway"], dashboard);
    let _controller = Running::start(controller.arg("--watch-namespace=shop"));
    let rows = in_sync(dashboard, 1).await;
    assert_eq!(
        (&rows[0]["namespace"], &rows[0]["name"]),
        (&json!("gateway"), &json!("one"))
    );

    let client = client().build().unwrap();
    let answers = async |host: &str| {
        let request = client.get(format!("http://127.0.0.1:{traffic}/")).header("host", host);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        Ok::<u16, String>(answer.status().as_u16())
    };
    // There is a route, and nothing behind it.
    eventually("the watched namespace is served", async || {
        match answers("shop.example").await? {
            503 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    for unwatched in ["gateway.example", "other.example"] {
        assert_eq!(answers(unwatched).await, Ok(404), "{unwatched}");
    }
}
