//! A kubeconfig that does not work: what is wrong is said within seconds, with the file, the server and what to look at.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::json;
use silverback::pki::{Authority, KeyPairPem};

use crate::harness::{Running, client, following, run, silverback, until};

/// An API server that knows nobody; its URL. It ends with the test's process.
fn stranger(pair: &KeyPairPem) -> String {
    // A first call installs the provider of TLS.
    drop(client());
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                }
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "Unauthorized",
                    "reason": "Unauthorized", "code": 401,
                });
                let body = status.to_string();
                let head = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nConnection: close";
                let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                // Who does not trust the server is gone by now.
                let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            });
        }
    });
    url
}

fn kubeconfig(directory: &Path, server: &str, authority: &Authority) -> PathBuf {
    let file = directory.join("kubeconfig");
    let data = STANDARD.encode(&authority.pem().certificate);
    let content = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server, "certificate-authority-data": data}}],
        "users": [{"name": "it", "user": {"token": "of-yesterday"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    std::fs::write(&file, content.to_string()).unwrap();
    file
}

#[test]
fn what_is_wrong_with_a_kubeconfig_is_said_within_seconds() {
    let now = jiff::Timestamp::now();
    let [authority, another] = ["cluster CA", "another CA"].map(|name| Authority::generate(name, now).unwrap());
    let names = ["127.0.0.1".to_owned()];
    let server = stranger(&authority.issue_server("api", &names, now).unwrap());
    // A port that was free a moment ago: nothing answers there.
    let nobody = format!(
        "https://{}/",
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    );
    for (server, authority, cause, remedy) in [
        (
            &nobody,
            &authority,
            "Connection refused",
            "check that it is up and in reach",
        ),
        (
            &server,
            &authority,
            "it answers 401",
            "check the user of the kubeconfig",
        ),
        (
            &server,
            &another,
            "certificate",
            "check the server and the certificate authority of the kubeconfig",
        ),
    ] {
        let state = tempfile::tempdir().unwrap();
        let file = kubeconfig(state.path(), server, authority);
        let begin = Instant::now();
        let child = silverback()
            .args(["run", "--kong-admin-svc=gateway/admin", "--kong-admin-tls-skip-verify"])
            .args(["--health-probe-bind-address=off", "--metrics-bind-address=off"])
            .args(["--dashboard-bind-address=off", "--admission-webhook-listen=off"])
            .arg(format!("--kubeconfig={}", file.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = Running(child);
        let errors = following(child.0.stderr.take().unwrap());
        let file = file.display().to_string();
        let words = ["WARN", "does not serve us", server, &file, cause, remedy];
        until(&errors, &mut Vec::new(), &format!("{words:?}"), |lines| {
            lines.iter().any(|line| words.iter().all(|word| line.contains(word)))
        });
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{cause}: after {:?}",
            begin.elapsed()
        );
    }
}

#[test]
fn a_kubeconfig_that_can_not_be_used_is_named_and_ends_the_start() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("kubeconfig");
    for content in ["clusters: [", "{apiVersion: v1, kind: Config, current-context: nosuch}"] {
        std::fs::write(&file, content).unwrap();
        let file = file.to_str().unwrap();
        let output = run(&["run", "--kubeconfig", file, "--kong-admin-svc", "gateway/admin"]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(&format!("the kubeconfig {file}")), "{message}");
    }
}
