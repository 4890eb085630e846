//! Which plugins are for which route: nested ones, and those that stand apart and refer to it.

use std::{collections::HashMap, sync::Arc};

use proxy_config_schema::{Plugin, Route, Service};

/// Plugins that stand apart from what they are for.
#[derive(Default)]
pub(super) struct SeparatePlugins<'a> {
    /// Those for every request.
    pub(super) global: Vec<&'a Plugin>,
    of_services: HashMap<&'a str, Vec<&'a Plugin>>,
    of_routes: HashMap<&'a str, Vec<&'a Plugin>>,
}

impl<'a> SeparatePlugins<'a> {
    pub(super) fn of(plugins: &'a [Arc<Plugin>]) -> Self {
        let mut separate = Self::default();
        for plugin in plugins {
            match (&plugin.route, &plugin.service) {
                (Some(route), _) => separate.of_routes.entry(route.key()).or_default().push(plugin),
                (None, Some(service)) => separate.of_services.entry(service.key()).or_default().push(plugin),
                (None, None) => separate.global.push(plugin),
            }
        }
        separate
    }

    /// Those of a route.
    pub(super) fn of_route(&self, route: &'a Route) -> Vec<&'a Plugin> {
        let keys = [route.id.as_deref(), route.name.as_deref()];
        let separate = keys.into_iter().flatten().filter_map(|key| self.of_routes.get(key));
        route.plugins.iter().chain(separate.flatten().copied()).collect()
    }

    /// Those of a service, for all of its routes.
    pub(super) fn of_service(&self, service: &'a Service) -> Vec<&'a Plugin> {
        let keys = [service.id.as_deref(), service.name.as_deref()];
        let separate = keys.into_iter().flatten().filter_map(|key| self.of_services.get(key));
        service.plugins.iter().chain(separate.flatten().copied()).collect()
    }
}
