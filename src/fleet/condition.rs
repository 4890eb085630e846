//! Conditions of a proxy, as on its `ProxyInstance`.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;

/// True, False or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known.
    Unknown,
}

impl ConditionStatus {
    /// `True`, `False`, `Unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition: what holds, since when, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One word that a person can act on.
    pub reason: Cow<'static, str>,
    /// A sentence.
    pub message: String,
    /// Since when the status is what it is.
    pub since: Timestamp,
}
