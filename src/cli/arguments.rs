//! The flags of `run`. Each has a variable `CONTROLLER_<FLAG>`; those that Kong Ingress Controller has keep their names,
//! defaults and meaning (its command line reference).

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::value;
use crate::model::NamespacedName;

const SOURCE: &str = "Where objects come from";
const ADMIN: &str = "The proxies' Admin API";
const PUSH: &str = "Pushing and probing";
const CERTIFICATES: &str = "Certificates";
const TRANSLATION: &str = "Translation";
const STATUS: &str = "Statuses and events";
const LEADERSHIP: &str = "Leadership";
const SERVING: &str = "What is served";
const LOGS: &str = "Logs";

/// Flags of `silverback run`.
#[derive(Debug, Clone, Args)]
pub(super) struct RunArguments {
    /// Read manifests from this directory instead of a cluster.
    #[arg(long, env = "CONTROLLER_DIRECTORY", value_name = "DIR", help_heading = SOURCE, conflicts_with_all = ["kubeconfig", "kong_admin_svc"])]
    pub(super) directory: Option<PathBuf>,
    /// Kubeconfig file; without it the pod's own access is used, or $KUBECONFIG.
    #[arg(long, env = "CONTROLLER_KUBECONFIG", value_name = "FILE", help_heading = SOURCE)]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Address of the API server, in place of the kubeconfig's.
    #[arg(long, env = "CONTROLLER_APISERVER_HOST", value_name = "URL", help_heading = SOURCE)]
    pub(super) apiserver_host: Option<String>,
    /// Namespaces to watch, comma separated; all when empty. Those of --publish-service and --kong-admin-svc are added.
    #[arg(long, env = "CONTROLLER_WATCH_NAMESPACE", value_name = "NAMES", value_delimiter = ',', help_heading = SOURCE)]
    pub(super) watch_namespace: Vec<String>,

    /// Admin API addresses of the proxies (repeatable). Takes the place of --kong-admin-svc.
    #[arg(long = "kong-admin-url", visible_alias = "proxy", env = "CONTROLLER_KONG_ADMIN_URL", value_name = "URL", value_delimiter = ',', help_heading = ADMIN, conflicts_with = "kong_admin_svc")]
    pub(super) kong_admin_url: Vec<String>,
    /// The Services whose EndpointSlices list the proxies, namespace/name.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_SVC", value_name = "NAMESPACE/NAME", value_delimiter = ',', help_heading = ADMIN)]
    pub(super) kong_admin_svc: Vec<NamespacedName>,
    /// Names of the Service ports that are Admin APIs, in order of preference.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_SVC_PORT_NAMES", value_name = "NAMES", value_delimiter = ',', default_value = "admin-tls,kong-admin-tls", help_heading = ADMIN)]
    pub(super) kong_admin_svc_port_names: Vec<String>,
    /// Token sent as Kong-Admin-Token.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true, help_heading = ADMIN)]
    pub(super) kong_admin_token: Option<String>,
    /// File with that token.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TOKEN_FILE", value_name = "FILE", conflicts_with = "kong_admin_token", help_heading = ADMIN)]
    pub(super) kong_admin_token_file: Option<PathBuf>,
    /// Header for each request, name:value (repeatable).
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_HEADER", value_name = "NAME:VALUE", value_delimiter = ',', hide_env_values = true, help_heading = ADMIN)]
    pub(super) kong_admin_header: Vec<String>,
    /// Workspace (Enterprise): prefix of every path.
    #[arg(long, env = "CONTROLLER_KONG_WORKSPACE", value_name = "NAME", default_value = "", help_heading = ADMIN)]
    pub(super) kong_workspace: String,

    /// How often each proxy is asked what it runs.
    #[arg(long, env = "CONTROLLER_PROBE_INTERVAL", value_name = "DURATION", default_value = "5s", value_parser = value::duration, help_heading = PUSH)]
    pub(super) probe_interval: Duration,
    /// Limit of one push to one proxy, in seconds.
    #[arg(long, env = "CONTROLLER_PROXY_TIMEOUT_SECONDS", value_name = "SECONDS", default_value = "30", value_parser = value::seconds, help_heading = PUSH)]
    pub(super) proxy_timeout_seconds: Duration,
    /// Share of its time that a Kong proxy may spend applying configurations, in percent; 100 does not pace.
    #[arg(long, env = "CONTROLLER_PUSH_DUTY", value_name = "PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u8).range(1..=100), help_heading = PUSH)]
    pub(super) push_duty: u8,
    /// How many proxies are pushed to at once.
    #[arg(long, env = "CONTROLLER_MAX_CONCURRENT_PUSHES", value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..), help_heading = PUSH)]
    pub(super) max_concurrent_pushes: u32,
    /// Bytes a second over all pushes (10M); 0 is no limit.
    #[arg(long, env = "CONTROLLER_MAX_PUSH_BANDWIDTH", value_name = "BYTES", default_value = "0", value_parser = value::byte_count, help_heading = PUSH)]
    pub(super) max_push_bandwidth: u64,

    /// Client certificate shown to the proxies, PEM file.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_CLIENT_CERT_FILE", value_name = "FILE", requires = "kong_admin_tls_client_key_file", help_heading = CERTIFICATES)]
    pub(super) kong_admin_tls_client_cert_file: Option<PathBuf>,
    /// Its key, PEM file.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_CLIENT_KEY_FILE", value_name = "FILE", requires = "kong_admin_tls_client_cert_file", help_heading = CERTIFICATES)]
    pub(super) kong_admin_tls_client_key_file: Option<PathBuf>,
    /// Client certificate, inline PEM.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_CLIENT_CERT", value_name = "PEM", conflicts_with = "kong_admin_tls_client_cert_file", requires = "kong_admin_tls_client_key", help_heading = CERTIFICATES)]
    pub(super) kong_admin_tls_client_cert: Option<String>,
    /// Its key, inline PEM.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_CLIENT_KEY", value_name = "PEM", hide_env_values = true, conflicts_with = "kong_admin_tls_client_key_file", requires = "kong_admin_tls_client_cert", help_heading = CERTIFICATES)]
    pub(super) kong_admin_tls_client_key: Option<String>,
    /// Authorities that the proxies' certificates must come from, PEM file.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_CA_CERT_FILE", value_name = "FILE", help_heading = CERTIFICATES)]
    pub(super) kong_admin_ca_cert_file: Option<PathBuf>,
    /// The same, inline PEM.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_CA_CERT", value_name = "PEM", conflicts_with = "kong_admin_ca_cert_file", help_heading = CERTIFICATES)]
    pub(super) kong_admin_ca_cert: Option<String>,
    /// Name that the proxies' certificates must bear; discovered ones bear pod.<service>.<namespace>.svc whatever it says.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_SERVER_NAME", value_name = "NAME", default_value = "", help_heading = CERTIFICATES)]
    pub(super) kong_admin_tls_server_name: String,
    /// Do not verify the proxies' certificates.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TLS_SKIP_VERIFY", value_name = "BOOL", default_value_t = false, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = CERTIFICATES)]
    pub(super) kong_admin_tls_skip_verify: bool,
    /// Where our own authorities are kept outside of a cluster (made when missing).
    #[arg(long, env = "CONTROLLER_PKI_DIRECTORY", value_name = "DIR", help_heading = CERTIFICATES)]
    pub(super) pki_directory: Option<PathBuf>,
    /// Secret of our own authorities with their keys, in a cluster; filled when empty.
    #[arg(long, env = "CONTROLLER_CA_SECRET", value_name = "NAMESPACE/NAME", requires = "proxy_certificate_secret", help_heading = CERTIFICATES)]
    pub(super) ca_secret: Option<NamespacedName>,
    /// Secret that the proxy pods mount (tls.crt, tls.key, ca.crt), in a cluster; filled when empty.
    #[arg(long, env = "CONTROLLER_PROXY_CERTIFICATE_SECRET", value_name = "NAMESPACE/NAME", requires = "ca_secret", help_heading = CERTIFICATES)]
    pub(super) proxy_certificate_secret: Option<NamespacedName>,

    /// Name of the IngressClass that is ours.
    #[arg(long, env = "CONTROLLER_INGRESS_CLASS", value_name = "NAME", default_value = "kong", help_heading = TRANSLATION)]
    pub(super) ingress_class: String,
    /// Appended to the DNS names of Services that are targets themselves.
    #[arg(long, env = "CONTROLLER_CLUSTER_DOMAIN", value_name = "DOMAIN", default_value = "", help_heading = TRANSLATION)]
    pub(super) cluster_domain: String,
    /// Keep terminating endpoints as targets of weight 0.
    #[arg(long, env = "CONTROLLER_ENABLE_DRAIN_SUPPORT", value_name = "BOOL", default_value_t = false, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = TRANSLATION)]
    pub(super) enable_drain_support: bool,
    /// What a route gets whose plugin is missing: 503, or nothing as with Kong Ingress Controller.
    #[arg(long, env = "CONTROLLER_MISSING_PLUGIN", value_name = "WAY", default_value = "fail-closed", help_heading = TRANSLATION)]
    pub(super) missing_plugin: MissingPluginArgument,
    /// Take objects as they are: no defaulting, no invented identities (directory mode).
    #[arg(long, env = "CONTROLLER_RAW_OBJECTS", value_name = "BOOL", default_value_t = false, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, requires = "directory", help_heading = TRANSLATION)]
    pub(super) raw_objects: bool,

    /// The proxies' own Service, whose addresses go into statuses, namespace/name.
    #[arg(long, env = "CONTROLLER_PUBLISH_SERVICE", value_name = "NAMESPACE/NAME", help_heading = STATUS)]
    pub(super) publish_service: Option<NamespacedName>,
    /// Addresses for statuses in place of that Service's, comma separated.
    #[arg(long, env = "CONTROLLER_PUBLISH_STATUS_ADDRESS", value_name = "ADDRESSES", value_delimiter = ',', help_heading = STATUS)]
    pub(super) publish_status_address: Vec<String>,
    /// Write statuses of the users' objects.
    #[arg(long, env = "CONTROLLER_UPDATE_STATUS", value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = STATUS)]
    pub(super) update_status: bool,
    /// Write events.
    #[arg(long, env = "CONTROLLER_EMIT_KUBERNETES_EVENTS", value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = STATUS)]
    pub(super) emit_kubernetes_events: bool,
    /// Status writes a second.
    #[arg(long, env = "CONTROLLER_STATUS_QPS", value_name = "RATE", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), help_heading = STATUS)]
    pub(super) status_qps: u32,
    /// Status writes that may come at once.
    #[arg(long, env = "CONTROLLER_STATUS_BURST", value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..), help_heading = STATUS)]
    pub(super) status_burst: u32,

    /// Name of the Lease.
    #[arg(long, env = "CONTROLLER_ELECTION_ID", value_name = "NAME", default_value = "silverback.gateway.silverback.dev", help_heading = LEADERSHIP)]
    pub(super) election_id: String,
    /// Its namespace; the pod's own when empty.
    #[arg(long, env = "CONTROLLER_ELECTION_NAMESPACE", value_name = "NAME", default_value = "", help_heading = LEADERSHIP)]
    pub(super) election_namespace: String,

    /// Where /healthz and /readyz are; :10254 in a cluster, 127.0.0.1:10254 outside of one; "off" serves none.
    #[arg(long, env = "CONTROLLER_HEALTH_PROBE_BIND_ADDRESS", value_name = "ADDRESS", help_heading = SERVING)]
    pub(super) health_probe_bind_address: Option<String>,
    /// Where /metrics is; :10255 in a cluster, 127.0.0.1:10255 outside of one; "off" serves none.
    #[arg(long, env = "CONTROLLER_METRICS_BIND_ADDRESS", value_name = "ADDRESS", help_heading = SERVING)]
    pub(super) metrics_bind_address: Option<String>,
    /// Where the dashboard is; "off" serves none.
    #[arg(long, env = "CONTROLLER_DASHBOARD_BIND_ADDRESS", value_name = "ADDRESS", default_value = "127.0.0.1:10256", help_heading = SERVING)]
    pub(super) dashboard_bind_address: String,
    /// How long to go on after SIGTERM, once the Lease is released.
    #[arg(long, env = "CONTROLLER_TERM_DELAY", value_name = "DURATION", default_value = "0s", value_parser = value::duration, help_heading = SERVING)]
    pub(super) term_delay: Duration,

    /// Least level that is logged.
    #[arg(long, env = "CONTROLLER_LOG_LEVEL", value_name = "LEVEL", default_value = "info", help_heading = LOGS)]
    pub(super) log_level: LogLevel,
    /// Form of the log, on stderr.
    #[arg(long, env = "CONTROLLER_LOG_FORMAT", value_name = "FORMAT", default_value = "text", help_heading = LOGS)]
    pub(super) log_format: LogFormat,
}

/// `--missing-plugin`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum MissingPluginArgument {
    /// The route answers 503.
    FailClosed,
    /// The route runs without it.
    Omit,
}

/// `--log-level`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    /// Everything.
    Trace,
    /// For developers.
    Debug,
    /// What happens.
    Info,
    /// What should not happen.
    #[value(alias = "warning")]
    Warn,
    /// What went wrong.
    Error,
}

/// `--log-format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people.
    #[value(alias = "console")]
    Text,
    /// One JSON object a line.
    Json,
}

/// What `off` and addresses of listeners mean.
pub(super) fn listener(flag: &str, text: &str) -> Result<Option<SocketAddr>, String> {
    if matches!(text, "off" | "0" | "") {
        return Ok(None);
    }
    value::listen_address(text)
        .map(Some)
        .map_err(|problem| format!("--{flag}: {problem}"))
}
