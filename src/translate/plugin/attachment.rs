//! Which objects name which plugins (`kic.md` 3, 4.8.1): independent of the kind of the object.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::{closing::Closed, config::PluginObject};
use crate::{
    model::{Kind, NamespacedName, Reason, Snapshot},
    translate::{
        MissingPlugin, annotations,
        gateway::Grants,
        problems::{Owner, Problems, annotation_field},
    },
};

/// An entity that plugins are attached to, by what others refer to it with: its name, or the username of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::translate) enum Target {
    Service(Arc<str>),
    Route(Arc<str>),
    Consumer(Arc<str>),
    ConsumerGroup(Arc<str>),
}

/// The plugins that objects name, for each entity that is made of them.
#[derive(Debug, Default)]
pub(in crate::translate) struct Attachments<'a>(Vec<Attachment<'a>>);

#[derive(Debug)]
struct Attachment<'a> {
    owner: Owner<'a>,
    /// A name in another place than the annotation, and that place.
    extension: Option<(&'a str, String)>,
    target: Target,
}

impl<'a> Attachments<'a> {
    /// Notes an entity that is made of an object: the plugins of the object's annotation are attached to it.
    pub(in crate::translate) fn add(&mut self, owner: Owner<'a>, target: impl FnOnce() -> Target) {
        if owner.metadata.annotation(annotations::PLUGINS).is_some() {
            self.0.push(Attachment {
                owner,
                extension: None,
                target: target(),
            });
        }
    }

    /// Attaches a plugin that an object names elsewhere: in a filter of a route.
    pub(in crate::translate) fn add_extension(
        &mut self,
        owner: Owner<'a>,
        name: &'a str,
        field: String,
        target: Target,
    ) {
        self.0.push(Attachment {
            owner,
            extension: Some((name, field)),
            target,
        });
    }
}

/// An attachment that outlives the objects: it knows the one that names plugins by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::translate) struct Note {
    kind: Kind,
    object: NamespacedName,
    /// The annotation: as long as it is the same, so are the plugins.
    annotation: Option<String>,
    extension: Option<(String, String)>,
    target: Target,
}

impl<'a> Attachments<'a> {
    /// All of them, as what outlives the objects.
    pub(in crate::translate) fn notes(&self) -> Vec<Note> {
        let note = |attachment: &Attachment<'a>| Note {
            kind: attachment.owner.kind,
            object: attachment.owner.metadata.key(),
            annotation: attachment
                .owner
                .metadata
                .annotation(annotations::PLUGINS)
                .map(str::to_owned),
            extension: attachment
                .extension
                .as_ref()
                .map(|(name, field)| ((*name).to_owned(), field.clone())),
            target: attachment.target.clone(),
        };
        self.0.iter().map(note).collect()
    }

    /// The attachments that were noted, of the objects as they are now.
    pub(in crate::translate) fn of(notes: impl Iterator<Item = &'a Note>, snapshot: &'a Snapshot) -> Self {
        let attachment = |note: &'a Note| {
            Some(Attachment {
                owner: Owner::new(note.kind, snapshot.metadata(note.kind, &note.object)?),
                extension: note
                    .extension
                    .as_ref()
                    .map(|(name, field)| (name.as_str(), field.clone())),
                target: note.target.clone(),
            })
        };
        Self(notes.filter_map(attachment).collect())
    }
}

/// What a plugin is attached to.
#[derive(Debug)]
pub(in crate::translate) struct Relation<'a> {
    pub(in crate::translate) plugin: PluginObject<'a>,
    pub(in crate::translate) services: BTreeSet<Arc<str>>,
    pub(in crate::translate) routes: BTreeSet<Arc<str>>,
    pub(in crate::translate) consumers: BTreeSet<Arc<str>>,
    pub(in crate::translate) groups: BTreeSet<Arc<str>>,
    /// Who named it, and where.
    pub(super) users: Vec<(Owner<'a>, String)>,
}

/// Which plugin goes first where two are after the same: the older one, then a KongPlugin, then the first by name.
pub(in crate::translate) type Precedence<'a> = (Option<Timestamp>, bool, &'a str, &'a str);

pub(in crate::translate) fn precedence<'a>(plugin: PluginObject<'a>) -> Precedence<'a> {
    let metadata = plugin.owner.metadata;
    (
        metadata.creation_timestamp,
        plugin.owner.kind == Kind::KongClusterPlugin,
        &metadata.namespace,
        &metadata.name,
    )
}

/// Plugins that are attached to something, in order of precedence.
pub(in crate::translate) type Relations<'a> = BTreeMap<Precedence<'a>, Relation<'a>>;

impl<'a> Relation<'a> {
    fn new(plugin: PluginObject<'a>) -> Self {
        Self {
            plugin,
            services: BTreeSet::new(),
            routes: BTreeSet::new(),
            consumers: BTreeSet::new(),
            groups: BTreeSet::new(),
            users: Vec::new(),
        }
    }

    fn add(&mut self, attachment: &Attachment<'a>, field: String) {
        match attachment.target.clone() {
            Target::Service(name) => self.services.insert(name),
            Target::Route(name) => self.routes.insert(name),
            Target::Consumer(name) => self.consumers.insert(name),
            Target::ConsumerGroup(name) => self.groups.insert(name),
        };
        let user = (attachment.owner, field);
        let is_known = self
            .users
            .last()
            .is_some_and(|(owner, field)| std::ptr::eq(owner.metadata, user.0.metadata) && *field == user.1);
        if !is_known {
            self.users.push(user);
        }
    }

    /// All that it is attached to.
    pub(super) fn targets(&self) -> impl Iterator<Item = Target> {
        let services = self.services.iter().cloned().map(Target::Service);
        let routes = self.routes.iter().cloned().map(Target::Route);
        let consumers = self.consumers.iter().cloned().map(Target::Consumer);
        let groups = self.groups.iter().cloned().map(Target::ConsumerGroup);
        services.chain(routes).chain(consumers).chain(groups)
    }
}

/// KongPlugins and KongClusterPlugins by name.
pub(in crate::translate) struct Catalogue<'a> {
    plugins: HashMap<(&'a str, &'a str), PluginObject<'a>>,
    cluster_plugins: HashMap<&'a str, PluginObject<'a>>,
}

impl<'a> Catalogue<'a> {
    pub(in crate::translate) fn new(snapshot: &'a Snapshot) -> Self {
        let plugins = snapshot.plugins.iter();
        let cluster_plugins = snapshot.cluster_plugins.iter();
        Self {
            plugins: plugins
                .map(|(key, plugin)| ((&*key.namespace, &*key.name), PluginObject::namespaced(plugin)))
                .collect(),
            cluster_plugins: cluster_plugins
                .map(|(key, plugin)| (&*key.name, PluginObject::cluster(plugin)))
                .collect(),
        }
    }

    /// All of them.
    pub(in crate::translate) fn all(&self) -> impl Iterator<Item = PluginObject<'a>> {
        self.plugins.values().chain(self.cluster_plugins.values()).copied()
    }

    /// The KongPlugin of that name, else the KongClusterPlugin.
    pub(in crate::translate) fn find(&self, namespace: &str, name: &str) -> Option<PluginObject<'a>> {
        self.find_namespaced(namespace, name)
            .or_else(|| self.find_cluster(name))
    }

    /// The KongPlugin of that name.
    pub(in crate::translate) fn find_namespaced(&self, namespace: &str, name: &str) -> Option<PluginObject<'a>> {
        self.plugins.get(&(namespace, name)).copied()
    }

    /// The KongClusterPlugin of that name.
    pub(in crate::translate) fn find_cluster(&self, name: &str) -> Option<PluginObject<'a>> {
        self.cluster_plugins.get(name).copied()
    }
}

/// Finds what all names stand for. What names a plugin that can't be had is closed, with a problem on it.
pub(super) fn resolve<'a>(
    attachments: &Attachments<'a>,
    catalogue: &Catalogue<'a>,
    grants: &Grants<'a>,
    missing_plugin: MissingPlugin,
    closed: &mut Closed,
    problems: &mut Problems,
) -> Relations<'a> {
    let mut relations = Relations::new();
    for attachment in &attachments.0 {
        let mut attach = |name: &'a str, field: String| match find(
            attachment.owner,
            name,
            &field,
            catalogue,
            grants,
            missing_plugin,
            problems,
        ) {
            Some(plugin) => relations
                .entry(precedence(plugin))
                .or_insert_with(|| Relation::new(plugin))
                .add(attachment, field),
            None => closed.add(attachment.target.clone()),
        };
        match &attachment.extension {
            Some((name, field)) => attach(name, field.clone()),
            None => {
                let value = attachment
                    .owner
                    .metadata
                    .annotation(annotations::PLUGINS)
                    .unwrap_or_default();
                for name in annotations::list(value) {
                    attach(name, annotation_field(annotations::PLUGINS));
                }
            }
        }
    }
    relations
}

/// The plugin that an object names as `name`, or as `namespace:name`; `None`, with a problem on the object, if it can't
/// have it.
pub(in crate::translate) fn find<'a>(
    owner: Owner<'_>,
    name: &str,
    field: &str,
    catalogue: &Catalogue<'a>,
    grants: &Grants<'a>,
    missing_plugin: MissingPlugin,
    problems: &mut Problems,
) -> Option<PluginObject<'a>> {
    let own: &str = &owner.metadata.namespace;
    let (namespace, plugin) = match name.split_once(':') {
        Some((namespace, plugin)) => (namespace.trim(), plugin.trim()),
        None => (own, name),
    };
    let consequence = consequence(owner, missing_plugin);
    if plugin.is_empty() || (namespace.is_empty() && !own.is_empty()) {
        problems.report(
            owner,
            field,
            Reason::PluginNotFound,
            format!("{name:?} names no plugin; {consequence}"),
            "write NAME, or NAMESPACE:NAME for a KongPlugin of another namespace",
        );
        return None;
    }
    if namespace != own && !grants.permits(owner, Kind::KongPlugin, namespace, plugin) {
        problems.report(
            owner,
            field,
            Reason::RefNotPermitted,
            format!(
                "no ReferenceGrant in namespace {namespace} lets objects of kind {} in namespace {own} use its KongPlugin \
                 {plugin}; {consequence}",
                owner.kind.name()
            ),
            format!(
                "create a ReferenceGrant in namespace {namespace} from {}/{} to {}/KongPlugin",
                owner.kind.group(),
                owner.kind.name(),
                Kind::KongPlugin.group()
            ),
        );
        return None;
    }
    let found = catalogue.find(namespace, plugin);
    if found.is_none() {
        problems.report(
            owner,
            field,
            Reason::PluginNotFound,
            format!("there is no KongPlugin {plugin} in namespace {namespace} and no KongClusterPlugin {plugin}; {consequence}"),
            "create the plugin, correct its name, or remove it",
        );
    }
    found
}

/// Reports to everybody who named a plugin that it can't be used.
pub(super) fn report_unusable(relation: &Relation<'_>, missing_plugin: MissingPlugin, problems: &mut Problems) {
    let plugin = relation.plugin.owner;
    for (owner, field) in &relation.users {
        let consequence = consequence(*owner, missing_plugin);
        problems.report(
            *owner,
            field.as_str(),
            Reason::InvalidPlugin,
            format!("{plugin} can't be used; {consequence}"),
            "correct the plugin: its own problem says how; or remove it here",
        );
    }
}

/// What the proxies do while a plugin of an object is missing.
pub(super) fn consequence(owner: Owner<'_>, missing_plugin: MissingPlugin) -> &'static str {
    match (missing_plugin, owner.kind) {
        (MissingPlugin::FailClosed, Kind::KongConsumer) => "requests of the consumer answer 503",
        (MissingPlugin::FailClosed, Kind::KongConsumerGroup) => "requests of the group's consumers answer 503",
        (MissingPlugin::FailClosed, _) => "its routes answer 503",
        (MissingPlugin::Omit, Kind::KongConsumer) => "the consumer goes without it",
        (MissingPlugin::Omit, Kind::KongConsumerGroup) => "the group's consumers go without it",
        (MissingPlugin::Omit, _) => "its routes run without the plugin",
    }
}
