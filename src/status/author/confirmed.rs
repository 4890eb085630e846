//! What proxies run for certain: the newest configuration that one of them runs, and the newest that all of them have
//! got to. Pure.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    fleet::{ConditionStatus, FleetView},
    liveness::{Milestone, Trail},
    model::{ObjectMap, ObjectRef, Snapshot},
    render::Rendition,
    translate::{GatewayOutcome, Participants, RouteOutcome},
};

/// What a configuration was made of.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) objects: Participants,
    pub(super) gateways: Said<GatewayOutcome>,
    pub(super) routes: Said<RouteOutcome>,
}

/// What was said of objects, by their kind. There may be many routes, and many contents may be remembered while a proxy is
/// stuck: what stays the same from one to the next is there once.
#[derive(Debug, Clone)]
pub(super) struct Said<T>(BTreeMap<Arc<str>, ObjectMap<(ObjectRef, T)>>);

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Clone + PartialEq> Said<T> {
    /// What is said now, sharing what was said before.
    fn after(former: Option<&Self>, now: &BTreeMap<ObjectRef, T>) -> Self {
        let mut said = former.cloned().unwrap_or_default();
        for (object, outcome) in now {
            let of_kind = said.0.entry(object.kind.clone()).or_default();
            let name = object.namespaced_name();
            let known = of_kind.get(&name).map(|known| &**known);
            if known.is_none_or(|known| (&known.0, &known.1) != (object, outcome)) {
                of_kind.insert(name, Arc::new((object.clone(), outcome.clone())));
            }
        }
        if said.0.values().map(ObjectMap::len).sum::<usize>() > now.len() {
            for of_kind in said.0.values_mut() {
                let gone = of_kind.iter().filter(|(_, known)| !now.contains_key(&known.0));
                let gone: Vec<_> = gone.map(|(name, _)| name.clone()).collect();
                for name in gone {
                    of_kind.remove(&name);
                }
            }
        }
        said
    }
}

impl<T> Said<T> {
    /// What was said of an object.
    pub(super) fn get(&self, object: &ObjectRef) -> Option<&T> {
        let known = self.0.get(&object.kind)?.get(&object.namespaced_name())?;
        (known.0 == *object).then_some(&known.1)
    }
}

/// What proxies run for certain.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    trail: Trail<Arc<Content>>,
    by_one: Option<Arc<Content>>,
    /// Where that stands.
    reached_by_one: Milestone,
    by_all: Option<Arc<Content>>,
}

impl Confirmed {
    /// The newest one that a ready proxy runs.
    pub(super) fn by_one(&self) -> Option<&Arc<Content>> {
        self.by_one.as_ref()
    }

    /// The newest one that all ready proxies have got to, at least.
    pub(super) fn by_all(&self) -> Option<&Arc<Content>> {
        self.by_all.as_ref()
    }

    /// There is another latest configuration.
    pub(super) fn add(&mut self, rendition: &Rendition) {
        let last = self.trail.latest();
        let statuses = &rendition.gateways;
        let objects = last
            .map(|last| &last.objects)
            .filter(|last| **last == rendition.objects);
        let content = Content {
            snapshot: rendition.snapshot.clone(),
            objects: objects.unwrap_or(&rendition.objects).clone(),
            gateways: Said::after(last.map(|last| &last.gateways), &statuses.gateways),
            routes: Said::after(last.map(|last| &last.routes), &statuses.routes),
        };
        self.trail.add(rendition, Arc::new(content));
    }

    /// Takes in what proxies run now. What was confirmed once is not taken back by a proxy that falls behind.
    pub(super) fn look(&mut self, view: &FleetView) {
        let Some(latest) = self.trail.latest() else { return };
        if self.by_all.as_ref().is_some_and(|all| Arc::ptr_eq(all, latest)) {
            return;
        }
        let mut reached: Option<(Option<Milestone>, Option<Milestone>)> = None;
        for proxy in &view.proxies {
            if proxy.target.terminating || proxy.ready.status != ConditionStatus::True {
                continue;
            }
            let at = self.trail.reached_by(proxy);
            reached = Some(match reached {
                None => (at, at),
                Some((oldest, newest)) => (oldest.min(at), newest.max(at)),
            });
        }
        let Some((oldest, newest)) = reached else { return };
        if let Some(newest) = newest.filter(|newest| *newest >= self.reached_by_one) {
            self.by_one = self.trail.at(newest).cloned();
            self.reached_by_one = newest;
        }
        if let Some(oldest) = oldest {
            self.by_all = self.trail.at(oldest).cloned();
            self.trail.forget_before(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jiff::Timestamp;
    use proxy_config_schema::ConfigHash;

    use super::*;
    use crate::{
        model::{Kind, Profile, kubernetes::Metadata},
        render::Rendered,
        translate::GatewayStatuses,
    };

    fn route(number: usize, uid: &str) -> ObjectRef {
        Kind::HTTPRoute.object_ref(&Metadata {
            namespace: "shop".into(),
            name: format!("route-{number:04}").into(),
            uid: uid.into(),
            ..Metadata::default()
        })
    }

    fn rendition(text: &str, routes: &BTreeMap<ObjectRef, RouteOutcome>) -> Rendition {
        let bytes = bytes::Bytes::from(text.to_owned());
        let rendered = Rendered {
            hash: ConfigHash::of(&bytes),
            bytes,
            confidential: Arc::default(),
        };
        Rendition {
            generation: Default::default(),
            snapshot: Arc::default(),
            hold: None,
            profiles: BTreeMap::from([(Profile::default(), Arc::new(rendered))]),
            fallbacks: BTreeMap::new(),
            problems: Vec::new().into(),
            objects: routes.keys().cloned().collect(),
            gateways: Arc::new(GatewayStatuses {
                routes: routes.clone(),
                ..GatewayStatuses::default()
            }),
            created: Timestamp::UNIX_EPOCH,
            took: Default::default(),
        }
    }

    fn outcome(generation: usize) -> RouteOutcome {
        RouteOutcome {
            observed_generation: i64::try_from(generation).ok(),
            ..RouteOutcome::default()
        }
    }

    /// A proxy that refuses everything keeps many of them remembered.
    #[test]
    fn what_is_remembered_grows_with_what_changes_and_not_with_what_there_is() {
        const ROUTES: usize = 1000;
        const CHANGES: usize = 100;
        let mut routes: BTreeMap<_, _> = (0..ROUTES).map(|number| (route(number, "uid"), outcome(1))).collect();
        let mut confirmed = Confirmed::default();
        let mut contents = Vec::new();
        for change in 0..CHANGES {
            routes.insert(route(change * 7, "uid"), outcome(change + 2));
            confirmed.add(&rendition(&change.to_string(), &routes));
            contents.push(confirmed.trail.latest().cloned().expect("it was added"));
        }
        let said = contents.iter().flat_map(|content| content.routes.0.values());
        let said = said.flat_map(ObjectMap::values);
        let distinct: HashSet<_> = said.map(Arc::as_ptr).collect();
        assert!(distinct.len() <= ROUTES + CHANGES, "{} outcomes", distinct.len());
        let sets: HashSet<_> = contents
            .iter()
            .filter_map(|content| content.objects.iter().next())
            .map(std::ptr::from_ref)
            .collect();
        assert_eq!(sets.len(), 1, "the objects are the same ones all the time");
        let of = |content: usize, number: usize| contents[content].routes.get(&route(number, "uid"));
        assert_eq!(of(0, 7), Some(&outcome(1)), "before its change");
        assert_eq!(of(1, 7), Some(&outcome(3)), "and since");
        assert_eq!(of(CHANGES - 1, 7), Some(&outcome(3)));
    }

    #[test]
    fn what_is_gone_or_is_another_object_has_nothing_said_of_it() {
        let mut confirmed = Confirmed::default();
        let mut routes: BTreeMap<_, _> = (0..3).map(|number| (route(number, "uid"), outcome(1))).collect();
        confirmed.add(&rendition("one", &routes));
        routes.remove(&route(0, "uid"));
        routes.remove(&route(1, "uid"));
        routes.insert(route(1, "another"), outcome(1));
        confirmed.add(&rendition("two", &routes));
        let latest = confirmed.trail.latest().expect("it was added");
        let known = [route(0, "uid"), route(1, "uid"), route(1, "another"), route(2, "uid")];
        let known = known.map(|object| latest.routes.get(&object).is_some());
        assert_eq!(known, [false, false, true, true]);
    }
}
