//! ReferenceGrant.

use serde::{Deserialize, Serialize};

use super::null_default;
use crate::model::kubernetes::Metadata;

/// Lets objects of other namespaces refer to objects of this one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReferenceGrant {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: ReferenceGrantSpec,
}

/// Wanted state of a ReferenceGrant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReferenceGrantSpec {
    /// Who may refer.
    #[serde(deserialize_with = "null_default")]
    pub from: Vec<ReferenceGrantFrom>,
    /// To what.
    #[serde(deserialize_with = "null_default")]
    pub to: Vec<ReferenceGrantTo>,
}

/// Objects that may refer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReferenceGrantFrom {
    /// API group, empty for the core group.
    #[serde(deserialize_with = "null_default")]
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
}

/// Objects that may be referred to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReferenceGrantTo {
    /// API group, empty for the core group.
    #[serde(deserialize_with = "null_default")]
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name; unset for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
