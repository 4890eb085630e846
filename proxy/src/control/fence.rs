//! Refuses configurations of leaders that were deposed. Pure.
//!
//! Within one Lease transitions tell who is later. Of two Leases nothing tells: one was deleted and made again, or another
//! release takes over, and may give back. So whoever comes with another Lease than the last one, or with fewer transitions,
//! is refused and told which epoch was seen; he asks the API server whether he still leads, and comes again saying which
//! epoch he supersedes (ADR 14). One that was deposed does not get that far, and what is remembered is one epoch.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Refusal;

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

/// The epoch under which a configuration was sent last, if any. Written as a list, as when it held one for each Lease, the
/// last of which counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Epoch>", into = "Vec<Epoch>")]
pub(crate) struct Fence(Option<Epoch>);

impl From<Vec<Epoch>> for Fence {
    fn from(epochs: Vec<Epoch>) -> Self {
        Self(epochs.into_iter().next_back())
    }
}

impl From<Fence> for Vec<Epoch> {
    fn from(fence: Fence) -> Self {
        fence.0.into_iter().collect()
    }
}

impl Fence {
    /// Remembers an epoch, or refuses it if it may be over: unless it is of the same Lease and no older than the last one,
    /// or supersedes just that.
    pub(super) fn pass(&mut self, sent: Epoch, supersedes: Option<&Epoch>) -> Result<(), Refusal> {
        if let Some(seen) = &self.0 {
            let follows = seen.lease_uid == sent.lease_uid && seen.transitions <= sent.transitions;
            if !follows && supersedes != Some(seen) {
                return Err(Refusal::Fenced {
                    sent,
                    seen: seen.clone(),
                });
            }
        }
        self.0 = Some(sent);
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

    fn pass(fence: &mut Fence, sent: &str, supersedes: Option<&str>) -> Result<(), Refusal> {
        fence.pass(epoch(sent), supersedes.map(epoch).as_ref())
    }

    #[test]
    fn an_older_leader_of_the_same_lease_is_refused() {
        let mut fence = Fence::default();
        for passing in ["a:3", "a:3", "a:4"] {
            pass(&mut fence, passing, None).expect(passing);
        }
        let refusal = pass(&mut fence, "a:3", None).expect_err("older");
        assert!(
            refusal.to_string().contains("a:3") && refusal.to_string().contains("a:4"),
            "{refusal}"
        );
    }

    #[test]
    fn the_leader_of_a_lease_that_was_made_again_is_followed_by_none_of_the_old_one() {
        let mut fence = Fence::default();
        pass(&mut fence, "a:3", None).expect("the first");
        pass(&mut fence, "b:0", None).expect_err("it has to ask first");
        pass(&mut fence, "b:0", Some("a:3")).expect("it has asked");
        pass(&mut fence, "b:1", None).expect("the next one");
        // Also under an epoch that never came here, and having asked before the others led.
        for (stale, supersedes) in [("a:3", None), ("a:4", None), ("a:4", Some("a:3")), ("a:4", Some("b:0"))] {
            pass(&mut fence, stale, supersedes).expect_err(stale);
        }
    }

    #[test]
    fn whoever_leads_by_what_the_api_server_says_now_gets_through() {
        let mut fence = Fence::default();
        // A release takes over and gives back; another needs no Lease; a restored cluster counts less.
        for (sent, supersedes) in [
            ("a:4", None),
            ("b:0", Some("a:4")),
            ("a:4", Some("b:0")),
            (":0", Some("a:4")),
        ] {
            pass(&mut fence, sent, supersedes).expect(sent);
        }
        pass(&mut fence, ":0", None).expect("the same");
        pass(&mut fence, "a:2", Some(":0")).expect("restored");
    }

    #[test]
    fn what_is_written_is_read_again_also_as_it_was_before() {
        let mut fence = Fence::default();
        let text = serde_json::to_string(&fence).expect("it is written");
        assert_eq!(serde_json::from_str::<Fence>(&text).expect("it is read"), fence);
        pass(&mut fence, "b:1", None).expect("the first");
        let text = serde_json::to_string(&fence).expect("it is written");
        assert_eq!(serde_json::from_str::<Fence>(&text).expect("it is read"), fence);
        let before = r#"[{"lease_uid":"a","transitions":4},{"lease_uid":"b","transitions":1}]"#;
        assert_eq!(serde_json::from_str::<Fence>(before).expect("it is read"), fence);
    }

    #[test]
    fn malformed_epochs_are_errors() {
        for text in ["", "a", "a:", "a:-1", "a:x", &format!("{}:1", "u".repeat(129))] {
            assert_eq!(text.parse::<Epoch>(), Err(InvalidEpoch), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_epoch_passes_only_after_an_older_one_of_its_lease_or_one_that_it_knows_of(
            sent in proptest::collection::vec((0..3_u8, 0..5_u64, proptest::option::of((0..3_u8, 0..5_u64))), 0..200),
        ) {
            let make = |(lease, transitions): (u8, u64)| Epoch { lease_uid: lease.to_string(), transitions };
            let mut fence = Fence::default();
            let mut last: Option<(u8, u64)> = None;
            for (lease, transitions, supersedes) in sent {
                let passed = fence.pass(make((lease, transitions)), supersedes.map(make).as_ref()).is_ok();
                let follows = last.is_none_or(|(of, seen)| of == lease && seen <= transitions);
                prop_assert_eq!(passed, follows || supersedes == last);
                if passed {
                    last = Some((lease, transitions));
                }
            }
        }
    }
}
