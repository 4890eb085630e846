//! Plugins that are attached to other services and routes than before, and nothing else: only the entities that come and go
//! are made and dropped. Pure. Called by `memo`.
//!
//! Whatever is not plain (a problem, a consumer, a plugin for all requests, names of instances) is left to [`translate`].
//!
//! [`translate`]: super::translate

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use proxy_config_schema::{Plugin, Reference};

use super::{
    Attachments, Catalogue,
    attachment::{self, Precedence, Relation},
    check_profile,
    closing::Closed,
    combine::{self, Scope},
    config::{PluginObject, resolve},
    global::is_global_object,
};
use crate::{
    model::{Kind, Problem, Snapshot},
    translate::{gateway::Grants, problems::Owner, state::State, tags},
};

/// Attachments that there were and are not now, and the other way round.
pub(in crate::translate) struct Moves<'a> {
    pub(in crate::translate) gone: Attachments<'a>,
    /// The objects as they were.
    pub(in crate::translate) before: &'a Snapshot,
    pub(in crate::translate) come: Attachments<'a>,
}

/// Entities of one plugin that come and go.
struct Move<'a> {
    plugin: PluginObject<'a>,
    tags: Option<Vec<String>>,
    gone: HashSet<Scope>,
    come: Vec<Scope>,
    /// Entities that stay.
    kept: usize,
}

/// Brings the plugins of a configuration up to date. Notes in `state` what takes part from now on; gives the plugins that
/// no longer do. `None`, and nothing is changed, if that takes making all of them anew.
pub(in crate::translate) fn revise<'a>(
    moves: &Moves<'a>,
    grants: &Grants<'a>,
    known_problems: &[Problem],
    plugins: &mut Vec<Arc<Plugin>>,
    state: &mut State<'a>,
) -> Option<Vec<Owner<'a>>> {
    let catalogues = [moves.before, state.snapshot].map(Catalogue::new);
    let mut closed = Closed::default();
    let mut relations = |attachments, catalogue| {
        let missing_plugin = state.settings.missing_plugin;
        attachment::resolve(
            attachments,
            catalogue,
            grants,
            missing_plugin,
            &mut closed,
            &mut state.problems,
        )
    };
    let gone = relations(&moves.gone, &catalogues[0]);
    let come = relations(&moves.come, &catalogues[1]);
    if !closed.is_empty() || !state.problems.is_empty() {
        return None;
    }
    let mut changed: BTreeMap<Precedence<'a>, Move<'a>> = BTreeMap::new();
    for (relations, is_gone) in [(gone, true), (come, false)] {
        for (precedence, relation) in relations {
            if !is_plain(&relation, known_problems) {
                return None;
            }
            let change = changed.entry(precedence).or_insert_with(|| Move::of(relation.plugin));
            let scopes = combine::scopes(&relation, state.settings.raw_objects);
            match is_gone {
                true => change.gone.extend(scopes),
                false => {
                    // The object as it is now.
                    change.plugin = relation.plugin;
                    change.come = scopes;
                }
            }
        }
    }
    let mut changed: Vec<Move<'a>> = changed.into_values().collect();
    let stays = stays(&mut changed, plugins)?;
    let mut added = Vec::new();
    let mut places = HashSet::new();
    let mut ended = Vec::new();
    for change in &changed {
        let (plugin, count) = (change.plugin, change.kept + change.come.len());
        if count > combine::MAX_COMBINATIONS {
            return None;
        }
        // What it had from Secrets can't be told from what others have.
        let resolved = resolve(plugin, state.snapshot, &mut state.problems)?;
        if count == 0 {
            if !resolved.secrets.is_empty() {
                return None;
            }
            ended.push(plugin.owner);
            continue;
        }
        if !check_profile(plugin, state.settings, &mut state.problems) {
            return None;
        }
        state.takes_part(plugin.owner);
        for secret in &resolved.secrets {
            state.objects.insert(Kind::Secret.object_ref(&secret.metadata));
        }
        state.confidential.extend(resolved.confidential.iter().cloned());
        let entity = combine::entity(plugin, &resolved, state.settings);
        for scope in &change.come {
            if !places.insert((entity.name.clone(), scope.clone())) {
                return None;
            }
            let mut entity = entity.clone();
            scope.apply(&mut entity);
            entity.id = state.settings.feature_gates.fill_ids.then(|| scope.id(&entity.name));
            added.push(Arc::new(entity));
        }
    }
    if !state.problems.is_empty() || is_taken(&places, plugins, &stays) {
        return None;
    }
    let mut stays = stays.into_iter();
    plugins.retain(|_| stays.next().unwrap_or(true));
    plugins.extend(added);
    Some(ended)
}

impl<'a> Move<'a> {
    fn of(plugin: PluginObject<'a>) -> Self {
        Self {
            plugin,
            tags: Some(tags::object_tags(plugin.owner)),
            gone: HashSet::new(),
            come: Vec::new(),
            kept: 0,
        }
    }
}

/// Whether each entity of a plugin stands for itself.
fn is_plain(relation: &Relation<'_>, known_problems: &[Problem]) -> bool {
    let plugin = relation.plugin;
    let reference = plugin.owner.kind.object_ref(plugin.owner.metadata);
    relation.consumers.is_empty()
        && relation.groups.is_empty()
        && plugin.fields.instance_name.is_empty()
        && !is_global_object(plugin)
        && !known_problems.iter().any(|problem| problem.object == reference)
}

/// Which entities stay. `None` if those of a changed plugin are not what they are expected to be.
fn stays(changed: &mut [Move<'_>], plugins: &[Arc<Plugin>]) -> Option<Vec<bool>> {
    let mut stays = Vec::with_capacity(plugins.len());
    let mut dropped = 0;
    for entity in plugins {
        let Some(change) = changed.iter_mut().find(|change| change.tags == entity.tags) else {
            stays.push(true);
            continue;
        };
        if entity.consumer.is_some() || entity.consumer_group.is_some() {
            return None;
        }
        let is_gone = change.gone.contains(&Scope::of(entity));
        change.kept += usize::from(!is_gone);
        dropped += usize::from(is_gone);
        stays.push(!is_gone);
    }
    let expected: usize = changed.iter().map(|change| change.gone.len()).sum();
    (dropped == expected).then_some(stays)
}

/// Whether another plugin of the same type has one of the places.
fn is_taken(places: &HashSet<(String, Scope)>, plugins: &[Arc<Plugin>], stays: &[bool]) -> bool {
    let targets: HashSet<(Option<&str>, Option<&str>)> = places
        .iter()
        .map(|(_, scope)| (scope.service.as_deref(), scope.route.as_deref()))
        .collect();
    let others = plugins.iter().zip(stays).filter(|(_, stays)| **stays);
    let mut others = others
        .map(|(other, _)| other)
        .filter(|other| targets.contains(&(key(&other.service), key(&other.route))));
    others.any(|other| places.contains(&(other.name.clone(), Scope::of(other))))
}

fn key(reference: &Option<Reference>) -> Option<&str> {
    reference.as_ref().map(Reference::key)
}
