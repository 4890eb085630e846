//! Schemas of certificates, server names, authorities. Cryptography is left to the proxy's
//! [`EntityCheck`](crate::EntityCheck).

use super::{
    Entity, Field, Kind, Presence, Scope,
    service::{SECONDS, TAG},
    text, unchecked,
};

pub(crate) static CERTIFICATE: Entity = Entity {
    singular: "certificate",
    plural: "certificates",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::required("cert", Kind::Text),
        Field::required("key", Kind::Text),
        Field::optional("cert_alt", Kind::Text),
        Field::optional("key_alt", Kind::Text),
        Field::optional("tags", Kind::Set(&TAG, 0)),
        Field::optional("created_at", SECONDS),
        Field::optional("updated_at", SECONDS),
    ],
    children: &[(&SNI, "certificate")],
    endpoint_key: None,
    unique: &[],
    identity: &[],
    enterprise: false,
    check,
};

pub(crate) static SNI: Entity = Entity {
    singular: "sni",
    plural: "snis",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::required("name", Kind::TextBy(text::wildcard_host)),
        Field::with("certificate", Kind::Reference("certificates"), Presence::RequiredByKong),
        Field::optional("tags", Kind::Set(&TAG, 0)),
        Field::optional("created_at", SECONDS),
        Field::optional("updated_at", SECONDS),
    ],
    children: &[],
    endpoint_key: Some("name"),
    unique: &[],
    identity: &[],
    enterprise: false,
    check: unchecked,
};

pub(crate) static CA_CERTIFICATE: Entity = Entity {
    singular: "ca_certificate",
    plural: "ca_certificates",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::required("cert", Kind::Text),
        Field::optional("cert_digest", Kind::Text),
        Field::optional("tags", Kind::Set(&TAG, 0)),
        Field::optional("created_at", SECONDS),
        Field::optional("updated_at", SECONDS),
    ],
    children: &[],
    endpoint_key: None,
    unique: &["cert_digest"],
    identity: &[],
    enterprise: false,
    check: unchecked,
};

fn check(scope: &mut Scope<'_>) {
    if scope.get("cert_alt").is_some() != scope.get("key_alt").is_some() {
        scope.whole("all or none of these fields must be set: 'cert_alt', 'key_alt'");
    }
}
