//! The part of a snapshot that a changed object has to do with: small enough to be translated while `kubectl` waits.
//!
//! Only what is translated by itself (routes, consumers, ...) is picked; what is looked up by name (Services, Secrets,
//! plugins, classes) stays whole, since it costs nothing until it is looked up. Pure.

use std::sync::Arc;

use crate::model::{
    Kind, NamespacedName, Object, Objects, Snapshot,
    gateway::{BackendRef, HttpBackendRef},
    kubernetes::{Ingress, IngressBackend, Metadata},
};

/// Most objects that are looked at beside the changed one.
const MAX_NEIGHBOURS: usize = 100;
/// Names the upstream policy of a Service.
const UPSTREAM_POLICY: &str = "konghq.com/upstream-policy";

/// The objects that are translated together with one that changes.
pub(super) fn around(object: &Object, snapshot: &Snapshot) -> Snapshot {
    let mut part = snapshot.clone();
    // Endpoints come and go: nobody is told of them here.
    part.endpoint_slices = Arc::default();
    part.ingresses = Arc::default();
    part.tcp_ingresses = Arc::default();
    part.udp_ingresses = Arc::default();
    part.http_routes = Arc::default();
    part.grpc_routes = Arc::default();
    part.tcp_routes = Arc::default();
    part.udp_routes = Arc::default();
    part.tls_routes = Arc::default();
    part.consumers = Arc::default();
    part.custom_entities = Arc::default();
    part.vaults = Arc::default();
    part.licenses = Arc::default();
    part.malformed = Arc::default();
    match object {
        Object::Ingress(ingress) => part.ingresses = rivals(ingress, snapshot),
        Object::Service(service) => keep_referrers(&[service.metadata.key()], snapshot, &mut part),
        Object::KongServiceFacade(facade) => {
            let metadata = &facade.metadata;
            part.ingresses = picked(&snapshot.ingresses, |ingress| {
                ingress.metadata.namespace == metadata.namespace
                    && backends(ingress).any(|backend| {
                        backend
                            .resource
                            .as_ref()
                            .is_some_and(|resource| *resource.name == *metadata.name)
                    })
            });
        }
        Object::KongUpstreamPolicy(policy) => {
            let metadata = &policy.metadata;
            let services = snapshot.services.iter().filter(|(key, service)| {
                key.namespace == metadata.namespace
                    && service.metadata.annotation(UPSTREAM_POLICY) == Some(&*metadata.name)
            });
            let services: Vec<_> = services.map(|(key, _)| key.clone()).take(MAX_NEIGHBOURS).collect();
            keep_referrers(&services, snapshot, &mut part);
        }
        _ => {}
    }
    part
}

/// Ingresses that may claim the same paths. When they are too many, conflicts are left to the status.
fn rivals(ingress: &Ingress, snapshot: &Snapshot) -> Objects<Ingress> {
    let hosts: Vec<&str> = ingress.spec.rules.iter().map(|rule| rule.host.as_str()).collect();
    let has_default = ingress.spec.default_backend.is_some();
    let rivals = picked(&snapshot.ingresses, |other| {
        (has_default && other.spec.default_backend.is_some())
            || other.spec.rules.iter().any(|rule| hosts.contains(&rule.host.as_str()))
    });
    if rivals.len() < MAX_NEIGHBOURS {
        rivals
    } else {
        Arc::default()
    }
}

/// The routes that lead to one of these Services.
fn keep_referrers(services: &[NamespacedName], snapshot: &Snapshot, part: &mut Snapshot) {
    if services.is_empty() {
        return;
    }
    let is_one = |namespace: &str, name: &str| {
        services
            .iter()
            .any(|service| *service.name == *name && *service.namespace == *namespace)
    };
    let leads = |metadata: &Metadata, backend: &BackendRef| {
        is_one(
            backend.namespace.as_deref().unwrap_or(&metadata.namespace),
            &backend.name,
        )
    };
    let leads_http =
        |metadata: &Metadata, refs: &[HttpBackendRef]| refs.iter().any(|one| leads(metadata, &one.backend));
    part.ingresses = picked(&snapshot.ingresses, |ingress| {
        backends(ingress).any(|backend| {
            backend
                .service
                .as_ref()
                .is_some_and(|service| is_one(&ingress.metadata.namespace, &service.name))
        })
    });
    part.http_routes = picked(&snapshot.http_routes, |route| {
        route
            .spec
            .rules
            .iter()
            .any(|rule| leads_http(&route.metadata, &rule.backend_refs))
    });
    part.grpc_routes = picked(&snapshot.grpc_routes, |route| {
        route
            .spec
            .rules
            .iter()
            .any(|rule| leads_http(&route.metadata, &rule.backend_refs))
    });
}

fn backends(ingress: &Ingress) -> impl Iterator<Item = &IngressBackend> {
    let rules = ingress.spec.rules.iter().flat_map(|rule| &rule.http);
    let backends = rules.flat_map(|http| &http.paths).map(|path| &path.backend);
    backends.chain(&ingress.spec.default_backend)
}

fn picked<T>(objects: &Objects<T>, is_wanted: impl Fn(&T) -> bool) -> Objects<T> {
    let wanted = objects.iter().filter(|(_, object)| is_wanted(object));
    let wanted = wanted.map(|(key, object)| (key.clone(), object.clone()));
    Arc::new(wanted.take(MAX_NEIGHBOURS).collect())
}

/// Whether objects of a kind are judged by what translation says of them.
pub(super) fn is_translated(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Ingress
            | Kind::TCPIngress
            | Kind::UDPIngress
            | Kind::HTTPRoute
            | Kind::GRPCRoute
            | Kind::TCPRoute
            | Kind::UDPRoute
            | Kind::TLSRoute
            | Kind::Gateway
            | Kind::Service
            | Kind::KongServiceFacade
            | Kind::KongUpstreamPolicy
            | Kind::KongPlugin
            | Kind::KongClusterPlugin
            | Kind::KongConsumer
            | Kind::KongConsumerGroup
            | Kind::KongVault
            | Kind::KongLicense
            | Kind::KongCustomEntity
            | Kind::Secret
            | Kind::ConfigMap
    )
}
