//! What a controller shall be: the flags of `run`, checked and typed; the demo fills it by hand.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    model::{NamespacedName, Object},
    translate,
};

/// Where objects come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A cluster.
    Cluster {
        /// Kubeconfig file; the pod's own access or `$KUBECONFIG` without it.
        kubeconfig: Option<PathBuf>,
        /// Address of the API server in place of the kubeconfig's.
        server: Option<String>,
        /// Namespaces; all when empty.
        namespaces: Vec<String>,
    },
    /// A directory of manifests.
    Directory {
        /// The directory.
        path: PathBuf,
        /// Objects beside those of the directory.
        additional: Vec<Object>,
    },
}

/// Where the certificates for the Admin APIs come from.
#[derive(Debug, Clone)]
pub enum AdminCertificates {
    /// PEM files, read again when they change.
    Files {
        /// Certificate and key that we show.
        client: Option<(PathBuf, PathBuf)>,
        /// Whom we trust.
        authorities: Option<PathBuf>,
    },
    /// PEM texts.
    Inline {
        /// Certificate and key that we show. Secret.
        client: Option<(String, String)>,
        /// Whom we trust.
        authorities: Option<String>,
    },
    /// Our own authorities in two Secrets, filled when empty.
    Secrets {
        /// Both authorities with their keys.
        authorities: NamespacedName,
        /// What the proxy pods mount.
        proxies: NamespacedName,
    },
    /// Our own authorities in a directory.
    Directory(PathBuf),
}

/// What is written to the cluster.
#[derive(Debug, Clone)]
pub struct StatusSettings {
    /// The proxies' Service.
    pub publish_service: Option<NamespacedName>,
    /// Addresses in its place.
    pub publish_addresses: Vec<String>,
    /// Whether statuses of the users' objects are written.
    pub update_status: bool,
    /// Whether events are written.
    pub emit_events: bool,
    /// Writes a second.
    pub qps: u32,
    /// Writes at once.
    pub burst: u32,
}

/// What a controller shall be.
#[derive(Debug, Clone)]
pub struct ControllerSettings {
    /// Where objects come from.
    pub source: Source,
    /// What shapes the configuration.
    pub translation: translate::Settings,
    /// Admin Services, in order of preference.
    pub admin_services: Vec<NamespacedName>,
    /// Names of their ports, in order of preference.
    pub admin_port_names: Vec<String>,
    /// Proxies that are given by name and Admin URL.
    pub static_proxies: Vec<(String, String)>,
    /// Certificates for the Admin APIs.
    pub certificates: AdminCertificates,
    /// Name that certificates of static proxies must bear; that of their URL when `None`.
    pub server_name: Option<String>,
    /// Whether certificates of proxies go unverified.
    pub skip_verify: bool,
    /// Headers of each request. May hold secrets.
    pub headers: Vec<(String, String)>,
    /// Prefix of every path, empty for none.
    pub workspace: String,
    /// How often each proxy is probed.
    pub probe_interval: Duration,
    /// Limit of one push.
    pub push_timeout: Duration,
    /// Share of a Kong proxy's time for applying, in percent.
    pub push_duty: u8,
    /// Simultaneous pushes.
    pub max_concurrent_pushes: u32,
    /// Bytes a second, 0 for no limit.
    pub max_push_bandwidth: u64,
    /// What is written to the cluster.
    pub status: StatusSettings,
    /// Name of the Lease.
    pub election_id: String,
    /// Its namespace; the pod's own when empty.
    pub election_namespace: String,
    /// Where health is served.
    pub health: Option<SocketAddr>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Where the dashboard is served.
    pub dashboard: Option<SocketAddr>,
}

impl ControllerSettings {
    /// The defaults of the flags, with nothing served.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            translation: translate::Settings::default(),
            admin_services: Vec::new(),
            admin_port_names: vec!["admin-tls".to_owned(), "kong-admin-tls".to_owned()],
            static_proxies: Vec::new(),
            certificates: AdminCertificates::Files {
                client: None,
                authorities: None,
            },
            server_name: None,
            skip_verify: false,
            headers: Vec::new(),
            workspace: String::new(),
            probe_interval: Duration::from_secs(5),
            push_timeout: Duration::from_secs(30),
            push_duty: 25,
            max_concurrent_pushes: 64,
            max_push_bandwidth: 0,
            status: StatusSettings {
                publish_service: None,
                publish_addresses: Vec::new(),
                update_status: true,
                emit_events: true,
                qps: 20,
                burst: 100,
            },
            election_id: "silverback.gateway.silverback.dev".to_owned(),
            election_namespace: String::new(),
            health: None,
            metrics: None,
            dashboard: None,
        }
    }
}
