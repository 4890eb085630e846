//! One group of objects that depend on one another -> what comes of them, without a borrow: it outlives the snapshot. Pure.

use std::sync::Arc;

use proxy_config_schema as kong;

use super::super::{
    ca_certificate::Claim,
    conflict, field_conflict,
    gateway::{self, GatewayStatuses, Gateways},
    ingress,
    participants::{Group, group},
    plugin::Note,
    service, service_group,
    state::{Common, Lookup, State},
    stream_ingress,
    tls::Issue,
};
use crate::model::{
    Problem,
    kong::{TCPIngress, UDPIngress},
    kubernetes::Ingress,
};

/// The objects of a group that routes come from.
#[derive(Default)]
pub(super) struct Sources<'a> {
    pub(super) ingresses: Vec<&'a Ingress>,
    pub(super) tcp_ingresses: Vec<&'a TCPIngress>,
    pub(super) udp_ingresses: Vec<&'a UDPIngress>,
    /// Whether those of the Gateway API are among them: all of them are then.
    pub(super) gateways: bool,
}

/// What comes of a group.
#[derive(Default)]
pub(super) struct Part {
    pub(super) services: Vec<Arc<kong::Service>>,
    pub(super) upstreams: Vec<Arc<kong::Upstream>>,
    /// Certificates of Secrets, which other parts may want as well.
    pub(super) issues: Vec<Issue>,
    /// CA certificates that its services verify upstreams by.
    pub(super) claims: Vec<Claim>,
    /// Plugins that are attached to its services and routes.
    pub(super) notes: Vec<Note>,
    /// Whether services or routes have plugins of their own.
    pub(super) has_plugins: bool,
    pub(super) gateways: Arc<GatewayStatuses>,
    pub(super) problems: Vec<Problem>,
    pub(super) objects: Group,
    /// What was looked up on the way.
    pub(super) lookups: Vec<Lookup>,
}

impl Part {
    /// Whether what is for all routes together depends on it.
    pub(super) fn matters(&self) -> bool {
        !self.notes.is_empty() || !self.claims.is_empty() || self.has_plugins
    }

    /// Brings lists within entities into canonical order, so that they need not be copied for that each time that the part
    /// is used.
    fn canonicalize(&mut self) {
        let mut configuration = kong::Configuration {
            services: std::mem::take(&mut self.services).into(),
            upstreams: std::mem::take(&mut self.upstreams).into(),
            ..kong::Configuration::default()
        };
        configuration.canonicalize();
        self.services = configuration.services.into_iter().collect();
        self.upstreams = configuration.upstreams.into_iter().collect();
    }
}

/// Translates a group.
pub(super) fn translate<'a>(mut sources: Sources<'a>, common: &Common<'a>) -> Part {
    let mut state = State::new(common);
    ingress::retain_named(&mut sources.ingresses, &mut state);
    ingress::sort_by_precedence(&mut sources.ingresses);
    ingress::translate(&sources.ingresses, &mut state);
    stream_ingress::translate(sources.tcp_ingresses, sources.udp_ingresses, &mut state);
    if sources.gateways {
        state.gateways = Gateways::find(common.snapshot, common.settings, &mut state.problems);
        gateway::translate(common.snapshot, &mut state);
    }
    let mut drafts = std::mem::take(&mut state.drafts);
    service_group::retain_consistent(&mut drafts, &mut state);
    conflict::resolve(&mut drafts, state.settings, &mut state.problems);
    field_conflict::resolve(&mut drafts, &mut state);
    drafts.separate_services(state.settings.raw_objects, &mut state.problems);
    drafts.separate_names();
    for draft in &drafts.services {
        service::claim_client_certificate(draft, &mut state);
    }
    let issued = std::mem::take(&mut state.certificates).finish(state.settings.raw_objects);
    let mut part = Part::default();
    for draft in &drafts.services {
        let (service, upstream) = service::render(draft, &issued, &mut state);
        part.has_plugins |= !service.plugins.is_empty() || service.routes.iter().any(|route| !route.plugins.is_empty());
        part.services.push(service.into());
        if !draft.shares_upstream {
            part.upstreams.push(upstream.into());
        }
    }
    part.canonicalize();
    if sources.gateways {
        part.gateways = Arc::new(gateway::finish(&mut state, &drafts, common.policies));
    }
    part.issues = issued.issues;
    state
        .objects
        .extend(part.issues.iter().map(|issue| issue.object.clone()));
    part.claims = state.claims;
    part.notes = state.attachments.notes();
    part.problems = state.problems.finish();
    part.objects = group(state.objects);
    part.lookups = common.index.take_lookups();
    part
}
