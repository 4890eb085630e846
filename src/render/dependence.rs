//! Which kinds of objects a configuration depends on. Pure: one translation for all, and one for each kind in question.
//! Called when the cluster lacks kinds, to tell whether what proxies run was made of some of their objects.

use std::collections::BTreeSet;

use super::Renderer;
use crate::{
    model::{Kind, Snapshot},
    translate::{Settings, Translator},
};

/// The first of these kinds without whose objects something else would come of a snapshot. A problem of one of its
/// objects counts, too: what it lacks, such as a Secret, may only not have been read yet.
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
    let is_used = |kind: &Kind| {
        let of_kind = |name: &str, group: &str| name == kind.name() && group == kind.group();
        let mut problems = translation.problems.iter().map(|problem| &problem.object);
        if problems.any(|object| of_kind(&object.kind, &object.group)) {
            return true;
        }
        let mut without = sources.clone();
        without.clear(*kind);
        renderer.render(&translator.translate(&without, settings)).hash != whole
    };
    candidates.into_iter().find(is_used)
}
