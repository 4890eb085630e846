//! Translates one snapshot after the other, and does again only what a change touches (DESIGN.md §3 rule 2). Pure: what
//! comes out is what a translation from nothing gives.
//!
//! Objects that routes come from are grouped by what they could have in common ([`outline`], [`partition`]); a group is
//! translated by itself ([`part`]) and kept until one of its objects changes, or anything that was looked up on the way.
//! What is for all routes together ([`rest`]) is kept until an object of its kinds or an attachment of a plugin changes.

mod merge;
mod outline;
mod part;
mod partition;
mod rest;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use self::{
    outline::{Key, Outline},
    part::{Part, Sources},
    partition::Partition,
    rest::Rest,
};
use super::{
    Settings, Translation,
    class::Class,
    gateway::TlsPolicies,
    problems::Problems,
    state::{Common, Lookup, earliest, lookup},
};
use crate::model::{Kind, NamespacedName, Object, Snapshot};

/// Kinds on which everything depends.
const COMMON: &[Kind] = &[Kind::IngressClass, Kind::IngressClassParameters];

/// Kinds of the Gateway API: their objects are one group.
const GATEWAY: &[Kind] = &[
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::HTTPRoute,
    Kind::GRPCRoute,
    Kind::TCPRoute,
    Kind::UDPRoute,
    Kind::TLSRoute,
    Kind::BackendTLSPolicy,
    Kind::ReferenceGrant,
    Kind::Namespace,
];

/// Translates snapshots, and remembers what came of the one before.
#[derive(Default)]
pub struct Translator {
    former: Option<Former>,
}

/// An object that routes come from.
type Source = (Kind, NamespacedName);

/// What is known of the translation before.
struct Former {
    snapshot: Snapshot,
    settings: Settings,
    policies: TlsPolicies,
    zone: Option<String>,
    /// What each source of ours could have in common with others.
    outlines: BTreeMap<Source, Box<[Key]>>,
    groups: Groups,
    rest: Rest,
    /// Until when what is kept holds.
    valid_until: Option<Timestamp>,
}

impl Former {
    /// Whether what is kept would come out again, as far as settings and time go.
    fn fits(&self, settings: &Settings) -> bool {
        let has_ended = settings
            .now
            .is_some_and(|now| self.valid_until.is_some_and(|end| end < now));
        let at_the_same_time = Settings {
            now: settings.now,
            ..self.settings.clone()
        };
        !has_ended && settings.now.is_some() == self.settings.now.is_some() && at_the_same_time == *settings
    }
}

#[derive(Default)]
struct Groups {
    groups: Vec<Group>,
    /// The group of each source.
    of_source: HashMap<Source, usize>,
    /// Groups that looked something up.
    of_lookup: HashMap<Lookup, Vec<usize>>,
}

struct Group {
    sources: Vec<Source>,
    part: Arc<Part>,
}

impl Translator {
    /// Translates all objects. Never fails: what is wrong is in [`Translation::problems`], the rest is in the configuration.
    pub fn translate(&mut self, snapshot: &Snapshot, settings: &Settings) -> Translation {
        let mut problems = Problems::default();
        let policies = TlsPolicies::find(snapshot, settings, &mut problems);
        let common = Common::new(snapshot, settings, &policies, &mut problems);
        let zone = common.zone.map(str::to_owned);
        common.index.take_lookups();
        let mut changes = Changes::default();
        let former = self.former.take().filter(|former| {
            snapshot.changes_since(&former.snapshot, |kind, key| {
                changes.note(kind, key, &former.snapshot, snapshot);
            });
            former.fits(settings)
                && former.zone == zone
                && former.policies == policies
                && !COMMON.iter().any(|kind| changes.kinds.contains(kind))
        });
        let mut valid_until = None;
        let (outlines, groups, rest) = match former {
            Some(mut former) => {
                valid_until = former.valid_until;
                let regroup = update_outlines(&mut former.outlines, &changes, snapshot, &common.class);
                let groups = if regroup {
                    former.groups.regroup(&former.outlines, &changes, &common)
                } else {
                    former.groups.update(&changes, &common)
                };
                let rest = Some(former.rest).filter(|_| !rest::KINDS.iter().any(|kind| changes.kinds.contains(kind)));
                (former.outlines, groups, rest)
            }
            None => {
                let outlines = outlines(snapshot, &common.class);
                let groups = Groups::default().regroup(&outlines, &Changes::default(), &common);
                (outlines, groups, None)
            }
        };
        let parts: Vec<Arc<Part>> = groups.groups.iter().map(|group| group.part.clone()).collect();
        let mut translation = merge::routes(&parts);
        let rest = match rest.filter(|rest| rest.fits(&parts)) {
            Some(rest) => {
                rest::add(&rest, &mut translation.configuration);
                rest
            }
            None => rest::translate(&common, &parts, &mut translation.configuration),
        };
        merge::finish(&mut translation, &parts, &rest, &common, problems);
        // Of what is kept the ends are known already. That of something gone costs a translation from nothing, once.
        valid_until = earliest(valid_until, common.index.end());
        translation.valid_until = valid_until;
        self.former = Some(Former {
            snapshot: snapshot.clone(),
            settings: settings.clone(),
            zone,
            outlines,
            groups,
            rest,
            policies,
            valid_until,
        });
        translation
    }
}

/// What differs from the snapshot before.
#[derive(Default)]
struct Changes {
    kinds: HashSet<Kind>,
    sources: Vec<Source>,
    lookups: Vec<Lookup>,
}

impl Changes {
    fn note(&mut self, kind: Kind, key: &NamespacedName, former: &Snapshot, now: &Snapshot) {
        self.kinds.insert(kind);
        if is_source(kind) {
            self.sources.push((kind, key.clone()));
        }
        if kind == Kind::EndpointSlice {
            // Slices are looked up by their Services.
            let slices = [former, now].map(|snapshot| snapshot.endpoint_slices.get(key));
            let services = slices.iter().flatten().filter_map(|slice| slice.service_name());
            self.lookups
                .extend(services.map(|service| lookup(kind, &key.namespace, service)));
        } else {
            self.lookups.push(lookup(kind, &key.namespace, &key.name));
        }
    }
}

fn is_source(kind: Kind) -> bool {
    matches!(kind, Kind::Ingress | Kind::TCPIngress | Kind::UDPIngress) || GATEWAY.contains(&kind)
}

/// The outline of a source; `None` if it is not there, or not ours.
fn outline(source: &Source, snapshot: &Snapshot, class: &Class<'_>) -> Option<Box<[Key]>> {
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
        _ => Outline::of_route(),
    };
    Some(outline.into_keys().into())
}

fn outlines(snapshot: &Snapshot, class: &Class<'_>) -> BTreeMap<Source, Box<[Key]>> {
    let mut outlines = BTreeMap::new();
    let kinds = Kind::ALL.iter().copied().filter(|kind| is_source(*kind));
    for source in kinds.flat_map(|kind| snapshot.keys(kind).into_iter().map(move |key| (kind, key))) {
        if let Some(outline) = outline(&source, snapshot, class) {
            outlines.insert(source, outline);
        }
    }
    outlines
}

/// Brings the outlines of what changed up to date. Says whether the groups may be others now.
fn update_outlines(
    outlines: &mut BTreeMap<Source, Box<[Key]>>,
    changes: &Changes,
    snapshot: &Snapshot,
    class: &Class<'_>,
) -> bool {
    let mut regroup = false;
    for source in &changes.sources {
        let former = match outline(source, snapshot, class) {
            Some(now) => {
                let former = outlines.insert(source.clone(), now);
                regroup |= former.as_ref() != outlines.get(source);
                continue;
            }
            None => outlines.remove(source),
        };
        regroup |= former.is_some();
    }
    regroup
}

impl Groups {
    /// Translates the groups that changes touch; those stay what they are.
    fn update(mut self, changes: &Changes, common: &Common<'_>) -> Self {
        for index in self.touched(changes) {
            let part = translate(&self.groups[index].sources, common);
            let former = std::mem::replace(&mut self.groups[index].part, part.clone());
            for lookup in former
                .lookups
                .iter()
                .filter(|lookup| part.lookups.binary_search(lookup).is_err())
            {
                if let Some(groups) = self.of_lookup.get_mut(lookup) {
                    groups.retain(|group| *group != index);
                    if groups.is_empty() {
                        self.of_lookup.remove(lookup);
                    }
                }
            }
            for lookup in part
                .lookups
                .iter()
                .filter(|lookup| former.lookups.binary_search(lookup).is_err())
            {
                self.of_lookup.entry(*lookup).or_default().push(index);
            }
        }
        self
    }

    /// The groups that changes touch.
    fn touched(&self, changes: &Changes) -> HashSet<usize> {
        let sources = changes.sources.iter().filter_map(|source| self.of_source.get(source));
        let lookups = changes.lookups.iter().filter_map(|lookup| self.of_lookup.get(lookup));
        sources.chain(lookups.flatten()).copied().collect()
    }

    /// Groups the sources anew, and translates the groups that are not as before.
    fn regroup(self, outlines: &BTreeMap<Source, Box<[Key]>>, changes: &Changes, common: &Common<'_>) -> Self {
        let touched = self.touched(changes);
        let sources: Vec<(&Source, &Box<[Key]>)> = outlines.iter().collect();
        let mut partition = Partition::with_capacity(sources.len());
        sources.iter().for_each(|(_, keys)| partition.add(keys));
        let mut former: Vec<Option<Group>> = self.groups.into_iter().map(Some).collect();
        let mut groups = Self::default();
        for members in partition.groups() {
            let index = groups.groups.len();
            let kept = self.of_source.get(sources[members[0]].0).and_then(|former_index| {
                let same = |group: &Group| {
                    let members = members.iter().map(|member| sources[*member].0);
                    !touched.contains(former_index) && members.eq(&group.sources)
                };
                former[*former_index].take_if(|group| same(group))
            });
            let group = kept.unwrap_or_else(|| {
                let sources: Vec<Source> = members.iter().map(|member| sources[*member].0.clone()).collect();
                let part = translate(&sources, common);
                Group { sources, part }
            });
            for source in &group.sources {
                groups.of_source.insert(source.clone(), index);
            }
            for lookup in &group.part.lookups {
                groups.of_lookup.entry(*lookup).or_default().push(index);
            }
            groups.groups.push(group);
        }
        groups
    }
}

fn translate(group: &[Source], common: &Common<'_>) -> Arc<Part> {
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
