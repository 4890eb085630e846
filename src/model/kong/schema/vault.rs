//! KongVault.

use super::{
    Definition,
    condition::{CONDITIONS, DEFAULT_CONDITIONS, KONNECT},
    control_plane::{CONTROL_PLANE_REF, IMMUTABLE, ONCE_SET, TAGS},
    definition::{AGE, CATEGORIES, Column, PROGRAMMED},
};
use crate::model::{
    Kind,
    schema::{METADATA, Rule, TEXT, Text, Type, fields},
};

pub(super) static KONG_VAULT: Definition = Definition {
    kind: Kind::KongVault,
    singular: "kongvault",
    short_names: &["kv"],
    categories: CATEGORIES,
    labels: &[],
    channels: "ingress-controller,gateway-operator",
    description: "A store of secrets: configurations of plugins refer to what is in it as {vault://PREFIX/KEY}.",
    columns: &[
        Column::new("Backend Type", ".spec.backend", "string"),
        Column::new("Prefix", ".spec.prefix", "string"),
        AGE,
        Column::new("Description", ".spec.description", "string").wide(),
        PROGRAMMED,
    ],
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
} rules &[
    Rule::of_change(
        "The spec.prefix field is immutable",
        "self.spec.prefix == oldSelf.spec.prefix",
    ),
    Rule::of_change(
        ONCE_SET,
        "!has(oldSelf.spec.controlPlaneRef) || has(self.spec.controlPlaneRef)",
    ),
    Rule::of_change(
        IMMUTABLE,
        "(!has(self.status) || !self.status.conditions.exists(c, c.type == 'Programmed' && c.status == 'True') || !has(self.spec.controlPlaneRef)) ? true : oldSelf.spec.controlPlaneRef == self.spec.controlPlaneRef",
    ),
]);

const NOT_EMPTY: Type = Type::Text(Text::length(1, usize::MAX));

fields!(SPEC {
    /// Type of the store: `env`, `hcv`, `aws`, `gcp`, `azure`, `conjur`.
    backend required: NOT_EMPTY,
    /// Configuration, as Kong's Admin API takes it for that type.
    config: Type::Any,
    /// The control plane that the object belongs to.
    controlPlaneRef: CONTROL_PLANE_REF,
    /// For people.
    description: TEXT,
    /// What references begin with: `{vault://PREFIX/KEY}`. Can't be changed later; no two vaults may have the same.
    prefix required: NOT_EMPTY,
    /// Tags of the entity: 1 to 128 characters each.
    tags: TAGS,
});

fields!(STATUS {
    /// `Programmed`: whether the proxies have it.
    conditions required: CONDITIONS => DEFAULT_CONDITIONS,
    /// Written by Kong's operator.
    konnect: KONNECT,
});
