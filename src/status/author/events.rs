//! Events, with Kong Ingress Controller's reasons: what is wrong with an object stands where `kubectl describe` shows it.
//!
//! Unlike there, a problem that stays is told once, and again only when it came back after it was gone.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::World;
use crate::{
    fleet::{ConditionStatus, ProxyView, discovery},
    model::{Kind, NamespacedName, ObjectRef, Reason},
    render::Rendition,
    status::{
        document::{Document, EventDocument, Key, Lane},
        planner::Planner,
        settings::Settings,
    },
};

/// The objects could not be translated.
pub(in crate::status) const TRANSLATION_FAILED: &str = "KongConfigurationTranslationFailed";
/// A proxy refused the configuration, or did not get it.
pub(in crate::status) const APPLY_FAILED: &str = "KongConfigurationApplyFailed";
/// The proxies have the configuration.
pub(in crate::status) const SUCCEEDED: &str = "KongConfigurationSucceeded";
/// Ours: proxies are configured without that both sides have verified each other.
pub(in crate::status) const UNPROTECTED: &str = "AdminAPIUnprotected";
/// The proxies have a configuration without what they refused.
pub(in crate::status) const FALLBACK_SUCCEEDED: &str = "FallbackKongConfigurationSucceeded";
/// Ours: an Admin Service has no proxies.
pub(in crate::status) const NO_PROXIES: &str = "NoProxies";
/// Ours: objects of a kind can't be read.
pub(in crate::status) const SOURCE_UNAVAILABLE: &str = "SourceUnavailable";
/// Ours: the configuration is close to the size that a proxy takes.
pub(in crate::status) const NEARLY_TOO_LARGE: &str = "ConfigurationNearlyTooLarge";

/// How many problems are told at once: beyond that, the dashboard has them all.
const MOST: usize = 2000;
/// How many events' occurrences are remembered.
const REMEMBERED: usize = 4096;
/// Bytes of a note: what Kubernetes allows is 1,024.
const NOTE: usize = 1000;
/// How long a Service may be without proxies, or a kind unreadable, as while something starts, before it is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// The least time between two events that say that all went well.
const SUCCESS_SPACING: Duration = Duration::from_secs(60);

/// What tells one problem from another: the object's UID, the reason, and what is wrong.
type Identity = (String, &'static str, String);

/// Which problems have been told.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    active: BTreeMap<Identity, Key>,
    /// How often each was told.
    counts: HashMap<Key, u32>,
    /// The state of each profile that a success was told of.
    successes: BTreeMap<String, String>,
}

impl EventLog {
    /// Takes in the problems that there are now: new ones are told, those that are gone may be told again.
    pub(super) fn update(&mut self, current: Problems, planner: &mut Planner, now: Instant) {
        let gone = self
            .active
            .extract_if(.., |identity, _| !current.contains_key(identity));
        for (_, key) in gone {
            planner.forget(&key);
        }
        for (identity, document) in current {
            if !self.active.contains_key(&identity) {
                let key = self.tell(document, planner, now);
                self.active.insert(identity, key);
            }
        }
    }

    /// Tells an event, or counts it up.
    pub(super) fn tell(&mut self, mut document: EventDocument, planner: &mut Planner, now: Instant) -> Key {
        let key = Key::Event(name(&document));
        if self.counts.len() >= REMEMBERED {
            self.counts.clear();
        }
        let count = self.counts.entry(key.clone()).or_insert(0);
        *count += 1;
        document.count = *count;
        planner.want(&key, Document::Event(Box::new(document)), now);
        key
    }
}

/// Problems by what tells them from one another.
type Problems = BTreeMap<Identity, EventDocument>;

/// What is wrong with the objects.
pub(super) fn of_rendition(rendition: &Rendition) -> Problems {
    let mut problems = Problems::new();
    for problem in rendition.problems.iter() {
        let reason = match problem.reason {
            Reason::ConfigRejected | Reason::DependsOnRejected => APPLY_FAILED,
            _ => TRANSLATION_FAILED,
        };
        let field = problem
            .field
            .as_ref()
            .map(|field| format!("{field}: "))
            .unwrap_or_default();
        let note = format!("{}: {field}{}; {}", problem.reason, problem.message, problem.remedy);
        add(
            &mut problems,
            note.clone(),
            warning(problem.object.clone(), reason, note),
        );
    }
    problems
}

/// What is wrong with the proxies, and with objects as they see them.
pub(super) fn of_fleet(settings: &Settings, own_pod: Option<&ObjectRef>, world: &World) -> Problems {
    let mut problems = Problems::new();
    let left_out = left_out(world.rendition.as_deref());
    for proxy in &world.view.proxies {
        for error in &proxy.errors {
            // Of what is left out for it the rendition tells.
            let object = error.object.as_ref();
            let Some(object) = object.filter(|object| !left_out.contains(&object.uid)) else {
                continue;
            };
            let field = error
                .field
                .as_ref()
                .map(|field| format!("{field}: "))
                .unwrap_or_default();
            let note = format!("refused by a proxy: {} {field}{}", error.entity_type, error.message);
            add(&mut problems, note.clone(), warning(object.clone(), APPLY_FAILED, note));
        }
    }
    let close = world
        .view
        .proxies
        .iter()
        .find_map(|proxy| Some((proxy, proxy.nearly_too_large()?)));
    if let (Some(pod), Some((proxy, size))) = (own_pod, close) {
        // Sizes change with every change: one event for as long as it lasts.
        let note = format!("{}: {size}", proxy.target.name);
        add(
            &mut problems,
            String::new(),
            warning(pod.clone(), NEARLY_TOO_LARGE, note),
        );
    }
    for (reason, note) in failures(world) {
        if let Some(pod) = own_pod {
            add(&mut problems, reason, warning(pod.clone(), APPLY_FAILED, note));
        }
    }
    for (reason, note) in unprotected(world) {
        if let Some(pod) = own_pod {
            let document = EventDocument {
                patience: PATIENCE,
                ..warning(pod.clone(), UNPROTECTED, note)
            };
            add(&mut problems, reason, document);
        }
    }
    // What is about a kind as a whole is about no object.
    let unavailable = world.snapshot.unavailable.iter();
    let unavailable = unavailable.map(|(kind, unavailable)| (kind.name().to_owned(), unavailable.to_string()));
    for (kind, note) in unavailable.chain(absent(world.rendition.as_deref())) {
        if let Some(pod) = own_pod {
            let document = EventDocument {
                patience: PATIENCE,
                ..warning(pod.clone(), SOURCE_UNAVAILABLE, note)
            };
            add(&mut problems, kind, document);
        }
    }
    for service in deserted(settings, world) {
        let known = world.snapshot.services.get(&service);
        let object = known.map(|known| Kind::Service.object_ref(&known.metadata));
        if let Some(regarding) = object.or_else(|| own_pod.cloned()) {
            let missing = match known {
                Some(_) => "has no endpoints with an Admin API port",
                None => "does not exist",
            };
            let note = format!(
                "Admin Service {service} {missing}, so there is no proxy to configure; check its selector, its port names \
                 (--kong-admin-svc-port-names) and its Pods"
            );
            let document = EventDocument {
                patience: PATIENCE,
                ..warning(regarding, NO_PROXIES, note)
            };
            add(&mut problems, service.to_string(), document);
        }
    }
    problems
}

/// UIDs of objects that are left out since proxies refused them.
fn left_out(rendition: Option<&Rendition>) -> HashSet<Arc<str>> {
    let problems = rendition.into_iter().flat_map(|rendition| rendition.problems.iter());
    let rejected = problems.filter(|problem| problem.reason == Reason::ConfigRejected);
    rejected.map(|problem| problem.object.uid.clone()).collect()
}

/// Kinds that the cluster lacks and that hold everything back, and what is said of them.
fn absent(rendition: Option<&Rendition>) -> impl Iterator<Item = (String, String)> {
    let held = rendition.filter(|rendition| rendition.hold.is_some());
    let problems = held.into_iter().flat_map(|rendition| rendition.problems.iter());
    let absent = problems.filter(|problem| problem.reason == Reason::SourceUnavailable);
    absent.map(|problem| {
        let note = format!("{}; {}", problem.message, problem.remedy);
        (problem.object.name.to_string(), note)
    })
}

fn add(problems: &mut Problems, discriminator: String, document: EventDocument) {
    // An object without a UID stands in no cluster.
    if problems.len() < MOST && !document.regarding.uid.is_empty() {
        let identity = (document.regarding.uid.to_string(), document.reason, discriminator);
        problems.insert(identity, document);
    }
}

/// Proxies that do not run what they shall, by reason: one note each, however many they are.
fn failures(world: &World) -> BTreeMap<String, String> {
    let mut by_reason: BTreeMap<String, Vec<&ProxyView>> = BTreeMap::new();
    for proxy in &world.view.proxies {
        if proxy.synced.status == ConditionStatus::False && !proxy.target.terminating {
            by_reason
                .entry(proxy.synced.reason.to_string())
                .or_default()
                .push(proxy);
        }
    }
    let notes = by_reason.into_iter().map(|(reason, proxies)| {
        let first = proxies[0];
        let url = first.target.urls.first().map_or("", |url| url);
        let others = match proxies.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let note = format!(
            "failed to apply Kong configuration to {url}{others}: {reason}: {}",
            first.synced.message
        );
        (reason, note)
    });
    notes.collect()
}

/// Proxies that are reached, and not over mutual TLS, by reason: one note each.
fn unprotected(world: &World) -> BTreeMap<String, String> {
    let mut by_reason: BTreeMap<String, Vec<&ProxyView>> = BTreeMap::new();
    for proxy in &world.view.proxies {
        let reached = proxy.reachable.status == ConditionStatus::True && !proxy.target.terminating;
        // What does not leave the machine needs no TLS, and Kong beside its controller has none.
        let matters = proxy.mutual_tls.status == ConditionStatus::False && proxy.mutual_tls.reason != "Loopback";
        if reached && matters {
            by_reason
                .entry(proxy.mutual_tls.reason.to_string())
                .or_default()
                .push(proxy);
        }
    }
    let notes = by_reason.into_iter().map(|(reason, proxies)| {
        let first = proxies[0];
        // Without how many there are: that changes while they come and go, and would be told each time.
        let note = format!(
            "proxies such as {}: {reason}: {}",
            first.target.name, first.mutual_tls.message
        );
        (reason, note)
    });
    notes.collect()
}

/// Admin Services without a proxy.
fn deserted(settings: &Settings, world: &World) -> Vec<NamespacedName> {
    if !world.snapshot.is_complete() {
        return Vec::new();
    }
    let proxies = &world.view.proxies;
    let has_proxies = |service: &NamespacedName| {
        let mut found_by = proxies.iter().map(|proxy| proxy.target.service.as_ref());
        found_by.any(|found_by| found_by == Some(service))
            || discovery::counted_with(service, &world.snapshot.endpoint_slices, proxies).is_some()
    };
    settings
        .services
        .iter()
        .filter(|service| !has_proxies(service))
        .cloned()
        .collect()
}

/// Tells, on the controller's own Pod, that all proxies of a profile run another configuration: at most once a minute.
pub(super) fn tell_successes(
    own_pod: Option<&ObjectRef>,
    world: &World,
    log: &mut EventLog,
    planner: &mut Planner,
    now: Instant,
) {
    let Some(pod) = own_pod else { return };
    for (profile, hash) in &world.view.desired {
        let mut proxies = world
            .view
            .proxies
            .iter()
            .filter(|proxy| proxy.profile.as_ref() == Some(profile) && !proxy.target.terminating);
        let mut count = 0;
        // Some may run what others refuse.
        let rendition = world.rendition.as_ref();
        let current = rendition.filter(|rendition| rendition.profiles.get(profile).is_some_and(|it| it.hash == *hash));
        let up_to_date: Vec<_> = match current {
            Some(rendition) => rendition.up_to_date(profile).collect(),
            None => vec![*hash],
        };
        let all = proxies.all(|proxy| {
            count += 1;
            let runs_it = proxy.observed.is_some_and(|observed| up_to_date.contains(&observed));
            proxy.synced.status == ConditionStatus::True && runs_it
        });
        let fallback = rendition.and_then(|rendition| rendition.fallbacks.get(profile));
        let refused = fallback.map_or(0, |fallback| fallback.left_out + fallback.old);
        let (profile, hash) = (profile.to_string(), hash.to_string());
        if !all || count == 0 || log.successes.get(&profile) == Some(&hash) {
            continue;
        }
        let mut note = format!("successfully applied Kong configuration to all proxies of profile {profile}");
        let mut reason = SUCCEEDED;
        if refused > 0 {
            note += &format!(", but for {refused} objects: proxies refused them, or what they depend on");
            reason = FALLBACK_SUCCEEDED;
        }
        let document = EventDocument {
            normal: true,
            spacing: SUCCESS_SPACING,
            ..warning(pod.clone(), reason, note)
        };
        log.tell(document, planner, now);
        log.successes.insert(profile, hash);
    }
}

pub(super) fn warning(regarding: ObjectRef, reason: &'static str, note: String) -> EventDocument {
    EventDocument {
        regarding,
        normal: false,
        reason,
        action: if reason == TRANSLATION_FAILED {
            "Translate"
        } else {
            "Configure"
        },
        note: cut_bytes(note),
        count: 1,
        patience: Duration::ZERO,
        spacing: Duration::ZERO,
        lane: Lane::Refresh,
    }
}

fn cut_bytes(mut note: String) -> String {
    if note.len() > NOTE {
        let end = (0..=NOTE - '…'.len_utf8())
            .rev()
            .find(|end| note.is_char_boundary(*end))
            .unwrap_or(0);
        note.truncate(end);
        note.push('…');
    }
    note
}

/// The same event has the same name under every leader, so that a new one does not tell everything again.
fn name(document: &EventDocument) -> NamespacedName {
    let mut digest = Sha256::new();
    for part in [&*document.regarding.uid, document.reason, &document.note] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let digest = digest.finalize();
    let short = digest
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let object = document
        .regarding
        .name
        .get(..200)
        .unwrap_or(&document.regarding.name)
        .trim_end_matches(['-', '.']);
    let namespace = match &*document.regarding.namespace {
        "" => "default",
        namespace => namespace,
    };
    NamespacedName::new(namespace, format!("{object}.{short:016x}"))
}
