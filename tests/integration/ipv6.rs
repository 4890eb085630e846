//! A cluster of IPv6 addresses: proxies are found and driven, and requests forwarded, where EndpointSlices have no others; a
//! proxy of both families is one proxy.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
};

use serde_json::{Value, json};
use silverback::pki::Authority;

use crate::harness::{Running, client, eventually, free_ports, silverback};

/// An API server that knows these objects and no change: lists have them, watches say nothing.
fn api_server(objects: Vec<(&'static str, Value)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let objects = objects.clone();
            thread::spawn(move || serve(stream, &objects));
        }
    });
    url
}

fn serve(mut stream: TcpStream, objects: &[(&'static str, Value)]) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let begin = head.len();
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = head[begin..].to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        let target = head.split(' ').nth(1).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if query.contains("watch=true") {
            let begun = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(begun).unwrap();
            // Until the client leaves.
            let _ = reader.read(&mut [0]);
            return;
        }
        // Kinds of definitions are not there.
        let is_built_in = path.starts_with("/api/v1/") || path.contains(".k8s.io/") && !path.contains("gateway");
        let (status, body) = if head.starts_with("GET ") && is_built_in {
            let items = objects.iter().filter(|(resource, _)| path.ends_with(resource));
            let items: Vec<_> = items.map(|(_, object)| object).collect();
            let list =
                json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items});
            ("200 OK", list)
        } else {
            let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not found"});
            ("404 Not Found", status)
        };
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).unwrap();
    }
}

fn slice(namespace: &str, service: &str, family: &str, address: &str, port: (&str, u16), pod: &str) -> Value {
    json!({
        "metadata": {
            "name": format!("{service}-{}-{pod}", family.to_lowercase()), "namespace": namespace, "resourceVersion": "1",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": family,
        "ports": [{"name": port.0, "port": port.1, "protocol": "TCP"}],
        "endpoints": [{
            "addresses": [address], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": namespace, "uid": format!("uid-of-{pod}")},
        }],
    })
}

/// The certificates of controller and proxies, in files.
fn certificates(directory: &Path) {
    let now = jiff::Timestamp::now();
    let authority = Authority::generate("admin CA", now).unwrap();
    let names = ["pod.admin.gateway.svc".to_owned()];
    let proxies = authority.issue_server("proxy", &names, now).unwrap();
    let controller = authority.issue_client("controller", now).unwrap();
    for (name, content) in [
        ("ca.crt", &authority.pem().certificate),
        ("proxy.crt", &proxies.certificate),
        ("proxy.key", &proxies.key),
        ("controller.crt", &controller.certificate),
        ("controller.key", &controller.key),
    ] {
        std::fs::write(directory.join(name), content).unwrap();
    }
}

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
    let file = |name: &str| state.path().join(name).display().to_string();
    let ports = free_ports(6);
    let (traffic, admin, dashboard) = ([ports, ports + 1], [ports + 2, ports + 3], ports + 4);
    let backend = application();
    let api = api_server(vec![
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
    ]);
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": api}}],
        "users": [{"name": "it", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    std::fs::write(state.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();

    let proxies = [0, 1].map(|index| {
        let mut proxy = silverback();
        proxy
            .args([
                "proxy",
                "--status-listen=off",
                "--log-level=warn",
                "--nginx-admin-ssl-verify-client=on",
            ])
            .arg(format!("--proxy-listen=[::1]:{}", traffic[index]))
            .arg(format!("--admin-listen=[::1]:{} ssl", admin[index]))
            .arg(format!("--prefix={}", file(&format!("prefix-{index}"))))
            .arg(format!("--admin-ssl-cert={}", file("proxy.crt")))
            .arg(format!("--admin-ssl-cert-key={}", file("proxy.key")))
            .arg(format!("--nginx-admin-ssl-client-certificate={}", file("ca.crt")));
        Running::start(&mut proxy)
    });
    let mut controller = silverback();
    controller
        .env("POD_NAMESPACE", "gateway")
        .args([
            "run",
            "--kong-admin-svc=gateway/admin",
            "--force-leader-election=disabled",
            "--probe-interval=1s",
        ])
        .args(["--health-probe-bind-address=off", "--metrics-bind-address=off"])
        .arg(format!("--dashboard-bind-address=127.0.0.1:{dashboard}"))
        .arg(format!("--kubeconfig={}", file("kubeconfig")))
        .arg(format!("--kong-admin-ca-cert-file={}", file("ca.crt")))
        .arg(format!("--kong-admin-tls-client-cert-file={}", file("controller.crt")))
        .arg(format!("--kong-admin-tls-client-key-file={}", file("controller.key")));
    let controller = Running::start(&mut controller);

    let client = client().build().unwrap();
    let rows = eventually("both proxies in sync", async || {
        let answer = client
            .get(format!("http://127.0.0.1:{dashboard}/api/v1/proxies"))
            .send()
            .await;
        let text = answer
            .map_err(|error| error.to_string())?
            .text()
            .await
            .unwrap_or_default();
        let rows: Vec<Value> = serde_json::from_str(&text).map_err(|_| text.clone())?;
        let synced = rows
            .iter()
            .filter(|row| row["conditions"]["Synced"]["status"] == "True")
            .count();
        if synced == 2 { Ok(rows) } else { Err(text) }
    })
    .await;
    assert_eq!(rows.len(), 2, "a proxy of both families is one: {rows:?}");
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
