//! The objects of one kind by name: a sorted map whose clones share what neither has changed.
//!
//! One snapshot follows another with little changed: a clone that is then changed copies a block of neighbours instead of
//! the whole, and what differs between the two is found without a look at what they share. Pure.

use std::{borrow::Borrow, cmp::Ordering, fmt, slice, sync::Arc};

use super::NamespacedName;

/// Entries of a block at the most.
const MOST: usize = 64;

type Entry<T> = (NamespacedName, Arc<T>);

/// Neighbours in ascending order, never none.
type Block<T> = Vec<Entry<T>>;

/// Objects of one kind, in order of their names.
pub struct ObjectMap<T> {
    blocks: Vec<Arc<Block<T>>>,
    len: usize,
}

impl<T> ObjectMap<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The object of that name.
    pub fn get<Q: Ord + ?Sized>(&self, name: &Q) -> Option<&Arc<T>>
    where
        NamespacedName: Borrow<Q>,
    {
        let block = self.blocks.get(self.block_of(name))?;
        let place = place(block, name).ok()?;
        Some(&block[place].1)
    }

    /// Whether there is one of that name.
    pub fn contains_key<Q: Ord + ?Sized>(&self, name: &Q) -> bool
    where
        NamespacedName: Borrow<Q>,
    {
        self.get(name).is_some()
    }

    /// Adds or replaces one. Gives what had the name.
    pub fn insert(&mut self, name: NamespacedName, object: Arc<T>) -> Option<Arc<T>> {
        if self.blocks.is_empty() {
            self.blocks.push(Arc::default());
        }
        let at = self.block_of(&name);
        let block = Arc::make_mut(&mut self.blocks[at]);
        match place(block, &name) {
            Ok(place) => return Some(std::mem::replace(&mut block[place].1, object)),
            Err(place) => block.insert(place, (name, object)),
        }
        self.len += 1;
        if block.len() > MOST {
            let upper = block.split_off(block.len() / 2);
            // Where names come in order nothing is added to it any more.
            block.shrink_to_fit();
            self.blocks.insert(at + 1, Arc::new(upper));
        }
        None
    }

    /// Takes one away.
    pub fn remove<Q: Ord + ?Sized>(&mut self, name: &Q) -> Option<Arc<T>>
    where
        NamespacedName: Borrow<Q>,
    {
        let at = self.block_of(name);
        let place = place(self.blocks.get(at)?, name).ok()?;
        let block = Arc::make_mut(&mut self.blocks[at]);
        let (_, removed) = block.remove(place);
        self.len -= 1;
        if block.is_empty() {
            self.blocks.remove(at);
        } else if let Some(next) = self.blocks.get(at + 1)
            && self.blocks[at].len() + next.len() <= MOST / 2
        {
            let next = self.blocks.remove(at + 1);
            Arc::make_mut(&mut self.blocks[at]).extend(next.iter().cloned());
        }
        Some(removed)
    }

    /// All of them, in order.
    pub fn iter(&self) -> ObjectMapIter<'_, T> {
        ObjectMapIter {
            blocks: self.blocks.iter(),
            entries: Default::default(),
        }
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &NamespacedName> {
        self.iter().map(|(name, _)| name)
    }

    /// The objects, in order of their names.
    pub fn values(&self) -> impl Iterator<Item = &Arc<T>> {
        self.iter().map(|(_, object)| object)
    }

    /// Calls back with the names under which two maps hold different objects, by identity.
    pub(super) fn differences(&self, other: &Self, mut differs: impl FnMut(&NamespacedName)) {
        let (mut ours, mut theirs) = (Rest::of(self), Rest::of(other));
        loop {
            Rest::pass_over_shared(&mut ours, &mut theirs);
            let order = match (ours.peek(), theirs.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let one = if order.is_le() { ours.next() } else { None };
            let other = if order.is_ge() { theirs.next() } else { None };
            match (one, other) {
                (Some((_, one)), Some((_, other))) if Arc::ptr_eq(one, other) => {}
                (Some((name, _)), _) | (None, Some((name, _))) => differs(name),
                (None, None) => {}
            }
        }
    }

    /// The block that has or would have the name: the last one that does not begin behind it.
    fn block_of<Q: Ord + ?Sized>(&self, name: &Q) -> usize
    where
        NamespacedName: Borrow<Q>,
    {
        let begins = |block: &Arc<Block<T>>| block.first().is_some_and(|(first, _)| first.borrow() <= name);
        self.blocks.partition_point(begins).saturating_sub(1)
    }
}

/// Where the name is among neighbours, or would be.
fn place<T, Q: Ord + ?Sized>(block: &Block<T>, name: &Q) -> Result<usize, usize>
where
    NamespacedName: Borrow<Q>,
{
    block.binary_search_by(|(other, _)| other.borrow().cmp(name))
}

/// What is left of a map: whole blocks, and before them what is left of one.
struct Rest<'a, T> {
    entries: &'a [Entry<T>],
    blocks: &'a [Arc<Block<T>>],
}

impl<'a, T> Rest<'a, T> {
    fn of(map: &'a ObjectMap<T>) -> Self {
        Self {
            entries: &[],
            blocks: &map.blocks,
        }
    }

    fn peek(&mut self) -> Option<&'a Entry<T>> {
        if self.entries.is_empty() {
            let (first, others) = self.blocks.split_first()?;
            (self.entries, self.blocks) = (first, others);
        }
        self.entries.first()
    }

    fn next(&mut self) -> Option<&'a Entry<T>> {
        let next = self.peek()?;
        self.entries = &self.entries[1..];
        Some(next)
    }

    /// Passes over blocks that both have next.
    fn pass_over_shared(one: &mut Self, other: &mut Self) {
        if one.entries.is_empty() && other.entries.is_empty() {
            let both = one.blocks.iter().zip(other.blocks);
            let shared = both.take_while(|(one, other)| Arc::ptr_eq(one, other)).count();
            one.blocks = &one.blocks[shared..];
            other.blocks = &other.blocks[shared..];
        }
    }
}

/// The objects of a map in order, with their names.
pub struct ObjectMapIter<'a, T> {
    blocks: slice::Iter<'a, Arc<Block<T>>>,
    entries: slice::Iter<'a, Entry<T>>,
}

impl<'a, T> Iterator for ObjectMapIter<'a, T> {
    type Item = (&'a NamespacedName, &'a Arc<T>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((name, object)) = self.entries.next() {
                return Some((name, object));
            }
            self.entries = self.blocks.next()?.iter();
        }
    }
}

impl<'a, T> IntoIterator for &'a ObjectMap<T> {
    type Item = (&'a NamespacedName, &'a Arc<T>);
    type IntoIter = ObjectMapIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> FromIterator<Entry<T>> for ObjectMap<T> {
    fn from_iter<I: IntoIterator<Item = Entry<T>>>(entries: I) -> Self {
        let mut map = Self::default();
        for (name, object) in entries {
            map.insert(name, object);
        }
        map
    }
}

impl<T> Default for ObjectMap<T> {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            len: 0,
        }
    }
}

/// Objects are shared: they need not be cloned.
impl<T> Clone for ObjectMap<T> {
    fn clone(&self) -> Self {
        Self {
            blocks: self.blocks.clone(),
            len: self.len,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for ObjectMap<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self).finish()
    }
}

impl<T: PartialEq> PartialEq for ObjectMap<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn name(number: usize) -> NamespacedName {
        NamespacedName::new(format!("ns{}", number % 3), format!("object-{number}"))
    }

    fn check(map: &ObjectMap<usize>, expected: &BTreeMap<NamespacedName, Arc<usize>>) {
        assert!(map.iter().eq(expected), "{map:?}");
        assert_eq!((map.len(), map.is_empty()), (expected.len(), expected.is_empty()));
        for number in 0..400 {
            let name = name(number);
            assert_eq!(map.get(&name), expected.get(&name));
            assert_eq!(map.contains_key(&name), expected.contains_key(&name));
        }
        assert!(map.blocks.iter().all(|block| (1..=MOST).contains(&block.len())));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_a_map_that_knows_what_differs(
            start in prop::collection::vec(0..400usize, 0..400),
            rounds in prop::collection::vec(prop::collection::vec((0..400usize, any::<bool>()), 0..200), 0..5),
        ) {
            let mut map: ObjectMap<usize> = ObjectMap::default();
            let mut expected = BTreeMap::new();
            let start = start.into_iter().map(|number| (number, true)).collect();
            for edits in std::iter::once(start).chain(rounds) {
                let (former, expected_former) = (map.clone(), expected.clone());
                for (number, comes) in edits {
                    let (name, object) = (name(number), Arc::new(number));
                    if comes {
                        prop_assert_eq!(map.insert(name.clone(), object.clone()), expected.insert(name, object));
                    } else {
                        prop_assert_eq!(map.remove(&name), expected.remove(&name));
                    }
                }
                check(&map, &expected);
                check(&former, &expected_former);
                let mut differ = Vec::new();
                former.differences(&map, |name| differ.push(name.clone()));
                let pointer = |map: &BTreeMap<_, Arc<usize>>, name: &NamespacedName| map.get(name).map(Arc::as_ptr);
                let names = (0..400).map(name).filter(|name| pointer(&expected, name) != pointer(&expected_former, name));
                let mut names: Vec<_> = names.collect();
                names.sort();
                prop_assert_eq!(differ, names);
            }
        }
    }

    #[test]
    fn a_change_copies_its_neighbours_alone() {
        let former: ObjectMap<usize> = (0..1000).map(|number| (name(number), Arc::new(number))).collect();
        let mut now = former.clone();
        now.insert(name(500), Arc::new(0));
        now.insert(name(2000), Arc::new(0));
        now.remove(&name(10));
        let is_shared = |block: &&Arc<Block<usize>>| former.blocks.iter().any(|other| Arc::ptr_eq(block, other));
        let own = now.blocks.iter().filter(|block| !is_shared(block)).count();
        assert!(own <= 4, "{own} of {} blocks were copied", now.blocks.len());
    }
}
