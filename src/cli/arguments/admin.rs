//! How the proxies are found, reached and pushed to.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::{
    cli::{switch::boolean, value},
    model::NamespacedName,
};

const ADMIN: &str = "The proxies' Admin API";
const PUSH: &str = "Pushing and probing";

/// Flags of the Admin API.
#[derive(Debug, Clone, Args)]
pub(crate) struct AdminArguments {
    /// Admin API addresses of the proxies (repeatable; CONTROLLER_PROXY is the same variable). Takes the place of --kong-admin-svc.
    #[arg(long = "kong-admin-url", visible_alias = "proxy", env = "CONTROLLER_KONG_ADMIN_URL", value_name = "URL", value_delimiter = ',', help_heading = ADMIN, conflicts_with = "kong_admin_svc")]
    pub(crate) kong_admin_url: Vec<String>,
    /// The Services whose EndpointSlices list the proxies, namespace/name.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_SVC", value_name = "NAMESPACE/NAME", value_delimiter = ',', help_heading = ADMIN)]
    pub(crate) kong_admin_svc: Vec<NamespacedName>,
    /// Names of the Service ports that are Admin APIs, in order of preference.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_SVC_PORT_NAMES", value_name = "NAMES", value_delimiter = ',', default_value = "admin-tls,kong-admin-tls", help_heading = ADMIN)]
    pub(crate) kong_admin_svc_port_names: Vec<String>,
    /// Token sent as Kong-Admin-Token.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true, help_heading = ADMIN)]
    pub(crate) kong_admin_token: Option<String>,
    /// File with that token.
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_TOKEN_FILE", value_name = "FILE", conflicts_with = "kong_admin_token", help_heading = ADMIN)]
    pub(crate) kong_admin_token_file: Option<PathBuf>,
    /// Header for each request, name:value (repeatable).
    #[arg(long, env = "CONTROLLER_KONG_ADMIN_HEADER", value_name = "NAME:VALUE", value_delimiter = ',', hide_env_values = true, help_heading = ADMIN)]
    pub(crate) kong_admin_header: Vec<String>,
    /// Refused: for workspaces of a database.
    #[arg(long, env = "CONTROLLER_SKIP_CA_CERTIFICATES", value_name = "BOOL", default_value = "false", value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, hide = true, help_heading = ADMIN)]
    pub(crate) skip_ca_certificates: bool,

    /// How often each proxy is asked what it runs.
    #[arg(long, env = "CONTROLLER_PROBE_INTERVAL", value_name = "DURATION", default_value = "5s", value_parser = value::positive_duration, help_heading = PUSH)]
    pub(crate) probe_interval: Duration,
    /// Kong Ingress Controller's name of --probe-interval; at least 3s.
    #[arg(long, env = "CONTROLLER_GATEWAY_DISCOVERY_READINESS_CHECK_INTERVAL", value_name = "DURATION", value_parser = value::duration, conflicts_with = "probe_interval", help_heading = PUSH)]
    pub(crate) gateway_discovery_readiness_check_interval: Option<Duration>,
    /// How long a proxy may take to answer when it is asked; at most the interval; by default two fifths
    /// of it, from 1s to 5s.
    #[arg(long, env = "CONTROLLER_GATEWAY_DISCOVERY_READINESS_CHECK_TIMEOUT", value_name = "DURATION", value_parser = value::positive_duration, help_heading = PUSH)]
    pub(crate) gateway_discovery_readiness_check_timeout: Option<Duration>,
    /// Limit of one push to one proxy, in seconds.
    #[arg(long, env = "CONTROLLER_PROXY_TIMEOUT_SECONDS", value_name = "SECONDS", default_value = "30", value_parser = value::seconds, help_heading = PUSH)]
    pub(crate) proxy_timeout_seconds: Duration,
    /// Keep an object that a proxy refuses in the version that was accepted last, instead of leaving it out.
    #[arg(long, env = "CONTROLLER_USE_LAST_VALID_CONFIG_FOR_FALLBACK", value_name = "BOOL", default_value = "false", value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = PUSH)]
    pub(crate) use_last_valid_config_for_fallback: bool,
    /// Share of its time that a Kong proxy may spend applying configurations, in percent; 100 does not pace.
    #[arg(long, env = "CONTROLLER_PUSH_DUTY", value_name = "PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u8).range(1..=100), help_heading = PUSH)]
    pub(crate) push_duty: u8,
    /// How many proxies are pushed to at once; a push that takes over 5 s lets another begin, so that a slow proxy delays no other.
    #[arg(long, env = "CONTROLLER_MAX_CONCURRENT_PUSHES", value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..), help_heading = PUSH)]
    pub(crate) max_concurrent_pushes: u32,
    /// Bytes a second over all pushes (10M); 0 is no limit.
    #[arg(long, env = "CONTROLLER_MAX_PUSH_BANDWIDTH", value_name = "BYTES", default_value = "0", value_parser = value::byte_count, help_heading = PUSH)]
    pub(crate) max_push_bandwidth: u64,
}
