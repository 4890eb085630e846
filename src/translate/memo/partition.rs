//! Groups of things that have keys in common, directly or by way of others. Pure.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::outline::Key;

/// Numbered things, and which of them belong together.
pub(super) struct Partition {
    parents: Vec<usize>,
    /// A thing that has the key.
    keys: HashMap<Key, usize, BuildHasherDefault<Identity>>,
}

impl Partition {
    pub(super) fn with_capacity(things: usize) -> Self {
        Self {
            parents: Vec::with_capacity(things),
            keys: HashMap::with_capacity_and_hasher(things * 4, BuildHasherDefault::default()),
        }
    }

    /// Adds the next thing, with its keys.
    pub(super) fn add(&mut self, keys: &[Key]) {
        let mut root = self.parents.len();
        self.parents.push(root);
        for key in keys {
            let other = *self.keys.entry(*key).or_insert(root);
            let other = self.root(other);
            // The earlier one stays, so that the roots are the first of their groups.
            let (first, second) = (root.min(other), root.max(other));
            self.parents[second] = first;
            root = first;
        }
    }

    fn root(&mut self, mut thing: usize) -> usize {
        while self.parents[thing] != thing {
            // Halves the way for those who come later.
            self.parents[thing] = self.parents[self.parents[thing]];
            thing = self.parents[thing];
        }
        thing
    }

    /// The groups in order of their first things, each in order.
    pub(super) fn groups(mut self) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut group_of = vec![usize::MAX; self.parents.len()];
        for thing in 0..self.parents.len() {
            let root = self.root(thing);
            if group_of[root] == usize::MAX {
                group_of[root] = groups.len();
                groups.push(Vec::new());
            }
            groups[group_of[root]].push(thing);
        }
        groups
    }
}

/// Hashes what is a hash already.
#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn groups(things: &[Vec<Key>]) -> Vec<Vec<usize>> {
        let mut partition = Partition::with_capacity(things.len());
        things.iter().for_each(|keys| partition.add(keys));
        partition.groups()
    }

    #[test]
    fn things_belong_together_by_way_of_others() {
        let things = [vec![1], vec![2], vec![], vec![3], vec![2, 3], vec![4, 1]];
        assert_eq!(groups(&things), [vec![0, 5], vec![1, 3, 4], vec![2]]);
    }

    proptest! {
        #[test]
        fn all_with_a_key_in_common_are_in_one_group(
            things in prop::collection::vec(prop::collection::vec(0..20u64, 0..3), 0..40),
        ) {
            let groups = groups(&things);
            let group_of = |thing: usize| groups.iter().position(|group| group.contains(&thing));
            for (a, keys) in things.iter().enumerate() {
                for (b, others) in things.iter().enumerate() {
                    if keys.iter().any(|key| others.contains(key)) {
                        prop_assert_eq!(group_of(a), group_of(b));
                    }
                }
            }
            // No group can be parted: it is connected by keys.
            for group in &groups {
                let mut reached = vec![group[0]];
                let mut next = 0;
                while next < reached.len() {
                    let keys = things[reached[next]].clone();
                    for thing in group {
                        if !reached.contains(thing) && things[*thing].iter().any(|key| keys.contains(key)) {
                            reached.push(*thing);
                        }
                    }
                    next += 1;
                }
                prop_assert_eq!(reached.len(), group.len());
            }
        }
    }
}
