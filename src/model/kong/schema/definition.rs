//! A custom resource definition as a table.

use crate::model::{Kind, schema::Fields};

/// A custom resource definition.
#[derive(Debug)]
pub struct Definition {
    /// The kind: it says group, version, plural and scope.
    pub kind: Kind,
    /// The resource of one object.
    pub singular: &'static str,
    /// Short names of the resource, for `kubectl`.
    pub short_names: &'static [&'static str],
    /// Categories, for `kubectl get CATEGORY`.
    pub categories: &'static [&'static str],
    /// Labels of the definition that others look at.
    pub labels: &'static [(&'static str, &'static str)],
    /// Value of the annotation `kubernetes-configuration.konghq.com/channels`.
    pub channels: &'static str,
    /// What the kind is for.
    pub description: &'static str,
    /// Columns of `kubectl get`.
    pub columns: &'static [Column],
    /// Whether the API server warns those who write it.
    pub is_deprecated: bool,
    /// Whether status is written apart.
    pub has_status: bool,
    /// Fields of the object.
    pub fields: &'static Fields,
}

/// A column of `kubectl get`.
#[derive(Debug)]
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// Where its value stands.
    pub json_path: &'static str,
    /// OpenAPI type of the value.
    pub type_: &'static str,
    /// 0 for always, 1 for `-o wide` only.
    pub priority: i32,
}

impl Column {
    /// A column that is always shown.
    pub const fn new(name: &'static str, json_path: &'static str, type_: &'static str) -> Self {
        Self {
            name,
            json_path,
            type_,
            priority: 0,
        }
    }

    /// The column for `-o wide` only.
    pub const fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }
}

pub(super) const AGE: Column = Column::new("Age", ".metadata.creationTimestamp", "date");
pub(super) const PROGRAMMED: Column = Column::new(
    "Programmed",
    r#".status.conditions[?(@.type=="Programmed")].status"#,
    "string",
);

pub(super) const CATEGORIES: &[&str] = &["kong-ingress-controller", "kong"];

impl Definition {
    /// Versions of Kong's definitions whose fields these are: value of the annotation
    /// `kubernetes-configuration.konghq.com/version`.
    pub const COMPATIBLE_VERSION: &'static str = "v2.0.0-alpha.1";

    /// `plural.group`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.kind.plural(), self.kind.group())
    }

    /// What the API server says to those who write the kind.
    pub fn deprecation_warning(&self) -> Option<String> {
        self.is_deprecated
            .then(|| format!("{} {} is deprecated", self.kind.api_version(), self.kind.name()))
    }
}
