//! What an object says, with all that it refers to.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    model::{
        Digest, Kind, NamespacedName, Object, Snapshot,
        gateway::{HttpRouteFilter, ParentReference},
        kubernetes::{Ingress, Metadata},
    },
    store::References,
};

/// Objects that one may refer to, directly or by way of others.
const MOST: usize = 500;
const PLUGINS: &str = "konghq.com/plugins";
const UPSTREAM_POLICY: &str = "konghq.com/upstream-policy";
const OVERRIDE: &str = "konghq.com/override";
const INGRESS_CLASS: &str = "kubernetes.io/ingress.class";

/// One object and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    #[serde(flatten)]
    pub name: NamespacedName,
    /// What it says; `None` if there is no such object. That is content too: it may appear.
    pub digest: Option<Digest>,
}

/// The object of that name, then everything that it refers to, by way of others too. Endpoints are none of it: they
/// change by themselves.
pub fn contents(snapshot: &Snapshot, kind: Kind, name: &NamespacedName) -> Vec<Content> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([(kind, name.clone())]);
    let mut next = VecDeque::from([(kind, name.clone())]);
    while let Some((kind, name)) = next.pop_front() {
        let object = snapshot.get(kind, &name);
        if let Some(object) = &object {
            for reference in references(object) {
                if seen.len() < MOST && seen.insert(reference.clone()) {
                    next.push_back(reference);
                }
            }
        }
        found.push(Content {
            kind,
            name,
            digest: object.and_then(|object| object.metadata().digest),
        });
    }
    found
}

/// What an object refers to itself.
fn references(object: &Object) -> Vec<(Kind, NamespacedName)> {
    let metadata = object.metadata();
    let mut found = of_annotations(metadata);
    let mut alone = Snapshot::default();
    alone.insert(object.clone());
    let references = References::of(&alone);
    found.extend(references.services.into_iter().map(|name| (Kind::Service, name)));
    found.extend(references.secrets.into_iter().map(|name| (Kind::Secret, name)));
    found.extend(references.config_maps.into_iter().map(|name| (Kind::ConfigMap, name)));
    match object {
        Object::Ingress(ingress) => of_ingress(ingress, &mut found),
        Object::KongConsumer(consumer) => {
            let groups = consumer.consumer_groups.iter();
            found.extend(groups.map(|name| (Kind::KongConsumerGroup, beside(metadata, name))));
        }
        Object::KongCustomEntity(entity) => {
            if let Some(parent) = &entity.spec.parent_ref {
                match parent.kind.as_deref() {
                    Some("KongClusterPlugin") => found.push((Kind::KongClusterPlugin, of_cluster(&parent.name))),
                    _ => found.push((Kind::KongPlugin, beside(metadata, &parent.name))),
                }
            }
        }
        Object::Gateway(gateway) => found.push((Kind::GatewayClass, of_cluster(&gateway.spec.gateway_class_name))),
        Object::HTTPRoute(route) => {
            of_parents(metadata, &route.spec.parent_refs, &mut found);
            for rule in &route.spec.rules {
                of_filters(metadata, &rule.filters, &mut found);
            }
        }
        Object::GRPCRoute(route) => {
            of_parents(metadata, &route.spec.parent_refs, &mut found);
            for rule in &route.spec.rules {
                of_filters(metadata, &rule.filters, &mut found);
            }
        }
        Object::TCPRoute(route) => of_parents(metadata, &route.spec.parent_refs, &mut found),
        Object::UDPRoute(route) => of_parents(metadata, &route.spec.parent_refs, &mut found),
        Object::TLSRoute(route) => of_parents(metadata, &route.spec.parent_refs, &mut found),
        _ => {}
    }
    found
}

fn of_annotations(metadata: &Metadata) -> Vec<(Kind, NamespacedName)> {
    let mut found = Vec::new();
    let values = |name| {
        let value = metadata.annotation(name).unwrap_or_default();
        value.split(',').map(str::trim).filter(|value| !value.is_empty())
    };
    for plugin in values(PLUGINS) {
        // Of another namespace: namespace:name.
        match plugin.split_once(':') {
            Some((namespace, name)) => found.push((Kind::KongPlugin, NamespacedName::new(namespace, name))),
            None => {
                found.push((Kind::KongPlugin, beside(metadata, plugin)));
                found.push((Kind::KongClusterPlugin, of_cluster(plugin)));
            }
        }
    }
    found.extend(values(UPSTREAM_POLICY).map(|name| (Kind::KongUpstreamPolicy, beside(metadata, name))));
    found.extend(values(OVERRIDE).map(|name| (Kind::KongIngress, beside(metadata, name))));
    found.extend(values(INGRESS_CLASS).map(|name| (Kind::IngressClass, of_cluster(name))));
    found
}

fn of_ingress(ingress: &Ingress, found: &mut Vec<(Kind, NamespacedName)>) {
    if let Some(class) = &ingress.spec.ingress_class_name {
        found.push((Kind::IngressClass, of_cluster(class)));
    }
    let rules = ingress.spec.rules.iter().flat_map(|rule| &rule.http);
    let backends = rules.flat_map(|http| &http.paths).map(|path| &path.backend);
    let resources = backends
        .chain(&ingress.spec.default_backend)
        .filter_map(|backend| backend.resource.as_ref());
    for resource in resources {
        if resource.kind == Kind::KongServiceFacade.name() {
            found.push((Kind::KongServiceFacade, beside(&ingress.metadata, &resource.name)));
        }
    }
}

fn of_parents(metadata: &Metadata, parents: &[ParentReference], found: &mut Vec<(Kind, NamespacedName)>) {
    for parent in parents {
        let namespace = parent.namespace.as_deref().unwrap_or(&metadata.namespace);
        found.push((Kind::Gateway, NamespacedName::new(namespace, parent.name.as_str())));
    }
}

fn of_filters(metadata: &Metadata, filters: &[HttpRouteFilter], found: &mut Vec<(Kind, NamespacedName)>) {
    let references = filters.iter().filter_map(|filter| filter.extension_ref.as_ref());
    found.extend(references.map(|reference| (Kind::KongPlugin, beside(metadata, &reference.name))));
}

fn beside(metadata: &Metadata, name: &str) -> NamespacedName {
    NamespacedName::new(metadata.namespace.clone(), name)
}

fn of_cluster(name: &str) -> NamespacedName {
    NamespacedName::new("", name)
}
