//! PEM text to a chain with its key, with errors that tell which of the two is at fault.

use std::sync::Arc;

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

/// Certificates in one chain or bundle, at most: foreign input is bounded.
const MAX_CERTIFICATES: usize = 512;

/// What is wrong with a certificate and its key. Never holds key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyPairError {
    /// The chain can't be read.
    #[error("invalid certificate: {0}")]
    Certificate(String),
    /// The key can't be read, or its kind or size is not supported.
    #[error("invalid key: {0}")]
    Key(String),
    /// They don't belong together.
    #[error("certificate does not match key")]
    Mismatch,
}

/// All certificates of a PEM text, at least one, each well-formed.
///
/// # Errors
/// In words, what is wrong with the text.
pub(in crate::data) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .take(MAX_CERTIFICATES)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("no PEM block CERTIFICATE".to_owned());
    }
    for certificate in &certificates {
        x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    }
    Ok(certificates)
}

/// A chain with its key, ready to sign.
///
/// # Errors
/// See [`KeyPairError`].
pub(in crate::data) fn load(chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, KeyPairError> {
    let chain = certificates(chain).map_err(KeyPairError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| KeyPairError::Key(error.to_string()))?;
    CertifiedKey::from_der(chain, key, &super::provider())
        .map(Arc::new)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => KeyPairError::Mismatch,
            rustls::Error::InvalidCertificate(error) => KeyPairError::Certificate(error.to_string()),
            error => KeyPairError::Key(error.to_string()),
        })
}
