//! Kong's custom resources (`configuration.konghq.com`, `incubator.ingress-controller.konghq.com`), as far as they are
//! used. Field names and meanings are those of Kong Ingress Controller's CRDs (`kic.md` 2.3).
//!
//! Pure values. The definitions in `deploy/crds` are generated from these types; what a definition refuses an object
//! written under an older one may still hold, so that types are read leniently here and checked where they are used.

mod class_parameters;
mod consumer;
mod custom_entity;
mod ingress;
pub mod label;
mod license;
mod plugin;
pub mod schema;
mod service_facade;
mod stream_ingress;
mod upstream_policy;
mod vault;

pub use class_parameters::*;
pub use consumer::*;
pub use custom_entity::*;
pub use ingress::*;
pub use license::*;
pub use plugin::*;
pub use service_facade::*;
pub use stream_ingress::*;
pub use upstream_policy::*;
pub use vault::*;

use serde::{Deserialize, Serialize};

use super::kubernetes::null_default;

/// Free form: keys and values as the user wrote them, explicit nulls included.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;

/// Which control plane an object belongs to. Objects of other control planes than `kic` are not ours.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneRef {
    /// `kic`, `konnectID` or `konnectNamespacedRef`; empty is `kic`.
    #[serde(rename = "type", deserialize_with = "null_default")]
    pub type_: String,
    /// UUID, with type `konnectID`.
    #[serde(rename = "konnectID", skip_serializing_if = "Option::is_none")]
    pub konnect_id: Option<String>,
    /// Name, with type `konnectNamespacedRef`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub konnect_namespaced_ref: Option<KonnectNamespacedRef>,
}

impl ControlPlaneRef {
    /// Whether it names this controller.
    pub fn is_ours(&self) -> bool {
        self.type_.is_empty() || self.type_ == "kic"
    }
}

/// A control plane object of Kong's operator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KonnectNamespacedRef {
    /// Name.
    pub name: String,
    /// Namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A key of a Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    pub name: String,
    /// Key in it.
    pub key: String,
    /// Namespace of the Secret: used by cluster-scoped objects, which have none of their own.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Where a value comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ValueFrom {
    /// A key of a Secret.
    pub secret_key_ref: SecretKeyRef,
}
