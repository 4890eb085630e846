//! All inputs at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    Kind, NamespacedName, Object, ObjectMap, Problem, Unavailable, gateway::*, kind::for_each_kind, kong::*,
    kubernetes::*,
};

/// Counts snapshots; a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// Objects of one kind by name. A clone shares the map until one of the two changes.
pub type Objects<T> = Arc<ObjectMap<T>>;

macro_rules! snapshot {
    ($($(#[$doc:meta])* $name:ident, $field:ident: $group:literal, [$($version:literal),*], $plural:literal, $scope:ident, $need:ident;)*) => {
        /// All inputs at one moment: immutable, cheap to clone.
        #[derive(Debug, Clone, Default)]
        pub struct Snapshot {
            /// Which one it is.
            pub generation: Generation,
            /// When the first of what the former one had not came in: changes are collected for a moment.
            pub read_at: Option<Timestamp>,
            $($(#[$doc])* pub $field: Objects<$name>,)*
            /// Objects that could not be read: they are in none of the maps above.
            pub malformed: Arc<Vec<Problem>>,
            /// Kinds that can't be read now, and why (DESIGN.md §3 rule 7). What was known of them is kept.
            pub unavailable: Arc<BTreeMap<Kind, Unavailable>>,
            /// Kinds that the cluster did not have, and has not shown since this controller began to look: they have no
            /// objects here, which says nothing of what there was before.
            pub absent: Arc<BTreeSet<Kind>>,
            /// Kinds whose first complete list has not come yet. Nothing is rendered before this is empty.
            pub pending: Arc<BTreeSet<Kind>>,
        }

        impl Snapshot {
            /// Adds or replaces an object.
            pub fn insert(&mut self, object: Object) {
                let key = object.key();
                match object {
                    $(Object::$name(object) => drop(Arc::make_mut(&mut self.$field).insert(key, object)),)*
                }
            }

            /// Takes an object away.
            pub fn remove(&mut self, kind: Kind, key: &NamespacedName) {
                match kind { $(Kind::$name => drop(Arc::make_mut(&mut self.$field).remove(key)),)* }
            }

            /// Takes all objects of a kind away.
            pub fn clear(&mut self, kind: Kind) {
                match kind { $(Kind::$name => self.$field = Arc::default(),)* }
            }

            /// Whether there is no object of a kind.
            pub fn has_none_of(&self, kind: Kind) -> bool {
                match kind { $(Kind::$name => self.$field.is_empty(),)* }
            }

            /// The object of that name, if it is here.
            pub fn get(&self, kind: Kind, key: &NamespacedName) -> Option<Object> {
                match kind { $(Kind::$name => self.$field.get(key).cloned().map(Object::$name),)* }
            }

            /// The metadata of the object of that name, if it is here.
            pub fn metadata(&self, kind: Kind, key: &NamespacedName) -> Option<&Metadata> {
                match kind { $(Kind::$name => self.$field.get(key).map(|object| &object.metadata),)* }
            }

            /// Calls back with each object that was added, changed or taken away since a former snapshot, by identity:
            /// an object that was replaced by an equal one counts as changed. What both share costs nothing.
            pub fn changes_since(&self, former: &Self, mut changed: impl FnMut(Kind, &NamespacedName)) {
                $(if !Arc::ptr_eq(&former.$field, &self.$field) {
                    former.$field.differences(&self.$field, |key| changed(Kind::$name, key));
                })*
            }

            /// The names of all objects of a kind.
            pub fn keys(&self, kind: Kind) -> Vec<NamespacedName> {
                match kind { $(Kind::$name => self.$field.keys().cloned().collect(),)* }
            }
        }
    };
}

for_each_kind!(snapshot);

impl Snapshot {
    /// Before anything was listed: what readers get until the first list is in. The default instead is a complete
    /// snapshot of nothing, from which an empty configuration would be rendered.
    pub fn unlisted() -> Self {
        Self {
            pending: Arc::new(Kind::ALL.iter().copied().collect()),
            ..Self::default()
        }
    }

    /// Whether every kind has been listed once.
    pub fn is_complete(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Object {
        let mut service = Service::default();
        service.metadata.name = name.into();
        Object::Service(Arc::new(service))
    }

    #[test]
    fn what_was_added_replaced_or_taken_away_has_changed() {
        let mut former = Snapshot::default();
        for name in ["a", "b", "c", "d"] {
            former.insert(service(name));
        }
        let mut now = former.clone();
        now.insert(service("b"));
        now.insert(service("e"));
        now.remove(Kind::Service, &NamespacedName::new("", "d"));
        let mut changed = Vec::new();
        now.changes_since(&former, |kind, key| changed.push((kind, key.name.to_string())));
        let expected = ["b", "d", "e"].map(|name| (Kind::Service, name.to_owned()));
        assert_eq!(changed, expected);
        now.changes_since(&now.clone(), |_, key| panic!("{key} did not change"));
    }
}
