//! Drafts of routes -> entities, in both router flavours (`kic.md` 3, 4.2, 4.3.8, 4.4). Pure.

use proxy_config_schema as kong;

use super::{
    Settings,
    draft::{FieldMatches, Matches, PathDraft, PathMatches, RouteDraft, StreamMatches},
    expression::{Operator, Predicate},
    route_annotations::{HEADER_REGEX_MARKER, RouteSettings},
    tags,
};
use crate::model::RouterFlavor;

const HTTPS_REDIRECT_STATUS_CODE: u16 = 426;
const PATH_HANDLING: &str = "v0";
/// Priority of expressions that pick connections.
const STREAM_PRIORITY: u64 = 1;

/// Writes a route for the flavour.
pub(super) fn render(draft: &RouteDraft<'_>, settings: &Settings) -> kong::Route {
    let flavor = settings.profile.router_flavor;
    let annotated = &draft.settings;
    let defaults = &draft.defaults;
    let tags = tags::rule_tags(draft.owner, &draft.rule_names);
    let mut route = kong::Route {
        id: settings
            .feature_gates
            .fill_ids
            .then(|| kong::id::route(settings.workspace(), &draft.name).to_string()),
        name: Some(draft.name.clone()),
        https_redirect_status_code: annotated
            .https_redirect_status_code
            .or(defaults.https_redirect_status_code)
            .or(Some(HTTPS_REDIRECT_STATUS_CODE)),
        strip_path: annotated.strip_path.or(defaults.strip_path),
        preserve_host: annotated.preserve_host.or(defaults.preserve_host),
        request_buffering: annotated.request_buffering.or(defaults.request_buffering),
        response_buffering: annotated.response_buffering.or(defaults.response_buffering),
        protocols: annotated.protocols(defaults.protocols.as_deref()),
        plugins: draft.plugins.clone(),
        ..kong::Route::default()
    };
    for plugin in &mut route.plugins {
        plugin.tags = Some(tags.clone());
    }
    route.tags = Some(tags);
    if !flavor.is_expressions() {
        route.regex_priority = annotated.regex_priority.or(defaults.regex_priority);
        route.path_handling = annotated.path_handling.clone().or(Some(PATH_HANDLING.to_owned()));
    }
    match &draft.matches {
        Matches::Paths(matches) if !flavor.is_expressions() => {
            let paths = matches.paths.iter().flat_map(|path| path.matches.traditional());
            let fields = FieldMatches {
                hosts: matches.hosts.clone(),
                paths: paths.collect(),
                ..FieldMatches::default()
            };
            // The hosts hold the aliases already.
            write_fields(fields, annotated, settings, &mut route);
        }
        Matches::Paths(matches) => {
            route.expression = Some(expression(matches, annotated).to_string());
            route.priority = Some(if matches.is_default {
                0
            } else {
                priority(matches, annotated)
            });
        }
        Matches::Fields(fields) => {
            let mut fields = fields.clone();
            for host in &annotated.host_aliases {
                if !fields.hosts.contains(host) {
                    fields.hosts.push(host.clone());
                }
            }
            write_fields(fields, annotated, settings, &mut route);
        }
        Matches::Expression { predicate, priority } => {
            route.expression = Some(predicate.to_string());
            route.priority = Some(*priority);
        }
        Matches::Stream(matches) => write_stream(matches, annotated, settings, &mut route),
    }
    // Kong Ingress Controller leaves protocols of expressions to chance.
    if !flavor.is_expressions() || !settings.raw_objects {
        fit_protocols(&mut route, flavor);
    }
    route
}

fn some<T>(values: Vec<T>) -> Option<Vec<T>> {
    (!values.is_empty()).then_some(values)
}

/// Fields of the traditional router, with what annotations put in their place.
fn write_fields(fields: FieldMatches, annotated: &RouteSettings, settings: &Settings, route: &mut kong::Route) {
    route.hosts = some(fields.hosts);
    let mut paths: Vec<_> = fields.paths.into_iter().map(|path| path.text).collect();
    // They were collected in place, where more stood before, and routes are many.
    paths.shrink_to_fit();
    route.paths = some(paths);
    route.methods = annotated.methods.clone().or(some(fields.methods));
    route.snis = annotated.snis.clone().and_then(some);
    let mut headers = fields.headers;
    // Kong Ingress Controller forgets the rule's own headers once an annotation names one: requests would match that
    // the user did not mean.
    if settings.raw_objects && !annotated.headers.is_empty() {
        headers.clear();
    }
    headers.retain(|name, _| {
        !annotated
            .headers
            .keys()
            .any(|annotated| annotated.eq_ignore_ascii_case(name))
    });
    headers.extend(annotated.headers.clone());
    route.headers = (!headers.is_empty()).then_some(headers);
}

fn write_stream(matches: &StreamMatches, annotated: &RouteSettings, settings: &Settings, route: &mut kong::Route) {
    let server_names = annotated.snis.as_ref().unwrap_or(&matches.server_names);
    if !settings.profile.router_flavor.is_expressions() {
        route.snis = some(server_names.clone());
        let endpoint = |port: &u16| kong::Endpoint {
            ip: None,
            port: Some(*port),
        };
        route.destinations = some(matches.ports.iter().map(endpoint).collect());
        return;
    }
    let server_name = |name: &String| match settings.raw_objects {
        // A wildcard never holds then, as in Kong Ingress Controller.
        true => Predicate::compare("tls.sni", Operator::Equal, name.as_str()),
        false => Predicate::server_name(name),
    };
    let names: Vec<_> = server_names.iter().map(server_name).collect();
    let ports = matches
        .ports
        .iter()
        .map(|port| Predicate::number("net.dst.port", *port));
    let members = [names, ports.collect()].into_iter();
    let members: Vec<_> = members.filter(|members| !members.is_empty()).collect();
    route.expression =
        (!members.is_empty()).then(|| Predicate::all(members.into_iter().map(Predicate::any).collect()).to_string());
    route.priority = Some(STREAM_PRIORITY);
}

/// gRPC and HTTP together are HTTP, since Kong refuses both on one route, as it does path stripping on gRPC.
fn fit_protocols(route: &mut kong::Route, flavor: RouterFlavor) {
    let Some(protocols) = &mut route.protocols else { return };
    let is_grpc = |protocol: &String| protocol.starts_with("grpc");
    let is_http = |protocol: &String| protocol.starts_with("http");
    if protocols.iter().any(is_grpc) && protocols.iter().any(is_http) {
        *protocols = vec!["http".to_owned(), "https".to_owned()];
    }
    if protocols.iter().any(is_grpc) && (!flavor.is_expressions() || route.strip_path == Some(true)) {
        route.strip_path = None;
    }
}

fn expression(matches: &PathMatches, settings: &RouteSettings) -> Predicate {
    if matches.is_default {
        return matches.paths[0].matches.predicates();
    }
    let mut members = Vec::new();
    let mut push_any = |alternatives: Vec<Predicate>| {
        if !alternatives.is_empty() {
            members.push(Predicate::any(alternatives));
        }
    };
    push_any(matches.hosts.iter().map(|host| Predicate::host(host)).collect());
    push_any(matches.paths.iter().map(|path| path.matches.predicates()).collect());
    let headers = settings.headers.iter().map(|(name, values)| {
        let values = values
            .iter()
            .map(|value| match value.strip_prefix(HEADER_REGEX_MARKER) {
                Some(regex) => Predicate::header(name, Operator::Matches, regex),
                None => Predicate::header(name, Operator::Equal, value.as_str()),
            });
        Predicate::any(values.collect())
    });
    let headers: Vec<_> = headers.collect();
    if !headers.is_empty() {
        push_any(vec![Predicate::all(headers)]);
    }
    let methods = settings.methods.iter().flatten();
    push_any(
        methods
            .map(|method| Predicate::compare("http.method", Operator::Equal, method.as_str()))
            .collect(),
    );
    push_any(server_names(settings));
    Predicate::all(members)
}

/// The server names that annotations ask for.
pub(super) fn server_names(settings: &RouteSettings) -> Vec<Predicate> {
    let names = settings.snis.iter().flatten();
    names.map(|name| Predicate::server_name(name)).collect()
}

/// Which of several expressions that hold goes first: Ingresses before routes of the Gateway API, then the one that asks
/// for more, then the longer path.
fn priority(matches: &PathMatches, settings: &RouteSettings) -> u64 {
    const INGRESS: u64 = 3;
    let fields = [
        !matches.paths.is_empty(),
        !matches.hosts.is_empty(),
        !settings.headers.is_empty(),
        settings.methods.is_some(),
        settings.snis.as_ref().is_some_and(|names| !names.is_empty()),
    ];
    let field_count = fields.into_iter().map(u64::from).sum::<u64>();
    let header_count = capped(settings.headers.len(), 255);
    let plain_host = !matches.hosts.is_empty() && !matches.hosts.iter().any(|host| host.starts_with('*'));
    let regex = matches.paths.iter().any(|path| path.matches.counts_as_regex());
    let length = matches.paths.iter().map(path_length).max().unwrap_or_default();
    INGRESS << 44
        | field_count << 41
        | header_count << 33
        | u64::from(plain_host) << 32
        | u64::from(regex) << 16
        | capped(length, 65_535)
}

fn path_length(path: &PathDraft) -> usize {
    path.matches.length()
}

/// A number that has to fit into a field of a priority.
pub(super) fn capped(count: usize, limit: u64) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX).min(limit)
}
