//! A cluster that stands still: an API server that knows some objects and no change, proxies' certificates, and a controller
//! that finds its proxies by the EndpointSlices of an Admin Service.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};
use silverback::pki::Authority;

use crate::harness::{client, eventually, silverback};

/// Objects with the resource that they are of.
pub(crate) type Objects = Vec<(&'static str, Value)>;

/// Events that were written, as they came.
pub(crate) type Events = Arc<Mutex<Vec<Value>>>;

/// An API server that knows these objects and no change: lists have them, watches say nothing, and of what is written it takes
/// events alone. Of namespaced kinds only those in `readable` may be read, one namespace at a time; if it is empty, all may.
fn api_server(objects: Objects, readable: &'static [&'static str]) -> (String, Events) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let events = Events::default();
    let taken = events.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (objects, taken) = (objects.clone(), taken.clone());
            thread::spawn(move || serve(stream, &objects, readable, &taken));
        }
    });
    (url, events)
}

/// What is listed at a path; `Err` is a status.
fn list(path: &str, objects: &Objects, readable: &[&str]) -> Result<Vec<Value>, u16> {
    let resource = path.rsplit('/').next().unwrap();
    let namespace = path
        .split_once("/namespaces/")
        .and_then(|(_, rest)| rest.split_once('/'));
    let namespace = namespace.map(|(namespace, _)| namespace);
    let known = |object: &&(&str, Value)| object.0 == resource;
    // Kinds of definitions are not there unless there are some.
    let is_built_in = path.starts_with("/api/v1/") || path.contains(".k8s.io/") && !path.contains("gateway");
    if !is_built_in && !objects.iter().any(|object| known(&object)) {
        return Err(404);
    }
    let is_of_cluster = matches!(resource, "ingressclasses" | "namespaces");
    if !is_of_cluster && !readable.is_empty() && !namespace.is_some_and(|namespace| readable.contains(&namespace)) {
        return Err(403);
    }
    let found = objects.iter().filter(known).map(|(_, object)| object.clone());
    let is_there = |object: &Value| namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace);
    Ok(found.filter(is_there).collect())
}

fn serve(mut stream: TcpStream, objects: &Objects, readable: &[&str], events: &Events) {
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
        let mut sent = vec![0; length];
        reader.read_exact(&mut sent).unwrap();
        let target = head.split(' ').nth(1).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if query.contains("watch=true") {
            let begun = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(begun).unwrap();
            // Until the client leaves.
            let _ = reader.read(&mut [0]);
            return;
        }
        let is_event = path.ends_with("/events") && head.starts_with("POST ");
        let answer = if head.starts_with("GET ") {
            list(path, objects, readable).map(|items| {
                let metadata = json!({"resourceVersion": "1"});
                json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items})
            })
        } else if is_event {
            let event: Value = serde_json::from_slice(&sent).unwrap();
            events.lock().unwrap().push(event.clone());
            Ok(event)
        } else {
            Err(404)
        };
        let (status, body) = match answer {
            Ok(answer) => ("200 OK", answer),
            Err(code) => {
                let (line, reason) = match code {
                    403 => ("403 Forbidden", "Forbidden"),
                    _ => ("404 Not Found", "NotFound"),
                };
                let status = json!({
                    "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason,
                });
                (line, status)
            }
        };
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).unwrap();
    }
}

/// A slice of a Service with one pod.
pub(crate) fn slice(
    namespace: &str,
    service: &str,
    family: &str,
    address: &str,
    port: (&str, u16),
    pod: &str,
) -> Value {
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
pub(crate) fn certificates(directory: &Path) {
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

/// A controller of the Service `gateway/admin`, with certificates from [`certificates`], of a cluster with these objects.
pub(crate) fn controller(state: &Path, objects: Objects, readable: &'static [&'static str], dashboard: u16) -> Command {
    controller_and_events(state, objects, readable, dashboard).0
}

/// The same, with the events that it writes.
pub(crate) fn controller_and_events(
    state: &Path,
    objects: Objects,
    readable: &'static [&'static str],
    dashboard: u16,
) -> (Command, Events) {
    let (server, events) = api_server(objects, readable);
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "users": [{"name": "it", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    let file = |name: &str| state.join(name).display().to_string();
    std::fs::write(file("kubeconfig"), kubeconfig.to_string()).unwrap();
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
    (controller, events)
}

/// An embedded proxy with such a certificate, that listens there.
pub(crate) fn proxy(state: &Path, name: &str, admin: &str, traffic: &str) -> Command {
    let file = |name: &str| state.join(name).display().to_string();
    let mut proxy = silverback();
    proxy
        .args([
            "proxy",
            "--status-listen=off",
            "--log-level=warn",
            "--nginx-admin-ssl-verify-client=on",
        ])
        .arg(format!("--proxy-listen={traffic}"))
        .arg(format!("--admin-listen={admin} ssl"))
        .arg(format!("--prefix={}", file(&format!("prefix-{name}"))))
        .arg(format!("--admin-ssl-cert={}", file("proxy.crt")))
        .arg(format!("--admin-ssl-cert-key={}", file("proxy.key")))
        .arg(format!("--nginx-admin-ssl-client-certificate={}", file("ca.crt")));
    proxy
}

/// Waits until that many proxies are in sync; gives all rows back.
pub(crate) async fn in_sync(dashboard: u16, count: usize) -> Vec<Value> {
    let client = client().build().unwrap();
    eventually(&format!("{count} proxies in sync"), async || {
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
        if synced == count { Ok(rows) } else { Err(text) }
    })
    .await
}
