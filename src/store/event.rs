//! What a source has to say.

use std::sync::Arc;

use super::References;
use crate::model::{Kind, NamespacedName, Object, Problem, Unavailable};

/// What a source has to say.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An object was added or changed.
    Applied(Object),
    /// An object went away.
    Deleted(Kind, NamespacedName),
    /// An object was added or changed and can't be read: its former state no longer counts.
    Malformed(Kind, NamespacedName, Problem),
    /// The complete list of a kind: objects of it that are not here are gone. The kind counts as listed from now on.
    Listed(Kind, Vec<Object>, Vec<Problem>),
    /// The complete list of a kind in one namespace.
    ListedIn(Kind, Arc<str>, Vec<Object>, Vec<Problem>),
    /// Every namespace of the kind has been listed.
    Synced(Kind),
    /// The complete content of a directory: every kind counts as listed.
    Loaded(Vec<Object>, Vec<Problem>),
    /// The kind can't be read for the reason given; its objects are kept as they were.
    Unavailable(Kind, Unavailable),
    /// The kind can be read again.
    Available(Kind),
    /// The kind does not exist in this cluster (no CRD), as far as it is looked for in that namespace, or in all: it counts
    /// as listed there, with no objects, and as absent until it is listed.
    Absent(Kind, Option<Arc<str>>),
    /// What objects of a former moment refer to, which may stand in for those of now: it is kept, too.
    Besides(References),
    /// One of those who fetch has sent all that the interest of this generation asks for.
    InterestMet(u64),
}
