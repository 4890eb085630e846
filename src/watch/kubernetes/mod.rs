//! Kubernetes as the source: one guarded stream per kind and namespace, cut down to slim structs at the rim.
//!
//! A malformed object is a problem, never the end of a stream. A kind that can't be read is told to the store, which
//! keeps what it has, and is tried again with back-off until it works. Secrets and ConfigMaps are watched as metadata alone; the
//! content is fetched of those that somebody refers to or that bear a label of ours, and Helm's release Secrets are not
//! even watched (DESIGN.md §3 rule 10).
//!
//! Needs `get`, `list` and `watch` on every kind; `list` and `watch` on `customresourcedefinitions` where kinds are
//! optional.

mod contents;
mod definitions;
mod guarded;
mod read;
mod report;
mod slices;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream, stream::BoxStream};
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta},
    runtime::watcher,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    model::Kind,
    store::{Event, Interest},
};
use definitions::Definition;
use guarded::{Change, Failure, Guarded, cut};
use read::{Read, read};
use report::{Closed, Report, Server};

/// How long a connection to the API server may be silent. API servers end watches before that, so that only a dead
/// connection is silent for longer; kube looks at a watch's silence itself, but not before its answer has begun.
pub const READ_TIMEOUT: Duration = Duration::from_secs(320);

/// One namespace, or all.
type Scope = Option<Arc<str>>;

/// A kind to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchedKind {
    /// Which one.
    pub kind: Kind,
    /// Whether the cluster may do without it: then it is absent until its CRD appears.
    pub optional: bool,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSettings {
    /// Where the API server is, and who says so: for people who read that it does not answer.
    pub server: Arc<str>,
    /// The kinds.
    pub kinds: Vec<WatchedKind>,
    /// Namespaces to which namespaced kinds are restricted (`--watch-namespace`); empty for all.
    pub namespaces: BTreeSet<Arc<str>>,
    /// Further namespaces for Services and EndpointSlices if `namespaces` restricts them: those of the Admin Services
    /// and of the publish Service.
    pub service_namespaces: BTreeSet<Arc<str>>,
    /// The namespace of the ProxyFleets that are ours: the controller's own. Without it there are none.
    pub fleet_namespace: Option<Arc<str>>,
}

impl Default for WatchSettings {
    /// Every kind, everywhere.
    fn default() -> Self {
        let watched = |kind: &Kind| WatchedKind {
            kind: *kind,
            optional: kind.is_optional(),
        };
        Self {
            server: "".into(),
            kinds: Kind::ALL.iter().map(watched).collect(),
            namespaces: BTreeSet::new(),
            service_namespaces: BTreeSet::new(),
            fleet_namespace: None,
        }
    }
}

impl WatchSettings {
    fn scopes(&self, kind: Kind) -> BTreeSet<Scope> {
        if kind == Kind::ProxyFleet {
            return self.fleet_namespace.iter().cloned().map(Some).collect();
        }
        if !kind.is_namespaced() || self.namespaces.is_empty() {
            return [None].into();
        }
        let mut namespaces = self.namespaces.clone();
        if matches!(kind, Kind::Service | Kind::EndpointSlice) {
            namespaces.extend(self.service_namespaces.iter().cloned());
        }
        namespaces.into_iter().map(Some).collect()
    }
}

/// Starts to watch. The tasks end when the returned set is dropped, or when nobody receives the events.
///
/// `interest` is what the store publishes; it is answered by [`Event::InterestMet`], once for each receiver that the
/// tasks hold. The client should have [`READ_TIMEOUT`].
pub fn spawn(
    client: &Client,
    settings: &WatchSettings,
    events: &mpsc::Sender<Event>,
    interest: watch::Receiver<Arc<Interest>>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let server = Arc::new(Server::new(settings.server.clone()));
    let definitions = watch::Sender::new(0);
    let appeared = definitions.subscribe();
    let (dying_sender, dying) = watch::channel(definitions::Dying::default());
    if settings.kinds.iter().any(|watched| watched.optional) {
        tasks.spawn(definitions::run(client.clone(), definitions, dying_sender));
    }
    for watched in &settings.kinds {
        let scopes = settings.scopes(watched.kind);
        if scopes.is_empty() {
            tasks.spawn(report_none(watched.kind, events.clone()));
            continue;
        }
        let report = Arc::new(Report::new(*watched, scopes.clone(), server.clone(), events.clone()));
        for scope in scopes {
            let source = Source {
                client: client.clone(),
                kind: watched.kind,
                scope,
                definition: watched.optional.then(|| Definition::new(watched.kind, dying.clone())),
            };
            let opened = source.clone();
            let (report, appeared) = (report.clone(), appeared.clone());
            if matches!(watched.kind, Kind::Secret | Kind::ConfigMap) {
                let stream = Guarded::new(move || contents::open(&opened), appeared);
                tasks.spawn(contents::run(source, stream, report, interest.clone()));
                continue;
            }
            let stream = Guarded::new(move || opened.open(), appeared);
            if watched.kind == Kind::EndpointSlice {
                tasks.spawn(slices::run(source, stream, report, interest.clone()));
            } else {
                tasks.spawn(run(source, stream, report));
            }
        }
    }
    // The store counts receivers: this one would never answer.
    drop(interest);
    tasks
}

/// Tells the store of a kind that is looked for nowhere.
async fn report_none(kind: Kind, events: mpsc::Sender<Event>) {
    if events.send(Event::Listed(kind, Vec::new(), Vec::new())).await.is_ok() {
        // The store is gone if it does not take it, and nobody waits for the kind any more.
        let _ = events.send(Event::Synced(kind)).await;
    }
}

/// Watches a kind whose objects are all kept.
async fn run(source: Source, mut stream: Guarded<Read>, report: Arc<Report>) {
    loop {
        let change = stream.next().await;
        let is_dropped =
            matches!(change, Change::Listed(_)) && source.definition.as_ref().is_some_and(Definition::is_dying);
        if source.tell(change, &report).await.is_err() {
            return;
        }
        if is_dropped {
            // Nothing else would list again what is there by the time that the CRD is known to be back.
            stream.restart();
        }
    }
}

/// A kind in a scope.
#[derive(Clone)]
struct Source {
    client: Client,
    kind: Kind,
    scope: Scope,
    /// The CRD of an optional kind.
    definition: Option<Definition>,
}

impl Source {
    fn resource(&self, version: &str) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.kind.group(), version, self.kind.name());
        ApiResource::from_gvk_with_plural(&kind, self.kind.plural())
    }

    /// The version to read the kind in: the first that the cluster serves, in our order.
    async fn version(&self) -> Result<&'static str, kube::Error> {
        for version in self.kind.versions() {
            let group = format!("{}/{version}", self.kind.group());
            match self.client.list_api_group_resources(&group).await {
                Ok(list)
                    if list
                        .resources
                        .iter()
                        .any(|resource| resource.name == self.kind.plural()) =>
                {
                    return Ok(version);
                }
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        // The watch of it finds that it is absent.
        Ok(self.kind.version())
    }

    /// All objects of the scope.
    fn api(&self, version: &str) -> Api<DynamicObject> {
        let resource = self.resource(version);
        match &self.scope {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// The metadata alone of all objects of the scope.
    fn metadata_api(&self) -> Api<PartialObjectMeta<DynamicObject>> {
        let resource = self.resource(self.kind.version());
        match &self.scope {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// The objects of one namespace, of a kind that has one version only.
    fn api_in(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &self.resource(self.kind.version()))
    }

    /// Whether a namespace is within the scope.
    fn covers(&self, namespace: &str) -> bool {
        self.scope.as_deref().is_none_or(|scope| scope == namespace)
    }

    /// Opens the watch of whole objects.
    fn open(&self) -> BoxStream<'static, guarded::Event<Read>> {
        if self.kind.versions().len() == 1 {
            return self.open_version(self.kind.version());
        }
        let source = self.clone();
        let opened = async move {
            match source.version().await {
                Ok(version) => source.open_version(version),
                Err(error) => stream::once(async { Err(watcher::Error::InitialListFailed(error)) }).boxed(),
            }
        };
        stream::once(opened).flatten().boxed()
    }

    fn open_version(&self, version: &str) -> BoxStream<'static, guarded::Event<Read>> {
        let kind = self.kind;
        cut(watcher(self.api(version), watcher::Config::default()), move |object| {
            read(kind, object)
        })
    }

    /// Tells the store of a change.
    async fn tell(&self, change: Change<Read>, report: &Report) -> Result<(), Closed> {
        match change {
            Change::Listed(reads) => match &self.definition {
                Some(definition) if definition.is_dying() => report.failing(&self.scope, Failure::Dying).await,
                _ => report.listed(&self.scope, reads).await,
            },
            Change::Applied(read) => report.applied(read).await,
            Change::Deleted(key) => match &self.definition {
                Some(definition) if definition.takes_its_objects_along().await => {
                    report.failing(&self.scope, Failure::Dying).await
                }
                _ => report.deleted(key).await,
            },
            Change::Failing(failure) => report.failing(&self.scope, failure).await,
        }
    }
}
