//! `incubator.ingress-controller.konghq.com/v1alpha1`: KongServiceFacade.

use serde::{Deserialize, Serialize};

use super::null_default;
use crate::model::kubernetes::Metadata;

/// A second face of a Service, with annotations of its own, as backend of Ingresses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KongServiceFacade {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: KongServiceFacadeSpec,
}

/// Wanted state of a KongServiceFacade.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KongServiceFacadeSpec {
    /// The Service behind it.
    pub backend_ref: FacadeBackendRef,
}

/// A Service of the facade's namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FacadeBackendRef {
    /// Name.
    pub name: String,
    /// Number of one of its ports.
    pub port: u16,
}
