//! Refuses configurations of leaders that were deposed. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Refusal;

/// Leases that are remembered; a fleet has one, and gets another when somebody deletes it.
const MAX_LEASES: usize = 16;

/// Under which leadership a configuration is sent: the header `Silverback-Epoch: <lease uid>:<transitions>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Epoch {
    /// UID of the Lease; empty where there is none.
    pub(crate) lease_uid: String,
    /// Its `leaseTransitions`.
    pub(crate) transitions: u64,
}

/// Not `<lease uid>:<transitions>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected LEASE-UID:TRANSITIONS")]
pub(crate) struct InvalidEpoch;

impl std::str::FromStr for Epoch {
    type Err = InvalidEpoch;

    fn from_str(text: &str) -> Result<Self, InvalidEpoch> {
        let (lease_uid, transitions) = text.trim().rsplit_once(':').ok_or(InvalidEpoch)?;
        if lease_uid.len() > 128 {
            return Err(InvalidEpoch);
        }
        Ok(Self {
            lease_uid: lease_uid.to_owned(),
            transitions: transitions.parse().map_err(|_| InvalidEpoch)?,
        })
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.lease_uid, self.transitions)
    }
}

/// The latest epoch of each lease, the most recently seen lease last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fence(Vec<Epoch>);

impl Fence {
    /// Remembers an epoch, or refuses it if a later one of the same lease was seen.
    pub(super) fn pass(&mut self, sent: Epoch) -> Result<(), Refusal> {
        let known = self.0.iter().position(|epoch| epoch.lease_uid == sent.lease_uid);
        if let Some(position) = known {
            let seen = self.0[position].transitions;
            if sent.transitions < seen {
                return Err(Refusal::Fenced { sent, seen });
            }
            self.0.remove(position);
        } else if self.0.len() == MAX_LEASES {
            self.0.remove(0);
        }
        self.0.push(sent);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn epoch(text: &str) -> Epoch {
        text.parse().expect("valid")
    }

    #[test]
    fn an_older_leader_of_the_same_lease_is_refused() {
        let mut fence = Fence::default();
        for passing in ["a:3", "a:3", "a:4", "b:0", "a:4", ":0", ":0"] {
            fence.pass(epoch(passing)).expect(passing);
        }
        let refusal = fence.pass(epoch("a:3")).expect_err("older");
        assert!(
            refusal.to_string().contains("a:3") && refusal.to_string().contains("a:4"),
            "{refusal}"
        );
        fence.pass(epoch("b:1")).expect("another lease");
    }

    #[test]
    fn malformed_epochs_are_errors() {
        for text in ["", "a", "a:", "a:-1", "a:x", &format!("{}:1", "u".repeat(129))] {
            assert_eq!(text.parse::<Epoch>(), Err(InvalidEpoch), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_epoch_passes_unless_a_later_one_of_its_lease_did(
            sent in proptest::collection::vec((0..MAX_LEASES, 0..5_u64), 0..200),
        ) {
            let mut fence = Fence::default();
            let mut latest = std::collections::HashMap::new();
            for (lease, transitions) in sent {
                let seen = latest.entry(lease).or_insert(0);
                let passed = fence.pass(Epoch { lease_uid: lease.to_string(), transitions }).is_ok();
                prop_assert_eq!(passed, transitions >= *seen);
                *seen = transitions.max(*seen);
            }
        }

        #[test]
        fn what_is_remembered_is_bounded(leases in proptest::collection::vec("[a-z]{0,4}", 0..100)) {
            let mut fence = Fence::default();
            for lease_uid in leases {
                let _ = fence.pass(Epoch { lease_uid, transitions: 0 });
                prop_assert!(fence.0.len() <= MAX_LEASES);
            }
        }
    }
}
