//! `configuration.konghq.com/v1alpha1`: IngressClassParameters.

use serde::{Deserialize, Serialize};

use super::null_default;
use crate::model::kubernetes::Metadata;

/// What holds for all Ingresses of a class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressClassParameters {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: IngressClassParametersSpec,
}

/// Wanted state of IngressClassParameters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressClassParametersSpec {
    /// Requests go to the cluster address of Services instead of their pods.
    #[serde(deserialize_with = "null_default")]
    pub service_upstream: bool,
    /// Paths that look like regular expressions count as such, as in Kong Ingress Controller 2.
    #[serde(deserialize_with = "null_default")]
    pub enable_legacy_regex_detection: bool,
}
