//! What is known of the entities that plugins bring along: which of their fields refer to other entities. Pure.
//!
//! Kong tells it in `GET /schemas/<type>`, which a translation can't ask. What Kong's bundled plugins have is known here;
//! more can be given with the settings.

use std::collections::BTreeMap;

/// The schema of one type of custom entities, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntitySchema {
    /// Fields that refer to other entities, and the list that those are in: `service` to `services`.
    pub foreign: BTreeMap<String, String>,
    /// The type of the plugin that brings it along, if that is known: proxies without the plugin don't know the entity.
    pub plugin: Option<String>,
}

/// Schemas of custom entities by their type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntitySchemas(BTreeMap<String, EntitySchema>);

/// Type, plugin, foreign fields with the lists that they refer to.
type Bundled = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Types of Kong's bundled plugins.
const BUNDLED: &[Bundled] = &[
    ("degraphql_routes", "degraphql", &[("service", "services")]),
    (
        "graphql_ratelimiting_advanced_cost_decoration",
        "graphql-rate-limiting-advanced",
        &[("service", "services")],
    ),
    (
        "header_cert_auth_credentials",
        "header-cert-auth",
        &[("consumer", "consumers"), ("ca_certificate", "ca_certificates")],
    ),
    ("jwt_signer_jwks", "jwt-signer", &[]),
    ("oic_jwks", "openid-connect", &[]),
];

impl Default for EntitySchemas {
    /// Those of Kong's bundled plugins.
    fn default() -> Self {
        let schemas = BUNDLED.iter().map(|(type_, plugin, foreign)| {
            let foreign = foreign.iter();
            let schema = EntitySchema {
                foreign: foreign
                    .map(|(field, list)| ((*field).to_owned(), (*list).to_owned()))
                    .collect(),
                plugin: Some((*plugin).to_owned()),
            };
            ((*type_).to_owned(), schema)
        });
        Self(schemas.collect())
    }
}

impl EntitySchemas {
    /// Those of the comparison with Kong Ingress Controller (`--raw-objects`): its tests know the foreign field of one type.
    pub fn of_comparison() -> Self {
        let mut schemas = Self::default();
        for (type_, schema) in &mut schemas.0 {
            if type_ != "degraphql_routes" {
                schema.foreign.clear();
            }
        }
        schemas
    }

    /// Adds a schema, or replaces one.
    pub fn insert(&mut self, type_: impl Into<String>, schema: EntitySchema) {
        self.0.insert(type_.into(), schema);
    }

    /// The schema of a type.
    pub fn get(&self, type_: &str) -> Option<&EntitySchema> {
        self.0.get(type_)
    }
}
