//! What is served, and the log.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, ValueEnum};

use crate::cli::value;

const SERVING: &str = "What is served";
const LOGS: &str = "Logs";

/// Flags of what is served.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServingArguments {
    /// Where /healthz and /readyz are; :10254 in a cluster, 127.0.0.1:10254 outside of one; "off" serves none.
    #[arg(long, env = "CONTROLLER_HEALTH_PROBE_BIND_ADDRESS", value_name = "ADDRESS", help_heading = SERVING)]
    pub(crate) health_probe_bind_address: Option<String>,
    /// Where /metrics is; :10255 in a cluster, 127.0.0.1:10255 outside of one; "off" serves none.
    #[arg(long, env = "CONTROLLER_METRICS_BIND_ADDRESS", value_name = "ADDRESS", help_heading = SERVING)]
    pub(crate) metrics_bind_address: Option<String>,
    /// Where the dashboard is; "off" serves none.
    #[arg(long, env = "CONTROLLER_DASHBOARD_BIND_ADDRESS", value_name = "ADDRESS", default_value = "127.0.0.1:10256", help_heading = SERVING)]
    pub(crate) dashboard_bind_address: String,
    /// How long to go on after SIGTERM, once the Lease is released.
    #[arg(long, env = "CONTROLLER_TERM_DELAY", value_name = "DURATION", default_value = "0s", value_parser = value::duration, help_heading = SERVING)]
    pub(crate) term_delay: Duration,

    /// Kong Ingress Controller's way to choose the dashboard's port, on loopback.
    #[arg(long, env = "CONTROLLER_DIAGNOSTIC_SERVER_PORT", value_name = "PORT", conflicts_with = "dashboard_bind_address", hide = true, help_heading = SERVING)]
    pub(crate) diagnostic_server_port: Option<u16>,
    /// Who may read /metrics: everybody, or whose token the API server's RBAC allows get on /metrics. That needs `create` on
    /// tokenreviews and subjectaccessreviews (ClusterRole system:auth-delegator).
    #[arg(long, env = "CONTROLLER_METRICS_ACCESS_FILTER", value_name = "WAY", default_value = "off", help_heading = SERVING)]
    pub(crate) metrics_access_filter: AccessFilter,

    /// Least level that is logged.
    #[arg(long, env = "CONTROLLER_LOG_LEVEL", value_name = "LEVEL", default_value = "info", help_heading = LOGS)]
    pub(crate) log_level: LogLevel,
    /// Form of the log, on stderr.
    #[arg(long, env = "CONTROLLER_LOG_FORMAT", value_name = "FORMAT", default_value = "text", help_heading = LOGS)]
    pub(crate) log_format: LogFormat,
}

/// `--metrics-access-filter`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessFilter {
    /// Everybody who reaches it.
    Off,
    /// Whom the API server's RBAC allows it.
    Rbac,
}

/// `--log-level`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
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
pub(crate) enum LogFormat {
    /// Lines for people.
    #[value(alias = "console")]
    Text,
    /// One JSON object a line.
    Json,
}

/// What `off` and addresses of listeners mean.
pub(crate) fn listener(flag: &str, text: &str) -> Result<Option<SocketAddr>, String> {
    if matches!(text, "off" | "0" | "") {
        return Ok(None);
    }
    value::listen_address(text)
        .map(Some)
        .map_err(|problem| format!("--{flag}: {problem}"))
}
