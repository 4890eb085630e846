//! TLS towards upstreams: whom they must be, and who we are to them.
//!
//! Kong verifies an upstream's certificate only where `tls_verify` says so, and configurations made for Kong rely on
//! it: a Service with `protocol: https` and a self-signed certificate works there, so it has to work here. Where
//! verification is off the peer must still prove that it holds the key of the certificate that it shows.
//!
//! Each identity has client configurations of its own, and with them session caches of its own: a session that was
//! opened under other authorities can never be resumed under these.

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::{CertifiedKey, SingleCertAndKey},
};

/// What an identity is made of: equal keys share one identity and its connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::data) struct IdentityKey {
    /// `None`: the upstream's certificate is not verified.
    pub trust: Option<TrustKey>,
    /// PEM of the chain that we show, if any.
    pub client_chain: Option<String>,
}

/// Whom an identity trusts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::data) struct TrustKey {
    /// PEM of the authorities; `None`: those that the whole proxy trusts.
    pub authorities: Option<Vec<String>>,
    /// Intermediate certificates accepted, at most.
    pub depth: Option<u32>,
}

/// A way of speaking TLS with upstreams.
pub(in crate::data) struct UpstreamIdentity {
    /// Tells identities apart for as long as the process lives.
    pub number: u64,
    /// For HTTP/1.1.
    pub http1: Arc<ClientConfig>,
    /// For HTTP/2, which gRPC needs.
    pub http2: Arc<ClientConfig>,
}

impl UpstreamIdentity {
    /// Builds an identity. Without `roots` the upstream is not verified; with an empty store nobody is trusted.
    ///
    /// # Errors
    /// In words, when the authorities can't be used.
    pub(in crate::data) fn new(
        number: u64,
        roots: Option<RootCertStore>,
        depth: Option<u32>,
        client: Option<Arc<CertifiedKey>>,
    ) -> Result<Self, String> {
        let provider = super::provider();
        let trust = match roots {
            None => Trust::Anyone,
            Some(roots) if roots.is_empty() => Trust::Nobody,
            Some(roots) => Trust::Authorities {
                inner: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .map_err(|error| error.to_string())?,
                depth: depth.map_or(usize::MAX, |depth| usize::try_from(depth).unwrap_or(usize::MAX)),
            },
        };
        let verifier = Arc::new(Verifier {
            trust,
            provider: Arc::clone(&provider),
        });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut http1 = match client {
            None => builder.with_no_client_auth(),
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        };
        let mut http2 = http1.clone();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        http2.alpn_protocols = vec![b"h2".to_vec()];
        http2.resumption = Resumption::in_memory_sessions(256);
        Ok(Self {
            number,
            http1: Arc::new(http1),
            http2: Arc::new(http2),
        })
    }
}

impl fmt::Debug for UpstreamIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UpstreamIdentity")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// Whose certificates are accepted.
#[derive(Debug)]
enum Trust {
    /// Anyone's, as long as the peer holds the key: Kong's default.
    Anyone,
    /// Nobody's: verification is asked for, but no authority is known.
    Nobody,
    /// Those that these authorities have signed, with at most so many intermediate certificates
    /// (Kong: `tls_verify_depth`).
    Authorities {
        inner: Arc<WebPkiServerVerifier>,
        depth: usize,
    },
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.trust {
            Trust::Anyone => Ok(ServerCertVerified::assertion()),
            Trust::Nobody => Err(rustls::CertificateError::UnknownIssuer.into()),
            Trust::Authorities { inner, depth } => {
                // A chain comes leaf first, each certificate followed by its issuer (RFC 5246, section 7.4.2): a path
                // of at most n intermediates needs none beyond the first n.
                let intermediates = &intermediates[..intermediates.len().min(*depth)];
                inner.verify_server_cert(leaf, intermediates, name, ocsp, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
