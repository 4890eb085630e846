//! Notices when CRDs change, so that optional kinds are watched as soon as they exist.

use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta},
    runtime::watcher,
};
use tokio::sync::watch;

use super::guarded::{Change, Cut, Failure, Guarded, cut};
use crate::model::NamespacedName;

/// Counts changes of CRDs, for ever. Without the permission to see them the counter stays.
pub(super) async fn run(client: Client, changes: watch::Sender<u64>) {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &ApiResource::from_gvk(&kind));
    let open = move || {
        cut(watcher(api.clone(), watcher::Config::default()), |_| Cut {
            key: NamespacedName::default(),
            object: (),
        })
    };
    let mut stream = Guarded::new(open, changes.subscribe());
    let mut is_told = false;
    loop {
        match stream.next().await {
            Change::Listed(_) | Change::Applied(()) | Change::Deleted(_) => changes.send_modify(|count| *count += 1),
            // When the API server is down, those who watch objects say so.
            Change::Failing(Failure::Other(error, _)) => tracing::debug!(error, "CRDs can't be watched"),
            Change::Failing(Failure::Forbidden | Failure::Absent) if is_told => {}
            Change::Failing(Failure::Forbidden | Failure::Absent) => {
                is_told = true;
                tracing::warn!(
                    "CRDs can't be watched, so that kinds which appear are noticed within minutes only: grant list and \
                     watch on customresourcedefinitions.apiextensions.k8s.io to the controller's ServiceAccount by a \
                     ClusterRole"
                );
            }
        }
    }
}
