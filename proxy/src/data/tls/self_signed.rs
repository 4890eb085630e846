//! The certificate for clients that no other is for, where none was given: made at the start, trusted by nobody.

use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::{KeyPairError, load};

/// Whom it names.
const NAME: &str = "localhost";

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
