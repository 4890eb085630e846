//! Which kinds of objects a configuration depends on. Pure: one translation for all, and one for each kind in question.
//! Called when the cluster lacks kinds, to tell whether what proxies run was made of some of their objects.

use std::collections::BTreeSet;

use super::Renderer;
use crate::{
    model::{Kind, Problem, Snapshot, kong::label},
    translate::{
        Settings, Translator,
        fallback::{ObjectId, references},
    },
};

/// The first of these kinds without whose objects something else would come of a snapshot. One of its objects that lacks
/// something counts, too, since a Secret may only not have been read yet; and so does one with any problem that another
/// object refers to. What nothing would come of anyway does not.
pub fn depends_on(sources: &Snapshot, kinds: &BTreeSet<Kind>, settings: &Settings) -> Option<Kind> {
    let candidates: Vec<Kind> = kinds
        .iter()
        .copied()
        .filter(|kind| !sources.has_none_of(*kind))
        .collect();
    if candidates.is_empty() {
        return None;
    }
    let (mut translator, mut renderer) = (Translator::default(), Renderer::default());
    let translation = translator.translate(sources, settings);
    let whole = renderer.render(&translation).hash;
    let mut referred = None;
    let mut may_be_used = |kind: Kind, problem: &Problem| {
        let key = problem.object.namespaced_name();
        let acts_unnamed = match kind {
            Kind::KongPlugin => false,
            Kind::KongClusterPlugin => {
                let metadata = sources.metadata(kind, &key);
                metadata.is_some_and(|metadata| metadata.labels.contains_key(label::GLOBAL))
            }
            _ => true,
        };
        if problem.reason.is_of_absence() && acts_unnamed {
            return true;
        }
        referred
            .get_or_insert_with(|| all_references(sources))
            .contains(&(kind, key))
    };
    let is_used = |kind: &Kind| {
        let of_kind =
            |problem: &&Problem| *problem.object.kind == *kind.name() && *problem.object.group == *kind.group();
        let mut problems = translation.problems.iter().filter(of_kind);
        if problems.any(|problem| may_be_used(*kind, problem)) {
            return true;
        }
        let mut without = sources.clone();
        without.clear(*kind);
        renderer.render(&translator.translate(&without, settings)).hash != whole
    };
    candidates.into_iter().find(is_used)
}

/// What objects refer to.
fn all_references(snapshot: &Snapshot) -> BTreeSet<ObjectId> {
    let of_kind = |kind: &Kind| {
        let keys = snapshot.keys(*kind).into_iter();
        let objects: Vec<_> = keys.filter_map(|key| snapshot.get(*kind, &key)).collect();
        objects
    };
    let objects = Kind::ALL.iter().flat_map(of_kind);
    objects
        .flat_map(|object| references(&object, snapshot).collect::<Vec<_>>())
        .collect()
}
