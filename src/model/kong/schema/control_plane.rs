//! `controlPlaneRef` and `tags`, which consumers, their groups and vaults have in common.

use serde_json::Value;

use super::{has, text};
use crate::model::schema::{List, Literal, Rule, TEXT, Text, Type, fields};

/// At most 20 tags.
pub(super) const TAGS: Type = Type::List(&List::of(TEXT).max(20).rules(&[Rule::new(
    "tags entries must not be longer than 128 characters",
    "self.all(tag, size(tag) >= 1 && size(tag) <= 128)",
    |tags| {
        let tags = tags.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut lengths = tags.iter().filter_map(Value::as_str).map(|tag| tag.chars().count());
        lengths.all(|length| (1..=128).contains(&length))
    },
)]));

/// A reference to a control plane.
pub(super) const CONTROL_PLANE_REF: Type = Type::Object(&FIELDS);

const UUID: &str = r"^[0-9a-f]{8}(?:\-[0-9a-f]{4}){3}-[0-9a-f]{12}$";

fields!(FIELDS {
    /// UUID of a control plane of Konnect, with type `konnectID`.
    konnectID: Type::Text(Text::ANY.like(UUID)),
    /// A control plane object of Kong's operator, with type `konnectNamespacedRef`.
    konnectNamespacedRef: Type::Object(&KONNECT_NAMESPACED_REF),
    /// Which kind of control plane it is. Objects of another type than `kic` are not read by silverback.
    type: Type::OneOf(&["konnectID", "konnectNamespacedRef", "kic"]) => Literal::Text("kic"),
} rules RULES);

fields!(KONNECT_NAMESPACED_REF {
    /// Name of the object.
    name required: TEXT,
    /// Its namespace; cluster-scoped objects only may set it.
    namespace: TEXT,
});

const RULES: &[Rule] = &[
    Rule::new(
        "'konnectID' type is not supported",
        "self.type != 'konnectID'",
        |reference| text(reference, "/type") != "konnectID",
    ),
    Rule::new(
        "when type is konnectNamespacedRef, konnectNamespacedRef must be set",
        "(has(self.type) && self.type == 'konnectNamespacedRef') ? has(self.konnectNamespacedRef) : true",
        |reference| text(reference, "/type") != "konnectNamespacedRef" || has(reference, "/konnectNamespacedRef"),
    ),
    Rule::new(
        "when type is konnectNamespacedRef, konnectID must not be set",
        "(has(self.type) && self.type == 'konnectNamespacedRef') ? !has(self.konnectID) : true",
        |reference| text(reference, "/type") != "konnectNamespacedRef" || !has(reference, "/konnectID"),
    ),
    Rule::new(
        "when type is konnectID, konnectID must be set",
        "(has(self.type) && self.type == 'konnectID') ? has(self.konnectID) : true",
        |reference| text(reference, "/type") != "konnectID" || has(reference, "/konnectID"),
    ),
    Rule::new(
        "when type is konnectID, konnectNamespacedRef must not be set",
        "(has(self.type) && self.type == 'konnectID') ? !has(self.konnectNamespacedRef) : true",
        |reference| text(reference, "/type") != "konnectID" || !has(reference, "/konnectNamespacedRef"),
    ),
    Rule::new(
        "when type is kic, konnectID must not be set",
        "(has(self.type) && self.type == 'kic') ? !has(self.konnectID) : true",
        |reference| text(reference, "/type") != "kic" || !has(reference, "/konnectID"),
    ),
    Rule::new(
        "when type is kic, konnectNamespacedRef must not be set",
        "(has(self.type) && self.type == 'kic') ? !has(self.konnectNamespacedRef) : true",
        |reference| text(reference, "/type") != "kic" || !has(reference, "/konnectNamespacedRef"),
    ),
    Rule::new(
        "when type is unset, konnectID must not be set",
        "!has(self.type) ? !has(self.konnectID) : true",
        |reference| has(reference, "/type") || !has(reference, "/konnectID"),
    ),
    Rule::new(
        "when type is unset, konnectNamespacedRef must not be set",
        "!has(self.type) ? !has(self.konnectNamespacedRef) : true",
        |reference| has(reference, "/type") || !has(reference, "/konnectNamespacedRef"),
    ),
];

/// Once set, a reference stays.
pub(super) const ONCE_SET: &str = "controlPlaneRef is required once set";
/// Objects with a namespace refer within it.
pub(super) const WITHOUT_NAMESPACE: Rule = Rule::new(
    "spec.controlPlaneRef cannot specify namespace for namespaced resource",
    "(!has(self.spec) || !has(self.spec.controlPlaneRef) || !has(self.spec.controlPlaneRef.konnectNamespacedRef)) ? true : !has(self.spec.controlPlaneRef.konnectNamespacedRef.__namespace__)",
    |object| !has(object, "/spec/controlPlaneRef/konnectNamespacedRef/namespace"),
);
/// What is in Konnect does not move.
pub(super) const IMMUTABLE: &str = "spec.controlPlaneRef is immutable when an entity is already Programmed";
