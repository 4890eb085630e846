//! What a controller shall be: the flags of `run`, checked and typed; the demo fills it by hand.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    archive,
    model::{Edition, Kind, NamespacedName, Object, Profile, RouterFlavor},
    observe,
    pki::{Workload, client::Pins},
    serve, translate,
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
        /// How often it may be asked; without a limit when `None`.
        rate: Option<RequestRate>,
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

/// How often something may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    /// Requests a second, at least 1.
    pub per_second: u32,
    /// Requests at once after a rest, at least 1.
    pub burst: u32,
}

/// What is taken for granted of all proxies, whatever they report; only with a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileOverride {
    /// How routes are written.
    pub router_flavor: Option<RouterFlavor>,
    /// Edition; `Some(None)` leaves nothing out.
    pub edition: Option<Option<Edition>>,
    /// Version; `Some(None)` uses nothing that depends on one.
    pub version: Option<Option<(u16, u16)>>,
}

impl ProfileOverride {
    /// The profile that is rendered for proxies of that one.
    pub fn of(&self, reported: &Profile) -> Profile {
        Profile {
            router_flavor: self.router_flavor.unwrap_or(reported.router_flavor),
            edition: self.edition.unwrap_or(reported.edition),
            version: self.version.unwrap_or(reported.version),
            plugins: reported.plugins.clone(),
        }
    }
}

/// The admission webhook.
#[derive(Debug, Clone)]
pub struct AdmissionSettings {
    /// Where it is served.
    pub listen: SocketAddr,
    /// What it shows to the API server.
    pub certificate: AdmissionCertificate,
    /// The ValidatingWebhookConfiguration whose `caBundle` the leader keeps, with a certificate of our own.
    pub configuration: Option<String>,
}

/// Where the webhook's certificate comes from.
#[derive(Clone)]
pub enum AdmissionCertificate {
    /// PEM files, read again when they change.
    Files {
        /// The certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// PEM texts.
    Inline {
        /// The certificate.
        certificate: String,
        /// Its key. Secret.
        key: String,
    },
    /// Our own authority issues it.
    Own {
        /// Where both are kept; filled when empty.
        secret: NamespacedName,
        /// The Service that the API server asks.
        service: NamespacedName,
    },
}

/// Without the key.
impl std::fmt::Debug for AdmissionCertificate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Files { certificate, key } => formatter
                .debug_struct("Files")
                .field("certificate", certificate)
                .field("key", key)
                .finish(),
            Self::Inline { .. } => formatter.write_str("Inline"),
            Self::Own { secret, service } => formatter
                .debug_struct("Own")
                .field("secret", secret)
                .field("service", service)
                .finish(),
        }
    }
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
        /// What is restarted before the certificates of its proxies expire.
        workloads: Vec<Workload>,
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
        /// What is restarted when its proxies have to read a certificate again.
        workloads: Vec<Workload>,
    },
    /// Our own authorities in a directory.
    Directory(PathBuf),
}

/// How embedded proxies get certificates of their own.
#[derive(Debug, Clone)]
pub struct ProxyIdentitySettings {
    /// Where they ask.
    pub listen: SocketAddr,
    /// The Service that they ask: the name in the certificate that is shown to them.
    pub service: NamespacedName,
    /// ServiceAccounts of proxies.
    pub accounts: Vec<NamespacedName>,
}

/// What the holder of the Lease does alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionScope {
    /// Nothing: there is no election, and every replica does everything.
    Nothing,
    /// Writing to the cluster. Every replica drives proxies of its own, as sidecars do.
    Writing,
    /// Writing to the cluster, and driving the proxies.
    Everything,
}

/// What is written to the cluster.
#[derive(Debug, Clone)]
pub struct StatusSettings {
    /// The proxies' Service.
    pub publish_service: Option<NamespacedName>,
    /// Addresses in its place.
    pub publish_addresses: Vec<String>,
    /// The proxies' Service for UDP.
    pub publish_service_udp: Option<NamespacedName>,
    /// Addresses in its place.
    pub publish_addresses_udp: Vec<String>,
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
    /// What is taken for granted of the proxies.
    pub profile: ProfileOverride,
    /// Kinds that are not read.
    pub unread_kinds: BTreeSet<Kind>,
    /// After how long without a complete first listing an error says what is missing.
    pub first_list_patience: Duration,
    /// Admin Services, in order of preference.
    pub admin_services: Vec<NamespacedName>,
    /// Names of their ports, in order of preference.
    pub admin_port_names: Vec<String>,
    /// Proxies that are given by name and Admin URL.
    pub static_proxies: Vec<(String, String)>,
    /// Certificates for the Admin APIs.
    pub certificates: AdminCertificates,
    /// Discovered proxies ask for certificates of their own.
    pub identity: Option<ProxyIdentitySettings>,
    /// Name that certificates of static proxies must bear; that of their URL when `None`.
    pub server_name: Option<String>,
    /// Certificates of proxies go unverified: the key that each showed first is the one that it has to show.
    pub first_keys: Option<Arc<Pins>>,
    /// Headers of each request. May hold secrets.
    pub headers: Vec<(String, String)>,
    /// Prefix of every path, empty for none.
    pub workspace: String,
    /// How often each proxy is probed.
    pub probe_interval: Duration,
    /// How long a proxy may take to answer a probe.
    pub probe_timeout: Duration,
    /// Limit of one push.
    pub push_timeout: Duration,
    /// Where is put away what proxies accepted last; nowhere if `None`.
    pub archive: Option<archive::Place>,
    /// Whether a refused object stays in force as it was accepted last, rather than be left out.
    pub keep_last_valid: bool,
    /// Share of a Kong proxy's time for applying, in percent.
    pub push_duty: u8,
    /// Simultaneous pushes.
    pub max_concurrent_pushes: u32,
    /// Bytes a second, 0 for no limit.
    pub max_push_bandwidth: u64,
    /// What is written to the cluster.
    pub status: StatusSettings,
    /// What the holder of the Lease does alone.
    pub election: ElectionScope,
    /// Name of the Lease.
    pub election_id: String,
    /// Its namespace; the pod's own when empty.
    pub election_namespace: String,
    /// ConfigMap that tells what an upgrade left to be removed.
    pub upgrade_record: Option<NamespacedName>,
    /// Where health is served.
    pub health: Option<SocketAddr>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Whether only those may read them whom the API server's RBAC allows it.
    pub protect_metrics: bool,
    /// Where the dashboard is served.
    pub dashboard: Option<serve::Place>,
    /// The admission webhook, if it is served.
    pub admission: Option<AdmissionSettings>,
}

impl ControllerSettings {
    /// How long a proxy may take to answer a probe, by default: so that within two intervals and a second it is told of
    /// two that went unanswered. Not less than a second, for proxies that are busy, and not more than five.
    pub fn probe_timeout(interval: Duration) -> Duration {
        (interval * 2 / 5).clamp(Duration::from_secs(1), Duration::from_secs(5))
    }

    /// The defaults of the flags, with nothing served.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            translation: translate::Settings::default(),
            profile: ProfileOverride::default(),
            unread_kinds: BTreeSet::new(),
            first_list_patience: Duration::from_secs(120),
            admin_services: Vec::new(),
            admin_port_names: vec!["admin-tls".to_owned(), "kong-admin-tls".to_owned()],
            static_proxies: Vec::new(),
            certificates: AdminCertificates::Files {
                client: None,
                authorities: None,
                workloads: Vec::new(),
            },
            identity: None,
            server_name: None,
            first_keys: None,
            headers: Vec::new(),
            workspace: String::new(),
            probe_interval: observe::Settings::default().interval,
            probe_timeout: observe::Settings::default().timeout,
            push_timeout: Duration::from_secs(30),
            archive: None,
            keep_last_valid: false,
            push_duty: 25,
            max_concurrent_pushes: 64,
            max_push_bandwidth: 0,
            status: StatusSettings {
                publish_service: None,
                publish_addresses: Vec::new(),
                publish_service_udp: None,
                publish_addresses_udp: Vec::new(),
                update_status: true,
                emit_events: true,
                qps: 20,
                burst: 100,
            },
            election: ElectionScope::Everything,
            election_id: "silverback.gateway.silverback.dev".to_owned(),
            election_namespace: String::new(),
            upgrade_record: None,
            health: None,
            metrics: None,
            protect_metrics: false,
            dashboard: None,
            admission: None,
        }
    }
}
