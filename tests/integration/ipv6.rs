//! A cluster of IPv6 addresses: proxies are found and driven, and requests forwarded, where EndpointSlices have no others; a
//! proxy of both families is one proxy.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread,
};

use serde_json::json;

use crate::{
    cluster::{certificates, controller, in_sync, proxy, slice},
    harness::{Running, client, free_ports},
};

/// An application on IPv6 alone.
fn application() -> u16 {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    line.clear();
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
            });
        }
    });
    port
}

#[tokio::test]
async fn a_cluster_of_ipv6_addresses_is_served() {
    let state = tempfile::tempdir().unwrap();
    certificates(state.path());
    let ports = free_ports(6);
    let (traffic, admin, dashboard) = ([ports, ports + 1], [ports + 2, ports + 3], ports + 4);
    let backend = application();
    let objects = vec![
        (
            "endpointslices",
            slice("gateway", "admin", "IPv6", "::1", ("kong-admin-tls", admin[0]), "six"),
        ),
        (
            "endpointslices",
            slice("gateway", "admin", "IPv6", "::1", ("kong-admin-tls", admin[1]), "both"),
        ),
        // A proxy of both families listens on one of them only: addresses are tried in turn.
        (
            "endpointslices",
            slice(
                "gateway",
                "admin",
                "IPv4",
                "127.0.0.1",
                ("kong-admin-tls", admin[1]),
                "both",
            ),
        ),
        (
            "endpointslices",
            slice("shop", "web", "IPv6", "::1", ("http", backend), "app"),
        ),
        (
            "services",
            json!({
                "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"},
                "spec": {"ipFamilies": ["IPv6"], "clusterIP": "fd00::1", "ports": [{"name": "http", "port": 80}]},
            }),
        ),
        (
            "ingressclasses",
            json!({
                "metadata": {"name": "kong", "resourceVersion": "1"},
                "spec": {"controller": "ingress-controllers.konghq.com/kong"},
            }),
        ),
        (
            "ingresses",
            json!({
                "metadata": {"name": "web", "namespace": "shop", "uid": "1", "resourceVersion": "1"},
                "spec": {"ingressClassName": "kong", "rules": [{"host": "six.example", "http": {"paths": [{
                    "path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}},
                }]}}]},
            }),
        ),
    ];
    let proxies = [0, 1].map(|index| {
        let listen = |port: u16| format!("[::1]:{port}");
        let mut proxy = proxy(
            state.path(),
            &index.to_string(),
            &listen(admin[index]),
            &listen(traffic[index]),
        );
        Running::start(&mut proxy)
    });
    let controller = Running::start(&mut controller(state.path(), objects, &[], dashboard));

    let rows = in_sync(dashboard, 2).await;
    assert_eq!(rows.len(), 2, "a proxy of both families is one: {rows:?}");
    let client = client().build().unwrap();
    for port in traffic {
        let request = client
            .get(format!("http://[::1]:{port}/"))
            .header("host", "six.example");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), "hello");
    }
    drop((controller, proxies));
}
