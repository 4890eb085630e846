//! Who may push and write.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

/// How long a leader that stops goes on with the pushes under way once it has given the Lease back; then they are broken
/// off. The fleet of the next leader counts on it. Kong takes up to 12 s for 10,000 routes (reference: admin-api.md,
/// "Limits and cost"), Kubernetes gives a pod 30 s.
pub const LAST_PUSHES: Duration = Duration::from_secs(15);

/// Fences pushes of leaders that were deposed: a later one is greater as long as the Lease is the same object.
///
/// It travels with each push; the embedded proxy refuses an older one (DESIGN.md §3 rule 5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// UID of the Lease; empty where there is none (directory mode).
    pub lease_uid: Arc<str>,
    /// `spec.leaseTransitions` under which leadership was won.
    pub transitions: u64,
}

impl Epoch {
    /// Whether it came after another one, given as it is displayed: of another Lease, since ours exists now, or of fewer
    /// transitions.
    pub fn is_after(&self, other: &str) -> bool {
        let Some((lease_uid, transitions)) = other.rsplit_once(':') else {
            return true;
        };
        lease_uid != &*self.lease_uid || transitions.parse::<u64>().is_ok_and(|other| other < self.transitions)
    }
}

/// `<lease uid>:<transitions>`, the value of the header `Silverback-Epoch`.
impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.lease_uid, self.transitions)
    }
}

/// This replica's part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Leadership {
    /// Not known yet: counts as follower.
    Unknown,
    /// Holds the Lease.
    Leader {
        /// Under which it was won.
        epoch: Epoch,
    },
    /// Another replica holds it.
    Follower {
        /// Its identity, if any holder is known.
        holder: Option<Arc<str>>,
    },
    /// Held the Lease until the API server went out of reach, and knows of no other holder: gives the last accepted
    /// bytes to proxies that report no configuration, and does nothing else.
    Cut {
        /// Under which it was won.
        epoch: Epoch,
    },
}

impl Leadership {
    /// Whether this replica may push freely and write.
    pub fn is_leader(&self) -> bool {
        matches!(self, Self::Leader { .. })
    }

    /// The epoch that pushes carry.
    pub fn epoch(&self) -> Option<&Epoch> {
        match self {
            Self::Leader { epoch } | Self::Cut { epoch } => Some(epoch),
            Self::Unknown | Self::Follower { .. } => None,
        }
    }
}

/// For people: `leader`, `follower of NAME`.
impl fmt::Display for Leadership {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader { .. } => formatter.write_str("leader"),
            Self::Follower { holder: Some(holder) } => write!(formatter, "follower of {holder}"),
            Self::Follower { holder: None } => formatter.write_str("follower"),
            Self::Cut { .. } => formatter.write_str("leader without the API server"),
            Self::Unknown => formatter.write_str("not known yet"),
        }
    }
}
