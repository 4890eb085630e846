//! Notices when CRDs change, so that optional kinds are watched as soon as they exist; and when one goes, since the API
//! server deletes all objects of its kind then, which nobody may take for a wish to have no routes.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta},
    runtime::watcher,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::guarded::{Change, Cut, Failure, Guarded, cut};
use crate::model::{Kind, NamespacedName};

/// CRDs that are being deleted, or were and are not back: `<plural>.<group>`.
pub(super) type Dying = Arc<BTreeSet<Arc<str>>>;

/// How long the news that a CRD goes may be behind the news that its first object went.
const BEHIND: Duration = Duration::from_millis(200);
/// After a deletion that has nothing to do with a CRD, further ones within this time have not either.
const SPREE: Duration = Duration::from_secs(2);

/// The CRD of a kind, as the watch of its objects sees it.
#[derive(Clone)]
pub(super) struct Definition {
    name: Arc<str>,
    dying: watch::Receiver<Dying>,
    /// The last object that went by itself.
    last: Arc<Mutex<Option<Instant>>>,
}

impl Definition {
    pub(super) fn new(kind: Kind, dying: watch::Receiver<Dying>) -> Self {
        Self {
            name: format!("{}.{}", kind.plural(), kind.group()).into(),
            dying,
            last: Arc::default(),
        }
    }

    /// Whether it is being deleted, or gone.
    pub(super) fn is_dying(&self) -> bool {
        self.dying.borrow().contains(&self.name)
    }

    /// Whether an object that was deleted now went because its kind goes.
    pub(super) async fn takes_its_objects_along(&self) -> bool {
        if self.is_dying() {
            return true;
        }
        let last = || self.last.lock().expect("nothing panics while it holds the lock");
        if last().is_none_or(|last| last.elapsed() > SPREE) {
            // The two watches are not in step.
            let mut dying = self.dying.clone();
            let noticed = timeout(BEHIND, dying.wait_for(|dying| dying.contains(&self.name))).await;
            if matches!(noticed, Ok(Ok(_))) {
                return true;
            }
        }
        *last() = Some(Instant::now());
        false
    }
}

/// Counts changes of CRDs, for ever. Without the permission to see them the counter stays.
pub(super) async fn run(client: Client, changes: watch::Sender<u64>, dying: watch::Sender<Dying>) {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &ApiResource::from_gvk(&kind));
    let open = move || {
        cut(watcher(api.clone(), watcher::Config::default()), |object| {
            let name: Arc<str> = object.metadata.name.unwrap_or_default().into();
            Cut {
                key: NamespacedName::new("", name.clone()),
                object: (name, object.metadata.deletion_timestamp.is_some()),
            }
        })
    };
    let mut stream = Guarded::new(open, changes.subscribe());
    let mut is_told = false;
    loop {
        match stream.next().await {
            Change::Listed(definitions) => {
                // One that is gone already was being deleted first, whether that was seen or not: its kind will say so.
                definitions.into_iter().for_each(|definition| note(&dying, definition));
                changes.send_modify(|count| *count += 1);
            }
            Change::Applied(definition) => {
                note(&dying, definition);
                changes.send_modify(|count| *count += 1);
            }
            Change::Deleted(key) => {
                note(&dying, (key.name, true));
                changes.send_modify(|count| *count += 1);
            }
            // When the API server is down, those who watch objects say so.
            Change::Failing(Failure::Other(error, _)) => tracing::debug!(error, "CRDs can't be watched"),
            Change::Failing(Failure::Forbidden | Failure::Absent | Failure::Dying) if is_told => {}
            Change::Failing(Failure::Forbidden | Failure::Absent | Failure::Dying) => {
                is_told = true;
                tracing::warn!(
                    "CRDs can't be watched, so that kinds which appear are noticed within minutes only; if it lasts, grant list and \
                     watch on customresourcedefinitions.apiextensions.k8s.io to the controller's ServiceAccount by a \
                     ClusterRole"
                );
            }
        }
    }
}

fn note(dying: &watch::Sender<Dying>, (name, goes): (Arc<str>, bool)) {
    dying.send_if_modified(|dying| {
        if dying.contains(&name) == goes {
            return false;
        }
        let dying = Arc::make_mut(dying);
        match goes {
            true => dying.insert(name),
            false => dying.remove(&name),
        }
    });
}
