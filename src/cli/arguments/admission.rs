//! The admission webhook.

use std::path::PathBuf;

use clap::Args;

use crate::model::NamespacedName;

const WEBHOOK: &str = "Admission webhook";

/// Flags of the admission webhook.
#[derive(Debug, Clone, Args)]
pub(crate) struct AdmissionArguments {
    /// Where the webhook is, host:port or :port; "off" serves none.
    #[arg(long, env = "CONTROLLER_ADMISSION_WEBHOOK_LISTEN", value_name = "ADDRESS", default_value = "off", help_heading = WEBHOOK)]
    pub(crate) admission_webhook_listen: String,
    /// Its certificate, PEM file, read again when it changes; /admission-webhook/tls.crt if that is there, unless our own
    /// authority issues one.
    #[arg(long, env = "CONTROLLER_ADMISSION_WEBHOOK_CERT_FILE", value_name = "FILE", requires = "admission_webhook_key_file", help_heading = WEBHOOK)]
    pub(crate) admission_webhook_cert_file: Option<PathBuf>,
    /// The certificate's key, PEM file; /admission-webhook/tls.key if that is there.
    #[arg(long, env = "CONTROLLER_ADMISSION_WEBHOOK_KEY_FILE", value_name = "FILE", requires = "admission_webhook_cert_file", help_heading = WEBHOOK)]
    pub(crate) admission_webhook_key_file: Option<PathBuf>,
    /// The certificate, inline PEM.
    #[arg(long, env = "CONTROLLER_ADMISSION_WEBHOOK_CERT", value_name = "PEM", conflicts_with = "admission_webhook_cert_file", requires = "admission_webhook_key", help_heading = WEBHOOK)]
    pub(crate) admission_webhook_cert: Option<String>,
    /// The certificate's key, inline PEM.
    #[arg(long, env = "CONTROLLER_ADMISSION_WEBHOOK_KEY", value_name = "PEM", hide_env_values = true, conflicts_with = "admission_webhook_key_file", requires = "admission_webhook_cert", help_heading = WEBHOOK)]
    pub(crate) admission_webhook_key: Option<String>,
    /// Secret of our own authority and certificate for the webhook, in a cluster; filled when empty.
    #[arg(long, env = "CONTROLLER_ADMISSION_WEBHOOK_SECRET", value_name = "NAMESPACE/NAME", requires = "admission_webhook_service", help_heading = WEBHOOK)]
    pub(crate) admission_webhook_secret: Option<NamespacedName>,
    /// The Service that the API server asks: the name in that certificate.
    #[arg(long, env = "CONTROLLER_ADMISSION_WEBHOOK_SERVICE", value_name = "NAMESPACE/NAME", requires = "admission_webhook_secret", help_heading = WEBHOOK)]
    pub(crate) admission_webhook_service: Option<NamespacedName>,
    /// The ValidatingWebhookConfiguration whose caBundle the leader sets, with a certificate of our own.
    #[arg(long, env = "CONTROLLER_ADMISSION_WEBHOOK_CONFIGURATION", value_name = "NAME", requires = "admission_webhook_secret", help_heading = WEBHOOK)]
    pub(crate) admission_webhook_configuration: Option<String>,
}
