//! A gateway, an upstream that tells what it was asked, and clients that show all that comes back.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use proxy_config_schema::{Configuration, Limits, LoadedText, ValidationOptions};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::data::{DataPlane, DataPlaneOptions, Drain, tls::provider};

/// How long anything may take that a test waits for.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Bounds a wait, so that a test that hangs says where.
pub(super) async fn within<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waiting).await.expect("took too long")
}

/// Polls until a condition holds.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let polling = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, polling)
        .await
        .unwrap_or_else(|_| panic!("never came true: {what}"));
}

/// A data plane with both listeners.
pub(super) struct Gateway {
    pub(super) plane: Arc<DataPlane>,
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    pub(super) drain: Drain,
    pub(super) listeners: Vec<JoinHandle<()>>,
    last: Mutex<Option<LoadedText>>,
}

impl Gateway {
    pub(super) async fn start(configuration: Value) -> Self {
        let options = DataPlaneOptions {
            product: "kong/3.9.3".to_owned(),
            allow_debug_header: true,
            limits: crate::data::Limits {
                linger: Duration::from_millis(700),
                ..Default::default()
            },
            ..DataPlaneOptions::default()
        };
        Self::start_with(options, configuration).await
    }

    pub(super) async fn start_with(options: DataPlaneOptions, configuration: Value) -> Self {
        let plane = DataPlane::new(options).expect("good options");
        let drain = Drain::default();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let https = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = Self {
            http: http.local_addr().unwrap(),
            https: https.local_addr().unwrap(),
            listeners: vec![
                tokio::spawn(Arc::clone(&plane).serve_http(http, drain.clone())),
                tokio::spawn(Arc::clone(&plane).serve_https(https, true, drain.clone())),
            ],
            plane,
            drain,
            last: Mutex::default(),
        };
        gateway.install(configuration);
        gateway
    }

    /// By what changed since the last one, as the proxy does it; what Kong would refuse is installed all the same.
    pub(super) fn install(&self, configuration: Value) {
        let mut last = self.last.lock().unwrap();
        let text = configuration.to_string().into();
        let options = ValidationOptions::default();
        let loaded = LoadedText::load(text, &Limits::DEFAULT, &options, last.as_ref());
        let configuration = match &loaded {
            Some(loaded) => Arc::clone(loaded.configuration()),
            None => {
                let configuration: Configuration = serde_json::from_value(configuration).expect("well-formed");
                Arc::new(configuration)
            }
        };
        let runtime = self.plane.compile(&configuration).expect("good configuration");
        self.plane.install(runtime);
        *last = loaded;
    }

    /// One request over a connection of its own, over plain HTTP/1.1.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }

    pub(super) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut client = Client::connect(self.http).await;
        within(client.ask(request(method, path, headers, ""))).await
    }
}

/// A configuration with one service and one route that matches everything.
pub(super) fn to(upstream: SocketAddr) -> Value {
    json!({
        "_format_version": "3.0",
        "services": [{
            "name": "echo", "host": upstream.ip().to_string(), "port": upstream.port(),
            "routes": [{"name": "all", "paths": ["/"]}],
        }],
    })
}

pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", "gateway.test");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::from(body.to_owned())).unwrap()
}

/// An answer with its whole body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

impl Answer {
    pub(super) async fn read(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (parts, body) = response.into_parts();
        let collected = body.collect().await?;
        Ok(Self {
            status: parts.status,
            headers: parts.headers,
            trailers: collected.trailers().cloned().unwrap_or_default(),
            body: collected.to_bytes(),
        })
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What the upstream says that it was asked.
    pub(super) fn seen(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not an echo: {self:?}"))
    }

    /// A header that the upstream saw.
    pub(super) fn seen_header(&self, name: &str) -> String {
        let seen = self.seen();
        let headers = seen["headers"].as_array().unwrap();
        let found = headers.iter().filter(|pair| pair[0] == name);
        let values: Vec<_> = found.map(|pair| pair[1].as_str().unwrap()).collect();
        values.join(" & ")
    }
}

/// A client on one HTTP/1.1 connection.
pub(super) struct Client(pub(super) hyper::client::conn::http1::SendRequest<Full<Bytes>>);

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    pub(super) async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection.with_upgrades());
        Self(sender)
    }

    pub(super) async fn ask(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.try_ask(request).await.expect("answered")
    }

    pub(super) async fn try_ask(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        self.0.ready().await?;
        Answer::read(self.0.send_request(request).await?).await
    }
}

/// A certificate authority and what it has signed.
pub(super) struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pub(super) certificate: rcgen::Certificate,
}

/// PEM of a certificate and its key.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new([]).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            issuer: rcgen::Issuer::new(parameters, key),
            certificate,
        }
    }

    pub(super) fn issue(&self, name: &str) -> Issued {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }

    /// Opens TLS and tells the protocol that was agreed on. Fails where the certificate is not for this name.
    pub(super) async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
        protocols: &[&str],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

type EchoBody = BoxBody<Bytes, Infallible>;

/// An upstream that answers with what it was asked, as JSON; `/status/N` with that status, `/delay/MS` after a while,
/// `/endless` with a gRPC message and no end.
pub(super) struct Echo {
    pub(super) address: SocketAddr,
    /// Connections accepted so far.
    pub(super) connections: Arc<AtomicUsize>,
    /// Requests so far.
    pub(super) requests: Arc<AtomicUsize>,
    server: JoinHandle<()>,
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Echo {
    pub(super) async fn start() -> Self {
        Self::start_as("echo", None).await
    }

    /// With a name in its answers, and with TLS if it has a certificate; client certificates are told as a header.
    pub(super) async fn start_as(name: &'static str, tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(Mutex::new(Vec::new()));
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let (accepted, asked, tasks) = (Arc::clone(&connections), Arc::clone(&requests), Arc::clone(&open));
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Relaxed);
                let (acceptor, asked) = (acceptor.clone(), Arc::clone(&asked));
                let task = tokio::spawn(async move {
                    match acceptor {
                        None => serve(name, stream, None, asked).await,
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else {
                                return;
                            };
                            let server_name = stream.get_ref().1.server_name().map(str::to_owned);
                            serve(name, stream, server_name, asked).await;
                        }
                    }
                });
                tasks.lock().unwrap().push(task);
            }
        });
        Self {
            address,
            connections,
            requests,
            server,
            open,
        }
    }

    /// Closes the listener and every connection.
    pub(super) fn stop(&self) {
        self.server.abort();
        self.close_connections();
    }

    /// Closes every connection, without a word.
    pub(super) fn close_connections(&self) {
        for task in self.open.lock().unwrap().drain(..) {
            task.abort();
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(
    name: &'static str,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    server_name: Option<String>,
    requests: Arc<AtomicUsize>,
) {
    let service = service_fn(move |request| {
        requests.fetch_add(1, Relaxed);
        let server_name = server_name.clone();
        async move { Ok::<_, hyper::Error>(echo(name, server_name, request).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await;
}

async fn echo(name: &'static str, server_name: Option<String>, mut request: Request<Incoming>) -> Response<EchoBody> {
    let path = request.uri().path().to_owned();
    if request.headers().contains_key("upgrade") {
        return shake_hands(&mut request);
    }
    if path == "/endless" {
        let message = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"\0\0\0\0\x05hello")))]);
        let body = BodyExt::boxed(StreamBody::new(message.chain(futures_util::stream::pending())));
        return Response::builder()
            .header("content-type", "application/grpc")
            .body(body)
            .unwrap();
    }
    let number = |prefix: &str| path.split_once(prefix).and_then(|(_, rest)| rest.parse::<u16>().ok());
    if let Some(milliseconds) = number("/delay/") {
        tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Response::new(Full::default().boxed());
    };
    let trailers = body.trailers().cloned();
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), value.to_str().unwrap()]))
        .collect();
    let seen = json!({
        "upstream": name,
        "method": parts.method.as_str(),
        "path": parts.uri.path_and_query().map(hyper::http::uri::PathAndQuery::as_str),
        "authority": parts.uri.authority().map(hyper::http::uri::Authority::as_str),
        "version": format!("{:?}", parts.version),
        "server_name": server_name,
        "headers": headers,
        "trailers": trailers.iter().flatten().count(),
        "body": String::from_utf8_lossy(&body.to_bytes()),
    });
    let mut response = Response::builder()
        .header("content-type", "application/json")
        .header("server", "BaseHTTP/0.6 Python/3.11.7")
        .header("x-upstream", "echo");
    if let Some(status) = number("/status/") {
        response = response.status(status);
    }
    let Some(trailers) = trailers else {
        return response.body(Full::from(seen.to_string()).boxed()).unwrap();
    };
    for name in trailers.keys() {
        response = response.header("trailer", name.as_str());
    }
    let frames = [Frame::data(Bytes::from(seen.to_string())), Frame::trailers(trailers)];
    let stream = futures_util::stream::iter(frames.map(Ok));
    response.body(BodyExt::boxed(StreamBody::new(stream))).unwrap()
}

/// Switches to a protocol that sends back what it gets.
fn shake_hands(request: &mut Request<Incoming>) -> Response<EchoBody> {
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            stream.write_all(&buffer[..length]).await.unwrap();
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        .body(Full::default().boxed())
        .unwrap()
}

/// TLS for an upstream.
pub(super) fn server_config(issued: &Issued, clients: Option<RootCertStore>) -> ServerConfig {
    use rustls::pki_types::pem::PemObject;
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}
