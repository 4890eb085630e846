//! KongCustomEntities -> lists of entities that plugins bring along (`kic.md` 4.10). Pure.

use std::collections::{BTreeMap, BTreeSet};

use proxy_config_schema as kong;
use serde_json::json;

use super::{
    Settings, bounds,
    class::Class,
    gateway::Grants,
    plugin::{Catalogue, PluginObject, Relations, precedence},
    problems::{Owner, Problems},
    schemas::Knowledge,
    state::State,
};
use crate::model::{
    Edition, Kind, Reason, Snapshot,
    kong::{EntityParentRef, JsonObject, KongCustomEntity},
};

/// How many entities one object comes to at the most.
const MAX_COMBINATIONS: usize = 10_000;
/// Longest name of a type: it is part of a path that proxies are asked for.
const MAX_TYPE: usize = 128;

/// Whether an object is ours.
pub(super) fn is_ours(entity: &KongCustomEntity, class: &Class<'_>) -> bool {
    class.takes_named(&entity.spec.controller_name)
}

/// The types that entities of our class have and of which nothing is known without asking proxies.
pub fn unknown_entity_types(snapshot: &Snapshot, settings: &Settings) -> BTreeSet<String> {
    if snapshot.custom_entities.is_empty() {
        return BTreeSet::new();
    }
    let class = Class::find(snapshot, settings);
    let ours = snapshot
        .custom_entities
        .values()
        .filter(|entity| is_ours(entity, &class));
    ours.map(|entity| &entity.spec.type_)
        .filter(|type_| is_type(type_) && !kong::is_entity_list(type_) && settings.entity_schemas.get(type_).is_none())
        .cloned()
        .collect()
}

/// Whether a type of entities can have that name: it is a list of Kong's Admin API, a part of paths, and a key beside
/// `_format_version`.
pub(crate) fn is_type(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    name.len() <= MAX_TYPE
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(is_part)
}

/// Adds the entities of our class, in order of their objects' names.
pub(super) fn translate<'a>(
    snapshot: &'a Snapshot,
    class: &Class<'a>,
    grants: &Grants<'a>,
    relations: &Relations<'a>,
    configuration: &mut kong::Configuration,
    state: &mut State<'a>,
) {
    let gates = &state.settings.feature_gates;
    if !gates.kong_custom_entity || !gates.fill_ids {
        return;
    }
    let ours: Vec<_> = snapshot
        .custom_entities
        .values()
        .filter(|entity| is_ours(entity, class))
        .collect();
    if ours.is_empty() {
        return;
    }
    let catalogue = Catalogue::new(snapshot);
    let identifiers = Identifiers::new(configuration);
    let mut lists: BTreeMap<String, Vec<JsonObject>> = BTreeMap::new();
    for entity in ours {
        let owner = Owner::new(Kind::KongCustomEntity, &entity.metadata);
        let Ok(parent) = check(entity, &catalogue, grants, state.settings, &mut state.problems) else {
            continue;
        };
        let fields = foreign_fields(entity, parent, relations, &identifiers, state.settings);
        let combinations = combinations(&fields);
        if combinations.len() >= MAX_COMBINATIONS {
            state.problems.report(
                owner,
                "spec.parentRef",
                Reason::InvalidField,
                format!("its plugin is attached to so much that it makes more than {MAX_COMBINATIONS} entities; it is left out"),
                "attach the plugin to services instead of routes",
            );
            continue;
        }
        state.takes_part(owner);
        let list = lists.entry(entity.spec.type_.clone()).or_default();
        for combination in combinations {
            let mut object = entity.spec.fields.clone();
            for (field, id) in combination {
                object.insert(field.to_owned(), json!({ "id": id }));
            }
            list.push(object);
        }
    }
    configuration.custom.extend(lists);
}

/// What is wrong with the object by itself; the plugin that it belongs to, if it names one.
///
/// # Errors
/// It can't be used; problems on it say why.
pub(super) fn check<'a>(
    entity: &KongCustomEntity,
    catalogue: &Catalogue<'a>,
    grants: &Grants<'a>,
    settings: &Settings,
    problems: &mut Problems,
) -> Result<Option<PluginObject<'a>>, ()> {
    let owner = Owner::new(Kind::KongCustomEntity, &entity.metadata);
    let type_ = entity.spec.type_.as_str();
    let mut reject = |field: &str, reason, message: String, remedy: &str| {
        problems.report(owner, field, reason, message + "; it is left out", remedy);
        Err(())
    };
    if kong::is_entity_list(type_) {
        return reject(
            "spec.type",
            Reason::InvalidField,
            "The type field cannot be one of the known Kong entity types".to_owned(),
            "use the Kubernetes kind for it: KongConsumer, KongVault and so on",
        );
    }
    if !is_type(type_) {
        return reject(
            "spec.type",
            Reason::InvalidField,
            format!("{type_:?} is no type of entities"),
            "name the list of Kong's Admin API that it belongs in, for example degraphql_routes",
        );
    }
    if let Err(excess) = bounds::check(&entity.spec.fields) {
        return reject(
            "spec.fields",
            Reason::InvalidField,
            format!("the fields {excess}"),
            "make them smaller",
        );
    }
    let parent = match &entity.spec.parent_ref {
        Some(reference) => find_parent(owner, reference, catalogue, grants, problems)?,
        None => None,
    };
    let profile = &settings.profile;
    let schema = settings.entity_schemas.get(type_);
    let bundled = schema.and_then(|schema| schema.plugin.as_deref());
    let plugin = bundled.or(parent.map(|parent| parent.fields.plugin.as_str()));
    let is_foreign = match (profile.edition, &profile.plugins) {
        (Some(Edition::Embedded), _) => true,
        (_, Some(known)) => plugin.is_some_and(|plugin| !known.contains(plugin)),
        // The bundled plugins that bring entities along are Enterprise's.
        (edition, None) => bundled.is_some() && edition == Some(Edition::OpenSource),
    };
    if is_foreign {
        problems.report(
            owner,
            "spec.type",
            Reason::Unsupported,
            format!(
                "proxies of the profile {} have no entities of type {type_}; it is left out",
                settings.profile
            ),
            "let the proxies load the plugin that brings them along",
        );
        return Err(());
    }
    check_type(owner, type_, settings, problems)?;
    Ok(parent)
}

/// An entity of which it is not known what its fields refer to would be half of one, and a type that proxies don't know
/// makes them refuse the whole configuration.
fn check_type(owner: Owner<'_>, type_: &str, settings: &Settings, problems: &mut Problems) -> Result<(), ()> {
    let (reason, message, remedy) = match settings.entity_schemas.of(type_) {
        Knowledge::Schema(_) | Knowledge::Nothing => return Ok(()),
        Knowledge::Absent => (
            Reason::Unsupported,
            format!(
                "proxies of the profile {} don't know entities of type {type_}",
                settings.profile
            ),
            "correct the type, or let the proxies load the plugin that brings it along".to_owned(),
        ),
        Knowledge::Awaited => (
            Reason::SchemaUnknown,
            format!("no proxy has told yet what the fields of {type_} refer to"),
            format!(
                "wait: proxies are asked; if it stays so, let the controller read GET /schemas/{type_} of an Admin API"
            ),
        ),
    };
    problems.report(owner, "spec.type", reason, message + "; it is left out", remedy);
    Err(())
}

fn find_parent<'a>(
    owner: Owner<'_>,
    reference: &EntityParentRef,
    catalogue: &Catalogue<'a>,
    grants: &Grants<'a>,
    problems: &mut Problems,
) -> Result<Option<PluginObject<'a>>, ()> {
    let kind = reference.kind.as_deref().unwrap_or(Kind::KongPlugin.name());
    let group = reference.group.as_deref().unwrap_or(Kind::KongPlugin.group());
    let is_cluster = kind == Kind::KongClusterPlugin.name();
    if group != Kind::KongPlugin.group() || !(is_cluster || kind == Kind::KongPlugin.name()) {
        problems.report(
            owner,
            "spec.parentRef.kind",
            Reason::InvalidField,
            format!("{kind} of the group {group:?} is no kind of plugins; the entity is not bound to any service, route or consumer"),
            "refer to a KongPlugin or a KongClusterPlugin",
        );
        return Ok(None);
    }
    let name = reference.name.as_str();
    if is_cluster {
        let found = catalogue.find_cluster(name);
        return found.map(Some).ok_or_else(|| {
            report_missing(owner, format!("there is no KongClusterPlugin {name}"), problems);
        });
    }
    let own: &str = &owner.metadata.namespace;
    let namespace = reference
        .namespace
        .as_deref()
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or(own);
    if !grants.permits(owner, Kind::KongPlugin, namespace, name) {
        problems.report(
            owner,
            "spec.parentRef.namespace",
            Reason::RefNotPermitted,
            format!(
                "no ReferenceGrant in namespace {namespace} lets a KongCustomEntity of namespace {own} refer to its \
                 KongPlugin {name}; it is left out"
            ),
            format!("create a ReferenceGrant in namespace {namespace} from KongCustomEntity to KongPlugin"),
        );
        return Err(());
    }
    catalogue.find_namespaced(namespace, name).map(Some).ok_or_else(|| {
        report_missing(
            owner,
            format!("there is no KongPlugin {name} in namespace {namespace}"),
            problems,
        );
    })
}

fn report_missing(owner: Owner<'_>, message: String, problems: &mut Problems) {
    problems.report(
        owner,
        "spec.parentRef.name",
        Reason::PluginNotFound,
        message + "; the entity is left out",
        "create the plugin, or correct the name",
    );
}

/// Identifiers of what is in the configuration.
struct Identifiers {
    services: BTreeMap<String, String>,
    routes: BTreeMap<String, String>,
    service_of_route: BTreeMap<String, String>,
    /// By what others refer to them with.
    consumers: BTreeMap<String, String>,
}

impl Identifiers {
    fn new(configuration: &kong::Configuration) -> Self {
        let mut identifiers = Self {
            services: BTreeMap::new(),
            routes: BTreeMap::new(),
            service_of_route: BTreeMap::new(),
            consumers: BTreeMap::new(),
        };
        for service in &configuration.services {
            let (Some(name), Some(id)) = (&service.name, &service.id) else {
                continue;
            };
            identifiers.services.insert(name.clone(), id.clone());
            for route in &service.routes {
                if let (Some(route_name), Some(route_id)) = (&route.name, &route.id) {
                    identifiers.routes.insert(route_name.clone(), route_id.clone());
                    identifiers.service_of_route.insert(route_name.clone(), id.clone());
                }
            }
        }
        for consumer in &configuration.consumers {
            if let Some(id) = &consumer.id {
                let key = consumer.username.as_ref().unwrap_or(id);
                identifiers.consumers.insert(key.clone(), id.clone());
            }
        }
        identifiers
    }
}

/// The identifiers that each foreign field gets, by what the plugin is attached to.
fn foreign_fields<'s>(
    entity: &KongCustomEntity,
    parent: Option<PluginObject<'_>>,
    relations: &Relations<'_>,
    identifiers: &'s Identifiers,
    settings: &'s Settings,
) -> Vec<(&'s str, BTreeSet<&'s str>)> {
    let Some(relation) = parent.and_then(|parent| relations.get(&precedence(parent))) else {
        return Vec::new();
    };
    let Some(schema) = settings.entity_schemas.get(&entity.spec.type_) else {
        return Vec::new();
    };
    // Objects are ordered by service first, then route, then consumer.
    let lists = ["services", "routes", "consumers"].into_iter();
    let fields = lists.flat_map(|list| {
        let foreign = schema.foreign.iter().filter(move |(_, to)| *to == list);
        let ids = match list {
            "services" => {
                let direct = relation
                    .services
                    .iter()
                    .filter_map(|name| identifiers.services.get(&**name));
                let of_routes = relation
                    .routes
                    .iter()
                    .filter_map(|name| identifiers.service_of_route.get(&**name));
                direct.chain(of_routes).map(String::as_str).collect::<BTreeSet<_>>()
            }
            "routes" => {
                let routes = relation
                    .routes
                    .iter()
                    .filter_map(|name| identifiers.routes.get(&**name));
                routes.map(String::as_str).collect()
            }
            _ => {
                let consumers = relation
                    .consumers
                    .iter()
                    .filter_map(|name| identifiers.consumers.get(&**name));
                consumers.map(String::as_str).collect()
            }
        };
        foreign.map(move |(field, _)| (field.as_str(), ids.clone()))
    });
    fields.filter(|(_, ids)| !ids.is_empty()).collect()
}

/// All combinations, up to the limit.
fn combinations<'s>(fields: &[(&'s str, BTreeSet<&'s str>)]) -> Vec<Vec<(&'s str, &'s str)>> {
    let mut combinations = vec![Vec::new()];
    for (field, ids) in fields {
        let longer = combinations.iter().flat_map(|combination: &Vec<(&'s str, &'s str)>| {
            ids.iter().map(move |id| {
                let mut combination = combination.clone();
                combination.push((field, *id));
                combination
            })
        });
        combinations = longer.take(MAX_COMBINATIONS).collect();
    }
    combinations
}
