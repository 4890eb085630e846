//! HTTPRoute -> services and routes (`kic.md` 4.6). Rules with the same backends share a service.

use std::{
    collections::{HashMap, hash_map::Entry},
    rc::Rc,
};

use sha2::{Digest, Sha256};

use super::{
    UNSUPPORTED_VALUE,
    attachment::{self, Attachment, Route},
    backends::{self, Reference},
    duration, extensions, http_expression,
    http_filters::{Filters, Place},
    http_match::{self, Match},
    http_traditional, https_redirect, settle, translation_error,
};
use crate::{
    model::{
        Kind, Reason,
        gateway::{HTTPRoute, HttpBackendRef, HttpRouteRule},
    },
    translate::{
        backend::Backend,
        draft::{RouteDraft, ServiceDefaults, ServiceDraft},
        problems::Owner,
        route_annotations::RouteSettings,
        state::State,
        syntax, tags,
    },
};

/// How many routes one object can become: the API server lets far fewer in, manifests may hold any number.
const MOST_ROUTES: usize = 4096;
/// The longest name of a service that is made of its backends.
const LONGEST_NAME: usize = 511;
/// The longest time in milliseconds that Kong takes: stands for no limit.
const LONGEST_TIME: u32 = 2_147_483_646;

/// What all rules of a route have in common.
pub(super) struct Context<'a> {
    pub(super) owner: Owner<'a>,
    pub(super) settings: Rc<RouteSettings>,
    /// Empty for any.
    pub(super) hostnames: Vec<String>,
    /// What the listeners have; `None` leaves it to Kong.
    pub(super) protocols: Option<Vec<&'static str>>,
}

/// A rule that is to be translated.
pub(super) struct Rule<'a> {
    pub(super) context: Rc<Context<'a>>,
    pub(super) index: usize,
    pub(super) spec: &'a HttpRouteRule,
    pub(super) matches: Vec<Match<'a>>,
    pub(super) filters: Filters<'a>,
    /// With which plain HTTP is sent to HTTPS: by its filter, or by another rule's that is for the same requests.
    pub(super) https_redirect_status_code: Option<u16>,
}

impl<'a> Rule<'a> {
    /// The name that a rule gives its service and routes: `httproute.<namespace>.<name>`.
    pub(super) fn prefix(&self) -> String {
        let metadata = self.context.owner.metadata;
        format!("httproute.{}.{}", metadata.namespace, metadata.name)
    }

    /// The rule's name, for tags.
    pub(super) fn name(&self) -> Option<&'a str> {
        self.spec.name.as_deref().filter(|name| !name.is_empty())
    }

    /// Whether any request gets what the rule asks for.
    fn is_served(&self) -> bool {
        !self.filters.is_closed && !self.matches.is_empty() && !extensions::has_back_off(self.spec)
    }

    /// Where it stands among the rules of a service of several routes.
    fn order(&self) -> String {
        let metadata = self.context.owner.metadata;
        format!("{}/{}.{}", metadata.namespace, metadata.name, self.index)
    }

    fn references(&self) -> Vec<Reference<'a>> {
        references(self.index, self.spec)
    }
}

fn references(index: usize, rule: &HttpRouteRule) -> Vec<Reference<'_>> {
    let backends = rule.backend_refs.iter();
    backends::references(
        index,
        backends.map(|reference| (&reference.backend, !reference.filters.is_empty())),
    )
}

/// Translates the HTTPRoutes that are served, given in order of their names.
pub(super) fn translate<'a>(routes: &[&'a HTTPRoute], state: &mut State<'a>) {
    let mut rules = Vec::new();
    for route in routes {
        let own = read(route, state);
        if own.is_empty() {
            let owner = Owner::new(Kind::HTTPRoute, &route.metadata);
            let unused = route.spec.rules.iter().enumerate();
            backends::judge(owner, unused.map(|(index, rule)| references(index, rule)), state);
        }
        rules.extend(own);
    }
    https_redirect::share(&mut rules);
    https_redirect::tell_caught(&rules, state);
    let mut services = Vec::new();
    for (name, rules) in group(rules, state.settings.combined_services) {
        services.extend(service(name, &rules, state));
    }
    if state.settings.profile.router_flavor.is_expressions() {
        http_expression::break_ties(&mut services);
    }
    state
        .drafts
        .services
        .extend(services.into_iter().map(|(draft, _)| draft));
}

/// The rules of a route that can be translated.
fn read<'a>(route: &'a HTTPRoute, state: &mut State<'a>) -> Vec<Rule<'a>> {
    let owner = Owner::new(Kind::HTTPRoute, &route.metadata);
    let spec = &route.spec;
    tags::check(owner, &mut state.problems);
    let place = Route {
        owner,
        parents: &spec.parent_refs,
        hostnames: &spec.hostnames,
    };
    let Some(attachment) = attachment::attach(place, state) else {
        return Vec::new();
    };
    let listeners = attachment.listeners.clone();
    let rules = rules(route, attachment, state);
    let is_served = rules.iter().any(Rule::is_served);
    let is_incompatible = !rules.is_empty() && rules.iter().all(|rule| rule.filters.is_incompatible);
    let reason = if is_incompatible {
        "IncompatibleFilters"
    } else {
        UNSUPPORTED_VALUE
    };
    settle(owner, &listeners, is_served, reason, state);
    rules
}

fn rules<'a>(route: &'a HTTPRoute, attachment: Attachment<'a>, state: &mut State<'a>) -> Vec<Rule<'a>> {
    let owner = Owner::new(Kind::HTTPRoute, &route.metadata);
    let spec = &route.spec;
    if spec.rules.is_empty() {
        translation_error(
            owner,
            "spec.rules",
            Reason::InvalidField,
            "no rules provided",
            "add a rule",
            state,
        );
        return Vec::new();
    }
    let matches = spec.rules.iter().map(|rule| rule.matches.len().max(1)).sum::<usize>();
    if matches.saturating_mul(attachment.hostnames.len().max(1)) > MOST_ROUTES {
        let message = format!("it has more than {MOST_ROUTES} combinations of host names and matches");
        let remedy = "split it into several HTTPRoutes";
        translation_error(owner, "spec.rules", Reason::InvalidField, &message, remedy, state);
        return Vec::new();
    }
    if !state.settings.profile.router_flavor.is_expressions()
        && let Some(field) = query_match(&spec.rules)
    {
        let remedy = "match by path or header, or run proxies with the expressions router";
        let message = "query param matches are not yet supported";
        translation_error(owner, &field, Reason::Unsupported, message, remedy, state);
        return Vec::new();
    }
    let protocols = attachment.http_protocols();
    let mut settings = RouteSettings::read(owner, &state.settings.profile, &mut state.regexes, &mut state.problems);
    settings.fit_server_names(owner, protocols.as_deref(), &mut state.problems);
    let context = Rc::new(Context {
        owner,
        settings: Rc::new(settings),
        hostnames: attachment.hostnames,
        protocols,
    });
    let rules = spec.rules.iter().enumerate();
    rules
        .map(|(index, spec)| {
            let place = Place {
                owner,
                rule: index,
                protocols: context.protocols.as_deref(),
            };
            let matches = http_match::read(owner, index, &spec.matches, state);
            let mut filters = Filters::read(&place, &spec.filters, state);
            filters.check_against(&matches, &place, state);
            extensions::check(owner, index, spec.into(), state);
            Rule {
                context: context.clone(),
                index,
                spec,
                matches,
                https_redirect_status_code: filters.https_redirect_status_code,
                filters,
            }
        })
        .collect()
}

/// The field of the first match on a query parameter.
fn query_match(rules: &[HttpRouteRule]) -> Option<String> {
    rules.iter().enumerate().find_map(|(rule, spec)| {
        let position = spec.matches.iter().position(|found| !found.query_params.is_empty())?;
        Some(format!("spec.rules[{rule}].matches[{position}].queryParams"))
    })
}

/// Rules with the same backends, with the name of their service: within a route, or within a namespace if combined.
fn group<'a>(mut rules: Vec<Rule<'a>>, combined: bool) -> Vec<(String, Vec<Rule<'a>>)> {
    if combined {
        rules.sort_by_cached_key(Rule::order);
    }
    let mut groups: Vec<(String, Vec<Rule<'a>>)> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    for rule in rules {
        let (key, name) = if combined {
            let name = combined_name(&rule);
            (name.clone(), name)
        } else {
            let prefix = rule.prefix();
            let mut backends: Vec<_> = rule.spec.backend_refs.iter().map(json).collect();
            backends.sort_unstable();
            (
                format!("{prefix} {}", backends.join(",")),
                format!("{prefix}.{}", rule.index),
            )
        };
        match positions.entry(key) {
            Entry::Occupied(entry) => groups[*entry.get()].1.push(rule),
            Entry::Vacant(entry) => {
                entry.insert(groups.len());
                groups.push((name, vec![rule]));
            }
        }
    }
    groups
}

fn json(reference: &HttpBackendRef) -> String {
    serde_json::to_string(reference).expect("references have string keys only")
}

/// The name of a service that routes share: made of its backends, or of their hash where that is too long.
fn combined_name(rule: &Rule<'_>) -> String {
    let namespace = &rule.context.owner.metadata.namespace;
    let mut backends: Vec<_> = rule
        .spec
        .backend_refs
        .iter()
        .map(|HttpBackendRef { backend, .. }| {
            let mut text = format!("{}.{}", backend.namespace.as_deref().unwrap_or(namespace), backend.name);
            for number in [backend.port.map(u32::from), backend.weight].into_iter().flatten() {
                text.push_str(&format!(".{number}"));
            }
            text
        })
        .collect();
    backends.sort_unstable();
    let prefix = format!("httproute.{namespace}.svc.");
    let Some(first) = backends.first() else {
        return prefix + "_";
    };
    let name = format!("{prefix}{}", backends.join("_"));
    // The API server takes any text for the name of a backend; Kong does not.
    let is_sound = rule.spec.backend_refs.iter().all(|HttpBackendRef { backend, .. }| {
        let namespace = backend.namespace.as_deref().unwrap_or(namespace);
        syntax::is_object_name(&backend.name) && (namespace.is_empty() || syntax::is_object_name(namespace))
    });
    if is_sound && name.len() <= LONGEST_NAME {
        return name;
    }
    let digest = Sha256::digest(name.as_bytes());
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let first = if is_sound { first.as_str() } else { "" };
    format!("{prefix}{first}_combined.{hash}")
}

/// A service with its routes, and what their order among equals depends on; `None` if nothing leads to it.
pub(super) type Drafted<'a> = (ServiceDraft<'a>, Vec<http_expression::Precedence>);

fn service<'a>(name: String, rules: &[Rule<'a>], state: &mut State<'a>) -> Option<Drafted<'a>> {
    let parent = rules.first()?.context.owner;
    if state.settings.raw_objects && rules.iter().any(|rule| rule.filters.is_closed) {
        return None;
    }
    let mut resolved: Option<Vec<Backend<'a>>> = None;
    let mut was_given = false;
    for rule in rules {
        let references = rule.references();
        was_given |= !references.is_empty();
        let backends = backends::resolve(rule.context.owner, &references, state);
        resolved.get_or_insert(backends);
    }
    let backends = resolved.unwrap_or_default();
    let plugins = (was_given && backends.is_empty()).then(backends::termination);
    let defaults = ServiceDefaults {
        timeout: Some(timeout(rules, state)),
        ..ServiceDefaults::new("http")
    };
    let is_expressions = state.settings.profile.router_flavor.is_expressions();
    let (routes, precedence): (Vec<RouteDraft<'a>>, _) = if is_expressions {
        http_expression::routes(rules)
    } else {
        (http_traditional::routes(rules, state), Vec::new())
    };
    if routes.is_empty() {
        return None;
    }
    let draft = ServiceDraft {
        host: name.clone(),
        name,
        defaults,
        backends,
        parent,
        shares_upstream: false,
        plugins: plugins.into_iter().collect(),
        routes,
    };
    Some((draft, precedence))
}

/// Milliseconds that backends have: the last rule that says so counts, the others are told.
fn timeout<'a>(rules: &[Rule<'a>], state: &mut State<'a>) -> u32 {
    let mut given = Vec::new();
    for rule in rules {
        let Some(timeouts) = &rule.spec.timeouts else { continue };
        let field = format!("spec.rules[{}].timeouts", rule.index);
        if timeouts.request.is_some() && !state.settings.raw_objects {
            state.problems.report(
                rule.context.owner,
                format!("{field}.request"),
                Reason::Ignored,
                "Kong has no limit for a request as a whole; the field is ignored",
                "limit the time of backends in timeouts.backendRequest",
            );
        }
        let Some(text) = &timeouts.backend_request else {
            continue;
        };
        let field = format!("{field}.backendRequest");
        match duration::parse(text) {
            Some(time) => given.push((rule.order(), milliseconds(time), rule.context.owner, field)),
            None => state.problems.report(
                rule.context.owner,
                field,
                Reason::InvalidField,
                format!("{text:?} is not a duration; the field is ignored"),
                "use a duration such as 10s or 500ms",
            ),
        }
    }
    given.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let Some((_, chosen, winner, place)) = given.pop() else {
        return ServiceDefaults::TIMEOUT;
    };
    for (_, time, owner, field) in given {
        if time != chosen {
            state.problems.report(
                owner,
                field,
                Reason::Conflict,
                format!(
                    "{place} of {winner} has the same backends and another time, {chosen} ms, which counts for both"
                ),
                "give both the same time, or other backends",
            );
        }
    }
    chosen
}

fn milliseconds(time: std::time::Duration) -> u32 {
    match u32::try_from(time.as_millis()) {
        Ok(0) => LONGEST_TIME,
        Ok(time) => time.min(LONGEST_TIME),
        Err(_) => LONGEST_TIME,
    }
}
