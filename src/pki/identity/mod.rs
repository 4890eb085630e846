//! Certificates for embedded proxies whose key never leaves the pod (`--proxy-identity=pod`).
//!
//! A proxy proves which pod it is by a projected token of our own audience, asks for a challenge, and sends a signing
//! request that bears it. The issuer believes the API server alone: it asks whose the token is, whether that pod lives,
//! and looks whether it is one of the fleet's. Names are set here; what the request asks for besides a key is ignored.
//! See docs/security.md.
//!
//! `challenge` and `decision` decide, without IO; `issuer` asks the API server. Only the leader issues. Called by `wiring`,
//! which serves it over HTTPS by `serve::identity`.

mod challenge;
mod decision;
mod issuer;
#[cfg(test)]
mod tests;

pub use decision::Refusal;
pub(crate) use issuer::MAX_REQUEST;
pub use issuer::{IdentityIssuer, IdentitySettings};

use super::KeyPairPem;

/// Audience of the tokens that proxies show.
pub const AUDIENCE: &str = "identity.gateway.silverback.dev";

/// What the issuer signs with, and shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuingMaterial {
    /// The proxies' authority.
    pub(super) signer: KeyPairPem,
    /// While the authorities are replaced, those that are to come.
    pub(super) next: Option<NextSigner>,
    /// The certificate of the endpoint, of the controllers' authority: proxies trust that one.
    pub server: KeyPairPem,
}

/// The proxies' authority that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NextSigner {
    pub(super) signer: KeyPairPem,
    /// SHA-256 of the certificate of the controllers' authority that comes with it.
    pub(super) controllers: String,
}

impl IssuingMaterial {
    /// Who signs for a proxy that trusts these controllers' authorities (SHA-256 of their certificates).
    ///
    /// It gets a certificate of the next authority when it trusts the next controllers, and not before: showing one, it
    /// says that the controllers may follow. Clocks have no part in it: whenever a proxy has read the new file, and
    /// whichever replica it asks, it gets the new certificate at once and need not ask again.
    pub(super) fn signer_for(&self, trusted: &[&str]) -> &KeyPairPem {
        match &self.next {
            Some(next) if trusted.contains(&&*next.controllers) => &next.signer,
            _ => &self.signer,
        }
    }
}
