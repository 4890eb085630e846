//! Gateways that were taken over with certificates that they made themselves (`--kong-admin-tls-skip-verify`): the key that a
//! pod shows first is the one that counts, and it is told everywhere that nobody verifies it.

use std::path::Path;

use serde_json::{Value, json};
use silverback::pki::Authority;

use crate::{
    cluster::{Events, certificates, controller_and_events, in_sync, proxy, slice},
    harness::{Running, client, eventually, free_ports},
};

/// Host of the only route.
const HOST: &str = "web.localhost";

/// Key and certificate of a proxy that made them itself.
struct SelfSigned {
    certificate: String,
    key: String,
}

impl SelfSigned {
    fn new() -> Self {
        let made = Authority::generate("gateway-kong", jiff::Timestamp::now()).unwrap();
        Self {
            certificate: made.pem().certificate.clone(),
            key: made.pem().key.clone(),
        }
    }

    /// Starts the pod's proxy with it, that has no configuration yet.
    fn starts(&self, state: &Path, prefix: &str, admin: u16, traffic: u16) -> Running {
        std::fs::write(state.join("proxy.crt"), &self.certificate).unwrap();
        std::fs::write(state.join("proxy.key"), &self.key).unwrap();
        let listen = |port: u16| format!("127.0.0.1:{port}");
        Running::start(&mut proxy(state, prefix, &listen(admin), &listen(traffic)))
    }
}

/// The slice of one pod, and a route that the proxy answers itself.
fn objects(admin: u16) -> Vec<(&'static str, Value)> {
    let metadata = |name: &str| {
        json!({
            "name": name, "namespace": "demo", "uid": name, "resourceVersion": "1",
            "annotations": {"kubernetes.io/ingress.class": "kong"},
        })
    };
    let mut stopped = metadata("web");
    stopped["annotations"]["konghq.com/plugins"] = "stop".into();
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
    let ports = json!([{"name": "http", "port": 80}]);
    vec![
        (
            "endpointslices",
            slice(
                "gateway",
                "admin",
                "IPv4",
                "127.0.0.1",
                ("kong-admin-tls", admin),
                "old",
            ),
        ),
        (
            "ingresses",
            json!({"metadata": stopped, "spec": {"rules": [{"host": HOST, "http": {"paths": paths}}]}}),
        ),
        (
            "services",
            json!({"metadata": metadata("web"), "spec": {"ports": ports}}),
        ),
        (
            "kongplugins",
            json!({"metadata": metadata("stop"), "plugin": "request-termination", "config": {"status_code": 418}}),
        ),
    ]
}

/// The only row, once its condition says that for this reason.
async fn says(dashboard: u16, condition: &str, status: &str, reason: &str) -> Value {
    let client = client().build().unwrap();
    eventually(&format!("{condition} is {status}, {reason}"), async || {
        let answer = client
            .get(format!("http://127.0.0.1:{dashboard}/api/v1/proxies"))
            .send()
            .await;
        let answer = answer.map_err(|error| error.to_string())?;
        let text = answer.text().await.map_err(|error| error.to_string())?;
        let rows: Vec<Value> = serde_json::from_str(&text).map_err(|_| text.clone())?;
        let said = &rows.first().ok_or("no row yet")?["conditions"][condition];
        match said["status"] == status && said["reason"] == reason {
            true => Ok(said.clone()),
            false => Err(text),
        }
    })
    .await
}

/// Waits for what the proxy answers to the route.
async fn answers(traffic: u16, status: u16) {
    let client = client().build().unwrap();
    eventually(&format!("the proxy answers {status}"), async || {
        let request = client.get(format!("http://127.0.0.1:{traffic}/")).header("host", HOST);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        match answer.status().as_u16() {
            found if found == status => Ok(()),
            found => Err(found.to_string()),
        }
    })
    .await;
}

/// Waits for the warning about a proxy that nobody verifies.
async fn is_told(events: &Events) {
    let note = eventually("an event says so", async || {
        let events = events.lock().unwrap();
        let told = events.iter().find(|event| event["reason"] == "AdminAPIUnprotected");
        told.cloned().ok_or_else(|| format!("{events:?}"))
    })
    .await;
    assert_eq!(note["type"], "Warning");
    assert_eq!(note["regarding"]["name"], "controller-0");
    let words = note["note"].as_str().unwrap();
    assert!(
        words.contains("VerificationDisabled") && words.contains("take the flag away"),
        "{words}"
    );
}

#[tokio::test]
async fn a_self_signed_proxy_is_configured_and_whoever_shows_another_key_for_its_pod_is_not() {
    let state = tempfile::tempdir().unwrap();
    certificates(state.path());
    let ports = free_ports(4);
    let (admin, traffic, dashboard, metrics) = (ports, ports + 1, ports + 2, ports + 3);
    let (own, others) = (SelfSigned::new(), SelfSigned::new());
    let running = own.starts(state.path(), "own", admin, traffic);
    let (mut controller, events) = controller_and_events(state.path(), objects(admin), &[], dashboard);
    controller
        .env("POD_NAME", "controller-0")
        .env("POD_UID", "uid-of-controller-0")
        .arg("--kong-admin-tls-skip-verify")
        .arg(format!("--metrics-bind-address=127.0.0.1:{metrics}"));
    let _controller = Running::start(&mut controller);

    in_sync(dashboard, 1).await;
    answers(traffic, 418).await;
    let said = says(dashboard, "MutualTLS", "False", "VerificationDisabled").await;
    let words = said["message"].as_str().unwrap();
    assert!(words.contains("--kong-admin-tls-skip-verify"), "{words}");
    is_told(&events).await;
    let client = client().build().unwrap();
    let metrics = client.get(format!("http://127.0.0.1:{metrics}/metrics")).send().await;
    let shown = metrics.unwrap().text().await.unwrap();
    let lines = shown
        .lines()
        .filter(|line| line.starts_with("silverback_proxy_mutual_tls{"));
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [r#"silverback_proxy_mutual_tls{proxy="gateway/old"} 0"#]
    );

    // Somebody else answers in its place, with a key of their own.
    drop(running);
    let impostor = others.starts(state.path(), "impostor", admin, traffic);
    let said = says(dashboard, "MutualTLS", "False", "CertificateUntrusted").await;
    let words = said["message"].as_str().unwrap();
    assert!(words.contains("another key than at first"), "{words}");
    // It has been found out, and was given nothing.
    answers(traffic, 404).await;
    drop(impostor);

    // The pod's own proxy again: nothing has to be done.
    let _running = own.starts(state.path(), "own-again", admin, traffic);
    answers(traffic, 418).await;
    says(dashboard, "MutualTLS", "False", "VerificationDisabled").await;
    in_sync(dashboard, 1).await;
}
