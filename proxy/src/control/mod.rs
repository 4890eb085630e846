//! What runs and whether it is ready: the one place where a configuration is taken, refused, kept and remembered.
//!
//! The Admin API and the lifecycle call it; it calls the data plane. It knows nothing of HTTP.

mod document;
mod fence;
mod kept;
mod sent;

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use jiff::Timestamp;
use proxy_config_schema::{ConfigHash, Configuration, EntityError, InvalidConfiguration, ValidationOptions};
use serde_json::Value;
use tokio::sync::{Mutex, Notify};

use crate::{
    admin::Tables,
    data::{DataPlane, Runtime},
};

pub(crate) use document::MalformedDocument;
pub(crate) use fence::Epoch;
use fence::Fence;
use kept::{KeptConfiguration, Metadata};
use sent::{KnownText, Sent};

/// A configuration as it was submitted.
#[derive(Debug)]
pub(crate) enum Document {
    /// Text, JSON or YAML: its hash is the MD5 of its bytes.
    Text(Bytes),
    /// A JSON object that Kong would have completed before hashing it: its hash can't be predicted, and never repeats.
    Table(Value),
}

/// A request to run a configuration.
#[derive(Debug)]
pub(crate) struct Submission {
    /// The configuration.
    pub(crate) document: Document,
    /// Whether a configuration that runs already is left alone.
    pub(crate) check_hash: bool,
    /// Under which leadership it is sent.
    pub(crate) epoch: Option<Epoch>,
    /// The epoch that the sender knows to have been seen here: it asked after that whether it still leads.
    pub(crate) supersedes: Option<Epoch>,
}

/// What became of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// It runs now.
    Changed,
    /// It ran already.
    Unchanged,
}

/// Why a configuration is not run. The one before stays in place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Another leader has sent one, and this one may have been deposed.
    #[error(
        "Silverback-Epoch {sent} is over unless it supersedes {seen}: a leader of that epoch has sent a configuration"
    )]
    Fenced {
        /// What came.
        sent: Epoch,
        /// What came before.
        seen: Epoch,
    },
    /// Neither JSON nor YAML.
    #[error("failed parsing declarative configuration: {0}")]
    Malformed(#[from] MalformedDocument),
    /// Some entities are wrong.
    #[error(transparent)]
    Invalid(Box<InvalidConfiguration>),
    /// Some entities are well-formed but can't be put to work.
    #[error("{} entities can't be used", .0.len())]
    Unusable(Vec<EntityError>),
    /// A mistake of this program: what was begun has come to nothing.
    #[error("the configuration could not be checked")]
    Panicked,
}

/// Whether traffic may be sent here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Listeners are not served yet.
    Starting,
    /// There is no configuration.
    Unconfigured,
    /// Yes.
    Ready,
    /// No more.
    Draining,
}

/// What runs.
pub(crate) struct Current {
    /// Its hash.
    pub(crate) hash: ConfigHash,
    configuration: Arc<Configuration>,
    /// The text that it came as, for the next one to be compared with; none if it came in another form.
    text: Option<KnownText>,
    loaded_at: i64,
    tables: OnceLock<Tables>,
}

impl Current {
    fn new(hash: ConfigHash, configuration: Arc<Configuration>, text: Option<KnownText>) -> Self {
        Self {
            hash,
            configuration,
            text,
            loaded_at: Timestamp::now().as_second(),
            tables: OnceLock::new(),
        }
    }

    /// Its entities as lists for reading, made when they are first asked for.
    pub(crate) fn tables(&self) -> &Tables {
        self.tables
            .get_or_init(|| Tables::new(&self.configuration, self.loaded_at))
    }
}

/// See the module.
pub(crate) struct Control {
    data: Arc<DataPlane>,
    options: ValidationOptions,
    current: ArcSwap<Current>,
    /// Held while a configuration is loaded: one at a time, in the order in which they came in.
    fence: Mutex<Fence>,
    kept: Option<KeptConfiguration>,
    /// Told of each configuration.
    installed: Notify,
    serving: AtomicBool,
    draining: AtomicBool,
}

/// A configuration that passed all checks, beside the one that runs.
struct Prepared {
    hash: ConfigHash,
    configuration: Arc<Configuration>,
    text: Option<KnownText>,
    runtime: Runtime,
}

impl Control {
    /// Without any configuration; `kept` is the file to keep the last one in.
    pub(crate) fn new(data: Arc<DataPlane>, options: ValidationOptions, kept: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self {
            data,
            options,
            current: ArcSwap::from_pointee(Current::new(ConfigHash::NONE, Arc::new(Configuration::new()), None)),
            fence: Mutex::new(Fence::default()),
            kept: kept.map(KeptConfiguration::new),
            installed: Notify::new(),
            serving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        })
    }

    /// What can be taken.
    pub(crate) fn options(&self) -> &ValidationOptions {
        &self.options
    }

    /// What runs.
    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// Whether traffic may be sent here.
    pub(crate) fn readiness(&self) -> Readiness {
        if self.draining.load(Ordering::Acquire) {
            Readiness::Draining
        } else if !self.serving.load(Ordering::Acquire) {
            Readiness::Starting
        } else if self.current.load().hash.is_none() {
            Readiness::Unconfigured
        } else {
            Readiness::Ready
        }
    }

    /// Returns as soon as there is a configuration.
    pub(crate) async fn configured(&self) {
        loop {
            // Before the look: what is installed in between is not missed.
            let installed = self.installed.notified();
            if !self.current.load().hash.is_none() {
                return;
            }
            installed.await;
        }
    }

    /// Listeners are served from now on.
    pub(crate) fn set_serving(&self) {
        self.serving.store(true, Ordering::Release);
    }

    /// Not ready from now on; traffic goes on.
    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Runs a configuration, if it is good and in time. It is effective when this returns, and it goes on to its end even
    /// if nobody waits for it any more.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing has changed.
    pub(crate) async fn load(self: &Arc<Self>, submission: Submission) -> Result<Loaded, Refusal> {
        let control = Arc::clone(self);
        tokio::spawn(async move { control.load_alone(submission).await })
            .await
            .unwrap_or(Err(Refusal::Panicked))
    }

    async fn load_alone(self: Arc<Self>, submission: Submission) -> Result<Loaded, Refusal> {
        let mut fence = self.fence.lock().await;
        // Who of several controllers has sent it, for whoever reads the log.
        let epoch = submission.epoch.as_ref().map(ToString::to_string);
        let before = fence.clone();
        if let Some(epoch) = submission.epoch {
            fence.pass(epoch, submission.supersedes.as_ref())?;
        }
        let started = Instant::now();
        let sent = Sent::new(submission.document, self.current.load().text.as_ref());
        let control = Arc::clone(&self);
        let epochs = fence.clone();
        let hash = sent.hash();
        let is_another_leader = before != epochs;
        if submission.check_hash && hash == self.current.load().hash {
            if is_another_leader {
                // Whom it fences off is to outlive the process, too.
                let kept = tokio::task::spawn_blocking(move || control.keep(hash, sent, &epochs)).await;
                kept.map_err(|_| Refusal::Panicked)?;
            }
            return Ok(Loaded::Unchanged);
        }
        let (hash, bytes) = tokio::task::spawn_blocking(move || {
            let prepared = match control.prepare(&sent) {
                Ok(prepared) => prepared,
                Err(refusal) => {
                    if is_another_leader {
                        control.keep_fence(epochs);
                    }
                    return Err(refusal);
                }
            };
            let hash = prepared.hash;
            control.install(prepared);
            let bytes = control.keep(hash, sent, &epochs);
            Ok::<_, Refusal>((hash, bytes))
        })
        .await
        .unwrap_or(Err(Refusal::Panicked))?;
        tracing::info!(%hash, bytes, took = ?started.elapsed(), epoch, "configuration loaded");
        Ok(Loaded::Changed)
    }

    /// Runs the configuration that was kept, or else the one in this file.
    ///
    /// # Errors
    /// What is wrong with the declarative configuration. A kept one that can't be used is only logged: the controller
    /// sends a new one.
    pub(crate) async fn restore(self: &Arc<Self>, declarative: Option<PathBuf>) -> anyhow::Result<()> {
        if let Some(kept) = self.kept.clone() {
            let control = Arc::clone(self);
            let restored = tokio::task::spawn_blocking(move || {
                let Some((metadata, text)) = kept.read()? else {
                    return Ok(None);
                };
                let mut prepared = control.prepare(&Sent::new(Document::Text(text), None))?;
                prepared.hash = metadata.hash;
                control.install(prepared);
                anyhow::Ok(Some(metadata))
            });
            match restored.await.unwrap_or_else(|_| Err(Refusal::Panicked.into())) {
                Ok(Some(metadata)) => {
                    tracing::info!(hash = %metadata.hash, "kept configuration loaded");
                    *self.fence.lock().await = metadata.fence;
                    return Ok(());
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the kept configuration can't be used, and is left out"),
            }
        }
        let Some(path) = declarative else { return Ok(()) };
        let text = tokio::fs::read(&path)
            .await
            .map_err(|error| anyhow::anyhow!("KONG_DECLARATIVE_CONFIG: can't read {}: {error}", path.display()))?;
        let submission = Submission {
            document: Document::Text(text.into()),
            check_hash: false,
            epoch: None,
            supersedes: None,
        };
        match self.load(submission).await {
            Ok(_) => Ok(()),
            Err(refusal) => Err(anyhow::anyhow!(
                "KONG_DECLARATIVE_CONFIG: {}: {}",
                path.display(),
                refusal.summary()
            )),
        }
    }

    fn prepare(&self, sent: &Sent) -> Result<Prepared, Refusal> {
        let known = sent.by_what_changed(self.current.load().text.as_ref(), &self.options);
        let (configuration, text, is_empty) = match known {
            Some(text) => {
                let configuration = Arc::clone(text.configuration());
                let is_empty = configuration.is_empty();
                (configuration, Some(text), is_empty)
            }
            None => {
                let document = sent.parse()?;
                let is_empty = document::is_empty(&document);
                let configuration = Configuration::load(document, &self.options)
                    .map_err(|invalid| Refusal::Invalid(Box::new(invalid)))?;
                (Arc::new(configuration), None, is_empty)
            }
        };
        let runtime = self.data.compile(&configuration).map_err(Refusal::Unusable)?;
        Ok(Prepared {
            // As Kong: nothing is no configuration, even if it was sent.
            hash: if is_empty { ConfigHash::NONE } else { sent.hash() },
            configuration,
            text,
            runtime,
        })
    }

    fn install(&self, prepared: Prepared) {
        self.data.install(prepared.runtime);
        self.current.store(Arc::new(Current::new(
            prepared.hash,
            prepared.configuration,
            prepared.text,
        )));
        self.installed.notify_waiters();
    }

    /// Keeps what runs for the next start, and returns its size. A file that can't be written is no reason to refuse.
    fn keep(&self, hash: ConfigHash, sent: Sent, fence: &Fence) -> usize {
        let (text, text_hash) = sent.into_text();
        if let Some(kept) = &self.kept {
            let metadata = Metadata::new(hash, text_hash, fence.clone());
            if let Err(error) = kept.write(&metadata, &text) {
                tracing::warn!(path = %kept.path().display(), %error, "can't keep the configuration for the next start");
            }
        }
        text.len()
    }

    /// Keeps whom a leader fences off whose configuration was refused: that, too, is to outlive the process.
    fn keep_fence(&self, fence: Fence) {
        let Some(kept) = &self.kept else { return };
        if let Err(error) = kept.write_fence(fence) {
            tracing::warn!(path = %kept.path().display(), %error, "can't keep the epoch of the leader for the next start");
        }
    }
}

impl Refusal {
    /// What is wrong, for a log: entities and fields without values, since those may be secrets. At most five.
    pub(crate) fn summary(&self) -> String {
        let entities = match self {
            Self::Invalid(invalid) => &invalid.entities,
            Self::Unusable(entities) => entities,
            Self::Fenced { .. } | Self::Malformed(_) | Self::Panicked => return self.to_string(),
        };
        let fields = match self {
            Self::Invalid(invalid) => invalid.fields.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let described = entities.iter().flat_map(|entity| {
            let name = entity
                .entity_name
                .as_deref()
                .or(entity.entity_id.as_deref())
                .unwrap_or("without name");
            entity.errors.iter().map(move |error| match &error.field {
                Some(field) => format!("{} {name}: {field}", entity.entity_type),
                None => format!("{} {name}", entity.entity_type),
            })
        });
        let named: Vec<String> = fields.into_iter().chain(described).take(5).collect();
        format!("{self}: {}", named.join(", "))
    }
}
