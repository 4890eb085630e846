//! A proxy as a process of its own, on ports that the system picks.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc,
    time::timeout,
};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A running proxy. Killed when dropped.
pub(crate) struct Proxy {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<Value>,
    addresses: HashMap<String, Vec<SocketAddr>>,
}

/// How to start one.
pub(crate) struct Launch {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log_level: &'static str,
}

impl Launch {
    /// On loopback with the certificates in this directory.
    pub(crate) fn new(pki: &Path) -> Self {
        let file = |name: &str| pki.join(name).display().to_string();
        Self {
            arguments: vec![
                "--proxy-listen=127.0.0.1:0".to_owned(),
                "--admin-listen=127.0.0.1:0 http2 ssl".to_owned(),
                "--status-listen=127.0.0.1:0".to_owned(),
                format!("--admin-ssl-cert={}", file("tls.crt")),
                format!("--admin-ssl-cert-key={}", file("tls.key")),
                format!("--admin-ssl-client-certificate={}", file("ca.crt")),
            ],
            environment: Vec::new(),
            log_level: "info",
        }
    }

    /// With these arguments alone.
    pub(crate) fn bare(arguments: &[&str]) -> Self {
        Self {
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            environment: Vec::new(),
            log_level: "info",
        }
    }

    pub(crate) fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Takes an argument back.
    pub(crate) fn without(mut self, flag: &str) -> Self {
        self.arguments
            .retain(|argument| argument.split('=').next() != Some(flag));
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn debug(mut self) -> Self {
        self.log_level = "debug";
        self
    }

    /// Starts it, without waiting for anything.
    pub(crate) fn spawn(self) -> Proxy {
        let mut child = Command::new(program())
            .args(&self.arguments)
            .args(["--log-format=json", &format!("--log-level={}", self.log_level)])
            .env_clear()
            .envs(self.environment)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut stderr = stderr.lines();
            while let Ok(Some(line)) = stderr.next_line().await {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Proxy {
            stdin: child.stdin.take(),
            child,
            lines,
            addresses: HashMap::new(),
        }
    }

    /// Starts it and waits until it listens everywhere.
    pub(crate) async fn start(self) -> Proxy {
        let mut proxy = self.spawn();
        while proxy.addresses.len() < 3 {
            let line = proxy.line().await;
            proxy.note(&line);
        }
        proxy
    }
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_silverback-proxy"))
}

impl Proxy {
    fn note(&mut self, line: &Value) {
        if line["message"] == "listening" {
            let purpose = line["purpose"].as_str().unwrap().to_owned();
            let address = line["address"].as_str().unwrap().parse().unwrap();
            self.addresses.entry(purpose).or_default().push(address);
        }
    }

    /// The first address of a purpose: `proxy`, `admin`, `status`.
    pub(crate) fn address(&self, purpose: &str) -> SocketAddr {
        self.addresses[purpose][0]
    }

    /// The next line of its log.
    pub(crate) async fn line(&mut self) -> Value {
        timeout(LIMIT, self.lines.recv())
            .await
            .expect("a log line in time")
            .expect("a log line")
    }

    /// The next line that contains a text.
    pub(crate) async fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.line().await.to_string();
            if line.contains(text) {
                return line;
            }
        }
    }

    /// All lines to its end.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = String::new();
        while let Some(line) = timeout(LIMIT, self.lines.recv()).await.expect("the end of the log") {
            rest.push_str(line.as_str().unwrap_or(&line.to_string()));
            rest.push('\n');
        }
        rest
    }

    /// Sends a signal by name.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
        assert!(sent.success());
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin.take();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        timeout(LIMIT, self.child.wait())
            .await
            .expect("an end in time")
            .unwrap()
    }
}
