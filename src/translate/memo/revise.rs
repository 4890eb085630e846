//! Changes of plugins, consumers and Secrets that leave everything in its place: only the entities of these objects are
//! made anew. Pure.
//!
//! A plugin's settings, a consumer's credential: what others have to do with the object stays. Everything else, and all
//! that meets a problem, is left to a translation of the whole ([`rest`](super::rest)).

use std::{collections::BTreeSet, sync::Arc};

use proxy_config_schema::{Configuration, Consumer, Plugin};

use super::rest::Rest;
use crate::{
    model::{
        Kind, NamespacedName, Reason, Snapshot,
        kong::{KongConsumer, KongPlugin, PluginFields, SecretKeyRef},
        kubernetes::{Metadata, Secret},
    },
    translate::{
        annotations, ca_certificate, consumer,
        plugin::{self, PluginObject},
        problems::Problems,
        state::Common,
        tags,
    },
};

/// Changes up to which it pays: each is compared with all consumers.
const MOST_CHANGES: usize = 64;

/// Brings `rest` up to date. False if that takes a translation of the whole: `rest` can't be used any more then.
pub(super) fn revise(
    rest: &mut Rest,
    changes: &[(Kind, NamespacedName)],
    before: &Snapshot,
    common: &Common<'_>,
) -> bool {
    if changes.is_empty() {
        return true;
    }
    if changes.len() > MOST_CHANGES {
        return false;
    }
    let mut revision = Revision { rest, before, common };
    revision.rest.is_separate && revision.carry_out(changes).is_some()
}

struct Revision<'a, 's> {
    rest: &'a mut Rest,
    before: &'a Snapshot,
    common: &'a Common<'s>,
}

impl Revision<'_, '_> {
    /// `None` when it can't be done.
    fn carry_out(&mut self, changes: &[(Kind, NamespacedName)]) -> Option<()> {
        let mut consumers = BTreeSet::new();
        for (kind, key) in changes {
            match kind {
                Kind::KongPlugin => self.plugin(key)?,
                Kind::KongConsumer => drop(consumers.insert(key.clone())),
                Kind::Secret => consumers.extend(self.holders(key)?),
                Kind::ConfigMap if self.is_authority(*kind, key) => return None,
                Kind::ConfigMap => {}
                _ => return None,
            }
        }
        consumers.iter().try_for_each(|key| self.consumer(key))?;
        if self.common.settings.raw_objects {
            // Two of one place are in the order of their settings.
            self.rest.configuration.sort();
        }
        Some(())
    }

    /// The consumers that a changed Secret is a credential of; nothing else may depend on it.
    fn holders(&self, key: &NamespacedName) -> Option<Vec<NamespacedName>> {
        let now = self.common.snapshot;
        if self.is_authority(Kind::Secret, key) || self.is_of_plugin(key) {
            return None;
        }
        let holds = |consumer: &KongConsumer| {
            consumer.metadata.namespace == key.namespace && consumer.credentials.iter().any(|name| **name == *key.name)
        };
        let consumers = now.consumers.iter().filter(|(_, consumer)| holds(consumer));
        let holders: Vec<_> = consumers.map(|(key, _)| key.clone()).collect();
        let uid = |secret: &Arc<Secret>| secret.metadata.uid.clone();
        let is_same = self.before.secrets.get(key).map(uid) == now.secrets.get(key).map(uid);
        (holders.is_empty() || is_same).then_some(holders)
    }

    /// Whether it is or was a CA certificate, or is wanted as one.
    fn is_authority(&self, kind: Kind, key: &NamespacedName) -> bool {
        let snapshots = [self.before, self.common.snapshot];
        let mut metadata = snapshots.iter().filter_map(|snapshot| snapshot.metadata(kind, key));
        let mut claims = self.rest.parts.iter().flat_map(|part| &part.claims);
        metadata.any(ca_certificate::is_marked) || claims.any(|claim| claim.is_of(kind, key))
    }

    /// Whether settings of a plugin come from the Secret.
    fn is_of_plugin(&self, key: &NamespacedName) -> bool {
        let now = self.common.snapshot;
        let plugins = now.plugins.values().flat_map(|plugin| references(&plugin.plugin));
        let cluster_plugins = now.cluster_plugins.values();
        let cluster_plugins = cluster_plugins.flat_map(|plugin| references(&plugin.plugin));
        plugins
            .chain(cluster_plugins)
            .any(|reference| *reference.name == *key.name)
    }

    /// Other settings for the entities of a plugin.
    fn plugin(&mut self, key: &NamespacedName) -> Option<()> {
        let Common { snapshot, settings, .. } = *self.common;
        let (before, now) = (self.before.plugins.get(key)?, snapshot.plugins.get(key)?);
        if !stays_in_place(before, now) || self.has_problems(Kind::KongPlugin, key) {
            return None;
        }
        let object = PluginObject::namespaced(now);
        let mut problems = Problems::default();
        let resolved = plugin::resolve(object, snapshot, &mut problems)?;
        if !plugin::check_profile(object, settings, &mut problems) || !problems.is_empty() {
            return None;
        }
        let revised = plugin::entity(object, &resolved, settings);
        // The first tags are the identity of the object.
        let tags = Some(tags::object_tags(PluginObject::namespaced(before).owner));
        for entity in &mut self.rest.configuration.plugins {
            if entity.tags == tags {
                *entity = Arc::new(Plugin {
                    id: entity.id.clone(),
                    instance_name: entity.instance_name.clone(),
                    service: entity.service.clone(),
                    route: entity.route.clone(),
                    consumer: entity.consumer.clone(),
                    consumer_group: entity.consumer_group.clone(),
                    ..revised.clone()
                });
            }
        }
        Some(())
    }

    /// Other credentials, tags or custom ID for a consumer.
    fn consumer(&mut self, key: &NamespacedName) -> Option<()> {
        let Common {
            snapshot,
            settings,
            ref class,
            ..
        } = *self.common;
        let before: &KongConsumer = self.before.consumers.get(key)?;
        let now: &KongConsumer = snapshot.consumers.get(key)?;
        let is_ours = |consumer: &KongConsumer| consumer::is_ours(consumer, class);
        if is_ours(before) != is_ours(now) {
            return None;
        }
        if !is_ours(now) {
            return Some(());
        }
        let secret = |name: &String| NamespacedName::new(key.namespace.clone(), name.as_str());
        let mut secrets = now.credentials.iter().map(secret);
        if !keeps_its_name(before, now)
            || self.has_clashes()
            || self.has_problems(Kind::KongConsumer, key)
            || secrets.any(|secret| self.has_problems(Kind::Secret, &secret))
        {
            return None;
        }
        let authorities = self.rest.configuration.ca_certificates.iter();
        let authorities = authorities.filter_map(|authority| authority.id.clone()).collect();
        let mut problems = Problems::default();
        let mut drafts = consumer::read(snapshot, &[now], &authorities, settings, &mut problems);
        consumer::resolve_clashes(&mut drafts, settings.raw_objects, &mut problems);
        let draft = drafts.pop().filter(|_| problems.is_empty())?;
        let revised = consumer::entity(&draft, consumer::identifier(now, settings));
        let consumers = &mut self.rest.configuration.consumers;
        let is_same = |other: &Consumer| other.username == revised.username;
        if consumers.iter().any(|other| !is_same(other) && clash(other, &revised)) {
            return None;
        }
        let place = consumers.iter().position(|other| is_same(other))?;
        consumers[place] = arranged(revised)?;
        Some(())
    }

    /// Whether something is wrong with an object.
    fn has_problems(&self, kind: Kind, key: &NamespacedName) -> bool {
        let mut objects = self.rest.problems.iter().map(|problem| &problem.object);
        objects
            .any(|object| *object.kind == *kind.name() && object.name == key.name && object.namespace == key.namespace)
    }

    /// Whether somebody goes without what another has, which might become free.
    fn has_clashes(&self) -> bool {
        let mut clashes = self
            .rest
            .problems
            .iter()
            .filter(|problem| problem.reason == Reason::Conflict);
        clashes.any(|problem| {
            [Kind::KongConsumer, Kind::Secret]
                .iter()
                .any(|kind| *problem.object.kind == *kind.name())
        })
    }
}

/// With its credentials in canonical order.
fn arranged(consumer: Consumer) -> Option<Arc<Consumer>> {
    let mut alone = Configuration {
        consumers: vec![consumer.into()].into(),
        ..Configuration::default()
    };
    alone.canonicalize();
    alone.consumers.pop()
}

/// Where settings come from.
fn references(fields: &PluginFields) -> impl Iterator<Item = &SecretKeyRef> {
    let patches = fields.config_patches.iter().map(|patch| &patch.value_from);
    let sources = fields.config_from.iter().chain(patches);
    sources.map(|source| &source.secret_key_ref)
}

/// Whether it is the same object still.
fn is_same_object(before: &Metadata, now: &Metadata) -> bool {
    before.uid == now.uid && before.creation_timestamp == now.creation_timestamp
}

/// Whether a plugin is at most another in its settings, none of which come from a Secret.
fn stays_in_place(before: &KongPlugin, now: &KongPlugin) -> bool {
    let place = |plugin: &KongPlugin| {
        let fields = &plugin.plugin;
        (fields.plugin.clone(), fields.instance_name.clone(), fields.disabled)
    };
    let has_secrets = |plugin: &KongPlugin| references(&plugin.plugin).next().is_some();
    is_same_object(&before.metadata, &now.metadata)
        && place(before) == place(now)
        && !has_secrets(before)
        && !has_secrets(now)
}

/// Whether nobody who refers to the consumer, or whom it refers to, has to know of the change.
fn keeps_its_name(before: &KongConsumer, now: &KongConsumer) -> bool {
    let plugins = |consumer: &KongConsumer| consumer.metadata.annotation(annotations::PLUGINS).map(str::to_owned);
    is_same_object(&before.metadata, &now.metadata)
        && !now.username.is_empty()
        && before.username == now.username
        && before.credentials == now.credentials
        && before.consumer_groups == now.consumer_groups
        && plugins(before) == plugins(now)
}

/// Whether two consumers have something that only one may have.
fn clash(a: &Consumer, b: &Consumer) -> bool {
    fn common<T, K: PartialEq>(a: &[T], b: &[T], key: fn(&T) -> &K) -> bool {
        b.iter().any(|b| a.iter().any(|a| key(a) == key(b)))
    }
    (a.custom_id.is_some() && a.custom_id == b.custom_id)
        || common(&a.keyauth_credentials, &b.keyauth_credentials, |one| &one.key)
        || common(&a.basicauth_credentials, &b.basicauth_credentials, |one| &one.username)
        || common(&a.hmacauth_credentials, &b.hmacauth_credentials, |one| &one.username)
        || common(&a.jwt_secrets, &b.jwt_secrets, |one| &one.key)
        || common(&a.oauth2_credentials, &b.oauth2_credentials, |one| &one.client_id)
        || common(&a.mtls_auth_credentials, &b.mtls_auth_credentials, |one| {
            &one.subject_name
        })
}
