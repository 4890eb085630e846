//! The two certificate authorities, what they issue, and where it is kept: a directory, or two Secrets.
//!
//! One authority signs the controller's client certificate, the other the proxies' server certificates, so that no
//! proxy's certificate opens another proxy. Certificates that the user gives take the place of ours. What is in force is
//! a watch channel: `push` and `observe` build new clients when it changes ([`client`]).

mod authority;
mod ca_bundle;
pub mod client;
mod directory;
mod files;
mod identity;
mod restart;
mod rotation;
mod secrets;
mod webhook;

#[cfg(test)]
mod tests;

pub use authority::{Authority, Error, KeyPairPem, Validity};
pub use ca_bundle::{CaBundleSettings, keep as keep_ca_bundle};
pub use directory::{DirectoryError, PkiDirectory};
pub use files::{CertificateFiles, FileError};
pub(crate) use identity::MAX_REQUEST;
pub use identity::{AUDIENCE, IdentityIssuer, IdentitySettings, IssuingMaterial, Refusal};
pub use restart::{Workload, restart_before_expiry};
pub use secrets::{FleetKnowledge, Issuing, ROTATE, SecretSettings, run as keep_secrets};
pub use webhook::{WebhookCertificate, WebhookSecretSettings, keep as keep_webhook_secret};

/// The name in the controller's client certificate.
pub const CONTROLLER_NAME: &str = "controller.silverback.internal";

/// What the controller shows to proxies, and whom it trusts; PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateMaterial {
    /// Authorities that sign the proxies' certificates; those of the system when `None`.
    pub authorities: Option<String>,
    /// The controller's certificate and key.
    pub client: Option<KeyPairPem>,
    /// Whether authorities or the proxies' certificates are being replaced: then connections are made anew more often, to
    /// see what proxies show.
    pub changing: bool,
}
