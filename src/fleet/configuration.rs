//! What proxies can be given, and what one of them may be given now.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;
use proxy_config_schema::ConfigHash;

use crate::{
    model::{Edition, Problem, Profile, ProxyId, Reason, Snapshot},
    render::{LastGood, Origin, Rendered, Rendition},
    translate::fallback::{Blame, Refusal, Refusals},
};

use super::{EntityError, ProxyReport, attribution};

/// Objects that a message about left-out ones names.
const MAX_NAMED: usize = 3;
/// Hashes that are remembered as rendered, per profile.
const MAX_RENDERED: usize = 32;
/// Hashes that are remembered as refused, per profile.
const MAX_REFUSED: usize = 16;

/// One configuration of one profile; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Configuration {
    pub(super) rendered: Arc<Rendered>,
    /// Counts renditions: of two that were accepted the later one is the last good one. 0 is of an earlier run.
    pub(super) sequence: u64,
    /// What it was made of.
    pub(super) sources: Arc<Snapshot>,
    /// What was left out of it, in words; `None` if nothing was.
    pub(super) incomplete: Option<Arc<str>>,
}

impl Configuration {
    pub(super) fn hash(&self) -> ConfigHash {
        self.rendered.hash
    }
}

/// What is remembered of a configuration that a proxy was given: what is shown of it, and all of it as long as that may be
/// given to somebody again.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) hash: ConfigHash,
    /// In bytes.
    pub(super) size: u64,
    /// What was left out of it, in words; `None` if nothing was.
    pub(super) incomplete: Option<Arc<str>>,
    sequence: u64,
    whole: Option<Configuration>,
}

impl Given {
    pub(super) fn whole(&self) -> Option<&Configuration> {
        self.whole.as_ref()
    }

    pub(super) fn is_older_than(&self, other: &Configuration) -> bool {
        self.sequence < other.sequence
    }

    /// Forgets all but what is shown of it.
    pub(super) fn let_go(&mut self) {
        self.whole = None;
    }
}

impl From<Configuration> for Given {
    fn from(configuration: Configuration) -> Self {
        Self {
            hash: configuration.hash(),
            size: configuration.rendered.bytes.len() as u64,
            incomplete: configuration.incomplete.clone(),
            sequence: configuration.sequence,
            whole: Some(configuration),
        }
    }
}

/// What this replica may do to proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Permission {
    /// Another replica leads, or none is known to.
    Nothing,
    /// The last good configuration to proxies without any, nothing else.
    Restore(RestoreReason),
    /// Everything.
    Free,
}

/// Why only restoring is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RestoreReason {
    /// The API server is out of reach, so that the Lease can't be renewed.
    Cut,
    /// A source of the configuration is unavailable ([`Rendition::hold`]).
    Hold(Arc<str>),
    /// The operator wants no changes (`ProxyFleet.spec.paused`).
    Paused,
}

/// What one proxy shall run and may be given, as the fleet sees it now.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    pub(super) permission: Permission,
    /// The newest configuration of its profile, as far as proxies take it.
    pub(super) desired: Option<Configuration>,
    /// The same without anything left out, if something is.
    pub(super) whole: Option<ConfigHash>,
    /// The last good one with the addresses of now, if it may be needed.
    pub(super) kept: Option<Configuration>,
    /// The latest one that a proxy of its profile accepted.
    pub(super) last_good: Option<Configuration>,
    /// Whether a proxy without configuration gets the last good one first: others run it, or the newest was refused.
    pub(super) last_good_first: bool,
    /// Whether its profile is one of the few that are served.
    pub(super) profile_served: bool,
}

impl Goal {
    /// Of all configurations that it may run.
    pub(super) fn hashes(&self) -> impl Iterator<Item = ConfigHash> {
        let configurations = [&self.desired, &self.kept, &self.last_good].into_iter().flatten();
        configurations.map(Configuration::hash).chain(self.whole)
    }

    /// Of a proxy of which nothing is known.
    pub(super) fn none() -> Self {
        Self {
            permission: Permission::Nothing,
            desired: None,
            whole: None,
            kept: None,
            last_good: None,
            last_good_first: false,
            profile_served: false,
        }
    }
}

/// Configurations by profile.
#[derive(Default)]
pub(super) struct Configurations {
    profiles: BTreeMap<Profile, OfProfile>,
    rendition: Option<Latest>,
    sequence: u64,
    /// Why nothing may be sent, if so.
    hold: Option<Arc<str>>,
    /// What proxies accepted last of profiles that had to make room: they may be those of proxies that have not answered
    /// yet.
    set_aside: BTreeMap<Profile, Good>,
}

/// The latest rendition that is somebody's wish.
#[derive(Clone)]
struct Latest {
    rendition: Arc<Rendition>,
    sequence: u64,
    /// What is left out, in words.
    incomplete: Option<Arc<str>>,
    /// The same, but for what only proxies refused.
    incomplete_whole: Option<Arc<str>>,
}

/// What proxies of a profile accepted last.
#[derive(Clone)]
struct Good {
    configuration: Configuration,
    /// When the first of them was found to run it.
    accepted_at: Timestamp,
    /// Whether one was found to since the term began.
    is_confirmed: bool,
}

impl Good {
    /// Whether it is known from this run, rather than put away by another.
    fn is_of_this_run(&self) -> bool {
        self.configuration.sequence > 0
    }
}

#[derive(Default)]
struct OfProfile {
    desired: Option<Configuration>,
    whole: Option<Configuration>,
    kept: Option<Configuration>,
    last_good: Option<Good>,
    /// Of what was rendered lately, in this run: whatever leads may have sent it.
    rendered: VecDeque<ConfigHash>,
    refusals: Arc<Refusals>,
    /// Whose processes refused something.
    refusers: BTreeSet<ProxyId>,
}

impl Configurations {
    /// Takes what the fleet shall run.
    pub(super) fn set(&mut self, rendition: Arc<Rendition>) {
        self.hold = rendition.hold.as_deref().map(Into::into);
        self.sequence += 1;
        if self.hold.is_some() {
            // What is rendered while a source is missing is no wish of anybody: the earlier one stays. What was
            // accepted last is what newcomers get.
            for (profile, known) in &mut self.profiles {
                known.kept = kept(&rendition, profile, self.sequence);
            }
            return;
        }
        let is_refused = |problem: &&Problem| is_of_refusal(problem.reason);
        let latest = Latest {
            incomplete: incomplete(rendition.problems.iter()),
            incomplete_whole: incomplete(rendition.problems.iter().filter(|problem| !is_refused(problem))),
            sequence: self.sequence,
            rendition,
        };
        for (profile, known) in &mut self.profiles {
            known.take(&latest, profile);
        }
        self.rendition = Some(latest);
    }

    pub(super) fn hold(&self) -> Option<&Arc<str>> {
        self.hold.as_ref()
    }

    /// Serves a profile from now on, if there is room. `used` are those that proxies have now.
    pub(super) fn admit(&mut self, profile: &Profile, used: impl Fn(&Profile) -> bool) -> bool {
        if self.profiles.contains_key(profile) {
            return true;
        }
        if self.profiles.len() >= Profile::MAX {
            let unused = self.profiles.iter().filter(|(known, _)| !used(known));
            // Before those of which something is known to be good, and of these first what is oldest.
            let oldest =
                unused.min_by_key(|(_, known)| known.last_good.as_ref().map(|good| good.configuration.sequence));
            let Some(unused) = oldest.map(|(profile, _)| profile.clone()) else {
                return false;
            };
            let good = self.profiles.remove(&unused).and_then(|known| known.last_good);
            self.set_aside(unused, good);
        }
        let mut known = OfProfile {
            last_good: self.set_aside.remove(profile),
            ..OfProfile::default()
        };
        if let Some(latest) = &self.rendition {
            known.take(latest, profile);
        }
        self.profiles.insert(profile.clone(), known);
        true
    }

    fn set_aside(&mut self, profile: Profile, good: Option<Good>) {
        self.set_aside.extend(good.map(|good| (profile, good)));
        if self.set_aside.len() > Profile::MAX {
            let oldest = self
                .set_aside
                .iter()
                .min_by_key(|(_, good)| good.configuration.sequence);
            let oldest = oldest.map(|(profile, _)| profile.clone());
            self.set_aside.retain(|profile, _| Some(profile) != oldest.as_ref());
        }
    }

    /// What proxies of that profile accepted in an earlier run, or under another leader: of use as long as nothing is known
    /// from this one. What this one saw gives way to what was accepted later, unless a proxy still `runs` it.
    pub(super) fn stored(&mut self, profile: Profile, good: &LastGood, runs: impl Fn(ConfigHash) -> bool) {
        let good = Good {
            configuration: Configuration {
                rendered: good.rendered.clone(),
                sequence: 0,
                sources: good.sources.clone(),
                incomplete: Some("it runs what was accepted before the controller started".into()),
            },
            accepted_at: good.accepted_at,
            is_confirmed: false,
        };
        let stays = |known: &Good| {
            let is_later = known.is_confirmed || known.accepted_at >= good.accepted_at;
            known.is_of_this_run() && (is_later || runs(known.configuration.hash()))
        };
        if !self.admit(&profile, |_| true) {
            if !self.set_aside.get(&profile).is_some_and(stays) {
                self.set_aside(profile, Some(good));
            }
        } else if let Some(known) = self.profiles.get_mut(&profile)
            && !known.last_good.as_ref().is_some_and(stays)
        {
            known.last_good = Some(good);
        }
    }

    /// A proxy of that profile runs that configuration. Says whether that is news: the last good one is another one than
    /// before, or is confirmed for the first time in this term.
    pub(super) fn accepted(&mut self, profile: &Profile, configuration: &Configuration, now: Timestamp) -> bool {
        let Some(known) = self.profiles.get_mut(profile) else {
            return false;
        };
        let found = Good {
            configuration: configuration.clone(),
            accepted_at: now,
            // What is of another run stays so, whoever runs it: it has no addresses and Secrets of now.
            is_confirmed: configuration.sequence > 0,
        };
        let Some(before) = &mut known.last_good else {
            known.last_good = Some(found);
            return true;
        };
        let is_newer = before.configuration.sequence < configuration.sequence;
        if before.configuration.hash() == configuration.hash() {
            if is_newer {
                before.configuration = found.configuration;
            }
            let is_news = before.is_of_this_run() && !before.is_confirmed;
            before.is_confirmed |= is_news;
            return is_news;
        }
        // Slow proxies accept late what others have left behind.
        if is_newer {
            *before = found;
        }
        is_newer
    }

    /// A term begins: what proxies run by now they are still to tell.
    pub(super) fn begin_term(&mut self) {
        let of_profiles = self.profiles.values_mut().filter_map(|known| known.last_good.as_mut());
        for good in of_profiles.chain(self.set_aside.values_mut()) {
            good.is_confirmed = false;
        }
    }

    /// A proxy of that profile refused it.
    pub(super) fn refused(
        &mut self,
        profile: &Profile,
        id: &ProxyId,
        configuration: &Configuration,
        errors: &[EntityError],
    ) {
        let Some(known) = self.profiles.get_mut(profile) else {
            return;
        };
        let hash = configuration.hash();
        known.refusers.insert(id.clone());
        if known.refusals.contain(hash) {
            return;
        }
        let refusals = Arc::make_mut(&mut known.refusals);
        if refusals.latest.len() == MAX_REFUSED {
            refusals.latest.remove(0);
        }
        refusals.latest.push(Arc::new(Refusal {
            hash,
            blamed: blame(errors, &configuration.sources),
        }));
    }

    /// That process of a proxy is gone. Once all are that refused something, everything is tried again: what they lacked
    /// the others may have.
    pub(super) fn gone(&mut self, profile: &Profile, id: &ProxyId) {
        if let Some(known) = self.profiles.get_mut(profile)
            && known.refusers.remove(id)
            && known.refusers.is_empty()
        {
            known.refusals = Arc::new(Refusals {
                forgiven: known.refusals.forgiven + 1,
                latest: Vec::new(),
            });
        }
    }

    pub(super) fn is_served(&self, profile: &Profile) -> bool {
        self.profiles.contains_key(profile)
    }

    pub(super) fn desired(&self, profile: &Profile) -> Option<&Configuration> {
        self.profiles.get(profile)?.desired.as_ref()
    }

    /// What the objects ask for, if something of it is left out.
    pub(super) fn whole(&self, profile: &Profile) -> Option<&Configuration> {
        self.profiles.get(profile)?.whole.as_ref()
    }

    pub(super) fn kept(&self, profile: &Profile) -> Option<&Configuration> {
        self.profiles.get(profile)?.kept.as_ref()
    }

    pub(super) fn last_good(&self, profile: &Profile) -> Option<&Configuration> {
        let good = self.profiles.get(profile)?.last_good.as_ref();
        good.map(|good| &good.configuration)
    }

    /// Whether proxies of that profile accepted it last, in this run.
    pub(super) fn is_good(&self, profile: &Profile, configuration: &Configuration) -> bool {
        let good = self.last_good(profile).filter(|good| good.sequence > 0);
        good.is_some_and(|good| good.hash() == configuration.hash())
    }

    /// Whether it was rendered for that profile lately, in this run.
    pub(super) fn has_rendered(&self, profile: &Profile, hash: ConfigHash) -> bool {
        self.profiles
            .get(profile)
            .is_some_and(|known| known.rendered.contains(&hash))
    }

    /// What was accepted last, if it may be given to proxies: the bytes of an earlier run only until the objects of now are known.
    pub(super) fn last_good_to_give(&self, profile: &Profile) -> Option<&Configuration> {
        self.last_good(profile)
            .filter(|good| good.sequence > 0 || self.rendition.is_none())
    }

    /// What was accepted last, for those who render it again or put it away: also by proxies whose profile had to make room.
    pub(super) fn good(&self) -> BTreeMap<Profile, Arc<LastGood>> {
        let served = self.profiles.iter();
        let served = served.filter_map(|(profile, known)| Some((profile, known.last_good.as_ref()?)));
        let good = served.chain(&self.set_aside).map(|(profile, good)| {
            let configuration = &good.configuration;
            let origin = match good.is_of_this_run() {
                false => Origin::Stored,
                true if good.is_confirmed => Origin::Confirmed,
                true => Origin::Seen,
            };
            let good = LastGood {
                rendered: configuration.rendered.clone(),
                sources: configuration.sources.clone(),
                accepted_at: good.accepted_at,
                origin,
            };
            (profile.clone(), Arc::new(good))
        });
        good.collect()
    }

    pub(super) fn refusals(&self) -> BTreeMap<Profile, Arc<Refusals>> {
        let refusals = self.profiles.iter();
        refusals
            .map(|(profile, known)| (profile.clone(), known.refusals.clone()))
            .collect()
    }

    pub(super) fn is_desired_refused(&self, profile: &Profile) -> bool {
        self.profiles.get(profile).is_some_and(|known| {
            known
                .desired
                .as_ref()
                .is_some_and(|desired| known.refusals.contain(desired.hash()))
        })
    }

    pub(super) fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.keys()
    }
}

impl OfProfile {
    fn take(&mut self, latest: &Latest, profile: &Profile) {
        let rendition = &latest.rendition;
        let fallback = rendition.fallbacks.get(profile);
        let sources = fallback.map_or(&rendition.snapshot, |fallback| &fallback.sources);
        self.desired = rendition.profiles.get(profile).map(|rendered| Configuration {
            rendered: rendered.clone(),
            sequence: latest.sequence,
            sources: sources.clone(),
            incomplete: latest.incomplete.clone(),
        });
        let whole = fallback.and_then(|fallback| fallback.whole.clone());
        self.whole = whole.map(|rendered| Configuration {
            rendered,
            sequence: latest.sequence,
            sources: rendition.snapshot.clone(),
            incomplete: latest.incomplete_whole.clone(),
        });
        self.kept = kept(rendition, profile, latest.sequence);
        let hashes = [&self.desired, &self.whole, &self.kept].map(|made| made.as_ref().map(Configuration::hash));
        for hash in hashes.into_iter().flatten() {
            if !self.rendered.contains(&hash) {
                self.rendered.push_back(hash);
            }
        }
        while self.rendered.len() > MAX_RENDERED {
            self.rendered.pop_front();
        }
    }
}

fn kept(rendition: &Rendition, profile: &Profile, sequence: u64) -> Option<Configuration> {
    let kept = rendition.fallbacks.get(profile)?.kept.as_ref()?;
    Some(Configuration {
        rendered: kept.rendered.clone(),
        sequence,
        sources: kept.sources.clone(),
        incomplete: Some("it runs what was accepted before; what is newer is refused, or may not be sent".into()),
    })
}

/// The objects that errors are about, each once.
fn blame(errors: &[EntityError], sources: &Snapshot) -> Vec<Blame> {
    let mut seen = BTreeSet::new();
    let blamed = errors.iter().filter_map(|error| {
        let object = attribution::object_of(&error.entity_tags)?;
        let field = error
            .field
            .as_ref()
            .map(|field| format!("{field}: "))
            .unwrap_or_default();
        let is_new = seen.insert(object.clone());
        let kind = &error.entity_type;
        let space = if kind.is_empty() || field.is_empty() { "" } else { " " };
        let message = format!("{kind}{space}{field}{}", error.message);
        let place = error.field.as_deref().map(|field| (&**kind, field));
        is_new.then(|| Blame::of(&object, place, &message, sources))?
    });
    blamed.collect()
}

/// The profile of a proxy.
pub(super) fn profile_of(report: &ProxyReport) -> Profile {
    let mut numbers = report
        .version
        .split(|character: char| !character.is_ascii_digit())
        .map_while(|number| number.parse().ok());
    Profile {
        router_flavor: report.router_flavor,
        edition: Some(report.edition),
        version: numbers.next().zip(numbers.next()),
        plugins: report.plugins.clone(),
    }
}

/// Whether applying a configuration costs the proxy much, so that it has to rest afterwards (DESIGN.md §3 rule 4).
pub(super) fn pays_for_pushes(edition: Edition) -> bool {
    match edition {
        Edition::OpenSource | Edition::Enterprise => true,
        Edition::Embedded => false,
    }
}

/// Whether the proxy loads what it has received whole one after another, in the order in which it came, and nothing of what
/// it has received in part.
pub(super) fn takes_in_order(edition: Edition) -> bool {
    match edition {
        Edition::OpenSource | Edition::Enterprise => false,
        Edition::Embedded => true,
    }
}

/// Names the objects of which something is missing in the configuration, and where to read why.
fn incomplete<'a>(problems: impl Iterator<Item = &'a Problem> + Clone) -> Option<Arc<str>> {
    let left_out = || problems.clone().filter(|problem| leaves_out(problem.reason));
    let mut objects: Vec<_> = left_out().map(|problem| &problem.object).collect();
    objects.sort();
    objects.dedup();
    if objects.is_empty() {
        return None;
    }
    let named: Vec<_> = objects.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    let more = match objects.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    // What stands in a file has neither a status nor events.
    let place = if left_out().any(|problem| problem.source.is_some()) {
        "the controller's log, the problems on its dashboard or GET /api/v1/problems there"
    } else {
        "their events or status, or the problems on the controller's dashboard"
    };
    Some(format!("parts of {}{more} are left out: see {place}", named.join(", ")).into())
}

/// Whether such a problem takes something out of the configuration, rather than stand beside it.
fn leaves_out(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::NoEndpoints | Reason::SourceUnavailable | Reason::Ignored
    )
}

/// Whether such a problem is there since a proxy refused something.
fn is_of_refusal(reason: Reason) -> bool {
    matches!(reason, Reason::ConfigRejected | Reason::DependsOnRejected)
}
