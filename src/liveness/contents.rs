//! What an object says, with all that it refers to.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    model::{Digest, Kind, NamespacedName, Snapshot},
    translate::fallback,
};

/// Objects that one may refer to, directly or by way of others.
const MOST: usize = 500;

/// One object and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    #[serde(flatten)]
    pub name: NamespacedName,
    /// What it says; `None` if there is no such object. That is content too: it may appear.
    pub digest: Option<Digest>,
}

/// The object of that name, then everything that it refers to, by way of others too. Endpoints are none of it: they
/// change by themselves.
pub fn contents(snapshot: &Snapshot, kind: Kind, name: &NamespacedName) -> Vec<Content> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([(kind, name.clone())]);
    let mut next = VecDeque::from([(kind, name.clone())]);
    while let Some((kind, name)) = next.pop_front() {
        let object = snapshot.get(kind, &name);
        if let Some(object) = &object {
            for reference in fallback::references(object, snapshot) {
                if seen.len() < MOST && seen.insert(reference.clone()) {
                    next.push_back(reference);
                }
            }
        }
        found.push(Content {
            kind,
            name,
            digest: object.and_then(|object| object.metadata().digest),
        });
    }
    found
}
