//! An Admin API for the tests of `push` and `observe`: real sockets, real TLS, and faults that a real proxy can't be
//! made to show.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{AdminTls, AdminTlsMaterial};
use crate::{
    model::{ProxyId, ProxyTarget},
    pki::Authority,
};

/// The name in the certificates of fake proxies.
pub(crate) const SERVER_NAME: &str = "pod.admin.kong.svc";

/// Two authorities, as in real life.
pub(crate) struct Pki {
    pub(crate) clients: Authority,
    pub(crate) proxies: Authority,
}

impl Pki {
    pub(crate) fn new() -> Self {
        Self::of("proxies")
    }

    /// The authority of the proxies bears that name.
    pub(crate) fn of(proxies: &str) -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let now = Timestamp::now();
        Self {
            clients: Authority::generate("controllers", now).expect("it can be made"),
            proxies: Authority::generate(proxies, now).expect("it can be made"),
        }
    }

    /// What the controller uses to speak to proxies of this PKI.
    pub(crate) fn material(&self) -> AdminTlsMaterial {
        let client = self
            .clients
            .issue_client("controller.example", Timestamp::now())
            .expect("it can be issued");
        AdminTlsMaterial {
            roots: Some(self.proxies.pem().certificate.clone().into_bytes()),
            certificate: Some(client.certificate.into_bytes()),
            key: Some(client.key.into_bytes()),
            ..AdminTlsMaterial::default()
        }
    }

    pub(crate) fn admin_tls(&self) -> Arc<AdminTls> {
        Arc::new(AdminTls::new(&self.material()).expect("it is valid"))
    }

    /// A server that wants certificates of our clients, and shows one for `name`, made at that time.
    pub(crate) fn server(&self, name: &str, made: Timestamp) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.clients.pem().certificate.as_bytes()).expect("PEM");
        roots.add(authority).expect("it is a certificate");
        let verifier = WebPkiClientVerifier::builder(roots.into())
            .build()
            .expect("there is a root");
        let (chain, key) = self.server_certificate(name, made);
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key);
        Arc::new(config.expect("key and certificate fit"))
    }

    /// A server that lets anybody in.
    pub(crate) fn open_server(&self) -> Arc<ServerConfig> {
        let (chain, key) = self.server_certificate(SERVER_NAME, Timestamp::now());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key);
        Arc::new(config.expect("key and certificate fit"))
    }

    /// A server that shows the certificate of an authority: one that vouches for itself.
    pub(crate) fn self_signed_server(&self) -> Arc<ServerConfig> {
        let pair = self.proxies.pem();
        let chain = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key);
        Arc::new(config.expect("key and certificate fit"))
    }

    fn server_certificate(
        &self,
        name: &str,
        made: Timestamp,
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let issued = self
            .proxies
            .issue_server("proxy", &[name.to_owned()], made)
            .expect("it can be issued");
        let chain = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM");
        (vec![chain], key)
    }
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// `POST /config?check_hash=1`
    pub(crate) line: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What a fake proxy does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status, headers, body.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// The same, and the end, which the answer does not announce.
    AnswerAndClose(u16, Vec<u8>),
    /// Status, headers that announce a longer body, its beginning, and nothing more.
    Beginning(u16, Vec<(String, String)>, Vec<u8>),
    /// The same, a byte of the body every so often.
    Slowly(Duration, Vec<u8>),
    /// These bytes, and the end.
    Raw(Vec<u8>),
    Hang,
    /// The connection ends without a word.
    Close,
    /// It ends in the middle of a body.
    CloseWithinBody,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned())];
        Self::Answer(status, headers, body.as_bytes().to_vec())
    }

    pub(crate) fn html(status: u16, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), "text/html; charset=UTF-8".to_owned())];
        Self::Answer(status, headers, body.as_bytes().to_vec())
    }
}

type Behaviour = Box<dyn FnMut(&Request) -> Reply + Send>;

/// A proxy's Admin API on a port of its own.
pub(crate) struct FakeProxy {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    tls: Mutex<Option<Arc<ServerConfig>>>,
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<Request>>,
    connections: Mutex<usize>,
    open: Mutex<usize>,
}

impl Drop for FakeProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeProxy {
    /// Starts to listen. Without `tls` it speaks plain HTTP.
    pub(crate) async fn start(
        tls: Option<Arc<ServerConfig>>,
        behaviour: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            tls: Mutex::new(tls.clone()),
            behaviour: Mutex::new(Box::new(behaviour)),
            requests: Mutex::default(),
            connections: Mutex::default(),
            open: Mutex::default(),
        });
        Self {
            address,
            scheme: if tls.is_some() { "https" } else { "http" },
            task: tokio::spawn(accept(listener, shared.clone())),
            shared,
        }
    }

    pub(crate) fn url(&self) -> Arc<str> {
        format!("{}://{}", self.scheme, self.address).into()
    }

    pub(crate) fn target(&self) -> Arc<ProxyTarget> {
        Arc::new(ProxyTarget {
            id: ProxyId("uid-1".into()),
            name: "proxy-1".into(),
            namespace: "kong".into(),
            pod: None,
            node: None,
            urls: vec![self.url()],
            server_name: (self.scheme == "https").then(|| SERVER_NAME.into()),
            service: None,
            terminating: false,
        })
    }

    /// Connections made from now on see this certificate.
    pub(crate) fn show(&self, tls: Arc<ServerConfig>) {
        *self.shared.tls.lock().expect("no panic") = Some(tls);
    }

    pub(crate) fn behave(&self, behaviour: impl FnMut(&Request) -> Reply + Send + 'static) {
        *self.shared.behaviour.lock().expect("no panic") = Box::new(behaviour);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no panic").clone()
    }

    /// Connections that have not ended.
    pub(crate) fn open_connections(&self) -> usize {
        *self.shared.open.lock().expect("no panic")
    }

    /// Connections that have been taken so far.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().expect("no panic")
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        *shared.connections.lock().expect("no panic") += 1;
        connections.spawn(connection(stream, shared.clone()));
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    *shared.open.lock().expect("no panic") += 1;
    speak(stream, &shared).await;
    *shared.open.lock().expect("no panic") -= 1;
}

async fn speak(stream: TcpStream, shared: &Shared) {
    let tls = shared.tls.lock().expect("no panic").clone();
    match tls {
        Some(config) => {
            if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                serve(stream, shared).await;
            }
        }
        None => serve(stream, shared).await,
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    while let Some(request) = read_request(&mut stream).await {
        let reply = (shared.behaviour.lock().expect("no panic"))(&request);
        shared.requests.lock().expect("no panic").push(request);
        let kept = write_reply(&mut stream, reply).await;
        if !kept {
            // The end of TLS is told as well, as a server that stops does.
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut request = Request {
        line,
        headers,
        body: Vec::new(),
    };
    let length = request
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}

/// Says whether the connection is kept.
async fn write_reply(stream: &mut (impl AsyncWrite + Unpin), reply: Reply) -> bool {
    match reply {
        Reply::Answer(status, headers, body) => {
            let mut answer = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                answer.push_str(&format!("{name}: {value}\r\n"));
            }
            answer.push_str("\r\n");
            if status == 304 {
                answer = "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned();
            }
            let mut bytes = answer.into_bytes();
            if status != 304 {
                bytes.extend(body);
            }
            stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok()
        }
        Reply::AnswerAndClose(status, body) => {
            let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            false
        }
        Reply::Beginning(status, headers, beginning) => {
            let mut head = format!("HTTP/1.1 {status} Status\r\n");
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let _ = stream.write_all(&[head.as_bytes(), b"\r\n", &beginning].concat()).await;
            let _ = stream.flush().await;
            std::future::pending().await
        }
        Reply::Slowly(pause, body) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).await;
            for byte in body {
                if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                    return false;
                }
                tokio::time::sleep(pause).await;
            }
            true
        }
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
            false
        }
        Reply::CloseWithinBody => {
            let _ = stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n{\"fields\":")
                .await;
            false
        }
        Reply::Hang => std::future::pending().await,
        Reply::Close => false,
    }
}
