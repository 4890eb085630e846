//! Drafts of routes -> entities, in both router flavours (`kic.md` 3, 4.2, 4.3.8, 4.4). Pure.

use proxy_config_schema as kong;

use super::{
    draft::{PathDraft, RouteDraft},
    expression::{Operator, Predicate},
    route_annotations::HEADER_REGEX_MARKER,
    tags,
};
use crate::model::RouterFlavor;

/// Writes a route for the flavour.
pub(super) fn render(draft: &RouteDraft<'_>, flavor: RouterFlavor) -> kong::Route {
    let settings = &draft.settings;
    let mut route = kong::Route {
        id: Some(kong::id::route(&draft.name).to_string()),
        name: Some(draft.name.clone()),
        https_redirect_status_code: Some(settings.https_redirect_status_code),
        strip_path: Some(settings.strip_path),
        preserve_host: Some(settings.preserve_host),
        request_buffering: Some(settings.request_buffering),
        response_buffering: Some(settings.response_buffering),
        protocols: settings.protocols.clone(),
        tags: Some(tags::object_tags(draft.owner)),
        ..kong::Route::default()
    };
    match flavor {
        RouterFlavor::Traditional => traditional(draft, &mut route),
        RouterFlavor::Expressions => expressions(draft, &mut route),
    }
    fit_protocols(&mut route, flavor);
    route
}

fn traditional(draft: &RouteDraft<'_>, route: &mut kong::Route) {
    let settings = &draft.settings;
    route.paths = Some(draft.paths.iter().flat_map(|path| path.matches.traditional()).collect());
    route.hosts = (!draft.hosts.is_empty()).then(|| draft.hosts.clone());
    route.methods = settings.methods.clone();
    route.snis = settings.snis.clone();
    route.headers = (!settings.headers.is_empty()).then(|| settings.headers.clone());
    route.regex_priority = Some(settings.regex_priority);
    route.path_handling = Some(settings.path_handling.clone());
}

fn expressions(draft: &RouteDraft<'_>, route: &mut kong::Route) {
    route.expression = Some(expression(draft).to_string());
    route.priority = Some(if draft.is_default { 0 } else { priority(draft) });
}

/// gRPC and HTTP together are HTTP, since Kong refuses both on one route, as it does path stripping on gRPC.
fn fit_protocols(route: &mut kong::Route, flavor: RouterFlavor) {
    let Some(protocols) = &mut route.protocols else { return };
    let is_grpc = |protocol: &String| protocol.starts_with("grpc");
    let is_http = |protocol: &String| protocol.starts_with("http");
    if protocols.iter().any(is_grpc) && protocols.iter().any(is_http) {
        *protocols = vec!["http".to_owned(), "https".to_owned()];
    }
    if protocols.iter().any(is_grpc) && (flavor == RouterFlavor::Traditional || route.strip_path == Some(true)) {
        route.strip_path = None;
    }
}

fn expression(draft: &RouteDraft<'_>) -> Predicate {
    if draft.is_default {
        return draft.paths[0].matches.predicates();
    }
    let settings = &draft.settings;
    let mut members = Vec::new();
    let mut push_any = |alternatives: Vec<Predicate>| {
        if !alternatives.is_empty() {
            members.push(Predicate::any(alternatives));
        }
    };
    push_any(draft.hosts.iter().map(|host| Predicate::host(host)).collect());
    push_any(draft.paths.iter().map(|path| path.matches.predicates()).collect());
    let headers = settings.headers.iter().map(|(name, values)| {
        let field = format!("http.headers.{}", name.to_ascii_lowercase().replace('-', "_"));
        let values = values
            .iter()
            .map(|value| match value.strip_prefix(HEADER_REGEX_MARKER) {
                Some(regex) => Predicate::compare(field.as_str(), Operator::Matches, regex),
                None => Predicate::compare(field.as_str(), Operator::Equal, value.as_str()),
            });
        Predicate::any(values.collect())
    });
    let headers: Vec<_> = headers.collect();
    if !headers.is_empty() {
        push_any(vec![Predicate::all(headers)]);
    }
    let compare = |field: &'static str, values: &Option<Vec<String>>| -> Vec<Predicate> {
        let values = values.iter().flatten();
        values
            .map(|value| Predicate::compare(field, Operator::Equal, value.as_str()))
            .collect()
    };
    push_any(compare("http.method", &settings.methods));
    push_any(compare("tls.sni", &settings.snis));
    Predicate::all(members)
}

/// Which of several expressions that hold goes first: Ingresses before routes of the Gateway API, then the one that asks
/// for more, then the longer path.
fn priority(draft: &RouteDraft<'_>) -> u64 {
    const INGRESS: u64 = 3;
    let settings = &draft.settings;
    let fields = [
        !draft.paths.is_empty(),
        !draft.hosts.is_empty(),
        !settings.headers.is_empty(),
        settings.methods.is_some(),
        settings.snis.is_some(),
    ];
    let field_count = fields.into_iter().map(u64::from).sum::<u64>();
    let header_count = capped(settings.headers.len(), 255);
    let plain_host = !draft.hosts.is_empty() && !draft.hosts.iter().any(|host| host.starts_with('*'));
    let regex = draft.paths.iter().any(|path| path.matches.counts_as_regex());
    let length = draft.paths.iter().map(path_length).max().unwrap_or_default();
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

fn capped(count: usize, limit: u64) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX).min(limit)
}
