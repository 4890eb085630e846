//! Which Services and Secrets are referred to. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    NamespacedName, Object, Snapshot,
    kubernetes::{EndpointSlice, Ingress, IngressBackend, Metadata, Service},
};

/// Marks a Secret as a credential of a consumer.
pub const CREDENTIAL_LABEL: &str = "konghq.com/credential";

/// Marks a Secret as a CA certificate.
pub const CA_CERTIFICATE_LABEL: &str = "konghq.com/ca-cert";

/// Annotations of a Service that name Secrets of its namespace, separated by commas.
const SECRET_ANNOTATIONS: [&str; 2] = ["konghq.com/client-cert", "konghq.com/ca-certificates-secrets"];

/// What a source should fetch: the Services whose EndpointSlices are wanted, and the Secrets whose content is.
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
}

impl Interest {
    /// Whether it is known what is referred to.
    pub fn is_known(&self) -> bool {
        self.generation > 0
    }

    /// The interest of a snapshot, after a former one.
    pub(super) fn of(snapshot: &Snapshot, always: &BTreeSet<NamespacedName>, former: &Self) -> Self {
        let mut services = always.clone();
        let mut secrets = BTreeSet::new();
        for ingress in snapshot.ingresses.values() {
            services.extend(services_of(ingress));
            secrets.extend(secrets_of_ingress(ingress));
        }
        for service in snapshot.services.values() {
            secrets.extend(secrets_of_service(service));
        }
        let same = former.is_known() && former.services.keys().eq(&services) && former.secrets.keys().eq(&secrets);
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
            services: dated(services, &former.services),
            secrets: dated(secrets, &former.secrets),
        }
    }

    /// Whether an object is worth keeping.
    pub(super) fn wants(&self, object: &Object) -> bool {
        match object {
            Object::EndpointSlice(slice) => {
                service_of(slice).is_some_and(|service| self.services.contains_key(&service))
            }
            Object::Secret(secret) => self.wants_secret(&secret.metadata),
            _ => true,
        }
    }

    /// Whether a Secret's content is wanted, by its metadata.
    pub fn wants_secret(&self, metadata: &Metadata) -> bool {
        let labels = &metadata.labels;
        labels.contains_key(CREDENTIAL_LABEL)
            || labels.get(CA_CERTIFICATE_LABEL).is_some_and(|value| value == "true")
            || self.secrets.contains_key(&metadata.key())
    }
}

fn service_of(slice: &EndpointSlice) -> Option<NamespacedName> {
    let name = slice.service_name()?;
    Some(NamespacedName::new(slice.metadata.namespace.clone(), name))
}

fn services_of(ingress: &Ingress) -> impl Iterator<Item = NamespacedName> {
    let namespace = &ingress.metadata.namespace;
    let rules = ingress.spec.rules.iter().flat_map(|rule| &rule.http);
    let backends = rules.flat_map(|http| &http.paths).map(|path| &path.backend);
    let backends = backends.chain(&ingress.spec.default_backend);
    let name = |backend: &IngressBackend| backend.service.as_ref().map(|service| service.name.clone());
    backends
        .filter_map(name)
        .map(|name| NamespacedName::new(namespace.clone(), name))
}

fn secrets_of_ingress(ingress: &Ingress) -> impl Iterator<Item = NamespacedName> {
    let namespace = &ingress.metadata.namespace;
    let names = ingress.spec.tls.iter().map(|tls| tls.secret_name.as_str());
    names
        .filter(|name| !name.is_empty())
        .map(|name| NamespacedName::new(namespace.clone(), name))
}

fn secrets_of_service(service: &Service) -> impl Iterator<Item = NamespacedName> {
    let metadata = &service.metadata;
    let lists = SECRET_ANNOTATIONS.iter().filter_map(|name| metadata.annotation(name));
    let names = lists.flat_map(|list| list.split(',')).map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(|name| NamespacedName::new(metadata.namespace.clone(), name))
}
