//! The Admin API over real mutual TLS, against the program itself: what Kong's transcripts show, and what is ours.

#![allow(clippy::unwrap_used)]

mod configuration;
mod identity;
mod kept;
mod process;
mod reads;
mod schemas;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod traffic;

use proxy_config_schema::ConfigHash;
use serde_json::{Value, json};
use support::{
    client::{Answer, Ask, Client},
    pki::Pki,
    process::{Launch, Proxy},
};
use tempfile::TempDir;

const ZEROS: &str = "00000000000000000000000000000000";

/// A proxy with its certificates, a client that may use it, and its status listener.
struct Setup {
    directory: TempDir,
    pki: Pki,
    proxy: Proxy,
    admin: Client,
    status: Client,
}

async fn setup(adapt: impl FnOnce(Launch) -> Launch) -> Setup {
    let directory = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    pki.write(directory.path());
    let proxy = adapt(Launch::new(directory.path())).start().await;
    let controller = pki.clients.client("controller");
    let admin = Client::new(proxy.address("admin"), &pki.servers.pem(), Some(&controller));
    let status = Client::plain(proxy.address("status"));
    Setup {
        directory,
        pki,
        proxy,
        admin,
        status,
    }
}

fn configuration(service: &str) -> String {
    json!({
        "_format_version": "3.0",
        "services": [{
            "name": service, "host": "127.0.0.1", "port": 9000,
            "tags": ["k8s-name:a", "k8s-kind:Service"],
            "routes": [{"name": format!("{service}-route"), "paths": ["/a"]}],
        }],
    })
    .to_string()
}

fn md5(text: &str) -> String {
    ConfigHash::of(text.as_bytes()).to_string()
}

fn post(path: &str, content_type: &str, body: impl Into<String>) -> Ask {
    Ask::new("POST", path).body(content_type, body.into())
}

fn assert_answer(answer: &Answer, status: u16, body: &Value) {
    assert_eq!((answer.status.as_u16(), &answer.json()), (status, body));
}
