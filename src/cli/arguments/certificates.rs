//! Certificates for the Admin APIs.

use std::path::PathBuf;

use clap::Args;

use crate::{cli::switch::boolean, model::NamespacedName, pki::Workload};

const CERTIFICATES: &str = "Certificates";

/// Flags of the certificates.
#[derive(Debug, Clone, Args)]
pub(crate) struct CertificateArguments {
    /// Client certificate shown to the proxies, PEM file.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_CLIENT_CERT_FILE", value_name = "FILE", requires = "kong_admin_tls_client_key_file", help_heading = CERTIFICATES)]
    pub(crate) kong_admin_tls_client_cert_file: Option<PathBuf>,
    /// Its key, PEM file.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_CLIENT_KEY_FILE", value_name = "FILE", requires = "kong_admin_tls_client_cert_file", help_heading = CERTIFICATES)]
    pub(crate) kong_admin_tls_client_key_file: Option<PathBuf>,
    /// Client certificate, inline PEM.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_CLIENT_CERT", value_name = "PEM", conflicts_with = "kong_admin_tls_client_cert_file", requires = "kong_admin_tls_client_key", help_heading = CERTIFICATES)]
    pub(crate) kong_admin_tls_client_cert: Option<String>,
    /// Its key, inline PEM.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_CLIENT_KEY", value_name = "PEM", hide_env_values = true, conflicts_with = "kong_admin_tls_client_key_file", requires = "kong_admin_tls_client_cert", help_heading = CERTIFICATES)]
    pub(crate) kong_admin_tls_client_key: Option<String>,
    /// Authorities that the proxies' certificates must come from, PEM file.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_CA_CERT_FILE", value_name = "FILE", help_heading = CERTIFICATES)]
    pub(crate) kong_admin_ca_cert_file: Option<PathBuf>,
    /// The same, inline PEM.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_CA_CERT", value_name = "PEM", conflicts_with = "kong_admin_ca_cert_file", help_heading = CERTIFICATES)]
    pub(crate) kong_admin_ca_cert: Option<String>,
    /// Name that the proxies' certificates must bear; discovered ones bear pod.<service>.<namespace>.svc whatever it says.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_SERVER_NAME", value_name = "NAME", default_value = "", help_heading = CERTIFICATES)]
    pub(crate) kong_admin_tls_server_name: String,
    /// Do not verify the proxies' certificates.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_SKIP_VERIFY", value_name = "BOOL", default_value = "false", value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = CERTIFICATES)]
    pub(crate) kong_admin_tls_skip_verify: bool,
    /// Where our own authorities are kept outside of a cluster (made when missing).
    #[arg(long, env = "CONTROLLER_PKI_DIRECTORY", value_name = "DIR", help_heading = CERTIFICATES)]
    pub(crate) pki_directory: Option<PathBuf>,
    /// Secret of our own authorities with their keys, in a cluster; filled when empty.
    #[arg(long, env = "CONTROLLER_CA_SECRET", value_name = "NAMESPACE/NAME", requires = "proxy_certificate_secret", help_heading = CERTIFICATES)]
    pub(crate) ca_secret: Option<NamespacedName>,
    /// Secret that the proxy pods mount (tls.crt, tls.key, ca.crt), in a cluster; filled when empty.
    #[arg(long, env = "CONTROLLER_PROXY_CERTIFICATE_SECRET", value_name = "NAMESPACE/NAME", requires = "ca_secret", help_heading = CERTIFICATES)]
    pub(crate) proxy_certificate_secret: Option<NamespacedName>,
    /// Where embedded proxies get certificates of their own, host:port or :port, whose keys never leave their pods; "off":
    /// all share the one in --proxy-certificate-secret.
    #[arg(long, env = "CONTROLLER_PROXY_IDENTITY_LISTEN", value_name = "ADDRESS", default_value = "off", help_heading = CERTIFICATES)]
    pub(crate) proxy_identity_listen: String,
    /// The Service that proxies ask there: the name in the certificate that it shows.
    #[arg(long, env = "CONTROLLER_PROXY_IDENTITY_SERVICE", value_name = "NAMESPACE/NAME", help_heading = CERTIFICATES)]
    pub(crate) proxy_identity_service: Option<NamespacedName>,
    /// ServiceAccount whose pods may have a certificate of a proxy; repeatable.
    #[arg(long, env = "CONTROLLER_PROXY_SERVICE_ACCOUNT", value_name = "NAMESPACE/NAME", value_delimiter = ',', help_heading = CERTIFICATES)]
    pub(crate) proxy_service_account: Vec<NamespacedName>,
    /// Workload that is restarted when its proxies have to read a new certificate of their Admin API, which Kong does at its
    /// start only; repeatable. With certificates in files: before those that its proxies show expire.
    #[arg(long, env = "CONTROLLER_RESTART_WORKLOAD", value_name = "KIND/NAMESPACE/NAME", value_delimiter = ',', help_heading = CERTIFICATES)]
    pub(crate) restart_workload: Vec<Workload>,
}
