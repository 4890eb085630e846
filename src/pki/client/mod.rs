//! How the controller speaks to an Admin API: mutual TLS, verified names, headers. Shared by `push` and `observe`, which
//! must not import one another.
//!
//! Certificates change while the controller runs. The wiring publishes an [`AdminTls`] on a watch channel; whoever
//! holds [`AdminClient`]s builds new ones when it changes, so that no session or pooled connection outlives what it was
//! verified against (a resumed TLS session is not verified again).

mod certificate;
mod connection;
#[cfg(test)]
pub(crate) mod fake_proxy;
mod fault;
mod pins;
mod verifier;

pub use connection::Answer;
pub use fault::AdminError;
pub use pins::Pins;

pub(super) use certificate::names;
pub(crate) use fault::{WHO_ANSWERS, answer_fault, excerpt};

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    header::{ACCEPT, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
};
use reqwest::Url;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    sign::CertifiedKey,
};
use tokio::time::{Instant, timeout_at};

use crate::{
    fleet::{ConnectionSecurity, TransportFault, TransportFaultKind},
    model::ProxyTarget,
};
use connection::{Connection, Dial, Place, Tls};
use verifier::{ProxyVerifier, RequestedCertificate};

/// Where certificates, token and headers for Admin APIs come from; PEM as it stands in files.
#[derive(Clone, Default)]
pub struct AdminTlsMaterial {
    /// Authorities that sign the proxies' certificates (`--kong-admin-ca-cert-file`); `None` are the system's.
    pub roots: Option<Vec<u8>>,
    /// The controller's certificate chain (`--kong-admin-tls-client-cert-file`).
    pub certificate: Option<Vec<u8>>,
    /// Its private key (`--kong-admin-tls-client-key-file`).
    pub key: Option<Vec<u8>>,
    /// Accept whatever certificate a proxy shows first, and only its key from then on (`--kong-admin-tls-skip-verify`).
    pub first_keys: Option<Arc<Pins>>,
    /// How long whoever keeps connections uses one (see [`AdminTls::reconnect_after`]); zero is for ever.
    pub reconnect_after: Duration,
    /// Sent as `Kong-Admin-Token`.
    pub token: Option<String>,
    /// Further headers (`--kong-admin-header name:value`).
    pub headers: Vec<(String, String)>,
    /// Workspace that prefixes every path (`--kong-workspace`); empty is none.
    pub workspace: String,
}

/// Why certificates or headers for Admin APIs can't be used. Names what is wrong, never a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminTlsError {
    /// The authorities can't be read.
    #[error("the proxies' certificate authorities can't be used: {0}")]
    Roots(String),
    /// Certificate or key can't be read, or do not belong together.
    #[error("the client certificate can't be used: {0}")]
    Identity(String),
    /// A header can't be sent.
    #[error("header {0:?} can't be sent: its name or value is not allowed in HTTP")]
    Header(String),
}

/// Parsed [`AdminTlsMaterial`]: what every connection to an Admin API is made with.
pub struct AdminTls {
    roots: Arc<RootCertStore>,
    root_names: Arc<[String]>,
    identity: Option<Arc<CertifiedKey>>,
    first_keys: Option<Arc<Pins>>,
    reconnect_after: Duration,
    headers: HeaderMap,
    workspace: String,
}

/// No secret: token, headers and key are left out.
impl std::fmt::Debug for AdminTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AdminTls")
            .field("roots", &self.root_names)
            .field("identity", &self.identity.is_some())
            .field("skip_verify", &self.first_keys.is_some())
            .finish_non_exhaustive()
    }
}

impl AdminTls {
    /// Reads certificates, key and headers.
    ///
    /// # Errors
    /// What can't be used, in words for the person who gave it.
    pub fn new(material: &AdminTlsMaterial) -> Result<Self, AdminTlsError> {
        let mut roots = RootCertStore::empty();
        let mut root_names = Vec::new();
        match &material.roots {
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|error| AdminTlsError::Roots(error.to_string()))?;
                    root_names.push(certificate::subject(&certificate));
                    roots
                        .add(certificate)
                        .map_err(|error| AdminTlsError::Roots(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(AdminTlsError::Roots("there is no certificate in the PEM".to_owned()));
                }
            }
            None => {
                let system = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(system.certs);
                root_names.push("the system's certificate authorities".to_owned());
            }
        }
        Ok(Self {
            roots: Arc::new(roots),
            root_names: root_names.into(),
            identity: identity(material)?,
            first_keys: material.first_keys.clone(),
            reconnect_after: material.reconnect_after,
            headers: headers(material)?,
            workspace: material.workspace.trim_matches('/').to_owned(),
        })
    }

    /// After which time connections that are kept are to be made anew: only a handshake shows the certificate that a proxy
    /// has by now, and that it still wants ours. `None` is never.
    pub fn reconnect_after(&self) -> Option<Duration> {
        Some(self.reconnect_after).filter(|after| !after.is_zero())
    }

    /// A client for one address of a proxy. Its certificate must bear the target's server name; without one, the host of
    /// the address.
    ///
    /// # Errors
    /// The address is no URL, or the name can't stand in a certificate.
    pub fn client(
        &self,
        url: &str,
        target: &ProxyTarget,
        limits: &ConnectionLimits,
    ) -> Result<AdminClient, TransportFault> {
        let invalid = |problem: String| TransportFault {
            kind: TransportFaultKind::ConnectionFailed,
            message: format!("{url}: {problem}"),
        };
        let server_name = target.server_name.as_deref();
        let mut base = Url::parse(url).map_err(|error| invalid(error.to_string()))?;
        let address = host_and_port(&base).ok_or_else(|| invalid("it has no host".to_owned()))?;
        let place = match address.parse() {
            Ok(address) => Place::Address(address),
            Err(_) => Place::Name(
                base.host_str().unwrap_or_default().to_owned(),
                base.port_or_known_default().unwrap_or_default(),
            ),
        };
        let mut transport = Transport::Plain {
            loopback: is_loopback(&base),
        };
        let mut tls = None;
        if base.scheme() == "https" {
            let named = |name: &str| {
                ServerName::try_from(name.to_owned())
                    .map_err(|_| invalid(format!("{name:?} can't be the name of a certificate")))
            };
            let expected = server_name.unwrap_or_else(|| host_without_brackets(&base)).to_owned();
            let verifier = Arc::new(ProxyVerifier::new(
                named(&expected)?,
                self.roots.clone(),
                self.root_names.clone(),
                &target.id,
                self.first_keys.clone(),
            )?);
            let requested = Arc::new(RequestedCertificate::new(self.identity.clone()));
            // Dial the address, and ask for the name in the handshake (SNI), as KIC does.
            if let (Some(dns), Place::Address(_)) = (dns_name(server_name), &place) {
                base.set_host(Some(dns)).map_err(|error| invalid(error.to_string()))?;
            }
            tls = Some(Tls {
                config: Arc::new(tls_config(verifier.clone(), requested.clone())),
                asked: named(host_without_brackets(&base))?,
                expected,
            });
            transport = Transport::Tls { verifier, requested };
        }
        let host = match base.port() {
            Some(port) => format!("{}:{port}", base.host_str().unwrap_or_default()),
            None => base.host_str().unwrap_or_default().to_owned(),
        };
        let mut headers = self.headers.clone();
        for (name, value) in [
            (HOST, host.as_str()),
            (USER_AGENT, concat!("silverback/", env!("CARGO_PKG_VERSION"))),
            (ACCEPT, "*/*"),
        ] {
            let value = HeaderValue::from_str(value).map_err(|error| invalid(error.to_string()))?;
            headers.entry(name).or_insert(value);
        }
        let workspace = match self.workspace.as_str() {
            "" => String::new(),
            workspace => format!("/{workspace}"),
        };
        Ok(AdminClient {
            dial: Dial {
                place,
                tls,
                limit: limits.connect,
                is_abrupt: limits.is_abrupt,
            },
            prefix: format!("{}{workspace}", base.path().trim_end_matches('/')),
            headers,
            address,
            transport,
            limits: *limits,
            renew_after: self.reconnect_after(),
            kept: Mutex::default(),
        })
    }
}

/// Limits of the connections of one client.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// For TCP and TLS handshakes together.
    pub connect: Duration,
    /// For a whole request, connecting and reading the answer included.
    pub request: Duration,
    /// How long a connection that is not used is kept for the next request; zero is not at all.
    pub keep: Duration,
    /// Whether a request that is given up is over: what the system still holds of it is dropped, and the other side sees a
    /// reset. Otherwise it goes on to be delivered, as soon as the network lets it.
    pub is_abrupt: bool,
}

/// A client for one address of one proxy.
pub struct AdminClient {
    dial: Dial,
    /// Of every path.
    prefix: String,
    /// Of every request.
    headers: HeaderMap,
    address: String,
    transport: Transport,
    limits: ConnectionLimits,
    renew_after: Option<Duration>,
    kept: Mutex<Option<Kept>>,
}

/// A connection that waits for the next request.
struct Kept {
    connection: Connection,
    made: Instant,
    used: Instant,
}

enum Transport {
    Plain {
        loopback: bool,
    },
    Tls {
        verifier: Arc<ProxyVerifier>,
        requested: Arc<RequestedCertificate>,
    },
}

/// What is asked of an Admin API.
pub struct Question<'a> {
    /// How.
    pub method: Method,
    /// A path such as `/status`, with its query.
    pub path: &'a str,
    /// Beside those of every request.
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// What is sent.
    pub body: Bytes,
    /// When it is given up.
    pub deadline: Instant,
    /// How many bytes of the answer's body are wanted, by its status.
    pub wanted: fn(StatusCode) -> usize,
}

impl AdminClient {
    /// Asks for a path such as `/status`; of the answer `wanted` says how many bytes are read.
    ///
    /// # Errors
    /// There is no answer: see [`Self::fault`].
    pub async fn get(&self, path: &str, wanted: fn(StatusCode) -> usize) -> Result<Answer, AdminError> {
        self.ask(&Question {
            method: Method::GET,
            path,
            headers: &[],
            body: Bytes::new(),
            deadline: Instant::now() + self.limits.request,
            wanted,
        })
        .await
    }

    /// Asks, over the connection that was kept if there is one.
    ///
    /// # Errors
    /// There is no answer: see [`Self::fault`].
    pub async fn ask(&self, question: &Question<'_>) -> Result<Answer, AdminError> {
        if let Some(mut kept) = self.take_kept()
            && kept.connection.is_open().await
        {
            match self.ask_over(&mut kept.connection, question).await {
                Ok((answer, true)) => {
                    self.keep(kept);
                    return Ok(answer);
                }
                Ok((answer, false)) => return Ok(answer),
                // It had been closed, which shows only now; what was not sent can be sent again.
                Err(AdminError::NotSent(_)) => {}
                Err(AdminError::Request(_)) if question.method == Method::GET => {}
                Err(error) => return Err(error),
            }
        }
        let connected = timeout_at(question.deadline, self.dial.connect()).await;
        let mut connection = connected.unwrap_or(Err(AdminError::ConnectTimeout))?;
        let (answer, may_go_on) = self.ask_over(&mut connection, question).await?;
        if may_go_on {
            let now = Instant::now();
            self.keep(Kept {
                connection,
                made: now,
                used: now,
            });
        }
        Ok(answer)
    }

    /// Closes the connection that is kept, if there is one.
    pub fn let_go(&self) {
        drop(self.lock().take());
    }

    /// `host:port` that is dialled.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What protects the connection, as far as the handshakes so far have shown.
    pub fn security(&self) -> ConnectionSecurity {
        match &self.transport {
            Transport::Plain { loopback: true } => ConnectionSecurity::Loopback,
            Transport::Plain { loopback: false } => ConnectionSecurity::Plain,
            Transport::Tls { verifier, .. } if verifier.skips() => ConnectionSecurity::Unverified,
            Transport::Tls { requested, .. } if !requested.has_identity() => ConnectionSecurity::NoClientCertificate,
            Transport::Tls { requested, .. } if !requested.was_requested() => {
                ConnectionSecurity::ClientCertificateNotRequested
            }
            Transport::Tls { .. } => ConnectionSecurity::Mutual,
        }
    }

    /// What went wrong with a request, in words, without secrets.
    pub fn fault(&self, error: &AdminError) -> TransportFault {
        fault::classify(error, &self.address, self.refusal().as_deref())
    }

    /// Why the last certificate was refused.
    fn refusal(&self) -> Option<String> {
        match &self.transport {
            Transport::Tls { verifier, .. } => verifier.refusal(),
            Transport::Plain { .. } => None,
        }
    }

    async fn ask_over(
        &self,
        connection: &mut Connection,
        question: &Question<'_>,
    ) -> Result<(Answer, bool), AdminError> {
        let mut request = Request::new(Full::new(question.body.clone()));
        *request.method_mut() = question.method.clone();
        *request.uri_mut() = format!("{}{}", self.prefix, question.path).parse()?;
        *request.headers_mut() = self.headers.clone();
        for (name, value) in question.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let asked = timeout_at(question.deadline, connection.ask(request, question.wanted)).await;
        asked.unwrap_or(Err(AdminError::Timeout))
    }

    fn take_kept(&self) -> Option<Kept> {
        let kept = self.lock().take()?;
        let is_old = self.renew_after.is_some_and(|after| kept.made.elapsed() >= after);
        (!is_old && kept.used.elapsed() <= self.limits.keep).then_some(kept)
    }

    fn keep(&self, mut kept: Kept) {
        if !self.limits.keep.is_zero() {
            kept.used = Instant::now();
            *self.lock() = Some(kept);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tls_config(verifier: Arc<ProxyVerifier>, identity: Arc<RequestedCertificate>) -> ClientConfig {
    let mut config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(identity);
    // Every connection verifies its peer: a resumed session would not.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn identity(material: &AdminTlsMaterial) -> Result<Option<Arc<CertifiedKey>>, AdminTlsError> {
    let (certificate, key) = match (&material.certificate, &material.key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => {
            return Err(AdminTlsError::Identity(
                "certificate and key must be given together".to_owned(),
            ));
        }
    };
    let invalid = |error: String| AdminTlsError::Identity(error);
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(format!("certificate: {error}")))?;
    if chain.is_empty() {
        return Err(invalid("there is no certificate in the PEM".to_owned()));
    }
    // The parser's words are left out: they could quote the key.
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|_| invalid("there is no private key in the PEM".to_owned()))?;
    let provider =
        rustls::crypto::CryptoProvider::get_default().expect("the provider is installed first thing in main");
    CertifiedKey::from_der(chain, key, provider)
        .map(|identity| Some(Arc::new(identity)))
        .map_err(|error| invalid(error.to_string()))
}

fn headers(material: &AdminTlsMaterial) -> Result<HeaderMap, AdminTlsError> {
    let token = material
        .token
        .as_ref()
        .map(|token| ("Kong-Admin-Token", token.as_str()));
    let given = material
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers = HeaderMap::new();
    for (name, value) in token.into_iter().chain(given) {
        let invalid = || AdminTlsError::Header(name.to_owned());
        let key: HeaderName = name.trim().parse().map_err(|_| invalid())?;
        let mut value: HeaderValue = value.trim().parse().map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

fn host_and_port(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

fn host_without_brackets(url: &Url) -> &str {
    url.host_str()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']')
}

/// Whether what is sent there does not leave this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = host_without_brackets(url);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The name, unless it is an address.
fn dns_name(server_name: Option<&str>) -> Option<&str> {
    server_name.filter(|name| name.parse::<std::net::IpAddr>().is_err())
}
