//! References, and bounds of names.

use crate::model::schema::{Literal, Range, Text, Type, fields};

const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const DNS_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const DNS_NAME_OR_NOTHING: &str = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const DNS_NAME_OR_WILDCARD: &str = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const KIND_NAME: &str = "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$";
const CONTROLLER: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$";

pub(super) const GROUP: Type = Type::Text(Text::length(0, 253).like(DNS_NAME_OR_NOTHING));
pub(super) const KIND: Type = Type::Text(Text::length(1, 63).like(KIND_NAME));
pub(super) const NAME: Type = Type::Text(Text::length(1, 253));
pub(super) const NAMESPACE: Type = Type::Text(Text::length(1, 63).like(DNS_LABEL));
pub(super) const SECTION_NAME: Type = Type::Text(Text::length(1, 253).like(DNS_NAME));
pub(super) const HOSTNAME: Type = Type::Text(Text::length(1, 253).like(DNS_NAME_OR_WILDCARD));
pub(super) const PRECISE_HOSTNAME: Type = Type::Text(Text::length(1, 253).like(DNS_NAME));
pub(super) const CONTROLLER_NAME: Type = Type::Text(Text::length(1, 253).like(CONTROLLER));
pub(super) const PORT: Type = Type::Integer(Range::ANY.from(1).to(65535));
pub(super) const WEIGHT: Type = Type::Integer(Range::ANY.from(0).to(1_000_000));
pub(super) const DURATION: Type = Type::Text(Text::ANY.like("^([0-9]{1,5}(h|m|s|ms)){1,4}$"));
pub(super) const DEFAULT_GATEWAYS: Type = Type::OneOf(&["All", "None"]);

fields!(pub(super) PARENT_REF {
    group: GROUP => Literal::Text("gateway.networking.k8s.io"),
    kind: KIND => Literal::Text("Gateway"),
    name required: NAME,
    namespace: NAMESPACE,
    port: PORT,
    sectionName: SECTION_NAME,
});

fields!(pub(super) BACKEND_REF {
    group: GROUP => Literal::Text(""),
    kind: KIND => Literal::Text("Service"),
    name required: NAME,
    namespace: NAMESPACE,
    port: PORT,
    weight: WEIGHT => Literal::Integer(1),
});

fields!(pub(super) BACKEND_OBJECT_REF {
    group: GROUP => Literal::Text(""),
    kind: KIND => Literal::Text("Service"),
    name required: NAME,
    namespace: NAMESPACE,
    port: PORT,
});

fields!(pub(super) SECRET_OBJECT_REF {
    group: GROUP => Literal::Text(""),
    kind: KIND => Literal::Text("Secret"),
    name required: NAME,
    namespace: NAMESPACE,
});

fields!(pub(super) LOCAL_OBJECT_REF {
    group required: GROUP,
    kind required: KIND,
    name required: NAME,
});

fields!(pub(super) OBJECT_REF {
    group required: GROUP,
    kind required: KIND,
    name required: NAME,
    namespace: NAMESPACE,
});
