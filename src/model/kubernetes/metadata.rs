//! Object metadata.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{null_default, text_map::TextMap};
use crate::model::{Digest, NamespacedName, SourceLocation};

/// The part of an object's metadata that is used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Name.
    pub name: Arc<str>,
    /// Namespace, empty for cluster-scoped objects.
    #[serde(deserialize_with = "null_default")]
    pub namespace: Arc<str>,
    /// UID, empty where there is none.
    #[serde(deserialize_with = "null_default")]
    pub uid: Arc<str>,
    /// Counts changes of the spec.
    pub generation: Option<i64>,
    /// When it was made.
    pub creation_timestamp: Option<Timestamp>,
    /// When it will be gone.
    pub deletion_timestamp: Option<Timestamp>,
    /// Labels.
    #[serde(deserialize_with = "null_default")]
    pub labels: TextMap,
    /// Annotations.
    #[serde(deserialize_with = "null_default")]
    pub annotations: TextMap,
    /// Where the object stands in a file (directory mode). Not part of the API.
    #[serde(skip)]
    pub source: Option<SourceLocation>,
    /// What the object says, where that is followed. Not part of the API.
    #[serde(skip)]
    pub digest: Option<Digest>,
}

impl Metadata {
    /// Namespace and name.
    pub fn key(&self) -> NamespacedName {
        NamespacedName {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// The value of an annotation, if it is set.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}
