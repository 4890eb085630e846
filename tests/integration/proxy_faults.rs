//! Proxies that are broken in every way: each is shown with its reason, and none delays the good one.

use std::{
    io::{Read, Write},
    process::Stdio,
};

use serde_json::{Value, json};
use silverback::pki::PkiDirectory;

use crate::harness::{
    Lines, Running, client, eventually, fake, fake_kong, free_ports, ingress, proxy_with, silverback,
};

/// A Kong that answers every configuration with this status and body.
fn refusing(status: &'static str, body: Value) -> String {
    fake_kong(move |request, _| match request {
        "GET /" => ("200 OK", root()),
        "GET /status" => (
            "200 OK",
            json!({"configuration_hash": "0".repeat(32), "server": {"total_requests": 1}}),
        ),
        _ => (status, body.clone()),
    })
}

fn root() -> Value {
    json!({
        "version": "3.9.1", "tagline": "Welcome to kong", "hostname": "fake", "node_id": "4c2c0a64-3d2b-4e43-9d4f-0d9c7f6f8a01",
        "configuration": {"database": "off", "router_flavor": "traditional_compatible"},
        "plugins": {"available_on_server": {"request-termination": {"version": "3.9.1", "priority": 2}}},
    })
}

/// A web server that is no Kong, and answers everything so.
fn web_page(status: &'static str) -> String {
    fake(move |mut stream| {
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<html>welcome</html>");
        while matches!(stream.read(&mut [0; 4096]), Ok(1..)) && stream.write_all(answer.as_bytes()).is_ok() {}
    })
}

/// A refusal of the route of Ingress demo/web, as Kong words it.
fn flattened() -> Value {
    json!({
        "code": 14, "name": "invalid declarative configuration", "message": "declarative config is invalid: {}", "fields": {},
        "flattened_errors": [{
            "entity_type": "route", "entity_name": "demo.web.echo.web.localhost.80",
            "entity_tags": ["k8s-name:web", "k8s-namespace:demo", "k8s-kind:Ingress", "k8s-uid:1", "k8s-group:networking.k8s.io", "k8s-version:v1"],
            "errors": [{"type": "field", "field": "paths.1", "message": "should start with: /"}],
        }],
    })
}

#[tokio::test]
async fn broken_proxies_are_shown_with_their_reason_and_delay_no_other() {
    let state = tempfile::tempdir().unwrap();
    let manifests = state.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    let backend = "---\napiVersion: v1\nkind: Service\nmetadata: {name: echo, namespace: demo}\nspec: {ports: [{name: http, port: 80}]}\n\
                   ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
                   metadata: {name: echo-1, namespace: demo, labels: {kubernetes.io/service-name: echo}}\n\
                   ports: [{name: http, port: 9}]\nendpoints: [{addresses: [127.0.0.1]}]\n";
    let write = |path: &str| {
        std::fs::write(
            manifests.join("web.yaml"),
            format!("{}{backend}", ingress("web", "web.localhost", path)),
        )
        .unwrap();
    };
    write("/a");

    let ports = free_ports(8);
    let pki = state.path().join("pki");
    let own = pki.join(format!("proxies/127.0.0.1-{}", ports + 1));
    // It waits for its certificates, which the controller makes.
    let prefix = |admin: u16| state.path().join(format!("prefix-{admin}"));
    let _good = proxy_with(&own, &prefix(ports + 1), ports, ports + 1);
    let now = jiff::Timestamp::now();
    let elsewhere = PkiDirectory::open(&state.path().join("another-pki"), now).unwrap();
    let foreign = elsewhere.proxy("foreign", &["127.0.0.1".to_owned()], now).unwrap();
    let _foreign = proxy_with(&foreign, &prefix(ports + 3), ports + 2, ports + 3);

    let good = format!("https://127.0.0.1:{}", ports + 1);
    let faults: [(String, &str, &str, &[&str]); 8] = [
        (
            format!("https://127.0.0.1:{}", ports + 3),
            "Reachable",
            "CertificateUntrusted",
            &[
                "the proxy's certificate is signed by another authority of the same name",
                "for 127.0.0.1, issued by",
                "give the proxy the certificate that the controller made for it",
            ],
        ),
        (
            format!("https://127.0.0.1:{}", ports + 4),
            "Reachable",
            "ConnectionRefused",
            &[
                "nothing listens on",
                "is the proxy up, and is this its Admin API's port?",
            ],
        ),
        (
            // It takes whatever comes, and says nothing.
            fake(|mut stream| drop(std::io::copy(&mut stream, &mut std::io::sink()))),
            "Reachable",
            "Timeout",
            &[
                "no answer from",
                "does it hang, or does something on the way drop packets?",
            ],
        ),
        (
            fake(|mut stream| drop(stream.write_all(b"220 this is no web server\r\n"))),
            "Reachable",
            "UnexpectedAnswer",
            &["does not speak HTTP: is this the Admin API?"],
        ),
        (
            web_page("200 OK"),
            "Reachable",
            "UnexpectedAnswer",
            &[
                "GET / is not answered as Kong does",
                "is this the address of the Admin API, and nothing in front of it?",
                "the log of what answers there says more",
            ],
        ),
        (
            web_page("500 Internal Server Error"),
            "Reachable",
            "UnexpectedAnswer",
            &[
                "answered 500 to GET /",
                "is this the address of the Admin API, and nothing in front of it?",
            ],
        ),
        (
            refusing("400 Bad Request", flattened()),
            "Synced",
            "ConfigRejected",
            &["should start with: /"],
        ),
        (
            refusing(
                "500 Internal Server Error",
                json!({"message": "An unexpected error occurred"}),
            ),
            "Synced",
            "ConfigRejected",
            &[
                "the proxy answered 500: An unexpected error occurred",
                "its own log says more",
            ],
        ),
    ];
    let dashboard = format!("127.0.0.1:{}", ports + 5);
    let mut controller = silverback();
    controller.args([
        "run",
        "--probe-interval=200ms",
        "--health-probe-bind-address=off",
        "--metrics-bind-address=off",
    ]);
    controller
        .args(["--proxy", &good])
        .arg("--directory")
        .arg(&manifests)
        .arg("--pki-directory")
        .arg(&pki);
    for (url, ..) in &faults {
        controller.args(["--proxy", url]);
    }
    controller.args(["--dashboard-bind-address", &dashboard]);
    controller
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut controller = Running(controller.spawn().unwrap());
    let mut log = Lines::of(controller.0.stderr.take().unwrap());

    let client = client().build().unwrap();
    let shown = async || -> Result<Vec<Value>, String> {
        let answer = client
            .get(format!("http://{dashboard}/api/v1/proxies"))
            .send()
            .await
            .map_err(|error| error.to_string())?;
        serde_json::from_slice(&answer.bytes().await.map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())
    };
    let has_route = async |path: &str| -> Result<bool, String> {
        let request = client
            .get(format!("http://127.0.0.1:{ports}{path}"))
            .header("host", "web.localhost");
        Ok(request.send().await.map_err(|error| error.to_string())?.status() != 404)
    };
    for (number, (url, condition, reason, words)) in faults.iter().enumerate() {
        let address = url.split_once("://").unwrap().1;
        let proxy = eventually(
            &format!("{address} is shown: {condition} is False, {reason}"),
            async || {
                let proxies = shown().await?;
                let proxy = proxies
                    .iter()
                    .find(|proxy| proxy["name"] == address)
                    .ok_or("it is not in the list")?;
                let found = &proxy["conditions"][condition];
                let good = found["status"] == "False" && found["reason"] == *reason;
                if good {
                    Ok(proxy.clone())
                } else {
                    Err(format!("{proxy:#}"))
                }
            },
        )
        .await;
        // What it is, and what to look at.
        let message = proxy["conditions"][condition]["message"].as_str().unwrap();
        let lacking: Vec<_> = words.iter().filter(|words| !message.contains(**words)).collect();
        assert!(lacking.is_empty(), "{lacking:?} is not in {message:?}");
        let (told, because) = (format!("proxy={address} "), format!("reason={reason}"));
        let told = [&["WARN", &told, &because][..], words].concat();
        log.say("the log tells it as well", 0, &told);
        // Whatever it is that is broken: a change made now is on the good proxy.
        let path = format!("/after-{number}");
        write(&path);
        eventually(&format!("{path} is live"), async || {
            if has_route(&path).await? {
                Ok(())
            } else {
                Err("404".to_owned())
            }
        })
        .await;
    }
    let proxies = shown().await.unwrap();
    let refused = proxies
        .iter()
        .find(|proxy| proxy["errorCount"] == 1 && !proxy["errors"][0]["object"].is_null())
        .expect("a refusal with its object");
    assert_eq!(refused["errors"][0]["object"], "Ingress demo/web");
    assert!(
        refused["errors"][0]["field"].as_str().unwrap().contains("paths"),
        "{refused:#}"
    );
}
