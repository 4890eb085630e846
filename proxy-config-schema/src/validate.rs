//! What a real Kong asks of a configuration. Called by the embedded proxy's Admin API, and by whoever wants to know
//! beforehand what a proxy would refuse.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Configuration, InvalidConfiguration, JsonObject, crosscheck, identify, normalize,
    schema::{self, Depth},
};

/// How the proxy matches routes (`router_flavor` of Kong).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterFlavor {
    /// Paths, hosts, methods, headers by Kong's old router.
    Traditional,
    /// The same by the expression engine: regular expressions are those of the `regex` crate.
    #[default]
    TraditionalCompatible,
    /// One expression and a priority a route.
    Expressions,
}

/// What a plugin type takes, besides its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginRules {
    /// The values that `protocols` may have.
    pub protocols: &'static [&'static str],
    /// Whether it may be attached to a consumer.
    pub consumer: bool,
}

impl PluginRules {
    /// For plugins that act on HTTP and gRPC only.
    pub const HTTP: &'static [&'static str] = &["grpc", "grpcs", "http", "https"];
    /// For plugins that act on anything.
    pub const ANY: &'static [&'static str] =
        &["grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"];
}

/// Checks that need more than this crate has: settings of plugins by their schemas, certificates and their keys.
pub trait EntityCheck: Send + Sync {
    /// What is wrong with one entity: the field (`config.minute`, elements counted from 1; `None`: the whole entity)
    /// and the message. Called for every entity, whether it has other errors or not; `entity_type` is singular.
    fn check(&self, entity_type: &str, entity: &JsonObject) -> Vec<(Option<String>, String)>;
}

/// What the proxy that shall take the configuration can do. The default is an open-source Kong 3.9.
#[derive(Clone, Default)]
pub struct ValidationOptions {
    /// How it matches routes.
    pub router_flavor: RouterFlavor,
    /// Whether it knows consumer groups, licences, `mtls-auth` credentials and the order of plugins.
    pub enterprise: bool,
    /// Whether it knows sticky sessions of upstreams (Kong 3.11 and newer).
    pub sticky_sessions: bool,
    /// The plugin types that it has; `None`: any.
    pub plugins: Option<BTreeMap<String, PluginRules>>,
    /// The vault backends that it has; `None`: any.
    pub vaults: Option<BTreeSet<String>>,
    /// The lists of custom entities that it knows; `None`: any.
    pub custom_entities: Option<BTreeSet<String>>,
    /// Further checks.
    pub entity_check: Option<Arc<dyn EntityCheck>>,
}

impl ValidationOptions {
    pub(crate) fn takes_custom_entity(&self, list: &str) -> bool {
        self.custom_entities.as_ref().is_none_or(|known| known.contains(list))
    }
}

impl fmt::Debug for ValidationOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ValidationOptions")
            .field("router_flavor", &self.router_flavor)
            .field("enterprise", &self.enterprise)
            .field("sticky_sessions", &self.sticky_sessions)
            .field("plugins", &self.plugins)
            .field("vaults", &self.vaults)
            .field("custom_entities", &self.custom_entities)
            .finish_non_exhaustive()
    }
}

impl Configuration {
    /// Makes a configuration of a document whose fields are known and have the right types; nothing else is asked.
    ///
    /// # Errors
    /// All entities at fault. `null` is an unset field, and a whole number may be written as `80.0`, as Kong has it.
    pub fn from_value(document: Value) -> Result<Self, InvalidConfiguration> {
        // Whatever some proxy knows.
        let options = ValidationOptions {
            router_flavor: RouterFlavor::Expressions,
            enterprise: true,
            sticky_sessions: true,
            ..ValidationOptions::default()
        };
        let mut document = object(document)?;
        let findings = schema::check(&document, Depth::Shape, &options);
        if !findings.is_empty() {
            return Err(InvalidConfiguration::new(&document, findings));
        }
        normalize::normalize(&mut document);
        typed(document)
    }

    /// Does what Kong does with a document: checks everything, expands `url`, and gives identifiers to entities without
    /// one (see [`id`](crate::id)).
    ///
    /// # Errors
    /// All that is wrong: first with single entities; when nothing is, with references and uniqueness.
    pub fn load(document: Value, options: &ValidationOptions) -> Result<Self, InvalidConfiguration> {
        let mut document = object(document)?;
        let findings = schema::check(&document, Depth::Full, options);
        if !findings.is_empty() {
            return Err(InvalidConfiguration::new(&document, findings));
        }
        normalize::normalize(&mut document);
        normalize::expand_urls(&mut document);
        identify::identify(&mut document);
        let findings = crosscheck::check(&document);
        if !findings.is_empty() {
            return Err(InvalidConfiguration::new(&document, findings));
        }
        typed(document)
    }

    /// Whether a proxy would take this configuration.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn validate(&self, options: &ValidationOptions) -> Result<(), InvalidConfiguration> {
        let document = serde_json::to_value(self).expect("entities have string keys only");
        Self::load(document, options).map(|_| ())
    }
}

fn object(document: Value) -> Result<JsonObject, InvalidConfiguration> {
    match document {
        Value::Object(object) => Ok(object),
        // A list without elements is Lua's empty table.
        Value::Array(elements) if elements.is_empty() => Ok(JsonObject::new()),
        _ => Err(InvalidConfiguration::of_document(
            "_format_version",
            "required field missing",
        )),
    }
}

fn typed(document: JsonObject) -> Result<Configuration, InvalidConfiguration> {
    // The schemas of this crate and its entity types agree (tested); should they not, this is still no panic.
    serde_json::from_value(Value::Object(document))
        .map_err(|error| InvalidConfiguration::of_document("_format_version", &error.to_string()))
}
