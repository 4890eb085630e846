//! KongServiceFacades: backends of Ingresses that stand in front of a Service with plugins and an upstream policy of
//! their own (`kic.md` 2.3, 4.3.1). Called for each backend that is no Service.

use super::{backend::Backend, problems::Owner, state::State, syntax};
use crate::model::{Kind, Reason, kong::KongServiceFacade, kubernetes::TypedLocalObjectReference};

/// Whether a backend means a KongServiceFacade.
pub(super) fn is_meant(reference: &TypedLocalObjectReference) -> bool {
    let kind = Kind::KongServiceFacade;
    reference.kind == kind.name() && reference.api_group == kind.group()
}

/// The backend that a facade stands for; `None` with a problem if there is none, as in Kong Ingress Controller. What is
/// wrong with the facade itself is reported on it, and its path stays: requests get 503.
pub(super) fn resolve<'a>(
    owner: Owner<'a>,
    field: String,
    reference: &'a TypedLocalObjectReference,
    state: &mut State<'a>,
) -> Option<Backend<'a>> {
    let (namespace, name) = (&*owner.metadata.namespace, reference.name.as_str());
    if !state.settings.feature_gates.kong_service_facade {
        state.problems.report(
            owner,
            field,
            Reason::UnsupportedBackend,
            "backends of kind KongServiceFacade are switched off; the path is left out",
            "switch them on with --feature-gates KongServiceFacade=true, or name a Service",
        );
        return None;
    }
    let facade = state.index.facade(namespace, name);
    let Some(facade) = facade.filter(|_| syntax::is_object_name(name)) else {
        state.problems.report(
            owner,
            field + ".name",
            Reason::ReferenceNotFound,
            format!("there is no KongServiceFacade {name} in namespace {namespace}; the path is left out"),
            "create the KongServiceFacade, or correct the name",
        );
        return None;
    };
    let backend = Backend::behind(facade);
    check(facade, &backend, state);
    Some(backend)
}

fn check<'a>(facade: &'a KongServiceFacade, backend: &Backend<'a>, state: &mut State<'a>) {
    let owner = Owner::new(Kind::KongServiceFacade, &facade.metadata);
    state.takes_part(owner);
    super::tags::check(owner, &mut state.problems);
    let Some(service) = state.index.service(backend.namespace, backend.service) else {
        state.problems.report(
            owner,
            "spec.backendRef.name",
            Reason::ServiceNotFound,
            format!(
                "there is no Service {} in namespace {}; requests get 503",
                backend.service, backend.namespace
            ),
            "create the Service, or correct the name",
        );
        return;
    };
    if let Err(fault) = backend.port.find(service) {
        state.problems.report(
            owner,
            "spec.backendRef.port",
            Reason::PortNotFound,
            format!("Service {} {fault}; requests get 503", backend.service),
            fault.remedy(service),
        );
    }
}
