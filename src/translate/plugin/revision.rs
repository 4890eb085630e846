//! Plugins that are attached to other services and routes than before, and nothing else: only the entities that come and go
//! are made and dropped. Pure. Called by `memo`.
//!
//! Whatever is not plain (a problem, a consumer, a plugin for all requests, names of instances) is left to [`translate`].
//!
//! [`translate`]: super::translate

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use proxy_config_schema::{Configuration, Plugin};

use super::{
    Attachments, Catalogue, Uses,
    attachment::{self, Precedence, Relation},
    check_profile,
    closing::Closed,
    combine::{self, Scope},
    config::{PluginObject, resolve},
    global::is_global_object,
    use_key,
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

/// What there is of plugins.
pub(in crate::translate) struct Revised<'a> {
    /// In canonical order.
    pub(in crate::translate) configuration: &'a mut Configuration,
    pub(in crate::translate) uses: &'a mut Uses,
    pub(in crate::translate) problems: &'a [Problem],
}

/// Entities of one plugin that come and go.
struct Move<'a> {
    /// As it was, if it was attached to something, else as it is.
    former: PluginObject<'a>,
    plugin: PluginObject<'a>,
    gone: Vec<Scope>,
    come: Vec<Scope>,
}

/// Brings the plugins of a configuration up to date. Notes in `state` what takes part from now on; gives the plugins that
/// no longer do. `None`, and nothing is changed, if that takes making all of them anew.
pub(in crate::translate) fn revise<'a>(
    moves: &Moves<'a>,
    grants: &Grants<'a>,
    revised: Revised<'_>,
    state: &mut State<'a>,
) -> Option<Vec<Owner<'a>>> {
    let Revised {
        configuration,
        uses,
        problems,
    } = revised;
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
            if !is_plain(&relation, problems) {
                return None;
            }
            let change = changed.entry(precedence).or_insert_with(|| Move::of(relation.plugin));
            let scopes = combine::scopes(&relation, state.settings.raw_objects);
            match is_gone {
                true => change.gone = scopes,
                false => {
                    // The object as it is now.
                    change.plugin = relation.plugin;
                    change.come = scopes;
                }
            }
        }
    }
    let changed: Vec<Move<'a>> = changed.into_values().collect();
    let dropped = dropped(&changed, configuration)?;
    let mut counts = Vec::with_capacity(changed.len());
    let mut added = Vec::new();
    let mut places = HashSet::new();
    let mut ended = Vec::new();
    for change in &changed {
        let (plugin, key) = (change.plugin, use_key(change.plugin));
        let used = uses.get(&key);
        if used.is_some_and(|used| used.has_people) {
            return None;
        }
        let count = (used.map_or(0, |used| used.entities) + change.come.len()).checked_sub(change.gone.len())?;
        if count > combine::MAX_COMBINATIONS {
            return None;
        }
        counts.push((key, count));
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
            let mut entity = entity.clone();
            scope.apply(&mut entity);
            entity.id = state
                .settings
                .feature_gates
                .fill_ids
                .then(|| scope.id(state.settings.workspace(), &entity.name));
            let mut others = configuration
                .plugins_like(&entity)
                .filter(|place| !dropped.contains(place));
            let is_taken = others.any(|place| Scope::of(&configuration.plugins[place]) == *scope);
            if is_taken || !places.insert((entity.name.clone(), scope.clone())) {
                return None;
            }
            added.push(Arc::new(entity));
        }
    }
    if !state.problems.is_empty() {
        return None;
    }
    for place in dropped.into_iter().rev() {
        configuration.plugins.remove(place);
    }
    for plugin in added {
        configuration.insert_plugin(plugin);
    }
    for (key, count) in counts {
        match count {
            0 => drop(uses.remove(&key)),
            count => uses.entry(key).or_default().entities = count,
        }
    }
    Some(ended)
}

impl<'a> Move<'a> {
    fn of(plugin: PluginObject<'a>) -> Self {
        Self {
            former: plugin,
            plugin,
            gone: Vec::new(),
            come: Vec::new(),
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

/// Where the entities are that go. `None` if one is not there.
fn dropped(changed: &[Move<'_>], configuration: &Configuration) -> Option<BTreeSet<usize>> {
    let mut dropped = BTreeSet::new();
    for change in changed {
        let tags = Some(tags::object_tags(change.former.owner));
        for scope in &change.gone {
            let mut like = Plugin {
                name: change.former.fields.plugin.clone(),
                ..Plugin::default()
            };
            scope.apply(&mut like);
            let is_it = |place: &usize| {
                let plugin = &configuration.plugins[*place];
                plugin.tags == tags && Scope::of(plugin) == *scope
            };
            dropped.insert(configuration.plugins_like(&like).find(is_it)?);
        }
    }
    Some(dropped)
}
