//! Ingress -> services, routes, claims on certificates (`kic.md` 4.3).

use std::rc::Rc;

use super::{
    Settings, annotations,
    backend::{Backend, PortSelector},
    draft::{Matches, PathDraft, PathMatches, Place, RouteDefaults, RouteDraft, ServiceDefaults},
    facade,
    path::{Fault, PathMatch, PathPart, REGEX_MARKER},
    problems::Owner,
    rewrite::{self, Rewrite},
    route_annotations::RouteSettings,
    state::State,
    syntax::{self, PathFault},
    tags,
};
use crate::model::{
    Kind, Reason,
    kubernetes::{Ingress, IngressBackend, IngressRule},
};

/// Translates the Ingresses that are ours, given in order of precedence.
pub(super) fn translate<'a>(ingresses: &[&'a Ingress], state: &mut State<'a>) {
    for ingress in ingresses {
        translate_one(ingress, state);
    }
    translate_default_backend(ingresses, state);
}

/// Oldest first, then by namespace and name. One without a time counts as oldest.
pub(super) fn sort_by_precedence(ingresses: &mut [&Ingress]) {
    ingresses.sort_by(|a, b| {
        let key = |ingress: &Ingress| ingress.metadata.creation_timestamp;
        key(a)
            .cmp(&key(b))
            .then_with(|| a.metadata.namespace.cmp(&b.metadata.namespace))
            .then_with(|| a.metadata.name.cmp(&b.metadata.name))
    });
}

/// The Ingresses whose names can be part of names in Kong. The API server lets no others in, manifests may.
pub(super) fn retain_named<'a>(ingresses: &mut Vec<&'a Ingress>, state: &mut State<'a>) {
    ingresses.retain(|ingress| {
        let metadata = &ingress.metadata;
        let parts = [
            ("metadata.name", &metadata.name),
            ("metadata.namespace", &metadata.namespace),
        ];
        let bad = parts
            .iter()
            .find(|(_, part)| !part.is_empty() && !syntax::is_object_name(part));
        if let Some((field, part)) = bad {
            state.problems.report(
                Owner::new(Kind::Ingress, metadata),
                *field,
                Reason::InvalidField,
                format!("{part:?} can't be the name of an object; the Ingress is left out"),
                "use small letters, digits, hyphens and dots",
            );
        }
        bad.is_none()
    });
}

fn translate_one<'a>(ingress: &'a Ingress, state: &mut State<'a>) {
    let owner = Owner::new(Kind::Ingress, &ingress.metadata);
    tags::check(owner, &mut state.problems);
    if ingress.spec.rules.is_empty() && ingress.spec.default_backend.is_none() {
        state.problems.report(
            owner,
            "spec",
            Reason::InvalidField,
            "the Ingress has neither rules nor a default backend",
            "add spec.rules or spec.defaultBackend",
        );
    }
    if let Some(settings) = settings(owner, state) {
        for (position, rule) in ingress.spec.rules.iter().enumerate() {
            translate_rule(owner, position, rule, &settings, state);
        }
    }
    state
        .certificates
        .claim_all(owner, &ingress.spec.tls, &state.index, &mut state.problems);
}

/// What the annotations say about all routes of an Ingress; `None` if it can't have any.
fn settings<'a>(owner: Owner<'a>, state: &mut State<'a>) -> Option<Rc<RouteSettings>> {
    let Settings {
        profile,
        feature_gates,
        missing_plugin,
        ..
    } = state.settings;
    let mut settings = RouteSettings::read(owner, profile, &mut state.regexes, &mut state.problems);
    match rewrite::read(owner, feature_gates, *missing_plugin, &mut state.problems) {
        Rewrite::Keep => {}
        Rewrite::Plugin(plugin) => settings.rewrite = Some(*plugin),
        Rewrite::LeaveOut => return None,
    }
    Some(Rc::new(settings))
}

fn translate_rule<'a>(
    owner: Owner<'a>,
    position: usize,
    rule: &'a IngressRule,
    settings: &Rc<RouteSettings>,
    state: &mut State<'a>,
) {
    let Some(http) = &rule.http else { return };
    if !rule.host.is_empty()
        && let Err((fault, remedy)) = syntax::check_rule_host(&rule.host)
    {
        let field = format!("spec.rules[{position}].host");
        // Capitals of raw objects are sent as they stand, as by Kong Ingress Controller.
        let is_sent = state.settings.raw_objects && syntax::is_rule_host(&rule.host);
        let consequence = if is_sent {
            "no request asks for it"
        } else {
            "the rule is left out"
        };
        let message = format!("{fault}; {consequence}");
        state
            .problems
            .report(owner, field, Reason::InvalidField, message, remedy);
        if !is_sent {
            return;
        }
    }
    let marker = owner
        .metadata
        .annotation(annotations::REGEX_PREFIX)
        .unwrap_or(REGEX_MARKER);
    for (index, path) in http.paths.iter().enumerate() {
        let place = Place::IngressPath(position, index);
        let Some(backend) = resolve_backend(owner, place, Some(&path.backend), state) else {
            continue;
        };
        let mut matches = PathMatch::new(&path.path, path.path_type, marker, state.settings.profile.router_flavor);
        // Kong Ingress Controller does not ask for it in expressions.
        let is_asked = !state.settings.raw_objects || !state.settings.profile.router_flavor.is_expressions();
        matches.detect_regex(state.class.legacy_regex_detection && is_asked);
        if let Err(fault) = matches.check(&mut state.regexes) {
            report_path(owner, place, &path.path, fault, state);
            continue;
        }
        if state.regexes.has_doubts() {
            for (_, pattern) in matches.parts().iter().filter(|(part, _)| *part == PathPart::Regex) {
                let State { regexes, problems, .. } = state;
                regexes.tell_doubt(owner, || place.field(), pattern, problems);
            }
        }
        add_path(
            owner,
            &rule.host,
            &backend,
            PathDraft { matches, place },
            settings,
            state,
        );
    }
}

/// Adds a path to the route of its Ingress, host and backend; there is one route for each combination.
fn add_path<'a>(
    owner: Owner<'a>,
    host: &str,
    backend: &Backend<'a>,
    path: PathDraft,
    settings: &Rc<RouteSettings>,
    state: &mut State<'a>,
) {
    let service = state.drafts.service(backend, owner, ServiceDefaults::INGRESS);
    let name = backend.route_name(owner.metadata, host);
    // Routes of an Ingress stand together at the end: those of earlier ones are done.
    let mut own = service.routes.iter_mut().rev();
    let known = own
        .by_ref()
        .take_while(|route| std::ptr::eq(route.owner.metadata, owner.metadata))
        .find(|route| route.name == name);
    if let Some(matches) = known.and_then(RouteDraft::paths_mut) {
        matches.paths.push(path);
        return;
    }
    let mut hosts = Vec::with_capacity(1);
    for host in std::iter::once(host).chain(settings.host_aliases.iter().map(String::as_str)) {
        if !host.is_empty() && !hosts.iter().any(|known| known == host) {
            hosts.push(host.to_owned());
        }
    }
    let matches = PathMatches {
        hosts,
        paths: vec![path],
        is_default: false,
    };
    service.routes.push(route(owner, name, matches, settings.clone()));
}

fn route<'a>(owner: Owner<'a>, name: String, matches: PathMatches, settings: Rc<RouteSettings>) -> RouteDraft<'a> {
    RouteDraft {
        name,
        owner,
        matches: Matches::Paths(matches),
        defaults: RouteDefaults::ingress(),
        settings,
        rule_names: Vec::new(),
        plugins: Vec::new(),
        extensions: Vec::new(),
    }
}

/// Only one default backend can be: the oldest Ingress that has one wins.
fn translate_default_backend<'a>(ingresses: &[&'a Ingress], state: &mut State<'a>) {
    let mut with_default = ingresses
        .iter()
        .filter(|ingress| ingress.spec.default_backend.is_some());
    let Some(winner) = with_default.next() else { return };
    let owner = Owner::new(Kind::Ingress, &winner.metadata);
    for loser in with_default {
        state.problems.report(
            Owner::new(Kind::Ingress, &loser.metadata),
            Place::DefaultBackend.field(),
            Reason::Conflict,
            format!("there can be one default backend only, and {owner} has one and goes first, being the oldest (the first by name if equally old)"),
            "remove one of the two default backends, or give this one as a rule with a host",
        );
    }
    let Some(backend) = resolve_backend(
        owner,
        Place::DefaultBackend,
        winner.spec.default_backend.as_ref(),
        state,
    ) else {
        return;
    };
    // The annotations were checked with the rules: reading them again would report them twice, which `finish` undoes.
    let Some(settings) = settings(owner, state) else { return };
    let matches = PathMatches {
        hosts: settings.host_aliases.clone(),
        paths: vec![PathDraft {
            matches: PathMatch::everything(state.settings.profile.router_flavor),
            place: Place::DefaultBackend,
        }],
        is_default: true,
    };
    let name = format!("{}.{}", owner.metadata.namespace, owner.metadata.name);
    let service = state.drafts.service(&backend, owner, ServiceDefaults::DEFAULT_BACKEND);
    service.routes.push(route(owner, name, matches, settings));
}

/// The Service and port of a backend; `None` with a problem if it can't be one. A Service that does not exist, or has no
/// such port, is a problem too, but its path stays: requests get 503 instead of what a shorter path would answer.
fn resolve_backend<'a>(
    owner: Owner<'a>,
    place: Place,
    backend: Option<&'a IngressBackend>,
    state: &mut State<'a>,
) -> Option<Backend<'a>> {
    let field = || place.backend_field();
    let backend = backend?;
    let Some(service) = &backend.service else {
        let (field, what) = match &backend.resource {
            Some(resource) if facade::is_meant(resource) => {
                return facade::resolve(owner, field() + ".resource", resource, state);
            }
            Some(resource) => (
                field() + ".resource",
                format!("backends of kind {} are not supported", resource.kind),
            ),
            None => (field(), "no backend is named".to_owned()),
        };
        state.problems.report(
            owner,
            field,
            Reason::UnsupportedBackend,
            format!("{what}; the path is left out"),
            "name a Service of the same namespace and one of its ports",
        );
        return None;
    };
    let port_name = service.port.name.as_str();
    let bad_name = if !syntax::is_label(&service.name) {
        Some((".service.name", service.name.as_str()))
    } else if !port_name.is_empty() && !syntax::is_label(port_name) {
        Some((".service.port.name", port_name))
    } else {
        None
    };
    if let Some((rest, name)) = bad_name {
        state.problems.report(
            owner,
            field() + rest,
            Reason::InvalidField,
            format!("{name:?} can't be the name of a Service or port; the path is left out"),
            "name a Service of the same namespace and one of its ports",
        );
        return None;
    }
    let port = PortSelector::new(service.port.number, &service.port.name);
    let resolved = Backend::new(&owner.metadata.namespace, &service.name, port);
    let Some(object) = state.index.service(resolved.namespace, resolved.service) else {
        state.problems.report(
            owner,
            field() + ".service.name",
            Reason::ServiceNotFound,
            format!(
                "there is no Service {} in namespace {}; requests get 503",
                resolved.service, resolved.namespace
            ),
            "create the Service, or correct the name",
        );
        return Some(resolved);
    };
    if let Err(fault) = port.find(object) {
        state.problems.report(
            owner,
            field() + port.field(),
            Reason::PortNotFound,
            format!("Service {} {fault}; requests get 503", resolved.service),
            fault.remedy(object),
        );
    }
    Some(resolved)
}

fn report_path(owner: Owner<'_>, place: Place, path: &str, fault: Fault, state: &mut State<'_>) {
    let (reason, message, remedy) = match fault {
        Fault::Regex(fault) => (
            Reason::InvalidRegex,
            format!("the regular expression of the path {path:?} can't be used: {fault}; the path is left out"),
            "correct the expression".to_owned(),
        ),
        Fault::Path(PathFault::NotAbsolute) => (
            Reason::InvalidField,
            format!("the path {path:?} does not start with a slash; it is left out"),
            "put a slash in front".to_owned(),
        ),
        Fault::Path(PathFault::BadEscape) => (
            Reason::InvalidField,
            format!("the path {path:?} holds a percent sign without two hexadecimal digits; it is left out"),
            "write a percent sign as %25".to_owned(),
        ),
        Fault::Path(PathFault::NotNormal(normal)) => (
            Reason::InvalidField,
            format!("the path {path:?} is not in the normal form that Kong wants; it is left out"),
            format!("write {normal}"),
        ),
    };
    state.problems.report(owner, place.field(), reason, message, remedy);
}
