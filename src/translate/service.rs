//! Drafts of services -> services, upstreams and targets (`kic.md` 4.2, 4.7).

use std::sync::Arc;

use proxy_config_schema as kong;

use super::{
    annotations,
    backend::FoundPort,
    draft::ServiceDraft,
    plugin,
    problems::{Owner, annotation_field},
    route, service_annotations,
    state::State,
    tags,
    target::Targets,
    tls::{Issued, SecretName},
};
use crate::model::{Kind, kubernetes::Service};

const ALGORITHM: &str = "round-robin";

/// Claims the certificate that a draft's Kubernetes Service shows to its pods, so that it is part of the configuration.
pub(super) fn claim_client_certificate<'a>(draft: &ServiceDraft<'a>, state: &mut State<'a>) {
    if let Some((owner, name)) = client_certificate(draft, state) {
        let field = annotation_field(annotations::CLIENT_CERT);
        state
            .certificates
            .require(owner, field, name, &state.index, &mut state.problems);
    }
}

fn client_certificate<'a>(draft: &ServiceDraft<'a>, state: &mut State<'a>) -> Option<(Owner<'a>, SecretName<'a>)> {
    let [backend] = draft.backends.as_slice() else {
        return None;
    };
    let service = state.index.service(backend.namespace, backend.service)?;
    let name = service.metadata.annotation(annotations::CLIENT_CERT)?.trim();
    if name.is_empty() {
        return None;
    }
    let owner = Owner::new(Kind::Service, &service.metadata);
    let protocol = service_annotations::effective_protocol(owner);
    if service_annotations::uses_tls(protocol) {
        return Some((owner, (backend.namespace, name)));
    }
    state.problems.annotation(
        owner,
        annotations::CLIENT_CERT,
        format!("a certificate can't be shown over the protocol {protocol}; the annotation is ignored"),
        format!("set {} to https", annotations::PROTOCOL),
    );
    None
}

/// Writes a draft's service with its routes, and its upstream.
pub(super) fn render<'a>(
    draft: &ServiceDraft<'a>,
    issued: &Issued<'a>,
    state: &mut State<'a>,
) -> (kong::Service, kong::Upstream) {
    let backends = resolve(draft, state);
    let facade = draft.backends.first().and_then(|backend| backend.facade);
    let facade = facade.map(|facade| Owner::new(Kind::KongServiceFacade, facade));
    let owner = match (backends.as_slice(), draft.backends.len()) {
        (_, 1) if facade.is_some() => facade,
        ([(_, service, _)], 1) => Some(Owner::new(Kind::Service, &service.metadata)),
        (_, 0 | 1) => None,
        _ => Some(draft.parent),
    };
    let tags = owner.map_or_else(tags::unknown_service_tags, tags::object_tags);
    let port = backends.iter().rev().find_map(|(_, _, port)| *port);
    let defaults = draft.defaults;
    let mut service = kong::Service {
        id: Some(kong::id::service(&draft.name).to_string()),
        name: Some(draft.name.clone()),
        protocol: Some(defaults.protocol.to_owned()),
        host: Some(draft.host.clone()),
        port: port.map(|port| port.number).or(defaults.port),
        path: defaults.path.map(str::to_owned),
        retries: defaults.retries,
        connect_timeout: defaults.timeout,
        read_timeout: defaults.timeout,
        write_timeout: defaults.timeout,
        tags: Some(tags.clone()),
        plugins: draft.plugins.clone(),
        ..kong::Service::default()
    };
    let mut upstream = kong::Upstream {
        name: draft.host.clone(),
        algorithm: Some(ALGORITHM.to_owned()),
        tags: Some(tags),
        ..kong::Upstream::default()
    };
    let mut targets = Targets::default();
    for (backend, object, port) in &backends {
        let owner = Owner::new(Kind::Service, &object.metadata);
        state.takes_part(owner);
        service_annotations::apply(
            owner,
            &state.settings.profile,
            &mut service,
            &mut upstream,
            &mut state.problems,
        );
        if service.plugins.is_empty() {
            service.plugins.extend(plugin::closing(
                owner,
                state.settings.missing_plugin,
                &mut state.problems,
            ));
        }
        if let Some(port) = port {
            targets.add(backend, object, *port, state);
            for slice in state.index.slices(backend.namespace, backend.service) {
                state.objects.insert(Kind::EndpointSlice.object_ref(&slice.metadata));
            }
        }
    }
    if let Some(facade) = facade.filter(|_| service.plugins.is_empty()) {
        let missing_plugin = state.settings.missing_plugin;
        service
            .plugins
            .extend(plugin::closing(facade, missing_plugin, &mut state.problems));
    }
    service_annotations::fit_protocol(&mut service);
    upstream.targets = targets.finish();
    if let Some((_, name)) = client_certificate(draft, state) {
        service.client_certificate = issued.ids.get(&name).map(|id| kong::Reference::Key(id.clone()));
    }
    service.routes = routes(draft, state);
    (service, upstream)
}

type Resolved<'a> = (super::backend::Backend<'a>, &'a Service, Option<FoundPort<'a>>);

/// The backends whose Services exist, with their ports as far as those exist: what is missing was reported by the source.
fn resolve<'a>(draft: &ServiceDraft<'a>, state: &State<'a>) -> Vec<Resolved<'a>> {
    let found = draft.backends.iter().filter_map(|backend| {
        let service = state.index.service(backend.namespace, backend.service)?;
        Some((*backend, service, backend.port.find(service).ok()))
    });
    found.collect()
}

fn routes<'a>(draft: &ServiceDraft<'a>, state: &mut State<'a>) -> Vec<Arc<kong::Route>> {
    let mut routes = Vec::with_capacity(draft.routes.len());
    for draft in &draft.routes {
        state.takes_part(draft.owner);
        let mut route = route::render(draft, state.settings);
        route.plugins.extend(draft.settings.rewrite.clone());
        route.plugins.extend(plugin::closing(
            draft.owner,
            state.settings.missing_plugin,
            &mut state.problems,
        ));
        routes.push(route.into());
    }
    routes
}
