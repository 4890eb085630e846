//! What stands in for a plugin that can't be had: nothing runs without its protection (DESIGN.md §3 rule 7). Pure.
//!
//! A plugin `request-termination` answers 503 for the route, the service, the consumer, or all requests. Of several
//! plugins of one type Kong runs the one with the narrowest scope, so that a `request-termination` of the user's own
//! could stand in front of it and let requests pass that lack its trigger.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proxy_config_schema::{Configuration, JsonObject, Plugin, Reference};
use serde_json::json;

use super::{attachment::Target, combine::Scope};
use crate::translate::Settings;

/// The type of the plugin that closes.
const CLOSING: &str = "request-termination";

/// What lacks a plugin.
#[derive(Debug, Default)]
pub(in crate::translate) struct Closed {
    services: BTreeSet<Arc<str>>,
    routes: BTreeSet<Arc<str>>,
    consumers: BTreeSet<Arc<str>>,
    groups: BTreeSet<Arc<str>>,
    everything: bool,
}

/// The consumers of each group, by what others refer to them with.
pub(in crate::translate) type Members = BTreeMap<Arc<str>, Vec<Arc<str>>>;

impl Closed {
    pub(in crate::translate) fn add(&mut self, target: Target) {
        match target {
            Target::Service(name) => self.services.insert(name),
            Target::Route(name) => self.routes.insert(name),
            Target::Consumer(name) => self.consumers.insert(name),
            Target::ConsumerGroup(name) => self.groups.insert(name),
        };
    }

    pub(super) fn add_everything(&mut self) {
        self.everything = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        let Self {
            services,
            routes,
            consumers,
            groups,
            everything,
        } = self;
        services.is_empty() && routes.is_empty() && consumers.is_empty() && groups.is_empty() && !everything
    }

    /// Closes all of it in the configuration.
    pub(super) fn apply(mut self, members: &Members, settings: &Settings, configuration: &mut Configuration) {
        for group in std::mem::take(&mut self.groups) {
            // Closed by its consumers: not every Kong takes this plugin for a group.
            self.consumers
                .extend(members.get(&group).into_iter().flatten().cloned());
        }
        if self.is_empty() {
            return;
        }
        if !settings.profile.has_plugin(CLOSING) {
            self.take_away(configuration);
            return;
        }
        let all_routes = self.affected_routes(configuration);
        self.override_own(&all_routes, configuration);
        for service in &mut configuration.services {
            let is_affected = service.name.as_deref().is_some_and(|name| self.services.contains(name))
                || service
                    .routes
                    .iter()
                    .any(|route| route.name.as_deref().is_some_and(|name| self.routes.contains(name)));
            if !is_affected {
                continue;
            }
            let service = Arc::make_mut(service);
            let is_named = |names: &BTreeSet<Arc<str>>, name: &Option<String>| {
                name.as_deref().is_some_and(|name| names.contains(name))
            };
            if is_named(&self.services, &service.name) {
                close(&mut service.plugins);
            }
            for route in &mut service.routes {
                if is_named(&self.routes, &route.name) {
                    close(&mut Arc::make_mut(route).plugins);
                }
            }
        }
        let mut scopes: Vec<_> = self
            .consumers
            .into_iter()
            .map(|consumer| Scope {
                consumer: Some(consumer),
                ..Scope::default()
            })
            .collect();
        if self.everything {
            scopes.push(Scope::default());
        }
        for scope in scopes {
            let mut plugin = termination();
            plugin.id = Some(scope.id(settings.workspace(), CLOSING));
            scope.apply(&mut plugin);
            configuration.plugins.push(plugin.into());
        }
    }

    /// Every route that shall answer 503.
    fn affected_routes(&self, configuration: &Configuration) -> BTreeSet<String> {
        let mut routes = BTreeSet::new();
        for service in &configuration.services {
            let is_closed = self.everything || service.name.as_deref().is_some_and(|name| self.services.contains(name));
            let names = service.routes.iter().filter_map(|route| route.name.as_deref());
            routes.extend(
                names
                    .filter(|name| is_closed || self.routes.contains(*name))
                    .map(str::to_owned),
            );
        }
        routes
    }

    /// Takes away what refers to the same, and makes terminate always what stands in front and has a trigger.
    fn override_own(&self, routes: &BTreeSet<String>, configuration: &mut Configuration) {
        let routes_of: BTreeMap<String, bool> = configuration
            .services
            .iter()
            .filter_map(|service| {
                let mut names = service.routes.iter().filter_map(|route| route.name.as_deref());
                Some((service.name.clone()?, names.any(|name| routes.contains(name))))
            })
            .collect();
        configuration.plugins.retain(|plugin| {
            if plugin.name != CLOSING {
                return true;
            }
            let is_same = match Scope::of(plugin) {
                Scope {
                    service: Some(name),
                    route: None,
                    consumer: None,
                    group: None,
                } => self.services.contains(&name),
                Scope {
                    service: None,
                    route: Some(name),
                    consumer: None,
                    group: None,
                } => self.routes.contains(&name),
                Scope {
                    service: None,
                    route: None,
                    consumer: Some(name),
                    group: None,
                } => self.consumers.contains(&name),
                Scope {
                    service: None,
                    route: None,
                    consumer: None,
                    group: None,
                } => self.everything,
                _ => false,
            };
            !is_same
        });
        for plugin in &mut configuration.plugins {
            if plugin.name != CLOSING || !has_trigger(plugin) {
                continue;
            }
            let scope = Scope::of(plugin);
            let is_in_front = match &scope {
                Scope {
                    consumer: Some(consumer),
                    ..
                } if self.consumers.contains(consumer) => true,
                Scope { route: Some(route), .. } => routes.contains(&**route),
                Scope {
                    service: Some(service), ..
                } => routes_of.get(&**service).copied().unwrap_or_default(),
                Scope { consumer, group, .. } => (consumer.is_some() || group.is_some()) && !routes.is_empty(),
            };
            if is_in_front {
                Arc::make_mut(plugin).config = termination().config;
            }
        }
    }

    /// For proxies without the plugin: there is no such route then, and the consumer has nothing to show.
    fn take_away(&self, configuration: &mut Configuration) {
        let routes = self.affected_routes(configuration);
        for service in &mut configuration.services {
            let is_open = |name: &Option<String>| name.as_deref().is_none_or(|name| !routes.contains(name));
            if service.routes.iter().any(|route| !is_open(&route.name)) {
                Arc::make_mut(service).routes.retain(|route| is_open(&route.name));
            }
        }
        configuration.plugins.retain(|plugin| {
            let route = plugin.route.as_ref().map(Reference::key);
            route.is_none_or(|route| !routes.contains(route))
        });
        for consumer in &mut configuration.consumers {
            let names = [&consumer.username, &consumer.id];
            let is_closed = names
                .into_iter()
                .flatten()
                .any(|name| self.consumers.contains(name.as_str()));
            if is_closed {
                let open = proxy_config_schema::Consumer {
                    id: consumer.id.clone(),
                    username: consumer.username.clone(),
                    custom_id: consumer.custom_id.clone(),
                    tags: consumer.tags.clone(),
                    ..proxy_config_schema::Consumer::default()
                };
                *consumer = open.into();
            }
        }
    }
}

/// Lets a request pass unless something in it is there.
fn has_trigger(plugin: &Plugin) -> bool {
    let config = plugin.config.as_ref();
    config
        .and_then(|config| config.get("trigger"))
        .is_some_and(|trigger| !trigger.is_null())
}

fn close(plugins: &mut Vec<Plugin>) {
    plugins.retain(|plugin| plugin.name != CLOSING);
    plugins.push(termination());
}

/// Answers 503 instead of passing a request on.
fn termination() -> Plugin {
    let mut config = JsonObject::new();
    config.insert("status_code".to_owned(), json!(503));
    config.insert("message".to_owned(), json!("a plugin of this route is missing"));
    Plugin {
        name: CLOSING.to_owned(),
        config: Some(config.into()),
        ..Plugin::default()
    }
}
