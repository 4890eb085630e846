//! Labels that Kong's resources and their Secrets are found by (`kic.md` 3).

/// On a Secret: a credential of consumers, of the type that the value names.
pub const CREDENTIAL: &str = "konghq.com/credential";

/// On a Secret or ConfigMap: a CA certificate, with the value `true`.
pub const CA_CERTIFICATE: &str = "konghq.com/ca-cert";

/// On a KongClusterPlugin: applies to every request, with the value `true`.
pub const GLOBAL: &str = "global";
