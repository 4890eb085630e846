//! KongPlugins and KongClusterPlugins -> plugins (`kic.md` 4.8), and what stands in for those that can't be had (DESIGN.md
//! §3 rule 7). Pure.
//!
//! Settings are sent as they are: defaults are filled in by Kong, which has the schemas.

mod attachment;
mod closing;
mod combine;
mod config;
mod global;
mod patch;
mod revision;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use proxy_config_schema::{Configuration, Plugin};

pub(super) use attachment::{Attachments, Catalogue, Note, Relations, Target, precedence};
pub(super) use closing::{Closed, Members};
pub(super) use combine::entity;
pub(super) use config::{PluginObject, Resolved, resolve};
pub(super) use global::protects_everything;
pub(super) use revision::{Moves, Revised, revise};

use self::{
    attachment::{Precedence, Relation},
    combine::Scope,
};
use super::{
    MissingPlugin, Settings,
    class::Class,
    gateway::Grants,
    problems::{Owner, Problems},
    state::State,
    syntax,
};
use crate::model::{Edition, Kind, NamespacedName, Reason, Snapshot};

/// What plugins are made of.
pub(super) struct Sources<'a, 's> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) class: &'s Class<'a>,
    pub(super) grants: &'s Grants<'a>,
    pub(super) attachments: Attachments<'a>,
    /// The consumers of each group.
    pub(super) members: Members,
    /// What is to be closed already.
    pub(super) closed: Closed,
}

/// Adds all plugins to a configuration that has all else that they refer to.
pub(super) fn translate<'a>(
    sources: Sources<'a, '_>,
    configuration: &mut Configuration,
    state: &mut State<'a>,
) -> Placement<'a> {
    let Sources {
        snapshot,
        class,
        grants,
        attachments,
        members,
        mut closed,
    } = sources;
    let missing_plugin = state.settings.missing_plugin;
    let catalogue = Catalogue::new(snapshot);
    let relations = attachment::resolve(
        &attachments,
        &catalogue,
        grants,
        missing_plugin,
        &mut closed,
        &mut state.problems,
    );
    let mut usable = Usable {
        snapshot,
        resolved: BTreeMap::new(),
    };
    let globals = global::find(snapshot, class);
    let globals = global::translate(&globals, &mut usable, &mut closed, state);
    let mut placed = Placed::new(configuration, globals, state.settings);
    let mut uses = Uses::new();
    for relation in relations.values() {
        let before = placed.plugins.len();
        if place(relation, &mut usable, &mut placed, state) {
            let of_relation = Use {
                entities: placed.plugins.len() - before,
                has_people: !relation.consumers.is_empty() || !relation.groups.is_empty(),
            };
            uses.insert(use_key(relation.plugin), of_relation);
        } else {
            let missing_plugin = match relation.plugin.fields.disabled {
                true => MissingPlugin::Omit,
                false => missing_plugin,
            };
            attachment::report_unusable(relation, missing_plugin, &mut state.problems);
            // One that is switched off protects nothing.
            if !relation.plugin.fields.disabled {
                relation.targets().for_each(|target| closed.add(target));
            }
        }
    }
    usable.check_rest(&catalogue, &mut state.problems);
    configuration.plugins.extend(placed.plugins.into_iter().map(Arc::new));
    let has_closed = missing_plugin == MissingPlugin::FailClosed && !closed.is_empty();
    if has_closed {
        closed.apply(&members, state.settings, configuration);
    }
    Placement {
        relations,
        uses,
        has_closed,
    }
}

/// What came of all plugins, besides their entities.
pub(super) struct Placement<'a> {
    /// What they are attached to.
    pub(super) relations: Relations<'a>,
    /// What of them is in the configuration.
    pub(super) uses: Uses,
    /// Whether services or routes were closed.
    pub(super) has_closed: bool,
}

/// What plugins come to, by the plugin.
pub(super) type Uses = HashMap<(Kind, NamespacedName), Use>;

/// What a plugin comes to.
#[derive(Debug, Default)]
pub(super) struct Use {
    /// How many entities, those for all requests apart.
    entities: usize,
    /// Whether it is attached to consumers or groups of them.
    has_people: bool,
}

fn use_key(plugin: PluginObject<'_>) -> (Kind, NamespacedName) {
    (plugin.owner.kind, plugin.owner.metadata.key())
}

/// Adds the entities of one plugin. False if it can't be used.
fn place<'a>(relation: &Relation<'a>, usable: &mut Usable<'a>, placed: &mut Placed<'a>, state: &mut State<'a>) -> bool {
    let plugin = relation.plugin;
    let count = combine::count(relation);
    if count > combine::MAX_COMBINATIONS {
        state.problems.report(
            plugin.owner,
            "metadata.name",
            Reason::InvalidPlugin,
            format!(
                "its consumers times its routes and services make {count} plugins, more than the {} that one may have",
                combine::MAX_COMBINATIONS
            ),
            "name it on the routes or on the consumers, not on both",
        );
        return false;
    }
    let Some(resolved) = usable.resolve(plugin, state) else {
        return false;
    };
    state.takes_part(plugin.owner);
    let entity = combine::entity(plugin, resolved, state.settings);
    let mut names = HashSet::new();
    for scope in combine::scopes(relation, state.settings.raw_objects) {
        let mut entity = entity.clone();
        scope.apply(&mut entity);
        entity.id = state
            .settings
            .feature_gates
            .fill_ids
            .then(|| scope.id(state.settings.workspace(), &entity.name));
        entity.instance_name = combine::instance_name(combine::given_name(plugin), &scope, &mut names);
        placed.add(plugin, scope, entity, &mut state.problems);
    }
    true
}

/// Settings of plugins, each put together once.
struct Usable<'a> {
    snapshot: &'a Snapshot,
    resolved: BTreeMap<Precedence<'a>, Option<Resolved<'a>>>,
}

impl<'a> Usable<'a> {
    /// `None`, with problems on the plugin, if the proxies can't have it.
    fn resolve(&mut self, plugin: PluginObject<'a>, state: &mut State<'a>) -> Option<&Resolved<'a>> {
        let Self { snapshot, resolved } = self;
        let resolved = resolved.entry(precedence(plugin)).or_insert_with(|| {
            let resolved = resolve(plugin, snapshot, &mut state.problems);
            let is_known = check_profile(plugin, state.settings, &mut state.problems);
            let resolved = resolved.filter(|_| is_known)?;
            for secret in &resolved.secrets {
                state.objects.insert(Kind::Secret.object_ref(&secret.metadata));
            }
            state.confidential.extend(resolved.confidential.iter().cloned());
            Some(resolved)
        });
        resolved.as_ref()
    }

    /// Reports what is wrong with plugins that nothing is attached to yet.
    fn check_rest(&self, catalogue: &Catalogue<'a>, problems: &mut Problems) {
        for plugin in catalogue.all() {
            if !self.resolved.contains_key(&precedence(plugin)) {
                resolve(plugin, self.snapshot, problems);
            }
        }
    }
}

/// Whether the proxies of the profile can take the plugin; if not, a problem on it says so.
pub(super) fn check_profile(plugin: PluginObject<'_>, settings: &Settings, problems: &mut Problems) -> bool {
    let profile = &settings.profile;
    let type_ = &plugin.fields.plugin;
    if !profile.has_plugin(type_) {
        problems.report(
            plugin.owner,
            "plugin",
            Reason::Unsupported,
            format!("proxies of the profile {profile} have no plugin {type_:?}"),
            "use a plugin that they have, or let them load this one",
        );
        return false;
    }
    if fields_need_enterprise(plugin, settings) {
        problems.report(
            plugin.owner,
            "ordering",
            Reason::Ignored,
            "the order of plugins can be changed in Kong Gateway Enterprise only; the plugin runs in its usual order",
            "remove the field",
        );
    }
    if !plugin.fields.instance_name.is_empty() && !syntax::is_entity_name(&plugin.fields.instance_name) {
        problems.report(
            plugin.owner,
            "instance_name",
            Reason::InvalidField,
            format!(
                "{:?} is no name that Kong takes; the plugin goes without",
                plugin.fields.instance_name
            ),
            "use letters, digits, dots, hyphens, underscores and tildes",
        );
    }
    true
}

/// Whether it has a field that open-source Kong refuses.
pub(super) fn fields_need_enterprise(plugin: PluginObject<'_>, settings: &Settings) -> bool {
    let is_open = matches!(settings.profile.edition, Some(Edition::OpenSource | Edition::Embedded));
    is_open && plugin.fields.ordering.is_some()
}

/// The plugins that have their place: Kong takes one of each type there, and one of each instance name.
struct Placed<'a> {
    plugins: Vec<Plugin>,
    /// Who has a place; filters of routes have no plugin object.
    owners: HashMap<(String, Scope), Option<Owner<'a>>>,
    instances: HashSet<String>,
    raw_objects: bool,
}

impl<'a> Placed<'a> {
    fn new(configuration: &Configuration, globals: Vec<Plugin>, settings: &Settings) -> Self {
        let mut owners = HashMap::new();
        for service in &configuration.services {
            let here = |plugins: &[Plugin], scope: &Scope, owners: &mut HashMap<_, _>| {
                for plugin in plugins {
                    owners.insert((plugin.name.clone(), scope.clone()), None);
                }
            };
            if !service.plugins.is_empty() {
                let scope = Scope {
                    service: service.name.as_deref().map(Into::into),
                    ..Scope::default()
                };
                here(&service.plugins, &scope, &mut owners);
            }
            for route in service.routes.iter().filter(|route| !route.plugins.is_empty()) {
                let scope = Scope {
                    route: route.name.as_deref().map(Into::into),
                    ..Scope::default()
                };
                here(&route.plugins, &scope, &mut owners);
            }
        }
        let named = globals.iter().filter_map(|plugin| plugin.instance_name.clone());
        Self {
            instances: named.collect(),
            owners,
            plugins: globals,
            raw_objects: settings.raw_objects,
        }
    }

    /// Adds a plugin if its place is free. Raw, all are added, as Kong Ingress Controller does, and Kong refuses them.
    fn add(&mut self, object: PluginObject<'a>, scope: Scope, mut plugin: Plugin, problems: &mut Problems) {
        if self.raw_objects {
            self.plugins.push(plugin);
            return;
        }
        let owner = object.owner;
        let place = (plugin.name.clone(), scope);
        if let Some(winner) = self.owners.get(&place) {
            let winner = winner.map_or_else(|| "a filter or annotation".to_owned(), |winner| winner.to_string());
            problems.report(
                owner,
                "plugin",
                Reason::Conflict,
                format!(
                    "{winner} is of the same type, is attached to {} as well, and goes first; this one does not apply there",
                    place.1
                ),
                "attach one plugin of each type only",
            );
            return;
        }
        if let Some(name) = &plugin.instance_name
            && !self.instances.insert(name.clone())
        {
            problems.report(
                owner,
                "instance_name",
                Reason::Conflict,
                format!(
                    "another plugin on {} has the same instance_name; this one goes without",
                    place.1
                ),
                "give each plugin an instance_name of its own",
            );
            plugin.instance_name = None;
        }
        self.owners.insert(place, Some(owner));
        self.plugins.push(plugin);
    }
}
