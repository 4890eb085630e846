//! Smooth weighted round-robin: over any stretch each target gets its share, evenly spread (as nginx does it).

use std::sync::{Mutex, PoisonError};

/// Whose turn it is among weighted places.
#[derive(Debug)]
pub(super) struct RoundRobin {
    weights: Vec<i64>,
    credits: Mutex<Vec<i64>>,
}

impl RoundRobin {
    pub(super) fn new(weights: impl Iterator<Item = i64>) -> Self {
        let weights: Vec<_> = weights.collect();
        let credits = Mutex::new(vec![0; weights.len()]);
        Self { weights, credits }
    }

    /// Whose turn it is among the usable ones.
    pub(super) fn next(&self, usable: impl Fn(usize) -> bool) -> Option<usize> {
        self.give_turn(usable)
    }

    /// The usable one with the least load per weight; among equals, whose turn it is.
    pub(super) fn least(&self, load: impl Fn(usize) -> (u64, u64), usable: impl Fn(usize) -> bool) -> Option<usize> {
        let loads: Vec<_> = (0..self.weights.len()).map(load).collect();
        let lighter = |one: usize, other: usize| {
            let ((one, one_weight), (other, other_weight)) = (loads[one], loads[other]);
            one * other_weight < other * one_weight
        };
        let least = (0..loads.len())
            .filter(|&index| usable(index))
            .reduce(|least, index| if lighter(index, least) { index } else { least })?;
        self.give_turn(|index| usable(index) && !lighter(least, index))
    }

    /// Goes on where another one was; `places` says where each of ours stood there.
    pub(super) fn take_over(&self, before: &Self, places: impl Iterator<Item = Option<usize>>) {
        let before = before.credits.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut credits = self.credits.lock().unwrap_or_else(PoisonError::into_inner);
        let bound: i64 = self.weights.iter().sum();
        for (credit, place) in credits.iter_mut().zip(places) {
            *credit = place.map_or(0, |place| before[place]).clamp(-bound, bound);
        }
    }

    fn give_turn(&self, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let mut credits = self.credits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = 0;
        let mut best: Option<usize> = None;
        for (index, weight) in self.weights.iter().enumerate() {
            if !usable(index) {
                continue;
            }
            credits[index] += weight;
            total += weight;
            if best.is_none_or(|best| credits[index] > credits[best]) {
                best = Some(index);
            }
        }
        let best = best?;
        credits[best] -= total;
        Some(best)
    }
}
