//! `gateway.silverback.dev/v1alpha1`: what users write of a ProxyFleet.

use serde::{Deserialize, Serialize};

use super::{Metadata, null_default};

/// All proxies behind one Admin Service. The rest of it is written by the controller, in `status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyFleet {
    /// Metadata.
    pub metadata: Metadata,
    /// What users want.
    #[serde(deserialize_with = "null_default")]
    pub spec: ProxyFleetSpec,
}

/// What users want of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyFleetSpec {
    /// Whether no change goes to its proxies.
    #[serde(deserialize_with = "null_default")]
    pub paused: bool,
}
