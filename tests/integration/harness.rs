//! Starts the program, talks to it, waits for conditions with a limit, and leaves no process.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::Value;

/// How long anything may take that should take a moment: machines that run tests are busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The program under test.
pub(crate) fn silverback() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_silverback"));
    for (name, _) in std::env::vars() {
        if name.starts_with("CONTROLLER_") || name.starts_with("KONG_") || name.starts_with("SILVERBACK_") {
            command.env_remove(name);
        }
    }
    command.env_remove("KUBECONFIG").env_remove("RUST_LOG");
    command
}

/// A client that trusts nobody in particular; TLS needs a provider, once per process.
pub(crate) fn client() -> reqwest::ClientBuilder {
    // An error means that another test was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// A client that trusts this authority alone, and speaks these protocols over TLS.
pub(crate) fn trusting(authority: &str, protocols: &[&str]) -> reqwest::ClientBuilder {
    // A first call installs the provider of TLS.
    drop(client());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    client().tls_backend_preconfigured(config)
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    silverback().args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The value of a series in what `/metrics` says: of the metric with that name, with these labels. `None` if there is none.
pub(crate) fn metric(metrics: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: Vec<String> = labels
        .iter()
        .map(|(label, value)| format!("{label}={value:?}"))
        .collect();
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, described) = series.split_once('{').unwrap_or((series, ""));
        let is_it = found == name && labels.iter().all(|label| described.contains(label));
        is_it.then(|| value.parse().unwrap())
    };
    metrics.lines().find_map(value)
}

/// Waits until `probe` gives a value.
pub(crate) async fn eventually<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let begin = Instant::now();
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(problem) if begin.elapsed() > LIMIT => panic!("{what}: not within {LIMIT:?}: {problem}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// The first of `count` ports in a row that are free now.
pub(crate) fn free_ports(count: u16) -> u16 {
    // Each turn has as many ports for itself: another test must not choose one before it is taken.
    const TURN: u16 = 40;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..500 {
        let turn = NEXT.fetch_add(count.div_ceil(TURN), Ordering::Relaxed);
        let seed = u16::try_from(std::process::id() % 700).unwrap();
        let first = 11_000 + (seed * 31 + turn * TURN) % 20_000;
        if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
    panic!("no {count} free ports in a row");
}

/// A proxy that does on each connection what it is told; its Admin URL. It ends with the test's process.
pub(crate) fn fake(answer: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || answer(stream));
        }
    });
    url
}

/// A Kong that answers each request (`GET /status`, and the body) with a status and a body; its Admin URL.
pub(crate) fn fake_kong(
    answer: impl Fn(&str, &[u8]) -> (&'static str, Value) + Send + Sync + Clone + 'static,
) -> String {
    fake(move |stream| converse(stream, &answer))
}

/// The same behind a certificate, in files; its port.
pub(crate) fn fake_kong_with_tls(
    certificate: &Path,
    key: &Path,
    answer: impl Fn(&str, &[u8]) -> (&'static str, Value) + Send + Sync + Clone + 'static,
) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.collect(), PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let config = Arc::new(config);
    let url = fake(move |stream| {
        let session = rustls::ServerConnection::new(config.clone()).unwrap();
        converse(rustls::StreamOwned::new(session, stream), &answer);
    });
    url.rsplit(':').next().unwrap().parse().unwrap()
}

/// Answers one request after the other, until there is none.
pub(crate) fn converse(stream: impl Read + Write, answer: &impl Fn(&str, &[u8]) -> (&'static str, Value)) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head.push_str(&line);
            if line == "\r\n" {
                break;
            }
        }
        let mut sent = vec![0; length];
        if reader.read_exact(&mut sent).is_err() {
            return;
        }
        let request: Vec<&str> = head.split_whitespace().take(2).collect();
        let (status, body) = answer(&request.join(" "), &sent);
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\nServer: kong/3.9.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Where a demo's temporary files go, below the directory of its test.
const TEMPORARY: &str = "temporary";

/// A running demo on manifests of its own.
pub(crate) struct Demo {
    child: Child,
    pub(crate) info: Value,
    pub(crate) directory: PathBuf,
    client: reqwest::Client,
    state: tempfile::TempDir,
}

impl Demo {
    /// Starts it with these manifests (`file name`, `content`) and waits until all proxies are in sync.
    pub(crate) fn start(proxies: u16, manifests: &[(&str, &str)]) -> Self {
        Self::start_with_dashboard(0, proxies, manifests)
    }

    /// The same, with the dashboard at that port.
    pub(crate) fn start_with_dashboard(dashboard: u16, proxies: u16, manifests: &[(&str, &str)]) -> Self {
        let (mut demo, output) = Self::launch(dashboard, proxies, manifests, &["--json"]);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        let Ok(info) = serde_json::from_str(&line) else {
            let mut errors = String::new();
            demo.child.kill().unwrap();
            demo.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("the demo did not start: {line:?}\n{errors}");
        };
        demo.info = info;
        demo.ignore_errors();
        demo
    }

    /// The same, with the lines that it prints for people; of what `--json` tells, the addresses are known.
    pub(crate) fn shown(proxies: u16, manifests: &[(&str, &str)]) -> (Self, Lines) {
        let (mut demo, output) = Self::launch(0, proxies, manifests, &[]);
        demo.ignore_errors();
        let mut screen = Lines::of(output);
        screen.until("the addresses", 0, |lines| {
            lines.iter().any(|line| line.starts_with("Ctrl-C"))
        });
        let words = |name: &str| -> Vec<String> {
            let mut lines = screen.seen.iter().map(|line| line.split_whitespace());
            let found = lines.find(|words| words.clone().next() == Some(name));
            found.unwrap().map(str::to_owned).collect()
        };
        let proxies = (0..proxies).map(|index| {
            let words = words(&format!("proxy-{index}"));
            serde_json::json!({"name": words[0], "http": words[1]})
        });
        let proxies: Vec<_> = proxies.collect();
        demo.info = serde_json::json!({"dashboard": words("dashboard")[1], "proxies": proxies});
        (demo, screen)
    }

    fn launch(dashboard: u16, proxies: u16, manifests: &[(&str, &str)], flags: &[&str]) -> (Self, ChildStdout) {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join(TEMPORARY)).unwrap();
        let directory = state.path().join("manifests");
        std::fs::create_dir(&directory).unwrap();
        for (name, content) in manifests {
            std::fs::write(directory.join(name), content).unwrap();
        }
        let port = free_ports(2 * proxies);
        let mut child = silverback()
            .args(["demo", "--dashboard-bind-address", &format!("127.0.0.1:{dashboard}")])
            .args(["--proxies", &proxies.to_string(), "--port", &port.to_string()])
            .args(flags)
            .arg("--directory")
            .arg(&directory)
            .env("TMPDIR", state.path().join(TEMPORARY))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let demo = Self {
            child,
            info: Value::Null,
            directory,
            client: client().build().unwrap(),
            state,
        };
        (demo, output)
    }

    /// A pipe that nobody reads would be full at some time, and the demo would wait.
    fn ignore_errors(&mut self) {
        let mut errors = self.child.stderr.take().unwrap();
        thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
    }

    /// Replaces a manifest as an editor does: beside it, then renamed.
    pub(crate) fn write(&self, name: &str, content: &str) {
        let beside = self.directory.join(format!(".{name}.new"));
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(beside, self.directory.join(name)).unwrap();
    }

    pub(crate) fn proxies(&self) -> Vec<Value> {
        self.info["proxies"].as_array().unwrap().clone()
    }

    /// Status and body of a request to one proxy.
    pub(crate) async fn get(&self, proxy: usize, host: &str, path: &str) -> Result<(u16, String), String> {
        let url = format!("{}{path}", self.info["proxies"][proxy]["http"].as_str().unwrap());
        let answer = self
            .client
            .get(url)
            .header("host", host)
            .send()
            .await
            .map_err(|error| format!("{error:?}"))?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await.map_err(|error| error.to_string())?))
    }

    /// Waits until every proxy answers with that status.
    pub(crate) async fn all_answer(&self, host: &str, path: &str, status: u16) {
        for proxy in 0..self.proxies().len() {
            self.answers(proxy, host, path, status).await;
        }
    }

    /// Waits until one proxy answers with that status.
    pub(crate) async fn answers(&self, proxy: usize, host: &str, path: &str, status: u16) {
        eventually(
            &format!("proxy {proxy} answers {status} to {host}{path}"),
            async || match self.get(proxy, host, path).await? {
                (found, _) if found == status => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await;
    }

    /// What the dashboard's API says.
    pub(crate) async fn api(&self, path: &str) -> Value {
        let url = format!("{}api/v1/{path}", self.info["dashboard"].as_str().unwrap());
        let answer = self.client.get(url).send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    /// Waits until the problems are what the check wants; gives them back.
    pub(crate) async fn problems(&self, what: &str, check: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually(what, async || {
            let problems = self.api("problems").await.as_array().unwrap().clone();
            if check(&problems) {
                Ok(problems)
            } else {
                Err(format!("{problems:#?}"))
            }
        })
        .await
    }

    /// Waits until that proxy, as the API shows it, passes the check.
    pub(crate) async fn proxy(&self, index: usize, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        let name = self.info["proxies"][index]["name"].clone();
        eventually(what, async || {
            let proxies = self.api("proxies").await;
            let found = proxies
                .as_array()
                .unwrap()
                .iter()
                .find(|proxy| proxy["name"] == name)
                .cloned();
            let found = found.ok_or_else(|| format!("no {name} in {proxies}"))?;
            if check(&found) {
                Ok(found)
            } else {
                Err(format!("{found:#}"))
            }
        })
        .await
    }

    /// Ends it by a signal and waits; with what it leaves among the temporary files.
    pub(crate) fn end(mut self, name: &str) -> (std::process::ExitStatus, Vec<PathBuf>) {
        signal(self.child.id(), name);
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let left = std::fs::read_dir(self.state.path().join(TEMPORARY)).unwrap();
                return (status, left.map(|entry| entry.unwrap().path()).collect());
            }
            assert!(begin.elapsed() < LIMIT, "the demo does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process of ours.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

/// Whether a process exists and is no zombie.
pub(crate) fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

/// An Ingress to the demo's example upstream (Service demo/echo).
pub(crate) fn ingress(name: &str, host: &str, path: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: demo}}\nspec:\n  \
         ingressClassName: kong\n  rules:\n    - host: {host}\n      http:\n        paths:\n          - path: {path}\n            \
         pathType: Prefix\n            backend: {{service: {{name: echo, port: {{number: 80}}}}}}\n"
    )
}

/// The Service of the demo's example upstream.
pub(crate) const ECHO_SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: echo, namespace: demo}\nspec:\n  ports:\n    - {name: http, port: 80}\n";

/// A process that ends with the test, however that ends.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Starts it, without a word to or from it.
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines of a pipe as they come.
pub(crate) fn following(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(pipe).lines().map_while(Result::ok);
        lines.map(|line| sender.send(line)).take_while(Result::is_ok).count()
    });
    lines
}

/// Waits until the lines that came are what the check wants.
pub(crate) fn until(
    pipe: &mpsc::Receiver<String>,
    lines: &mut Vec<String>,
    what: &str,
    check: impl Fn(&[String]) -> bool,
) {
    let end = Instant::now() + LIMIT;
    while !check(lines) {
        match pipe.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => lines.push(line),
            Err(error) => panic!("{what}: {error}\n{}", lines.join("\n")),
        }
    }
}

/// The lines that somebody prints, as far as they were waited for.
pub(crate) struct Lines {
    pipe: mpsc::Receiver<String>,
    pub(crate) seen: Vec<String>,
}

impl Lines {
    pub(crate) fn of(pipe: impl Read + Send + 'static) -> Self {
        Self {
            pipe: following(pipe),
            seen: Vec::new(),
        }
    }

    /// Waits until those from that one on are what the check wants.
    pub(crate) fn until(&mut self, what: &str, from: usize, check: impl Fn(&[String]) -> bool) {
        until(&self.pipe, &mut self.seen, what, |lines| check(&lines[from..]));
    }

    /// Waits for a line with all these words, from that one on.
    pub(crate) fn say(&mut self, what: &str, from: usize, words: &[&str]) {
        self.until(&format!("{what}: a line with {words:?}"), from, |lines| {
            let has_all = |line: &String| words.iter().all(|words| line.contains(words));
            lines.iter().any(has_all)
        });
    }
}

/// An embedded proxy that speaks mutual TLS on its Admin API, with the certificates of that directory: it waits until
/// they are there.
pub(crate) fn proxy_with(certificates: &Path, prefix: &Path, traffic: u16, admin: u16) -> Running {
    Running::start(&mut proxy_command(certificates, prefix, traffic, admin))
}

/// The same, to be started.
pub(crate) fn proxy_command(certificates: &Path, prefix: &Path, traffic: u16, admin: u16) -> Command {
    let file = |name: &str| certificates.join(name).display().to_string();
    let mut proxy = silverback();
    proxy
        .args(["proxy", "--status-listen=off", "--log-level=warn"])
        .arg(format!("--proxy-listen=127.0.0.1:{traffic}"))
        .arg(format!("--admin-listen=127.0.0.1:{admin} ssl"))
        .arg(format!("--prefix={}", prefix.display()))
        .arg(format!("--admin-ssl-cert={}", file("tls.crt")))
        .arg(format!("--admin-ssl-cert-key={}", file("tls.key")))
        .arg("--nginx-admin-ssl-verify-client=on")
        .arg(format!("--nginx-admin-ssl-client-certificate={}", file("ca.crt")));
    proxy
}
