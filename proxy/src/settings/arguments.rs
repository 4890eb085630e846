//! The command line and the environment, as text.

use clap::{Args, ValueEnum};

/// Settings of the proxy. Each of Kong's variables has a flag of the same meaning; an empty variable counts as unset.
#[derive(Debug, Clone, Default, Args)]
pub struct ProxyArguments {
    /// Where traffic arrives: ADDRESS:PORT with ssl, http2, reuseport, backlog=N, ipv6only=off; several by comma; or off
    /// [default: 127.0.0.1:8000, 127.0.0.1:8443 http2 ssl]
    #[arg(
        long,
        env = "KONG_PROXY_LISTEN",
        value_name = "LISTENERS",
        help_heading = "Listeners"
    )]
    pub proxy_listen: Option<String>,
    /// Where the Admin API is served; beyond loopback only with ssl and verified clients
    /// [default: 127.0.0.1:8444 http2 ssl]
    #[arg(
        long,
        env = "KONG_ADMIN_LISTEN",
        value_name = "LISTENERS",
        help_heading = "Listeners"
    )]
    pub admin_listen: Option<String>,
    /// Where readiness and metrics are served, over plain HTTP [default: 127.0.0.1:8100]
    #[arg(
        long,
        env = "KONG_STATUS_LISTEN",
        value_name = "LISTENERS",
        help_heading = "Listeners"
    )]
    pub status_listen: Option<String>,

    /// Certificate chain of the Admin API (PEM), read again when it changes; on loopback one is made where none is given
    #[arg(long, env = "KONG_ADMIN_SSL_CERT", value_name = "FILE", help_heading = "Admin API")]
    pub admin_ssl_cert: Option<String>,
    /// Key of that certificate (PEM)
    #[arg(
        long,
        env = "KONG_ADMIN_SSL_CERT_KEY",
        value_name = "FILE",
        help_heading = "Admin API"
    )]
    pub admin_ssl_cert_key: Option<String>,
    /// Whether clients must show a certificate: on or off; off only on loopback
    /// [default: on, but off on loopback where no authority is given]
    #[arg(
        long,
        alias = "nginx-admin-ssl-verify-client",
        env = "KONG_NGINX_ADMIN_SSL_VERIFY_CLIENT",
        value_name = "ON|OFF",
        help_heading = "Admin API"
    )]
    pub admin_ssl_verify_client: Option<String>,
    /// Authorities that sign clients' certificates (PEM), read again when it changes
    #[arg(
        long,
        alias = "nginx-admin-ssl-client-certificate",
        env = "KONG_NGINX_ADMIN_SSL_CLIENT_CERTIFICATE",
        value_name = "FILE",
        help_heading = "Admin API"
    )]
    pub admin_ssl_client_certificate: Option<String>,
    /// Accept only clients whose certificate bears this DNS name, URI or common name; repeatable
    #[arg(
        long,
        env = "SILVERBACK_PROXY_ADMIN_CLIENT_NAME",
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Admin API"
    )]
    pub admin_client_name: Vec<String>,
    /// Get the certificate of the Admin API from the controller at this https:// address, in the name of this pod, in place
    /// of --admin-ssl-cert; its key never leaves the pod
    #[arg(
        long,
        env = "SILVERBACK_PROXY_IDENTITY_URL",
        value_name = "URL",
        help_heading = "Admin API"
    )]
    pub identity_url: Option<String>,
    /// The projected token that says which pod this is, of the audience identity.gateway.silverback.dev
    /// [default: /var/run/secrets/silverback/token]
    #[arg(
        long,
        env = "SILVERBACK_PROXY_IDENTITY_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Admin API"
    )]
    pub identity_token_file: Option<String>,
    /// Largest body of a request to the Admin API, as nginx writes sizes [default: 10m]
    #[arg(
        long,
        alias = "nginx-admin-client-max-body-size",
        env = "KONG_NGINX_ADMIN_CLIENT_MAX_BODY_SIZE",
        value_name = "SIZE",
        help_heading = "Admin API"
    )]
    pub admin_client_max_body_size: Option<String>,

    /// Certificate chain of TLS proxy listeners for server names that the configuration has none for (PEM), read again
    /// when it changes [default: self-signed]
    #[arg(long, env = "KONG_SSL_CERT", value_name = "FILE", help_heading = "Traffic")]
    pub ssl_cert: Option<String>,
    /// Key of that certificate (PEM)
    #[arg(long, env = "KONG_SSL_CERT_KEY", value_name = "FILE", help_heading = "Traffic")]
    pub ssl_cert_key: Option<String>,
    /// Load balancers before the proxy that are believed about their clients: addresses and networks, by comma
    #[arg(long, env = "KONG_TRUSTED_IPS", value_name = "LIST", help_heading = "Traffic")]
    pub trusted_ips: Option<String>,
    /// Header in which a trusted load balancer names the client's address [default: X-Real-IP]
    #[arg(long, env = "KONG_REAL_IP_HEADER", value_name = "HEADER", help_heading = "Traffic")]
    pub real_ip_header: Option<String>,
    /// Whether trusted addresses in that header are passed over [default: off]
    #[arg(
        long,
        env = "KONG_REAL_IP_RECURSIVE",
        value_name = "ON|OFF",
        help_heading = "Traffic"
    )]
    pub real_ip_recursive: Option<String>,
    /// Ports that clients see, by comma as SEEN:LISTENER, for X-Forwarded-Port
    #[arg(long, env = "KONG_PORT_MAPS", value_name = "LIST", help_heading = "Traffic")]
    pub port_maps: Option<String>,
    /// How routes are matched: traditional_compatible or traditional [default: traditional_compatible]
    #[arg(long, env = "KONG_ROUTER_FLAVOR", value_name = "FLAVOR", help_heading = "Traffic")]
    pub router_flavor: Option<String>,
    /// Authorities for upstream certificates: system and PEM files, by comma [default: system]
    #[arg(
        long,
        alias = "lua-ssl-trusted-certificate",
        env = "KONG_LUA_SSL_TRUSTED_CERTIFICATE",
        value_name = "LIST",
        help_heading = "Traffic"
    )]
    pub trusted_certificate: Option<String>,
    /// Name servers as ADDRESS or ADDRESS:PORT, by comma [default: those of the system]
    #[arg(long, env = "KONG_DNS_RESOLVER", value_name = "LIST", help_heading = "Traffic")]
    pub dns_resolver: Option<String>,
    /// Headers that the proxy adds, by comma, or off [default: server_tokens, latency_tokens, X-Kong-Request-Id]
    #[arg(long, env = "KONG_HEADERS", value_name = "LIST", help_heading = "Traffic")]
    pub headers: Option<String>,
    /// Whether Kong-Debug: 1 in a request is answered with the route and service that it met [default: off]
    #[arg(
        long,
        env = "KONG_ALLOW_DEBUG_HEADER",
        value_name = "ON|OFF",
        help_heading = "Traffic"
    )]
    pub allow_debug_header: Option<String>,
    /// Idle connections kept per upstream address [default: 512]
    #[arg(
        long,
        env = "KONG_UPSTREAM_KEEPALIVE_POOL_SIZE",
        value_name = "NUMBER",
        help_heading = "Traffic"
    )]
    pub upstream_keepalive_pool_size: Option<String>,
    /// Requests after which a connection to an upstream is closed; 0: no limit [default: 10000]
    #[arg(
        long,
        env = "KONG_UPSTREAM_KEEPALIVE_MAX_REQUESTS",
        value_name = "NUMBER",
        help_heading = "Traffic"
    )]
    pub upstream_keepalive_max_requests: Option<String>,
    /// Seconds that an idle connection to an upstream is kept; 0: no limit [default: 60]
    #[arg(
        long,
        env = "KONG_UPSTREAM_KEEPALIVE_IDLE_TIMEOUT",
        value_name = "SECONDS",
        help_heading = "Traffic"
    )]
    pub upstream_keepalive_idle_timeout: Option<String>,

    /// Only off: the proxy has no database [default: off]
    #[arg(long, env = "KONG_DATABASE", value_name = "OFF", help_heading = "Configuration")]
    pub database: Option<String>,
    /// A declarative configuration (JSON or YAML) to start with when none was kept
    #[arg(
        long,
        env = "KONG_DECLARATIVE_CONFIG",
        value_name = "FILE",
        help_heading = "Configuration"
    )]
    pub declarative_config: Option<String>,
    /// Keep the last accepted configuration in this file, across restarts; it holds secrets and gets mode 0600
    #[arg(
        long,
        env = "SILVERBACK_PROXY_CONFIGURATION_FILE",
        value_name = "FILE",
        help_heading = "Configuration"
    )]
    pub configuration_file: Option<String>,
    /// Directory that relative paths of --configuration-file start from [default: /usr/local/kong]
    #[arg(long, env = "KONG_PREFIX", value_name = "DIR", help_heading = "Configuration")]
    pub prefix: Option<String>,
    /// UUID of this process [default: a new one at each start]
    #[arg(long, env = "KONG_NODE_ID", value_name = "UUID", help_heading = "Configuration")]
    pub node_id: Option<String>,

    /// How much is logged: debug, info, notice, warn, error, crit [default: notice]
    #[arg(long, env = "KONG_LOG_LEVEL", value_name = "LEVEL", help_heading = "Process")]
    pub log_level: Option<String>,
    /// How it is logged, to standard error
    #[arg(
        long,
        env = "SILVERBACK_PROXY_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Process"
    )]
    pub log_format: LogFormat,
    /// How long to keep serving, not ready, after SIGTERM before listeners close [default: 0s]
    #[arg(
        long,
        env = "SILVERBACK_PROXY_DRAIN_DELAY",
        value_name = "TIME",
        help_heading = "Process"
    )]
    pub drain_delay: Option<String>,
    /// How long a connection without a request is kept after that: one that is on its way is answered [default: 5s]
    #[arg(
        long,
        env = "SILVERBACK_PROXY_DRAIN_IDLE",
        value_name = "TIME",
        help_heading = "Process"
    )]
    pub drain_idle: Option<String>,
    /// How long requests under way may take to end after listeners closed [default: 30s]
    #[arg(
        long,
        env = "SILVERBACK_PROXY_DRAIN_TIMEOUT",
        value_name = "TIME",
        help_heading = "Process"
    )]
    pub drain_timeout: Option<String>,
    /// How long to wait at the start for certificate files that are not there yet [default: 60s]
    #[arg(
        long,
        env = "SILVERBACK_PROXY_CERTIFICATE_WAIT",
        value_name = "TIME",
        help_heading = "Process"
    )]
    pub certificate_wait: Option<String>,
    /// End when standard input is closed: a parent that is killed leaves no process behind
    #[arg(long, env = "SILVERBACK_PROXY_EXIT_ON_STDIN_CLOSE", help_heading = "Process")]
    pub exit_on_stdin_close: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
