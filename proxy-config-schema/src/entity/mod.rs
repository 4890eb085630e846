//! The entities of a declarative configuration. Kong's names, Kong's fields, nothing else: an unset field is left out.
//!
//! Entities of the document's lists are shared, and so are the routes of a service: what did not change from one
//! configuration to the next may be the same allocation, so that whoever made something of an entity (bytes, a compiled
//! route) knows it again by its address.

mod certificate;
mod consumer;
mod gateway;
mod plugin;
mod service;
mod upstream;

pub use certificate::*;
pub use consumer::*;
pub use gateway::*;
pub use plugin::*;
pub use service::*;
pub use upstream::*;

use std::{collections::BTreeMap, sync::Arc};

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
    /// Upstream applications, each with its routes nested.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Arc<Service>>,
    /// Routes that are not nested in a service.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Arc<Route>>,
    /// Load balancers by virtual host name.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<Arc<Upstream>>,
    /// Targets that are not nested in an upstream.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Arc<Target>>,
    /// Plugins by reference, and global ones.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<Arc<Plugin>>,
    /// Users of the gateway, with their credentials nested.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<Arc<Consumer>>,
    /// Groups of consumers (Enterprise).
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub consumer_groups: Vec<Arc<ConsumerGroup>>,
    /// Memberships in consumer groups (Enterprise).
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub consumer_group_consumers: Vec<Arc<ConsumerGroupConsumer>>,
    /// Key pairs for TLS listeners and towards upstreams.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Arc<Certificate>>,
    /// Server names that are not nested in a certificate.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub snis: Vec<Arc<Sni>>,
    /// Certificates of trusted authorities.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub ca_certificates: Vec<Arc<CaCertificate>>,
    /// Licences (Enterprise).
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<Arc<License>>,
    /// Secret stores that `{vault://…}` references read.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub vaults: Vec<Arc<Vault>>,
    /// Credentials that are not nested in a consumer, by the name of their list.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub keyauth_credentials: Vec<Arc<KeyAuthCredential>>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub basicauth_credentials: Vec<Arc<BasicAuthCredential>>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub hmacauth_credentials: Vec<Arc<HmacAuthCredential>>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub jwt_secrets: Vec<Arc<JwtSecret>>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub oauth2_credentials: Vec<Arc<Oauth2Credential>>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub acls: Vec<Arc<Acl>>,
    /// See `keyauth_credentials`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub mtls_auth_credentials: Vec<Arc<MtlsAuthCredential>>,
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
fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
