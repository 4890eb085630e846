//! What was wrong with objects when a configuration was rendered, in little room: many configurations are remembered.
//!
//! Whether an object is permitted to refer to another, or to attach to a Gateway, may depend on objects that it does not
//! name (ReferenceGrants, Namespaces). What changes with them is what is wrong with it. Pure; used by the tracker and its
//! answers.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::{NamespacedName, Problem, Reason};

/// Hashes of objects, and of what is wrong with each; in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<(u64, u64)>);

impl Faults {
    pub(super) fn of(problems: &[Problem]) -> Self {
        // Endpoints come and go by themselves.
        let problems = problems.iter().filter(|problem| problem.reason != Reason::NoEndpoints);
        let mut faults: Vec<(u64, u64)> = problems
            .map(|problem| {
                let object = &problem.object;
                let place = (&*object.kind, &*object.namespace, &*object.name);
                (hash(place), hash((&problem.field, problem.reason)))
            })
            .collect();
        faults.sort_unstable();
        faults.dedup();
        faults.shrink_to_fit();
        Self(faults)
    }

    /// What is wrong with one object, for comparison.
    pub(super) fn of_object(&self, kind: &str, name: &NamespacedName) -> &[(u64, u64)] {
        let object = hash((kind, &*name.namespace, &*name.name));
        let first = self.0.partition_point(|(of, _)| *of < object);
        let count = self.0[first..].partition_point(|(of, _)| *of == object);
        &self.0[first..first + count]
    }
}

fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
