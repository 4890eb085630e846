//! The admission webhook of a controller that runs, with a real proxy behind it.

use std::path::Path;

use serde_json::{Value, json};
use silverback::pki::Authority;

use crate::harness::{self, Running, eventually, free_ports, silverback};

const NAME: &str = "webhook.gateway.svc";

/// A certificate for the webhook in `directory`, of an authority of its own.
fn certificate(directory: &Path) -> Authority {
    let now = jiff::Timestamp::now();
    let authority = Authority::generate("webhook CA", now).unwrap();
    let pair = authority.issue_server("webhook", &[NAME.to_owned()], now).unwrap();
    for (name, content) in [("tls.key", &pair.key), ("tls.crt", &pair.certificate)] {
        let beside = directory.join(format!("{name}.new"));
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(beside, directory.join(name)).unwrap();
    }
    authority
}

/// A client that trusts this authority alone.
fn trusting(authority: &Authority, port: u16) -> reqwest::Client {
    let builder = harness::trusting(&authority.pem().certificate, &["h2"]);
    builder.resolve(NAME, ([127, 0, 0, 1], port).into()).build().unwrap()
}

async fn review(client: &reqwest::Client, port: u16, kind: &str, object: &Value) -> Result<Value, String> {
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u1", "operation": "CREATE", "name": "it", "object": object,
            "kind": {"group": "configuration.konghq.com", "version": "v1alpha1", "kind": kind},
        },
    });
    let request = client.post(format!("https://{NAME}:{port}/")).body(body.to_string());
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let answer = answer.bytes().await.map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
    Ok(answer["response"].clone())
}

#[tokio::test]
async fn objects_are_shown_to_a_proxy_and_the_certificate_is_followed() {
    let state = tempfile::tempdir().unwrap();
    let (manifests, shown) = (state.path().join("manifests"), state.path().join("shown"));
    for directory in [&manifests, &shown] {
        std::fs::create_dir(directory).unwrap();
    }
    let authority = certificate(&shown);
    let ports = free_ports(3);
    let (admin, webhook) = (ports + 1, ports + 2);
    let pki = state.path().join("pki");
    let own = pki.join(format!("proxies/127.0.0.1-{admin}"));
    let mut proxy = silverback();
    proxy
        .args(["proxy", "--status-listen=off", "--log-level=warn"])
        .arg(format!("--proxy-listen=127.0.0.1:{ports}"))
        .arg(format!("--admin-listen=127.0.0.1:{admin} ssl"))
        .arg(format!("--prefix={}", state.path().join("prefix").display()))
        .arg(format!("--admin-ssl-cert={}", own.join("tls.crt").display()))
        .arg(format!("--admin-ssl-cert-key={}", own.join("tls.key").display()))
        .arg("--nginx-admin-ssl-verify-client=on")
        .arg(format!(
            "--nginx-admin-ssl-client-certificate={}",
            own.join("ca.crt").display()
        ));
    let mut controller = silverback();
    controller
        .args(["run", "--probe-interval=200ms", "--health-probe-bind-address=off"])
        .args(["--metrics-bind-address=off", "--dashboard-bind-address=off"])
        .arg(format!("--proxy=https://127.0.0.1:{admin}"))
        .arg(format!("--directory={}", manifests.display()))
        .arg(format!("--pki-directory={}", pki.display()))
        .arg(format!("--admission-webhook-listen=127.0.0.1:{webhook}"))
        .arg(format!(
            "--admission-webhook-cert-file={}",
            shown.join("tls.crt").display()
        ))
        .arg(format!(
            "--admission-webhook-key-file={}",
            shown.join("tls.key").display()
        ));
    // It waits for its certificates, which the controller makes.
    let _proxy = Running::start(&mut proxy);
    let _controller = Running::start(&mut controller);

    let vault = json!({
        "metadata": {"name": "it", "annotations": {"kubernetes.io/ingress.class": "kong"}},
        "spec": {"backend": "nosuch", "prefix": "my-vault"},
    });
    let client = trusting(&authority, webhook);
    let message = eventually("the proxy's refusal is passed on", async || {
        let response = review(&client, webhook, "KongVault", &vault).await?;
        let message = response["status"]["message"].as_str();
        message.map(str::to_owned).ok_or_else(|| response.to_string())
    })
    .await;
    assert_eq!(
        message,
        "vault configuration in invalid: schema violation (name: vault 'nosuch' is not installed)"
    );

    let authority = certificate(&shown);
    eventually("the new certificate is shown", async || {
        review(&trusting(&authority, webhook), webhook, "KongVault", &vault).await
    })
    .await;
}
