//! What translation says of a change: once without, once with it. Pure.

use std::collections::BTreeSet;

use proxy_config_schema::Configuration;

use super::{Change, View, neighbourhood};
use crate::{
    model::{Kind, NamespacedName, Object, Problem, Profile},
    translate::{self, Settings},
};

/// The translation of a change for one profile.
pub(super) struct Translated {
    pub(super) profile: Profile,
    /// With the change.
    pub(super) configuration: Configuration,
    /// Problems that the change brings, of whatever object.
    pub(super) problems: Vec<Problem>,
}

/// Translates the surroundings of a change for each profile.
pub(super) fn translate(change: &Change, view: View<'_>) -> Vec<Translated> {
    let profiles = view.settings.translations.iter();
    profiles.map(|settings| translate_for(change, view, settings)).collect()
}

fn translate_for(change: &Change, view: View<'_>, settings: &Settings) -> Translated {
    // The class is our own, that of the objects matters; endpoints are left out.
    let settings = Settings {
        pods_known: false,
        ..settings.clone()
    };
    let around = neighbourhood::around(&change.new, view.snapshot);
    let mut before = around.clone();
    match &change.old {
        Some(old) => before.insert(old.clone()),
        None => before.remove(change.kind, &change.key),
    }
    let mut after = around;
    after.insert(change.new.clone());
    for part in [&mut before, &mut after] {
        super::plugin::use_plugins(change, &settings, part);
    }
    let known: BTreeSet<_> = translate::translate(&before, &settings)
        .problems
        .into_iter()
        .map(identity)
        .collect();
    let translation = translate::translate(&after, &settings);
    let problems = translation.problems.into_iter();
    Translated {
        profile: settings.profile,
        configuration: translation.configuration,
        problems: problems
            .filter(|problem| !known.contains(&identity(problem.clone())))
            .collect(),
    }
}

/// What makes two problems the same before and after a change: not UIDs and places in files.
fn identity(problem: Problem) -> (String, NamespacedName, Option<String>, String) {
    (
        problem.object.kind.to_string(),
        problem.object.namespaced_name(),
        problem.field,
        problem.message,
    )
}

/// Whether a problem is one of that object.
pub(super) fn is_of(problem: &Problem, kind: Kind, key: &NamespacedName) -> bool {
    *problem.object.kind == *kind.name() && problem.object.namespaced_name() == *key
}

/// Problems of one object over all profiles, each with whether every profile has it.
pub(super) fn problems_of(translations: &[Translated], kind: Kind, key: &NamespacedName) -> Vec<(Problem, bool)> {
    let mut found: Vec<(Problem, usize)> = Vec::new();
    for problem in translations.iter().flat_map(|translated| &translated.problems) {
        if !is_of(problem, kind, key) {
            continue;
        }
        match found.iter_mut().find(|(known, _)| known == problem) {
            Some((_, count)) => *count += 1,
            None => found.push((problem.clone(), 1)),
        }
    }
    let everywhere = translations.len();
    found
        .into_iter()
        .map(|(problem, count)| (problem, count == everywhere))
        .collect()
}

/// Whether an entity with these tags comes from that object.
pub(super) fn comes_from(tags: Option<&Vec<String>>, object: &Object) -> bool {
    let metadata = object.metadata();
    let has = |prefix: &str, value: &str| {
        value.is_empty()
            || tags
                .into_iter()
                .flatten()
                .any(|tag| tag.strip_prefix(prefix).is_some_and(|rest| rest == value))
    };
    has("k8s-kind:", object.kind().name())
        && has("k8s-name:", &metadata.name)
        && has("k8s-namespace:", &metadata.namespace)
}
