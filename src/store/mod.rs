//! Applies events, owns the objects, publishes snapshots.
//!
//! No IO; has time: a burst of events becomes one snapshot, 50 ms after the last of them and at most 500 ms after the
//! first. An event that changes nothing wakes nobody. Fed by `watch`; its snapshots are read by the pipeline, by `fleet`
//! (discovery) and by `status`.
//!
//! Memory is bounded by what is used (DESIGN.md §3 rule 10): with a source that can fetch, only EndpointSlices of
//! Services and only Secrets and ConfigMaps that somebody refers to are kept. What is referred to is the [`Interest`]; the source
//! fetches what is newly in it and says so with [`Event::InterestMet`], and the snapshot waits for that.

mod actor;
mod event;
mod interest;
mod state;

#[cfg(test)]
mod tests;

pub use actor::{channel, run};
pub use event::Event;
pub use interest::{CA_CERTIFICATE_LABEL, CREDENTIAL_LABEL, Interest};

pub use crate::model::References;

use std::collections::BTreeSet;

use crate::model::NamespacedName;

/// What a store keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Retention {
    /// Everything: for sources that can't fetch one by one (a directory).
    #[default]
    All,
    /// EndpointSlices, Secrets and ConfigMaps only as far as they are referred to.
    Referenced {
        /// Services whose EndpointSlices are kept in any case: the Admin Services, the publish Service.
        services: BTreeSet<NamespacedName>,
    },
}
