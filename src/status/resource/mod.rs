//! The kinds that silverback brings: `ProxyInstance` and `ProxyFleet`, group `gateway.silverback.dev`.
//!
//! The custom resource definitions in `deploy/crds` are generated from these types and from the tables of
//! `model::kong::schema` ([`definitions`]); every text and
//! list has a bound in the schema, and what is written is cut to it (`cut`). Written by the controller only, but for
//! `ProxyFleet.spec.paused`.

mod condition;
mod definition;
mod proxy_fleet;
mod proxy_instance;

pub use condition::StatusCondition;
pub(crate) use condition::whole_seconds;
pub use definition::{GROUPS, definitions, manifest};
pub use proxy_fleet::{ProfileStatus, ProxyCounts, ProxyFleet, ProxyFleetSpec, ProxyFleetStatus, ServiceReference};
pub(crate) use proxy_instance::duration_text;
pub use proxy_instance::{
    ConfigurationStatus, ErrorObjectReference, InstanceError, MutualTlsStatus, ObserverStatus, PodReference,
    ProxyInstance, ProxyInstanceSpec, ProxyInstanceStatus, ProxySoftware,
};

use kube::Resource;

use crate::model::NamespacedName;

/// API group of silverback's kinds.
pub const GROUP: &str = "gateway.silverback.dev";

/// Bounds of texts and lists, in characters and items. The schema says the same.
pub(crate) mod bound {
    /// A name: what Kubernetes allows.
    pub(crate) const NAME: usize = 253;
    /// A word such as a reason or an entity's type.
    pub(crate) const WORD: usize = 256;
    /// A URL, a field's path or a distinguished name.
    pub(crate) const LINE: usize = 1024;
    /// A message of a condition or error.
    pub(crate) const MESSAGE: usize = 4096;
    /// Errors listed of one proxy; `errorCount` counts all.
    pub(crate) const ERRORS: usize = 16;
    /// Profiles of one fleet.
    pub(crate) const PROFILES: usize = crate::model::Profile::MAX;
    /// Conditions of one object.
    pub(crate) const CONDITIONS: usize = 16;
}

/// The text, cut to a number of characters; what was cut shows as `…`.
pub(crate) fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some(_) => text.chars().take(characters - 1).chain(['…']).collect(),
    }
}

/// Namespace and name of an object.
pub(super) fn name_of<K: Resource>(object: &K) -> NamespacedName {
    let metadata = object.meta();
    NamespacedName::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}
