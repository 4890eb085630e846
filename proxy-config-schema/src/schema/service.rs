//! Schema of services.

use serde_json::Value;

use super::{Entity, Field, Kind, Presence, Scope, plugin::PLUGIN, route::ROUTE, text};
use crate::url::ServiceUrl;

/// Kinds that many entities share.
pub(super) static TAG: Kind = Kind::TextBy(text::tag);
pub(super) static UUID: Kind = Kind::Uuid;
pub(super) const SECONDS: Kind = Kind::Integer(0, i64::MAX);
const TIMEOUT: Kind = Kind::Integer(1, 2_147_483_646);
const PROTOCOLS: &[&str] = &["grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"];

pub(crate) static SERVICE: Entity = Entity {
    singular: "service",
    plural: "services",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::optional("name", Kind::TextBy(text::name)),
        Field::optional("enabled", Kind::Boolean),
        Field::optional("url", Kind::Text),
        Field::optional("protocol", Kind::OneOf(PROTOCOLS)),
        Field::with("host", Kind::TextBy(text::host), Presence::RequiredUnless("url")),
        Field::optional("port", Kind::Integer(0, 65535)),
        Field::optional("path", Kind::TextBy(text::service_path)),
        Field::optional("retries", Kind::Integer(0, 32767)),
        Field::optional("connect_timeout", TIMEOUT),
        Field::optional("read_timeout", TIMEOUT),
        Field::optional("write_timeout", TIMEOUT),
        Field::optional("client_certificate", Kind::Reference("certificates")),
        Field::optional("tls_verify", Kind::Boolean),
        Field::optional("tls_verify_depth", Kind::Integer(0, 64)),
        Field::optional("ca_certificates", Kind::Array(&UUID)),
        Field::optional("tags", Kind::Set(&TAG, 0)),
        Field::optional("created_at", SECONDS),
        Field::optional("updated_at", SECONDS),
    ],
    children: &[(&ROUTE, "service"), (&PLUGIN, "service")],
    endpoint_key: Some("name"),
    unique: &[],
    identity: &[],
    enterprise: false,
    check,
};

/// Fields that only some protocols allow.
fn check(scope: &mut Scope<'_>) {
    let url = scope.get("url").and_then(Value::as_str).map(ServiceUrl::parse);
    if let Some(None) = url {
        scope.field("url", "missing host in url");
        return;
    }
    let url = url.flatten();
    if let Some(url) = &url {
        if !PROTOCOLS.contains(&url.protocol.as_str()) {
            scope.field("protocol", format!("expected one of: {}", PROTOCOLS.join(", ")));
        }
        if let Err(message) = text::host(&url.host) {
            scope.field("host", message);
        }
        if let Some(Err(message)) = url.path.as_deref().map(text::service_path) {
            scope.field("path", message);
        }
    }
    let protocol = match &url {
        Some(url) => url.protocol.clone(),
        None => scope.text_or("protocol", "http").to_owned(),
    };
    if !PROTOCOLS.contains(&protocol.as_str()) {
        return;
    }
    let path = scope.get("path").is_some() || url.is_some_and(|url| url.path.is_some());
    if path && ["tcp", "tls", "udp", "grpc", "grpcs"].contains(&protocol.as_str()) {
        forbid(scope, "path");
    }
    if !["https", "tls"].contains(&protocol.as_str()) {
        for field in [
            "client_certificate",
            "tls_verify",
            "tls_verify_depth",
            "ca_certificates",
        ] {
            if scope.get(field).is_some() {
                forbid(scope, field);
            }
        }
    }
}

fn forbid(scope: &mut Scope<'_>, field: &str) {
    scope.field(field, "value must be null");
    scope.whole("failed conditional validation given value of field 'protocol'");
}
