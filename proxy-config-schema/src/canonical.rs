//! Canonical order and bytes of a configuration.
//!
//! The order of lists means nothing to Kong, but the hash of the bytes tells whether a proxy has what it shall have: the
//! same content must always give the same bytes. Orders are those of Kong Ingress Controller (`kic.md` 4.14), ties are
//! broken by the entity's JSON. Called by `translate` (order) and `render` (bytes).

use std::{borrow::Borrow, cmp::Ordering, ops::Range, sync::Arc};

use bytes::Bytes;
use serde::Serialize;

use crate::{
    Certificate, Configuration, Consumer, ConsumerGroup, Plugin, Reference, Route, Service, Sni, Target, Upstream,
};

impl Configuration {
    /// Brings all lists into canonical order. Lists within an entity that Kong takes in order (hosts, paths, tags) stay.
    ///
    /// An entity that others share and that is in order already is not copied.
    pub fn canonicalize(&mut self) {
        arrange(&mut self.services);
        arrange(&mut self.routes);
        arrange(&mut self.upstreams);
        arrange(&mut self.consumers);
        arrange(&mut self.consumer_groups);
        arrange(&mut self.certificates);
        self.sort();
    }

    /// Brings the lists of the document into canonical order, where those within each entity are in it already.
    pub fn sort(&mut self) {
        sort(&mut self.services, by_name);
        sort(&mut self.routes, by_name);
        sort(&mut self.upstreams, |a, b| b.name.cmp(&a.name));
        sort(&mut self.targets, by_target);
        sort(&mut self.plugins, by_attachment);
        sort(&mut self.consumers, |a, b| {
            (&a.username, &a.custom_id).cmp(&(&b.username, &b.custom_id))
        });
        sort(&mut self.consumer_groups, |a, b| b.name.cmp(&a.name));
        sort(&mut self.consumer_group_consumers, |a, b| {
            a.consumer.key().cmp(b.consumer.key())
        });
        sort(&mut self.certificates, |a, b| b.cert.cmp(&a.cert));
        sort(&mut self.snis, |a, b| a.name.cmp(&b.name));
        sort(&mut self.ca_certificates, |a, b| b.cert.cmp(&a.cert));
        sort(&mut self.licenses, |a, b| b.id.cmp(&a.id));
        sort(&mut self.vaults, |a, b| b.prefix.cmp(&a.prefix));
        sort(&mut self.keyauth_credentials, by_content);
        sort(&mut self.basicauth_credentials, by_content);
        sort(&mut self.hmacauth_credentials, by_content);
        sort(&mut self.jwt_secrets, by_content);
        sort(&mut self.oauth2_credentials, by_content);
        sort(&mut self.acls, by_content);
        sort(&mut self.mtls_auth_credentials, by_content);
        for entities in self.custom.values_mut() {
            sort(entities, by_content);
        }
    }

    /// Where the plugins are, of those in canonical order, that have type and references in common with this one; where it
    /// would be if there are none.
    ///
    /// References of different kinds may come to the same text: whoever wants those of one place compares them.
    pub fn plugins_like(&self, plugin: &Plugin) -> Range<usize> {
        let wanted = parts(plugin);
        let order = |other: &Arc<Plugin>| compare_joined(wanted, parts(other));
        let start = self.plugins.partition_point(|other| order(other).is_lt());
        let alike = self.plugins[start..].partition_point(|other| order(other).is_eq());
        start..start + alike
    }

    /// Adds a plugin at its place in canonical order.
    pub fn insert_plugin(&mut self, plugin: Arc<Plugin>) {
        let place = self
            .plugins
            .partition_point(|other| by_attachment(other, &plugin).is_lt());
        self.plugins.insert(place, plugin);
    }

    /// The body of `POST /config`: compact JSON in the order of the fields' declaration. Holds secrets.
    ///
    /// Its [`ConfigHash`](crate::ConfigHash) is what a proxy reports. Call [`Self::canonicalize`] first.
    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("entities have string keys only").into()
    }

    /// What is sent when there is nothing to configure: Kong takes an empty document for "no configuration" and stays
    /// unready, so the document has one upstream that nothing uses (`kic.md` 4.13).
    pub fn stub() -> Self {
        Self {
            upstreams: vec![Arc::new(Upstream {
                name: "kong".to_owned(),
                ..Upstream::default()
            })]
            .into(),
            ..Self::new()
        }
    }

    /// Whether there is no entity in it.
    pub fn is_empty(&self) -> bool {
        let Self {
            format_version: _,
            comment: _,
            ignore: _,
            transform: _,
            services,
            routes,
            upstreams,
            targets,
            plugins,
            consumers,
            consumer_groups,
            consumer_group_consumers,
            certificates,
            snis,
            ca_certificates,
            licenses,
            vaults,
            keyauth_credentials,
            basicauth_credentials,
            hmacauth_credentials,
            jwt_secrets,
            oauth2_credentials,
            acls,
            mtls_auth_credentials,
            custom,
        } = self;
        services.is_empty()
            && routes.is_empty()
            && upstreams.is_empty()
            && targets.is_empty()
            && plugins.is_empty()
            && consumers.is_empty()
            && consumer_groups.is_empty()
            && consumer_group_consumers.is_empty()
            && certificates.is_empty()
            && snis.is_empty()
            && ca_certificates.is_empty()
            && licenses.is_empty()
            && vaults.is_empty()
            && keyauth_credentials.is_empty()
            && basicauth_credentials.is_empty()
            && hmacauth_credentials.is_empty()
            && jwt_secrets.is_empty()
            && oauth2_credentials.is_empty()
            && acls.is_empty()
            && mtls_auth_credentials.is_empty()
            && custom.values().all(Vec::is_empty)
    }

    /// This configuration, or [`Self::stub`] if there is nothing in it.
    #[must_use]
    pub fn or_stub(self) -> Self {
        if self.is_empty() { Self::stub() } else { self }
    }
}

/// An entity with lists of its own.
trait Nested: Clone {
    /// Whether these are in canonical order.
    fn is_in_order(&self) -> bool;
    /// Brings them into it.
    fn bring_into_order(&mut self);
}

fn arrange<T: Nested>(entities: &mut [Arc<T>]) {
    for entity in entities {
        if let Some(own) = Arc::get_mut(entity) {
            own.bring_into_order();
        } else if !entity.is_in_order() {
            Arc::make_mut(entity).bring_into_order();
        }
    }
}

fn are_arranged<T: Nested>(entities: &[Arc<T>]) -> bool {
    entities.iter().all(|entity| entity.is_in_order())
}

/// The lists of entity types, each with its order.
macro_rules! nested {
    ($($entity:ident { $($list:ident: $order:expr),* } $([$below:ident])?)*) => {$(
        impl Nested for $entity {
            fn is_in_order(&self) -> bool {
                $(is_sorted(&self.$list, $order))&&* $(&& are_arranged(&self.$below))?
            }

            fn bring_into_order(&mut self) {
                $(arrange(&mut self.$below);)?
                $(sort(&mut self.$list, $order);)*
            }
        }
    )*};
}

nested! {
    Service { plugins: by_attachment, routes: by_name } [routes]
    Route { plugins: by_attachment }
    Upstream { targets: by_target }
    Consumer {
        keyauth_credentials: by_content,
        basicauth_credentials: by_content,
        hmacauth_credentials: by_content,
        jwt_secrets: by_content,
        oauth2_credentials: by_content,
        acls: by_content,
        mtls_auth_credentials: by_content,
        plugins: by_attachment
    }
    ConsumerGroup { plugins: by_attachment }
    Certificate { snis: |a: &Sni, b: &Sni| a.name.cmp(&b.name) }
}

/// Services and routes.
trait Named {
    fn name(&self) -> Option<&str>;
}

impl Named for Arc<Service> {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl Named for Arc<Route> {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

fn by_name<T: Named>(a: &T, b: &T) -> Ordering {
    b.name().cmp(&a.name())
}

fn by_target(a: &impl Borrow<Target>, b: &impl Borrow<Target>) -> Ordering {
    b.borrow().target.cmp(&a.borrow().target)
}

/// By type and references, joined as Kong Ingress Controller joins them; descending, ties included.
fn by_attachment(a: &impl Borrow<Plugin>, b: &impl Borrow<Plugin>) -> Ordering {
    let (a, b) = (a.borrow(), b.borrow());
    compare_joined(parts(b), parts(a)).then_with(|| json(b).cmp(&json(a)))
}

/// The plugin's type and its references.
fn parts(plugin: &Plugin) -> [&[u8]; 5] {
    fn key(reference: &Option<Reference>) -> &[u8] {
        reference.as_ref().map_or("", Reference::key).as_bytes()
    }
    [
        plugin.name.as_bytes(),
        key(&plugin.consumer),
        key(&plugin.consumer_group),
        key(&plugin.route),
        key(&plugin.service),
    ]
}

/// Compares the texts that parts come to when they are joined, without joining them: there are many plugins.
fn compare_joined<const N: usize>(mut a: [&[u8]; N], mut b: [&[u8]; N]) -> Ordering {
    let (mut next_a, mut next_b) = (0, 0);
    loop {
        while next_a < N && a[next_a].is_empty() {
            next_a += 1;
        }
        while next_b < N && b[next_b].is_empty() {
            next_b += 1;
        }
        if next_a == N || next_b == N {
            return (next_a != N).cmp(&(next_b != N));
        }
        let length = a[next_a].len().min(b[next_b].len());
        let (head_a, rest_a) = a[next_a].split_at(length);
        let (head_b, rest_b) = b[next_b].split_at(length);
        if head_a != head_b {
            return head_a.cmp(head_b);
        }
        a[next_a] = rest_a;
        b[next_b] = rest_b;
    }
}

/// For entities whose order Kong Ingress Controller leaves to its input.
fn by_content<T>(_: &T, _: &T) -> Ordering {
    Ordering::Equal
}

/// Sorts by the given order, and what is equal in it by JSON: computed for ties alone, since it costs.
fn sort<T: Serialize>(entities: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    entities.sort_by(|a, b| canonical_order(a, b, &order));
}

fn is_sorted<T: Serialize>(entities: &[T], order: impl Fn(&T, &T) -> Ordering) -> bool {
    entities.is_sorted_by(|a, b| canonical_order(a, b, &order).is_le())
}

fn canonical_order<T: Serialize>(a: &T, b: &T, order: &impl Fn(&T, &T) -> Ordering) -> Ordering {
    order(a, b).then_with(|| json(a).cmp(&json(b)))
}

fn json<T: Serialize>(entity: &T) -> Vec<u8> {
    serde_json::to_vec(entity).expect("entities have string keys only")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_compare_as_the_texts_that_they_come_to(
            a in prop::array::uniform3("[ab]{0,3}"),
            b in prop::array::uniform3("[ab]{0,3}"),
        ) {
            let parts = |texts: &[String; 3]| texts.clone().map(String::into_bytes);
            let (one, other) = (parts(&a), parts(&b));
            let order = compare_joined(one.each_ref().map(Vec::as_slice), other.each_ref().map(Vec::as_slice));
            prop_assert_eq!(order, one.concat().cmp(&other.concat()));
        }
    }
}
