//! The global order of candidates, as Kong's `traditional_compatible` computes it.
//!
//! Kong packs these into a 64-bit number (`kong/router/transform.lua`); here they are compared field by field, in the
//! order of its bits. Among equals Kong compares identifiers, the greater first; routes that say when they were made
//! are ordered by that before, the older first, as Kong's documentation promises.

use std::cmp::Ordering;

use proxy_config_schema::Route;

use super::path_rule::PathRule;

/// The most headers that count.
const MAX_HEADERS: usize = 255;

/// What decides first between path rules of routes. Greater wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// How many kinds of criteria the route has.
    kinds: u8,
    /// Whether it has hosts, all without wildcards.
    plain_hosts: bool,
    headers: usize,
    expression: bool,
    regex_priority: i64,
    prefix_length: usize,
}

impl Rank {
    /// Of one path rule of a route.
    pub(super) fn new(route: &Route, rule: &PathRule) -> Self {
        let hosts = route.hosts.as_deref().unwrap_or_default();
        let headers = route.headers.as_ref().map_or(0, std::collections::BTreeMap::len);
        let given = [
            some(route.methods.as_deref()),
            !hosts.is_empty(),
            headers > 0,
            some(route.snis.as_deref()),
            some(route.paths.as_deref()),
        ];
        let expression = rule.is_expression();
        Self {
            kinds: given.into_iter().map(u8::from).sum(),
            plain_hosts: !hosts.is_empty() && hosts.iter().all(|host| !host.contains('*')),
            headers: headers.min(MAX_HEADERS),
            expression,
            regex_priority: if expression {
                route.regex_priority.unwrap_or(0)
            } else {
                0
            },
            prefix_length: if expression { 0 } else { rule.literal_prefix().len() },
        }
    }
}

/// What decides between routes of the same rank: what comes first wins. Routes that differ in their identifiers are
/// never equal.
pub(super) fn among_equals(one: &Route, other: &Route) -> Ordering {
    let created_at = |route: &Route| route.created_at.unwrap_or(i64::MAX);
    created_at(one)
        .cmp(&created_at(other))
        .then_with(|| match (&one.id, &other.id) {
            (Some(one), Some(other)) => in_lower_case(other).cmp(in_lower_case(one)),
            (one, other) => other.is_some().cmp(&one.is_some()),
        })
        .then_with(|| other.id.cmp(&one.id))
}

fn in_lower_case(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().map(|byte| byte.to_ascii_lowercase())
}

fn some(list: Option<&[String]>) -> bool {
    list.is_some_and(|list| !list.is_empty())
}
