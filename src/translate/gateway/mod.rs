//! The Gateway API -> services, routes, claims on certificates (`kic.md` 4.5-4.7, 6), and the values that statuses are
//! written from.

mod attachment;
mod backend_tls_policy;
mod backends;
mod duration;
mod extensions;
mod grants;
mod grpc_route;
pub(super) mod hostnames;
mod http_expression;
mod http_filters;
mod http_match;
mod http_route;
mod http_traditional;
mod https_redirect;
mod listener_certificates;
mod listeners;
mod status;
mod stream_route;
#[cfg(test)]
mod tests;

use self::attachment::Attachment;
pub use self::status::{
    ClassOutcome, ConditionOutcome, GatewayOutcome, GatewayStatuses, ListenerOutcome, ParentOutcome, PolicyOutcome,
    RouteOutcome,
};
pub(super) use self::{backend_tls_policy::TlsPolicies, grants::Grants, listeners::Gateways};

use super::{draft::Drafts, problems::Owner, state::State, syntax};
use crate::model::{Kind, ObjectRef, Reason, Snapshot, gateway::Listener, kubernetes::Metadata};

/// Translates all routes, in Kong Ingress Controller's order of kinds.
pub(super) fn translate<'a>(snapshot: &'a Snapshot, state: &mut State<'a>) {
    macro_rules! named {
        ($field:ident, $kind:expr) => {{
            let routes = snapshot.$field.values().map(AsRef::as_ref);
            routes
                .filter(|route| is_named($kind, &route.metadata, state))
                .collect::<Vec<_>>()
        }};
    }
    let routes = named!(http_routes, Kind::HTTPRoute);
    http_route::translate(&routes, state);
    macro_rules! stream {
        ($field:ident, $kind:expr) => {
            for route in named!($field, $kind) {
                stream_route::translate($kind, &route.metadata, &route.spec, &route.status, state);
            }
        };
    }
    stream!(udp_routes, Kind::UDPRoute);
    stream!(tcp_routes, Kind::TCPRoute);
    stream!(tls_routes, Kind::TLSRoute);
    let routes = named!(grpc_routes, Kind::GRPCRoute);
    grpc_route::translate(&routes, state);
    listener_certificates::claim(state);
}

/// Why a route is not accepted of which no rule can be had.
const UNSUPPORTED_VALUE: &str = "UnsupportedValue";

/// The statuses that came of it.
pub(super) fn finish(state: &mut State<'_>, drafts: &Drafts<'_>, policies: &TlsPolicies) -> GatewayStatuses {
    let policies = policies.outcomes(drafts, state);
    let (classes, gateways) = std::mem::take(&mut state.gateways).finish();
    GatewayStatuses {
        classes,
        gateways,
        routes: std::mem::take(&mut state.route_outcomes),
        policies,
    }
}

/// The Gateways of ours that serve a route.
fn gateways_of(owner: Owner<'_>, state: &State<'_>) -> Vec<ObjectRef> {
    let outcome = state.route_outcomes.get(&owner.kind.object_ref(owner.metadata));
    let parents = outcome.map_or(&[][..], |outcome| &outcome.parents);
    let accepted = parents.iter().filter(|parent| parent.is_attached());
    let gateways = accepted.filter_map(|parent| {
        let parent = &parent.parent;
        let namespace = parent.namespace.as_deref().unwrap_or(&owner.metadata.namespace);
        let gateway = state.gateways.get(namespace, &parent.name)?.owner;
        Some(gateway.kind.object_ref(gateway.metadata))
    });
    gateways.collect()
}

/// Whether an object's names can be part of names in Kong. The API server lets no others in, manifests may.
pub(super) fn is_named(kind: Kind, metadata: &Metadata, state: &mut State<'_>) -> bool {
    let parts = [
        ("metadata.name", &metadata.name),
        ("metadata.namespace", &metadata.namespace),
    ];
    let bad = parts
        .iter()
        .find(|(_, part)| !part.is_empty() && !syntax::is_object_name(part));
    if let Some((field, part)) = bad {
        state.problems.report(
            Owner::new(kind, metadata),
            *field,
            Reason::InvalidField,
            format!(
                "{part:?} can't be the name of an object; the {} is left out",
                kind.name()
            ),
            "use small letters, digits, hyphens and dots",
        );
    }
    bad.is_none()
}

/// Notes why a route, or a rule of it, can't be translated.
fn translation_error(
    owner: Owner<'_>,
    field: &str,
    reason: Reason,
    message: &str,
    remedy: &str,
    state: &mut State<'_>,
) {
    let message = format!("{} can't be routed: {message}", owner.kind.name());
    note_error(owner, &message, state);
    state.problems.report(owner, field, reason, message, remedy);
}

/// Notes that a part of a route is left out: its status says of the whole that it is not programmed.
pub(super) fn note_error(owner: Owner<'_>, message: &str, state: &mut State<'_>) {
    let outcome = state.route_outcomes.get_mut(&owner.kind.object_ref(owner.metadata));
    if let Some(outcome) = outcome {
        outcome.translation_error.get_or_insert_with(|| message.to_owned());
    }
}

/// Says for each parent what becomes of a route of which something can't be translated: nothing of it is accepted if no
/// rule is left that works (`reason` says why), else a part of it is dropped.
fn settle(owner: Owner<'_>, listeners: &[&Listener], is_served: bool, reason: &'static str, state: &mut State<'_>) {
    let outcome = state.route_outcomes.get_mut(&owner.kind.object_ref(owner.metadata));
    let Some((outcome, error)) = outcome.and_then(|outcome| {
        let error = outcome.translation_error.clone()?;
        Some((outcome, error))
    }) else {
        return;
    };
    if is_served {
        outcome.drop_part(&error);
        return;
    }
    outcome.refuse(reason, &error);
    for listener in state.gateways.all_mut().flat_map(|gateway| &mut gateway.listeners) {
        if listeners.iter().any(|taken| std::ptr::eq(*taken, listener.spec)) {
            listener.attached -= 1;
        }
    }
}

/// The same for a route whose rules were translated: `served` says whether any of them works, and `None` that nothing of
/// the route can be translated, which is passed on.
fn settle_rules(
    owner: Owner<'_>,
    attachment: &Attachment<'_>,
    served: Option<bool>,
    state: &mut State<'_>,
) -> Option<()> {
    let is_served = served == Some(true);
    settle(owner, &attachment.listeners, is_served, UNSUPPORTED_VALUE, state);
    served.map(drop)
}

/// How a host name stands in names of entities.
fn host_label(host: Option<&str>) -> String {
    host.map_or_else(|| "_".to_owned(), |host| host.replace('*', "_"))
}
