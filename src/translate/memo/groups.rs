//! Sources in groups that have keys in common, each with what came of it: brought up to date where something changed. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::BuildHasherDefault,
    sync::Arc,
};

use super::{
    Changes, Source, is_source,
    outline::{Key, Outline},
    part::{self, Part, Sources},
    partition::{Identity, Partition},
};
use crate::{
    model::{Kind, Object, Snapshot},
    translate::{
        class::Class,
        state::{Common, Lookup},
    },
};

/// The place of a group.
type Place = usize;

/// A map whose keys are hashes already.
type ByHash<T> = HashMap<u64, T, BuildHasherDefault<Identity>>;

#[derive(Default)]
pub(super) struct Groups {
    /// The sources of ours.
    sources: BTreeMap<Source, Outlined>,
    /// By their places; `None` where one is free.
    groups: Vec<Option<Group>>,
    free: Vec<Place>,
    /// The groups by their first sources: what comes of them is in this order.
    order: BTreeMap<Source, Place>,
    /// The group of all sources that have the key.
    of_key: ByHash<Place>,
    /// Groups that looked something up.
    of_lookup: ByHash<Vec<Place>>,
}

/// What is known of a source.
struct Outlined {
    /// What it could have in common with others.
    keys: Box<[Key]>,
    group: Place,
}

struct Group {
    /// In their order.
    sources: Box<[Source]>,
    part: Arc<Part>,
    /// Whether the part matters for all routes together: known without a look at it, since there are many.
    matters: bool,
}

impl Group {
    fn new(sources: Box<[Source]>, part: Arc<Part>) -> Self {
        Self {
            matters: part.matters(),
            sources,
            part,
        }
    }
}

/// What came of all groups, in order.
pub(super) struct Parts {
    pub(super) all: Vec<Arc<Part>>,
    /// Those that what is for all routes together depends on.
    pub(super) mattering: Vec<Arc<Part>>,
}

impl Groups {
    /// Groups all sources and translates them.
    pub(super) fn of_all(common: &Common<'_>) -> Self {
        let mut groups = Self::default();
        let outlines = outlines(common.snapshot, &common.class);
        groups.regroup(BTreeMap::new(), outlines.into_iter().collect(), common);
        groups
    }

    /// What came of all groups.
    pub(super) fn parts(&self) -> Parts {
        let (mut all, mut mattering) = (Vec::with_capacity(self.order.len()), Vec::new());
        for group in self.order.values().filter_map(|place| self.groups[*place].as_ref()) {
            all.push(group.part.clone());
            if group.matters {
                mattering.push(group.part.clone());
            }
        }
        Parts { all, mattering }
    }

    /// Does again what changes touch: the translation of groups, and who belongs together.
    pub(super) fn update(&mut self, changes: &Changes, common: &Common<'_>) {
        let mut touched = self.touched(changes);
        let mut parted = BTreeSet::new();
        let mut added = Vec::new();
        let listeners = listeners(common.snapshot);
        // What HTTPRoutes have in common with Ingresses depends on the names of listeners.
        let routes = changes
            .kinds
            .contains(&Kind::Gateway)
            .then(|| common.snapshot.keys(Kind::HTTPRoute));
        let routes = routes.into_iter().flatten().map(|name| (Kind::HTTPRoute, name));
        let sources: BTreeSet<Source> = changes.sources.iter().cloned().chain(routes).collect();
        for source in &sources {
            let now = outline(source, common.snapshot, &common.class, &listeners);
            let before = self.sources.get(source);
            if before.map(|before| &before.keys) == now.as_ref() {
                continue;
            }
            if let Some(before) = self.sources.remove(source) {
                parted.insert(before.group);
                self.forget_keys(&before.keys);
            }
            if let Some(keys) = now {
                parted.extend(keys.iter().filter_map(|key| self.of_key.get(key)));
                added.push((source.clone(), keys));
            }
        }
        // Those that are not touched may come out as they were.
        let mut former = BTreeMap::new();
        for place in parted {
            let group = self.take(place);
            for source in &group.sources {
                if let Some(member) = self.sources.remove(source) {
                    self.forget_keys(&member.keys);
                    added.push((source.clone(), member.keys));
                }
            }
            if !touched.remove(&place) {
                former.insert(group.sources, group.part);
            }
        }
        self.regroup(former, added, common);
        for place in touched {
            let group = self.groups[place].as_mut().expect("the lookups are those of groups");
            let part = translate(&group.sources, common);
            group.matters = part.matters();
            let former = std::mem::replace(&mut group.part, part.clone());
            self.forget_lookups(place, &former, &part);
            self.note_lookups(place, &part, &former);
        }
    }

    /// The groups that changes touch.
    fn touched(&self, changes: &Changes) -> BTreeSet<Place> {
        let sources = changes.sources.iter().filter_map(|source| self.sources.get(source));
        let lookups = changes.lookups.iter().filter_map(|lookup| self.of_lookup.get(lookup));
        let of_lookups = lookups.flatten().copied();
        sources.map(|outlined| outlined.group).chain(of_lookups).collect()
    }

    /// All sources that have them are about to be grouped anew.
    fn forget_keys(&mut self, keys: &[Key]) {
        for key in keys {
            self.of_key.remove(key);
        }
    }

    /// Takes a group away; its sources and their keys are left.
    fn take(&mut self, place: Place) -> Group {
        let group = self.groups[place].take().expect("it is there once");
        self.free.push(place);
        self.order.remove(&group.sources[0]);
        self.forget_lookups(place, &group.part, &Part::default());
        group
    }

    /// Puts sources into new groups, which have nothing in common with those that there are. What came of the same
    /// sources is taken from `former`.
    fn regroup(
        &mut self,
        mut former: BTreeMap<Box<[Source]>, Arc<Part>>,
        mut added: Vec<(Source, Box<[Key]>)>,
        common: &Common<'_>,
    ) {
        added.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut partition = Partition::with_capacity(added.len());
        added.iter().for_each(|(_, keys)| partition.add(keys));
        for members in partition.groups() {
            let sources: Box<[Source]> = members.iter().map(|member| added[*member].0.clone()).collect();
            let part = former.remove(&sources).unwrap_or_else(|| translate(&sources, common));
            let place = self.free.pop().unwrap_or(self.groups.len());
            for member in members {
                let (source, keys) = &mut added[member];
                let keys = std::mem::take(keys);
                self.of_key.extend(keys.iter().map(|key| (*key, place)));
                self.sources.insert(source.clone(), Outlined { keys, group: place });
            }
            self.order.insert(sources[0].clone(), place);
            self.note_lookups(place, &part, &Part::default());
            let group = Some(Group::new(sources, part));
            match self.groups.get_mut(place) {
                Some(free) => *free = group,
                None => self.groups.push(group),
            }
        }
    }

    /// Notes what one part looked up and another did not.
    fn note_lookups(&mut self, place: Place, part: &Part, but: &Part) {
        for lookup in without(&part.lookups, &but.lookups) {
            self.of_lookup.entry(*lookup).or_default().push(place);
        }
    }

    /// Forgets the same.
    fn forget_lookups(&mut self, place: Place, part: &Part, but: &Part) {
        for lookup in without(&part.lookups, &but.lookups) {
            if let Some(groups) = self.of_lookup.get_mut(lookup) {
                groups.retain(|group| *group != place);
                if groups.is_empty() {
                    self.of_lookup.remove(lookup);
                }
            }
        }
    }
}

/// Those of one sorted list that are not in another.
fn without<'a>(lookups: &'a [Lookup], others: &'a [Lookup]) -> impl Iterator<Item = &'a Lookup> {
    lookups
        .iter()
        .filter(move |lookup| others.binary_search(lookup).is_err())
}

/// The outline of a source; `None` if it is not there, or not ours.
fn outline(
    source: &Source,
    snapshot: &Snapshot,
    class: &Class<'_>,
    listeners: &BTreeSet<Arc<str>>,
) -> Option<Box<[Key]>> {
    let (kind, key) = source;
    let outline = match snapshot.get(*kind, key)? {
        Object::Ingress(ingress) => class.takes(&ingress).then(|| Outline::of_ingress(&ingress))?,
        Object::TCPIngress(ingress) => class
            .takes_annotated(&ingress.metadata)
            .then(|| Outline::of_tcp_ingress(&ingress))?,
        Object::UDPIngress(ingress) => class
            .takes_annotated(&ingress.metadata)
            .then(|| Outline::of_udp_ingress(&ingress))?,
        Object::Gateway(gateway) => Outline::of_gateway(&gateway),
        Object::HTTPRoute(route) => Outline::of_http_route(&route, listeners),
        _ => Outline::of_route(),
    };
    Some(outline.into_keys().into())
}

/// The names of all listeners.
fn listeners(snapshot: &Snapshot) -> BTreeSet<Arc<str>> {
    let gateways = snapshot.gateways.values();
    let listeners = gateways.flat_map(|gateway| &gateway.spec.listeners);
    listeners
        .filter_map(|listener| listener.hostname.as_deref())
        .map(Arc::from)
        .collect()
}

/// The outlines of all sources.
pub(super) fn outlines(snapshot: &Snapshot, class: &Class<'_>) -> BTreeMap<Source, Box<[Key]>> {
    let mut outlines = BTreeMap::new();
    let listeners = listeners(snapshot);
    let kinds = Kind::ALL.iter().copied().filter(|kind| is_source(*kind));
    for source in kinds.flat_map(|kind| snapshot.keys(kind).into_iter().map(move |key| (kind, key))) {
        if let Some(outline) = outline(&source, snapshot, class, &listeners) {
            outlines.insert(source, outline);
        }
    }
    outlines
}

/// Translates a group.
pub(super) fn translate(group: &[Source], common: &Common<'_>) -> Arc<Part> {
    let snapshot = common.snapshot;
    let mut sources = Sources::default();
    for (kind, key) in group {
        match kind {
            Kind::Ingress => sources.ingresses.extend(snapshot.ingresses.get(key).map(AsRef::as_ref)),
            Kind::TCPIngress => sources
                .tcp_ingresses
                .extend(snapshot.tcp_ingresses.get(key).map(AsRef::as_ref)),
            Kind::UDPIngress => sources
                .udp_ingresses
                .extend(snapshot.udp_ingresses.get(key).map(AsRef::as_ref)),
            _ => sources.gateways = true,
        }
    }
    Arc::new(part::translate(sources, common))
}
