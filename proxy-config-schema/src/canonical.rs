//! Canonical order and bytes of a configuration.
//!
//! The order of lists means nothing to Kong, but the hash of the bytes tells whether a proxy has what it shall have: the
//! same content must always give the same bytes. Orders are those of Kong Ingress Controller (`kic.md` 4.14), ties are
//! broken by the entity's JSON. Called by `translate` (order) and `render` (bytes).

use std::cmp::{Ordering, Reverse};

use bytes::Bytes;
use serde::Serialize;

use crate::{Configuration, Consumer, Plugin, Reference, Route, Upstream};

impl Configuration {
    /// Brings all lists into canonical order. Lists within an entity that Kong takes in order (hosts, paths, tags) stay.
    pub fn canonicalize(&mut self) {
        for service in &mut self.services {
            sort_plugins(&mut service.plugins);
            sort_routes(&mut service.routes);
        }
        sort(&mut self.services, |a, b| b.name.cmp(&a.name));
        sort_routes(&mut self.routes);
        for upstream in &mut self.upstreams {
            sort(&mut upstream.targets, |a, b| b.target.cmp(&a.target));
        }
        sort(&mut self.upstreams, |a, b| b.name.cmp(&a.name));
        sort(&mut self.targets, |a, b| b.target.cmp(&a.target));
        sort_plugins(&mut self.plugins);
        for consumer in &mut self.consumers {
            sort_credentials(consumer);
        }
        sort(&mut self.consumers, |a, b| {
            (&a.username, &a.custom_id).cmp(&(&b.username, &b.custom_id))
        });
        for group in &mut self.consumer_groups {
            sort_plugins(&mut group.plugins);
        }
        sort(&mut self.consumer_groups, |a, b| b.name.cmp(&a.name));
        sort(&mut self.consumer_group_consumers, |a, b| {
            a.consumer.key().cmp(b.consumer.key())
        });
        for certificate in &mut self.certificates {
            sort(&mut certificate.snis, |a, b| a.name.cmp(&b.name));
        }
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
            upstreams: vec![Upstream {
                name: "kong".to_owned(),
                ..Upstream::default()
            }],
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

fn sort_routes(routes: &mut [Route]) {
    for route in &mut *routes {
        sort_plugins(&mut route.plugins);
    }
    sort(routes, |a, b| b.name.cmp(&a.name));
}

fn sort_credentials(consumer: &mut Consumer) {
    sort(&mut consumer.keyauth_credentials, by_content);
    sort(&mut consumer.basicauth_credentials, by_content);
    sort(&mut consumer.hmacauth_credentials, by_content);
    sort(&mut consumer.jwt_secrets, by_content);
    sort(&mut consumer.oauth2_credentials, by_content);
    sort(&mut consumer.acls, by_content);
    sort(&mut consumer.mtls_auth_credentials, by_content);
    sort_plugins(&mut consumer.plugins);
}

/// By type and references, joined as Kong Ingress Controller joins them.
fn sort_plugins(plugins: &mut [Plugin]) {
    plugins.sort_by_cached_key(|plugin| {
        let mut joined = plugin.name.clone();
        for reference in [&plugin.consumer, &plugin.consumer_group, &plugin.route, &plugin.service] {
            joined.push_str(reference.as_ref().map_or("", Reference::key));
        }
        Reverse((joined, json(plugin)))
    });
}

/// Sorts by the given order, and what is equal in it by JSON: computed for ties alone, since it costs.
fn sort<T: Serialize>(entities: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    entities.sort_by(|a, b| order(a, b).then_with(|| json(a).cmp(&json(b))));
}

/// For entities whose order Kong Ingress Controller leaves to its input.
fn by_content<T>(_: &T, _: &T) -> Ordering {
    Ordering::Equal
}

fn json<T: Serialize>(entity: &T) -> Vec<u8> {
    serde_json::to_vec(entity).expect("entities have string keys only")
}
