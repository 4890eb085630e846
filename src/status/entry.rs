//! Statuses that are lists of entries of several controllers: the parents of routes, the ancestors of policies. What is
//! written of them, and what of it stands there already. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::object_condition::{self, ObjectCondition};
use crate::model::{Kind, NamespacedName, gateway::ParentReference};

/// What an entry is about.
pub(super) trait Reference: Clone + PartialEq + Serialize + DeserializeOwned {
    /// The list in the status.
    const LIST: &'static str;
    /// The field of an entry.
    const FIELD: &'static str;
    /// How many entries the list may have, those of all controllers together.
    const MOST: usize;

    /// Namespace and name of the Gateway that is meant, if it is one, in the status of an object of a namespace.
    fn gateway<'a>(&'a self, namespace: &'a str) -> Option<(&'a str, &'a str)>;
}

/// A Gateway, Service or KongServiceFacade that a policy acts on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct AncestorRef {
    /// `core` for Services, as with Kong Ingress Controller.
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Reference for AncestorRef {
    const LIST: &'static str = "ancestors";
    const FIELD: &'static str = "ancestorRef";
    const MOST: usize = 16;

    fn gateway<'a>(&'a self, _: &'a str) -> Option<(&'a str, &'a str)> {
        (self.kind == Kind::Gateway.name()).then_some((&self.namespace, &self.name))
    }
}

impl Reference for ParentReference {
    const LIST: &'static str = "parents";
    const FIELD: &'static str = "parentRef";
    const MOST: usize = 32;

    fn gateway<'a>(&'a self, namespace: &'a str) -> Option<(&'a str, &'a str)> {
        let kind = self.kind.as_deref().unwrap_or(Kind::Gateway.name());
        (kind == Kind::Gateway.name()).then(|| (self.namespace.as_deref().unwrap_or(namespace), &*self.name))
    }
}

/// Whose entries are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Writer {
    /// Name of the controller.
    pub(super) controller: Arc<str>,
    /// The only Gateway that is ours (`--gateway-to-reconcile`): entries of other Gateways are another instance's.
    pub(super) only_gateway: Option<NamespacedName>,
}

impl Writer {
    fn wrote<R: Reference>(&self, entry: &Value, namespace: &str) -> bool {
        if entry["controllerName"] != *self.controller {
            return false;
        }
        let Some(only) = &self.only_gateway else { return true };
        let Ok(reference) = R::deserialize(&entry[R::FIELD]) else {
            return true;
        };
        let gateway = reference.gateway(namespace);
        gateway.is_none_or(|gateway| gateway == (&*only.namespace, &*only.name))
    }
}

/// Our entries in the status of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entries<R> {
    pub(super) writer: Writer,
    pub(super) entries: Vec<Entry<R>>,
}

/// What became of an object towards another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry<R> {
    pub(super) reference: R,
    pub(super) conditions: Vec<ObjectCondition>,
}

impl<R: Reference> Entries<R> {
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len()
            && self.entries.iter().zip(&other.entries).all(|(one, other)| {
                one.reference == other.reference && object_condition::say_the_same(&one.conditions, &other.conditions)
            })
    }

    /// Whether somebody waits to be told.
    pub(super) fn turned(&self, before: &Self) -> bool {
        self.entries.len() != before.entries.len()
            || self.entries.iter().zip(&before.entries).any(|(now, before)| {
                now.reference != before.reference || object_condition::turned(&now.conditions, &before.conditions)
            })
    }

    /// The former conditions of an entry.
    pub(super) fn conditions(&self, reference: &R) -> &[ObjectCondition] {
        let entry = self.entries.iter().find(|entry| entry.reference == *reference);
        entry.map_or(&[], |entry| &entry.conditions)
    }

    /// The status: what stands there of other controllers, then ours, as far as there is room.
    pub(super) fn joined(&self, found: &Value, namespace: &str) -> Value {
        let found = found[R::LIST].as_array().map(Vec::as_slice).unwrap_or_default();
        let others = found.iter().filter(|entry| !self.writer.wrote::<R>(entry, namespace));
        let ours = self.entries.iter().map(|entry| {
            json!({
                (R::FIELD): entry.reference,
                "controllerName": self.writer.controller,
                "conditions": entry.conditions,
            })
        });
        let list: Value = others.cloned().chain(ours).take(R::MOST).collect();
        json!({ (R::LIST): list })
    }

    /// Our entries in a status, if there are any.
    pub(super) fn found(status: &Value, writer: Writer, namespace: &str) -> Option<Self> {
        let entries = status[R::LIST].as_array()?.iter();
        let ours = entries.filter(|entry| writer.wrote::<R>(entry, namespace));
        let entries: Vec<_> = ours
            .filter_map(|entry| {
                Some(Entry {
                    reference: R::deserialize(&entry[R::FIELD]).ok()?,
                    conditions: Vec::deserialize(&entry["conditions"]).unwrap_or_default(),
                })
            })
            .collect();
        (!entries.is_empty()).then_some(Self { writer, entries })
    }
}
