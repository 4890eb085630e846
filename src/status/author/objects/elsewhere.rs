//! Which plugins objects name, of whatever class: one that is in no configuration here may be another controller's. Pure.
//!
//! Called by [`super::ObjectConditions`] for what it has found in the cluster and has not judged itself.

use std::{collections::HashSet, sync::Arc};

use crate::model::{
    Kind, Snapshot,
    annotations::{ANNOTATIONS, PLUGINS},
    gateway::HttpRouteFilter,
};

/// Names of plugins with the namespaces in which they are looked for; KongClusterPlugins are in none.
#[derive(Debug, Default)]
pub(super) struct Named(HashSet<(Arc<str>, Arc<str>)>);

impl Named {
    /// Whether an object names this plugin.
    pub(super) fn has(&self, namespace: &Arc<str>, name: &Arc<str>) -> bool {
        self.0.contains(&(namespace.clone(), name.clone()))
    }

    /// What all objects name, by annotation or in a filter of a route.
    pub(super) fn by(snapshot: &Snapshot) -> Self {
        let mut named = Self::default();
        let kinds = ANNOTATIONS.iter().find(|annotation| annotation.name == PLUGINS);
        for kind in kinds.into_iter().flat_map(|annotation| annotation.kinds) {
            for key in snapshot.keys(*kind) {
                let metadata = snapshot.metadata(*kind, &key);
                let plugins = metadata.and_then(|metadata| metadata.annotation(PLUGINS));
                for plugin in plugins.unwrap_or_default().split(',') {
                    let (namespace, name) = plugin
                        .trim()
                        .split_once(':')
                        .unwrap_or((&*key.namespace, plugin.trim()));
                    named.add(namespace, name);
                }
            }
        }
        for route in snapshot.http_routes.values() {
            for rule in &route.spec.rules {
                named.filters(&route.metadata.namespace, &rule.filters);
            }
        }
        for route in snapshot.grpc_routes.values() {
            for rule in &route.spec.rules {
                named.filters(&route.metadata.namespace, &rule.filters);
            }
        }
        named
    }

    fn filters(&mut self, namespace: &str, filters: &[HttpRouteFilter]) {
        for reference in filters.iter().filter_map(|filter| filter.extension_ref.as_ref()) {
            if reference.kind == Kind::KongPlugin.name() {
                self.add(namespace, &reference.name);
            }
        }
    }

    fn add(&mut self, namespace: &str, name: &str) {
        for namespace in [namespace, ""] {
            self.0.insert((namespace.into(), name.into()));
        }
    }
}
