//! The demo's proxies: processes of their own, of the same program.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, bail};
use jiff::Timestamp;
use tokio::process::{Child, Command};

use crate::pki::PkiDirectory;

/// One proxy process.
pub(super) struct DemoProxy {
    /// `proxy-0`, …
    pub(super) name: String,
    /// URL of its HTTP listener.
    pub(super) http: String,
    /// URL of its HTTPS listener.
    pub(super) https: String,
    /// URL of its Admin API.
    pub(super) admin: String,
    /// URL of its status listener.
    pub(super) status: String,
    /// The command that starts it, also by hand after it was killed.
    pub(super) command: Vec<String>,
    pub(super) pid: u32,
    child: Child,
}

impl DemoProxy {
    /// Starts the proxy of that number; its HTTP port is `port`, its HTTPS port the next one.
    pub(super) async fn start(index: u16, port: u16, pki: &PkiDirectory, state: &Path) -> anyhow::Result<Self> {
        let name = format!("proxy-{index}");
        require_free(port, &name, "HTTP")?;
        require_free(port + 1, &name, "HTTPS")?;
        let (admin, status) = (free_port()?, free_port()?);
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned(), name.clone()];
        let certificates = pki.proxy(&name, &names, Timestamp::now())?;
        let prefix = state.join(&name);
        std::fs::create_dir_all(&prefix)?;
        let program = std::env::current_exe().context("failed to find this program's file")?;
        let file = |name: &str| certificates.join(name).display().to_string();
        let command: Vec<String> = [
            program.display().to_string(),
            "proxy".to_owned(),
            format!("--proxy-listen=127.0.0.1:{port}, 127.0.0.1:{} http2 ssl", port + 1),
            format!("--admin-listen=127.0.0.1:{admin} http2 ssl"),
            format!("--status-listen=127.0.0.1:{status}"),
            format!("--admin-ssl-cert={}", file("tls.crt")),
            format!("--admin-ssl-cert-key={}", file("tls.key")),
            "--admin-ssl-verify-client=on".to_owned(),
            format!("--admin-ssl-client-certificate={}", file("ca.crt")),
            format!("--prefix={}", prefix.display()),
            "--log-level=warn".to_owned(),
        ]
        .into();
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            // Held open by this process: the proxy ends with it, however it ends.
            .env("SILVERBACK_PROXY_EXIT_ON_STDIN_CLOSE", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        let Some(pid) = child.id() else {
            bail!("{name} ended at once: {}", child.wait().await?)
        };
        Ok(Self {
            name,
            http: format!("http://127.0.0.1:{port}"),
            https: format!("https://127.0.0.1:{}", port + 1),
            admin: format!("https://127.0.0.1:{admin}"),
            status: format!("http://127.0.0.1:{status}"),
            command,
            pid,
            child,
        })
    }

    /// What `--json` says of it.
    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "http": self.http, "https": self.https, "admin": self.admin, "status": self.status,
            "pid": self.pid, "start": self.command,
        })
    }

    /// Ends it and waits for its end.
    pub(super) async fn stop(&mut self) {
        drop(self.child.stdin.take());
        let patience = std::time::Duration::from_secs(5);
        if tokio::time::timeout(patience, self.child.wait()).await.is_err() {
            // An error here means that it has ended meanwhile.
            let _ = self.child.kill().await;
        }
    }
}

fn require_free(port: u16, name: &str, listener: &str) -> anyhow::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).map(drop).with_context(|| {
        format!("port {port} is taken ({address}, the {listener} listener of {name}); choose others with --port")
    })
}

/// A port that nobody listens on, below those that outgoing connections are given: of these one may well be taken before
/// the proxy is up, and a proxy that is started again needs the same one.
fn free_port() -> anyhow::Result<u16> {
    const FIRST: u16 = 31_200;
    const COUNT: u32 = 1_500;
    static TURN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // Demos that start at the same time begin their search at different places.
        let place = std::process::id()
            .wrapping_mul(97)
            .wrapping_add(TURN.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from(place % COUNT).expect("it is less than the count");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("none of the ports from {FIRST} on is free")
}
