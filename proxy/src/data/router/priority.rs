//! The global order of candidates, as Kong's `traditional_compatible` computes it.
//!
//! Kong packs these into a 64-bit number (`kong/router/transform.lua`); here they are compared field by field, in the
//! order of its bits. Among equals Kong compares identifiers, the greater first; routes that say when they were made
//! are ordered by that before, the older first, as Kong's documentation promises.

use std::cmp::Reverse;

use proxy_config_schema::Route;

use super::criteria::PathRule;

/// The most headers that count.
const MAX_HEADERS: usize = 255;

/// Where a candidate stands: the least comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    rank: Reverse<Rank>,
    created_at: i64,
    identifier: Reverse<Option<String>>,
    position: usize,
    path: usize,
}

/// What decides first. Greater wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// How many kinds of criteria the route has.
    kinds: u8,
    /// Whether it has hosts, all without wildcards.
    plain_hosts: bool,
    headers: usize,
    pattern: bool,
    regex_priority: i64,
    prefix_length: usize,
}

impl Order {
    /// The place of one path rule of a route; `position` and `path` are where they stand in the configuration.
    pub(super) fn new(route: &Route, rule: &PathRule, position: usize, path: usize) -> Self {
        let hosts = route.hosts.as_deref().unwrap_or_default();
        let headers = route.headers.as_ref().map_or(0, std::collections::BTreeMap::len);
        let given = [
            some(route.methods.as_deref()),
            !hosts.is_empty(),
            headers > 0,
            some(route.snis.as_deref()),
            some(route.paths.as_deref()),
        ];
        let (pattern, prefix_length) = match rule {
            PathRule::Any => (false, 0),
            PathRule::Prefix(prefix) => (false, prefix.len()),
            PathRule::Pattern { .. } => (true, 0),
        };
        Self {
            rank: Reverse(Rank {
                kinds: given.into_iter().map(u8::from).sum(),
                plain_hosts: !hosts.is_empty() && hosts.iter().all(|host| !host.contains('*')),
                headers: headers.min(MAX_HEADERS),
                pattern,
                regex_priority: if pattern { route.regex_priority.unwrap_or(0) } else { 0 },
                prefix_length,
            }),
            created_at: route.created_at.unwrap_or(i64::MAX),
            identifier: Reverse(route.id.as_deref().map(str::to_ascii_lowercase)),
            position,
            path,
        }
    }
}

fn some(list: Option<&[String]>) -> bool {
    list.is_some_and(|list| !list.is_empty())
}
