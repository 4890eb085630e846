//! The objects that took part in a translation: sets of them, shared with the translations before.

use std::{collections::BTreeSet, sync::Arc};

use crate::model::ObjectRef;

/// A set of them, in ascending order: small ones are many, and a tree has room for more than they are.
pub(super) type Group = Arc<[ObjectRef]>;

/// The objects that took part. One may stand in several of the sets.
#[derive(Debug, Clone, Default)]
pub struct Participants(Vec<Group>);

impl Participants {
    /// Adds a set.
    pub(super) fn add(&mut self, objects: Group) {
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

    /// Those of an API group; one may come several times. Costs nothing for the others.
    pub fn of_group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a ObjectRef> {
        let before = ObjectRef {
            group: group.into(),
            version: Arc::default(),
            kind: Arc::default(),
            namespace: Arc::default(),
            name: Arc::default(),
            uid: Arc::default(),
        };
        self.0.iter().flat_map(move |objects| {
            let from = objects[objects.partition_point(|object| *object < before)..].iter();
            from.take_while(move |object| *object.group == *group)
        })
    }

    /// Whether an object is among them.
    pub fn contains(&self, object: &ObjectRef) -> bool {
        self.0.iter().any(|objects| objects.binary_search(object).is_ok())
    }
}

/// A set of objects.
pub(super) fn group(objects: BTreeSet<ObjectRef>) -> Group {
    objects.into_iter().collect()
}

/// Compares sets that are not shared only.
impl PartialEq for Participants {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Group, &Group)| Arc::ptr_eq(a, b) || a == b;
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl FromIterator<ObjectRef> for Participants {
    fn from_iter<I: IntoIterator<Item = ObjectRef>>(objects: I) -> Self {
        let mut participants = Self::default();
        participants.add(group(objects.into_iter().collect()));
        participants
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn those_of_a_group_are_told_and_no_others() {
        let object = |kind: Kind, name: &str| ObjectRef {
            name: name.into(),
            ..kind.object_ref(&Default::default())
        };
        let sets = [
            vec![
                object(Kind::Service, "a"),
                object(Kind::Ingress, "b"),
                object(Kind::KongPlugin, "c"),
                object(Kind::KongConsumer, "d"),
            ],
            vec![object(Kind::HTTPRoute, "e")],
            vec![object(Kind::KongPlugin, "f"), object(Kind::HTTPRoute, "g")],
        ];
        let mut participants = Participants::default();
        for set in sets {
            participants.add(group(set.into_iter().collect()));
        }
        for kind in [
            Kind::Service,
            Kind::Ingress,
            Kind::KongPlugin,
            Kind::HTTPRoute,
            Kind::Secret,
        ] {
            let told: Vec<_> = participants.of_group(kind.group()).collect();
            let expected = participants.iter().filter(|object| *object.group == *kind.group());
            assert_eq!(told, expected.collect::<Vec<_>>(), "{kind:?}");
        }
        assert_eq!(participants.of_group("gateway.networking.k8s").count(), 0);
    }
}
