//! Schemas of consumers, their groups and credentials.

use serde_json::Value;

use super::{
    Entity, Field, Kind, Presence, Scope,
    plugin::PLUGIN,
    service::{SECONDS, TAG},
    text, unchecked,
};

pub(crate) static CONSUMER: Entity = Entity {
    singular: "consumer",
    plural: "consumers",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::optional("username", Kind::Text),
        Field::optional("custom_id", Kind::Text),
        Field::optional("tags", Kind::Set(&TAG, 0)),
        Field::optional("created_at", SECONDS),
        Field::optional("updated_at", SECONDS),
    ],
    children: &[
        (&KEYAUTH, "consumer"),
        (&BASICAUTH, "consumer"),
        (&HMACAUTH, "consumer"),
        (&JWT, "consumer"),
        (&OAUTH2, "consumer"),
        (&ACL, "consumer"),
        (&MTLS_AUTH, "consumer"),
        (&PLUGIN, "consumer"),
    ],
    endpoint_key: Some("username"),
    unique: &["custom_id"],
    identity: &[],
    enterprise: false,
    check: |scope| {
        if scope.get("username").is_none() && scope.get("custom_id").is_none() {
            scope.whole("at least one of these fields must be non-empty: 'custom_id', 'username'");
        }
    },
};

pub(crate) static CONSUMER_GROUP: Entity = Entity {
    singular: "consumer_group",
    plural: "consumer_groups",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::required("name", Kind::TextBy(text::name)),
        Field::optional("tags", Kind::Set(&TAG, 0)),
        Field::optional("created_at", SECONDS),
        Field::optional("updated_at", SECONDS),
    ],
    children: &[(&PLUGIN, "consumer_group")],
    endpoint_key: Some("name"),
    unique: &[],
    identity: &[],
    enterprise: true,
    check: unchecked,
};

pub(crate) static CONSUMER_GROUP_CONSUMER: Entity = Entity {
    singular: "consumer_group_consumer",
    plural: "consumer_group_consumers",
    fields: &[
        Field::required("consumer_group", Kind::Reference("consumer_groups")),
        Field::required("consumer", Kind::Reference("consumers")),
    ],
    children: &[],
    endpoint_key: None,
    unique: &[],
    identity: &[],
    enterprise: true,
    check: unchecked,
};

/// The fields of a credential: its own, and those that all have.
macro_rules! credential_fields {
    ($($own:expr),* $(,)?) => {
        &[
            Field::optional("id", Kind::Uuid),
            $($own,)*
            Field::with("consumer", Kind::Reference("consumers"), Presence::RequiredByKong),
            Field::optional("tags", Kind::Set(&TAG, 0)),
            Field::optional("created_at", SECONDS),
            Field::optional("updated_at", SECONDS),
        ]
    };
}

pub(crate) static KEYAUTH: Entity = Entity {
    singular: "keyauth_credential",
    plural: "keyauth_credentials",
    fields: credential_fields![
        Field::optional("key", Kind::Text),
        Field::optional("ttl", Kind::Integer(0, 100_000_000)),
    ],
    children: &[],
    endpoint_key: Some("key"),
    unique: &[],
    identity: &[],
    enterprise: false,
    check: unchecked,
};

pub(crate) static BASICAUTH: Entity = Entity {
    singular: "basicauth_credential",
    plural: "basicauth_credentials",
    fields: credential_fields![
        Field::required("username", Kind::Text),
        Field::with("password", Kind::Text, Presence::RequiredByKong),
    ],
    children: &[],
    endpoint_key: Some("username"),
    unique: &[],
    identity: &["username"],
    enterprise: false,
    check: unchecked,
};

pub(crate) static HMACAUTH: Entity = Entity {
    singular: "hmacauth_credential",
    plural: "hmacauth_credentials",
    fields: credential_fields![
        Field::required("username", Kind::Text),
        Field::optional("secret", Kind::Text),
    ],
    children: &[],
    endpoint_key: Some("username"),
    unique: &[],
    identity: &["username"],
    enterprise: false,
    check: unchecked,
};

/// Algorithms of `jwt` that verify by a public key.
const PUBLIC_KEY_ALGORITHMS: &[&str] = &[
    "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
];

pub(crate) static JWT: Entity = Entity {
    singular: "jwt_secret",
    plural: "jwt_secrets",
    fields: credential_fields![
        Field::optional("key", Kind::Text),
        Field::optional("secret", Kind::Text),
        Field::optional(
            "algorithm",
            Kind::OneOf(&[
                "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384",
                "PS512", "EdDSA",
            ]),
        ),
        Field::optional("rsa_public_key", Kind::Text),
    ],
    children: &[],
    endpoint_key: Some("key"),
    unique: &[],
    identity: &[],
    enterprise: false,
    check: check_jwt,
};

fn check_jwt(scope: &mut Scope<'_>) {
    let by_public_key = PUBLIC_KEY_ALGORITHMS.contains(&scope.text_or("algorithm", "HS256"));
    match scope.get("rsa_public_key").and_then(Value::as_str) {
        None if by_public_key => {
            scope.field("rsa_public_key", "required field missing");
            scope.whole("failed conditional validation given value of field 'algorithm'");
        }
        Some(key) if !key.contains("-----BEGIN ") => scope.field("rsa_public_key", "invalid key"),
        _ => {}
    }
}

static REDIRECT_URI: Kind = Kind::Text;

pub(crate) static OAUTH2: Entity = Entity {
    singular: "oauth2_credential",
    plural: "oauth2_credentials",
    fields: credential_fields![
        Field::required("name", Kind::Text),
        Field::optional("client_id", Kind::Text),
        Field::optional("client_secret", Kind::Text),
        Field::optional("redirect_uris", Kind::Array(&REDIRECT_URI)),
        Field::optional("client_type", Kind::OneOf(&["confidential", "public"])),
        Field::optional("hash_secret", Kind::Boolean),
    ],
    children: &[],
    endpoint_key: Some("client_id"),
    unique: &[],
    identity: &[],
    enterprise: false,
    check: unchecked,
};

pub(crate) static ACL: Entity = Entity {
    singular: "acl",
    plural: "acls",
    fields: credential_fields![Field::required("group", Kind::Text)],
    children: &[],
    endpoint_key: None,
    unique: &[],
    identity: &["consumer", "group"],
    enterprise: false,
    check: unchecked,
};

pub(crate) static MTLS_AUTH: Entity = Entity {
    singular: "mtls_auth_credential",
    plural: "mtls_auth_credentials",
    fields: credential_fields![
        Field::required("subject_name", Kind::Text),
        Field::optional("ca_certificate", Kind::Reference("ca_certificates")),
    ],
    children: &[],
    endpoint_key: None,
    unique: &[],
    identity: &[],
    enterprise: true,
    check: unchecked,
};
