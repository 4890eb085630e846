//! Helm releases in the Secrets where Helm keeps them.

use anyhow::Context;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, api::ListParams};

use super::cluster::failure;
use crate::upgrade::release::{Release, SECRET_TYPE};

/// Secrets in one answer: of each only the metadata is read.
const PAGE: u32 = 500;

/// One revision of a release, as the labels of its Secret tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revision {
    /// Name of the Secret.
    pub(super) secret: String,
    /// Name of the release.
    pub(super) release: String,
    /// Counts from 1.
    pub(super) number: u64,
    /// `deployed`, `superseded`, `pending-upgrade`, …
    pub(super) status: String,
}

impl Revision {
    /// Whether Helm is at work on it.
    pub(super) fn is_pending(&self) -> bool {
        self.status.starts_with("pending")
    }
}

/// All revisions of a namespace, by release and number.
pub(super) async fn revisions(client: &Client, namespace: &str) -> Result<Vec<Revision>, kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut parameters = ListParams::default()
        .labels("owner=helm")
        .fields(&format!("type={SECRET_TYPE}"))
        .limit(PAGE);
    let mut revisions = Vec::new();
    loop {
        let page = secrets.list_metadata(&parameters).await?;
        for secret in page.items {
            let labels = secret.metadata.labels.unwrap_or_default();
            let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
            revisions.push(Revision {
                secret: secret.metadata.name.unwrap_or_default(),
                release: label("name"),
                number: label("version").parse().unwrap_or(0),
                status: label("status"),
            });
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => break,
        }
    }
    revisions.sort_by(|one, other| (&one.release, one.number).cmp(&(&other.release, other.number)));
    Ok(revisions)
}

/// Of the revisions of one release, the one whose objects are in the cluster: as Helm chooses it, the last one that was
/// deployed, else the last one that Helm is not at work on.
pub(super) fn deployed<'a>(revisions: &[&'a Revision]) -> Option<&'a Revision> {
    let last = |chosen: &dyn Fn(&Revision) -> bool| revisions.iter().rev().copied().find(|revision| chosen(revision));
    last(&|revision| revision.status == "deployed")
        .or_else(|| last(&|revision| !revision.is_pending() && revision.status != "uninstalled"))
}

/// Reads a revision.
pub(super) async fn read(client: &Client, namespace: &str, revision: &Revision) -> anyhow::Result<Release> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let name = &revision.secret;
    let secret = secrets.get(name).await;
    let secret =
        secret.map_err(|error| failure(&format!("read Secret {namespace}/{name}"), "get on secrets", &error))?;
    let data = secret.data.unwrap_or_default().remove("release").unwrap_or_default();
    let mut release = Release::decode(&data.0).with_context(|| format!("Secret {namespace}/{name}"))?;
    // What Helm goes by.
    release.status.clone_from(&revision.status);
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_in_the_cluster_is_the_one_that_helm_goes_by() {
        let revision = |number, status: &str| Revision {
            secret: format!("sh.helm.release.v1.shop.v{number}"),
            release: "shop".to_owned(),
            number,
            status: status.to_owned(),
        };
        let chosen = |statuses: &[&str]| {
            let revisions: Vec<_> = statuses
                .iter()
                .zip(1..)
                .map(|(status, number)| revision(number, status))
                .collect();
            deployed(&revisions.iter().collect::<Vec<_>>()).map(|revision| revision.number)
        };
        assert_eq!(chosen(&["superseded", "deployed", "pending-upgrade"]), Some(2));
        assert_eq!(chosen(&["deployed", "failed"]), Some(1));
        assert_eq!(chosen(&["failed", "pending-upgrade"]), Some(1));
        assert_eq!(chosen(&["pending-install"]), None);
        assert_eq!(chosen(&["uninstalled"]), None);
    }
}
