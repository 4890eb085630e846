//! Where objects come from.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::cli::value;

const SOURCE: &str = "Where objects come from";

/// Flags of the source.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArguments {
    /// Read manifests from this directory instead of a cluster.
    #[arg(long, env = "CONTROLLER_DIRECTORY", value_name = "DIR", help_heading = SOURCE, conflicts_with_all = ["kubeconfig", "kong_admin_svc"])]
    pub(crate) directory: Option<PathBuf>,
    /// Kubeconfig file; without it the pod's own access is used, or $KUBECONFIG.
    #[arg(long, env = "CONTROLLER_KUBECONFIG", value_name = "FILE", help_heading = SOURCE)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Address of the API server, in place of the kubeconfig's.
    #[arg(long, env = "CONTROLLER_APISERVER_HOST", value_name = "URL", help_heading = SOURCE)]
    pub(crate) apiserver_host: Option<String>,
    /// Requests a second to the API server; 0 is no limit: the API server has its own (API Priority and Fairness).
    #[arg(long, env = "CONTROLLER_APISERVER_QPS", value_name = "RATE", default_value_t = 0, help_heading = SOURCE)]
    pub(crate) apiserver_qps: u32,
    /// Requests to the API server that may come at once, where --apiserver-qps limits them.
    #[arg(long, env = "CONTROLLER_APISERVER_BURST", value_name = "COUNT", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..), help_heading = SOURCE)]
    pub(crate) apiserver_burst: u32,
    /// Namespaces to watch, comma separated; all when empty. Those of --publish-service and --kong-admin-svc are added.
    #[arg(long, env = "CONTROLLER_WATCH_NAMESPACE", value_name = "NAMES", value_delimiter = ',', help_heading = SOURCE)]
    pub(crate) watch_namespace: Vec<String>,
    /// How long the first listing of all kinds may take before an error says which are missing; it goes on all the same.
    #[arg(long, env = "CONTROLLER_CACHE_SYNC_TIMEOUT", value_name = "DURATION", default_value = "2m", value_parser = value::duration, help_heading = SOURCE)]
    pub(crate) cache_sync_timeout: Duration,
}
