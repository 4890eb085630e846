//! An HTTP client over mutual TLS, one connection at a time.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::pki::Leaf;

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON, not {:?}", self.body))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// What a request consists of.
#[derive(Clone)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Ask {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.parse().unwrap(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// A body without a type.
    pub(crate) fn untyped(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// Trusts an authority and maybe shows a certificate.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

/// A connection that is kept.
pub(crate) enum Connection {
    One(conn::http1::SendRequest<Full<Bytes>>, String),
    Two(conn::http2::SendRequest<Full<Bytes>>),
}

impl Client {
    /// Plain HTTP.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// TLS.
    pub(crate) fn new(address: SocketAddr, authority: &str, leaf: Option<&Leaf>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap())
            .unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let config = match leaf {
            None => builder.with_no_client_auth(),
            Some(leaf) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        Self {
            address,
            tls: Some(Arc::new(config)),
        }
    }

    /// The same over HTTP/2.
    pub(crate) fn http2(&self) -> Self {
        let mut config = ClientConfig::clone(self.tls.as_ref().expect("over TLS"));
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self {
            address: self.address,
            tls: Some(Arc::new(config)),
        }
    }

    pub(crate) async fn connect(&self) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        let host = self.address.to_string();
        let Some(config) = &self.tls else {
            return Ok(Connection::One(http1(stream).await, host));
        };
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let (sender, connection) = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(connection);
            return Ok(Connection::Two(sender));
        }
        Ok(Connection::One(http1(stream).await, host))
    }

    /// Asks over a connection of its own.
    pub(crate) async fn ask(&self, ask: Ask) -> Answer {
        let asking = async { self.connect().await.unwrap().ask(ask).await };
        tokio::time::timeout(Duration::from_secs(60), asking)
            .await
            .expect("an answer in time")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Ask::get(path)).await
    }

    /// Sends a configuration as the controller does.
    pub(crate) async fn push(&self, body: impl Into<Bytes>) -> Answer {
        let ask = Ask::new("POST", "/config?check_hash=1&flatten_errors=1");
        self.ask(ask.body("application/yaml", body)).await
    }

    /// The hash that the proxy reports.
    pub(crate) async fn hash(&self) -> String {
        let status = self.get("/status").await.json();
        status["configuration_hash"].as_str().unwrap().to_owned()
    }
}

async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> conn::http1::SendRequest<Full<Bytes>> {
    let (sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

impl Connection {
    pub(crate) async fn ask(&mut self, ask: Ask) -> Answer {
        self.try_ask(ask).await.unwrap()
    }

    pub(crate) async fn try_ask(&mut self, ask: Ask) -> hyper::Result<Answer> {
        let mut request = Request::builder().method(ask.method);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        let response = match self {
            Self::One(sender, host) => {
                let request = request.uri(&ask.path).header("host", host.as_str());
                sender.send_request(request.body(Full::new(ask.body)).unwrap()).await?
            }
            Self::Two(sender) => {
                let request = request.uri(format!("https://localhost{}", ask.path));
                sender.send_request(request.body(Full::new(ask.body)).unwrap()).await?
            }
        };
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }
}
