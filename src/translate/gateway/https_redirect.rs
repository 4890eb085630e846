//! Rules that send plain HTTP to HTTPS, and those that serve the same requests over HTTPS. Pure.
//!
//! Kong's routes redirect by themselves: one for HTTPS alone answers plain HTTP with its `https_redirect_status_code`. So
//! the status code of a redirect stands on all routes for HTTPS that it is for; the route that is made of the redirect gives
//! way to them, and answers for the rest. That route is for HTTPS as well: where it picks requests more narrowly than the rule
//! that serves them, Kong gives it those over HTTPS too, which is told.

use std::collections::{BTreeSet, HashMap};

use super::{
    http_match::{Match, PathKind},
    http_route::Rule,
};
use crate::{
    model::Reason,
    translate::{problems::Owner, state::State},
};

/// Gives the status codes of redirects to the rules that they are for.
pub(super) fn share(rules: &mut [Rule<'_>]) {
    let redirects = Requests::of(rules, |rule| redirects(rule, |protocols| protocols.contains(&"http")));
    if redirects.is_empty() {
        return;
    }
    let codes: Vec<Option<u16>> = rules
        .iter()
        .map(|rule| {
            let is_meant = is_secure(rule) && rule.https_redirect_status_code.is_none();
            let redirect = redirects.covering(rule).filter(|_| is_meant)?;
            rules[redirect].filters.https_redirect_status_code
        })
        .collect();
    for (rule, code) in rules.iter_mut().zip(codes) {
        rule.https_redirect_status_code = rule.https_redirect_status_code.or(code);
    }
}

/// Tells which redirects catch requests over HTTPS that a wider rule serves.
pub(super) fn tell_caught(rules: &[Rule<'_>], state: &mut State<'_>) {
    let is_plain = |rule: &Rule<'_>| redirects(rule, |protocols| protocols == ["http"]);
    if state.settings.raw_objects || !rules.iter().any(is_plain) {
        return;
    }
    let is_expressions = state.settings.profile.router_flavor.is_expressions();
    let serving = Requests::of(rules, |rule| is_secure(rule) && !rule.filters.is_closed);
    for rule in rules.iter().filter(|rule| is_plain(rule)) {
        let any = [String::new()];
        let names = match rule.context.hostnames.as_slice() {
            [] => &any[..],
            names => names,
        };
        for found in &rule.matches {
            let caught = names
                .iter()
                .find_map(|name| Some((name, serving.caught(name, found, is_expressions)?)));
            if let Some((name, owner)) = caught {
                report(rule, found, name, owner, state);
            }
        }
    }
}

fn report(rule: &Rule<'_>, found: &Match<'_>, name: &str, serving: Owner<'_>, state: &mut State<'_>) {
    let filter = rule.spec.filters.iter().position(|it| it.request_redirect.is_some());
    let field = format!("spec.rules[{}].filters[{}]", rule.index, filter.unwrap_or_default());
    let path = found.path.as_ref().map_or("/", |path| path.value);
    let host = if name.is_empty() {
        String::new()
    } else {
        format!(" for {name}")
    };
    let message = format!(
        "{serving} serves HTTPS{host} under {path} by a wider match; Kong can't tell a redirect of plain HTTP from a route for \
         HTTPS, and gives those requests to this redirect, which has no answer for them"
    );
    let remedy = format!(
        "serve just this host and match by a rule of its own over HTTPS as well, besides that of {serving}: it goes before the \
         redirect"
    );
    state
        .problems
        .report(rule.context.owner, field, Reason::Unsupported, message, remedy);
}

/// Whether a rule redirects to HTTPS, from listeners of such protocols.
fn redirects(rule: &Rule<'_>, of: impl Fn(&[&'static str]) -> bool) -> bool {
    let protocols = rule.context.protocols.as_deref().unwrap_or_default();
    rule.filters.https_redirect_status_code.is_some() && !rule.filters.is_closed && of(protocols)
}

fn is_secure(rule: &Rule<'_>) -> bool {
    rule.context.protocols.as_deref() == Some(&["https"])
}

/// What some of the rules pick, by their positions, found by host names: there are many, each for a host or a domain of its own.
struct Requests<'r, 'a> {
    rules: &'r [Rule<'a>],
    by_name: HashMap<&'r str, Vec<usize>>,
    /// By what is behind the `*`.
    by_domain: HashMap<&'r str, Vec<usize>>,
    /// Those for any host.
    for_any: Vec<usize>,
}

impl<'r, 'a> Requests<'r, 'a> {
    fn of(rules: &'r [Rule<'a>], is_meant: impl Fn(&Rule<'a>) -> bool) -> Self {
        let mut requests = Self {
            rules,
            by_name: HashMap::new(),
            by_domain: HashMap::new(),
            for_any: Vec::new(),
        };
        for (position, rule) in rules.iter().enumerate().filter(|(_, rule)| is_meant(rule)) {
            let names = &rule.context.hostnames;
            if names.is_empty() {
                requests.for_any.push(position);
            }
            for name in names {
                let of_name = match name.strip_prefix('*') {
                    Some(domain) => requests.by_domain.entry(domain),
                    None => requests.by_name.entry(name),
                };
                of_name.or_default().push(position);
            }
        }
        requests
    }

    fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.by_domain.is_empty() && self.for_any.is_empty()
    }

    /// Those that may pick requests for a host, or for hosts of a domain, in their order.
    fn candidates(&self, name: &str) -> Vec<usize> {
        let domains = name.match_indices('.').map(|(at, _)| &name[at..]);
        let of_domains = domains.filter_map(|domain| self.by_domain.get(domain)).flatten();
        let own = self.by_name.get(name).into_iter().flatten();
        let mut candidates: Vec<usize> = own.chain(of_domains).chain(&self.for_any).copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// The first that picks all requests of a rule.
    fn covering(&self, rule: &Rule<'_>) -> Option<usize> {
        let names = &rule.context.hostnames;
        let name = names.first().map_or("", String::as_str);
        let candidates = self.candidates(name).into_iter();
        let covers = |position: &usize| {
            let own = &self.rules[*position];
            let has_names = match names.as_slice() {
                [] => own.context.hostnames.is_empty(),
                names => names.iter().all(|name| covers_name(own, name)),
            };
            let covers = |found: &Match<'_>| own.matches.iter().any(|own| covers_match(own, found));
            has_names && rule.matches.iter().all(covers)
        };
        candidates.into_iter().find(covers)
    }

    /// Who picks requests of a match for a host, and more, where nobody picks just these.
    fn caught(&self, name: &str, found: &Match<'_>, is_expressions: bool) -> Option<Owner<'a>> {
        let mut wider = None;
        for position in self.candidates(name) {
            let rule = &self.rules[position];
            let names = &rule.context.hostnames;
            let has_just_name = match name {
                "" => names.is_empty(),
                name => names.iter().any(|own| own == name),
            };
            let has_name = match name {
                "" => names.is_empty(),
                name => covers_name(rule, name),
            };
            for own in rule.matches.iter().filter(|_| has_name) {
                if has_just_name && is_same(own, found, is_expressions) {
                    return None;
                }
                if covers_match(own, found) {
                    wider = wider.or(Some(rule.context.owner));
                }
            }
        }
        wider
    }
}

/// Whether all requests for a host name, maybe with a wildcard, are for hosts of a rule.
fn covers_name(rule: &Rule<'_>, name: &str) -> bool {
    let names = &rule.context.hostnames;
    let covers = |own: &String| match own.strip_prefix('*') {
        Some(end) => name.ends_with(end),
        None => own == name,
    };
    names.is_empty() || names.iter().any(covers)
}

/// Whether all requests of one match are such of another.
fn covers_match(wide: &Match<'_>, narrow: &Match<'_>) -> bool {
    if wide.method.is_some() || !wide.headers.is_empty() || !wide.query.is_empty() {
        return false;
    }
    let Some(wide) = &wide.path else { return true };
    let Some(narrow) = &narrow.path else {
        return wide.is_root();
    };
    match (wide.kind, narrow.kind) {
        (PathKind::Prefix, _) if wide.is_root() => true,
        (PathKind::Prefix, PathKind::Prefix | PathKind::Exact) => {
            let rest = narrow.value.strip_prefix(wide.trimmed());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        (wide_kind, narrow_kind) => wide_kind == narrow_kind && wide.value == narrow.value,
    }
}

/// Whether routes of both matches pick the very same. To the traditional router a prefix is an exact path besides.
fn is_same(serving: &Match<'_>, redirect: &Match<'_>, is_expressions: bool) -> bool {
    let names = |found: &Match<'_>| {
        [&found.headers, &found.query].map(|rules| {
            let rules = rules.iter();
            let rules = rules.map(|rule| (rule.name.to_ascii_lowercase(), rule.value.to_owned(), rule.is_regex));
            rules.collect::<BTreeSet<_>>()
        })
    };
    let is_same_path = match (&serving.path, &redirect.path) {
        (None, None) => true,
        (Some(path), None) | (None, Some(path)) => path.is_root(),
        (Some(one), Some(other)) => match (one.kind, other.kind) {
            (PathKind::Prefix, PathKind::Prefix) => one.trimmed() == other.trimmed(),
            (PathKind::Prefix, PathKind::Exact) => !is_expressions && one.trimmed() == other.value,
            (one_kind, other_kind) => one_kind == other_kind && one.value == other.value,
        },
    };
    is_same_path && serving.method == redirect.method && names(serving) == names(redirect)
}
