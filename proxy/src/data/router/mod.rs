//! Picks the route of a request: the rules of Kong's flavour `traditional_compatible`, behind an index.
//!
//! Every route is split by its paths into candidates; all candidates have one global order (`priority`). The index
//! narrows by host (`bucket`), then by path prefix (`trie`), of many expressions with the same prefix by other text that a
//! path must have (`crowd`), and of those that are left the first in the order that meets all of its criteria wins. The
//! index never decides between candidates: that is what the property test below shows.
//!
//! A router is made from the one before: routes that are the same allocation keep their rules, and hosts whose routes
//! are the same keep their part of the index.

mod bucket;
mod criteria;
mod crowd;
mod hosts;
mod needle;
mod path;
mod path_rule;
mod priority;
mod trie;

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use hyper::{HeaderMap, Method};
use proxy_config_schema::Route;

pub(in crate::data) use criteria::{RouteError, split_port};
pub(in crate::data) use path::{escape, join, normalise};

use bucket::{Bucket, Candidate};
use criteria::{Criteria, HostRule};
use hosts::{Hosts, Place};
use path_rule::{PathRule, Patterns};
use priority::Rank;

use super::listener::Scheme;

/// What routes look at in a request.
#[derive(Debug, Clone, Copy)]
pub(in crate::data) struct RequestFacts<'a> {
    /// The method.
    pub method: &'a Method,
    /// Host in lower case, without port; empty if there is none.
    pub host: &'a str,
    /// Port of the host header, else the scheme's own.
    pub port: u16,
    /// Normalised path, without query.
    pub path: &'a [u8],
    /// All headers.
    pub headers: &'a HeaderMap,
    /// How it came.
    pub scheme: Scheme,
    /// TLS server name in lower case.
    pub server_name: Option<&'a str>,
}

/// The route that was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) struct RouteMatch {
    /// Position of the route among those that the router was built from.
    pub route: usize,
    /// How many bytes of the path its rule took; `None` if the route looks at no path.
    pub matched: Option<usize>,
    candidate: Candidate,
}

/// All routes, indexed.
#[derive(Debug, Default)]
pub(in crate::data) struct Router {
    /// A route stays in its slot for as long as it is the same allocation.
    slots: Vec<Option<Slot>>,
    /// Slots by the addresses of their routes.
    by_address: HashMap<usize, u32>,
    hosts: Hosts,
}

#[derive(Debug, Clone)]
struct Slot {
    /// Among those that the router was built from.
    position: usize,
    rules: Arc<Rules>,
}

/// What a route asks of a request.
#[derive(Debug)]
struct Rules {
    /// Keeps the address.
    route: Arc<Route>,
    criteria: Criteria,
    /// Checked again where the index can't tell (ports, odd wildcards).
    hosts: Box<[HostRule]>,
    paths: Box<[(PathRule, Rank)]>,
}

/// What is wrong with which route, by its position.
type RouteErrors = Vec<(usize, RouteError)>;

impl Router {
    /// Builds the index over routes, given in the order of the configuration. `None` stands for a route that takes no
    /// part, so that positions stay those of the caller.
    ///
    /// # Errors
    /// What is wrong, with the position of each route at fault.
    pub(in crate::data) fn new<'a>(
        routes: impl IntoIterator<Item = Option<&'a Arc<Route>>>,
        previous: &Self,
    ) -> Result<Self, RouteErrors> {
        let routes = routes.into_iter().enumerate();
        let routes: Vec<(usize, &Arc<Route>)> = routes
            .filter_map(|(position, route)| Some((position, route?)))
            .collect();
        let nothing = Self::default();
        // Without identifiers positions decide between equals, and those may have changed for all.
        let identified = routes.iter().all(|(_, route)| route.id.is_some());
        let base = if identified { previous } else { &nothing };
        let mut kept: Vec<Option<Slot>> = vec![None; base.slots.len()];
        let mut added = Vec::new();
        let mut errors = Vec::new();
        let mut patterns = Patterns::new(|| {
            previous
                .rules()
                .flat_map(|rules| rules.paths.iter().map(|(rule, _)| rule))
        });
        for (position, route) in routes {
            if let Some((place, rules)) = base.known(route)
                && kept[place].is_none()
            {
                kept[place] = Some(Slot { position, rules });
                continue;
            }
            match Rules::new(route, &mut patterns) {
                Ok(rules) => added.push(Slot {
                    position,
                    rules: Arc::new(rules),
                }),
                Err(faults) => errors.extend(faults.into_iter().map(|fault| (position, fault))),
            }
        }
        if errors.is_empty() {
            Ok(base.followed_by(kept, added))
        } else {
            Err(errors)
        }
    }

    /// The router with some of this one's routes, in their slots, and some new ones.
    fn followed_by(&self, mut slots: Vec<Option<Slot>>, added: Vec<Slot>) -> Self {
        let mut by_address = self.by_address.clone();
        let mut changes: HashMap<Place<'_>, Vec<Candidate>> = HashMap::new();
        let mut free = Vec::new();
        for (place, kept) in slots.iter().enumerate() {
            if kept.is_some() {
                continue;
            }
            free.push(place);
            if let Some(gone) = &self.slots[place] {
                by_address.remove(&address(&gone.rules.route));
                for place in gone.rules.places() {
                    changes.entry(place).or_default();
                }
            }
        }
        let is_kept: Vec<bool> = slots.iter().map(Option::is_some).collect();
        let added: Vec<(u32, Slot)> = added
            .into_iter()
            .map(|slot| {
                let place = free.pop().unwrap_or_else(|| {
                    slots.push(None);
                    slots.len() - 1
                });
                slots[place] = Some(slot.clone());
                (u32::try_from(place).expect("fewer than 4 billion routes"), slot)
            })
            .collect();
        for (place, slot) in &added {
            by_address.insert(address(&slot.rules.route), *place);
            let paths = 0..u32::try_from(slot.rules.paths.len()).expect("fewer than 4 billion paths");
            for host in slot.rules.places() {
                let candidates = paths.clone().map(|path| Candidate { slot: *place, path });
                changes.entry(host).or_default().extend(candidates);
            }
        }
        let mut next = Self {
            slots,
            by_address,
            hosts: self.hosts.clone(),
        };
        for (place, mut candidates) in changes {
            let before = self.hosts.get(place).map_or(&[][..], Bucket::candidates);
            let staying = before.iter().filter(|candidate| is_kept[candidate.slot as usize]);
            candidates.extend(staying.copied());
            let order = |one: &Candidate, other: &Candidate| next.order(*one, *other);
            let bucket = Bucket::new(candidates, order, |candidate| next.path_rule(*candidate));
            next.hosts.set(place, bucket);
        }
        next
    }

    /// The route of a request, if one matches.
    pub(in crate::data) fn find(&self, request: &RequestFacts<'_>) -> Option<RouteMatch> {
        let mut best: Option<(Candidate, Option<usize>)> = None;
        self.hosts.visit(request.host, |bucket| {
            let found = bucket.find(request.path, |candidate| self.check(candidate, request));
            if let Some((candidate, matched)) = found
                && best.is_none_or(|(best, _)| self.order(candidate, best).is_lt())
            {
                best = Some((candidate, matched));
            }
        });
        best.map(|(candidate, matched)| RouteMatch {
            route: self.slot(candidate).position,
            matched,
            candidate,
        })
    }

    /// What the named groups and numbered groups of the path rule took, for hashing by `uri_capture`.
    pub(in crate::data) fn capture(&self, found: RouteMatch, path: &[u8], name: &str) -> Option<String> {
        let PathRule::Pattern { regex, .. } = self.path_rule(found.candidate) else {
            return None;
        };
        let captures = regex.captures(path)?;
        let group = match name.parse::<usize>() {
            Ok(number) => captures.get(number),
            Err(_) => captures.name(name),
        };
        group.map(|group| String::from_utf8_lossy(group.as_bytes()).into_owned())
    }

    /// The position of a route that is the same allocation.
    pub(in crate::data) fn position(&self, route: &Arc<Route>) -> Option<usize> {
        let slot = *self.by_address.get(&address(route))?;
        self.slots[slot as usize].as_ref().map(|slot| slot.position)
    }

    fn known(&self, route: &Arc<Route>) -> Option<(usize, Arc<Rules>)> {
        let place = *self.by_address.get(&address(route))? as usize;
        let slot = self.slots[place].as_ref()?;
        Some((place, Arc::clone(&slot.rules)))
    }

    /// Whether a candidate fits, and what its path rule took.
    fn check(&self, candidate: Candidate, request: &RequestFacts<'_>) -> Option<Option<usize>> {
        let rules = &self.slot(candidate).rules;
        let mut hosts = rules.hosts.iter();
        if !rules.hosts.is_empty() && !hosts.any(|host| host.matches(request.host, request.port)) {
            return None;
        }
        if !rules.criteria.matches(request) {
            return None;
        }
        self.path_rule(candidate).matches(request.path)
    }

    /// Which candidate comes first in the global order.
    fn order(&self, one: Candidate, other: Candidate) -> Ordering {
        let (slot, other_slot) = (self.slot(one), self.slot(other));
        let rank = |slot: &Slot, candidate: Candidate| slot.rules.paths[candidate.path as usize].1;
        rank(other_slot, other)
            .cmp(&rank(slot, one))
            .then_with(|| priority::among_equals(&slot.rules.route, &other_slot.rules.route))
            .then(slot.position.cmp(&other_slot.position))
            .then(one.path.cmp(&other.path))
    }

    fn slot(&self, candidate: Candidate) -> &Slot {
        let slot = self.slots[candidate.slot as usize].as_ref();
        slot.expect("candidates are those of filled slots")
    }

    fn path_rule(&self, candidate: Candidate) -> &PathRule {
        &self.slot(candidate).rules.paths[candidate.path as usize].0
    }

    fn rules(&self) -> impl Iterator<Item = &Rules> {
        self.slots.iter().flatten().map(|slot| &*slot.rules)
    }
}

impl Rules {
    /// # Errors
    /// Header names and methods that aren't any, expressions that don't compile.
    fn new<'a, F, I>(route: &Arc<Route>, patterns: &mut Patterns<'a, F>) -> Result<Self, Vec<RouteError>>
    where
        F: Fn() -> I,
        I: Iterator<Item = &'a PathRule>,
    {
        let (criteria, paths) = match (Criteria::new(route), PathRule::all(route, patterns)) {
            (Ok(criteria), Ok(paths)) => (criteria, paths),
            (criteria, paths) => {
                let errors = [criteria.err(), paths.err()];
                return Err(errors.into_iter().flatten().flatten().collect());
            }
        };
        let hosts = route.hosts.iter().flatten();
        Ok(Self {
            route: Arc::clone(route),
            criteria,
            hosts: hosts.map(|host| HostRule::new(host)).collect(),
            paths: paths
                .into_iter()
                .map(|path| {
                    let rank = Rank::new(route, &path);
                    (path, rank)
                })
                .collect(),
        })
    }

    /// The parts of the index that its candidates are in.
    fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let everywhere = self.hosts.is_empty().then_some(Place::Any);
        self.hosts.iter().map(Place::of).chain(everywhere)
    }
}

/// Of the allocation.
fn address(route: &Arc<Route>) -> usize {
    Arc::as_ptr(route).addr()
}

#[cfg(test)]
mod tests;
