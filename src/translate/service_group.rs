//! The Kubernetes Services behind one Kong service: what they are, whether they agree (`kic.md` 3, 4.1).
//!
//! What is missing was reported by the source of the draft.

use std::collections::BTreeSet;

use super::{
    annotations::{PREFIX, UPSTREAM_POLICY},
    backend::{Backend, FoundPort},
    draft::{Drafts, ServiceDraft},
    problems::{Owner, Problems, annotation_field},
    state::{Index, State},
};
use crate::model::{Kind, Reason, kubernetes::Service};

/// A backend whose Service exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) backend: Backend<'a>,
    pub(super) service: &'a Service,
    /// `None` if the Service has no such port.
    pub(super) port: Option<FoundPort<'a>>,
}

impl<'a> Member<'a> {
    pub(super) fn owner(&self) -> Owner<'a> {
        Owner::new(Kind::Service, &self.service.metadata)
    }

    /// The facade in front of it.
    pub(super) fn facade(&self) -> Option<Owner<'a>> {
        facade(&self.backend)
    }

    /// The objects whose annotations count; what a later one says goes before what an earlier one does.
    pub(super) fn faces(&self) -> impl Iterator<Item = Owner<'a>> {
        std::iter::once(self.owner()).chain(self.facade())
    }

    /// An annotation, and whose it is.
    pub(super) fn annotation(&self, name: &str) -> Option<(Owner<'a>, &'a str)> {
        self.faces()
            .filter_map(|owner| Some((owner, owner.metadata.annotation(name)?)))
            .last()
    }
}

fn facade<'a>(backend: &Backend<'a>) -> Option<Owner<'a>> {
    backend
        .facade
        .map(|metadata| Owner::new(Kind::KongServiceFacade, metadata))
}

/// The backends of a draft whose Services exist, in the draft's order.
pub(super) fn members<'a>(draft: &ServiceDraft<'a>, index: &Index<'a>) -> Vec<Member<'a>> {
    let found = draft.backends.iter().filter_map(|backend| {
        let service = index.service(backend.namespace, backend.service)?;
        Some(Member {
            backend: *backend,
            service,
            port: backend.port.find(service).ok(),
        })
    });
    found.collect()
}

/// Whose tags a service bears: those of its only backend, else those of its parent; `None` if that backend is missing.
pub(super) fn owner<'a>(draft: &ServiceDraft<'a>, members: &[Member<'a>]) -> Option<Owner<'a>> {
    match (draft.backends.as_slice(), members) {
        ([backend], _) if backend.facade.is_some() => facade(backend),
        ([_], [member]) => Some(member.owner()),
        ([] | [_], _) => None,
        _ => Some(draft.parent),
    }
}

/// Leaves out services, with their routes, whose Kubernetes Services say different things: a Kong service can have but
/// one timeout, one protocol, one policy.
pub(super) fn retain_consistent<'a>(drafts: &mut Drafts<'a>, state: &mut State<'a>) {
    drafts.services.retain(|draft| {
        draft.backends.len() < 2 || agree(&members(draft, &state.index), &draft.name, &mut state.problems)
    });
}

fn agree(members: &[Member<'_>], name: &str, problems: &mut Problems) -> bool {
    let own = |member: &Member<'_>| {
        let annotations = &member.service.metadata.annotations;
        let keys: BTreeSet<_> = annotations
            .keys()
            .filter(|key| key.starts_with(PREFIX))
            .cloned()
            .collect();
        keys
    };
    let keys: BTreeSet<_> = members.iter().flat_map(own).collect();
    let mut agree = true;
    for key in keys {
        let values: BTreeSet<_> = members
            .iter()
            .map(|member| member.service.metadata.annotation(&key))
            .collect();
        if values.len() < 2 {
            continue;
        }
        agree = false;
        let of_policy = if key == UPSTREAM_POLICY {
            let names: Vec<_> = members
                .iter()
                .map(|member| member.service.metadata.key().to_string())
                .collect();
            format!(
                ": inconsistent KongUpstreamPolicy configuration for services {}",
                names.join(", ")
            )
        } else {
            String::new()
        };
        for member in members {
            problems.report(
                member.owner(),
                annotation_field(&key),
                Reason::InconsistentServices,
                format!(
                    "Service has inconsistent {key} annotation and is used in multi-Service backend {name}. All Services \
                     in a multi-Service backend must have matching Kong annotations{of_policy}; the backend is left out \
                     with its routes"
                ),
                "give the annotation the same value on all Services of the rule, or use them in rules of their own",
            );
        }
    }
    agree
}
