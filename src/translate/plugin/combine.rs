//! A plugin and what it is attached to -> plugins (`kic.md` 4.8.2, 4.8.6, 4.12). Pure.

use std::{collections::HashSet, fmt::Write as _, sync::Arc};

use proxy_config_schema::{self as kong, id::PluginScope};
use sha2::{Digest as _, Sha256};

use super::{
    attachment::Relation,
    config::{PluginObject, Resolved},
};
use crate::translate::{Settings, plugin::fields_need_enterprise, syntax, tags};

/// What one plugin entity refers to: a service or a route or none of the two, a consumer or a group or none of the two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Scope {
    pub(super) service: Option<Arc<str>>,
    pub(super) route: Option<Arc<str>>,
    pub(super) consumer: Option<Arc<str>>,
    pub(super) group: Option<Arc<str>>,
}

/// How many entities a plugin comes to at the most: consumers times routes grow fast.
pub(super) const MAX_COMBINATIONS: usize = 50_000;

/// How many entities a plugin comes to.
pub(super) fn count(relation: &Relation<'_>) -> usize {
    let places = relation.services.len() + relation.routes.len();
    let people = relation.consumers.len() + relation.groups.len();
    match (places, people) {
        (0, count) | (count, 0) => count,
        (places, people) => places.saturating_mul(people),
    }
}

/// All combinations. Raw, a group counts only where no consumer is: Kong Ingress Controller forgets it there.
pub(super) fn scopes(relation: &Relation<'_>, raw_objects: bool) -> Vec<Scope> {
    let services = relation.services.iter().map(|service| Scope {
        service: Some(service.clone()),
        ..Scope::default()
    });
    let routes = relation.routes.iter().map(|route| Scope {
        route: Some(route.clone()),
        ..Scope::default()
    });
    let mut places: Vec<Scope> = services.chain(routes).collect();
    let consumers = relation.consumers.iter().map(|consumer| (Some(consumer), None));
    let groups = relation.groups.iter().map(|group| (None, Some(group)));
    let groups = groups.filter(|_| !raw_objects || relation.consumers.is_empty());
    let people: Vec<_> = consumers.chain(groups).collect();
    if people.is_empty() {
        return places;
    }
    if places.is_empty() {
        places.push(Scope::default());
    }
    let mut scopes = Vec::with_capacity(people.len() * places.len());
    for (consumer, group) in people {
        scopes.extend(places.iter().cloned().map(|place| Scope {
            consumer: consumer.cloned(),
            group: group.cloned(),
            ..place
        }));
    }
    scopes
}

impl Scope {
    /// What a plugin of the configuration refers to.
    pub(super) fn of(plugin: &kong::Plugin) -> Self {
        let key = |reference: &Option<kong::Reference>| reference.as_ref().map(|reference| reference.key().into());
        Self {
            service: key(&plugin.service),
            route: key(&plugin.route),
            consumer: key(&plugin.consumer),
            group: key(&plugin.consumer_group),
        }
    }

    fn parts(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("service", self.service.as_deref()),
            ("route", self.route.as_deref()),
            ("consumer", self.consumer.as_deref()),
            ("group", self.group.as_deref()),
        ]
    }

    /// The identifier of a plugin of that type there.
    pub(super) fn id(&self, workspace: Option<&str>, plugin: &str) -> String {
        let scope = PluginScope {
            service: self.service.as_deref(),
            route: self.route.as_deref(),
            consumer: self.consumer.as_deref(),
            consumer_group: self.group.as_deref(),
        };
        kong::id::plugin(workspace, plugin, scope).to_string()
    }

    /// Makes a plugin refer to it.
    pub(super) fn apply(&self, plugin: &mut kong::Plugin) {
        let reference = |name: &Option<Arc<str>>| name.as_deref().map(kong::Reference::from);
        plugin.service = reference(&self.service);
        plugin.route = reference(&self.route);
        plugin.consumer = reference(&self.consumer);
        plugin.consumer_group = reference(&self.group);
    }
}

/// `route shop.web.web..80 and consumer alice`
impl std::fmt::Display for Scope {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for (kind, name) in self.parts() {
            if let Some(name) = name {
                write!(formatter, "{separator}{kind} {name}")?;
                separator = " and ";
            }
        }
        if separator.is_empty() {
            formatter.write_str("all requests")?;
        }
        Ok(())
    }
}

/// The plugin without references, identifier and name of its own.
pub(in crate::translate) fn entity(
    plugin: PluginObject<'_>,
    resolved: &Resolved<'_>,
    settings: &Settings,
) -> kong::Plugin {
    let fields = plugin.fields;
    let ordering = fields.ordering.as_ref().map(|ordering| kong::PluginOrdering {
        before: (!ordering.before.is_empty()).then(|| ordering.before.clone()),
        after: (!ordering.after.is_empty()).then(|| ordering.after.clone()),
    });
    kong::Plugin {
        name: fields.plugin.clone(),
        config: resolved.config.clone(),
        enabled: fields.disabled.then_some(false),
        protocols: (!fields.protocols.is_empty()).then(|| fields.protocols.clone()),
        ordering: ordering.filter(|ordering| {
            *ordering != kong::PluginOrdering::default() && !fields_need_enterprise(plugin, settings)
        }),
        tags: Some(tags::object_tags(plugin.owner)),
        ..kong::Plugin::default()
    }
}

/// The `instance_name` that the user gave, as far as Kong takes it.
pub(super) fn given_name(plugin: PluginObject<'_>) -> &str {
    let name = plugin.fields.instance_name.as_str();
    if syntax::is_entity_name(name) { name } else { "" }
}

/// The name of one instance: the given one, made unique by what the instance refers to.
pub(super) fn instance_name(given: &str, scope: &Scope, used: &mut HashSet<String>) -> Option<String> {
    /// Nine digits are enough unless they are not.
    const SHORT: usize = 9;
    if given.is_empty() {
        return None;
    }
    let mut hash = Sha256::new();
    for (kind, name) in scope.parts() {
        if let Some(name) = name {
            hash.update(format!("_{kind}-{name}"));
        }
    }
    let digest = hash.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes any length");
        text
    });
    let short = format!("{given}-{}", &digest[..SHORT]);
    if used.insert(short.clone()) {
        return Some(short);
    }
    Some(format!("{given}-{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_named_as_by_kong_ingress_controller() {
        let scope = Scope {
            route: Some("ns.ing.svc..80".into()),
            ..Scope::default()
        };
        let mut used = HashSet::new();
        assert_eq!(
            instance_name("limit", &scope, &mut used).as_deref(),
            Some("limit-a97895547")
        );
        let again = instance_name("limit", &scope, &mut used).expect("a name");
        assert!(
            again.starts_with("limit-a97895547") && again.len() == "limit-".len() + 64,
            "{again}"
        );
        assert_eq!(instance_name("", &scope, &mut used), None);
    }
}
