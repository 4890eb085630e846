//! GRPCRoute -> services and routes (`kic.md` 4.7.1). Each rule has a service of its own, with expressions each host name
//! and rule.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::{
    attachment::{self, Attachment, Route},
    backends::{self, Reference},
    extensions, host_label,
    http_filters::{Filters, Place},
    listeners, note_error, settle_rules, translation_error,
};
use crate::{
    model::{
        Kind, NamespacedName, Reason,
        gateway::{GRPCRoute, GrpcRouteMatch, GrpcRouteRule, HttpNameMatch},
    },
    translate::{
        draft::{FieldMatches, Matches, RouteDefaults, RouteDraft, ServiceDefaults, ServiceDraft},
        expression::{Operator, Predicate},
        field_path::{FieldPath, Origin},
        problems::Owner,
        route::{capped, server_names},
        route_annotations::{HEADER_REGEX_MARKER, RouteSettings},
        state::State,
        syntax, tags,
    },
};

const GRPC_ROUTE: u64 = 1;
/// How many routes of equal rank can be told apart.
const RANKS: u64 = 0xFF;
/// What stands for a service or method that is not named.
const ANY: &str = ".+";
/// How many routes one object can become: the API server lets far fewer in, manifests may hold any number.
const MOST_ROUTES: usize = 4096;

/// What all rules of a route have in common.
struct Context<'a> {
    owner: Owner<'a>,
    settings: Rc<RouteSettings>,
    hostnames: Vec<String>,
    /// With the traditional router: both, whatever the listeners have.
    protocols: Option<Vec<&'static str>>,
    service_protocol: &'static str,
    /// Names of all rules, for tags: also of those that a route does not come from.
    rule_names: Vec<&'a str>,
}

/// What a call must be like; all of it must hold.
#[derive(Debug, Clone, Default)]
struct Match<'a> {
    index: usize,
    /// Whether it says anything of service and method.
    has_method: bool,
    is_regex: bool,
    service: Option<&'a str>,
    method: Option<&'a str>,
    headers: Vec<&'a HttpNameMatch>,
}

/// What decides between routes of equal rank.
type Precedence = (Option<jiff::Timestamp>, NamespacedName, usize, usize);

/// Translates the GRPCRoutes that are served, given in order of their names.
pub(super) fn translate<'a>(routes: &[&'a GRPCRoute], state: &mut State<'a>) {
    let mut services = Vec::new();
    for route in routes {
        if translate_one(route, &mut services, state).is_none() {
            let owner = Owner::new(Kind::GRPCRoute, &route.metadata);
            let unused = route.spec.rules.iter().enumerate();
            backends::judge(owner, unused.map(|(index, rule)| references(index, rule)), state);
        }
    }
    break_ties(&mut services);
    state
        .drafts
        .services
        .extend(services.into_iter().map(|(draft, _)| draft));
}

type Drafted<'a> = (ServiceDraft<'a>, Vec<Precedence>);

fn references(index: usize, rule: &GrpcRouteRule) -> Vec<Reference<'_>> {
    let backends = rule.backend_refs.iter();
    backends::references(
        index,
        backends.map(|reference| (&reference.backend, !reference.filters.is_empty())),
    )
}

/// `None` if nothing of the route can be translated.
fn translate_one<'a>(route: &'a GRPCRoute, services: &mut Vec<Drafted<'a>>, state: &mut State<'a>) -> Option<()> {
    let owner = Owner::new(Kind::GRPCRoute, &route.metadata);
    let spec = &route.spec;
    tags::check(owner, &mut state.problems);
    let place = Route {
        owner,
        parents: &spec.parent_refs,
        hostnames: &spec.hostnames,
    };
    let attachment = attachment::attach(place, state)?;
    let served = translate_rules(route, &attachment, services, state);
    settle_rules(owner, &attachment, served, state)
}

/// Whether any of them works; `None` if nothing of the route can be translated.
fn translate_rules<'a>(
    route: &'a GRPCRoute,
    attachment: &Attachment<'a>,
    services: &mut Vec<Drafted<'a>>,
    state: &mut State<'a>,
) -> Option<bool> {
    let owner = Owner::new(Kind::GRPCRoute, &route.metadata);
    let spec = &route.spec;
    if spec.rules.is_empty() {
        let message = "no rules provided";
        translation_error(owner, "spec.rules", Reason::InvalidField, message, "add a rule", state);
        return None;
    }
    let context = context(owner, spec.rules.as_slice(), attachment, state);
    let matches = spec.rules.iter().map(|rule| rule.matches.len().max(1)).sum::<usize>();
    if matches.saturating_mul(context.hostnames.len().max(1)) > MOST_ROUTES {
        let message = format!("it has more than {MOST_ROUTES} combinations of host names and matches");
        let remedy = "split it into several GRPCRoutes";
        translation_error(owner, "spec.rules", Reason::InvalidField, &message, remedy, state);
        return None;
    }
    let mut is_served = false;
    for (index, rule) in spec.rules.iter().enumerate() {
        is_served |= translate_rule(&context, index, rule, services, state);
    }
    Some(is_served)
}

fn context<'a>(
    owner: Owner<'a>,
    rules: &'a [GrpcRouteRule],
    attachment: &Attachment<'a>,
    state: &mut State<'a>,
) -> Context<'a> {
    let mut names = attachment.hostnames.clone();
    if state.settings.raw_objects && names.is_empty() {
        // Kong Ingress Controller takes those that are named, also where another listener takes any.
        let named = attachment
            .listeners
            .iter()
            .filter_map(|listener| listeners::hostname(listener));
        for name in named {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    let has_http = attachment.has_protocol("HTTP");
    let by_listeners: Vec<_> = [(has_http, "grpc"), (attachment.has_protocol("HTTPS"), "grpcs")]
        .into_iter()
        .filter_map(|(is_served, protocol)| is_served.then_some(protocol))
        .collect();
    let protocols = if state.settings.profile.router_flavor.is_expressions() {
        (!by_listeners.is_empty()).then_some(by_listeners)
    } else {
        Some(vec!["grpc", "grpcs"])
    };
    let mut settings = RouteSettings::read(owner, &state.settings.profile, &mut state.regexes, &mut state.problems);
    settings.fit_methods(owner, protocols.as_deref(), &mut state.problems);
    let rule_names = rules.iter().filter_map(|rule| rule.name.as_deref());
    Context {
        owner,
        settings: Rc::new(settings),
        hostnames: names,
        protocols,
        service_protocol: if has_http { "grpc" } else { "grpcs" },
        rule_names: rule_names.filter(|name| !name.is_empty()).collect(),
    }
}

/// Whether any call gets what the rule asks for.
fn translate_rule<'a>(
    context: &Context<'a>,
    index: usize,
    rule: &'a GrpcRouteRule,
    services: &mut Vec<Drafted<'a>>,
    state: &mut State<'a>,
) -> bool {
    let owner = context.owner;
    let references = references(index, rule);
    let backends = backends::resolve(owner, &references, state);
    // Kong Ingress Controller passes over filters of GRPCRoutes.
    let filters = if state.settings.raw_objects {
        Filters::default()
    } else {
        let place = Place {
            owner,
            rule: index,
            protocols: context.protocols.as_deref(),
        };
        Filters::read(&place, &rule.filters, state)
    };
    let matches = read_matches(owner, index, &rule.matches, state);
    extensions::check(owner, index, rule.into(), state);
    let metadata = owner.metadata;
    let prefix = format!("grpcroute.{}.{}", metadata.namespace, metadata.name);
    let is_traditional = !state.settings.profile.router_flavor.is_expressions();
    let hosts: Vec<Option<&str>> = if is_traditional || context.hostnames.is_empty() {
        vec![None]
    } else {
        context.hostnames.iter().map(|name| Some(name.as_str())).collect()
    };
    for host in hosts {
        let name = if is_traditional {
            format!("{prefix}.{index}")
        } else {
            format!("{prefix}.{}.{index}", host_label(host))
        };
        let mut precedence = Vec::with_capacity(matches.len());
        let routes = matches.iter().map(|found| {
            precedence.push((metadata.creation_timestamp, metadata.key(), index, found.index));
            let (matches, preserve_host) = if is_traditional {
                (
                    Matches::Fields(fields(context, index, found, state.settings.raw_objects)),
                    None,
                )
            } else {
                (expression(context, host, found), Some(true))
            };
            RouteDraft {
                name: format!("{name}.{}", found.index),
                owner,
                matches,
                defaults: RouteDefaults {
                    preserve_host,
                    protocols: context.protocols.clone(),
                    ..RouteDefaults::default()
                },
                settings: context.settings.clone(),
                rule_names: context.rule_names.clone(),
                plugins: filters.plugins(None),
                extensions: filters.extensions.clone(),
            }
        });
        let routes: Vec<_> = routes.collect();
        if routes.is_empty() {
            continue;
        }
        let has_none = !references.is_empty() && backends.is_empty();
        let draft = ServiceDraft {
            host: name.clone(),
            name,
            defaults: ServiceDefaults::new(context.service_protocol),
            backends: backends.clone(),
            parent: owner,
            shares_upstream: false,
            plugins: has_none.then(backends::termination).into_iter().collect(),
            routes,
        };
        services.push((draft, precedence));
    }
    !filters.is_closed && !matches.is_empty()
}

/// The matches of a rule that can be used; a rule without any matches everything.
fn read_matches<'a>(
    owner: Owner<'a>,
    rule: usize,
    given: &'a [GrpcRouteMatch],
    state: &mut State<'a>,
) -> Vec<Match<'a>> {
    if given.is_empty() {
        return vec![Match::default()];
    }
    let found = given.iter().enumerate().filter_map(|(index, given)| {
        let field = format!("spec.rules[{rule}].matches[{index}]");
        let result = read_match(index, given, state);
        if let Ok(found) = &result {
            let State { regexes, problems, .. } = &mut *state;
            let names = [found.service, found.method].into_iter().flatten();
            let names = names.filter(|_| found.is_regex);
            let headers = found.headers.iter().filter(|header| is_regex(header));
            for pattern in names.chain(headers.map(|header| header.value.as_str())) {
                regexes.tell_doubt(owner, || field.clone(), pattern, problems);
            }
        }
        result
            .map_err(|fault| {
                let field = field + &fault.field;
                let message = fault.message + "; the match is left out";
                note_error(owner, &format!("{field}: {message}"), state);
                state.problems.report(owner, field, fault.reason, message, fault.remedy);
            })
            .ok()
    });
    found.collect()
}

/// Why a match can't be used.
struct Fault {
    field: String,
    reason: Reason,
    message: String,
    remedy: &'static str,
}

fn read_match<'a>(index: usize, given: &'a GrpcRouteMatch, state: &mut State<'_>) -> Result<Match<'a>, Fault> {
    let invalid = |field: String, message: String, remedy| {
        Err(Fault {
            field,
            reason: Reason::InvalidField,
            message,
            remedy,
        })
    };
    let mut found = Match {
        index,
        ..Match::default()
    };
    if let Some(method) = &given.method {
        found.has_method = true;
        found.is_regex = match method.type_.as_deref() {
            None | Some("Exact") => false,
            Some("RegularExpression") => true,
            Some(other) => {
                let message = format!("matches of type {other:?} are not supported");
                return invalid(".method.type".to_owned(), message, "use Exact or RegularExpression");
            }
        };
        let part = |value: &'a Option<String>| value.as_deref().filter(|value| !value.is_empty());
        (found.service, found.method) = (part(&method.service), part(&method.method));
        for (name, value) in [("service", found.service), ("method", found.method)] {
            let Some(value) = value else { continue };
            let field = format!(".method.{name}");
            if found.is_regex {
                if let Err(fault) = state.regexes.check(value) {
                    return Err(Fault {
                        field,
                        reason: Reason::InvalidRegex,
                        message: format!("the regular expression {value:?} does not compile: {fault}"),
                        remedy: "correct the expression",
                    });
                }
            } else if !is_name(value) {
                let message = format!("{value:?} is not the name of a gRPC {name}");
                return invalid(field, message, "use letters, digits, underscores and dots");
            }
            if value.contains("//") {
                return invalid(
                    field,
                    format!("{value:?} holds two slashes after one another"),
                    "write one slash",
                );
            }
            // The path is `/service/method`.
            if value.starts_with('/') || (name == "service" && value.ends_with('/')) {
                let message = format!("{value:?} begins or ends with a slash, where one stands anyway");
                return invalid(field, message, "remove the slash");
            }
        }
    }
    for (position, header) in given.headers.iter().enumerate() {
        let field = |rest: &str| format!(".headers[{position}].{rest}");
        if !syntax::is_header_name(&header.name) {
            let message = format!("a route can't match on headers with the name {:?}", header.name);
            return invalid(
                field("name"),
                message,
                "name another header; hosts are matched by spec.hostnames",
            );
        }
        if is_regex(header)
            && let Err(fault) = state.regexes.check(&header.value)
        {
            return Err(Fault {
                field: field("value"),
                reason: Reason::InvalidRegex,
                message: format!("the regular expression {:?} does not compile: {fault}", header.value),
                remedy: "correct the expression",
            });
        }
        // Only the first of several with one name counts, as the Gateway API has it.
        let is_known = |known: &&&HttpNameMatch| known.name.eq_ignore_ascii_case(&header.name);
        if !found.headers.iter().any(|known| is_known(&known)) {
            found.headers.push(header);
        }
    }
    Ok(found)
}

/// Names of services and methods in protocol buffers, which need no care in paths and regular expressions.
fn is_name(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn is_regex(header: &HttpNameMatch) -> bool {
    header.type_.as_deref() == Some("RegularExpression")
}

fn fields(context: &Context<'_>, rule: usize, found: &Match<'_>, raw_objects: bool) -> FieldMatches {
    let has_none = found.service.is_none() && found.method.is_none() && found.headers.is_empty();
    let mut fields = FieldMatches {
        hosts: context.hostnames.clone(),
        rule: (rule, found.index),
        ..FieldMatches::default()
    };
    if has_none && found.index == 0 {
        if fields.hosts.is_empty() {
            fields.paths.push(FieldPath::new("/", Origin::Below));
        }
        return fields;
    }
    let headers = found.headers.iter().map(|header| {
        let value = if is_regex(header) && !raw_objects {
            format!("{HEADER_REGEX_MARKER}{}", header.value)
        } else {
            header.value.clone()
        };
        (header.name.clone(), vec![value])
    });
    fields.headers = headers.collect::<BTreeMap<_, _>>();
    // Of raw objects such a match is by headers alone, as in Kong Ingress Controller.
    if raw_objects && !found.has_method {
        return fields;
    }
    let service = found.service.unwrap_or(ANY);
    let method = found.method.unwrap_or(if found.is_regex { ANY } else { "" });
    // Kong Ingress Controller leaves the end open, so that a method takes calls of all whose names it begins.
    let is_whole = !found.is_regex && found.method.is_some() && !raw_objects;
    let end = if is_whole { "$" } else { "" };
    let origin = if found.is_regex { Origin::Regex } else { Origin::Exact };
    fields
        .paths
        .push(FieldPath::new(format!("~/{service}/{method}{end}"), origin));
    fields
}

fn expression(context: &Context<'_>, host: Option<&str>, found: &Match<'_>) -> Matches {
    let path = |operator, value: String| Predicate::compare("http.path", operator, value);
    let mut members = vec![match (found.is_regex, found.service, found.method) {
        (_, None, None) => path(Operator::StartsWith, "/".to_owned()),
        (true, service, method) => path(
            Operator::Matches,
            format!("^/{}/{}", service.unwrap_or(ANY), method.unwrap_or(ANY)),
        ),
        (false, Some(service), Some(method)) => path(Operator::Equal, format!("/{service}/{method}")),
        (false, Some(service), None) => path(Operator::StartsWith, format!("/{service}/")),
        (false, None, Some(method)) => path(Operator::EndsWith, format!("/{method}")),
    }];
    let mut headers = found.headers.clone();
    headers.sort_by_key(|header| &header.name);
    members.extend(headers.into_iter().map(|header| {
        let operator = if is_regex(header) {
            Operator::Matches
        } else {
            Operator::Equal
        };
        Predicate::header(&header.name, operator, header.value.as_str())
    }));
    members.extend(host.map(Predicate::host));
    let names = server_names(&context.settings);
    if !names.is_empty() {
        members.push(Predicate::any(names));
    }
    Matches::Expression {
        predicate: Predicate::all(members),
        priority: rank(host, found),
    }
}

/// Which of several expressions that hold goes first, but for the last eight bits, which decide among equals. What the
/// API server does not let in is cut to what the bits hold.
fn rank(host: Option<&str>, found: &Match<'_>) -> u64 {
    GRPC_ROUTE << 44
        | u64::from(host.is_some_and(|host| !host.starts_with('*'))) << 43
        | capped(host.map_or(0, str::len), 0xFF) << 35
        | capped(found.service.map_or(0, str::len), 0x7FF) << 24
        | capped(found.method.map_or(0, str::len), 0x7FF) << 13
        | capped(found.headers.len(), 0x1F) << 8
}

fn break_ties(services: &mut [Drafted<'_>]) {
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
