//! The Secrets and ConfigMaps that a changed object refers to, and which of them are not known. Pure.
//!
//! A snapshot holds what is referred to already. A new object may be the first to refer to something: Secrets are looked
//! up, and of what could not be looked up nobody is told that it does not exist.

use super::{Change, Known, View};
use crate::model::{NamespacedName, Problem, Reason, References, Snapshot, annotations::CA_CERTIFICATES_CONFIG_MAPS};

/// More Secrets than this only an attack has.
const MAX_SECRETS: usize = 16;

/// The Secrets that a snapshot lacks.
pub(super) fn missing_secrets(change: &Change, snapshot: &Snapshot) -> Vec<NamespacedName> {
    let secrets = references(change).secrets.into_iter();
    let missing = secrets.filter(|key| !snapshot.secrets.contains_key(key));
    missing.take(MAX_SECRETS).collect()
}

/// What the object refers to.
fn references(change: &Change) -> References {
    let mut alone = Snapshot::default();
    alone.insert(change.new.clone());
    References::of(&alone)
}

/// Whether there is something of which is not known whether it exists.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    secrets: bool,
    config_maps: bool,
}

impl Unknown {
    pub(super) fn of(change: &Change, view: View<'_>) -> Self {
        let References {
            secrets, config_maps, ..
        } = references(change);
        Self {
            secrets: secrets.iter().any(|key| matches!(view.secret(key), Known::Unknown)),
            config_maps: config_maps
                .iter()
                .any(|key| !view.snapshot.config_maps.contains_key(key)),
        }
    }

    /// Whether a problem may say so of something that exists.
    pub(super) fn may_be_behind(&self, problem: &Problem) -> bool {
        let of_config_map = |field: &String| field.contains(CA_CERTIFICATES_CONFIG_MAPS);
        match problem.reason {
            Reason::SecretNotFound => self.secrets,
            Reason::ReferenceNotFound => self.config_maps && problem.field.as_ref().is_some_and(of_config_map),
            _ => false,
        }
    }
}
