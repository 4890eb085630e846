//! Verifies the certificate of a proxy against the name that it must bear, and remembers for people why it did not hold;
//! notices whether the proxy asked for ours.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};

use super::{
    certificate,
    pins::{Pins, key_hash},
};
use crate::{
    fleet::{TransportFault, TransportFaultKind},
    model::ProxyId,
};

/// Checks signature chain, validity and name; or only that the proxy shows the key that it showed first.
///
/// The name is fixed here and not taken from the URL: addresses of pods are dialled, names are verified.
#[derive(Debug)]
pub(super) struct ProxyVerifier {
    trust: Trust,
    expected: ServerName<'static>,
    root_names: Arc<[String]>,
    refusal: Mutex<Option<String>>,
}

/// What a certificate is held against.
#[derive(Debug)]
enum Trust {
    /// Authorities.
    Authorities(Arc<WebPkiServerVerifier>),
    /// What this proxy showed first.
    FirstKey {
        proxy: ProxyId,
        pins: Arc<Pins>,
        algorithms: WebPkiSupportedAlgorithms,
    },
}

impl ProxyVerifier {
    /// `pins` takes the place of the authorities.
    pub(super) fn new(
        expected: ServerName<'static>,
        roots: Arc<RootCertStore>,
        root_names: Arc<[String]>,
        proxy: &ProxyId,
        pins: Option<Arc<Pins>>,
    ) -> Result<Self, TransportFault> {
        let trust =
            match pins {
                Some(pins) => Trust::FirstKey {
                    proxy: proxy.clone(),
                    pins,
                    algorithms: rustls::crypto::CryptoProvider::get_default()
                        .expect("the provider is installed first thing in main")
                        .signature_verification_algorithms,
                },
                None => Trust::Authorities(WebPkiServerVerifier::builder(roots).build().map_err(|error| {
                    TransportFault {
                        kind: TransportFaultKind::CertificateUntrusted,
                        message: format!("no certificate can be verified: {error}"),
                    }
                })?),
            };
        Ok(Self {
            trust,
            expected,
            root_names,
            refusal: Mutex::new(None),
        })
    }

    pub(super) fn skips(&self) -> bool {
        matches!(self.trust, Trust::FirstKey { .. })
    }

    /// Pins the key of a proxy whose signature has shown that it has it.
    fn pin(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let Trust::FirstKey { proxy, pins, .. } = &self.trust else {
            return Ok(());
        };
        match key_hash(certificate) {
            Some(key) if pins.pin(proxy, key) => Ok(()),
            _ => Err(self.refuse(CertificateError::ApplicationVerificationFailure, certificate)),
        }
    }

    fn refuse(&self, error: CertificateError, certificate: &CertificateDer<'_>) -> Error {
        let error = Error::InvalidCertificate(error);
        let refusal = self.explain(&error, certificate);
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        error
    }

    /// Why the last certificate was refused.
    pub(super) fn refusal(&self) -> Option<String> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn explain(&self, error: &Error, der: &[u8]) -> String {
        let expected = self.expected.to_str();
        let found = certificate::summary(der);
        match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
                "the proxy's certificate is not signed by a trusted authority: {found}; trusted is {}",
                self.root_names.join(", ")
            ),
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => format!("the proxy's certificate is not for {expected:?}: {found}"),
            Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => format!(
                "the proxy's certificate has expired{}: {found}",
                certificate::describe(der, "").map_or(String::new(), |known| format!(" on {}", known.not_after))
            ),
            Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
                format!("the proxy's certificate is not valid yet (do the clocks agree?): {found}")
            }
            // Made by another installation, or before the authority was made anew: the names are the same.
            Error::InvalidCertificate(CertificateError::BadSignature) => format!(
                "the proxy's certificate is signed by another authority of the same name: {found}; give the proxy the \
                 certificate that the controller made for it"
            ),
            // That of an authority, as `openssl req -x509` makes them, and Kong when it is given none.
            Error::InvalidCertificate(CertificateError::Other(other)) if other.to_string() == "CaUsedAsEndEntity" => {
                format!(
                    "the proxy shows a certificate that it made itself: {found}; give it one that a trusted authority \
                     signed (KONG_ADMIN_SSL_CERT, KONG_ADMIN_SSL_CERT_KEY); trusted is {}",
                    self.root_names.join(", ")
                )
            }
            Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => format!(
                "the proxy shows another key than at first ({found}); certificates are not verified \
                 (--kong-admin-tls-skip-verify), so nothing tells whether it is still the same proxy: if it was given a \
                 new certificate, restart its pod or the controller"
            ),
            other => format!("the proxy's certificate does not hold for {expected:?}: {other}; {found}"),
        }
    }
}

impl ServerCertVerifier for ProxyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            Trust::Authorities(authorities) => {
                let verified =
                    authorities.verify_server_cert(end_entity, intermediates, &self.expected, ocsp_response, now);
                let refusal = verified.as_ref().err().map(|error| self.explain(error, end_entity));
                *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
                verified
            }
            Trust::FirstKey { proxy, pins, .. } => match key_hash(end_entity) {
                Some(key) if !pins.contradict(proxy, &key) => Ok(ServerCertVerified::assertion()),
                Some(_) => Err(self.refuse(CertificateError::ApplicationVerificationFailure, end_entity)),
                None => Err(self.refuse(CertificateError::BadEncoding, end_entity)),
            },
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.trust {
            Trust::Authorities(authorities) => authorities.verify_tls12_signature(message, cert, dss),
            Trust::FirstKey { algorithms, .. } => {
                let valid = rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)?;
                self.pin(cert).map(|()| valid)
            }
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.trust {
            Trust::Authorities(authorities) => authorities.verify_tls13_signature(message, cert, dss),
            Trust::FirstKey { algorithms, .. } => {
                let valid = rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)?;
                self.pin(cert).map(|()| valid)
            }
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match &self.trust {
            Trust::Authorities(authorities) => authorities.supported_verify_schemes(),
            Trust::FirstKey { algorithms, .. } => algorithms.supported_schemes(),
        }
    }
}

/// Gives our certificate to a proxy that asks for it, and remembers that it asked: one that does not lets anybody
/// configure it.
#[derive(Debug)]
pub(super) struct RequestedCertificate {
    identity: Option<Arc<CertifiedKey>>,
    requested: AtomicBool,
}

impl RequestedCertificate {
    pub(super) fn new(identity: Option<Arc<CertifiedKey>>) -> Self {
        Self {
            identity,
            requested: AtomicBool::new(false),
        }
    }

    pub(super) fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    pub(super) fn was_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for RequestedCertificate {
    fn resolve(&self, _root_hint_subjects: &[&[u8]], _sigschemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.requested.store(true, Ordering::Relaxed);
        self.identity.clone()
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}
