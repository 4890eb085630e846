//! The server's side of TLS.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::pki::KeyPairPem;

/// Why a certificate can't be shown. Quotes nothing of the key.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    /// No certificate in the PEM.
    #[error("there is no certificate in the PEM")]
    NoCertificate,
    /// No key in the PEM.
    #[error("there is no private key in the PEM")]
    NoKey,
    /// They don't belong together, or rustls can't use them.
    #[error(transparent)]
    Unusable(#[from] rustls::Error),
}

/// What connections are taken with: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
pub(super) fn config(pair: &KeyPairPem) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pair.certificate.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NoCertificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(|_| TlsError::NoKey)?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
