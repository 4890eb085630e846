//! Picks the route of a request: the rules of Kong's flavour `traditional_compatible`, behind an index.
//!
//! Every route is split by its paths into candidates; all candidates have one global order (`priority`). The index
//! narrows by host, then by path prefix (`trie`), and of those that are left the first in the order that meets all of
//! its criteria wins. The index never decides between candidates: that is what the property test below shows.

mod criteria;
mod path;
mod priority;
mod trie;

use std::{collections::HashMap, sync::Arc};

use hyper::{HeaderMap, Method};
use proxy_config_schema::Route;

pub(in crate::data) use criteria::{RouteError, split_port};
pub(in crate::data) use path::{escape, join, normalise};

use criteria::{Criteria, HostRule, PathRule};
use trie::PathTrie;

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
    candidate: usize,
}

/// All routes, indexed.
#[derive(Debug, Default)]
pub(in crate::data) struct Router {
    candidates: Vec<Candidate>,
    criteria: Vec<Criteria>,
    exact: HashMap<String, PathTrie>,
    /// By what follows the `*`, dot included.
    suffixes: HashMap<String, PathTrie>,
    /// By what precedes the `*`, dot included.
    prefixes: HashMap<String, PathTrie>,
    any: PathTrie,
}

/// One path rule of one route. Candidates are kept in their global order: their position is their rank.
#[derive(Debug)]
struct Candidate {
    route: usize,
    path: PathRule,
    /// Every host rule of the route, checked again where the index can't tell (ports, odd wildcards).
    hosts: Arc<[HostRule]>,
}

impl Router {
    /// Builds the index over routes, given in the order of the configuration. `None` stands for a route that takes no
    /// part, so that positions stay those of the caller.
    ///
    /// # Errors
    /// What is wrong, with the position of each route at fault.
    pub(in crate::data) fn new<'a>(
        routes: impl IntoIterator<Item = Option<&'a Route>>,
        previous: &Self,
    ) -> Result<Self, Vec<(usize, RouteError)>> {
        let known = previous.patterns();
        let mut router = Self::default();
        let mut errors = Vec::new();
        let mut ordered = Vec::new();
        for (position, route) in routes.into_iter().enumerate() {
            router.criteria.push(Criteria::default());
            let Some(route) = route else { continue };
            match Criteria::new(route) {
                Ok(criteria) => router.criteria[position] = criteria,
                Err(faults) => errors.extend(faults.into_iter().map(|fault| (position, fault))),
            }
            let hosts: Arc<[_]> = route.hosts.iter().flatten().map(|host| HostRule::new(host)).collect();
            match PathRule::all(route, &known) {
                Err(faults) => errors.extend(faults.into_iter().map(|fault| (position, fault))),
                Ok(rules) => {
                    for (index, path) in rules.into_iter().enumerate() {
                        let order = priority::Order::new(route, &path, position, index);
                        let candidate = Candidate {
                            route: position,
                            path,
                            hosts: Arc::clone(&hosts),
                        };
                        ordered.push((order, candidate));
                    }
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        ordered.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        router.candidates = ordered.into_iter().map(|(_, candidate)| candidate).collect();
        router.index();
        Ok(router)
    }

    fn index(&mut self) {
        for (rank, candidate) in self.candidates.iter().enumerate() {
            let rank = u32::try_from(rank).expect("fewer than 4 billion candidates");
            let prefix = candidate.path.literal_prefix();
            if candidate.hosts.is_empty() {
                self.any.insert(prefix, rank);
            }
            for host in candidate.hosts.iter() {
                let trie = match host {
                    HostRule::Exact { name, .. } => self.exact.entry(name.clone()).or_default(),
                    HostRule::Suffix { rest, .. } if rest.starts_with('.') => {
                        self.suffixes.entry(rest.clone()).or_default()
                    }
                    HostRule::Prefix { rest, .. } if rest.ends_with('.') => {
                        self.prefixes.entry(rest.clone()).or_default()
                    }
                    HostRule::Suffix { .. } | HostRule::Prefix { .. } => &mut self.any,
                };
                trie.insert(prefix, rank);
            }
        }
    }

    /// The route of a request, if one matches.
    pub(in crate::data) fn find(&self, request: &RequestFacts<'_>) -> Option<RouteMatch> {
        let mut best: Option<(u32, Option<usize>)> = None;
        self.tries(request.host, |trie| {
            trie.walk(request.path, |ranks| {
                for &rank in ranks {
                    if best.is_some_and(|(best, _)| rank >= best) {
                        break;
                    }
                    if let Some(matched) = self.check(rank as usize, request) {
                        best = Some((rank, matched));
                        break;
                    }
                }
            });
        });
        best.map(|(rank, matched)| RouteMatch {
            route: self.candidates[rank as usize].route,
            matched,
            candidate: rank as usize,
        })
    }

    /// What the named groups and numbered groups of the path rule took, for hashing by `uri_capture`.
    pub(in crate::data) fn capture(&self, found: RouteMatch, path: &[u8], name: &str) -> Option<String> {
        let PathRule::Pattern { regex, .. } = &self.candidates[found.candidate].path else {
            return None;
        };
        let captures = regex.captures(path)?;
        let group = match name.parse::<usize>() {
            Ok(number) => captures.get(number),
            Err(_) => captures.name(name),
        };
        group.map(|group| String::from_utf8_lossy(group.as_bytes()).into_owned())
    }

    /// Visits every part of the index whose hosts may fit.
    fn tries(&self, host: &str, mut visit: impl FnMut(&PathTrie)) {
        if let Some(trie) = self.exact.get(host) {
            visit(trie);
        }
        if !self.suffixes.is_empty() || !self.prefixes.is_empty() {
            for (position, _) in host.match_indices('.') {
                if let Some(trie) = self.suffixes.get(&host[position..]) {
                    visit(trie);
                }
                if let Some(trie) = self.prefixes.get(&host[..=position]) {
                    visit(trie);
                }
            }
        }
        visit(&self.any);
    }

    /// Whether a candidate fits, and what its path rule took.
    fn check(&self, rank: usize, request: &RequestFacts<'_>) -> Option<Option<usize>> {
        let candidate = &self.candidates[rank];
        let hosts = &candidate.hosts;
        if !hosts.is_empty() && !hosts.iter().any(|host| host.matches(request.host, request.port)) {
            return None;
        }
        if !self.criteria[candidate.route].matches(request) {
            return None;
        }
        candidate.path.matches(request.path)
    }

    fn patterns(&self) -> HashMap<&str, &regex::bytes::Regex> {
        self.candidates
            .iter()
            .filter_map(|candidate| match &candidate.path {
                PathRule::Pattern { source, regex, .. } => Some((source.as_str(), regex)),
                PathRule::Any | PathRule::Prefix(_) => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
