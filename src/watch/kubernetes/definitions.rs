//! Notices when CRDs change, so that optional kinds are watched as soon as they exist.

use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta},
    runtime::watcher,
};
use tokio::sync::watch;

use super::guarded::{Change, Cut, Guarded, cut};
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
    loop {
        match stream.next().await {
            Change::Listed(_) | Change::Applied(()) | Change::Deleted(_) => changes.send_modify(|count| *count += 1),
            Change::Failing(failure) => {
                tracing::warn!(
                    ?failure,
                    "CRDs can't be watched: kinds that appear are noticed within minutes only"
                );
            }
        }
    }
}
