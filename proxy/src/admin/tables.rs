//! The entities of a configuration as Kong lists them: flat, with defaults and with references by identifier, and without
//! secrets. Pure.

use std::collections::{BTreeMap, HashMap};

use proxy_config_schema::Configuration;
use serde_json::{Map, Value, json};

/// A kind of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its list in a configuration, and its name in Kong's messages.
    pub(super) list: &'static str,
    /// Its path.
    pub(super) path: &'static str,
    /// Its path below an entity that it belongs to, where that is another one.
    nested_path: &'static str,
    /// How others refer to one.
    singular: &'static str,
    /// What it is found by besides its identifier.
    pub(super) name_field: Option<&'static str>,
    /// Lists nested in it.
    children: &'static [&'static str],
}

const fn kind(list: &'static str, singular: &'static str, name_field: Option<&'static str>) -> Kind {
    Kind {
        list,
        path: list,
        nested_path: list,
        singular,
        name_field,
        children: &[],
    }
}

const fn credential(
    list: &'static str,
    path: &'static str,
    nested_path: &'static str,
    name_field: Option<&'static str>,
) -> Kind {
    Kind {
        list,
        path,
        nested_path,
        singular: list,
        name_field,
        children: &[],
    }
}

/// All kinds that can be read. Parents stand before their children.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        children: &["routes", "plugins"],
        ..kind("services", "service", Some("name"))
    },
    Kind {
        children: &["plugins"],
        ..kind("routes", "route", Some("name"))
    },
    Kind {
        children: &["targets"],
        ..kind("upstreams", "upstream", Some("name"))
    },
    kind("targets", "target", Some("target")),
    Kind {
        children: &[
            "keyauth_credentials",
            "basicauth_credentials",
            "hmacauth_credentials",
            "jwt_secrets",
            "oauth2_credentials",
            "acls",
            "mtls_auth_credentials",
            "plugins",
        ],
        ..kind("consumers", "consumer", Some("username"))
    },
    Kind {
        children: &["plugins"],
        ..kind("consumer_groups", "consumer_group", Some("name"))
    },
    kind("plugins", "plugin", Some("instance_name")),
    Kind {
        children: &["snis"],
        ..kind("certificates", "certificate", None)
    },
    kind("snis", "sni", Some("name")),
    kind("ca_certificates", "ca_certificate", None),
    kind("vaults", "vault", Some("prefix")),
    kind("licenses", "license", None),
    credential("keyauth_credentials", "key-auths", "key-auth", None),
    credential("basicauth_credentials", "basic-auths", "basic-auth", Some("username")),
    credential("hmacauth_credentials", "hmac-auths", "hmac-auth", Some("username")),
    credential("jwt_secrets", "jwts", "jwt", Some("key")),
    credential("oauth2_credentials", "oauth2", "oauth2", Some("client_id")),
    credential("acls", "acls", "acls", None),
    credential("mtls_auth_credentials", "mtls-auths", "mtls-auth", None),
];

impl Kind {
    pub(super) fn by_path(path: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.path == path)
    }

    /// The kind that is listed under an entity of this kind at this path.
    pub(super) fn child_by_path(&self, path: &str) -> Option<&'static Self> {
        KINDS
            .iter()
            .find(|kind| kind.nested_path == path && self.children.contains(&kind.list))
    }

    /// Whether a row belongs to the entity with this identifier.
    pub(super) fn owns(&self, id: &str, row: &Value) -> bool {
        row.get(self.singular).and_then(|owner| owner.get("id")) == Some(&Value::from(id))
    }
}

/// All entities of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Tables(BTreeMap<&'static str, Table>);

/// All entities of one kind.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By identifier.
    pub(super) rows: BTreeMap<String, Value>,
    names: HashMap<String, String>,
}

impl Table {
    /// By identifier or name.
    pub(super) fn find(&self, key: &str) -> Option<(&str, &Value)> {
        let by_id = self.rows.get_key_value(key);
        let found = by_id.or_else(|| self.rows.get_key_value(self.names.get(key)?));
        found.map(|(id, row)| (id.as_str(), row))
    }
}

impl Tables {
    /// Lists the entities of a configuration that was loaded at this time (seconds since 1970).
    pub(crate) fn new(configuration: &Configuration, loaded_at: i64) -> Self {
        let mut tables = Self(KINDS.iter().map(|kind| (kind.list, Table::default())).collect());
        let document = serde_json::to_value(configuration.redacted()).expect("entities have string keys only");
        let Value::Object(mut document) = document else {
            return tables;
        };
        for kind in KINDS {
            if let Some(Value::Array(entities)) = document.remove(kind.list) {
                tables.add(kind, entities, None, loaded_at);
            }
        }
        tables.resolve_references();
        tables
    }

    /// The table of a kind.
    pub(super) fn get(&self, kind: &Kind) -> &Table {
        &self.0[kind.list]
    }

    /// As a declarative configuration.
    pub(super) fn document(&self) -> Value {
        let mut document = Map::new();
        document.insert("_format_version".to_owned(), json!(Configuration::FORMAT_VERSION));
        document.insert("_transform".to_owned(), json!(false));
        for (list, table) in &self.0 {
            if !table.rows.is_empty() {
                document.insert((*list).to_owned(), table.rows.values().cloned().collect());
            }
        }
        Value::Object(document)
    }

    fn add(&mut self, kind: &'static Kind, entities: Vec<Value>, owner: Option<(&Kind, &str)>, loaded_at: i64) {
        for entity in entities {
            let Value::Object(mut entity) = entity else { continue };
            let position = self.0[kind.list].rows.len();
            let id = match entity.get("id").and_then(Value::as_str) {
                Some(id) => id.to_owned(),
                None => format!("{}-{position}", kind.singular),
            };
            for list in kind.children {
                let child = KINDS.iter().find(|kind| kind.list == *list);
                if let (Some(child), Some(Value::Array(children))) = (child, entity.remove(*list)) {
                    self.add(child, children, Some((kind, &id)), loaded_at);
                }
            }
            if let Some((owner, owner_id)) = owner {
                entity.insert(owner.singular.to_owned(), json!({ "id": owner_id }));
            }
            complete(kind, &mut entity, loaded_at);
            let table = self.0.entry(kind.list).or_default();
            let name = kind
                .name_field
                .and_then(|field| entity.get(field)?.as_str().map(str::to_owned));
            if let Some(name) = name {
                table.names.entry(name).or_insert_with(|| id.clone());
            }
            table.rows.insert(id, Value::Object(entity));
        }
    }

    /// References by name become references by identifier.
    fn resolve_references(&mut self) {
        const REFERENCES: [(&str, &str); 7] = [
            ("service", "services"),
            ("route", "routes"),
            ("consumer", "consumers"),
            ("consumer_group", "consumer_groups"),
            ("upstream", "upstreams"),
            ("certificate", "certificates"),
            ("client_certificate", "certificates"),
        ];
        let names = REFERENCES.map(|(field, list)| (field, self.0[list].names.clone()));
        let rows = self.0.values_mut().flat_map(|table| table.rows.values_mut());
        for row in rows.filter_map(Value::as_object_mut) {
            for (field, names) in &names {
                if let Some(value) = row.get_mut(*field)
                    && let Some(key) = value.as_str()
                {
                    *value = json!({ "id": names.get(key).map_or(key, String::as_str) });
                }
            }
        }
    }
}

/// Adds what Kong adds.
fn complete(kind: &Kind, entity: &mut Map<String, Value>, loaded_at: i64) {
    let unset = |entity: &mut Map<String, Value>, field: &str, value: Value| {
        entity.entry(field).or_insert(value);
    };
    unset(entity, "tags", Value::Null);
    unset(entity, "created_at", json!(loaded_at));
    if !kind.list.ends_with("_credentials") && !matches!(kind.list, "jwt_secrets" | "acls") {
        unset(entity, "updated_at", json!(loaded_at));
    }
    if let Value::Object(defaults) = proxy_config_schema::defaults(kind.list, entity) {
        for (field, value) in defaults {
            unset(entity, &field, value);
        }
    }
}
