//! Drafts of services -> services, upstreams and targets (`kic.md` 4.2, 4.7).

use std::sync::Arc;

use proxy_config_schema as kong;

use super::{
    Settings, annotations, ca_certificate,
    draft::ServiceDraft,
    kong_ingress,
    plugin::Target,
    problems::{Owner, annotation_field},
    route, service_annotations,
    service_group::{self, Member},
    state::State,
    tags,
    target::Targets,
    tls::{Issued, SecretName},
    upstream_policy, upstream_settings,
};
use crate::model::Kind;

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
    let members = service_group::members(draft, &state.index);
    let mut named = members.iter().filter_map(|member| {
        let (owner, name) = member.annotation(annotations::CLIENT_CERT)?;
        Some((member, owner, name.trim()))
    });
    let (member, owner, name) = named.find(|(_, _, name)| !name.is_empty())?;
    let protocol = service_annotations::effective_protocol(member, draft.defaults.protocol);
    // Kong Ingress Controller sends it with grpcs as well, which Kong refuses.
    if service_annotations::takes_tls_settings(protocol) || (state.settings.raw_objects && protocol == "grpcs") {
        return Some((owner, (member.backend.namespace, name)));
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
    let members = service_group::members(draft, &state.index);
    let owner = service_group::owner(draft, &members);
    let tags = owner.map_or_else(tags::unknown_service_tags, tags::object_tags);
    let mut service = service(draft, &members, tags.clone(), state.settings);
    let mut upstream = kong::Upstream {
        name: draft.host.clone(),
        algorithm: Some(ALGORITHM.to_owned()),
        tags: Some(tags),
        ..kong::Upstream::default()
    };
    let policy = upstream_policy::settings(&members, state);
    if let Some(settings) = kong_ingress::settings(&members, draft.parent, policy.as_deref(), state) {
        upstream_settings::overlay(&mut upstream, &settings);
    }
    for member in &members {
        state.takes_part(member.owner());
        let State { settings, problems, .. } = state;
        service_annotations::apply(member, settings, &mut service, &mut upstream, problems);
        attach(member, &draft.name, state);
    }
    if let Some(settings) = policy {
        upstream_settings::overlay(&mut upstream, &settings);
    }
    upstream.targets = targets(&members, state);
    service_annotations::fit_protocol(&members, state.settings.raw_objects, &mut service, &mut state.problems);
    for member in &members {
        ca_certificate::verify_by(member, &mut service, state);
    }
    if let Some((_, name)) = client_certificate(draft, state) {
        service.client_certificate = issued.ids.get(&name).map(|id| kong::Reference::Key(id.clone()));
    }
    service.routes = routes(draft, state);
    (service, upstream)
}

/// A service before annotations are looked at.
fn service(draft: &ServiceDraft<'_>, members: &[Member<'_>], tags: Vec<String>, settings: &Settings) -> kong::Service {
    let port = members.iter().rev().find_map(|member| member.port);
    let defaults = draft.defaults;
    kong::Service {
        id: settings
            .feature_gates
            .fill_ids
            .then(|| kong::id::service(settings.workspace(), &draft.name).to_string()),
        name: Some(draft.name.clone()),
        protocol: Some(defaults.protocol.to_owned()),
        host: Some(draft.host.clone()),
        port: port.map(|port| port.number).or(defaults.port),
        path: defaults.path.map(str::to_owned),
        retries: defaults.retries,
        connect_timeout: defaults.timeout,
        read_timeout: defaults.timeout,
        write_timeout: defaults.timeout,
        tags: Some(tags),
        plugins: draft.plugins.clone(),
        ..kong::Service::default()
    }
}

/// The plugins that a member names are for the service.
fn attach<'a>(member: &Member<'a>, name: &str, state: &mut State<'a>) {
    if let Some((owner, _)) = member.annotation(annotations::PLUGINS) {
        state.attachments.add(owner, || Target::Service(name.into()));
    }
}

fn targets<'a>(members: &[Member<'a>], state: &mut State<'a>) -> Vec<kong::Target> {
    let mut targets = Targets::default();
    for member in members {
        let Some(port) = member.port else { continue };
        let backend = &member.backend;
        targets.add(backend, member.service, port, state);
        for slice in state.index.slices(backend.namespace, backend.service) {
            state.objects.insert(Kind::EndpointSlice.object_ref(&slice.metadata));
        }
    }
    targets.finish()
}

fn routes<'a>(draft: &ServiceDraft<'a>, state: &mut State<'a>) -> Vec<Arc<kong::Route>> {
    let mut routes = Vec::with_capacity(draft.routes.len());
    for draft in &draft.routes {
        state.takes_part(draft.owner);
        let mut route = route::render(draft, state.settings);
        route.plugins.extend(draft.settings.rewrite.clone());
        state
            .attachments
            .add(draft.owner, || Target::Route(draft.name.as_str().into()));
        for extension in &draft.extensions {
            let target = Target::Route(draft.name.as_str().into());
            state
                .attachments
                .add_extension(draft.owner, extension.name, extension.field.clone(), target);
        }
        routes.push(route.into());
    }
    routes
}
