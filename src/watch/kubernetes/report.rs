//! What the streams of one kind tell the store together: there may be one per namespace.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::mpsc;

use super::{Scope, WatchedKind, guarded::Failure, read::Read};
use crate::{
    model::{Kind, NamespacedName, Object, Problem, Unavailable, resource_name},
    store::Event,
};

/// The store is gone: there is nobody to watch for.
#[derive(Debug)]
pub(super) struct Closed;

/// What the streams of all kinds have in common: when the API server is down all of them fail, which is one piece of news.
pub(super) struct Server {
    /// Where it is, and who says so.
    address: Arc<str>,
    failing: Mutex<BTreeSet<(Kind, Scope)>>,
}

impl Server {
    pub(super) fn new(address: Arc<str>) -> Self {
        Self {
            address,
            failing: Mutex::default(),
        }
    }

    fn failing(&self) -> MutexGuard<'_, BTreeSet<(Kind, Scope)>> {
        self.failing.lock().expect("nothing panics while it holds the lock")
    }

    /// Something can't be read, for no reason of its own.
    fn fails(&self, kind: Kind, scope: &Scope, reason: &Unavailable) {
        let mut failing = self.failing();
        if failing.is_empty() {
            tracing::warn!(
                server = %self.address,
                %reason,
                "the API server does not serve us; what is known is kept, and it is tried again"
            );
        } else {
            tracing::debug!(%reason, "can't be read either");
        }
        failing.insert((kind, scope.clone()));
    }

    fn works(&self, kind: Kind, scope: &Scope) {
        let mut failing = self.failing();
        if failing.remove(&(kind, scope.clone())) && failing.is_empty() {
            tracing::info!("the API server serves us again: all is read that could not be");
        }
    }
}

/// What the streams of one kind tell.
pub(super) struct Report {
    watched: WatchedKind,
    server: Arc<Server>,
    events: mpsc::Sender<Event>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Scopes that have not been listed yet.
    pending: BTreeSet<Scope>,
    /// Scopes that can't be read.
    failing: BTreeSet<Scope>,
    /// Those of them that the API server refuses for a reason of their own.
    refused: BTreeSet<Scope>,
    /// Scopes in which the kind has been seen to exist.
    present: BTreeSet<Scope>,
}

impl Report {
    pub(super) fn new(
        watched: WatchedKind,
        scopes: BTreeSet<Scope>,
        server: Arc<Server>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            watched,
            server,
            events,
            state: Mutex::new(State {
                pending: scopes,
                ..State::default()
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    pub(super) async fn send(&self, event: Event) -> Result<(), Closed> {
        self.events.send(event).await.map_err(|_| Closed)
    }

    /// An object was added or changed.
    pub(super) async fn applied(&self, read: Read) -> Result<(), Closed> {
        match read {
            Ok(object) => self.send(Event::Applied(object)).await,
            Err(problem) => {
                let key = problem.object.namespaced_name();
                tracing::warn!(%problem, "an object can't be read");
                self.send(Event::Malformed(self.watched.kind, key, problem)).await
            }
        }
    }

    /// An object went away.
    pub(super) async fn deleted(&self, key: NamespacedName) -> Result<(), Closed> {
        self.send(Event::Deleted(self.watched.kind, key)).await
    }

    /// A scope has been listed.
    pub(super) async fn listed(&self, scope: &Scope, reads: Vec<Read>) -> Result<(), Closed> {
        let (mut objects, mut problems): (Vec<Object>, Vec<Problem>) = (Vec::new(), Vec::new());
        for read in reads {
            match read {
                Ok(object) => objects.push(object),
                Err(problem) => {
                    tracing::warn!(%problem, "an object can't be read");
                    problems.push(problem);
                }
            }
        }
        self.state().present.insert(scope.clone());
        let kind = self.watched.kind;
        let event = match scope {
            None => Event::Listed(kind, objects, problems),
            Some(namespace) => Event::ListedIn(kind, namespace.clone(), objects, problems),
        };
        self.send(event).await?;
        self.works(scope).await
    }

    /// A scope works, and the store has all of it.
    pub(super) async fn works(&self, scope: &Scope) -> Result<(), Closed> {
        let (synced, available) = {
            let mut state = self.state();
            let synced = state.pending.remove(scope) && state.pending.is_empty();
            let available = state.failing.remove(scope) && state.failing.is_empty();
            if state.refused.remove(scope) {
                tracing::info!(kind = self.watched.kind.name(), "can be read again");
            }
            (synced, available)
        };
        self.server.works(self.watched.kind, scope);
        if synced {
            self.send(Event::Synced(self.watched.kind)).await?;
        }
        if available {
            self.send(Event::Available(self.watched.kind)).await?;
        }
        Ok(())
    }

    /// A scope does not work.
    pub(super) async fn failing(&self, scope: &Scope, failure: Failure) -> Result<(), Closed> {
        let kind = self.watched.kind;
        let never_seen = !self.state().present.contains(scope);
        if failure == Failure::Absent && self.watched.optional && never_seen {
            self.send(Event::Absent(kind, scope.clone())).await?;
            return self.works(scope).await;
        }
        let is_refusal = !matches!(failure, Failure::Other(..));
        let unavailable = unavailable(kind, scope, failure, never_seen);
        let is_news = self.state().failing.insert(scope.clone());
        if is_refusal {
            self.server.works(kind, scope);
            if self.state().refused.insert(scope.clone()) {
                tracing::warn!(kind = kind.name(), reason = %unavailable, "can't be read; what is known of it is kept");
            }
        } else if is_news {
            self.server.fails(kind, scope, &unavailable);
        }
        self.send(Event::Unavailable(kind, unavailable)).await
    }
}

/// What is wrong and what to do.
fn unavailable(kind: Kind, scope: &Scope, failure: Failure, never_seen: bool) -> Unavailable {
    let resource = resource_name(kind);
    let place = match scope {
        None => "in all namespaces".to_owned(),
        Some(namespace) => format!("in namespace {namespace}"),
    };
    let place = if kind.is_namespaced() {
        format!(" {place}")
    } else {
        String::new()
    };
    let (message, remedy) = match failure {
        Failure::Forbidden => {
            let role = if scope.is_some() { "a Role" } else { "a ClusterRole" };
            let grant = format!("grant get, list and watch on {resource} to the controller's ServiceAccount by {role}");
            let message = format!("the API server forbids to read {resource}{place}");
            if never_seen {
                (message, grant)
            } else {
                (
                    format!("{message}, which it did allow"),
                    format!("that passes by itself where it has just started; if it lasts, {grant}"),
                )
            }
        }
        Failure::Absent => (
            format!("the API server does not know {resource} any more, or not at all"),
            "install its CRD (without objects, if there shall be none)".to_owned(),
        ),
        Failure::Dying => (
            format!("the CRD of {resource} is being deleted, and all its objects with it"),
            "install it again; what they were is kept until then".to_owned(),
        ),
        Failure::Other(error, remedy) => (
            format!("{resource}{place} can't be read from the API server: {error}"),
            remedy.as_str().to_owned(),
        ),
    };
    Unavailable::resource(kind, message, remedy)
}
