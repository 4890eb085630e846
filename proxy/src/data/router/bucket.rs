//! Candidates that the index can't tell apart by their hosts, in their global order.

use std::cmp::Ordering;

use super::{path_rule::PathRule, trie::PathTrie};

/// Up to so many candidates are asked one by one.
const MAX_UNINDEXED: usize = 8;

/// One path rule of one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Where the router keeps the route.
    pub slot: u32,
    /// Which of its paths.
    pub path: u32,
}

/// Some candidates. Never changed: routers that follow one another share it.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// The first that fits wins.
    candidates: Box<[Candidate]>,
    /// Their places, by path.
    index: Option<PathTrie>,
}

impl Bucket {
    /// Of candidates in any order.
    pub(super) fn new<'a>(
        mut candidates: Vec<Candidate>,
        order: impl Fn(&Candidate, &Candidate) -> Ordering,
        path_of: impl Fn(&Candidate) -> &'a PathRule,
    ) -> Self {
        candidates.sort_unstable_by(order);
        // A route may name a host twice.
        candidates.dedup();
        let index = (candidates.len() > MAX_UNINDEXED).then(|| {
            let mut index = PathTrie::default();
            for (place, candidate) in candidates.iter().enumerate() {
                let place = u32::try_from(place).expect("fewer than 4 billion candidates");
                index.insert(path_of(candidate).literal_prefix(), place);
            }
            index
        });
        Self {
            candidates: candidates.into(),
            index,
        }
    }

    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The first candidate that fits by `check`, which is asked for those only whose path may fit.
    pub(super) fn find<T>(&self, path: &[u8], mut check: impl FnMut(Candidate) -> Option<T>) -> Option<(Candidate, T)> {
        let mut check = |candidate: Candidate| check(candidate).map(|matched| (candidate, matched));
        let Some(index) = &self.index else {
            return self.candidates.iter().copied().find_map(check);
        };
        let mut best: Option<(u32, (Candidate, T))> = None;
        index.walk(path, |places| {
            let bound = best.as_ref().map_or(u32::MAX, |(place, _)| *place);
            let better = places.iter().copied().take_while(|place| *place < bound);
            let found = better.map(|place| (place, self.candidates[place as usize]));
            if let Some(found) = { found }.find_map(|(place, candidate)| Some((place, check(candidate)?))) {
                best = Some(found);
            }
        });
        best.map(|(_, found)| found)
    }
}
