//! Consistent hashing: each target owns points on a ring, so that a change of targets moves few requests.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Points of the ring without a setting (Kong: `slots`).
const DEFAULT_SLOTS: u32 = 10_000;
/// Points of one target, at most: more don't spread better.
const MAX_POINTS: u64 = 1000;

/// Points in the order of their hashes, each with the index of its target.
#[derive(Debug)]
pub(super) struct HashRing {
    points: Vec<(u64, usize)>,
}

impl HashRing {
    /// A ring over targets by name and weight.
    pub(super) fn new(targets: impl Iterator<Item = (String, u32)>, slots: Option<u32>) -> Self {
        let targets: Vec<_> = targets.collect();
        let total: u64 = targets.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let slots = u64::from(slots.unwrap_or(DEFAULT_SLOTS));
        let mut points = Vec::new();
        for (index, (name, weight)) in targets.iter().enumerate() {
            let share = (slots * u64::from(*weight) / total.max(1)).clamp(1, MAX_POINTS);
            points.extend((0..share).map(|point| (hash(&(name, point)), index)));
        }
        points.sort_unstable();
        Self { points }
    }

    /// The first usable target at or after a hash.
    pub(super) fn find(&self, hash: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let start = self.points.partition_point(|(point, _)| *point < hash);
        let (before, after) = self.points.split_at(start);
        let mut onward = after.iter().chain(before).map(|(_, index)| *index);
        onward.find(|&index| usable(index))
    }
}

/// A hash that is the same in every process, so that all replicas agree.
pub(in crate::data) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
