//! Which Services, Secrets and ConfigMaps are referred to. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Kind, NamespacedName, Object, References, Snapshot,
    kubernetes::{EndpointSlice, Metadata},
};

/// Marks a Secret as a credential of a consumer.
pub const CREDENTIAL_LABEL: &str = "konghq.com/credential";

/// Marks a Secret or ConfigMap as a CA certificate.
pub const CA_CERTIFICATE_LABEL: &str = "konghq.com/ca-cert";

/// Kinds whose objects refer to Services, Secrets and ConfigMaps: while one of them has not been listed, what is
/// referred to is not known.
const REFERRERS: &[Kind] = &[
    Kind::Ingress,
    Kind::Service,
    Kind::TCPIngress,
    Kind::UDPIngress,
    Kind::KongServiceFacade,
    Kind::KongPlugin,
    Kind::KongClusterPlugin,
    Kind::KongConsumer,
    Kind::Gateway,
    Kind::HTTPRoute,
    Kind::GRPCRoute,
    Kind::TCPRoute,
    Kind::UDPRoute,
    Kind::TLSRoute,
    Kind::BackendTLSPolicy,
];

/// What a source should fetch: the Services whose EndpointSlices are wanted, and the Secrets and ConfigMaps whose
/// content is.
///
/// Each is given with the generation in which it came in. What came in after the generation that was met last has to
/// be fetched, even if it had been wanted before: it may have been dropped in between. Generation 0 marks what was
/// wanted from the start, before anything was dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// Counts changes; 0 until the objects that refer to others have been listed.
    pub generation: u64,
    /// Services whose EndpointSlices are wanted.
    pub services: BTreeMap<NamespacedName, u64>,
    /// Secrets whose content is wanted, besides those that are marked by a label.
    pub secrets: BTreeMap<NamespacedName, u64>,
    /// ConfigMaps whose content is wanted, besides those that are marked by a label.
    pub config_maps: BTreeMap<NamespacedName, u64>,
}

impl Interest {
    /// Whether it is known what is referred to.
    pub fn is_known(&self) -> bool {
        self.generation > 0
    }

    /// Whether what a snapshot refers to can be known yet.
    pub(super) fn can_be_known(snapshot: &Snapshot) -> bool {
        REFERRERS.iter().all(|kind| !snapshot.pending.contains(kind))
    }

    /// Whether two snapshots refer to the same for sure, by the objects that differ: all others are shared.
    pub(super) fn is_same(now: &Snapshot, before: &Snapshot) -> bool {
        let (mut changed, mut were) = (Snapshot::default(), Snapshot::default());
        now.changes_since(before, |kind, name| {
            if REFERRERS.contains(&kind) {
                now.get(kind, name)
                    .into_iter()
                    .for_each(|object| changed.insert(object));
                before
                    .get(kind, name)
                    .into_iter()
                    .for_each(|object| were.insert(object));
            }
        });
        References::of(&changed) == References::of(&were)
    }

    /// The interest of a snapshot, and of what is wanted besides, after a former one.
    pub(super) fn of(snapshot: &Snapshot, besides: References, former: &Self) -> Self {
        let mut references = References::of(snapshot);
        references.extend(besides);
        let same = former.is_known()
            && former.services.keys().eq(&references.services)
            && former.secrets.keys().eq(&references.secrets)
            && former.config_maps.keys().eq(&references.config_maps);
        if same {
            return former.clone();
        }
        let generation = former.generation + 1;
        let since = if former.is_known() { generation } else { 0 };
        let dated = |names: BTreeSet<NamespacedName>, former: &BTreeMap<NamespacedName, u64>| {
            let date = |name: NamespacedName| {
                let since = former.get(&name).copied().unwrap_or(since);
                (name, since)
            };
            names.into_iter().map(date).collect()
        };
        Self {
            generation,
            services: dated(references.services, &former.services),
            secrets: dated(references.secrets, &former.secrets),
            config_maps: dated(references.config_maps, &former.config_maps),
        }
    }

    /// Whether an object is worth keeping.
    pub(super) fn wants(&self, object: &Object) -> bool {
        match object {
            Object::EndpointSlice(slice) => {
                service_of(slice).is_some_and(|service| self.services.contains_key(&service))
            }
            Object::Secret(secret) => self.wants_content(Kind::Secret, &secret.metadata),
            Object::ConfigMap(config_map) => self.wants_content(Kind::ConfigMap, &config_map.metadata),
            _ => true,
        }
    }

    /// Whether the content of a Secret or ConfigMap is wanted, by its metadata.
    pub fn wants_content(&self, kind: Kind, metadata: &Metadata) -> bool {
        let labels = &metadata.labels;
        labels.get(CA_CERTIFICATE_LABEL).is_some_and(|value| value == "true")
            || (kind == Kind::Secret && labels.contains_key(CREDENTIAL_LABEL))
            || self.contents(kind).contains_key(&metadata.key())
    }

    /// The objects of a kind whose content is wanted, besides those that are marked by a label.
    pub fn contents(&self, kind: Kind) -> &BTreeMap<NamespacedName, u64> {
        if kind == Kind::ConfigMap {
            &self.config_maps
        } else {
            &self.secrets
        }
    }
}

fn service_of(slice: &EndpointSlice) -> Option<NamespacedName> {
    let name = slice.service_name()?;
    Some(NamespacedName::new(slice.metadata.namespace.clone(), name))
}
