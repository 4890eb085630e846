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
    /// The certificate of the endpoint, of the controllers' authority: proxies trust that one.
    pub server: KeyPairPem,
}
