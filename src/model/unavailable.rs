//! A kind that can't be read, as data.

use std::fmt;

use super::{Kind, ObjectRef, Problem, Reason};

/// Why no object of a kind can be read now, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// What stands for all objects of the kind: a resource of the API server, a directory of manifests.
    pub object: ObjectRef,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// What to do, in a sentence without a full stop.
    pub remedy: String,
}

impl Unavailable {
    /// Of the kind's resource, which has the name that `kubectl api-resources` and RBAC give it.
    pub fn resource(kind: Kind, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::of("APIResource", &resource_name(kind), message, remedy)
    }

    /// Of a directory of manifests.
    pub fn directory(path: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::of("Manifest", path, message, remedy)
    }

    fn of(kind: &str, name: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            object: ObjectRef {
                group: "".into(),
                version: "".into(),
                kind: kind.into(),
                namespace: "".into(),
                name: name.into(),
                uid: "".into(),
            },
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// The same as a problem, which it is for all objects of the kind.
    pub fn problem(&self) -> Problem {
        Problem {
            object: self.object.clone(),
            field: None,
            condition: None,
            reason: Reason::SourceUnavailable,
            message: self.message.clone(),
            remedy: self.remedy.clone(),
            source: None,
        }
    }
}

/// `ingresses.networking.k8s.io`, `services`.
pub fn resource_name(kind: Kind) -> String {
    match kind.group() {
        "" => kind.plural().to_owned(),
        group => format!("{}.{group}", kind.plural()),
    }
}

/// Message and remedy.
impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; {}", self.message, self.remedy)
    }
}
