//! TCPRoute, UDPRoute, TLSRoute -> services and routes (`kic.md` 4.7.1). Each rule is a service with one route.

use std::rc::Rc;

use super::{
    attachment::{self, Attachment, Route},
    backends::{self, Reference},
    listeners, settle_rules, translation_error,
};
use crate::{
    model::{
        Kind, Reason,
        gateway::{RouteStatus, StreamRouteRule, StreamRouteSpec},
        kubernetes::Metadata,
    },
    translate::{
        draft::{Matches, RouteDefaults, RouteDraft, ServiceDefaults, ServiceDraft, StreamMatches},
        problems::Owner,
        route_annotations::RouteSettings,
        state::State,
        tags,
    },
};

/// How many routes one object can become: the API server lets far fewer in, manifests may hold any number.
const MOST_ROUTES: usize = 4096;

/// Translates a route of one of the three kinds.
pub(super) fn translate<'a>(
    kind: Kind,
    metadata: &'a Metadata,
    spec: &'a StreamRouteSpec,
    status: &'a RouteStatus,
    state: &mut State<'a>,
) {
    if translate_one(kind, metadata, spec, status, state).is_none() {
        let unused = spec.rules.iter().enumerate();
        let references = unused.map(|(index, rule)| references(index, rule));
        backends::judge(Owner::new(kind, metadata), references, state);
    }
}

fn references(index: usize, rule: &StreamRouteRule) -> Vec<Reference<'_>> {
    backends::references(index, rule.backend_refs.iter().map(|backend| (backend, false)))
}

/// `None` if nothing of the route can be translated.
fn translate_one<'a>(
    kind: Kind,
    metadata: &'a Metadata,
    spec: &'a StreamRouteSpec,
    status: &'a RouteStatus,
    state: &mut State<'a>,
) -> Option<()> {
    let owner = Owner::new(kind, metadata);
    tags::check(owner, &mut state.problems);
    // Host names of the other kinds mean nothing.
    let hostnames = if kind == Kind::TLSRoute {
        &spec.hostnames[..]
    } else {
        &[]
    };
    let route = Route {
        owner,
        parents: &spec.parent_refs,
        hostnames,
    };
    let attachment = attachment::attach(route, state)?;
    let served = translate_rules(owner, spec, status, &attachment, state);
    settle_rules(owner, &attachment, served, state)
}

/// Whether any of them works; `None` if nothing of the route can be translated.
fn translate_rules<'a>(
    owner: Owner<'a>,
    spec: &'a StreamRouteSpec,
    status: &'a RouteStatus,
    attachment: &Attachment<'a>,
    state: &mut State<'a>,
) -> Option<bool> {
    let Owner { kind, metadata } = owner;
    let matches = matches(owner, spec, attachment, state)?;
    if spec.rules.len() > MOST_ROUTES {
        let message = format!("it has more than {MOST_ROUTES} rules");
        translation_error(owner, "spec.rules", Reason::InvalidField, &message, "split it", state);
        return None;
    }
    let (service_protocol, route_protocol) = match kind {
        Kind::UDPRoute => ("udp", "udp"),
        Kind::TLSRoute if passes_through(attachment, status, owner, state) => ("tcp", "tls_passthrough"),
        Kind::TLSRoute => ("tcp", "tls"),
        _ => ("tcp", "tcp"),
    };
    let mut settings = RouteSettings::read(owner, &state.settings.profile, &mut state.regexes, &mut state.problems);
    settings.fit_stream(owner, &matches, route_protocol, &mut state.problems);
    let settings = Rc::new(settings);
    let prefix = format!(
        "{}.{}.{}",
        kind.name().to_ascii_lowercase(),
        metadata.namespace,
        metadata.name
    );
    let mut is_served = false;
    for (index, rule) in spec.rules.iter().enumerate() {
        let field = format!("spec.rules[{index}].backendRefs");
        if rule.backend_refs.is_empty() {
            let message = format!("{} rules must include at least one backendRef", kind.name());
            translation_error(owner, &field, Reason::InvalidField, &message, "name a Service", state);
            continue;
        }
        is_served = true;
        let backends = backends::resolve(owner, &references(index, rule), state);
        let name = format!("{prefix}.{index}");
        let route = RouteDraft {
            name: format!("{name}.0"),
            owner,
            matches: Matches::Stream(StreamMatches {
                rule: index,
                ..matches.clone()
            }),
            defaults: RouteDefaults {
                protocols: Some(vec![route_protocol]),
                ..RouteDefaults::default()
            },
            settings: settings.clone(),
            rule_names: rule.name.as_deref().into_iter().collect(),
            plugins: Vec::new(),
            extensions: Vec::new(),
        };
        state.drafts.services.push(ServiceDraft {
            host: name.clone(),
            name,
            defaults: ServiceDefaults::new(service_protocol),
            backends,
            parent: owner,
            shares_upstream: false,
            plugins: Vec::new(),
            routes: vec![route],
        });
    }
    Some(is_served)
}

/// What connections are picked by; `None` with a problem if there is nothing.
fn matches<'a>(
    owner: Owner<'a>,
    spec: &StreamRouteSpec,
    attachment: &Attachment<'a>,
    state: &mut State<'a>,
) -> Option<StreamMatches> {
    let mut matches = StreamMatches::default();
    if spec.rules.is_empty() {
        let message = "no rules provided";
        translation_error(owner, "spec.rules", Reason::InvalidField, message, "add a rule", state);
        return None;
    }
    let protocol = match owner.kind {
        Kind::TLSRoute => {
            if attachment.hostnames.is_empty() {
                let message = "no hostnames provided";
                let remedy = "add the server names that clients ask for, or give the listener a host name";
                translation_error(owner, "spec.hostnames", Reason::InvalidField, message, remedy, state);
                return None;
            }
            matches.server_names.clone_from(&attachment.hostnames);
            return Some(matches);
        }
        Kind::UDPRoute => "UDP",
        _ => "TCP",
    };
    for listener in &attachment.listeners {
        if listener.protocol == protocol && !matches.ports.contains(&listener.port) {
            matches.ports.push(listener.port);
        }
    }
    // Of raw objects it becomes a route that picks nothing, as in Kong Ingress Controller.
    if matches.ports.is_empty() && !state.settings.raw_objects {
        let message = format!("no {protocol} listener of its Gateways is known, so that it has no port");
        let remedy = "name a Gateway with such a listener in spec.parentRefs";
        translation_error(
            owner,
            "spec.parentRefs",
            Reason::NoMatchingParent,
            &message,
            remedy,
            state,
        );
        return None;
    }
    Some(matches)
}

/// Whether TLS goes through to the backends. Of raw objects, the status says which Gateways count.
fn passes_through(attachment: &Attachment<'_>, status: &RouteStatus, owner: Owner<'_>, state: &State<'_>) -> bool {
    if !state.settings.raw_objects {
        return attachment
            .listeners
            .iter()
            .any(|listener| listeners::is_passthrough(listener));
    }
    status.parents.iter().any(|parent| {
        let parent = &parent.parent_ref;
        let namespace = parent.namespace.as_deref().unwrap_or(&owner.metadata.namespace);
        let gateway = state.gateways.get(namespace, &parent.name);
        gateway.is_some_and(|gateway| {
            let mut listeners = gateway.listeners.iter();
            listeners.any(|listener| listeners::is_passthrough(listener.spec))
        })
    })
}
