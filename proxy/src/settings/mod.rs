//! What the proxy shall be: Kong's environment variables, each with a flag, and a few of our own.
//!
//! [`ProxyArguments`] is what the command line and the environment say, as text. [`Settings`] is what that means, checked
//! as a whole before anything is opened. A mistake names the variable, the flag and the remedy. No file is read and no
//! socket is opened here.

mod arguments;
mod environment;
mod listen;
mod value;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::header::HeaderName;
use ipnet::IpNet;
use proxy_config_schema::RouterFlavor;
use uuid::Uuid;

pub use arguments::{LogFormat, ProxyArguments};
pub use environment::meaningless_variables;
pub use listen::Listener;
use value::{Setting, text};

/// Kong's version whose Admin API and configuration format the proxy follows.
pub const COMPATIBLE_KONG_VERSION: &str = "3.9.1";

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} ({flag}): {message}")]
pub struct SettingsError {
    /// The environment variable.
    pub variable: &'static str,
    /// The flag.
    pub flag: &'static str,
    /// What is wrong, and what helps.
    pub message: String,
}

/// A certificate chain and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPairFiles {
    /// Chain, leaf first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Where a certificate of the Admin API in this pod's own name comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySource {
    /// Host of the controller's endpoint: the name that its certificate must bear.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The projected token, read each time.
    pub token: PathBuf,
    /// Authorities that the controller's certificate must come from, PEM.
    pub authorities: PathBuf,
    /// Where certificate and key are kept.
    pub files: KeyPairFiles,
}

/// Who may use the Admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminClients {
    /// Whoever reaches a loopback listener.
    Anyone,
    /// Clients with a certificate that an authority in this file signed for client authentication.
    Verified {
        /// PEM file with one or more authorities.
        authorities: PathBuf,
        /// When not empty: the certificate must bear one of these as DNS name, URI or common name.
        names: Vec<String>,
    },
}

/// Connections to upstreams that are kept for reuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamKeepalive {
    /// Idle connections per upstream address at the most; 0 keeps none.
    pub pool_size: usize,
    /// Requests after which a connection is closed; 0 is no limit.
    pub max_requests: u64,
    /// How long an idle connection is kept; zero is no limit.
    pub idle_timeout: Duration,
}

/// Load balancers that are believed about where requests come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedPeers {
    /// Where they are.
    pub networks: Vec<IpNet>,
    /// The header in which they name the client's address.
    pub real_ip_header: HeaderName,
    /// Whether trusted addresses in that header are passed over.
    pub recursive: bool,
}

/// Authorities that upstream certificates are verified against, where a service names none of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustedCertificate {
    /// Those of the operating system.
    System,
    /// A PEM file.
    File(PathBuf),
}

/// Everything that a proxy is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where traffic arrives.
    pub proxy_listeners: Vec<Listener>,
    /// Where the Admin API is served.
    pub admin_listeners: Vec<Listener>,
    /// Where readiness and figures are served, over plain HTTP.
    pub status_listeners: Vec<Listener>,
    /// What TLS admin listeners show; a certificate made at the start where there is none, which is for loopback alone.
    pub admin_certificate: Option<KeyPairFiles>,
    /// Where that certificate comes from, when it is in this pod's own name.
    pub identity: Option<IdentitySource>,
    /// Who may use the Admin API.
    pub admin_clients: AdminClients,
    /// Largest body of an Admin API request, in bytes.
    pub admin_body_limit: usize,
    /// What TLS proxy listeners show when the configuration has no certificate for a server name.
    pub proxy_certificate: Option<KeyPairFiles>,
    /// Whose word counts about where requests come from.
    pub trusted_peers: TrustedPeers,
    /// The port that clients see, by the port of the listener.
    pub port_maps: BTreeMap<u16, u16>,
    /// How routes are matched; never by expressions.
    pub router_flavor: RouterFlavor,
    /// Kong's working directory; relative paths of `configuration_file` start here.
    pub prefix: PathBuf,
    /// A configuration that is loaded at the start when none was kept.
    pub declarative_configuration: Option<PathBuf>,
    /// Where the last accepted configuration is kept across restarts.
    pub configuration_file: Option<PathBuf>,
    /// Authorities for upstream certificates.
    pub trusted_certificates: Vec<TrustedCertificate>,
    /// Name servers; empty takes those of the operating system.
    pub dns_resolvers: Vec<SocketAddr>,
    /// Lower-case names of the headers that the proxy adds (Kong's `headers`); empty for `off`.
    pub headers: Vec<String>,
    /// Whether a request with `Kong-Debug: 1` is told which route and service it met.
    pub allow_debug_header: bool,
    /// Connections to upstreams that are kept.
    pub upstream_keepalive: UpstreamKeepalive,
    /// Identity of this process in `GET /` and metrics.
    pub node_id: Uuid,
    /// How long to keep serving after SIGTERM before listeners close.
    pub drain_delay: Duration,
    /// How long a connection without a request is kept after listeners closed.
    pub drain_idle: Duration,
    /// How long requests under way may take to end after listeners closed.
    pub drain_timeout: Duration,
    /// How long to wait at the start for certificate files that are not there yet.
    pub certificate_wait: Duration,
    /// Whether the end of standard input ends the process.
    pub exit_on_stdin_close: bool,
}

/// Kong's default for `headers`.
const DEFAULT_HEADERS: &str = "server_tokens, latency_tokens, X-Kong-Request-Id";

impl Settings {
    /// Checks arguments as a whole.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn from_arguments(arguments: &ProxyArguments) -> Result<Self, SettingsError> {
        let database = Setting::new("KONG_DATABASE", "--database");
        if !matches!(text(&arguments.database), None | Some("off")) {
            return Err(database.error("the embedded proxy has no database; set it to off"));
        }
        let router_flavor = router_flavor(arguments)?;
        let proxy_listeners = listen::parse(
            Setting::new("KONG_PROXY_LISTEN", "--proxy-listen"),
            text(&arguments.proxy_listen).unwrap_or("127.0.0.1:8000, 127.0.0.1:8443 http2 ssl"),
        )?;
        let admin_setting = Setting::new("KONG_ADMIN_LISTEN", "--admin-listen");
        let admin_listeners = listen::parse(
            admin_setting,
            text(&arguments.admin_listen).unwrap_or("127.0.0.1:8444 http2 ssl"),
        )?;
        let status_setting = Setting::new("KONG_STATUS_LISTEN", "--status-listen");
        let status_listeners = listen::parse(
            status_setting,
            text(&arguments.status_listen).unwrap_or("127.0.0.1:8100"),
        )?;
        if status_listeners.iter().any(|listener| listener.tls) {
            return Err(status_setting.error("the status listener speaks plain HTTP only; leave out ssl"));
        }
        let prefix = PathBuf::from(text(&arguments.prefix).unwrap_or("/usr/local/kong"));
        let given_certificate = key_pair(
            Setting::new("KONG_ADMIN_SSL_CERT", "--admin-ssl-cert"),
            Setting::new("KONG_ADMIN_SSL_CERT_KEY", "--admin-ssl-cert-key"),
            &arguments.admin_ssl_cert,
            &arguments.admin_ssl_cert_key,
        )?;
        let admin_clients = admin_clients(arguments, admin_setting, &admin_listeners)?;
        let identity = identity(arguments, given_certificate.as_ref(), &admin_clients, &prefix)?;
        let admin_certificate = identity
            .as_ref()
            .map(|source| source.files.clone())
            .or(given_certificate);
        if let Some(listener) = admin_listeners.iter().find(|one| one.tls && !one.is_loopback())
            && admin_certificate.is_none()
        {
            return Err(Setting::new("KONG_ADMIN_SSL_CERT", "--admin-ssl-cert").error(format!(
                "the admin listener {} needs a certificate; give a PEM file, and its key with KONG_ADMIN_SSL_CERT_KEY",
                listener.address
            )));
        }
        Ok(Self {
            proxy_listeners,
            admin_listeners,
            status_listeners,
            admin_certificate,
            identity,
            admin_clients,
            admin_body_limit: value::bytes(
                Setting::new("KONG_NGINX_ADMIN_CLIENT_MAX_BODY_SIZE", "--admin-client-max-body-size"),
                text(&arguments.admin_client_max_body_size).unwrap_or("10m"),
            )?,
            proxy_certificate: key_pair(
                Setting::new("KONG_SSL_CERT", "--ssl-cert"),
                Setting::new("KONG_SSL_CERT_KEY", "--ssl-cert-key"),
                &arguments.ssl_cert,
                &arguments.ssl_cert_key,
            )?,
            trusted_peers: trusted_peers(arguments)?,
            port_maps: value::port_maps(
                Setting::new("KONG_PORT_MAPS", "--port-maps"),
                text(&arguments.port_maps),
            )?,
            router_flavor,
            declarative_configuration: text(&arguments.declarative_config).map(PathBuf::from),
            configuration_file: text(&arguments.configuration_file).map(|path| prefix.join(path)),
            prefix,
            trusted_certificates: trusted_certificates(arguments),
            dns_resolvers: value::name_servers(
                Setting::new("KONG_DNS_RESOLVER", "--dns-resolver"),
                text(&arguments.dns_resolver),
            )?,
            headers: value::list(text(&arguments.headers).unwrap_or(DEFAULT_HEADERS))
                .map(str::to_ascii_lowercase)
                .filter(|name| name != "off")
                .collect(),
            allow_debug_header: value::switch(
                Setting::new("KONG_ALLOW_DEBUG_HEADER", "--allow-debug-header"),
                text(&arguments.allow_debug_header),
                false,
            )?,
            upstream_keepalive: upstream_keepalive(arguments)?,
            node_id: node_id(arguments)?,
            drain_delay: value::duration(
                Setting::new("SILVERBACK_PROXY_DRAIN_DELAY", "--drain-delay"),
                text(&arguments.drain_delay).unwrap_or("0s"),
            )?,
            drain_idle: value::duration(
                Setting::new("SILVERBACK_PROXY_DRAIN_IDLE", "--drain-idle"),
                text(&arguments.drain_idle).unwrap_or("5s"),
            )?,
            drain_timeout: value::duration(
                Setting::new("SILVERBACK_PROXY_DRAIN_TIMEOUT", "--drain-timeout"),
                text(&arguments.drain_timeout).unwrap_or("30s"),
            )?,
            certificate_wait: value::duration(
                Setting::new("SILVERBACK_PROXY_CERTIFICATE_WAIT", "--certificate-wait"),
                text(&arguments.certificate_wait).unwrap_or("60s"),
            )?,
            exit_on_stdin_close: arguments.exit_on_stdin_close,
        })
    }
}

fn router_flavor(arguments: &ProxyArguments) -> Result<RouterFlavor, SettingsError> {
    let setting = Setting::new("KONG_ROUTER_FLAVOR", "--router-flavor");
    match text(&arguments.router_flavor).unwrap_or("traditional_compatible") {
        "traditional" => Ok(RouterFlavor::Traditional),
        "traditional_compatible" => Ok(RouterFlavor::TraditionalCompatible),
        other => Err(setting.error(format!(
            "the embedded proxy does not route by {other:?}; use traditional_compatible or traditional"
        ))),
    }
}

fn key_pair(
    certificate_setting: Setting,
    key_setting: Setting,
    certificate: &Option<String>,
    key: &Option<String>,
) -> Result<Option<KeyPairFiles>, SettingsError> {
    match (text(certificate), text(key)) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(KeyPairFiles {
            certificate: value::path(certificate_setting, certificate)?,
            key: value::path(key_setting, key)?,
        })),
        (Some(_), None) => {
            Err(key_setting.error(format!("is missing: {} needs its key", certificate_setting.variable)))
        }
        (None, Some(_)) => Err(certificate_setting.error(format!("is missing: {} needs it", key_setting.variable))),
    }
}

/// An Admin API that anyone may use would hand the whole gateway to whoever reaches the port, so that is for loopback only.
fn admin_clients(
    arguments: &ProxyArguments,
    admin_setting: Setting,
    listeners: &[Listener],
) -> Result<AdminClients, SettingsError> {
    let verify = Setting::new("KONG_NGINX_ADMIN_SSL_VERIFY_CLIENT", "--admin-ssl-verify-client");
    let authorities = Setting::new(
        "KONG_NGINX_ADMIN_SSL_CLIENT_CERTIFICATE",
        "--admin-ssl-client-certificate",
    );
    let exposed = listeners.iter().find(|listener| !listener.is_loopback());
    if let Some(listener) = listeners
        .iter()
        .find(|listener| !listener.is_loopback() && !listener.tls)
    {
        return Err(admin_setting.error(format!(
            "{} would serve the Admin API without TLS beyond this machine; add ssl, or listen on 127.0.0.1",
            listener.address
        )));
    }
    match text(&arguments.admin_ssl_verify_client) {
        Some("off") => match exposed {
            Some(listener) => Err(verify.error(format!(
                "may be off only where the Admin API listens on loopback, and it listens on {}; set it to on, with \
                 KONG_NGINX_ADMIN_SSL_CLIENT_CERTIFICATE",
                listener.address
            ))),
            None => Ok(AdminClients::Anyone),
        },
        None | Some("on") => match text(&arguments.admin_ssl_client_certificate) {
            Some(path) => Ok(AdminClients::Verified {
                authorities: value::path(authorities, path)?,
                names: arguments.admin_client_name.clone(),
            }),
            // As Kong: a controller in the same pod (the kong chart's) shows no certificate.
            None if nothing_said(arguments) && exposed.is_none() => Ok(AdminClients::Anyone),
            None if listeners.iter().any(|listener| listener.tls) => Err(authorities.error(
                "is missing: give a PEM file with the authority of the controller's certificate, or set \
                 KONG_NGINX_ADMIN_SSL_VERIFY_CLIENT to off where the Admin API listens on loopback",
            )),
            None => Ok(AdminClients::Anyone),
        },
        Some(other) => Err(verify.error(format!("{other:?} is not known here; use on or off"))),
    }
}

fn trusted_peers(arguments: &ProxyArguments) -> Result<TrustedPeers, SettingsError> {
    let header = Setting::new("KONG_REAL_IP_HEADER", "--real-ip-header");
    let name = text(&arguments.real_ip_header).unwrap_or("X-Real-IP");
    if name == "proxy_protocol" {
        return Err(header.error("the PROXY protocol is not spoken here; name a header such as X-Forwarded-For"));
    }
    Ok(TrustedPeers {
        networks: value::networks(
            Setting::new("KONG_TRUSTED_IPS", "--trusted-ips"),
            text(&arguments.trusted_ips),
        )?,
        real_ip_header: name.parse().map_err(|_| {
            header.error(format!(
                "{name:?} is no name of a header; use X-Real-IP or X-Forwarded-For"
            ))
        })?,
        recursive: value::switch(
            Setting::new("KONG_REAL_IP_RECURSIVE", "--real-ip-recursive"),
            text(&arguments.real_ip_recursive),
            false,
        )?,
    })
}

/// The controller is verified by the authorities that its client certificate is: one trust for both directions.
fn identity(
    arguments: &ProxyArguments,
    given: Option<&KeyPairFiles>,
    clients: &AdminClients,
    prefix: &Path,
) -> Result<Option<IdentitySource>, SettingsError> {
    let setting = Setting::new("SILVERBACK_PROXY_IDENTITY_URL", "--identity-url");
    let Some(url) = text(&arguments.identity_url) else {
        return Ok(None);
    };
    if given.is_some() {
        return Err(setting.error("takes the place of KONG_ADMIN_SSL_CERT and KONG_ADMIN_SSL_CERT_KEY; leave one out"));
    }
    let AdminClients::Verified { authorities, .. } = clients else {
        return Err(setting.error("needs KONG_NGINX_ADMIN_SSL_CLIENT_CERTIFICATE: the controller is verified by it"));
    };
    let invalid = || setting.error(format!("{url:?} is not like https://HOST:PORT"));
    let address: hyper::Uri = url.parse().map_err(|_| invalid())?;
    let host = address.host().filter(|_| address.scheme_str() == Some("https"));
    let host = host
        .filter(|_| matches!(address.path(), "" | "/"))
        .ok_or_else(invalid)?;
    let directory = prefix.join("identity");
    Ok(Some(IdentitySource {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: address.port_u16().unwrap_or(443),
        token: text(&arguments.identity_token_file)
            .unwrap_or("/var/run/secrets/silverback/token")
            .into(),
        authorities: authorities.clone(),
        files: KeyPairFiles {
            certificate: directory.join("tls.crt"),
            key: directory.join("tls.key"),
        },
    }))
}

/// Whether neither a certificate nor a wish to verify clients is given.
fn nothing_said(arguments: &ProxyArguments) -> bool {
    text(&arguments.admin_ssl_verify_client).is_none() && text(&arguments.admin_ssl_cert).is_none()
}

fn trusted_certificates(arguments: &ProxyArguments) -> Vec<TrustedCertificate> {
    value::list(text(&arguments.trusted_certificate).unwrap_or("system"))
        .map(|entry| match entry {
            "system" => TrustedCertificate::System,
            path => TrustedCertificate::File(PathBuf::from(path)),
        })
        .collect()
}

fn upstream_keepalive(arguments: &ProxyArguments) -> Result<UpstreamKeepalive, SettingsError> {
    Ok(UpstreamKeepalive {
        pool_size: value::number(
            Setting::new("KONG_UPSTREAM_KEEPALIVE_POOL_SIZE", "--upstream-keepalive-pool-size"),
            text(&arguments.upstream_keepalive_pool_size),
            512,
        )?,
        max_requests: value::number(
            Setting::new(
                "KONG_UPSTREAM_KEEPALIVE_MAX_REQUESTS",
                "--upstream-keepalive-max-requests",
            ),
            text(&arguments.upstream_keepalive_max_requests),
            10_000,
        )?,
        idle_timeout: Duration::from_secs(value::number(
            Setting::new(
                "KONG_UPSTREAM_KEEPALIVE_IDLE_TIMEOUT",
                "--upstream-keepalive-idle-timeout",
            ),
            text(&arguments.upstream_keepalive_idle_timeout),
            60,
        )?),
    })
}

fn node_id(arguments: &ProxyArguments) -> Result<Uuid, SettingsError> {
    match text(&arguments.node_id) {
        None => Ok(Uuid::new_v4()),
        Some(given) => Uuid::parse_str(given)
            .map_err(|_| Setting::new("KONG_NODE_ID", "--node-id").error(format!("{given:?} is not a UUID"))),
    }
}

#[cfg(test)]
mod tests;
