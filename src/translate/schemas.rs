//! What is known of the entities that plugins bring along: which of their fields refer to other entities. Pure.
//!
//! Kong tells it in `GET /schemas/<type>`, which a translation can't ask. What Kong's bundled plugins have is known here;
//! for other types the controller asks proxies, and gives what they say with the settings.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// The schema of one type of custom entities, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntitySchema {
    /// Fields that refer to other entities, and the list that those are in: `service` to `services`.
    pub foreign: BTreeMap<String, String>,
    /// The type of the plugin that brings it along, if that is known: proxies without the plugin don't know the entity.
    pub plugin: Option<String>,
}

impl EntitySchema {
    /// Reads Kong's answer to `GET /schemas/<type>`; `None` if it is no schema.
    pub fn parse(answer: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Schema {
            fields: Vec<BTreeMap<String, Value>>,
        }
        let schema = serde_json::from_slice::<Schema>(answer).ok()?;
        let foreign = schema.fields.into_iter().flatten().filter_map(|(name, field)| {
            let is_foreign = field.get("type").is_some_and(|type_| type_ == "foreign");
            let list = field.get("reference").and_then(Value::as_str)?;
            is_foreign.then(|| (name, list.to_owned()))
        });
        Some(Self {
            foreign: foreign.collect(),
            plugin: None,
        })
    }
}

/// Schemas of custom entities by their type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntitySchemas {
    known: BTreeMap<String, EntitySchema>,
    /// Types that the proxies say they don't know.
    absent: BTreeSet<String>,
    /// Whether proxies are asked about what is not known.
    asked: bool,
}

/// What is known of a type of entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knowledge<'a> {
    /// What its fields refer to.
    Schema(&'a EntitySchema),
    /// The proxies don't know it.
    Absent,
    /// Proxies are asked about it, and have not answered yet.
    Awaited,
    /// Nothing, and nobody is asked.
    Nothing,
}

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
        Self {
            known: schemas.collect(),
            absent: BTreeSet::new(),
            asked: false,
        }
    }
}

impl EntitySchemas {
    /// Those of the comparison with Kong Ingress Controller (`--raw-objects`): its tests know the foreign field of one type.
    pub fn of_comparison() -> Self {
        let mut schemas = Self::default();
        for (type_, schema) in &mut schemas.known {
            if type_ != "degraphql_routes" {
                schema.foreign.clear();
            }
        }
        schemas
    }

    /// The same where proxies are asked about other types: entities of those are left out until it is known what they are.
    pub fn asked(mut self) -> Self {
        self.asked = true;
        self
    }

    /// Takes what proxies said of a type: its schema, or that they don't know it.
    pub fn answered(&mut self, type_: &str, schema: Option<EntitySchema>) {
        match schema {
            Some(schema) => {
                self.absent.remove(type_);
                self.known.insert(type_.to_owned(), schema);
            }
            None => {
                self.absent.insert(type_.to_owned());
            }
        }
    }

    /// The schema of a type.
    pub fn get(&self, type_: &str) -> Option<&EntitySchema> {
        self.known.get(type_)
    }

    pub(super) fn of(&self, type_: &str) -> Knowledge<'_> {
        match self.known.get(type_) {
            Some(schema) => Knowledge::Schema(schema),
            None if self.absent.contains(type_) => Knowledge::Absent,
            None if self.asked => Knowledge::Awaited,
            None => Knowledge::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_refer_to_others_are_read_off_kongs_answer() {
        let answer = br#"{"fields": [
            {"id": {"type": "string", "uuid": true}},
            {"service": {"type": "foreign", "reference": "services"}},
            {"consumer": {"type": "foreign", "reference": "consumers", "on_delete": "cascade"}}
        ]}"#;
        let schema = EntitySchema::parse(answer).expect("a schema");
        let foreign: Vec<_> = schema.foreign.iter().map(|(field, list)| (&**field, &**list)).collect();
        assert_eq!(foreign, [("consumer", "consumers"), ("service", "services")]);
        assert_eq!(EntitySchema::parse(b"<html>"), None);
    }
}
