//! What is wrong with one object, before it is stored: the admission webhook's questions (`kic.md` 9). Pure, and much
//! cheaper than a translation of everything. The answers are those of a translation: the same code gives them.

use std::collections::BTreeSet;

use proxy_config_schema as kong;
use serde_json::json;

use super::{
    Settings,
    ca_certificate::{self, Source},
    class::Class,
    consumer::{self, credential, group},
    custom_entity,
    gateway::Grants,
    license,
    plugin::{self, Catalogue, PluginObject},
    problems::{Owner, Problems},
    vault,
};
use crate::model::{
    Kind, NamespacedName, Object, Problem, Snapshot,
    kong::{JsonObject, KongConsumer, KongCustomEntity, KongVault, label},
    kubernetes::Secret,
};

/// The problems that an object would have if it stood in the snapshot, and those that it would make for others: of a
/// Secret, those of the plugins whose settings it holds and of the consumers whose credential it is. Sorted.
///
/// Answers for kinds that a translation takes without routes: plugins, consumers, groups, credentials, vaults, licences,
/// custom entities, CA certificates. Objects of other kinds, and those that are not ours, have none.
pub fn object(object: &Object, snapshot: &Snapshot, settings: &Settings) -> Vec<Problem> {
    let mut snapshot = snapshot.clone();
    snapshot.insert(object.clone());
    let checker = Checker {
        class: Class::find(&snapshot, settings),
        snapshot: &snapshot,
        settings,
    };
    let mut problems = Problems::default();
    match object {
        Object::KongPlugin(object) => checker.plugin(PluginObject::namespaced(object), &mut problems),
        Object::KongClusterPlugin(object) => checker.plugin(PluginObject::cluster(object), &mut problems),
        Object::KongConsumer(object) => checker.consumer(object, &mut problems),
        Object::KongConsumerGroup(object) => {
            if group::is_ours(object, &checker.class) && group::is_unsupported(settings.profile.edition) {
                group::report_unsupported(Owner::new(Kind::KongConsumerGroup, &object.metadata), &mut problems);
            }
        }
        Object::Secret(object) => checker.secret(object, &mut problems),
        Object::ConfigMap(object) if ca_certificate::is_marked(&object.metadata) => {
            ca_certificate::read(Source::ConfigMap(object), settings, &mut problems);
        }
        Object::KongVault(object) => checker.vault(object, &mut problems),
        Object::KongLicense(object) => license::check(object, settings, &mut problems),
        Object::KongCustomEntity(object) => checker.custom_entity(object, &mut problems),
        _ => {}
    }
    problems.finish()
}

/// The KongPlugins and KongClusterPlugins whose settings a Secret holds, in order of their names.
pub fn plugins_of_secret(secret: &NamespacedName, snapshot: &Snapshot) -> Vec<Object> {
    let plugins = snapshot.plugins.values();
    let plugins = plugins.filter(|plugin| PluginObject::namespaced(plugin).secret_names().contains(secret));
    let cluster_plugins = snapshot.cluster_plugins.values();
    let cluster_plugins =
        cluster_plugins.filter(|plugin| PluginObject::cluster(plugin).secret_names().contains(secret));
    let plugins = plugins.cloned().map(Object::KongPlugin);
    plugins
        .chain(cluster_plugins.cloned().map(Object::KongClusterPlugin))
        .collect()
}

/// The plugin that a KongPlugin or KongClusterPlugin comes to, without what it is attached to: what a proxy is asked about
/// in `POST /schemas/plugins/validate`. `None` for other kinds, and if [`object()`] says why not. Holds secrets.
pub fn plugin_entity(object: &Object, snapshot: &Snapshot, settings: &Settings) -> Option<kong::Plugin> {
    let plugin = match object {
        Object::KongPlugin(object) => PluginObject::namespaced(object),
        Object::KongClusterPlugin(object) => PluginObject::cluster(object),
        _ => return None,
    };
    let resolved = plugin::resolve(plugin, snapshot, &mut Problems::default())?;
    Some(plugin::entity(plugin, &resolved, settings))
}

/// The vault that a KongVault comes to: what a proxy is asked about in `POST /schemas/vaults/validate`. `None` if
/// [`object()`] says why not. May hold secrets.
pub fn vault_entity(vault: &KongVault, settings: &Settings) -> Option<kong::Vault> {
    vault::entity(vault, settings, &mut Problems::default())
}

/// The fields of a custom entity with made-up identifiers in those that refer to others: what a proxy is asked about in
/// `POST /schemas/<type>/validate`.
pub fn custom_entity_fields(entity: &KongCustomEntity, settings: &Settings) -> JsonObject {
    let mut fields = entity.spec.fields.clone();
    let schema = settings.entity_schemas.get(&entity.spec.type_);
    for (field, list) in schema.into_iter().flat_map(|schema| &schema.foreign) {
        fields.insert(field.clone(), json!({ "id": kong::id::entity(list, None, "made up") }));
    }
    fields
}

struct Checker<'a> {
    class: Class<'a>,
    /// With the object in it.
    snapshot: &'a Snapshot,
    settings: &'a Settings,
}

impl Checker<'_> {
    fn plugin(&self, plugin: PluginObject<'_>, problems: &mut Problems) {
        plugin::resolve(plugin, self.snapshot, problems);
        plugin::check_profile(plugin, self.settings, problems);
    }

    /// A consumer among all others: of what two claim it must know.
    fn consumer(&self, consumer: &KongConsumer, problems: &mut Problems) {
        if !consumer::is_ours(consumer, &self.class) {
            return;
        }
        let mut all = Problems::default();
        let ours = consumer::ours(self.snapshot, &self.class);
        let mut drafts = consumer::read(self.snapshot, &ours, &self.authorities(), self.settings, &mut all);
        consumer::resolve_clashes(&mut drafts, self.settings.raw_objects, &mut all);
        let owner = Owner::new(Kind::KongConsumer, &consumer.metadata);
        let names: Vec<_> = consumer.credentials.iter().map(String::as_str).collect();
        let namespace = &*consumer.metadata.namespace;
        problems.extend(all.finish().into_iter().filter(|problem| {
            let is_own = problem.object == owner.kind.object_ref(owner.metadata);
            let is_secret = &*problem.object.kind == Kind::Secret.name()
                && &*problem.object.namespace == namespace
                && names.contains(&&*problem.object.name);
            is_own || is_secret
        }));
    }

    fn authorities(&self) -> BTreeSet<String> {
        ca_certificate::usable(self.snapshot, self.settings)
    }

    fn secret(&self, secret: &Secret, problems: &mut Problems) {
        let metadata = &secret.metadata;
        if ca_certificate::is_marked(metadata) {
            ca_certificate::read(Source::Secret(secret), self.settings, problems);
        }
        let users = consumer::ours(self.snapshot, &self.class)
            .into_iter()
            .filter(|consumer| {
                consumer.metadata.namespace == metadata.namespace
                    && consumer.credentials.iter().any(|name| **name == *metadata.name)
            });
        let users: Vec<_> = users.collect();
        if metadata.labels.contains_key(label::CREDENTIAL) || !users.is_empty() {
            credential::read(secret, &self.authorities(), self.settings, problems);
        }
        for user in users {
            self.consumer(user, problems);
        }
        for plugin in plugins_of_secret(&metadata.key(), self.snapshot) {
            match &plugin {
                Object::KongPlugin(object) => self.plugin(PluginObject::namespaced(object), problems),
                Object::KongClusterPlugin(object) => self.plugin(PluginObject::cluster(object), problems),
                _ => {}
            }
        }
    }

    fn vault(&self, object: &KongVault, problems: &mut Problems) {
        if !vault::is_ours(object, &self.class) {
            return;
        }
        vault::entity(object, self.settings, problems);
        let owner = Owner::new(Kind::KongVault, &object.metadata);
        let ours = vault::ours(self.snapshot, &self.class);
        // Whoever is newer: what is to be stored must not take the prefix of what is there.
        let other = ours
            .into_iter()
            .find(|other| other.spec.prefix == object.spec.prefix && other.metadata.name != object.metadata.name);
        if let Some(other) = other {
            let other = Owner::new(Kind::KongVault, &other.metadata);
            vault::report_duplicate(owner, other, &object.spec.prefix, problems);
        }
    }

    fn custom_entity(&self, object: &KongCustomEntity, problems: &mut Problems) {
        if !custom_entity::is_ours(object, &self.class) {
            return;
        }
        let (catalogue, grants) = (Catalogue::new(self.snapshot), Grants::new(self.snapshot));
        // Its answer is in the problems.
        let _ = custom_entity::check(object, &catalogue, &grants, self.settings, problems);
    }
}
