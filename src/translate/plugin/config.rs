//! The settings of one KongPlugin or KongClusterPlugin: `config`, `configFrom`, `configPatches` (`kic.md` 4.8). Pure.
//!
//! Values of Secrets never reach a message: of a value that can't be read only the place is told.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::patch;
use crate::{
    model::{
        Kind, NamespacedName, Reason, Snapshot,
        kong::{JsonObject, KongClusterPlugin, KongPlugin, PluginFields, SecretKeyRef},
        kubernetes::Secret,
    },
    translate::{
        bounds,
        problems::{Owner, Problems},
        tags,
    },
};

/// What `protocols` may hold.
const PROTOCOLS: [&str; 8] = ["http", "https", "grpc", "grpcs", "tcp", "tls", "tls_passthrough", "udp"];

/// Numbers of fewer digits, as text, are found everywhere: they are not kept secret.
const SHORTEST_NUMBER: usize = 4;

/// A KongPlugin or KongClusterPlugin.
#[derive(Debug, Clone, Copy)]
pub(in crate::translate) struct PluginObject<'a> {
    pub(in crate::translate) owner: Owner<'a>,
    pub(in crate::translate) fields: &'a PluginFields,
}

impl<'a> PluginObject<'a> {
    pub(in crate::translate) fn namespaced(plugin: &'a KongPlugin) -> Self {
        Self {
            owner: Owner::new(Kind::KongPlugin, &plugin.metadata),
            fields: &plugin.plugin,
        }
    }

    pub(in crate::translate) fn cluster(plugin: &'a KongClusterPlugin) -> Self {
        Self {
            owner: Owner::new(Kind::KongClusterPlugin, &plugin.metadata),
            fields: &plugin.plugin,
        }
    }

    /// Objects without a namespace name one; all others reach Secrets of their own alone.
    fn secret_namespace(&self, reference: &'a SecretKeyRef) -> &'a str {
        match self.owner.kind {
            Kind::KongClusterPlugin => &reference.namespace,
            _ => &self.owner.metadata.namespace,
        }
    }
}

/// The settings of a plugin, put together.
#[derive(Debug, Clone, Default)]
pub(in crate::translate) struct Resolved<'a> {
    /// `None` where there are none.
    pub(in crate::translate) config: Option<Arc<JsonObject>>,
    /// The Secrets that took part.
    pub(in crate::translate) secrets: Vec<&'a Secret>,
    /// Values that came from Secrets: to be shown nowhere.
    pub(in crate::translate) confidential: BTreeSet<String>,
}

/// Puts a plugin's settings together. `None`, with problems on it, if that can't be done.
pub(in crate::translate) fn resolve<'a>(
    plugin: PluginObject<'a>,
    snapshot: &'a Snapshot,
    problems: &mut Problems,
) -> Option<Resolved<'a>> {
    tags::check(plugin.owner, problems);
    let mut reader = Reader {
        plugin,
        snapshot,
        problems,
        resolved: Resolved::default(),
    };
    let is_sound = reader.check_fields();
    let config = reader.config();
    let mut resolved = reader.resolved;
    resolved.config = config?.filter(|config| !config.is_empty()).map(Arc::new);
    is_sound.then_some(resolved)
}

struct Reader<'a, 'p> {
    plugin: PluginObject<'a>,
    snapshot: &'a Snapshot,
    problems: &'p mut Problems,
    resolved: Resolved<'a>,
}

impl<'a> Reader<'a, '_> {
    fn report(&mut self, field: impl Into<String>, reason: Reason, message: impl Into<String>, remedy: &str) {
        self.problems.report(self.plugin.owner, field, reason, message, remedy);
    }

    /// What does not hang on Secrets. False if the plugin can't be used.
    fn check_fields(&mut self) -> bool {
        let fields = self.plugin.fields;
        let mut is_sound = true;
        if fields.plugin.is_empty() {
            self.report(
                "plugin",
                Reason::InvalidPlugin,
                "the type of the plugin is not named",
                "name it, for example rate-limiting",
            );
            is_sound = false;
        }
        for (position, protocol) in fields.protocols.iter().enumerate() {
            if !PROTOCOLS.contains(&protocol.as_str()) {
                self.report(
                    format!("protocols[{position}]"),
                    Reason::InvalidPlugin,
                    format!("{protocol:?} is none of {}", PROTOCOLS.join(", ")),
                    "remove it, or use one of these",
                );
                is_sound = false;
            }
        }
        is_sound
    }

    fn config(&mut self) -> Option<Option<JsonObject>> {
        let fields = self.plugin.fields;
        let has_config = fields.config.as_ref().is_some_and(|config| !config.is_empty());
        let excluded = match &fields.config_from {
            Some(_) if has_config => Some("Using both config and configFrom fields is not allowed"),
            Some(_) if !fields.config_patches.is_empty() => {
                Some("Using both configFrom and configPatches fields is not allowed")
            }
            _ => None,
        };
        if let Some(message) = excluded {
            self.report("configFrom", Reason::InvalidPlugin, message, "remove one of the two");
            return None;
        }
        let config = match &fields.config_from {
            Some(from) => Some(self.whole(&from.secret_key_ref)?),
            None => self.patched(fields.config.clone())?,
        };
        if let Err(excess) = config.as_ref().map_or(Ok(()), bounds::check) {
            self.report(
                "config",
                Reason::InvalidPlugin,
                format!("the settings {excess}"),
                "make them smaller",
            );
            return None;
        }
        Some(config)
    }

    /// The settings as a whole from a Secret: JSON, else YAML.
    fn whole(&mut self, reference: &'a SecretKeyRef) -> Option<JsonObject> {
        let text = self.text("configFrom", reference)?;
        match read(&text) {
            Ok(Value::Object(config)) => {
                self.keep_secret(&Value::Object(config.clone()));
                Some(config)
            }
            Ok(_) => self.reject_value(
                "configFrom",
                reference,
                "is no object",
                "write the plugin's settings there as a JSON or YAML object",
            ),
            Err(place) => self.reject_value(
                "configFrom",
                reference,
                &format!("is neither JSON nor YAML: {place}"),
                "write the plugin's settings there as a JSON or YAML object",
            ),
        }
    }

    /// The settings of the object with parts from Secrets.
    fn patched(&mut self, config: Option<JsonObject>) -> Option<Option<JsonObject>> {
        let fields = self.plugin.fields;
        if fields.config_patches.is_empty() {
            return Some(config);
        }
        let mut document = config.map_or(Value::Null, Value::Object);
        if document.is_null() {
            document = Value::Object(JsonObject::new());
        }
        let mut is_whole = true;
        for (position, patch) in fields.config_patches.iter().enumerate() {
            let field = format!("configPatches[{position}]");
            let Some(value) = self.patch_value(&field, &patch.value_from.secret_key_ref) else {
                is_whole = false;
                continue;
            };
            if let Err(fault) = patch::add(&mut document, &patch.path, value) {
                self.report(
                    field + ".path",
                    Reason::InvalidPlugin,
                    format!("{:?} {fault}", patch.path),
                    "write a JSON pointer into the settings, for example /redis/password",
                );
                is_whole = false;
            }
        }
        match document {
            Value::Object(config) => is_whole.then_some(Some(config)),
            _ => {
                self.report(
                    "configPatches",
                    Reason::InvalidPlugin,
                    "the settings are no object any more once the patches are applied",
                    "give the patch with an empty path an object as its value",
                );
                None
            }
        }
    }

    fn patch_value(&mut self, field: &str, reference: &'a SecretKeyRef) -> Option<Value> {
        let field = format!("{field}.valueFrom");
        let text = self.text(&field, reference)?;
        match serde_json::from_str(&text) {
            Ok(value) => {
                self.keep_secret(&value);
                Some(value)
            }
            Err(error) => self.reject_value(
                &field,
                reference,
                &format!("is no JSON: line {}, column {}", error.line(), error.column()),
                "write a JSON value there; text stands in double quotes",
            ),
        }
    }

    /// The text under the key of a Secret.
    fn text(&mut self, field: &str, reference: &'a SecretKeyRef) -> Option<String> {
        let namespace = self.plugin.secret_namespace(reference);
        let SecretKeyRef { name, key, .. } = reference;
        let incomplete = [("namespace", namespace), ("name", name), ("key", key)]
            .into_iter()
            .find(|(_, value)| value.is_empty());
        // Objects of files that are taken as they are have no namespace, and their Secrets have none either.
        if let Some((part, _)) =
            incomplete.filter(|(part, _)| *part != "namespace" || self.plugin.owner.kind == Kind::KongClusterPlugin)
        {
            self.report(
                format!("{field}.secretKeyRef.{part}"),
                Reason::InvalidPlugin,
                format!("the {part} is missing"),
                "say in which namespace, Secret and key the value is",
            );
            return None;
        }
        let Some(secret) = self
            .snapshot
            .secrets
            .get(&NamespacedName::new(namespace, name.as_str()))
        else {
            self.report(
                format!("{field}.secretKeyRef.name"),
                Reason::SecretNotFound,
                format!("there is no Secret {name} in namespace {namespace}; the plugin can't be used"),
                "create the Secret, or correct the name",
            );
            return None;
        };
        self.resolved.secrets.push(secret);
        let Some(value) = secret.value(key) else {
            self.report(
                format!("{field}.secretKeyRef.key"),
                Reason::SecretKeyNotFound,
                format!("the Secret {name} in namespace {namespace} has no key {key:?}; the plugin can't be used"),
                "add the key to the Secret, or correct its name",
            );
            return None;
        };
        match std::str::from_utf8(value) {
            Ok(text) => Some(text.to_owned()),
            Err(_) => self.reject_value(field, reference, "is no text", "write JSON there"),
        }
    }

    fn reject_value<T>(&mut self, field: &str, reference: &SecretKeyRef, what: &str, remedy: &str) -> Option<T> {
        let SecretKeyRef { name, key, .. } = reference;
        self.report(
            format!("{field}.secretKeyRef.key"),
            Reason::InvalidPlugin,
            format!("the value under the key {key:?} of the Secret {name} {what}"),
            remedy,
        );
        None
    }

    fn keep_secret(&mut self, value: &Value) {
        match value {
            Value::String(text) if !text.is_empty() => drop(self.resolved.confidential.insert(text.clone())),
            Value::Number(number) => {
                let text = number.to_string();
                if text.len() >= SHORTEST_NUMBER {
                    self.resolved.confidential.insert(text);
                }
            }
            Value::Array(elements) => elements.iter().for_each(|element| self.keep_secret(element)),
            Value::Object(object) => object.values().for_each(|below| self.keep_secret(below)),
            Value::String(_) | Value::Null | Value::Bool(_) => {}
        }
    }
}

/// Reads JSON, else YAML.
///
/// # Errors
/// Where it stops being YAML, without what stands there.
fn read(text: &str) -> Result<Value, String> {
    let json = serde_json::from_str(text);
    json.or_else(|_| {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: bounds::DEPTH,
                max_nodes: bounds::VALUES,
                max_events: bounds::VALUES * 2,
                max_documents: 1,
            },
            alias_limits: serde_saphyr::alias_limits! {
                max_total_replayed_events: bounds::VALUES,
            },
            with_snippet: false,
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| match error.location() {
            Some(location) => format!("line {}, column {}", location.line(), location.column()),
            None => "it is too large, or not complete".to_owned(),
        })
    })
}
