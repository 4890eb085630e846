//! Rules that send plain HTTP to HTTPS, and those that serve the same requests over HTTPS. Pure.
//!
//! Kong's routes redirect by themselves: one for HTTPS alone answers plain HTTP with its `https_redirect_status_code`. So
//! the status code of a redirect stands on all routes for HTTPS that it is for; the route that is made of the redirect gives
//! way to them, and answers for the rest.

use super::{
    http_match::{Match, PathKind},
    http_route::Rule,
};

/// Where plain HTTP is sent to HTTPS.
struct Redirect<'a> {
    status_code: u16,
    /// Empty for any.
    hostnames: Vec<String>,
    matches: Vec<Match<'a>>,
}

/// Gives the status codes of redirects to the rules that they are for.
pub(super) fn share(rules: &mut [Rule<'_>]) {
    let redirects: Vec<Redirect<'_>> = rules.iter().filter_map(Redirect::of).collect();
    if redirects.is_empty() {
        return;
    }
    for rule in rules {
        let is_secure = rule.context.protocols.as_deref() == Some(&["https"]);
        if is_secure && rule.https_redirect_status_code.is_none() {
            let redirect = redirects.iter().find(|redirect| redirect.covers(rule));
            rule.https_redirect_status_code = redirect.map(|redirect| redirect.status_code);
        }
    }
}

impl<'a> Redirect<'a> {
    fn of(rule: &Rule<'a>) -> Option<Self> {
        let status_code = rule.filters.https_redirect_status_code?;
        let protocols = rule.context.protocols.as_deref().unwrap_or_default();
        (!rule.filters.is_closed && protocols.contains(&"http")).then(|| Self {
            status_code,
            hostnames: rule.context.hostnames.clone(),
            matches: rule.matches.clone(),
        })
    }

    fn covers(&self, rule: &Rule<'_>) -> bool {
        let names = &rule.context.hostnames;
        let has_names = match names.as_slice() {
            [] => self.hostnames.is_empty(),
            names => names.iter().all(|name| self.covers_name(name)),
        };
        let covers = |found: &Match<'_>| self.matches.iter().any(|own| covers_match(own, found));
        has_names && rule.matches.iter().all(covers)
    }

    fn covers_name(&self, name: &str) -> bool {
        let covers = |own: &String| match own.strip_prefix('*') {
            Some(end) => name.ends_with(end),
            None => own == name,
        };
        self.hostnames.is_empty() || self.hostnames.iter().any(covers)
    }
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
