//! Translates one snapshot after the other, and does again only what a change touches (DESIGN.md §3 rule 2). Pure: what
//! comes out is what a translation from nothing gives.
//!
//! Objects that routes come from are grouped by what they could have in common ([`outline`], [`partition`]); a group is
//! translated by itself ([`part`]) and kept until one of its objects changes, or anything that was looked up on the way
//! ([`groups`]). What is for all routes together ([`rest`]) is kept until an object of its kinds or an attachment of a
//! plugin changes, and revised where a change leaves everything in its place ([`revise`]) or routes with plugins come and
//! go ([`attach`]).

mod attach;
mod groups;
mod merge;
mod outline;
mod part;
mod partition;
mod rest;
mod revise;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use jiff::Timestamp;

use self::{groups::Groups, rest::Rest};
use super::{
    Settings, Translation,
    gateway::TlsPolicies,
    problems::Problems,
    state::{Common, Lookup, earliest, lookup},
};
use crate::model::{Kind, NamespacedName, Snapshot};

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
        let (groups, parts, rest) = match former {
            Some(mut former) => {
                valid_until = former.valid_until;
                former.groups.update(&changes, &common);
                let parts = former.groups.parts();
                let can_be_kept = revise::revise(&mut former.rest, &changes.of_rest, &former.snapshot, &common)
                    && attach::revise(&mut former.rest, &parts.mattering, &former.snapshot, &common);
                (former.groups, parts, can_be_kept.then_some(former.rest))
            }
            None => {
                let groups = Groups::of_all(&common);
                let parts = groups.parts();
                (groups, parts, None)
            }
        };
        let mut translation = merge::routes(&parts.all);
        let rest = match rest {
            Some(rest) => {
                rest::add(&rest, &mut translation.configuration);
                rest
            }
            None => rest::translate(&common, &parts, &mut translation.configuration),
        };
        merge::finish(&mut translation, &parts.all, &rest, &common, problems);
        // Of what is kept the ends are known already. That of something gone costs a translation from nothing, once.
        // Without a present nothing ends.
        valid_until = settings.now.and_then(|_| earliest(valid_until, common.index.end()));
        translation.valid_until = valid_until;
        self.former = Some(Former {
            snapshot: snapshot.clone(),
            settings: settings.clone(),
            zone,
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
    /// Objects of the kinds that are for all routes together.
    of_rest: Vec<(Kind, NamespacedName)>,
}

impl Changes {
    fn note(&mut self, kind: Kind, key: &NamespacedName, former: &Snapshot, now: &Snapshot) {
        self.kinds.insert(kind);
        if is_source(kind) {
            self.sources.push((kind, key.clone()));
        }
        if rest::KINDS.contains(&kind) {
            self.of_rest.push((kind, key.clone()));
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
