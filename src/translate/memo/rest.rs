//! What is for all routes together: plugins, consumers, CA certificates, vaults, licences, custom entities. Pure.

use std::{collections::BTreeSet, sync::Arc};

use proxy_config_schema::{Configuration, List};

use super::{
    super::{
        ca_certificate, consumer, custom_entity, license,
        participants::{Group, group},
        plugin::{self, Attachments, Closed, Uses},
        state::{Common, State},
        vault,
    },
    groups::Parts,
    part::Part,
};
use crate::model::{Kind, Problem};

/// The kinds that it is made of, besides the attachments of plugins to routes.
pub(super) const KINDS: &[Kind] = &[
    Kind::Secret,
    Kind::ConfigMap,
    Kind::KongPlugin,
    Kind::KongClusterPlugin,
    Kind::KongConsumer,
    Kind::KongConsumerGroup,
    Kind::KongVault,
    Kind::KongLicense,
    Kind::KongCustomEntity,
    Kind::ReferenceGrant,
];

/// What came of it.
pub(super) struct Rest {
    /// Everything but services, upstreams and certificates.
    pub(super) configuration: Configuration,
    pub(super) problems: Vec<Problem>,
    pub(super) objects: Group,
    /// Values that settings of plugins have from Secrets.
    pub(super) confidential: BTreeSet<String>,
    /// What the plugins come to that are attached to something.
    pub(super) uses: Uses,
    /// Whether it depends on the parts by nothing but the attachments in `parts`.
    pub(super) is_separate: bool,
    /// The parts that have attachments, claims, or plugins of their own.
    pub(super) parts: Vec<Arc<Part>>,
}

impl Rest {
    /// Whether other parts, those that matter, would lead to the same.
    pub(super) fn fits(&self, mattering: &[Arc<Part>]) -> bool {
        let same = |(a, b): (&Arc<Part>, &Arc<Part>)| {
            Arc::ptr_eq(a, b) || (!a.has_plugins && !b.has_plugins && a.notes == b.notes && a.claims == b.claims)
        };
        self.is_separate && mattering.len() == self.parts.len() && mattering.iter().zip(&self.parts).all(same)
    }
}

/// Adds all of it to a configuration that has the services, upstreams and certificates.
pub(super) fn translate(common: &Common<'_>, parts: &Parts, configuration: &mut Configuration) -> Rest {
    let Common { snapshot, class, .. } = common;
    let mut state = State::new(common);
    let claims: Vec<_> = parts.mattering.iter().flat_map(|part| &part.claims).collect();
    let has_lost = ca_certificate::translate(snapshot, &claims, configuration, &mut state);
    vault::translate(snapshot, class, configuration, &mut state);
    license::translate(snapshot, configuration, &mut state);
    let mut closed = Closed::default();
    let notes = parts.mattering.iter().flat_map(|part| &part.notes);
    let mut attachments = Attachments::of(notes, snapshot);
    let members = consumer::translate(
        snapshot,
        class,
        configuration,
        &mut attachments,
        &mut closed,
        &mut state,
    );
    let grants = &common.index.grants;
    let sources = plugin::Sources {
        snapshot,
        class,
        grants,
        attachments,
        members,
        closed,
    };
    let placed = plugin::translate(sources, configuration, &mut state);
    custom_entity::translate(snapshot, class, grants, &placed.relations, configuration, &mut state);
    // In order already when it is used again.
    configuration.canonicalize();
    Rest {
        configuration: Configuration {
            services: List::default(),
            upstreams: List::default(),
            certificates: List::default(),
            ..configuration.clone()
        },
        is_separate: !placed.has_closed && !has_lost && configuration.custom.is_empty(),
        uses: placed.uses,
        parts: parts.mattering.clone(),
        problems: state.problems.finish(),
        objects: group(state.objects),
        confidential: state.confidential,
    }
}

/// Adds what came of it earlier.
pub(super) fn add(rest: &Rest, configuration: &mut Configuration) {
    let own = std::mem::take(configuration);
    *configuration = Configuration {
        services: own.services,
        upstreams: own.upstreams,
        certificates: own.certificates,
        ..rest.configuration.clone()
    };
}
