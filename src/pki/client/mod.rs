//! How the controller speaks to an Admin API: mutual TLS, verified names, headers. Shared by `push` and `observe`, which
//! must not import one another.
//!
//! Certificates change while the controller runs. The wiring publishes an [`AdminTls`] on a watch channel; whoever
//! holds [`AdminClient`]s builds new ones when it changes, so that no session or pooled connection outlives what it was
//! verified against (a resumed TLS session is not verified again).

mod certificate;
#[cfg(test)]
pub(crate) mod fake_proxy;
mod fault;
mod pins;
mod verifier;

pub use pins::Pins;

pub(crate) use fault::{answer_fault, excerpt};

use std::{net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{
    RequestBuilder, Response, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect,
    tls::TlsInfo,
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    sign::CertifiedKey,
};

use crate::{
    fleet::{ConnectionSecurity, TransportFault, TransportFaultKind},
    model::{PeerCertificate, ProxyTarget},
};
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
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .http1_only()
            .connect_timeout(limits.connect)
            .timeout(limits.request)
            .pool_max_idle_per_host(usize::from(limits.keep_alive))
            .tcp_keepalive(Duration::from_secs(15))
            .user_agent(concat!("silverback/", env!("CARGO_PKG_VERSION")))
            .default_headers(self.headers.clone());
        let mut transport = Transport::Plain {
            loopback: is_loopback(&base),
        };
        if base.scheme() == "https" {
            let expected = server_name.unwrap_or_else(|| host_without_brackets(&base)).to_owned();
            let name = ServerName::try_from(expected.clone())
                .map_err(|_| invalid(format!("{expected:?} can't be the name of a certificate")))?;
            let verifier = Arc::new(ProxyVerifier::new(
                name,
                self.roots.clone(),
                self.root_names.clone(),
                &target.id,
                self.first_keys.clone(),
            )?);
            let requested = Arc::new(RequestedCertificate::new(self.identity.clone()));
            builder = builder
                .tls_backend_preconfigured(tls_config(verifier.clone(), requested.clone()))
                .tls_info(true);
            // Dial the address, and ask for the name in the handshake (SNI), as KIC does.
            if let (Some(dns), Ok(socket)) = (dns_name(server_name), address.parse::<SocketAddr>()) {
                builder = builder.resolve(dns, socket);
                base.set_host(Some(dns)).map_err(|error| invalid(error.to_string()))?;
            }
            transport = Transport::Tls {
                verifier,
                requested,
                expected,
            };
        }
        let path = match self.workspace.as_str() {
            "" => base.path().trim_end_matches('/').to_owned(),
            workspace => format!("{}/{workspace}", base.path().trim_end_matches('/')),
        };
        base.set_path(&path);
        Ok(AdminClient {
            http: builder.build().map_err(|error| invalid(fault::chain(&error)))?,
            base,
            address,
            transport,
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
    /// Whether a connection is kept for the next request.
    pub keep_alive: bool,
}

/// A client for one address of one proxy.
pub struct AdminClient {
    http: reqwest::Client,
    base: Url,
    address: String,
    transport: Transport,
}

enum Transport {
    Plain {
        loopback: bool,
    },
    Tls {
        verifier: Arc<ProxyVerifier>,
        requested: Arc<RequestedCertificate>,
        expected: String,
    },
}

impl AdminClient {
    /// A `GET` of a path such as `/status`.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    /// A `POST` to a path such as `/config`, with a query.
    pub fn post(&self, path: &str, query: &str) -> RequestBuilder {
        let mut url = self.url(path);
        url.set_query(Some(query));
        self.http.post(url)
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

    /// The certificate that the proxy showed, `None` over plain HTTP.
    pub fn peer_certificate(&self, response: &Response) -> Option<PeerCertificate> {
        let Transport::Tls { expected, .. } = &self.transport else {
            return None;
        };
        let der = response.extensions().get::<TlsInfo>()?.peer_certificate()?;
        certificate::describe(der, expected)
    }

    /// What went wrong with a request, in words, without secrets.
    pub fn fault(&self, error: &reqwest::Error) -> TransportFault {
        fault::classify(error, &self.address, self.refusal().as_deref())
    }

    /// Why the last certificate was refused.
    fn refusal(&self) -> Option<String> {
        match &self.transport {
            Transport::Tls { verifier, .. } => verifier.refusal(),
            Transport::Plain { .. } => None,
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
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

fn is_loopback(url: &Url) -> bool {
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
