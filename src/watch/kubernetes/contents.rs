//! Secrets and ConfigMaps: watched as metadata; the content is fetched of those that are wanted, again whenever they
//! change.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream, stream::BoxStream};
use kube::{
    core::{DynamicObject, PartialObjectMeta},
    runtime::watcher,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Source,
    guarded::{self, Change, Cut, Failure, Guarded, Remedy, cut},
    read::{Read, metadata, read},
    report::{Closed, Report},
};
use crate::{
    model::{Kind, NamespacedName, kubernetes::Metadata},
    store::{Event, Interest},
};

/// Keeps out Helm's release Secrets, which are many, big, and never referred to, and what this program puts away itself.
const SELECTOR: &str = "type!=helm.sh/release.v1,type!=gateway.silverback.dev/last-good";

/// Objects that are fetched at the same time.
const FETCHES: usize = 16;

/// How long a fetch may take.
const FETCH_AT_MOST: Duration = Duration::from_secs(10);

/// After how long a failed fetch is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// What is known of an object without its content.
pub(super) struct Known {
    resource_version: String,
    /// Name and labels; the rest is let go.
    metadata: Metadata,
}

/// Opens the watch of the metadata.
pub(super) fn open(source: &Source) -> BoxStream<'static, guarded::Event<Known>> {
    let kind = source.kind;
    let mut config = watcher::Config::default();
    if kind == Kind::Secret {
        config = config.fields(SELECTOR);
    }
    cut(watcher(source.metadata_api(), config), move |object| know(kind, object))
}

fn know(kind: Kind, object: PartialObjectMeta<DynamicObject>) -> Cut<Known> {
    let resource_version = object.metadata.resource_version.clone().unwrap_or_default();
    let Metadata {
        name,
        namespace,
        labels,
        ..
    } = metadata(kind, object.metadata);
    let metadata = Metadata {
        name,
        namespace,
        labels,
        ..Metadata::default()
    };
    Cut {
        key: metadata.key(),
        object: Known {
            resource_version,
            metadata,
        },
    }
}

/// Watches the objects of a scope, until the store is gone.
pub(super) async fn run(
    source: Source,
    mut stream: Guarded<Known>,
    report: Arc<Report>,
    mut interest: watch::Receiver<Arc<Interest>>,
) {
    let mut contents = Contents {
        source,
        report,
        known: None,
        told: BTreeMap::new(),
        wanted: Arc::default(),
        answered: 0,
        failing: None,
        retry_at: None,
    };
    loop {
        let result = tokio::select! {
            change = stream.next() => contents.take(change).await,
            changed = interest.changed() => {
                if changed.is_err() {
                    return;
                }
                contents.want(interest.borrow_and_update().clone());
                Ok(())
            }
            () = sleep_until(contents.retry_at.unwrap_or_else(Instant::now)), if contents.retry_at.is_some() => Ok(()),
        };
        if result.is_err() || contents.fetch().await.is_err() {
            return;
        }
    }
}

struct Contents {
    source: Source,
    report: Arc<Report>,
    /// `None` before the first list.
    known: Option<BTreeMap<NamespacedName, Known>>,
    /// The resource versions of those whose content the store was told.
    told: BTreeMap<NamespacedName, String>,
    wanted: Arc<Interest>,
    /// Generation of the interest that was answered last.
    answered: u64,
    /// Why the watch of the metadata does not work.
    failing: Option<Failure>,
    retry_at: Option<Instant>,
}

impl Contents {
    async fn take(&mut self, change: Change<Known>) -> Result<(), Closed> {
        match change {
            Change::Listed(list) => {
                self.failing = None;
                let list = list.into_iter().map(|known| (known.metadata.key(), known));
                self.known = Some(list.collect());
                let gone: Vec<_> = self.told.keys().filter(|key| !self.knows(key)).cloned().collect();
                for key in gone {
                    self.told.remove(&key);
                    self.report.deleted(key).await?;
                }
            }
            Change::Applied(known) => {
                let all = self.known.get_or_insert_default();
                all.insert(known.metadata.key(), known);
            }
            Change::Deleted(key) => {
                self.known.get_or_insert_default().remove(&key);
                if self.told.remove(&key).is_some() {
                    self.report.deleted(key).await?;
                }
            }
            Change::Failing(failure) => {
                self.failing = Some(failure.clone());
                self.report.failing(&self.source.scope, failure).await?;
            }
        }
        Ok(())
    }

    fn knows(&self, key: &NamespacedName) -> bool {
        self.known.as_ref().is_some_and(|known| known.contains_key(key))
    }

    fn want(&mut self, wanted: Arc<Interest>) {
        // What came in anew may have been dropped by the store in between, whatever it was told before.
        let handled = self.wanted.generation;
        let kind = self.source.kind;
        self.told
            .retain(|key, _| wanted.contents(kind).get(key).is_none_or(|since| *since <= handled));
        self.wanted = wanted;
    }

    /// Fetches what is wanted and not told in its present version, then answers the interest.
    async fn fetch(&mut self) -> Result<(), Closed> {
        if !self.wanted.is_known() {
            return Ok(());
        }
        let mut failure = self.failing.clone();
        if let Some(known) = &self.known {
            let wanted = |known: &&Known| self.wanted.wants_content(self.source.kind, &known.metadata);
            let told = &self.told;
            let is_told = |known: &Known| told.get(&known.metadata.key()) == Some(&known.resource_version);
            let missing = known.values().filter(wanted).filter(|known| !is_told(known));
            let keys: Vec<NamespacedName> = missing.map(|known| known.metadata.key()).collect();
            let fetched: Vec<_> = stream::iter(keys)
                .map(|key| self.get(key))
                .buffered(FETCHES)
                .collect()
                .await;
            for (key, result) in fetched {
                match result {
                    Ok(Some((resource_version, read))) => {
                        self.report.applied(read).await?;
                        self.told.insert(key, resource_version);
                    }
                    // Gone already: the watch is about to say so.
                    Ok(None) => {}
                    Err(error) => failure = Some(error),
                }
            }
            let known_and_wanted = |key: &NamespacedName| known.get(key).is_some_and(|known| wanted(&known));
            self.told.retain(|key, _| known_and_wanted(key));
        }
        self.retry_at = None;
        match failure {
            None if self.known.is_some() => self.report.works(&self.source.scope).await?,
            None => return Ok(()),
            Some(failure) => {
                if self.failing.is_none() {
                    self.retry_at = Some(Instant::now() + RETRY);
                    self.report.failing(&self.source.scope, failure).await?;
                }
            }
        }
        if self.answered < self.wanted.generation {
            self.answered = self.wanted.generation;
            self.report.send(Event::InterestMet(self.answered)).await?;
        }
        Ok(())
    }

    /// The content of an object and its version; `None` if there is no such object.
    async fn get(&self, key: NamespacedName) -> (NamespacedName, Result<Option<(String, Read)>, Failure>) {
        let api = self.source.api_in(&key.namespace);
        let result = match timeout(FETCH_AT_MOST, api.get_opt(&key.name)).await {
            Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some(object))) => {
                let resource_version = object.metadata.resource_version.clone().unwrap_or_default();
                Ok(Some((resource_version, read(self.source.kind, object).object)))
            }
            Ok(Err(error)) => Err(Failure::of(&error)),
            Err(_) => Err(Failure::Other(
                format!("it does not answer within {} s", FETCH_AT_MOST.as_secs()),
                Remedy::Reach,
            )),
        };
        (key, result)
    }
}
