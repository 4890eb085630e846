//! Candidates that the index can't tell apart by their hosts, in their global order.

use std::{cmp::Ordering, collections::HashMap};

use super::{
    crowd::{Crowds, Member},
    path_rule::PathRule,
    trie::PathTrie,
};

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
    index: Option<Index>,
}

#[derive(Debug, Default)]
struct Index {
    by_prefix: PathTrie,
    crowds: Crowds,
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
        let index = (candidates.len() > MAX_UNINDEXED).then(|| Index::new(candidates.iter().map(path_of)));
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

impl Index {
    /// Of path rules in the order of their candidates.
    fn new<'a>(rules: impl Iterator<Item = &'a PathRule>) -> Self {
        let mut index = Self::default();
        let mut plain: Vec<(u32, &[u8])> = Vec::new();
        let mut expressions: HashMap<&[u8], Vec<Member<'_>>> = HashMap::new();
        for (place, rule) in rules.enumerate() {
            let place = u32::try_from(place).expect("fewer than 4 billion candidates");
            match rule.needles() {
                [] => plain.push((place, rule.literal_prefix())),
                needles => expressions
                    .entry(rule.literal_prefix())
                    .or_default()
                    .push((needles, place)),
            }
        }
        for (prefix, members) in expressions {
            if members.len() <= MAX_UNINDEXED || !index.crowds.add(prefix, &members) {
                plain.extend(members.iter().map(|(_, place)| (*place, prefix)));
            }
        }
        plain.sort_unstable();
        for (place, prefix) in plain {
            index.by_prefix.insert(prefix, place);
        }
        index
    }

    /// Visits the places of candidates whose path may fit, in ascending order within each visit.
    fn walk(&self, path: &[u8], mut visit: impl FnMut(&[u32])) {
        self.by_prefix.walk(path, &mut visit);
        self.crowds.walk(path, visit);
    }
}
