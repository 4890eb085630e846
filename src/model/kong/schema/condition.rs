//! Status that several kinds have in common.

use crate::model::schema::{Identity, List, Literal, Range, TEXT, Text, Type, fields};

/// What every `Programmed` is before the controller has seen the object.
const PENDING: &str = r#"[{"lastTransitionTime":"1970-01-01T00:00:00Z","message":"Waiting for controller","reason":"Pending","status":"Unknown","type":"Programmed"}]"#;

/// The same, as default of a whole status.
const STATUS_PENDING: &str = r#"{"conditions":[{"lastTransitionTime":"1970-01-01T00:00:00Z","message":"Waiting for controller","reason":"Pending","status":"Unknown","type":"Programmed"}]}"#;

/// Default of `status.conditions`.
pub(super) const DEFAULT_CONDITIONS: Literal = Literal::Json(PENDING);
/// Default of `status`.
pub(super) const DEFAULT_STATUS: Literal = Literal::Json(STATUS_PENDING);

/// A label's or condition's qualified name.
pub(super) const QUALIFIED_NAME: &str =
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";
const REASON: &str = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$";

/// Conditions, by their type.
pub(super) const CONDITIONS: Type = Type::List(&CONDITION_LIST);
pub(super) const CONDITION_LIST: List = List::of(Type::Object(&CONDITION))
    .max(8)
    .identity(Identity::Keys(&["type"]));

fields!(pub(super) CONDITION {
    /// Since when the status is what it is.
    lastTransitionTime required: Type::Timestamp,
    /// Why, in a sentence.
    message required: Type::Text(Text::length(0, 32768)),
    /// The generation of the object that the condition speaks of: an older one than `metadata.generation` means that
    /// the latest change has not been judged yet.
    observedGeneration: Type::Integer(Range::ANY.from(0).format("int64")),
    /// Why, one word.
    reason required: Type::Text(Text::length(1, 1024).like(REASON)),
    /// Whether it holds.
    status required: Type::OneOf(&["True", "False", "Unknown"]),
    /// What is meant, one word.
    type required: Type::Text(Text::length(0, 316).like(QUALIFIED_NAME)),
});

/// What Kong's operator writes of entities in Konnect.
pub(super) const KONNECT: Type = Type::Object(&KONNECT_STATUS);

fields!(KONNECT_STATUS {
    /// ID of the control plane.
    controlPlaneID: TEXT,
    /// ID of the entity.
    id: TEXT,
    /// ID of the organization.
    organizationID: TEXT,
    /// URL of the server.
    serverURL: TEXT,
});
