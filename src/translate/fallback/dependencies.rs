//! Which objects depend on which: what an object refers to, read off the object alone. Pure.
//!
//! An edge is *essential* when the object must not be in force without the other one: a route without its plugin would
//! be open, a Service without its TLS policy would be spoken to in the clear. The certificate of a host is not: without
//! it the route goes on with the proxy's own, as when the Secret is missing.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{
        Kind, NameKey, NamespacedName, Object, Snapshot,
        gateway::{BackendRef, HttpRouteFilter, ParentReference},
        kong::{JsonObject, PluginFields},
        kubernetes::{IngressBackend, IngressTls, Metadata},
    },
    translate::annotations,
};

/// An object by kind and name.
pub type ObjectId = (Kind, NamespacedName);

/// What an object refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency {
    pub(super) on: ObjectId,
    /// Whether the object must not be in force without it.
    pub(super) essential: bool,
}

/// The edges between the objects of a snapshot, both ways.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    dependants: BTreeMap<ObjectId, Vec<ObjectId>>,
}

/// Kinds that nothing is read off, and that are no part of what is left out or kept: addresses, and what only governs.
pub(super) fn is_apart(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::EndpointSlice | Kind::Namespace | Kind::ProxyFleet | Kind::ReferenceGrant
    )
}

impl Dependencies {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut dependants: BTreeMap<ObjectId, Vec<ObjectId>> = BTreeMap::new();
        for kind in Kind::ALL.iter().copied().filter(|kind| !is_apart(*kind)) {
            for key in snapshot.keys(kind) {
                let Some(object) = snapshot.get(kind, &key) else {
                    continue;
                };
                for dependency in direct(&object, snapshot) {
                    if dependency.essential {
                        dependants.entry(dependency.on).or_default().push((kind, key.clone()));
                    }
                }
            }
        }
        Self { dependants }
    }

    /// The objects that must not be in force without some of these, those themselves included, each with the one of
    /// them that it goes with.
    pub(super) fn affected<'a>(&self, roots: impl Iterator<Item = &'a ObjectId>) -> BTreeMap<ObjectId, ObjectId> {
        let mut affected: BTreeMap<ObjectId, ObjectId> = roots.map(|root| (root.clone(), root.clone())).collect();
        let mut open: Vec<ObjectId> = affected.keys().cloned().collect();
        while let Some(id) = open.pop() {
            let root = affected[&id].clone();
            for dependant in self.dependants.get(&id).into_iter().flatten() {
                if !affected.contains_key(dependant) {
                    affected.insert(dependant.clone(), root.clone());
                    open.push(dependant.clone());
                }
            }
        }
        affected
    }
}

/// All that an object depends on, directly or by way of others, whether it is there or not; the object itself is not
/// among it.
pub(super) fn transitive(id: &ObjectId, snapshot: &Snapshot) -> BTreeSet<ObjectId> {
    let mut found = BTreeSet::new();
    let mut open = vec![id.clone()];
    while let Some((kind, key)) = open.pop() {
        let Some(object) = snapshot.get(kind, &key) else {
            continue;
        };
        for dependency in direct(&object, snapshot) {
            if dependency.on != *id && found.insert(dependency.on.clone()) {
                open.push(dependency.on);
            }
        }
    }
    found
}

/// What an object refers to itself.
pub(super) fn direct(object: &Object, snapshot: &Snapshot) -> Vec<Dependency> {
    let metadata = object.metadata();
    let mut edges = Edges {
        found: Vec::new(),
        namespace: &metadata.namespace,
        snapshot,
    };
    match object {
        Object::Ingress(ingress) => {
            edges.class(metadata, ingress.spec.ingress_class_name.as_deref());
            let paths = ingress.spec.rules.iter().filter_map(|rule| rule.http.as_ref());
            let backends = paths.flat_map(|http| &http.paths).map(|path| &path.backend);
            for backend in backends.chain(&ingress.spec.default_backend) {
                edges.ingress_backend(backend);
            }
            edges.tls(&ingress.spec.tls);
            edges.plugins(metadata);
        }
        Object::TCPIngress(ingress) => {
            edges.class(metadata, None);
            for rule in &ingress.spec.rules {
                edges.own(Kind::Service, &rule.backend.service_name);
            }
            edges.tls(&ingress.spec.tls);
            edges.plugins(metadata);
        }
        Object::UDPIngress(ingress) => {
            edges.class(metadata, None);
            for rule in &ingress.spec.rules {
                edges.own(Kind::Service, &rule.backend.service_name);
            }
            edges.plugins(metadata);
        }
        Object::HTTPRoute(route) => {
            edges.parents(&route.spec.parent_refs);
            for rule in &route.spec.rules {
                edges.filters(&rule.filters);
                for backend in &rule.backend_refs {
                    edges.backend(&backend.backend);
                    edges.filters(&backend.filters);
                }
            }
            edges.plugins(metadata);
        }
        Object::GRPCRoute(route) => {
            edges.parents(&route.spec.parent_refs);
            for rule in &route.spec.rules {
                edges.filters(&rule.filters);
                for backend in &rule.backend_refs {
                    edges.backend(&backend.backend);
                    edges.filters(&backend.filters);
                }
            }
            edges.plugins(metadata);
        }
        Object::TCPRoute(route) => edges.stream(metadata, &route.spec.parent_refs, &route.spec.rules),
        Object::UDPRoute(route) => edges.stream(metadata, &route.spec.parent_refs, &route.spec.rules),
        Object::TLSRoute(route) => edges.stream(metadata, &route.spec.parent_refs, &route.spec.rules),
        Object::Gateway(gateway) => {
            edges.cluster(Kind::GatewayClass, &gateway.spec.gateway_class_name);
            for reference in gateway.spec.certificate_refs() {
                let namespace = reference.namespace.as_deref();
                edges.add(Kind::Secret, edges.namespace_or_own(namespace), &reference.name, false);
            }
        }
        Object::Service(_) => {
            edges.service(metadata);
            edges.plugins(metadata);
        }
        Object::KongServiceFacade(facade) => {
            edges.own(Kind::Service, &facade.spec.backend_ref.name);
            edges.face(metadata);
            edges.plugins(metadata);
        }
        Object::BackendTLSPolicy(policy) => {
            for reference in &policy.spec.validation.ca_certificate_refs {
                match reference.kind.as_str() {
                    "Secret" => edges.own(Kind::Secret, &reference.name),
                    "ConfigMap" => edges.own(Kind::ConfigMap, &reference.name),
                    _ => {}
                }
            }
        }
        Object::KongPlugin(plugin) => edges.plugin(&plugin.plugin),
        Object::KongClusterPlugin(plugin) => edges.plugin(&plugin.plugin),
        Object::KongConsumer(consumer) => {
            for name in &consumer.credentials {
                edges.own(Kind::Secret, name);
            }
            for name in &consumer.consumer_groups {
                edges.own(Kind::KongConsumerGroup, name);
            }
            edges.plugins(metadata);
        }
        Object::KongConsumerGroup(_) => edges.plugins(metadata),
        Object::KongCustomEntity(entity) => {
            if let Some(parent) = &entity.spec.parent_ref {
                match parent.kind.as_deref() {
                    Some("KongClusterPlugin") => edges.cluster(Kind::KongClusterPlugin, &parent.name),
                    _ => {
                        let namespace = edges.namespace_or_own(parent.namespace.as_deref());
                        edges.add(Kind::KongPlugin, namespace, &parent.name, true);
                    }
                }
            }
            edges.vaults(&entity.spec.fields);
        }
        Object::IngressClass(class) => {
            if let Some(parameters) = &class.spec.parameters {
                let kind = Kind::IngressClassParameters;
                edges.add(kind, parameters.namespace.clone(), &parameters.name, false);
            }
        }
        Object::IngressClassParameters(_)
        | Object::KongUpstreamPolicy(_)
        | Object::KongVault(_)
        | Object::KongLicense(_)
        | Object::KongIngress(_)
        | Object::GatewayClass(_)
        | Object::Secret(_)
        | Object::ConfigMap(_)
        | Object::EndpointSlice(_)
        | Object::Namespace(_)
        | Object::ReferenceGrant(_)
        | Object::ProxyFleet(_) => {}
    }
    edges.found
}

struct Edges<'a> {
    found: Vec<Dependency>,
    /// The object's own.
    namespace: &'a str,
    snapshot: &'a Snapshot,
}

impl Edges<'_> {
    fn add(&mut self, kind: Kind, namespace: String, name: &str, essential: bool) {
        if !name.is_empty() {
            let on = (kind, NamespacedName::new(namespace, name));
            self.found.push(Dependency { on, essential });
        }
    }

    /// An object of the same namespace, without which this one must not be in force.
    fn own(&mut self, kind: Kind, name: &str) {
        self.add(kind, self.namespace.to_owned(), name, true);
    }

    fn cluster(&mut self, kind: Kind, name: &str) {
        self.add(kind, String::new(), name, true);
    }

    fn namespace_or_own(&self, namespace: Option<&str>) -> String {
        namespace
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or(self.namespace)
            .to_owned()
    }

    fn class(&mut self, metadata: &Metadata, name: Option<&str>) {
        let annotated = metadata.annotation(annotations::INGRESS_CLASS);
        if let Some(name) = annotated.filter(|name| !name.is_empty()).or(name) {
            self.cluster(Kind::IngressClass, name);
        }
    }

    fn ingress_backend(&mut self, backend: &IngressBackend) {
        if let Some(service) = &backend.service {
            self.own(Kind::Service, &service.name);
        }
        if let Some(resource) = &backend.resource
            && resource.kind == Kind::KongServiceFacade.name()
        {
            self.own(Kind::KongServiceFacade, &resource.name);
        }
    }

    fn tls(&mut self, tls: &[IngressTls]) {
        for entry in tls {
            self.add(Kind::Secret, self.namespace.to_owned(), &entry.secret_name, false);
        }
    }

    fn parents(&mut self, parents: &[ParentReference]) {
        for parent in parents {
            if matches!(parent.kind.as_deref(), None | Some("Gateway")) {
                let namespace = self.namespace_or_own(parent.namespace.as_deref());
                self.add(Kind::Gateway, namespace, &parent.name, true);
            }
        }
    }

    fn backend(&mut self, backend: &BackendRef) {
        if matches!(backend.kind.as_deref(), None | Some("Service")) {
            let namespace = self.namespace_or_own(backend.namespace.as_deref());
            self.add(Kind::Service, namespace, &backend.name, true);
        }
    }

    fn filters(&mut self, filters: &[HttpRouteFilter]) {
        for reference in filters.iter().filter_map(|filter| filter.extension_ref.as_ref()) {
            if reference.kind == Kind::KongPlugin.name() {
                self.plugin_named(&reference.name);
            }
        }
    }

    fn stream(
        &mut self,
        metadata: &Metadata,
        parents: &[ParentReference],
        rules: &[crate::model::gateway::StreamRouteRule],
    ) {
        self.parents(parents);
        for backend in rules.iter().flat_map(|rule| &rule.backend_refs) {
            self.backend(backend);
        }
        self.plugins(metadata);
    }

    /// What a Service and a KongServiceFacade say about what is made of them.
    fn face(&mut self, metadata: &Metadata) {
        let named = [
            (annotations::CLIENT_CERT, Kind::Secret),
            (annotations::CA_CERTIFICATES_SECRETS, Kind::Secret),
            (annotations::CA_CERTIFICATES_CONFIG_MAPS, Kind::ConfigMap),
            (annotations::OVERRIDE, Kind::KongIngress),
        ];
        for (annotation, kind) in named {
            for name in annotations::list(metadata.annotation(annotation).unwrap_or_default()) {
                self.own(kind, name);
            }
        }
        let policy = metadata.annotation(annotations::UPSTREAM_POLICY).unwrap_or_default();
        self.own(Kind::KongUpstreamPolicy, policy.trim());
    }

    fn service(&mut self, metadata: &Metadata) {
        self.face(metadata);
        let snapshot = self.snapshot;
        for (key, policy) in snapshot.backend_tls_policies.iter() {
            let is_target = |target: &crate::model::gateway::PolicyTargetReference| {
                target.kind == Kind::Service.name() && *target.name == *metadata.name
            };
            if *key.namespace == *self.namespace && policy.spec.target_refs.iter().any(is_target) {
                self.own(Kind::BackendTLSPolicy, &key.name);
            }
        }
    }

    fn plugins(&mut self, metadata: &Metadata) {
        for name in annotations::list(metadata.annotation(annotations::PLUGINS).unwrap_or_default()) {
            match name.split_once(':') {
                Some((namespace, plugin)) => {
                    self.add(Kind::KongPlugin, namespace.trim().to_owned(), plugin.trim(), true);
                }
                None => self.plugin_named(name),
            }
        }
    }

    /// The KongPlugin of that name goes before the KongClusterPlugin.
    fn plugin_named(&mut self, name: &str) {
        self.own(Kind::KongPlugin, name);
        let is_there = self
            .snapshot
            .plugins
            .contains_key(&(self.namespace, name) as &dyn NameKey);
        if !is_there {
            self.cluster(Kind::KongClusterPlugin, name);
        }
    }

    fn plugin(&mut self, plugin: &PluginFields) {
        let patches = plugin.config_patches.iter().map(|patch| &patch.value_from);
        for source in plugin.config_from.iter().chain(patches) {
            let reference = &source.secret_key_ref;
            // A KongPlugin takes from its own namespace only, whatever it says.
            let namespace = if self.namespace.is_empty() {
                reference.namespace.clone()
            } else {
                self.namespace.to_owned()
            };
            self.add(Kind::Secret, namespace, &reference.name, true);
        }
        if let Some(config) = &plugin.config {
            self.vaults(config);
        }
    }

    /// The vaults that references in a configuration lead to.
    fn vaults(&mut self, config: &JsonObject) {
        let snapshot = self.snapshot;
        for (key, vault) in snapshot.vaults.iter() {
            let reference = format!("{{vault://{}/", vault.spec.prefix);
            if config.values().any(|value| mentions(value, &reference)) {
                self.cluster(Kind::KongVault, &key.name);
            }
        }
    }
}

fn mentions(value: &serde_json::Value, text: &str) -> bool {
    match value {
        serde_json::Value::String(found) => found.contains(text),
        serde_json::Value::Array(items) => items.iter().any(|item| mentions(item, text)),
        serde_json::Value::Object(fields) => fields.values().any(|field| mentions(field, text)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
    }
}
