//! The entities of a declarative configuration. Kong's names, Kong's fields, nothing else: an unset field is left out.
//!
//! Entities of the document's lists are shared, and so are the routes of a service: what did not change from one
//! configuration to the next may be the same allocation, so that whoever made something of an entity (bytes, a compiled
//! route) knows it again by its address.

mod certificate;
mod consumer;
mod gateway;
mod list;
mod plugin;
mod service;
mod upstream;

pub use certificate::*;
pub use consumer::*;
pub use gateway::*;
pub use list::*;
pub use plugin::*;
pub use service::*;
pub use upstream::*;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A free-form JSON object: plugin and vault settings, custom entities. Keys are kept in sorted order.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;

/// A whole configuration: what is sent to `POST /config`.
///
/// Fields that Kong does not know are collected in `custom`: lists of custom entities by their type.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Configuration {
    /// Version of the format: `"3.0"`.
    #[serde(rename = "_format_version")]
    pub format_version: String,
    /// Ignored by Kong; accepted.
    #[serde(rename = "_comment", default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<serde_json::Value>,
    /// Ignored by Kong; accepted.
    #[serde(rename = "_ignore", default, skip_serializing_if = "Option::is_none")]
    pub ignore: Option<serde_json::Value>,
    /// Whether plugin `transform_*` code applies on load; accepted, never sent.
    #[serde(rename = "_transform", default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<bool>,
    // The order of the lists means nothing to Kong, but it is that of the bytes, which are hashed anew from the first change
    // on: endpoints, which change most often, come last, and services before that which changes without them.
    /// Key pairs for TLS listeners and towards upstreams.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub certificates: List<Certificate>,
    /// Server names that are not nested in a certificate.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub snis: List<Sni>,
    /// Certificates of trusted authorities.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub ca_certificates: List<CaCertificate>,
    /// Licences (Enterprise).
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub licenses: List<License>,
    /// Secret stores that `{vault://…}` references read.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub vaults: List<Vault>,
    /// Groups of consumers (Enterprise).
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub consumer_groups: List<ConsumerGroup>,
    /// Upstream applications, each with its routes nested.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub services: List<Service>,
    /// Routes that are not nested in a service.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub routes: List<Route>,
    /// Plugins by reference, and global ones.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub plugins: List<Plugin>,
    /// Users of the gateway, with their credentials nested.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub consumers: List<Consumer>,
    /// Memberships in consumer groups (Enterprise).
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub consumer_group_consumers: List<ConsumerGroupConsumer>,
    /// Credentials that are not nested in a consumer, by the name of their list.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub keyauth_credentials: List<KeyAuthCredential>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub basicauth_credentials: List<BasicAuthCredential>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub hmacauth_credentials: List<HmacAuthCredential>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub jwt_secrets: List<JwtSecret>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub oauth2_credentials: List<Oauth2Credential>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub acls: List<Acl>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub mtls_auth_credentials: List<MtlsAuthCredential>,
    /// Load balancers by virtual host name.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub upstreams: List<Upstream>,
    /// Targets that are not nested in an upstream.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub targets: List<Target>,
    /// Custom entities: type (for example `degraphql_routes`) to list.
    #[serde(flatten)]
    pub custom: BTreeMap<String, Vec<JsonObject>>,
}

impl Configuration {
    /// The format version that this crate writes.
    pub const FORMAT_VERSION: &'static str = "3.0";

    /// An empty configuration of the current format.
    pub fn new() -> Self {
        Self {
            format_version: Self::FORMAT_VERSION.to_owned(),
            ..Self::default()
        }
    }
}

/// A reference to another entity: its name or identifier, alone or as `{"id": …}`.
///
/// Kong takes both; `{"name": …}` is refused by it (`admin-api.md` 12).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Reference {
    /// The entity's name, username or identifier.
    Key(String),
    /// The entity's identifier.
    Id {
        /// A UUID.
        id: String,
    },
}

impl Reference {
    /// The name or identifier that is referred to.
    pub fn key(&self) -> &str {
        match self {
            Self::Key(key) => key,
            Self::Id { id } => id,
        }
    }
}

impl From<&str> for Reference {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<String> for Reference {
    fn from(key: String) -> Self {
        Self::Key(key)
    }
}

/// Kong takes `null` for an unset field, a list included.
fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
