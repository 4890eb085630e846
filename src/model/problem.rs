//! A user's mistake, as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Kind, ObjectRef, kong::label};

/// What is wrong with an object, and what to do about it. Never holds a secret.
///
/// Translation is total: it returns problems beside a configuration, and never fails (DESIGN.md §3 rule 1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// The object at fault.
    pub object: ObjectRef,
    /// The field, as a path: `spec.rules[0].http.paths[1].backend.service.port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The status condition that turns False by it, for kinds that have conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// A stable word for machines.
    pub reason: Reason,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// What to do, in a sentence without a full stop.
    pub remedy: String,
    /// Where the object stands in a file, in directory mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceLocation>,
}

/// A place in a manifest file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceLocation {
    /// Path as it was given or found.
    pub file: String,
    /// Line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}", self.file),
            None => formatter.write_str(&self.file),
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Why something is a problem: one stable word each. Listed in `docs/reference/problems.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Reason { $($(#[$doc])* $name),* }

        impl Reason {
            /// Every reason, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

reasons! {
    /// The manifest can't be read as YAML or JSON, or is over a limit.
    InvalidManifest,
    /// A field has the wrong type or a value that is not allowed.
    InvalidField,
    /// A field that the kind does not have.
    UnknownField,
    /// A kind that is not handled here.
    UnknownKind,
    /// The same object stands twice in the manifests; the later one is ignored.
    DuplicateObject,
    /// A Service that is referred to does not exist.
    ServiceNotFound,
    /// A Service has no port of that number or name.
    PortNotFound,
    /// A backend of a kind that is not supported.
    UnsupportedBackend,
    /// A Secret that is referred to does not exist.
    SecretNotFound,
    /// A Secret that is referred to does not have the key.
    SecretKeyNotFound,
    /// An object of another kind that is referred to does not exist.
    ReferenceNotFound,
    /// A Secret does not hold a usable certificate and key.
    InvalidCertificate,
    /// A regular expression does not compile.
    InvalidRegex,
    /// An annotation has a value that can't be used.
    InvalidAnnotation,
    /// Another object claims the same host and path, or server name, and wins.
    Conflict,
    /// Services behind one backend say different things in their annotations.
    InconsistentServices,
    /// A Service has no ready endpoint: requests are answered 503.
    NoEndpoints,
    /// A proxy refused an entity that comes from this object.
    ConfigRejected,
    /// A proxy refused an object that this one depends on.
    DependsOnRejected,
    /// A plugin that is referred to does not exist; the route answers 503.
    PluginNotFound,
    /// A plugin's settings can't be had or used; what it is attached to answers 503.
    InvalidPlugin,
    /// A Secret does not hold a usable credential.
    InvalidCredential,
    /// A KongConsumerGroup that is referred to does not exist.
    ConsumerGroupNotFound,
    /// The proxies of a profile can't take what this object asks for.
    Unsupported,
    /// No proxy has told yet what the fields of entities of a type refer to.
    SchemaUnknown,
    /// A kind can't be read from the API server.
    SourceUnavailable,
    /// An Admin Service has no endpoint: there is no proxy to configure.
    NoProxies,
    /// An object of another namespace is referred to, and no ReferenceGrant there permits it.
    RefNotPermitted,
    /// No listener of the Gateway fits what the route asks for.
    NoMatchingParent,
    /// No listener of the Gateway has a host name of the route.
    NoMatchingListenerHostname,
    /// The listeners of the Gateway take no routes of that namespace or kind.
    NotAllowedByListeners,
    /// Something that the object says has no effect with Kong; the rest of it is served.
    Ignored,
}

impl Reason {
    /// Whether something is missing that the object refers to.
    pub fn is_of_absence(self) -> bool {
        matches!(
            self,
            Self::ServiceNotFound
                | Self::PortNotFound
                | Self::SecretNotFound
                | Self::SecretKeyNotFound
                | Self::ReferenceNotFound
                | Self::PluginNotFound
                | Self::ConsumerGroupNotFound
        )
    }
}

impl Problem {
    /// Whether it only follows from another problem, mostly one of an object that this one refers to: it goes when that
    /// does, and nothing that the object says is to blame.
    pub fn is_consequence(&self) -> bool {
        let is = |kinds: &[Kind]| kinds.iter().any(|kind| *kind.name() == *self.object.kind);
        let of_label = || self.field.as_deref() == Some(format!("metadata.labels[{}]", label::GLOBAL).as_str());
        match self.reason {
            Reason::DependsOnRejected => true,
            // A label puts a plugin before all requests, which is told apart from what is wrong with the plugin.
            Reason::InvalidPlugin => !is(&[Kind::KongPlugin, Kind::KongClusterPlugin]) || of_label(),
            Reason::InvalidCertificate => !is(&[Kind::Secret, Kind::ConfigMap]),
            Reason::InvalidCredential => !is(&[Kind::Secret]),
            _ => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One line: place, object, field, reason, message, remedy.
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(formatter, "{source}: ")?;
        }
        write!(formatter, "{}", self.object)?;
        if let Some(field) = &self.field {
            write!(formatter, " {field}")?;
        }
        write!(formatter, ": {}: {}; {}", self.reason, self.message, self.remedy)
    }
}
