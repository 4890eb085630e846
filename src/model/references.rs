//! Which Services, Secrets and ConfigMaps objects refer to: what the store keeps, and what a review looks up. Pure.

use std::collections::BTreeSet;

use super::{
    NamespacedName, Snapshot,
    annotations::{CA_CERTIFICATES_CONFIG_MAPS, CA_CERTIFICATES_SECRETS, CLIENT_CERT},
    gateway::{BackendRef, BackendTLSPolicy, Gateway},
    kong::PluginFields,
    kubernetes::{Ingress, IngressTls, Metadata},
};

/// What the objects of a snapshot refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    pub(crate) services: BTreeSet<NamespacedName>,
    pub(crate) secrets: BTreeSet<NamespacedName>,
    pub(crate) config_maps: BTreeSet<NamespacedName>,
}

impl References {
    /// Adds what others refer to.
    pub fn extend(&mut self, others: Self) {
        self.services.extend(others.services);
        self.secrets.extend(others.secrets);
        self.config_maps.extend(others.config_maps);
    }

    /// Reads them off the objects.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut references = Self::default();
        references.of_ingresses(snapshot);
        references.of_gateways(snapshot);
        references.of_plugins_and_consumers(snapshot);
        references.of_services(snapshot);
        references
    }

    fn of_ingresses(&mut self, snapshot: &Snapshot) {
        for ingress in snapshot.ingresses.values() {
            let metadata = &ingress.metadata;
            for name in services_of_ingress(ingress) {
                self.service(metadata, name);
            }
            self.tls(metadata, &ingress.spec.tls);
        }
        for ingress in snapshot.tcp_ingresses.values() {
            for rule in &ingress.spec.rules {
                self.service(&ingress.metadata, &rule.backend.service_name);
            }
            self.tls(&ingress.metadata, &ingress.spec.tls);
        }
        for ingress in snapshot.udp_ingresses.values() {
            for rule in &ingress.spec.rules {
                self.service(&ingress.metadata, &rule.backend.service_name);
            }
        }
        for facade in snapshot.service_facades.values() {
            self.service(&facade.metadata, &facade.spec.backend_ref.name);
        }
    }

    fn of_gateways(&mut self, snapshot: &Snapshot) {
        for route in snapshot.http_routes.values() {
            let rules = route.spec.rules.iter();
            let backends = rules
                .flat_map(|rule| &rule.backend_refs)
                .map(|backend| &backend.backend);
            self.backends(&route.metadata, backends);
        }
        for route in snapshot.grpc_routes.values() {
            let rules = route.spec.rules.iter();
            let backends = rules
                .flat_map(|rule| &rule.backend_refs)
                .map(|backend| &backend.backend);
            self.backends(&route.metadata, backends);
        }
        let streams = snapshot.tcp_routes.values().map(|route| (&route.metadata, &route.spec));
        let streams = streams.chain(snapshot.udp_routes.values().map(|route| (&route.metadata, &route.spec)));
        let streams = streams.chain(snapshot.tls_routes.values().map(|route| (&route.metadata, &route.spec)));
        for (metadata, spec) in streams {
            self.backends(metadata, spec.rules.iter().flat_map(|rule| &rule.backend_refs));
        }
        for gateway in snapshot.gateways.values() {
            self.secrets_of_gateway(gateway);
        }
        for policy in snapshot.backend_tls_policies.values() {
            self.certificates_of_policy(policy);
        }
    }

    fn of_plugins_and_consumers(&mut self, snapshot: &Snapshot) {
        for plugin in snapshot.plugins.values() {
            self.secrets_of_plugin(&plugin.metadata, &plugin.plugin);
        }
        for plugin in snapshot.cluster_plugins.values() {
            self.secrets_of_plugin(&plugin.metadata, &plugin.plugin);
        }
        for consumer in snapshot.consumers.values() {
            for name in &consumer.credentials {
                insert(&mut self.secrets, &consumer.metadata, name);
            }
        }
    }

    fn of_services(&mut self, snapshot: &Snapshot) {
        let services = snapshot.services.values().map(|service| &service.metadata);
        let facades = snapshot.service_facades.values().map(|facade| &facade.metadata);
        for metadata in services.chain(facades) {
            if metadata.annotations.is_empty() {
                continue;
            }
            for name in [CLIENT_CERT, CA_CERTIFICATES_SECRETS] {
                for secret in names(metadata.annotation(name)) {
                    insert(&mut self.secrets, metadata, secret);
                }
            }
            for config_map in names(metadata.annotation(CA_CERTIFICATES_CONFIG_MAPS)) {
                insert(&mut self.config_maps, metadata, config_map);
            }
        }
    }

    fn service(&mut self, referrer: &Metadata, name: &str) {
        insert(&mut self.services, referrer, name);
    }

    fn tls(&mut self, referrer: &Metadata, tls: &[IngressTls]) {
        for entry in tls {
            insert(&mut self.secrets, referrer, &entry.secret_name);
        }
    }

    fn backends<'a>(&mut self, referrer: &Metadata, backends: impl Iterator<Item = &'a BackendRef>) {
        for backend in backends {
            insert_in(
                &mut self.services,
                backend.namespace.as_deref(),
                referrer,
                &backend.name,
            );
        }
    }

    fn secrets_of_gateway(&mut self, gateway: &Gateway) {
        for reference in gateway.spec.certificate_refs() {
            let namespace = reference.namespace.as_deref();
            insert_in(&mut self.secrets, namespace, &gateway.metadata, &reference.name);
        }
    }

    fn certificates_of_policy(&mut self, policy: &BackendTLSPolicy) {
        for reference in &policy.spec.validation.ca_certificate_refs {
            let names = match reference.kind.as_str() {
                "Secret" => &mut self.secrets,
                "ConfigMap" => &mut self.config_maps,
                _ => continue,
            };
            insert(names, &policy.metadata, &reference.name);
        }
    }

    fn secrets_of_plugin(&mut self, referrer: &Metadata, plugin: &PluginFields) {
        let patches = plugin.config_patches.iter().map(|patch| &patch.value_from);
        for source in plugin.config_from.iter().chain(patches) {
            let reference = &source.secret_key_ref;
            // A KongPlugin takes from its own namespace only, whatever it says.
            let namespace = referrer.namespace.is_empty().then_some(reference.namespace.as_str());
            insert_in(&mut self.secrets, namespace, referrer, &reference.name);
        }
    }
}

fn services_of_ingress(ingress: &Ingress) -> impl Iterator<Item = &str> {
    let rules = ingress.spec.rules.iter().flat_map(|rule| &rule.http);
    let backends = rules.flat_map(|http| &http.paths).map(|path| &path.backend);
    let backends = backends.chain(&ingress.spec.default_backend);
    backends
        .filter_map(|backend| backend.service.as_ref())
        .map(|service| service.name.as_str())
}

fn names(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').map(str::trim)
}

fn insert(names: &mut BTreeSet<NamespacedName>, referrer: &Metadata, name: &str) {
    if !name.is_empty() {
        names.insert(NamespacedName::new(referrer.namespace.clone(), name));
    }
}

fn insert_in(names: &mut BTreeSet<NamespacedName>, namespace: Option<&str>, referrer: &Metadata, name: &str) {
    match namespace {
        Some(namespace) if !namespace.is_empty() && !name.is_empty() => {
            names.insert(NamespacedName::new(namespace, name));
        }
        _ => insert(names, referrer, name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::{Kind, Object};

    fn snapshot(objects: Vec<(Kind, Value)>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (kind, mut value) in objects {
            value["metadata"]["name"] = json!("it");
            if kind.is_namespaced() {
                value["metadata"]["namespace"] = json!("shop");
            }
            snapshot.insert(Object::from_json(kind, value).expect("it fits"));
        }
        snapshot
    }

    fn texts(names: &BTreeSet<NamespacedName>) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_kind_that_leads_to_services_is_followed() {
        let backends = json!([{"name": "same"}, {"name": "other", "namespace": "far"}]);
        let route = || json!({"spec": {"rules": [{"backendRefs": backends}]}});
        for kind in [
            Kind::HTTPRoute,
            Kind::GRPCRoute,
            Kind::TCPRoute,
            Kind::UDPRoute,
            Kind::TLSRoute,
        ] {
            let found = References::of(&snapshot(vec![(kind, route())]));
            assert_eq!(texts(&found.services), ["far/other", "shop/same"], "{}", kind.name());
        }
        let stream = json!({"spec": {"rules": [{"port": 9, "backend": {"serviceName": "db", "servicePort": 1}}]}});
        let facade = json!({"spec": {"backendRef": {"name": "db", "port": 1}}});
        for (kind, value) in [
            (Kind::TCPIngress, stream.clone()),
            (Kind::UDPIngress, stream),
            (Kind::KongServiceFacade, facade),
        ] {
            let found = References::of(&snapshot(vec![(kind, value)]));
            assert_eq!(texts(&found.services), ["shop/db"], "{}", kind.name());
        }
    }

    #[test]
    fn every_kind_that_needs_secrets_or_config_maps_is_followed() {
        let from = |namespace: &str| json!({"secretKeyRef": {"name": "a", "key": "k", "namespace": namespace}});
        let patch = json!([{"path": "/x", "valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}}]);
        let certificate = json!([{"name": "a"}, {"name": "b", "namespace": "far"}]);
        let authorities = json!([
            {"group": "", "kind": "ConfigMap", "name": "m"},
            {"group": "", "kind": "Secret", "name": "s"},
        ]);
        let annotations = json!({
            "konghq.com/client-cert": "c",
            "konghq.com/ca-certificates-secrets": "d, e",
            "konghq.com/ca-certificates-configmaps": "m",
        });
        let cases = vec![
            (
                Kind::KongPlugin,
                json!({"plugin": "p", "configFrom": from("far")}),
                vec!["shop/a"],
                vec![],
            ),
            (
                Kind::KongPlugin,
                json!({"plugin": "p", "configPatches": patch}),
                vec!["shop/b"],
                vec![],
            ),
            (
                Kind::KongClusterPlugin,
                json!({"plugin": "p", "configFrom": from("far")}),
                vec!["far/a"],
                vec![],
            ),
            (
                Kind::KongConsumer,
                json!({"credentials": ["a", "b"]}),
                vec!["shop/a", "shop/b"],
                vec![],
            ),
            (
                Kind::TCPIngress,
                json!({"spec": {"tls": [{"secretName": "t"}]}}),
                vec!["shop/t"],
                vec![],
            ),
            (
                Kind::Gateway,
                json!({"spec": {"listeners": [{"name": "l", "port": 1, "protocol": "HTTPS", "tls": {"certificateRefs": certificate}}]}}),
                vec!["far/b", "shop/a"],
                vec![],
            ),
            (
                Kind::BackendTLSPolicy,
                json!({"spec": {"validation": {"caCertificateRefs": authorities}}}),
                vec!["shop/s"],
                vec!["shop/m"],
            ),
            (
                Kind::Service,
                json!({"metadata": {"annotations": annotations}}),
                vec!["shop/c", "shop/d", "shop/e"],
                vec!["shop/m"],
            ),
            (
                Kind::KongServiceFacade,
                json!({"metadata": {"annotations": annotations}, "spec": {"backendRef": {"name": "web", "port": 80}}}),
                vec!["shop/c", "shop/d", "shop/e"],
                vec!["shop/m"],
            ),
        ];
        for (kind, value, secrets, config_maps) in cases {
            let found = References::of(&snapshot(vec![(kind, value)]));
            assert_eq!(
                (texts(&found.secrets), texts(&found.config_maps)),
                (
                    secrets.into_iter().map(str::to_owned).collect(),
                    config_maps.into_iter().map(str::to_owned).collect(),
                ),
                "{}",
                kind.name()
            );
        }
    }
}
