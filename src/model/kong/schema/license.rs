//! KongLicense.

use super::{
    Definition,
    condition::{CONDITIONS, DEFAULT_CONDITIONS},
    definition::{AGE, CATEGORIES, Column},
    upstream_policy::{GROUP, KIND, NAME, NAMESPACE},
};
use crate::model::{
    Kind,
    schema::{Identity, List, Literal, METADATA, TEXT, Type, fields},
};

pub(super) static KONG_LICENSE: Definition = Definition {
    kind: Kind::KongLicense,
    singular: "konglicense",
    short_names: &["kl"],
    categories: CATEGORIES,
    labels: &[],
    channels: "ingress-controller,gateway-operator",
    description: "A licence of Kong Gateway Enterprise. Of several enabled ones the newest is used.",
    columns: &[AGE, Column::new("Enabled", ".enabled", "boolean")],
    is_deprecated: false,
    has_status: true,
    fields: &FIELDS,
};

fields!(FIELDS {
    apiVersion: TEXT,
    /// Whether the licence may be used.
    enabled required: Type::Boolean => Literal::Boolean(true),
    kind: TEXT,
    metadata: METADATA,
    /// The licence: its JSON, as text.
    rawLicenseString required: Type::SecretText,
    /// What came of it.
    status: Type::Object(&STATUS),
});

fields!(STATUS {
    /// What each controller makes of the licence.
    controllers: Type::List(&List::of(Type::Object(&CONTROLLER)).identity(Identity::Keys(&["controllerName"]))),
});

fields!(CONTROLLER {
    /// `Programmed`: whether the controller uses the licence.
    conditions: CONDITIONS => DEFAULT_CONDITIONS,
    /// Name of the controller.
    controllerName required: TEXT,
    /// The object that the controller is run by.
    controllerRef: Type::Object(&CONTROLLER_REF),
});

fields!(CONTROLLER_REF {
    /// Group of the object.
    group: GROUP,
    /// Kind of the object.
    kind: KIND,
    /// Name of the object.
    name required: NAME,
    /// Namespace of the object.
    namespace: NAMESPACE,
});
