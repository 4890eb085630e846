//! KongCustomEntity.

use super::{
    Definition,
    condition::{CONDITIONS, DEFAULT_CONDITIONS},
    definition::{AGE, CATEGORIES, Column, PROGRAMMED},
    text,
};
use crate::model::{
    Kind,
    schema::{METADATA, Rule, TEXT, Type, fields},
};

pub(super) static KONG_CUSTOM_ENTITY: Definition = Definition {
    kind: Kind::KongCustomEntity,
    singular: "kongcustomentity",
    short_names: &["kce"],
    categories: CATEGORIES,
    labels: &[],
    channels: "ingress-controller",
    description: "An entity of a type that a plugin brings along, such as degraphql_routes.",
    columns: &[Column::new("Entity Type", ".spec.type", "string"), AGE, PROGRAMMED],
    is_deprecated: false,
    has_status: true,
    fields: &FIELDS,
};

fields!(FIELDS {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    /// Wanted state.
    spec required: Type::Object(&SPEC),
    /// What came of it.
    status: Type::Object(&STATUS),
} rules &[Rule::of_change(
    "The spec.type field is immutable",
    "self.spec.type == oldSelf.spec.type",
)]);

const BUILT_IN: [&str; 7] = [
    "services",
    "routes",
    "upstreams",
    "targets",
    "plugins",
    "consumers",
    "consumer_groups",
];

fields!(SPEC {
    /// The class that the entity belongs to: the ingress class of the controller.
    controllerName required: TEXT,
    /// Fields of the entity, as Kong's Admin API takes them.
    fields required: Type::Any,
    /// The plugin that the entity belongs to: where it is attached to services, routes or consumers, the entity's
    /// references to them are filled in, one entity for each.
    parentRef: Type::Object(&PARENT_REF),
    /// Type of the entity, as its list is called in Kong's configuration: `degraphql_routes`. Can't be changed later.
    type required: TEXT,
} rules &[Rule::new(
    "The type field cannot be one of the known Kong entity types",
    "!(self.type in ['services','routes','upstreams','targets','plugins','consumers','consumer_groups'])",
    |spec| !BUILT_IN.contains(&text(spec, "/type")),
)]);

fields!(PARENT_REF {
    /// Group of the plugin, `configuration.konghq.com` if unset.
    group: TEXT,
    /// Kind of the plugin, `KongPlugin` if unset.
    kind: Type::OneOf(&["KongPlugin", "KongClusterPlugin"]),
    /// Name of the plugin.
    name required: TEXT,
    /// Namespace of the plugin, the entity's own if unset.
    namespace: TEXT,
});

fields!(STATUS {
    /// `Programmed`: whether the proxies have it.
    conditions required: CONDITIONS => DEFAULT_CONDITIONS,
});
