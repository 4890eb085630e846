//! TLS on both sides: certificates shown to clients by server name, identities shown to and trusted in upstreams.
//!
//! One crypto provider (aws-lc-rs), named explicitly, so that nothing depends on a process-wide default.

mod default_certificate;
mod key_pair;
mod server;
mod upstream;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

pub(crate) use default_certificate::DefaultCertificate;
pub(super) use default_certificate::self_signed;
pub(crate) use key_pair::KeyPairError;
pub(super) use key_pair::{certificates, load};
pub(super) use server::{CertificateStore, Shown, acceptor};
pub(super) use upstream::{IdentityKey, TrustKey, UpstreamIdentity};

/// The crypto provider of every TLS connection.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}
