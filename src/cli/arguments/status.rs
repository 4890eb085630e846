//! What is written to the cluster, and which replica writes.

use clap::{Args, ValueEnum};

use crate::{cli::switch::boolean, model::NamespacedName};

const STATUS: &str = "Statuses and events";
const LEADERSHIP: &str = "Leadership";

/// Flags of statuses and leadership.
#[derive(Debug, Clone, Args)]
pub(crate) struct StatusArguments {
    /// The proxies' own Service, whose addresses go into statuses, namespace/name.
    #[arg(long, env = "CONTROLLER_PUBLISH_SERVICE", value_name = "NAMESPACE/NAME", help_heading = STATUS)]
    pub(crate) publish_service: Option<NamespacedName>,
    /// Addresses for statuses in place of that Service's, comma separated.
    #[arg(long, env = "CONTROLLER_PUBLISH_STATUS_ADDRESS", value_name = "ADDRESSES", value_delimiter = ',', help_heading = STATUS)]
    pub(crate) publish_status_address: Vec<String>,
    /// The proxies' Service for UDP, whose addresses go into the statuses of UDPIngresses; --publish-service by default.
    #[arg(long, env = "CONTROLLER_PUBLISH_SERVICE_UDP", value_name = "NAMESPACE/NAME", help_heading = STATUS)]
    pub(crate) publish_service_udp: Option<NamespacedName>,
    /// Addresses for the statuses of UDPIngresses in place of that Service's, comma separated.
    #[arg(long, env = "CONTROLLER_PUBLISH_STATUS_ADDRESS_UDP", value_name = "ADDRESSES", value_delimiter = ',', help_heading = STATUS)]
    pub(crate) publish_status_address_udp: Vec<String>,
    /// Write statuses of the users' objects.
    #[arg(long, env = "CONTROLLER_UPDATE_STATUS", value_name = "BOOL", default_value = "true", value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = STATUS)]
    pub(crate) update_status: bool,
    /// Write events.
    #[arg(long, env = "CONTROLLER_EMIT_KUBERNETES_EVENTS", value_name = "BOOL", default_value = "true", value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, help_heading = STATUS)]
    pub(crate) emit_kubernetes_events: bool,
    /// Status writes a second.
    #[arg(long, env = "CONTROLLER_STATUS_QPS", value_name = "RATE", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), help_heading = STATUS)]
    pub(crate) status_qps: u32,
    /// Status writes that may come at once.
    #[arg(long, env = "CONTROLLER_STATUS_BURST", value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..), help_heading = STATUS)]
    pub(crate) status_burst: u32,

    /// Name of the Lease.
    #[arg(long, env = "CONTROLLER_ELECTION_ID", value_name = "NAME", default_value = "silverback.gateway.silverback.dev", help_heading = LEADERSHIP)]
    pub(crate) election_id: String,
    /// Its namespace; the pod's own when empty.
    #[arg(long, env = "CONTROLLER_ELECTION_NAMESPACE", value_name = "NAME", default_value = "", help_heading = LEADERSHIP)]
    pub(crate) election_namespace: String,
    /// Whether one replica alone drives the proxies and writes; by default one does with --kong-admin-svc, and with
    /// --kong-admin-url each drives its own proxies, and one writes.
    #[arg(long, env = "CONTROLLER_FORCE_LEADER_ELECTION", value_name = "WAY", help_heading = LEADERSHIP)]
    pub(crate) force_leader_election: Option<Election>,

    /// ConfigMap in which `silverback adopt` recorded what an upgrade left for old pods: the leader removes that, and the
    /// record, once no pod uses it. Nothing is removed without the flag.
    #[arg(long, env = "CONTROLLER_UPGRADE_RECORD", value_name = "NAMESPACE/NAME", help_heading = LEADERSHIP)]
    pub(crate) upgrade_record: Option<NamespacedName>,
}

/// `--force-leader-election`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Election {
    /// One replica leads.
    Enabled,
    /// Every replica does.
    Disabled,
}
