//! The certificate for clients that no other is for: given, or made at the start and trusted by nobody.

use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::{KeyPairError, load};

/// Whom the one that is made names.
const NAME: &str = "localhost";

/// A chain and its key, ready to sign, for clients whose server name has no certificate of its own.
#[derive(Debug, Clone)]
pub(crate) struct DefaultCertificate(Arc<CertifiedKey>);

impl DefaultCertificate {
    /// From PEM: a chain, leaf first, and its key.
    ///
    /// # Errors
    /// Either can't be read, or they don't belong together.
    pub(crate) fn new(chain: &[u8], key: &[u8]) -> Result<Self, KeyPairError> {
        load(chain, key).map(Self)
    }

    /// What a listener shows.
    pub(in crate::data) fn into_shown(self) -> Arc<CertifiedKey> {
        self.0
    }
}

/// A new self-signed certificate for `localhost`, as Kong makes one.
///
/// # Errors
/// [`KeyPairError`] when no key can be made.
pub(in crate::data) fn self_signed() -> Result<Arc<CertifiedKey>, KeyPairError> {
    let made = || {
        let key = rcgen::KeyPair::generate()?;
        let mut parameters = rcgen::CertificateParams::new([NAME.to_owned()])?;
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, NAME);
        let certificate = parameters.self_signed(&key)?;
        Ok((certificate.pem(), key.serialize_pem()))
    };
    let (certificate, key) = made().map_err(|error: rcgen::Error| KeyPairError::Key(error.to_string()))?;
    load(certificate.as_bytes(), key.as_bytes())
}
