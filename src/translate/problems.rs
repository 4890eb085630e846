//! Collects what is wrong while the rest is translated. Used by every file of `translate`.

use crate::model::{Kind, Problem, Reason, kubernetes::Metadata};

/// An object that something is derived from: whose tags an entity bears, and on whom a mistake is reported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) kind: Kind,
    pub(super) metadata: &'a Metadata,
}

impl<'a> Owner<'a> {
    pub(super) fn new(kind: Kind, metadata: &'a Metadata) -> Self {
        Self { kind, metadata }
    }
}

/// `Ingress shop/web`
impl std::fmt::Display for Owner<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.kind.name())?;
        formatter.write_str(" ")?;
        if !self.metadata.namespace.is_empty() {
            write!(formatter, "{}/", self.metadata.namespace)?;
        }
        formatter.write_str(&self.metadata.name)
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a mistake in a field of an object.
    pub(super) fn report(
        &mut self,
        owner: Owner<'_>,
        field: impl Into<String>,
        reason: Reason,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Problem {
            object: owner.kind.object_ref(owner.metadata),
            field: Some(field.into()),
            condition: None,
            reason,
            message: message.into(),
            remedy: remedy.into(),
            source: owner.metadata.source.clone(),
        });
    }

    /// Notes an annotation whose value can't be used.
    pub(super) fn annotation(&mut self, owner: Owner<'_>, name: &str, message: String, remedy: impl Into<String>) {
        self.report(
            owner,
            annotation_field(name),
            Reason::InvalidAnnotation,
            message,
            remedy,
        );
    }

    /// Adds what was found elsewhere.
    pub(super) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.0.extend(problems);
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, sorted and without duplicates.
    pub(super) fn finish(self) -> Vec<Problem> {
        let mut problems = self.0;
        problems.sort();
        problems.dedup();
        problems
    }
}

/// The field path of an annotation.
pub(super) fn annotation_field(name: &str) -> String {
    format!("metadata.annotations[{name}]")
}
