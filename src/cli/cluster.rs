//! What the verbs that work on a cluster share: access, and what an answer of the API server means for people.

use std::path::PathBuf;

use clap::Args;
use kube::Client;

use super::run::client;

/// How a cluster is reached.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ClusterArguments {
    /// Kubeconfig file; $KUBECONFIG, ~/.kube/config or the pod's own access by default
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

impl ClusterArguments {
    /// A client for it.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        client(self.kubeconfig.as_deref()).await
    }
}

/// The namespace that is meant: the one given, or that of the kubeconfig's context.
pub(super) fn namespace(given: Option<&str>, client: &Client) -> String {
    given.unwrap_or_else(|| client.default_namespace()).to_owned()
}

/// What went wrong, with what to do where that can be told: `doing` such as "read Secret shop/ca", `right` such as
/// "get on secrets".
pub(super) fn failure(doing: &str, right: &str, error: &kube::Error) -> anyhow::Error {
    match error {
        error if is_forbidden(error) => {
            anyhow::anyhow!("not allowed to {doing}: give the account {right}, or let somebody do it who may")
        }
        kube::Error::Api(status) if status.code == 401 => {
            anyhow::anyhow!("failed to {doing}: the API server does not know the credentials; log in again")
        }
        kube::Error::Api(status) => anyhow::anyhow!("failed to {doing}: {}", status.message),
        error => anyhow::anyhow!("failed to {doing}: {error}"),
    }
}

/// Whether the API server says that it is not allowed.
pub(super) fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether the API server says that there is no such thing.
pub(super) fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
