//! The objects that took part in a translation: sets of them, shared with the translations before.

use std::{collections::BTreeSet, sync::Arc};

use crate::model::ObjectRef;

/// The objects that took part. One may stand in several of the sets.
#[derive(Debug, Clone, Default)]
pub struct Participants(Vec<Arc<BTreeSet<ObjectRef>>>);

impl Participants {
    /// Adds a set.
    pub(super) fn add(&mut self, objects: Arc<BTreeSet<ObjectRef>>) {
        if !objects.is_empty() {
            self.0.push(objects);
        }
    }

    /// Adds those of another translation.
    pub fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.iter().cloned());
    }

    /// All of them; one may come several times.
    pub fn iter(&self) -> impl Iterator<Item = &ObjectRef> {
        self.0.iter().flat_map(|objects| objects.iter())
    }

    /// Whether an object is among them.
    pub fn contains(&self, object: &ObjectRef) -> bool {
        self.0.iter().any(|objects| objects.contains(object))
    }
}

/// Compares sets that are not shared only.
impl PartialEq for Participants {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Arc<BTreeSet<ObjectRef>>, &Arc<BTreeSet<ObjectRef>>)| Arc::ptr_eq(a, b) || a == b;
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl FromIterator<ObjectRef> for Participants {
    fn from_iter<I: IntoIterator<Item = ObjectRef>>(objects: I) -> Self {
        let mut participants = Self::default();
        participants.add(Arc::new(objects.into_iter().collect()));
        participants
    }
}
