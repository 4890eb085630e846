//! A configuration as a flat list of entities, each with its parent and the object that it comes from.

use std::collections::{BTreeMap, BTreeSet};

use proxy_config_schema::Configuration;
use serde::Serialize;
use serde_json::{Map, Value};

/// What an entity is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EntityKey {
    /// Kong's name of its list: `routes`, `plugins`, `keyauth_credentials` …
    #[serde(rename = "type")]
    pub entity_type: String,
    /// What it belongs to, type and name: a route's service, a target's upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<(String, String)>,
    /// Its name, or what else tells it from others of its type; empty if there is nothing.
    pub name: String,
}

/// A Kubernetes object, as tags name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SourceObject {
    /// Kind.
    pub kind: String,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Entity {
    /// What is the same in two versions of an entity.
    pub(super) fn identity(&self) -> (EntityKey, Option<SourceObject>) {
        let object = self.key.name.is_empty().then(|| self.object.clone()).flatten();
        (self.key.clone(), object)
    }
}

impl SourceObject {
    /// Reads the tags `k8s-kind`, `k8s-namespace` and `k8s-name`.
    fn of(entity: &Map<String, Value>) -> Option<Self> {
        let tags = entity.get("tags")?.as_array()?;
        let tag = |prefix: &str| {
            tags.iter()
                .find_map(|tag| tag.as_str()?.strip_prefix(prefix))
                .map(str::to_owned)
        };
        Some(Self {
            kind: tag("k8s-kind:")?,
            namespace: tag("k8s-namespace:").unwrap_or_default(),
            name: tag("k8s-name:")?,
        })
    }
}

/// An entity without those that are nested in it.
#[derive(Debug)]
pub(super) struct Entity {
    pub(super) key: EntityKey,
    pub(super) object: Option<SourceObject>,
    pub(super) fields: Fields,
}

/// Fields, and the same without secrets. The order of the keys is the same in both.
#[derive(PartialEq)]
pub(super) struct Fields {
    pub(super) raw: Map<String, Value>,
    pub(super) redacted: Map<String, Value>,
}

/// Without secrets.
impl std::fmt::Debug for Fields {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.redacted.fmt(formatter)
    }
}

/// How entities of a type are found and told apart.
struct Type {
    list: &'static str,
    /// Fields that make up its name: the first of them that is set. None for entities that are known by the object that
    /// they come from alone.
    names: &'static [&'static str],
    /// Further fields of its name.
    also: &'static [&'static str],
    /// Fields that refer to what it belongs to, and the type of that; a list nested there means the same.
    parents: &'static [(&'static str, &'static str)],
}

const CREDENTIAL: &[(&str, &str)] = &[("consumer", "consumers")];

const TYPES: &[Type] = &[
    Type {
        list: "services",
        names: &["name", "id"],
        also: &[],
        parents: &[],
    },
    Type {
        list: "routes",
        names: &["name", "id"],
        also: &[],
        parents: &[("service", "services")],
    },
    Type {
        list: "upstreams",
        names: &["name"],
        also: &[],
        parents: &[],
    },
    Type {
        list: "targets",
        names: &["target"],
        also: &[],
        parents: &[("upstream", "upstreams")],
    },
    Type {
        list: "plugins",
        names: &["name"],
        also: &["instance_name", "service", "consumer", "consumer_group"],
        parents: &[
            ("route", "routes"),
            ("service", "services"),
            ("consumer", "consumers"),
            ("consumer_group", "consumer_groups"),
        ],
    },
    Type {
        list: "consumers",
        names: &["username", "custom_id", "id"],
        also: &[],
        parents: &[],
    },
    Type {
        list: "keyauth_credentials",
        names: &[],
        also: &[],
        parents: CREDENTIAL,
    },
    Type {
        list: "basicauth_credentials",
        names: &["username"],
        also: &[],
        parents: CREDENTIAL,
    },
    Type {
        list: "hmacauth_credentials",
        names: &["username"],
        also: &[],
        parents: CREDENTIAL,
    },
    Type {
        list: "jwt_secrets",
        names: &["key"],
        also: &[],
        parents: CREDENTIAL,
    },
    Type {
        list: "oauth2_credentials",
        names: &["client_id", "name"],
        also: &[],
        parents: CREDENTIAL,
    },
    Type {
        list: "acls",
        names: &["group"],
        also: &[],
        parents: CREDENTIAL,
    },
    Type {
        list: "mtls_auth_credentials",
        names: &["subject_name"],
        also: &[],
        parents: CREDENTIAL,
    },
    Type {
        list: "consumer_groups",
        names: &["name"],
        also: &[],
        parents: &[],
    },
    Type {
        list: "consumer_group_consumers",
        names: &["consumer"],
        also: &[],
        parents: &[("consumer_group", "consumer_groups")],
    },
    Type {
        list: "certificates",
        names: &[],
        also: &[],
        parents: &[],
    },
    Type {
        list: "snis",
        names: &["name"],
        also: &[],
        parents: &[("certificate", "certificates")],
    },
    Type {
        list: "ca_certificates",
        names: &[],
        also: &[],
        parents: &[],
    },
    Type {
        list: "licenses",
        names: &[],
        also: &[],
        parents: &[],
    },
    Type {
        list: "vaults",
        names: &["prefix"],
        also: &[],
        parents: &[],
    },
];

/// Every entity of a configuration.
pub(super) fn all(configuration: &Configuration, confidential: &BTreeSet<String>) -> Vec<Entity> {
    let raw = document(configuration);
    let redacted = document(&configuration.redacted_with(confidential));
    let mut found = Found::default();
    for (list, entities) in &redacted {
        found.note_names(list, entities);
    }
    for (list, entities) in raw {
        if let (Value::Array(entities), Some(Value::Array(redacted))) = (entities, redacted.get(&list)) {
            found.add_list(&list, entities, redacted, None);
        }
    }
    found.entities
}

fn document(configuration: &Configuration) -> Map<String, Value> {
    match serde_json::to_value(configuration).expect("entities have string keys only") {
        Value::Object(document) => document,
        _ => unreachable!("a configuration is an object"),
    }
}

/// What an entity is nested in.
struct Parent<'a> {
    list: &'a str,
    name: String,
    object: Option<SourceObject>,
}

#[derive(Default)]
struct Found {
    entities: Vec<Entity>,
    /// Names by list and identifier, to resolve references.
    names: BTreeMap<(String, String), String>,
}

impl Found {
    /// Whatever stands further on may be referred to.
    fn note_names(&mut self, list: &str, entities: &Value) {
        let known = TYPES.iter().find(|known| known.list == list);
        for entity in entities.as_array().into_iter().flatten().filter_map(Value::as_object) {
            if let Some(id) = entity.get("id").and_then(Value::as_str) {
                self.names.insert((list.to_owned(), id.to_owned()), name(known, entity));
            }
        }
    }

    fn add_list(&mut self, list: &str, entities: Vec<Value>, redacted: &[Value], parent: Option<&Parent<'_>>) {
        for (entity, redacted) in entities.into_iter().zip(redacted) {
            if let (Value::Object(raw), Value::Object(redacted)) = (entity, redacted) {
                self.add(list, raw, redacted.clone(), parent);
            }
        }
    }

    fn add(
        &mut self,
        list: &str,
        mut raw: Map<String, Value>,
        mut redacted: Map<String, Value>,
        parent: Option<&Parent<'_>>,
    ) {
        let known = TYPES.iter().find(|known| known.list == list);
        let belongs_to = known.and_then(|known| self.parent_of(known, &raw, parent));
        if let Some((field, _)) = &belongs_to {
            raw.remove(*field);
            redacted.remove(*field);
        }
        // By the names of the redacted copy: a name is shown.
        let name = name(known, &redacted);
        let object = SourceObject::of(&raw).or_else(|| parent.and_then(|parent| parent.object.clone()));
        let nested = TYPES
            .iter()
            .filter(|child| child.parents.iter().any(|(_, parent)| *parent == list));
        let lists: Vec<_> = nested
            .filter_map(|child| Some((child.list, raw.remove(child.list)?, redacted.remove(child.list)?)))
            .collect();
        let place = Parent {
            list,
            name: name.clone(),
            object: object.clone(),
        };
        self.entities.push(Entity {
            key: EntityKey {
                entity_type: list.to_owned(),
                parent: belongs_to.map(|(_, parent)| parent),
                name,
            },
            object,
            fields: Fields { raw, redacted },
        });
        for (list, raw, redacted) in lists {
            if let (Value::Array(raw), Value::Array(redacted)) = (raw, redacted) {
                self.add_list(list, raw, &redacted, Some(&place));
            }
        }
    }

    /// What an entity belongs to, and the field that says so.
    fn parent_of<'a>(
        &self,
        known: &'a Type,
        entity: &Map<String, Value>,
        parent: Option<&Parent<'_>>,
    ) -> Option<(&'a str, (String, String))> {
        if let Some(parent) = parent {
            let (field, _) = known.parents.iter().find(|(_, list)| *list == parent.list)?;
            return Some((field, (parent.list.to_owned(), parent.name.clone())));
        }
        let (field, list) = known.parents.iter().find(|(field, _)| entity.contains_key(*field))?;
        let key = reference(entity.get(*field)?)?;
        let name = self.names.get(&((*list).to_owned(), key.clone())).cloned();
        Some((field, ((*list).to_owned(), name.unwrap_or(key))))
    }
}

/// A name, or `{"id": …}`.
fn reference(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value.get("id")?.as_str());
    text.map(str::to_owned)
}

fn name(known: Option<&Type>, entity: &Map<String, Value>) -> String {
    let (names, also): (&[&str], &[&str]) = known.map_or((&["name", "id"], &[]), |known| (known.names, known.also));
    let text = |field: &&str| reference(entity.get(*field)?);
    let first = names.iter().find_map(text);
    let parts: Vec<String> = first.into_iter().chain(also.iter().filter_map(text)).collect();
    parts.join(" ")
}
