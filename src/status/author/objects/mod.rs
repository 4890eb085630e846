//! Conditions of Kong's objects: `Programmed`, of KongUpstreamPolicies also `Accepted`, for each that names it. Pure, but
//! for its memory of what it said before.
//!
//! Kong Ingress Controller's types, reasons and places, with more behind them: a condition holds once all ready proxies run
//! a configuration with the object in it, not only when it was translated; what is refused turns it, what is wrong stands
//! in its message; KongPlugins and KongClusterPlugins have it too. Objects that nobody refers to are left alone, but for
//! KongServiceFacades of our class, and so are another controller's.

mod elsewhere;
mod sources;

pub(super) use self::sources::{Id, refused};

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::time::Instant;

use self::{
    elsewhere::Named,
    sources::{Mistake, Sources, User, id},
};
use super::{World, confirmed::Content};
use crate::{
    model::{Kind, NamespacedName, annotations::INGRESS_CLASS, kong::KongLicense},
    status::{
        document::{Document, Key},
        entry::{AncestorRef, Entries, Entry, Reference, Writer},
        object_condition::{self, ObjectCondition, Programmed, Verdict},
        planner::Planner,
        settings::Settings,
    },
    translate::is_of_class,
};

/// Kinds whose objects have conditions of ours.
pub(in crate::status) const KINDS: [Kind; 9] = [
    Kind::KongClusterPlugin,
    Kind::KongConsumer,
    Kind::KongConsumerGroup,
    Kind::KongCustomEntity,
    Kind::KongLicense,
    Kind::KongPlugin,
    Kind::KongServiceFacade,
    Kind::KongUpstreamPolicy,
    Kind::KongVault,
];

const CONFIGURED: Verdict<'static> = Verdict {
    holds: true,
    reason: "Programmed",
    message: "Object was successfully configured in Kong.",
};
const PENDING: Verdict<'static> = Verdict {
    holds: false,
    reason: "Pending",
    message: "Object is pending configuration in Kong.",
};
const UNUSED: Verdict<'static> = Verdict {
    holds: false,
    reason: "Pending",
    message: "Found no references to this resource in Ingress or similar resources.",
};

/// Tells the planner what conditions Kong's objects shall have.
#[derive(Debug, Default)]
pub(super) struct ObjectConditions {
    /// Kinds of which is known what stands there.
    known: BTreeSet<Kind>,
    /// What was said last, or found.
    told: BTreeMap<Key, Document>,
    /// Of which it was only found: another controller may have said it.
    only_found: BTreeSet<Key>,
    made_of: Option<Sources>,
}

impl ObjectConditions {
    /// A condition stands in the cluster.
    pub(super) fn found(&mut self, key: Key, document: Document) {
        if !self.told.contains_key(&key) {
            self.only_found.insert(key.clone());
            self.told.insert(key, document);
        }
    }

    /// All conditions of a kind have been told.
    pub(super) fn listed(&mut self, kind: Kind) {
        self.known.insert(kind);
        self.made_of = None;
    }

    /// Tells the planner what shall stand in the cluster now.
    pub(super) fn update(
        &mut self,
        settings: &Settings,
        world: &World,
        accepted: Option<&Arc<Content>>,
        planner: &mut Planner,
        now: Instant,
    ) {
        let Some(latest) = &world.rendition else { return };
        let sources = Sources::new(latest, accepted, world);
        if self.made_of.as_ref().is_some_and(|before| before.are(&sources)) {
            return;
        }
        let mut wanted = BTreeMap::new();
        self.judge(&sources, settings, &mut wanted);
        self.let_go(&sources, &mut wanted, planner);
        // From now on it is said here, too, or it was left alone.
        self.only_found
            .retain(|key| matches!(key, Key::Object(kind, ..) if !self.known.contains(kind)));
        for (key, document) in &wanted {
            planner.want(key, document.clone(), now);
        }
        // What was found of a kind that is not listed to its end waits for that.
        let known = &self.known;
        self.told
            .retain(|key, _| matches!(key, Key::Object(kind, ..) if !known.contains(kind)));
        self.told.extend(wanted);
        self.made_of = Some(sources);
    }

    fn judge(&self, sources: &Sources, settings: &Settings, wanted: &mut BTreeMap<Key, Document>) {
        let mistakes = sources.mistakes();
        let mut ids: BTreeSet<Id> = sources.objects().filter_map(id).collect();
        ids.extend(mistakes.keys().chain(sources.refused.keys()).cloned());
        for (kind, name) in ids {
            if matches!(kind, Kind::KongLicense | Kind::KongUpstreamPolicy) || !self.known.contains(&kind) {
                continue;
            }
            let Some((object, key)) = sources.object(kind, &name) else {
                continue;
            };
            let former = self.former(&key);
            let (verdict, generation) = match sources.fault(&mistakes, kind, &name) {
                Some(message) => (invalid(message), object.metadata().generation),
                None if sources.has_accepted(kind, &name) => (CONFIGURED, sources.accepted_generation(kind, &name)),
                // It is in force as it was: nothing new to tell before the change is.
                None if former.is_some_and(|former| former.status == "True") => {
                    wanted.extend(
                        self.told
                            .get_key_value(&key)
                            .map(|(key, told)| (key.clone(), told.clone())),
                    );
                    continue;
                }
                None => (PENDING, object.metadata().generation),
            };
            let condition = ObjectCondition::new("Programmed", &verdict, generation, former);
            wanted.insert(key, programmed(None, condition));
        }
        if self.known.contains(&Kind::KongServiceFacade) {
            self.judge_unused_facades(sources, settings, wanted);
        }
        if self.known.contains(&Kind::KongLicense) {
            self.judge_licenses(sources, &mistakes, settings, wanted);
        }
        if self.known.contains(&Kind::KongUpstreamPolicy) {
            self.judge_policies(sources, &mistakes, settings, wanted);
        }
    }

    /// KongServiceFacades of our class that nobody refers to.
    fn judge_unused_facades(&self, sources: &Sources, settings: &Settings, wanted: &mut BTreeMap<Key, Document>) {
        let Some(class) = &settings.facade_class else { return };
        let snapshot = &sources.latest.snapshot;
        for facade in snapshot.service_facades.values() {
            let named = facade.metadata.annotation(INGRESS_CLASS).unwrap_or_default();
            if !is_of_class(named, class, snapshot) {
                continue;
            }
            let name = facade.metadata.key();
            let Some((object, key)) = sources.object(Kind::KongServiceFacade, &name) else {
                continue;
            };
            let former = self.former(&key);
            wanted.entry(key).or_insert_with(|| {
                let generation = object.metadata().generation;
                programmed(None, ObjectCondition::new("Programmed", &UNUSED, generation, former))
            });
        }
    }

    fn judge_licenses(
        &self,
        sources: &Sources,
        mistakes: &BTreeMap<Id, Mistake>,
        settings: &Settings,
        wanted: &mut BTreeMap<Key, Document>,
    ) {
        let accepts = |license: &KongLicense| sources.has_accepted(Kind::KongLicense, &license.metadata.key());
        let one_is_used = sources
            .latest
            .snapshot
            .licenses
            .values()
            .any(|license| accepts(license));
        for license in sources.latest.snapshot.licenses.values() {
            let name = license.metadata.key();
            let Some((object, key)) = sources.object(Kind::KongLicense, &name) else {
                continue;
            };
            let verdict = |holds, reason, message| Verdict { holds, reason, message };
            let verdict = match sources.fault(mistakes, Kind::KongLicense, &name) {
                _ if !license.enabled => verdict(false, "Disabled", "The license is not enabled."),
                Some(message) => invalid(message),
                None if accepts(license) => verdict(true, "PickedAsLatest", "License is the newest that is enabled."),
                None if one_is_used => verdict(false, "ReplacedByNewer", "License is replaced by a newer one."),
                None => PENDING,
            };
            let former = self.former(&key);
            let condition = ObjectCondition::new("Programmed", &verdict, object.metadata().generation, former);
            wanted.insert(key, programmed(Some(license_controller(settings)), condition));
        }
    }

    fn judge_policies(
        &self,
        sources: &Sources,
        mistakes: &BTreeMap<Id, Mistake>,
        settings: &Settings,
        wanted: &mut BTreeMap<Key, Document>,
    ) {
        if sources.latest.snapshot.upstream_policies.is_empty() {
            return;
        }
        let users = sources.users();
        for name in sources.latest.snapshot.upstream_policies.keys() {
            let Some((object, key)) = sources.object(Kind::KongUpstreamPolicy, name) else {
                continue;
            };
            let Some(users) = users.get(name) else { continue };
            let former = match self.told.get(&key) {
                Some(Document::Ancestors(former)) => Some(former),
                _ => None,
            };
            let entries = users.iter().map(|user| {
                let reference = AncestorRef {
                    group: if user.kind == Kind::Service {
                        "core"
                    } else {
                        user.kind.group()
                    }
                    .to_owned(),
                    kind: user.kind.name().to_owned(),
                    namespace: user.name.namespace.to_string(),
                    name: user.name.name.to_string(),
                };
                let condition = |type_: &str, verdict: &Verdict<'_>| {
                    let former =
                        former.and_then(|former| object_condition::of_type(former.conditions(&reference), type_));
                    ObjectCondition::new(type_, verdict, object.metadata().generation, former)
                };
                let conditions = self.verdicts_of_policy(sources, mistakes, name, user);
                let conditions = conditions
                    .iter()
                    .map(|(type_, verdict)| condition(type_, verdict))
                    .collect();
                Entry { reference, conditions }
            });
            let ancestors = Entries {
                writer: policy_writer(settings),
                entries: entries.take(AncestorRef::MOST).collect(),
            };
            wanted.insert(key, Document::Ancestors(ancestors));
        }
    }

    fn verdicts_of_policy<'a>(
        &self,
        sources: &'a Sources,
        mistakes: &'a BTreeMap<Id, Mistake>,
        name: &NamespacedName,
        user: &User<'_>,
    ) -> [(&'static str, Verdict<'a>); 2] {
        let conflict = mistakes
            .get(&(user.kind, user.name.clone()))
            .and_then(|mistake| mistake.conflict_of_policy.as_deref());
        let accepted = match (sources.fault(mistakes, Kind::KongUpstreamPolicy, name), conflict) {
            (Some(message), _) => invalid(message),
            (None, Some(message)) => Verdict {
                holds: false,
                reason: "Conflicted",
                message,
            },
            (None, None) => Verdict {
                holds: true,
                reason: "Accepted",
                message: "KongUpstreamPolicy is used here.",
            },
        };
        let in_force = accepted.holds
            && sources.has_accepted(Kind::KongUpstreamPolicy, name)
            && sources.has_accepted(user.kind, &user.name);
        [
            ("Accepted", accepted),
            ("Programmed", if in_force { CONFIGURED } else { PENDING }),
        ]
    }

    /// What was told of objects that are in no configuration any more: that they are in none, if they are of a kind that
    /// belongs to no class; else they may be another controller's now. A plugin that was never in one here, and that somebody
    /// names, is another controller's, too.
    fn let_go(&self, sources: &Sources, wanted: &mut BTreeMap<Key, Document>, planner: &mut Planner) {
        let named = LazyCell::new(|| Named::by(&sources.latest.snapshot));
        for (key, told) in &self.told {
            let Key::Object(kind, name, uid) = key else { continue };
            if wanted.contains_key(key) || !self.known.contains(kind) {
                continue;
            }
            let is_anothers =
                |name: &NamespacedName| self.only_found.contains(key) && named.has(&name.namespace, &name.name);
            let object = sources.object(*kind, name).filter(|(_, found)| found == key);
            let document = match (object, told) {
                (Some((_, _)), Document::Ancestors(told)) => Document::Ancestors(Entries {
                    entries: Vec::new(),
                    ..told.clone()
                }),
                (Some((object, _)), Document::Programmed(told)) if belongs_to_no_class(*kind) && !is_anothers(name) => {
                    let former = Some(&told.condition);
                    let condition = ObjectCondition::new("Programmed", &UNUSED, object.metadata().generation, former);
                    programmed(None, condition)
                }
                _ => {
                    planner.forget(&Key::Object(*kind, name.clone(), uid.clone()));
                    continue;
                }
            };
            wanted.insert(key.clone(), document);
        }
    }

    fn former(&self, key: &Key) -> Option<&ObjectCondition> {
        match self.told.get(key)? {
            Document::Programmed(told) => Some(&told.condition),
            _ => None,
        }
    }
}

/// Whose ancestors of a KongUpstreamPolicy are ours.
pub(in crate::status) fn policy_writer(settings: &Settings) -> Writer {
    Writer {
        controller: settings.controller_name.as_str().into(),
        only_gateway: None,
    }
}

/// The name under which a KongLicense shows what this controller makes of it.
pub(in crate::status) fn license_controller(settings: &Settings) -> Arc<str> {
    format!("konghq.com/kong-ingress-controller/{}", settings.lease.name).into()
}

fn belongs_to_no_class(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::KongPlugin | Kind::KongClusterPlugin | Kind::KongServiceFacade
    )
}

fn programmed(controller: Option<Arc<str>>, condition: ObjectCondition) -> Document {
    Document::Programmed(Programmed { controller, condition })
}

fn invalid(message: &str) -> Verdict<'_> {
    Verdict {
        holds: false,
        reason: "Invalid",
        message,
    }
}
