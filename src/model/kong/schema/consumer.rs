//! KongConsumer and KongConsumerGroup.

use super::{
    Definition,
    condition::{CONDITIONS, DEFAULT_STATUS, KONNECT},
    control_plane::{CONTROL_PLANE_REF, IMMUTABLE, ONCE_SET, TAGS, WITHOUT_NAMESPACE},
    definition::{AGE, CATEGORIES, Column, PROGRAMMED},
    has,
};
use crate::model::{
    Kind,
    schema::{Identity, List, METADATA, Rule, TEXT, Type, fields},
};

pub(super) static KONG_CONSUMER: Definition = Definition {
    kind: Kind::KongConsumer,
    singular: "kongconsumer",
    short_names: &["kc"],
    categories: CATEGORIES,
    labels: &[],
    channels: "ingress-controller,gateway-operator",
    description: "Somebody who sends requests: a name, credentials by which requests are recognised, and groups.",
    columns: &[Column::new("Username", ".username", "string"), AGE, PROGRAMMED],
    is_deprecated: false,
    has_status: true,
    fields: &CONSUMER,
};

const SET: Type = Type::List(&List::of(TEXT).identity(Identity::Set));

fields!(CONSUMER {
    apiVersion: TEXT,
    /// Names of KongConsumerGroups of the same namespace that the consumer belongs to.
    consumerGroups: SET,
    /// Names of Secrets of the same namespace that hold credentials; the label `konghq.com/credential` of each says of
    /// which type.
    credentials: SET,
    /// ID of the consumer in another system. This or `username` has to be there; no two consumers may have the same.
    custom_id: TEXT,
    kind: TEXT,
    metadata: METADATA,
    /// What Kong's operator reads.
    spec: Type::Object(&SPEC),
    /// What came of it.
    status: Type::Object(&STATUS) => DEFAULT_STATUS,
    /// Name of the consumer in Kong. This or `custom_id` has to be there; no two consumers may have the same.
    username: TEXT,
} rules &[
    Rule::new(
        "Need to provide either username or custom_id",
        "has(self.username) || has(self.custom_id)",
        |object| has(object, "/username") || has(object, "/custom_id"),
    ),
    Rule::of_change(
        ONCE_SET,
        "(!has(oldSelf.spec) || !has(oldSelf.spec.controlPlaneRef)) || has(self.spec.controlPlaneRef)",
    ),
    WITHOUT_NAMESPACE,
    Rule::of_change(
        IMMUTABLE,
        "(!has(self.spec) || !has(self.spec.controlPlaneRef)) ? true : (!has(self.status) || !self.status.conditions.exists(c, c.type == 'Programmed' && c.status == 'True')) ? true : oldSelf.spec.controlPlaneRef == self.spec.controlPlaneRef",
    ),
]);

fields!(SPEC {
    /// The control plane that the object belongs to.
    controlPlaneRef: CONTROL_PLANE_REF,
    /// Tags, for Kong's operator: 1 to 128 characters each.
    tags: TAGS,
});

fields!(STATUS {
    /// `Programmed`: whether the proxies have it.
    conditions: CONDITIONS,
    /// Written by Kong's operator.
    konnect: KONNECT,
});

pub(super) static KONG_CONSUMER_GROUP: Definition = Definition {
    kind: Kind::KongConsumerGroup,
    singular: "kongconsumergroup",
    short_names: &["kcg"],
    categories: CATEGORIES,
    labels: &[],
    channels: "ingress-controller,gateway-operator",
    description: "A group of consumers, named in Kong after its object, with plugins of its own.",
    columns: &[AGE, PROGRAMMED],
    is_deprecated: false,
    has_status: true,
    fields: &GROUP,
};

fields!(GROUP {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    /// What Kong's operator reads.
    spec: Type::Object(&GROUP_SPEC),
    /// What came of it.
    status: Type::Object(&STATUS) => DEFAULT_STATUS,
} rules &[
    Rule::of_change(
        ONCE_SET,
        "(!has(oldSelf.spec) || !has(oldSelf.spec.controlPlaneRef)) || has(self.spec.controlPlaneRef)",
    ),
    WITHOUT_NAMESPACE,
    Rule::of_change(
        IMMUTABLE,
        "(!has(oldSelf.spec) || !has(oldSelf.spec.controlPlaneRef)) ? true : (!has(self.status) || !self.status.conditions.exists(c, c.type == 'Programmed' && c.status == 'True')) ? true : oldSelf.spec.controlPlaneRef == self.spec.controlPlaneRef",
    ),
]);

fields!(GROUP_SPEC {
    /// The control plane that the object belongs to.
    controlPlaneRef: CONTROL_PLANE_REF,
    /// Name of the group for Kong's operator; silverback takes the object's name.
    name: TEXT,
    /// Tags, for Kong's operator: 1 to 128 characters each.
    tags: TAGS,
});
