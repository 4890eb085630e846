//! Rules of HTTPRoutes -> routes of the expressions router, with their priorities (`kic.md` 4.4, 4.6.4). One route for each
//! host name, rule and match.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{
    host_label,
    http_match::{Match, NameRule, PathKind, PathRule},
    http_route::{Drafted, Rule},
    http_traditional::defaults,
};
use crate::{
    model::NamespacedName,
    translate::{
        draft::{Matches, RouteDraft},
        expression::{Operator, Predicate},
        path::anchored,
        route::{capped, server_names},
    },
};

const HTTP_ROUTE: u64 = 2;
/// How many routes of equal rank can be told apart.
const RANKS: u64 = 0xFFF;

/// What decides between routes of equal rank: the older object goes first, then the first by name, then the first rule; what
/// only sends plain HTTP to HTTPS is the last.
pub(super) type Precedence = (bool, Option<Timestamp>, NamespacedName, usize, usize);

/// The routes of a service, each with what decides among equals.
pub(super) fn routes<'a>(rules: &[Rule<'a>]) -> (Vec<RouteDraft<'a>>, Vec<Precedence>) {
    let mut routes = Vec::new();
    let mut precedence = Vec::new();
    for rule in rules {
        let any = [None];
        let named: Vec<_> = rule.context.hostnames.iter().map(|name| Some(name.as_str())).collect();
        for host in if named.is_empty() { &any[..] } else { &named } {
            let anything = [Match::default()];
            let has_none = rule.spec.matches.is_empty() && rule.matches.is_empty();
            for found in if has_none { &anything[..] } else { &rule.matches } {
                routes.push(route(rule, *host, found));
                let metadata = rule.context.owner.metadata;
                precedence.push((
                    rule.filters.https_redirect_status_code.is_some(),
                    metadata.creation_timestamp,
                    metadata.key(),
                    rule.index,
                    found.index,
                ));
            }
        }
    }
    (routes, precedence)
}

fn route<'a>(rule: &Rule<'a>, host: Option<&str>, found: &Match<'a>) -> RouteDraft<'a> {
    let context = &rule.context;
    let mut members: Vec<_> = host.map(Predicate::host).into_iter().collect();
    let names = server_names(&context.settings);
    if !names.is_empty() {
        members.push(Predicate::any(names));
    }
    members.extend(found.path.as_ref().map(|path| path_predicate(rule, path)));
    let mut headers: Vec<_> = found.headers.iter().collect();
    headers.sort_by_key(|header| header.name);
    members.extend(headers.iter().map(|header| {
        let (operator, value) = comparison(header);
        Predicate::header(header.name, operator, value)
    }));
    let mut query: Vec<_> = found.query.iter().collect();
    query.sort_by_key(|parameter| parameter.name);
    members.extend(query.iter().map(|parameter| {
        let (operator, value) = comparison(parameter);
        Predicate::compare(format!("http.queries.{}", parameter.name), operator, value)
    }));
    members.extend(
        found
            .method
            .map(|method| Predicate::compare("http.method", Operator::Equal, method)),
    );
    if members.is_empty() {
        let protocol = |name| Predicate::compare("net.protocol", Operator::Equal, name);
        members.push(Predicate::any(vec![protocol("http"), protocol("https")]));
    }
    RouteDraft {
        name: format!("{}.{}.{}.{}", rule.prefix(), host_label(host), rule.index, found.index),
        owner: context.owner,
        matches: Matches::Expression {
            predicate: Predicate::all(members),
            priority: rank(host, found),
        },
        defaults: defaults(rule),
        settings: context.settings.clone(),
        rule_names: rule.name().into_iter().collect(),
        plugins: rule.filters.plugins(found.path.as_ref()),
        extensions: rule.filters.extensions.clone(),
    }
}

fn comparison<'a>(rule: &NameRule<'a>) -> (Operator, &'a str) {
    (
        if rule.is_regex {
            Operator::Matches
        } else {
            Operator::Equal
        },
        rule.value,
    )
}

fn path_predicate(rule: &Rule<'_>, path: &PathRule<'_>) -> Predicate {
    const FIELD: &str = "http.path";
    let compare = |operator, value: &str| Predicate::compare(FIELD, operator, value);
    let prefix = path.trimmed();
    match path.kind {
        PathKind::Exact => compare(Operator::Equal, path.value),
        PathKind::Regex => compare(Operator::Matches, &anchored(path.value)),
        PathKind::Prefix if rule.filters.replaces_prefix() => {
            let below = compare(Operator::Matches, &format!("^{}(/.*)", path.literal()));
            if path.is_root() {
                compare(Operator::Matches, "^/(.*)")
            } else {
                Predicate::any(vec![compare(Operator::Equal, prefix), below])
            }
        }
        PathKind::Prefix if path.is_root() => compare(Operator::StartsWith, "/"),
        PathKind::Prefix => Predicate::any(vec![
            compare(Operator::Equal, prefix),
            compare(Operator::StartsWith, &format!("{prefix}/")),
        ]),
    }
}

/// Which of several expressions that hold goes first, but for the last twelve bits, which decide among equals. What the
/// API server does not let in is cut to what the bits hold.
fn rank(host: Option<&str>, found: &Match<'_>) -> u64 {
    let path = found.path.as_ref();
    let is_kind = |kind| u64::from(path.is_some_and(|path| path.kind == kind));
    let length = path.map_or(0, |path| path.value.len().saturating_sub(1));
    HTTP_ROUTE << 44
        | u64::from(host.is_some_and(|host| !host.starts_with('*'))) << 43
        | capped(host.map_or(0, str::len), 0xFF) << 35
        | is_kind(PathKind::Exact) << 34
        | is_kind(PathKind::Regex) << 33
        | capped(length, 0x3FF) << 23
        | u64::from(found.method.is_some()) << 22
        | capped(found.headers.len(), 0x1F) << 17
        | capped(found.query.len(), 0x1F) << 12
}

/// Puts routes of equal rank in order, in all of the cluster: the first one gets the highest number.
pub(super) fn break_ties(services: &mut [Drafted<'_>]) {
    let mut equals: HashMap<u64, Vec<(&Precedence, &mut u64)>> = HashMap::new();
    for (service, precedence) in services {
        for (route, precedence) in service.routes.iter_mut().zip(precedence.iter()) {
            if let Matches::Expression { priority, .. } = &mut route.matches {
                equals.entry(*priority).or_default().push((precedence, priority));
            }
        }
    }
    for mut equals in equals.into_values() {
        equals.sort_by_key(|(precedence, _)| *precedence);
        for (position, (_, priority)) in equals.into_iter().enumerate() {
            *priority += RANKS - capped(position, RANKS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_kong_ingress_controller() {
        assert_eq!(rank(None, &Match::default()), 2 << 44);
        let found = Match {
            method: Some("GET"),
            ..Match::default()
        };
        let precise = rank(Some("a.example"), &found);
        assert_eq!(precise, 2 << 44 | 1 << 43 | 9 << 35 | 1 << 22);
        assert_eq!(rank(Some("*.example"), &found), 2 << 44 | 9 << 35 | 1 << 22);
    }
}
