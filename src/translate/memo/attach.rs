//! Routes with plugins come and go: the plugins of those alone are made anew. Pure.
//!
//! Everything else, and all that is not plain, is left to a translation of the whole ([`rest`](super::rest)).

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use super::{part::Part, rest::Rest};
use crate::{
    model::Snapshot,
    translate::{
        participants::group,
        plugin::{self, Attachments, Moves, Revised},
        state::{Common, State},
    },
};

/// Parts that come and go up to which it pays.
const MOST_PARTS: usize = 64;

/// Brings `rest` up to date with other parts. False if that takes a translation of the whole: `rest` can't be used any
/// more then.
pub(super) fn revise(rest: &mut Rest, mattering: &[Arc<Part>], before: &Snapshot, common: &Common<'_>) -> bool {
    if rest.fits(mattering) {
        return true;
    }
    rest.is_separate
        && common.snapshot.custom_entities.is_empty()
        && carry_out(rest, mattering, before, common).is_some()
}

/// `None` when it can't be done.
fn carry_out(rest: &mut Rest, now: &[Arc<Part>], before: &Snapshot, common: &Common<'_>) -> Option<()> {
    let former = std::mem::take(&mut rest.parts);
    let gone = without(&former, now);
    let come = without(now, &former);
    // Certificates that are wanted, and plugins that routes have of their own, matter for all.
    let is_simple = |part: &&Arc<Part>| part.claims.is_empty() && !part.has_plugins;
    if gone.len() + come.len() > MOST_PARTS || !gone.iter().chain(&come).all(is_simple) {
        return None;
    }
    let notes = |parts: &[&'_ Arc<Part>]| {
        parts
            .iter()
            .flat_map(|part| part.notes.iter().cloned())
            .collect::<Vec<_>>()
    };
    let (gone, come) = (notes(&gone), notes(&come));
    let (ended, state) = {
        let mut state = State::new(common);
        let moves = Moves {
            gone: Attachments::of(gone.iter(), before),
            before,
            come: Attachments::of(come.iter(), common.snapshot),
        };
        let placed = Revised {
            configuration: &mut rest.configuration,
            uses: &mut rest.uses,
            problems: &rest.problems,
        };
        let ended = plugin::revise(&moves, &common.index.grants, placed, &mut state)?;
        let ended: Vec<_> = ended
            .into_iter()
            .map(|owner| owner.kind.object_ref(owner.metadata))
            .collect();
        (ended, (state.objects, state.confidential))
    };
    let (objects, confidential) = state;
    rest.confidential.extend(confidential);
    if !ended.is_empty() || !objects.iter().all(|object| rest.objects.binary_search(object).is_ok()) {
        let mut known: BTreeSet<_> = rest.objects.iter().cloned().collect();
        known.extend(objects);
        for reference in &ended {
            known.remove(reference);
        }
        rest.objects = group(known);
    }
    rest.parts = now.to_vec();
    Some(())
}

/// Those that the others are not.
fn without<'a>(parts: &'a [Arc<Part>], others: &[Arc<Part>]) -> Vec<&'a Arc<Part>> {
    let others: HashSet<*const Part> = others.iter().map(Arc::as_ptr).collect();
    parts
        .iter()
        .filter(|part| !others.contains(&Arc::as_ptr(part)))
        .collect()
}
