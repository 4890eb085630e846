//! Objects as they were accepted last, with addresses and keys of now. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::dependencies::{ObjectId, is_apart, transitive};
use crate::model::{Kind, NamespacedName, Object, Snapshot, kubernetes::EndpointSlice};

/// All that was accepted last, with the EndpointSlices and Secrets that there are now (DESIGN.md §3 rule 8): old bytes
/// would carry old addresses.
///
/// What the objects of now do not refer to any more need not be known now; where a Secret, or all EndpointSlices of a
/// Service, are missing, those of then stand in.
pub fn restore(last: &Snapshot, now: &Snapshot) -> Snapshot {
    let mut restored = Snapshot {
        generation: now.generation,
        secrets: now.secrets.clone(),
        endpoint_slices: now.endpoint_slices.clone(),
        proxy_fleets: now.proxy_fleets.clone(),
        malformed: now.malformed.clone(),
        unavailable: now.unavailable.clone(),
        absent: now.absent.clone(),
        pending: now.pending.clone(),
        ..last.clone()
    };
    for (key, secret) in last.secrets.iter() {
        if !restored.secrets.contains_key(key) {
            restored.insert(Object::Secret(secret.clone()));
        }
    }
    let addressed = services_with_addresses(now);
    for slice in last.endpoint_slices.values() {
        let service = slice
            .service_name()
            .map(|name| NamespacedName::new(slice.metadata.namespace.clone(), name));
        if service.is_some_and(|service| !addressed.contains(&service)) {
            restored.insert(Object::EndpointSlice(slice.clone()));
        }
    }
    restored
}

/// Puts an object back as it was, with what it depended on: with `all` in the version of then, else only what is
/// affected, too, or gone since.
pub(super) fn put_back(
    id: &ObjectId,
    all: bool,
    last: &Snapshot,
    now: &Snapshot,
    affected: &BTreeMap<ObjectId, ObjectId>,
    into: &mut Snapshot,
) {
    let needed = transitive(id, last).into_iter().chain([id.clone()]);
    for (kind, key) in needed.filter(|(kind, _)| !is_apart(*kind)) {
        let is_of_then = all || affected.contains_key(&(kind, key.clone())) || now.get(kind, &key).is_none();
        if is_of_then && let Some(object) = last.get(kind, &key) {
            into.insert(object);
        }
        if kind == Kind::Service && !has_addresses(&key, now) {
            let slices = last.endpoint_slices.values();
            for slice in slices.filter(|slice| belongs(slice, &key)) {
                into.insert(Object::EndpointSlice(slice.clone()));
            }
        }
    }
}

fn belongs(slice: &EndpointSlice, service: &NamespacedName) -> bool {
    slice.metadata.namespace == service.namespace && slice.service_name() == Some(&*service.name)
}

fn has_addresses(service: &NamespacedName, snapshot: &Snapshot) -> bool {
    snapshot.endpoint_slices.values().any(|slice| belongs(slice, service))
}

fn services_with_addresses(snapshot: &Snapshot) -> BTreeSet<NamespacedName> {
    let slices = snapshot.endpoint_slices.values();
    let services = slices.filter_map(|slice| {
        let name = slice.service_name()?;
        Some(NamespacedName::new(slice.metadata.namespace.clone(), name))
    });
    services.collect()
}
