//! What comes of a review, and how grave a problem is. Pure.

use std::fmt::Write as _;

use crate::model::{Kind, Problem, Reason};

/// Most reasons that a denial tells.
const MAX_REASONS: usize = 5;

/// Whether an object may be stored, and what its author should know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it may not; empty if it may.
    denials: Vec<String>,
    /// What `kubectl` prints beside.
    pub warnings: Vec<String>,
}

impl Verdict {
    /// May be stored; the author is told something.
    pub fn warned(warning: impl Into<String>) -> Self {
        Self {
            denials: Vec::new(),
            warnings: vec![warning.into()],
        }
    }

    /// Whether the object may be stored.
    pub fn is_allowed(&self) -> bool {
        self.denials.is_empty()
    }

    /// Why it may not.
    pub fn message(&self) -> Option<String> {
        let mut message = self.denials.first()?.clone();
        for denial in self.denials.iter().take(MAX_REASONS).skip(1) {
            write!(message, "; {denial}").expect("writing to a string can't fail");
        }
        if self.denials.len() > MAX_REASONS {
            let more = self.denials.len() - MAX_REASONS;
            write!(message, "; and {more} more").expect("writing to a string can't fail");
        }
        Some(message)
    }

    /// Takes in another verdict on the same object.
    pub(super) fn extend(&mut self, other: Self) {
        for denial in other.denials {
            self.deny(denial);
        }
        for warning in other.warnings {
            self.warn(warning);
        }
    }

    /// It may not be stored.
    pub fn deny(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        if !self.denials.contains(&reason) {
            self.denials.push(reason);
        }
    }

    /// It may, but.
    pub fn warn(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// How grave a problem is that a change would bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gravity {
    /// It comes and goes by itself.
    None,
    /// It may mend when another object comes, or something is ignored and the rest works.
    Warning,
    /// The object, or a part of it, will never work as it stands.
    Denial,
}

/// Annotations whose bad values Kong Ingress Controller denies; others it ignores, and so they are warned of.
const DENIED_ANNOTATIONS: [&str; 1] = ["konghq.com/protocols"];

/// How grave it is for an object of that kind.
///
/// What another object may still mend is never denied: manifests are applied in any order.
pub(super) fn gravity(kind: Kind, problem: &Problem) -> Gravity {
    let field = problem.field.as_deref().unwrap_or_default();
    match problem.reason {
        Reason::NoEndpoints | Reason::SchemaUnknown => Gravity::None,
        Reason::InvalidAnnotation => {
            let annotation = field
                .strip_prefix("metadata.annotations[")
                .and_then(|rest| rest.strip_suffix(']'));
            match annotation {
                Some(name) if kind != Kind::Service && DENIED_ANNOTATIONS.contains(&name) => Gravity::Denial,
                _ => Gravity::Warning,
            }
        }
        // Kong Ingress Controller admits every Service.
        _ if kind == Kind::Service => Gravity::Warning,
        Reason::InvalidManifest
        | Reason::InvalidField
        | Reason::UnknownField
        | Reason::InvalidRegex
        | Reason::InvalidCredential
        | Reason::SecretKeyNotFound
        | Reason::DuplicateObject => Gravity::Denial,
        Reason::InvalidPlugin | Reason::InvalidCertificate if !problem.is_consequence() => Gravity::Denial,
        // Routes of the Gateway API say it in their status.
        Reason::UnsupportedBackend if kind == Kind::Ingress => Gravity::Denial,
        Reason::Unsupported if kind == Kind::HTTPRoute && is_denied_of_routes(field) => Gravity::Denial,
        _ => Gravity::Warning,
    }
}

/// Whether Kong Ingress Controller denies what Kong can't do with a field of an HTTPRoute: filters of unknown types or at
/// single backends, matches on query parameters. What it admits and leaves out is warned of.
fn is_denied_of_routes(field: &str) -> bool {
    let of_filter = field.contains(".filters[") && (field.ends_with(".type") || field.ends_with(".extensionRef.kind"));
    let of_backend = field.contains(".backendRefs[") && field.ends_with(".filters");
    of_filter || of_backend || field.ends_with(".queryParams")
}

/// A problem as `kubectl` shows it: field, what is wrong, what to do.
pub(super) fn text(problem: &Problem) -> String {
    let Problem { message, remedy, .. } = problem;
    match &problem.field {
        Some(field) => format!("{field}: {message}; {remedy}"),
        None => format!("{message}; {remedy}"),
    }
}
