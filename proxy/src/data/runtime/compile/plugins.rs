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
            // No plugin here tells who sends a request: what is for one consumer, or a group, never applies.
            if plugin.consumer.is_some() || plugin.consumer_group.is_some() {
                continue;
            }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_for_one_consumer_is_not_for_everybody() {
        let plugins: Vec<Arc<Plugin>> = serde_json::from_value(json!([
            {"name": "request-termination", "consumer": "alice"},
            {"name": "request-termination", "consumer_group": "gold", "route": "r"},
            {"name": "request-termination", "consumer": "alice", "service": "s"},
            {"name": "request-termination", "route": "r", "instance_name": "for all"},
        ]))
        .expect("plugins");
        let separate = SeparatePlugins::of(&plugins);
        assert!(separate.global.is_empty());
        let route = Route {
            name: Some("r".to_owned()),
            ..Route::default()
        };
        let of_route = separate.of_route(&route);
        assert_eq!(of_route.len(), 1);
        assert_eq!(of_route[0].instance_name.as_deref(), Some("for all"));
        let service = Service {
            name: Some("s".to_owned()),
            ..Service::default()
        };
        assert!(separate.of_service(&service).is_empty());
    }
}
