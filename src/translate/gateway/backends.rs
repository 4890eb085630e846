//! References of routes to backends: which of them resolve (`kic.md` 4.5).

use proxy_config_schema as kong;
use serde_json::json;

use crate::{
    model::{Kind, Reason, gateway::BackendRef, kubernetes::Service},
    translate::{
        annotations,
        backend::{Backend, FoundPort, PortSelector},
        problems::Owner,
        state::State,
        syntax,
    },
};

/// The greatest weight that Kong takes for a target.
const GREATEST_WEIGHT: u32 = 65_535;

/// A reference, and where it stands.
pub(super) struct Reference<'a> {
    pub(super) field: String,
    pub(super) backend: &'a BackendRef,
    /// Whether filters stand at it, which nothing can be done with.
    pub(super) has_filters: bool,
}

/// The references of a rule to backends.
pub(super) fn references<'a>(
    rule: usize,
    backends: impl IntoIterator<Item = (&'a BackendRef, bool)>,
) -> Vec<Reference<'a>> {
    let references = backends.into_iter().enumerate();
    references
        .map(|(position, (backend, has_filters))| Reference {
            field: format!("spec.rules[{rule}].backendRefs[{position}]"),
            backend,
            has_filters,
        })
        .collect()
}

/// Judges the references of a route of which nothing is translated: its status says what of them does not resolve all the
/// same. Nothing is said of a route that is none of ours.
pub(super) fn judge<'a>(owner: Owner<'a>, rules: impl IntoIterator<Item = Vec<Reference<'a>>>, state: &mut State<'a>) {
    if state
        .route_outcomes
        .contains_key(&owner.kind.object_ref(owner.metadata))
    {
        for references in rules {
            resolve(owner, &references, state);
        }
    }
}

/// The backends that resolve, in order. One whose port does not exist is among them: it has no targets.
pub(super) fn resolve<'a>(owner: Owner<'a>, references: &[Reference<'a>], state: &mut State<'a>) -> Vec<Backend<'a>> {
    let found = references
        .iter()
        .filter_map(|reference| resolve_one(owner, reference, state));
    let mut backends: Vec<_> = found.collect();
    fit_weights(&mut backends);
    backends
}

fn resolve_one<'a>(owner: Owner<'a>, reference: &Reference<'a>, state: &mut State<'a>) -> Option<Backend<'a>> {
    let Reference { field, backend, .. } = reference;
    let namespace = backend.namespace.as_deref().unwrap_or(&owner.metadata.namespace);
    let name = backend.name.as_str();
    if let Err(refusal) = check(owner, reference, (namespace, name), state) {
        let Refusal {
            field: rest,
            reason,
            condition,
            message,
            remedy,
        } = refusal;
        let outcome = state.route_outcomes.get_mut(&owner.kind.object_ref(owner.metadata));
        if let (Some(outcome), Some(condition)) = (outcome, condition) {
            outcome.refuse_reference(condition, &message);
        }
        state.problems.report(
            owner,
            format!("{field}{rest}"),
            reason,
            message + "; the backend is left out",
            remedy,
        );
        return None;
    }
    let port = PortSelector::Number(backend.port.unwrap_or_default());
    let service = state.index.service(namespace, name).expect("it was checked above");
    let found = port.find(service);
    if let Some(protocol) = found.as_ref().ok().and_then(|port| unspoken(owner, service, *port)) {
        report_unspoken(owner, &format!("{field}.port"), name, protocol, state);
    }
    if let Err(fault) = found {
        let message = match backend.port {
            None => "no port of the Service is named".to_owned(),
            Some(_) => format!("Service {name} {fault}"),
        };
        if let Some(outcome) = state.route_outcomes.get_mut(&owner.kind.object_ref(owner.metadata)) {
            outcome.refuse_reference("BackendNotFound", &message);
        }
        let (message, remedy) = (message + "; requests to it get 503", fault.remedy(service));
        state
            .problems
            .report(owner, format!("{field}.port"), Reason::PortNotFound, message, remedy);
    }
    // The API server sets 1 where no weight is given.
    let default_weight = (!state.settings.raw_objects).then_some(1);
    Some(Backend {
        weight: backend.weight.or(default_weight),
        ..Backend::new(namespace, name, port)
    })
}

/// The protocol of a port that the proxies do not speak to it, of those that the Gateway API knows.
fn unspoken<'s>(owner: Owner<'_>, service: &Service, port: FoundPort<'s>) -> Option<&'s str> {
    let protocol = port.service_port?.app_protocol.as_deref()?;
    let spoken = service.metadata.annotation(annotations::PROTOCOL).map(str::trim);
    let is_spoken = match (protocol, owner.kind) {
        ("kubernetes.io/h2c", Kind::HTTPRoute) => spoken == Some("grpc"),
        ("kubernetes.io/ws", Kind::GRPCRoute) => false,
        ("kubernetes.io/wss", Kind::HTTPRoute) => matches!(spoken, Some("https" | "wss")),
        ("kubernetes.io/wss", Kind::GRPCRoute) => false,
        _ => true,
    };
    (!is_spoken).then_some(protocol)
}

/// Requests go there all the same, as with Kong Ingress Controller: many such ports understand HTTP/1.1 as well.
fn report_unspoken(owner: Owner<'_>, field: &str, service: &str, protocol: &str, state: &mut State<'_>) {
    if state.settings.raw_objects {
        return;
    }
    let message = format!("the port of Service {service} speaks {protocol}, and the proxies another protocol to it");
    if let Some(outcome) = state.route_outcomes.get_mut(&owner.kind.object_ref(owner.metadata)) {
        outcome.refuse_reference("UnsupportedProtocol", &message);
    }
    let remedy = match protocol {
        "kubernetes.io/wss" => "set konghq.com/protocol to https on the Service, or name a BackendTLSPolicy for it",
        "kubernetes.io/h2c" => "use a GRPCRoute for gRPC, else remove the port's appProtocol",
        _ => "use an HTTPRoute",
    };
    state.problems.report(owner, field, Reason::Ignored, message, remedy);
}

/// Why a reference leads nowhere.
struct Refusal {
    /// What follows the reference's field.
    field: &'static str,
    reason: Reason,
    /// The reason of the condition `ResolvedRefs`.
    condition: Option<&'static str>,
    message: String,
    remedy: &'static str,
}

fn check(
    owner: Owner<'_>,
    reference: &Reference<'_>,
    (namespace, name): (&str, &str),
    state: &State<'_>,
) -> Result<(), Refusal> {
    let backend = reference.backend;
    let refuse = |field, reason, condition, message: String, remedy| {
        Err(Refusal {
            field,
            reason,
            condition,
            message,
            remedy,
        })
    };
    // The API server sets the kind where none is given; Kong Ingress Controller passes over a reference without.
    let default_kind = if state.settings.raw_objects {
        ""
    } else {
        Kind::Service.name()
    };
    let kind = backend.kind.as_deref().unwrap_or(default_kind);
    let group = backend.group.as_deref().unwrap_or_default();
    if kind != Kind::Service.name() || !matches!(group, "" | "core") {
        let message = match (kind, group) {
            ("", _) => "the kind of the backend is not named".to_owned(),
            (kind, "") => format!("backends of kind {kind} are not supported"),
            (kind, group) => format!("backends of kind {kind} of the group {group} are not supported"),
        };
        let remedy = "name a Service and one of its ports";
        return refuse(
            ".kind",
            Reason::UnsupportedBackend,
            Some("InvalidKind"),
            message,
            remedy,
        );
    }
    if reference.has_filters && !state.settings.raw_objects {
        let message = "filters of a single backend are not supported".to_owned();
        let remedy = "move the filters to the rule, or the backend to a rule of its own";
        return refuse(".filters", Reason::Unsupported, None, message, remedy);
    }
    // Objects of files that are taken as they are may have no namespace, and their Services have none either.
    let has_no_namespace = state.settings.raw_objects && namespace.is_empty();
    if !syntax::is_label(name) || !(has_no_namespace || syntax::is_label(namespace)) {
        let message = format!("{name:?} in {namespace:?} can't be the name of a Service");
        return refuse(
            ".name",
            Reason::InvalidField,
            Some("BackendNotFound"),
            message,
            "name a Service and one of its ports",
        );
    }
    if !state.index.grants.permits(owner, Kind::Service, namespace, name) {
        let message = format!("no ReferenceGrant in namespace {namespace} lets {owner} refer to Service {name}");
        let remedy = "create the ReferenceGrant there, or use a Service of the route's own namespace";
        return refuse(
            ".namespace",
            Reason::RefNotPermitted,
            Some("RefNotPermitted"),
            message,
            remedy,
        );
    }
    if state.index.service(namespace, name).is_none() {
        let message = format!("there is no Service {name} in namespace {namespace}");
        let remedy = "create the Service, or correct name and namespace";
        return refuse(
            ".name",
            Reason::ServiceNotFound,
            Some("BackendNotFound"),
            message,
            remedy,
        );
    }
    Ok(())
}

/// Scales weights down that Kong would refuse, the sum included: equal targets of several backends are added up.
fn fit_weights(backends: &mut [Backend<'_>]) {
    let weights = || backends.iter().filter_map(|backend| backend.weight).map(u64::from);
    let sum: u64 = weights().sum();
    let greatest = u64::from(GREATEST_WEIGHT);
    if sum <= greatest {
        return;
    }
    // Rounding up a few to 1 must not go beyond the limit again.
    let room = greatest
        .saturating_sub(u64::try_from(backends.len()).unwrap_or(greatest))
        .max(1);
    for backend in backends {
        if let Some(weight) = backend.weight.as_mut().filter(|weight| **weight > 0) {
            let scaled = u64::from(*weight) * room / sum;
            *weight = u32::try_from(scaled.max(1)).expect("it is below the limit");
        }
    }
}

/// Answers what has no backend: as in Kong Ingress Controller, on HTTP and gRPC routes whose references all fail.
pub(super) fn termination() -> kong::Plugin {
    plugin(
        "request-termination",
        json!({"status_code": 500, "message": "no existing backendRef provided"}),
    )
}

/// A plugin that no object stands for.
pub(super) fn plugin(name: &str, config: serde_json::Value) -> kong::Plugin {
    let serde_json::Value::Object(config) = config else {
        unreachable!("settings of plugins are objects");
    };
    kong::Plugin {
        name: name.to_owned(),
        config: Some(config.into()),
        ..kong::Plugin::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(weights: &[u32]) -> Vec<u32> {
        let backend = |weight: &u32| Backend {
            weight: Some(*weight),
            ..Backend::new("shop", "web", PortSelector::Number(80))
        };
        let mut backends: Vec<_> = weights.iter().map(backend).collect();
        fit_weights(&mut backends);
        backends.into_iter().filter_map(|backend| backend.weight).collect()
    }

    #[test]
    fn weights_beyond_what_kong_takes_are_scaled_down() {
        assert_eq!(scaled(&[75, 25, 0]), [75, 25, 0]);
        assert_eq!(scaled(&[1_000_000, 1_000_000]), [32_766, 32_766]);
        assert_eq!(scaled(&[1_000_000, 1, 0]), [65_531, 1, 0]);
    }
}
