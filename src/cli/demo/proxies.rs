//! The demo's proxies: processes of their own, of the same program.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, bail};
use jiff::Timestamp;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use super::terminal::Log;
use crate::pki::PkiDirectory;

/// How long a proxy may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Variables that begin so would make other proxies of the demo's than it says.
const SETTINGS_OF_PROXIES: [&str; 2] = ["KONG_", "SILVERBACK_PROXY_"];

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
    /// Its own directory.
    prefix: PathBuf,
    /// The proxy ends when this is dropped.
    stdin: Option<ChildStdin>,
    end: End,
}

/// How a process comes to its end.
#[derive(Clone)]
struct End {
    /// It shall end: nothing needs to be said of it.
    wanted: CancellationToken,
    /// It did not, in time.
    forced: CancellationToken,
    /// Whether it has ended.
    reached: watch::Sender<bool>,
}

impl DemoProxy {
    /// Starts the proxy of that number; its HTTP port is `port`, its HTTPS port the next one.
    pub(super) fn start(index: u16, port: u16, pki: &PkiDirectory, state: &Path, log: Log) -> anyhow::Result<Self> {
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
        let arguments = [
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
        ];
        let foreign = foreign_settings();
        let mut command = Command::new(&arguments[0]);
        for name in &foreign {
            command.env_remove(name);
        }
        let mut child = command
            .args(&arguments[1..])
            // Held open by this process: the proxy ends with it, however it ends.
            .env("SILVERBACK_PROXY_EXIT_ON_STDIN_CLOSE", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for the demo, which ends them all.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        let Some(pid) = child.id() else {
            bail!("{name} ended at once")
        };
        let end = End {
            wanted: CancellationToken::new(),
            forced: CancellationToken::new(),
            reached: watch::Sender::new(false),
        };
        let stdin = child.stdin.take();
        tokio::spawn(attend(name.clone(), child, end.clone(), log));
        Ok(Self {
            name,
            http: format!("http://127.0.0.1:{port}"),
            https: format!("https://127.0.0.1:{}", port + 1),
            admin: format!("https://127.0.0.1:{admin}"),
            status: format!("http://127.0.0.1:{status}"),
            command: without_settings(&foreign, arguments),
            pid,
            prefix,
            stdin,
            end,
        })
    }

    /// What `--json` says of it.
    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "http": self.http, "https": self.https, "admin": self.admin, "status": self.status,
            "pid": self.pid, "start": self.command,
        })
    }

    /// Waits until it has ended, by itself or otherwise.
    pub(super) async fn ended(&self) {
        // The sender is ours.
        let _ = self.end.reached.subscribe().wait_for(|ended| *ended).await;
    }

    /// Ends it and waits for its end; also that of one which was started in its place by hand.
    pub(super) async fn stop(&mut self) {
        self.end.wanted.cancel();
        drop(self.stdin.take());
        if tokio::time::timeout(PATIENCE, self.ended()).await.is_err() {
            self.end.forced.cancel();
            self.ended().await;
        }
        let prefix = self.prefix.clone();
        // Should it panic, that process is its user's to end.
        let _ = tokio::task::spawn_blocking(move || silverback_proxy::end(&prefix, PATIENCE)).await;
    }
}

impl Drop for DemoProxy {
    fn drop(&mut self) {
        self.end.wanted.cancel();
    }
}

/// Passes on what a proxy says, with its name before it, and says when it ends without being told to.
async fn attend(name: String, mut child: Child, end: End, log: Log) {
    let stderr = child.stderr.take();
    let speech = async {
        let mut last = Vec::new();
        let Some(stderr) = stderr else { return last };
        let (mut reader, mut line) = (BufReader::new(stderr), Vec::new());
        while let Ok(1..) = reader.read_until(b'\n', &mut line).await {
            let said = String::from_utf8_lossy(line.trim_ascii_end());
            log(&format!("{name:9}  {said}\n"));
            last = std::mem::take(&mut line);
        }
        last
    };
    let life = async {
        tokio::select! {
            status = child.wait() => status,
            () = end.forced.cancelled() => {
                // An error means that it has ended meanwhile.
                let _ = child.kill().await;
                child.wait().await
            }
        }
    };
    let (last, status) = tokio::join!(speech, life);
    if !end.wanted.is_cancelled() {
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let last = match String::from_utf8_lossy(last.trim_ascii()) {
            words if words.is_empty() => "without a word".to_owned(),
            words => format!("its last words: {words}"),
        };
        log(&format!("{name:9}  ended ({status}), {last}\n"));
    }
    end.reached.send_replace(true);
}

/// Names of variables here that a proxy would take for its settings.
fn foreign_settings() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names
        .filter(|name| SETTINGS_OF_PROXIES.iter().any(|prefix| name.starts_with(prefix)))
        .collect()
}

/// A command as it can be given in this environment by hand.
fn without_settings(foreign: &[String], command: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut words = Vec::new();
    if !foreign.is_empty() {
        words.push("env".to_owned());
        words.extend(foreign.iter().flat_map(|name| ["-u".to_owned(), name.clone()]));
    }
    words.extend(command);
    words
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is said of a process that runs this script to its end.
    async fn said_of(script: &str, wanted: bool) -> String {
        let child = Command::new("sh")
            .args(["-c", script])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let log: Log = {
            let said = said.clone();
            Arc::new(move |lines| said.lock().unwrap().push_str(lines))
        };
        let end = End {
            wanted: CancellationToken::new(),
            forced: CancellationToken::new(),
            reached: watch::Sender::new(false),
        };
        if wanted {
            end.wanted.cancel();
        }
        attend("proxy-0".to_owned(), child, end.clone(), log).await;
        assert!(*end.reached.borrow());
        said.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn a_proxy_that_ends_by_itself_is_said_so_with_its_last_words() {
        let said = said_of(
            "echo 'it begins' >&2; printf 'KONG_DATABASE: only off' >&2; exit 2",
            false,
        )
        .await;
        assert_eq!(
            said,
            "proxy-0    it begins\nproxy-0    KONG_DATABASE: only off\n\
             proxy-0    ended (exit status: 2), its last words: KONG_DATABASE: only off\n"
        );
        let said = said_of("kill -9 $$", false).await;
        assert_eq!(said, "proxy-0    ended (signal: 9 (SIGKILL)), without a word\n");
    }

    #[tokio::test]
    async fn nothing_is_said_of_an_end_that_is_wanted() {
        assert_eq!(said_of("exit 1", true).await, "");
    }

    #[test]
    fn a_command_works_in_a_shell_with_settings_of_another_proxy() {
        let command = || ["silverback", "proxy"].map(str::to_owned);
        assert_eq!(without_settings(&[], command()), command());
        let foreign = ["KONG_DATABASE".to_owned()];
        assert_eq!(
            without_settings(&foreign, command()).join(" "),
            "env -u KONG_DATABASE silverback proxy"
        );
    }
}
