//! A number of pods, or a share of them, as a Deployment has it for `maxSurge` and `maxUnavailable`. Called by the checks, and by
//! the verb for `--new-pods`.

use std::str::FromStr;

use serde_json::Value;

/// How many pods, of a count that is known later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// As many, whatever the count.
    Pods(u64),
    /// Of a hundred.
    Percent(u64),
}

impl Share {
    /// As Kubernetes counts pods that come beside the others.
    pub(super) fn rounded_up(self, count: u64) -> u64 {
        match self {
            Self::Pods(pods) => pods,
            Self::Percent(percent) => percent.saturating_mul(count).div_ceil(100),
        }
    }

    /// As Kubernetes counts pods that may be away.
    pub(super) fn rounded_down(self, count: u64) -> u64 {
        match self {
            Self::Pods(pods) => pods,
            Self::Percent(percent) => percent.saturating_mul(count) / 100,
        }
    }

    /// As it stands in a Deployment.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => text.parse().ok(),
            value => value.as_u64().map(Self::Pods),
        }
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::Pods(0)
    }
}

/// `3` or `25%`.
impl FromStr for Share {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().map(Self::Percent),
            None => text.parse().map(Self::Pods),
        }
    }
}
