//! Why nothing may be sent now (DESIGN.md §3 rule 7): a kind can't be read of which proxies run something.
//!
//! While this controller has read a kind, what it rendered last tells whether the kind is used. Of a kind that the cluster
//! has lacked ever since only the objects tell that proxies accepted last, in this run or an earlier one: those that there
//! are, since what others accepted that are gone may be long out of use. Called by the pipeline for each rendition.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    model::{Kind, Problem, Profile, Snapshot, Unavailable, resource_name},
    render::{LastGood, Rendition, depends_on},
    translate::{Settings, fallback::restore},
};

/// What has been found out of the objects that were accepted last: translating them takes a while.
#[derive(Default)]
pub(super) struct Hold {
    found: BTreeMap<Profile, Found>,
}

struct Found {
    sources: Arc<Snapshot>,
    absent: Arc<BTreeSet<Kind>>,
    used: Option<Kind>,
}

/// Why nothing may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    /// In words.
    pub(super) text: String,
    /// What is wrong, unless the snapshot says so.
    pub(super) problem: Option<Problem>,
}

impl Hold {
    /// The reason, if there is one, for renderings of these profiles. What others accepted last, whose proxies are not seen
    /// now, counts as long as of none of these anything is known: it may be of long ago.
    pub(super) fn why(
        &mut self,
        snapshot: &Snapshot,
        last: Option<&Rendition>,
        profiles: &BTreeSet<Profile>,
        last_good: &BTreeMap<Profile, Arc<LastGood>>,
        settings_of: impl Fn(&Profile) -> Settings,
    ) -> Option<Why> {
        if let Some(text) = unavailable(snapshot, last) {
            return Some(Why { text, problem: None });
        }
        self.found
            .retain(|profile, _| !snapshot.absent.is_empty() && last_good.contains_key(profile));
        if snapshot.absent.is_empty() {
            return None;
        }
        let is_known = profiles.iter().any(|profile| last_good.contains_key(profile));
        let used = last_good
            .iter()
            .filter(|(profile, _)| !is_known || profiles.contains(profile))
            .filter_map(|(profile, good)| self.used(profile, good, snapshot, &settings_of))
            .min()?;
        let message = format!(
            "the API server does not know {}, and what proxies accepted last was made of some",
            resource_name(used)
        );
        let remedy = "install its CRD (without objects, if there shall be none)";
        let absent = Unavailable::resource(used, message, remedy);
        Some(Why {
            text: format!("{} can't be read: {absent}", used.name()),
            problem: Some(absent.problem()),
        })
    }

    /// A kind that the cluster lacks, and of which a profile's last accepted configuration was made.
    fn used(
        &mut self,
        profile: &Profile,
        good: &LastGood,
        snapshot: &Snapshot,
        settings_of: impl Fn(&Profile) -> Settings,
    ) -> Option<Kind> {
        let known = self.found.get(profile);
        let is_same = |found: &&Found| Arc::ptr_eq(&found.sources, &good.sources) && found.absent == snapshot.absent;
        if let Some(found) = known.filter(is_same) {
            return found.used;
        }
        // Most clusters lack some kind that nobody ever used.
        let had_some = snapshot.absent.iter().any(|kind| !good.sources.has_none_of(*kind));
        let used = had_some
            .then(|| {
                depends_on(
                    &restore(&good.sources, snapshot),
                    &snapshot.absent,
                    &settings_of(profile),
                )
            })
            .flatten();
        let found = Found {
            sources: good.sources.clone(),
            absent: snapshot.absent.clone(),
            used,
        };
        self.found.insert(profile.clone(), found);
        used
    }
}

/// A kind can't be read any more of which the last rendition used an object.
fn unavailable(snapshot: &Snapshot, last: Option<&Rendition>) -> Option<String> {
    let last = last?;
    let used = snapshot
        .unavailable
        .iter()
        .find(|(kind, _)| last.objects.iter().any(|object| *object.kind == *kind.name()));
    used.map(|(kind, reason)| format!("{} can't be read: {reason}", kind.name()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::{
        model::{Object, ObjectRef, Reason},
        render::{Origin, render},
        translate::translate,
    };

    /// A rendition that used objects of these kinds.
    fn used(kinds: &[Kind]) -> Rendition {
        let objects = kinds.iter().map(|kind| ObjectRef {
            group: kind.group().into(),
            version: "v1".into(),
            kind: kind.name().into(),
            namespace: "shop".into(),
            name: "one".into(),
            uid: "uid".into(),
        });
        Rendition {
            generation: Default::default(),
            snapshot: Arc::default(),
            hold: None,
            profiles: BTreeMap::new(),
            fallbacks: BTreeMap::new(),
            problems: Vec::new().into(),
            objects: objects.collect(),
            gateways: Arc::default(),
            created: Timestamp::UNIX_EPOCH,
            took: Default::default(),
        }
    }

    fn hold(
        snapshot: &Snapshot,
        last: Option<&Rendition>,
        last_good: &BTreeMap<Profile, Arc<LastGood>>,
    ) -> Option<String> {
        let why = why(snapshot, last, last_good)?;
        Some(why.text)
    }

    fn why(snapshot: &Snapshot, last: Option<&Rendition>, last_good: &BTreeMap<Profile, Arc<LastGood>>) -> Option<Why> {
        let profiles = [Settings::default().profile].into();
        Hold::default().why(snapshot, last, &profiles, last_good, |_| Settings::default())
    }

    #[test]
    fn what_can_not_be_read_holds_everything_if_it_was_used_and_nothing_if_not() {
        let mut snapshot = Snapshot::default();
        Arc::make_mut(&mut snapshot.unavailable).insert(
            Kind::KongPlugin,
            Unavailable::resource(Kind::KongPlugin, "its CRD is gone", "install it"),
        );
        let last = used(&[Kind::Ingress, Kind::KongPlugin]);
        let nothing = BTreeMap::new();
        let why = hold(&snapshot, Some(&last), &nothing).expect("a hold");
        assert_eq!(why, "KongPlugin can't be read: its CRD is gone; install it");
        let unused = used(&[Kind::Ingress]);
        assert_eq!(hold(&snapshot, Some(&unused), &nothing), None, "nobody used it");
        assert_eq!(
            hold(&snapshot, None, &nothing),
            None,
            "a first rendition waits for all kinds anyway"
        );
        assert_eq!(
            hold(&Snapshot::default(), Some(&last), &nothing),
            None,
            "it can be read again"
        );
    }

    /// A route behind a plugin, another plugin for all requests, and one that nobody uses.
    fn shop() -> Snapshot {
        let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
        let objects = [
            (
                Kind::Ingress,
                json!({
                    "metadata": {"name": "web", "namespace": "shop", "annotations": {
                        "kubernetes.io/ingress.class": "kong",
                        "konghq.com/plugins": "guard",
                    }},
                    "spec": {"rules": [{"http": {"paths": [
                        {"path": "/", "pathType": "Prefix", "backend": backend},
                    ]}}]},
                }),
            ),
            (
                Kind::Service,
                json!({
                    "metadata": {"name": "web", "namespace": "shop"},
                    "spec": {"ports": [{"port": 80}]},
                }),
            ),
            (
                Kind::KongPlugin,
                json!({
                    "metadata": {"name": "guard", "namespace": "shop"},
                    "plugin": "key-auth",
                }),
            ),
            (
                Kind::KongClusterPlugin,
                json!({
                    "metadata": {
                        "name": "everywhere",
                        "annotations": {"kubernetes.io/ingress.class": "kong"},
                        "labels": {"global": "true"},
                    },
                    "plugin": "key-auth",
                }),
            ),
            (
                Kind::KongUpstreamPolicy,
                json!({
                    "metadata": {"name": "unused", "namespace": "shop"},
                    "spec": {"algorithm": "least-connections"},
                }),
            ),
        ];
        let mut snapshot = Snapshot::default();
        for (kind, object) in objects {
            snapshot.insert(Object::from_json(kind, object).expect("it fits"));
        }
        snapshot
    }

    fn accepted(sources: Snapshot) -> BTreeMap<Profile, Arc<LastGood>> {
        let settings = Settings::default();
        let good = LastGood {
            rendered: Arc::new(render(&translate(&sources, &settings))),
            sources: Arc::new(sources),
            accepted_at: jiff::Timestamp::UNIX_EPOCH,
            origin: Origin::Stored,
        };
        [(settings.profile, Arc::new(good))].into()
    }

    fn without(kind: Kind) -> Snapshot {
        let mut now = shop();
        now.clear(kind);
        now.absent = Arc::new([kind].into());
        now
    }

    #[test]
    fn what_was_absent_from_the_start_holds_everything_if_what_was_accepted_last_used_it() {
        let before = accepted(shop());
        for kind in [Kind::KongPlugin, Kind::KongClusterPlugin] {
            let why = hold(&without(kind), None, &before).expect("a hold");
            assert!(why.starts_with(&format!("{} can't be read: ", kind.name())), "{why}");
            assert!(
                why.contains(&format!("{}.configuration.konghq.com", kind.plural())),
                "{why}"
            );
            assert!(
                why.contains("install its CRD (without objects, if there shall be none)"),
                "{why}"
            );
            // What this controller itself has rendered meanwhile says nothing of it.
            assert!(hold(&without(kind), Some(&used(&[Kind::Ingress])), &before).is_some());
        }
        for kind in [Kind::KongUpstreamPolicy, Kind::HTTPRoute] {
            assert_eq!(hold(&without(kind), None, &before), None, "nobody used {}", kind.name());
        }
        let mut back = without(Kind::KongPlugin);
        back.absent = Arc::default();
        assert_eq!(hold(&back, None, &before), None, "it is there, and has no objects");
        let nothing = BTreeMap::new();
        assert_eq!(
            hold(&without(Kind::KongPlugin), None, &nothing),
            None,
            "nothing is known"
        );
        let after = accepted(without(Kind::KongPlugin));
        assert_eq!(
            hold(&without(Kind::KongPlugin), None, &after),
            None,
            "nothing of it is left"
        );
    }

    /// The snapshot does not say so: a kind that the cluster lacks is no fault as long as nobody used it.
    #[test]
    fn what_is_absent_and_in_use_is_a_problem() {
        let held = why(&without(Kind::KongPlugin), None, &accepted(shop())).expect("a hold");
        let problem = held.problem.expect("a problem");
        assert_eq!(problem.reason, Reason::SourceUnavailable);
        assert_eq!(&*problem.object.name, "kongplugins.configuration.konghq.com");
        assert!(held.text.contains(&problem.message) && held.text.contains(&problem.remedy));
    }

    /// Kong was upgraded since, and the plugins were given up after that: a kind could never be given up otherwise.
    #[test]
    fn what_proxies_accepted_that_are_not_seen_now_counts_only_while_of_others_nothing_is_known() {
        fn of(minor: u16) -> Profile {
            Profile {
                version: Some((3, minor)),
                ..Profile::default()
            }
        }
        let (old, new) = (accepted(shop()), accepted(without(Kind::KongPlugin)));
        let goods: BTreeMap<_, _> = [(8, old), (9, new)]
            .into_iter()
            .flat_map(|(minor, good)| good.into_values().map(move |good| (of(minor), good)))
            .collect();
        let now = without(Kind::KongPlugin);
        let is_held = |profiles: &[u16]| {
            let profiles = profiles.iter().map(|minor| of(*minor)).collect();
            let why = Hold::default().why(&now, None, &profiles, &goods, |_| Settings::default());
            why.is_some()
        };
        assert!(!is_held(&[9]), "what there is runs no plugin");
        assert!(is_held(&[8]));
        assert!(is_held(&[8, 9]), "some run the plugin still");
        assert!(is_held(&[10]), "it may have been updated just now");
        assert!(!is_held(&[9, 10]), "what is new comes beside what is known");
    }

    /// What is needed besides may be read later than the first rendition is made.
    #[test]
    fn what_was_absent_counts_as_used_if_only_its_secret_is_missing() {
        let mut sources = shop();
        let plugin = json!({
            "metadata": {"name": "guard", "namespace": "shop"},
            "plugin": "key-auth",
            "configFrom": {"secretKeyRef": {"name": "settings", "key": "config"}},
        });
        sources.insert(Object::from_json(Kind::KongPlugin, plugin).expect("it fits"));
        assert!(hold(&without(Kind::KongPlugin), None, &accepted(sources)).is_some());
    }

    #[test]
    fn a_mistake_in_what_nothing_refers_to_holds_nothing_back() {
        let now = without(Kind::KongPlugin);
        let held_by = |name: &str, fields: serde_json::Value| {
            let mut plugin = json!({"metadata": {"name": name, "namespace": "shop"}, "plugin": "key-auth"});
            for (field, value) in fields.as_object().expect("an object") {
                plugin[field] = value.clone();
            }
            let mut sources = shop();
            sources.clear(Kind::KongPlugin);
            sources.insert(Object::from_json(Kind::KongPlugin, plugin).expect("it fits"));
            hold(&now, None, &accepted(sources)).is_some()
        };
        let from = json!({"secretKeyRef": {"name": "settings", "key": "config"}});
        let mistakes = [
            json!({"plugin": ""}),
            json!({"config": {"key_names": ["k"]}, "configFrom": from}),
            json!({"configFrom": from}),
        ];
        for mistake in mistakes {
            assert!(
                !held_by("spare", mistake.clone()),
                "nothing of {mistake} was ever in force"
            );
            assert!(held_by("guard", mistake.clone()), "a route names it: {mistake}");
        }
    }

    #[test]
    fn what_was_found_out_is_not_found_out_again_until_it_is_another() {
        let before = accepted(shop());
        let mut hold = Hold::default();
        let now = without(Kind::KongPlugin);
        let mut made = 0;
        let mut why = |hold: &mut Hold, now: &Snapshot, good: &BTreeMap<Profile, Arc<LastGood>>| {
            let count = std::cell::Cell::new(made);
            let profiles = [Settings::default().profile].into();
            let why = hold.why(now, None, &profiles, good, |_| {
                count.set(count.get() + 1);
                Settings::default()
            });
            made = count.get();
            (why.is_some(), made)
        };
        assert_eq!(why(&mut hold, &now, &before), (true, 1));
        assert_eq!(why(&mut hold, &now, &before), (true, 1));
        assert_eq!(why(&mut hold, &now, &accepted(shop())), (true, 2));
        assert_eq!(
            why(&mut hold, &without(Kind::KongVault), &before),
            (false, 2),
            "there was none"
        );
        assert_eq!(why(&mut hold, &now, &accepted(now.clone())), (false, 2));
        assert_eq!(why(&mut hold, &shop(), &before), (false, 2));
    }
}
