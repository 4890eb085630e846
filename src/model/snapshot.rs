//! All inputs at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{
    Kind, NamespacedName, Object, Problem,
    kubernetes::{EndpointSlice, Ingress, IngressClass, Secret, Service},
};

/// Counts snapshots; a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// Objects of one kind by name. A clone shares the map until one of the two changes.
pub type Objects<T> = Arc<BTreeMap<NamespacedName, Arc<T>>>;

/// All inputs at one moment: immutable, cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Which one it is.
    pub generation: Generation,
    /// Ingresses of every class.
    pub ingresses: Objects<Ingress>,
    /// Ingress classes.
    pub ingress_classes: Objects<IngressClass>,
    /// Services.
    pub services: Objects<Service>,
    /// Endpoint slices.
    pub endpoint_slices: Objects<EndpointSlice>,
    /// Secrets.
    pub secrets: Objects<Secret>,
    /// Objects that could not be read: they are in none of the maps above.
    pub malformed: Arc<Vec<Problem>>,
    /// Kinds that can't be read now, and why (DESIGN.md §3 rule 7). What was known of them is kept.
    pub unavailable: Arc<BTreeMap<Kind, String>>,
    /// Kinds whose first complete list has not come yet. Nothing is rendered before this is empty.
    pub pending: Arc<BTreeSet<Kind>>,
}

impl Snapshot {
    /// Before anything was listed: what readers get until the first list is in. The default instead is a complete
    /// snapshot of nothing, from which an empty configuration would be rendered.
    pub fn unlisted() -> Self {
        Self {
            pending: Arc::new(Kind::ALL.iter().copied().collect()),
            ..Self::default()
        }
    }

    /// Whether every kind has been listed once.
    pub fn is_complete(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds or replaces an object.
    pub fn insert(&mut self, object: Object) {
        let key = object.key();
        match object {
            Object::Ingress(object) => drop(Arc::make_mut(&mut self.ingresses).insert(key, object)),
            Object::IngressClass(object) => drop(Arc::make_mut(&mut self.ingress_classes).insert(key, object)),
            Object::Service(object) => drop(Arc::make_mut(&mut self.services).insert(key, object)),
            Object::EndpointSlice(object) => drop(Arc::make_mut(&mut self.endpoint_slices).insert(key, object)),
            Object::Secret(object) => drop(Arc::make_mut(&mut self.secrets).insert(key, object)),
        }
    }

    /// Takes an object away.
    pub fn remove(&mut self, kind: Kind, key: &NamespacedName) {
        match kind {
            Kind::Ingress => drop(Arc::make_mut(&mut self.ingresses).remove(key)),
            Kind::IngressClass => drop(Arc::make_mut(&mut self.ingress_classes).remove(key)),
            Kind::Service => drop(Arc::make_mut(&mut self.services).remove(key)),
            Kind::EndpointSlice => drop(Arc::make_mut(&mut self.endpoint_slices).remove(key)),
            Kind::Secret => drop(Arc::make_mut(&mut self.secrets).remove(key)),
        }
    }

    /// The object of that name, if it is here.
    pub fn get(&self, kind: Kind, key: &NamespacedName) -> Option<Object> {
        match kind {
            Kind::Ingress => self.ingresses.get(key).cloned().map(Object::Ingress),
            Kind::IngressClass => self.ingress_classes.get(key).cloned().map(Object::IngressClass),
            Kind::Service => self.services.get(key).cloned().map(Object::Service),
            Kind::EndpointSlice => self.endpoint_slices.get(key).cloned().map(Object::EndpointSlice),
            Kind::Secret => self.secrets.get(key).cloned().map(Object::Secret),
        }
    }

    /// The names of all objects of a kind.
    pub fn keys(&self, kind: Kind) -> Vec<NamespacedName> {
        match kind {
            Kind::Ingress => self.ingresses.keys().cloned().collect(),
            Kind::IngressClass => self.ingress_classes.keys().cloned().collect(),
            Kind::Service => self.services.keys().cloned().collect(),
            Kind::EndpointSlice => self.endpoint_slices.keys().cloned().collect(),
            Kind::Secret => self.secrets.keys().cloned().collect(),
        }
    }
}
