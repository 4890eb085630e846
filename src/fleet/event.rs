//! What the fleet learns, and what it wants done.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

use crate::{
    model::{
        Edition, Epoch, Leadership, NamespacedName, PeerCertificate, PluginTypes, Profile, ProxyId, ProxyTarget,
        RouterFlavor,
    },
    render::{LastGood, Rendered, Rendition},
};

/// Something that the fleet learns.
#[derive(Debug, Clone)]
pub enum FleetEvent {
    /// All proxies that discovery sees now; those that are not here are gone.
    Targets(Vec<Arc<ProxyTarget>>),
    /// What proxies accepted last in an earlier run of the controller: nothing if nothing is known of it, and never will be.
    Stored(BTreeMap<Profile, Arc<LastGood>>),
    /// From now on this replica is the one that puts away what proxies accept, for the time that this number names: what it
    /// knows of that counts as confirmed only once a proxy is found to run it.
    Term(u64),
    /// What the fleet shall run.
    Rendition(Arc<Rendition>),
    /// This replica's part.
    Leadership(Leadership),
    /// What the replica that led before was still sending when it gave the Lease back. Before this one's leadership is told.
    HandedOver(BTreeMap<ProxyId, ConfigHash>),
    /// The Admin Services to whose proxies no changes shall go (`ProxyFleet.spec.paused`).
    Paused(BTreeSet<NamespacedName>),
    /// A probe ended.
    Observed(ProxyId, Observation),
    /// A push ended.
    Pushed(ProxyId, PushOutcome),
}

/// Something that the fleet wants done.
#[derive(Debug, Clone)]
pub enum Command {
    /// Begin to probe this proxy, and be ready to push to it. Also sent when the addresses of a known proxy changed.
    Attach(Arc<ProxyTarget>),
    /// Forget this proxy; a push under way may end by itself.
    Detach(ProxyId),
    /// Send this configuration now. Never sent while an earlier push to the same proxy is under way.
    Push {
        /// To which proxy.
        proxy: ProxyId,
        /// What.
        rendered: Arc<Rendered>,
        /// Under which leadership.
        epoch: Epoch,
    },
    /// Probe this proxy now instead of at its next interval.
    Probe(ProxyId),
}

/// The outcome of one probe.
#[derive(Debug, Clone)]
pub struct Observation {
    /// When the proxy was asked: an answer to a question from before the end of a push may be of before it, too.
    pub started: Instant,
    /// When the answer came.
    pub at: Timestamp,
    /// What the proxy said, or why it said nothing.
    pub result: Result<ProxyReport, ProbeFault>,
}

/// What a proxy says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyReport {
    /// `version` of `GET /`.
    pub version: String,
    /// Which Kong it is.
    pub edition: Edition,
    /// How it matches routes.
    pub router_flavor: RouterFlavor,
    /// The types of plugins that it can run, if it says so.
    pub plugins: Option<PluginTypes>,
    /// `configuration.database`: `off`, or the name of a database.
    pub database: String,
    /// `node_id` of `GET /`: changes at a restart, unless it was given one (`KONG_NODE_ID`).
    pub node_id: Option<String>,
    /// Whether it has answered fewer requests than when it was asked before: it has started again, whatever it calls itself.
    pub restarted: bool,
    /// When its process started, if it says so.
    pub started_at: Option<Timestamp>,
    /// The largest configuration that it takes, in bytes, if it says so.
    pub body_limit: Option<u64>,
    /// What it runs; [`ConfigHash::NONE`] is nothing.
    pub hash: ConfigHash,
    /// What protects the connection to it.
    pub security: ConnectionSecurity,
    /// The certificate that it showed; `None` over plain HTTP.
    pub certificate: Option<PeerCertificate>,
}

/// What protects the connection to an Admin API, each the reason of the condition `MutualTLS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConnectionSecurity {
    /// Both sides have shown a certificate, and ours has verified the proxy's.
    Mutual,
    /// The proxy's certificate was verified; it did not ask for ours, so that anybody can configure it.
    ClientCertificateNotRequested,
    /// The proxy's certificate was verified; the controller was given none of its own.
    NoClientCertificate,
    /// TLS with whatever key the proxy showed first (`--kong-admin-tls-skip-verify`).
    Unverified,
    /// Plain HTTP that does not leave the machine.
    Loopback,
    /// Plain HTTP.
    Plain,
}

/// Why a probe failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFault {
    /// What failed.
    pub fault: TransportFault,
}

/// A failure below or beside the Admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportFault {
    /// What kind of failure.
    pub kind: TransportFaultKind,
    /// One sentence, without secrets.
    pub message: String,
}

/// Kinds of failures, each the reason of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportFaultKind {
    /// Nothing listens there.
    ConnectionRefused,
    /// No connection for another cause, or lost.
    ConnectionFailed,
    /// No answer in time.
    Timeout,
    /// The proxy's certificate is of no trusted authority, of another name, or expired.
    CertificateUntrusted,
    /// The proxy refused our client certificate.
    ClientCertificateRefused,
    /// An answer that is not Kong's.
    UnexpectedAnswer,
}

impl TransportFaultKind {
    /// The reason of a condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionRefused => "ConnectionRefused",
            Self::ConnectionFailed => "ConnectionFailed",
            Self::Timeout => "Timeout",
            Self::CertificateUntrusted => "CertificateUntrusted",
            Self::ClientCertificateRefused => "ClientCertificateRefused",
            Self::UnexpectedAnswer => "UnexpectedAnswer",
        }
    }
}

/// The outcome of one push.
#[derive(Debug, Clone)]
pub struct PushOutcome {
    /// What was sent.
    pub hash: ConfigHash,
    /// When the push began.
    pub started: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub result: PushResult,
}

/// What came of a push.
#[derive(Debug, Clone)]
pub enum PushResult {
    /// 201: loaded.
    Accepted,
    /// 304: it was there already.
    Unchanged,
    /// The proxy refused the configuration (400, 413, 500): the same bytes are not sent again.
    Rejected {
        /// What the proxy said, redacted and bounded.
        message: String,
        /// The entities at fault, as far as it named them, bounded.
        entities: Vec<EntityError>,
        /// How many errors there are, also those beyond the bound.
        count: usize,
    },
    /// 429, 409 and the like: again later.
    Busy {
        /// When, if the proxy said so.
        retry_after: Option<Duration>,
    },
    /// This leadership is over: the proxy has seen a later epoch.
    Fenced,
    /// The proxy has seen another leader, and the API server did not say whether this replica leads.
    Unconfirmed,
    /// It was not sent.
    NotSent(TransportFault),
    /// Sent at least in part, and no answer: the outcome is unknown until the proxy's hash shows it. The connection is gone,
    /// and with it what had not been sent.
    Unknown(TransportFault),
}

/// An entity that a proxy refused (a flattened error).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityError {
    /// `route`, `service`, …
    pub entity_type: String,
    /// Its name, if any.
    pub entity_name: Option<String>,
    /// Its tags: they say which object it comes from.
    pub entity_tags: Vec<String>,
    /// The field, if the error is about one.
    pub field: Option<String>,
    /// What is wrong, redacted.
    pub message: String,
}
