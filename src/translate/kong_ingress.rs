//! KongIngresses -> settings of upstreams (`kic.md` 2.3, 4.7.4). Deprecated since long, and honoured: of all that they
//! could say once the section `upstream` is left.

use std::rc::Rc;

use proxy_config_schema::Upstream;
use serde_json::Value;

use super::{
    annotations,
    problems::{Owner, Problems, annotation_field},
    service_group::Member,
    state::State,
    upstream_settings,
};
use crate::model::{Kind, Reason, kong::KongIngress};

/// What the KongIngress says that a Service names. Nothing for the Gateway API, as in Kong Ingress Controller.
pub(super) fn settings<'a>(
    members: &[Member<'a>],
    parent: Owner<'_>,
    policy: Option<&Upstream>,
    state: &mut State<'a>,
) -> Option<Rc<Upstream>> {
    let (owner, name) = members.iter().find_map(|member| {
        let name = member.service.metadata.annotation(annotations::OVERRIDE)?.trim();
        (!name.is_empty()).then(|| (member.owner(), name))
    })?;
    let field = annotation_field(annotations::OVERRIDE);
    if parent.kind.group() == Kind::HTTPRoute.group() {
        state.problems.report(
            owner,
            field,
            Reason::Ignored,
            format!("{parent} sends requests here, and KongIngresses have no effect on routes of the Gateway API"),
            format!("use a KongUpstreamPolicy: {}", annotations::UPSTREAM_POLICY),
        );
        return None;
    }
    let namespace = &*owner.metadata.namespace;
    let Some(object) = state.index.kong_ingress(namespace, name) else {
        state.problems.report(
            owner,
            field,
            Reason::ReferenceNotFound,
            format!("there is no KongIngress {name} in namespace {namespace}; the upstream keeps its defaults"),
            "create the KongIngress, or correct the name; better: use a KongUpstreamPolicy",
        );
        return None;
    };
    state.takes_part(Owner::new(Kind::KongIngress, &object.metadata));
    let State {
        upstream_settings,
        settings,
        problems,
        ..
    } = state;
    let raw_objects = settings.raw_objects;
    let found = upstream_settings.of(Kind::KongIngress, &object.metadata, |owner| {
        read(owner, object, raw_objects, problems)
    })?;
    let policy = policy.filter(|_| !raw_objects);
    if policy.is_some_and(|policy| !upstream_settings::fit_together(&found, policy)) {
        problems.report(
            owner,
            field,
            Reason::Conflict,
            format!("the Service names a KongUpstreamPolicy as well, which goes first, and Kong takes not both at once; KongIngress {name} is ignored"),
            "remove the annotation, and put all into the KongUpstreamPolicy",
        );
        return None;
    }
    Some(found)
}

/// A KongIngress's settings; `None`, with problems on it, if they can't be used. Those of raw objects are sent as they are.
fn read(owner: Owner<'_>, object: &KongIngress, raw_objects: bool, problems: &mut Problems) -> Option<Upstream> {
    for (section, is_set, message, remedy) in [
        (
            "proxy",
            object.proxy.is_some(),
            "'proxy' field is no longer supported, use Service's annotations instead",
            "remove the section, and annotate the Services",
        ),
        (
            "route",
            object.route.is_some(),
            "'route' field is no longer supported, use Ingress' annotations instead",
            "remove the section, and annotate the Ingresses",
        ),
    ] {
        if is_set {
            problems.report(
                owner,
                section,
                Reason::InvalidField,
                format!("{message}; it is ignored"),
                remedy,
            );
        }
    }
    let Ok(Value::Object(settings)) = serde_json::to_value(object.upstream.as_ref()?) else {
        return None;
    };
    let refusals = match upstream_settings::read(settings.clone(), false) {
        Ok(upstream) => return Some(upstream),
        Err(refusals) => refusals,
    };
    let as_given = raw_objects
        .then(|| upstream_settings::as_given(settings).ok())
        .flatten();
    let consequence = if as_given.is_some() {
        "it is sent all the same, and Kong refuses it"
    } else {
        "the upstreams of its Services keep their defaults"
    };
    for (field, message) in refusals {
        let dot = if field.is_empty() { "" } else { "." };
        problems.report(
            owner,
            format!("upstream{dot}{field}"),
            Reason::InvalidField,
            format!("{message}; {consequence}"),
            "correct the value",
        );
    }
    as_given
}
