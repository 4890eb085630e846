//! Translation -> bytes and their hash; redaction of what is shown. Pure. Called by the pipeline and the offline verbs.

mod dependence;
mod lane;
mod told;

pub use self::dependence::depends_on;
pub use self::told::{InvalidTold, told, yaml};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use proxy_config_schema::{ConfigHash, Configuration, Secrets, Written};

pub use self::lane::{Given, Lane, Product};
use crate::{
    model::{Generation, Problem, Profile, Snapshot},
    translate::{GatewayStatuses, Participants, Translation},
};

/// One configuration as it is sent: rendered once, shared by all proxies of a profile.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The body of `POST /config`. Holds secrets: no debug form.
    pub bytes: Bytes,
    /// The hash that a proxy reports for these bytes.
    pub hash: ConfigHash,
    /// What of it came from Secrets without being secret by its place: settings of plugins. To be shown nowhere.
    pub confidential: Arc<BTreeSet<String>>,
}

impl Rendered {
    /// All that must not be shown of it: to take it out of texts that come back from proxies. `None` if that can't be
    /// told, since the bytes are no configuration.
    pub fn secrets(&self) -> Option<Secrets> {
        let configuration: Configuration = serde_json::from_slice(&self.bytes).ok()?;
        Some(configuration.secrets().with(&self.confidential))
    }
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Rendered")
            .field("hash", &self.hash)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// Writes a translation as it is sent: canonical bytes, the same for the same content.
pub fn render(translation: &Translation) -> Rendered {
    let bytes = translation.configuration.to_bytes();
    let hash = ConfigHash::of(&bytes);
    Rendered {
        bytes,
        hash,
        confidential: Arc::new(translation.confidential.clone()),
    }
}

/// Writes the translations for one profile, one after another: what is the same allocation as before is not written
/// again, and not hashed again up to where the bytes begin to differ.
#[derive(Default)]
pub struct Renderer {
    last: Option<Written>,
}

impl Renderer {
    /// Does what [`render`] does.
    pub fn render(&mut self, translation: &Translation) -> Rendered {
        let written = Written::new(&translation.configuration, self.last.as_ref());
        let rendered = Rendered {
            bytes: written.bytes().clone(),
            hash: written.hash(),
            confidential: Arc::new(translation.confidential.clone()),
        };
        self.last = Some(written);
        rendered
    }
}

/// What is rendered, for people: without a single secret.
pub fn redacted(rendered: &Rendered) -> serde_json::Value {
    let configuration: Configuration =
        serde_json::from_slice(&rendered.bytes).expect("rendered bytes are a configuration");
    serde_json::to_value(configuration.redacted_with(&rendered.confidential)).expect("a configuration is valid JSON")
}

/// All that came of one snapshot: the latest one is what the fleet shall run, and what status and dashboard show.
#[derive(Debug, Clone)]
pub struct Rendition {
    /// The snapshot that it was made from.
    pub generation: Generation,
    /// The same: statuses say of which generation of an object they speak.
    pub snapshot: Arc<Snapshot>,
    /// One configuration per profile: what its proxies shall run.
    pub profiles: BTreeMap<Profile, Arc<Rendered>>,
    /// Of profiles whose proxies do not get all that the objects ask for, since they refused some of it.
    pub fallbacks: BTreeMap<Profile, Fallback>,
    /// What is wrong with the objects, over all profiles.
    pub problems: Arc<[Problem]>,
    /// The objects that took part.
    pub objects: Participants,
    /// What can be said of the Gateway API's objects that are ours.
    pub gateways: Arc<GatewayStatuses>,
    /// Why nothing may be sent now, if so (DESIGN.md §3 rule 7): a kind that the configuration depends on can't be read.
    pub hold: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// How long translating and rendering took.
    pub took: Duration,
}

impl Rendition {
    /// With which configurations a proxy of that profile is up to date: its profile's, and all that the objects ask for,
    /// where some of it is left out of that one since other proxies refused it.
    pub fn up_to_date(&self, profile: &Profile) -> impl Iterator<Item = ConfigHash> + use<'_> {
        let whole = self.fallbacks.get(profile).and_then(|fallback| fallback.whole.as_ref());
        let both = [self.profiles.get(profile), whole];
        both.into_iter().flatten().map(|rendered| rendered.hash)
    }
}

/// How a profile's configuration differs from what the objects ask for, and what else its proxies can be given.
#[derive(Clone)]
pub struct Fallback {
    /// All that the objects ask for, where some of it is left out: a proxy that runs it keeps it.
    pub whole: Option<Arc<Rendered>>,
    /// The objects that the profile's configuration was made of.
    pub sources: Arc<Snapshot>,
    /// What was accepted last, with the addresses of now: for proxies that do not take the profile's configuration.
    pub kept: Option<Restored>,
    /// Objects that are left out.
    pub left_out: usize,
    /// Objects that stay in the version that was accepted last.
    pub old: usize,
}

/// A configuration made of objects of a former moment.
#[derive(Clone)]
pub struct Restored {
    /// The configuration.
    pub rendered: Arc<Rendered>,
    /// Those objects, with the addresses of now.
    pub sources: Arc<Snapshot>,
}

/// What proxies of a profile accepted last.
#[derive(Clone)]
pub struct LastGood {
    /// The very bytes.
    pub rendered: Arc<Rendered>,
    /// The objects that they were made of.
    pub sources: Arc<Snapshot>,
    /// When the first proxy was found to run it.
    pub accepted_at: Timestamp,
    /// How that is known.
    pub origin: Origin,
}

/// How it is known what proxies accepted last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was put away, by an earlier run of the controller or by another leader: its addresses are old, and Secrets and
    /// EndpointSlices are not among the objects.
    Stored,
    /// This replica saw it, but not since it is the one that puts away: what another one put away at last may be newer.
    Seen,
    /// A proxy was found to run it since then ([`FleetEvent::Term`](crate::fleet::FleetEvent::Term)).
    Confirmed,
}

/// Without the objects: they may hold secrets.
impl std::fmt::Debug for Fallback {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Fallback")
            .field("whole", &self.whole)
            .field("kept", &self.kept)
            .field("left_out", &self.left_out)
            .field("old", &self.old)
            .finish_non_exhaustive()
    }
}

/// Without the objects: they may hold secrets.
impl std::fmt::Debug for Restored {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rendered.fmt(formatter)
    }
}

/// Without the objects: they may hold secrets.
impl std::fmt::Debug for LastGood {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rendered.fmt(formatter)
    }
}

/// Whether two say the same: by the hashes of what they render.
impl PartialEq for Fallback {
    fn eq(&self, other: &Self) -> bool {
        let hashes = |fallback: &Self| {
            let whole = fallback.whole.as_ref().map(|whole| whole.hash);
            (whole, fallback.kept.as_ref().map(|kept| kept.rendered.hash))
        };
        hashes(self) == hashes(other) && (self.left_out, self.old) == (other.left_out, other.old)
    }
}
