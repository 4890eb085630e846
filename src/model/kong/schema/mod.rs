//! Definitions of Kong's kinds: what `deploy/crds` holds of them, and what manifests are checked against.
//!
//! Groups, versions, names, fields, bounds, defaults and rules are those of Kong Ingress Controller 3.5, so that objects
//! stored under its definitions stay valid under these, and the other way round; a test holds them to each other. The
//! prose is ours. A test also reads each field of a table into the Rust type beside it, and back.

mod class_parameters;
mod condition;
mod consumer;
mod control_plane;
mod custom_entity;
mod definition;
mod ingress;
mod license;
mod plugin;
mod service_facade;
mod stream_ingress;
mod upstream_policy;
mod vault;

#[cfg(test)]
mod tests;

pub use definition::{Column, Definition};

use serde_json::Value;

use crate::model::Kind;

/// The definitions, by kind's plural within their groups.
pub static DEFINITIONS: &[&Definition] = &[
    &class_parameters::INGRESS_CLASS_PARAMETERS,
    &plugin::KONG_CLUSTER_PLUGIN,
    &consumer::KONG_CONSUMER_GROUP,
    &consumer::KONG_CONSUMER,
    &custom_entity::KONG_CUSTOM_ENTITY,
    &ingress::KONG_INGRESS,
    &license::KONG_LICENSE,
    &plugin::KONG_PLUGIN,
    &upstream_policy::KONG_UPSTREAM_POLICY,
    &vault::KONG_VAULT,
    &stream_ingress::TCP_INGRESS,
    &stream_ingress::UDP_INGRESS,
    &service_facade::KONG_SERVICE_FACADE,
];

/// The definition of one of Kong's kinds.
pub fn definition(kind: Kind) -> Option<&'static Definition> {
    DEFINITIONS.iter().copied().find(|definition| definition.kind == kind)
}

/// Whether a field is there. Rules are judged by it.
fn has(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).is_some_and(|value| !value.is_null())
}

/// The text of a field, empty without it.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
