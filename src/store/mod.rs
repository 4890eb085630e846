//! Applies events, owns the objects, publishes snapshots.
//!
//! No IO; has time: a burst of events becomes one snapshot, 50 ms after the last of them and at most 500 ms after the
//! first. Fed by `watch`; its snapshots are read by the pipeline, by `fleet` (discovery) and by `status`.

use crate::model::{Kind, NamespacedName, Object, Problem};

/// What a source has to say.
#[derive(Debug, Clone)]
pub enum Event {
    /// An object was added or changed.
    Applied(Object),
    /// An object went away.
    Deleted(Kind, NamespacedName),
    /// An object was added or changed and can't be read: its former state no longer counts.
    Malformed(Kind, NamespacedName, Problem),
    /// The complete list of a kind: objects of it that are not here are gone. The kind counts as listed from now on.
    Listed(Kind, Vec<Object>, Vec<Problem>),
    /// The complete content of a directory: every kind counts as listed.
    Loaded(Vec<Object>, Vec<Problem>),
    /// The kind can't be read for the reason given; its objects are kept as they were.
    Unavailable(Kind, String),
    /// The kind does not exist in this cluster (no CRD): it counts as listed, with no objects.
    Absent(Kind),
}
