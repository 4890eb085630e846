//! Credentials in Secrets: their types and fields, and that no two consumers have the same (`kic.md` 4.9, 9). Pure.

use super::View;
use crate::model::{
    NamespacedName,
    kong::KongConsumer,
    kubernetes::{Metadata, Secret},
};

/// Says what kind of credential a Secret holds.
pub(super) const LABEL: &str = "konghq.com/credential";

/// A type of credentials.
struct Type {
    name: &'static str,
    /// Keys that the Secret must have.
    required: &'static [&'static str],
    /// The key whose value no other credential of the type may have.
    unique: Option<&'static str>,
}

const TYPES: &[Type] = &[
    Type {
        name: "key-auth",
        required: &["key"],
        unique: Some("key"),
    },
    Type {
        name: "basic-auth",
        required: &["username", "password"],
        unique: Some("username"),
    },
    Type {
        name: "hmac-auth",
        required: &["username", "secret"],
        unique: Some("username"),
    },
    Type {
        name: "jwt",
        required: &["algorithm", "key"],
        unique: Some("key"),
    },
    Type {
        name: "oauth2",
        required: &["name", "client_id", "client_secret", "redirect_uris"],
        unique: Some("client_id"),
    },
    Type {
        name: "acl",
        required: &["group"],
        unique: None,
    },
    Type {
        name: "mtls-auth",
        required: &["subject_name"],
        unique: None,
    },
    // Known, and of no effect here.
    Type {
        name: "konnect",
        required: &[],
        unique: None,
    },
];

/// What is wrong with a credential. Tells no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("secret has no credential type, add a {LABEL} label")]
    NoType,
    #[error("invalid credential type {0}")]
    InvalidType(String),
    #[error("missing required field(s): {}", .0.join(", "))]
    MissingFields(Vec<&'static str>),
    #[error("some fields were invalid due to missing data: {}", .0.join(", "))]
    EmptyFields(Vec<&'static str>),
    #[error("unique key constraint violated for {key}: KongConsumer {consumer} has a credential with the same value")]
    NotUnique {
        key: &'static str,
        consumer: NamespacedName,
    },
}

fn type_of(metadata: &Metadata) -> Result<&'static Type, Fault> {
    let label = metadata.labels.get(LABEL).ok_or(Fault::NoType)?;
    let known = TYPES.iter().find(|known| known.name == label);
    known.ok_or_else(|| Fault::InvalidType(label.clone()))
}

/// Checks type and fields.
pub(super) fn check(secret: &Secret) -> Result<(), Fault> {
    let credential = type_of(&secret.metadata)?;
    let mut required = credential.required.to_vec();
    if credential.name == "jwt"
        && let Some(algorithm) = secret.value("algorithm")
    {
        required.push(if algorithm.is_empty() || algorithm.starts_with(b"HS") {
            "secret"
        } else {
            "rsa_public_key"
        });
    }
    let missing: Vec<_> = required
        .iter()
        .copied()
        .filter(|key| secret.value(key).is_none())
        .collect();
    if !missing.is_empty() {
        return Err(Fault::MissingFields(missing));
    }
    let is_empty = |key: &&str| secret.value(key).is_some_and(<[u8]>::is_empty);
    let empty: Vec<_> = required.into_iter().filter(is_empty).collect();
    if empty.is_empty() {
        Ok(())
    } else {
        Err(Fault::EmptyFields(empty))
    }
}

/// What no other credential may have: type, key and value.
fn identity(secret: &Secret) -> Option<(&'static str, &'static str, &[u8])> {
    let credential = type_of(&secret.metadata).ok()?;
    let key = credential.unique?;
    Some((credential.name, key, secret.value(key)?))
}

/// Checks that no credential of these consumers but those named has what one of these Secrets has, nor two of the
/// Secrets themselves.
pub(super) fn check_unique<'a>(
    secrets: &[&Secret],
    owner: &NamespacedName,
    consumers: impl Iterator<Item = &'a KongConsumer>,
    view: View<'_>,
) -> Result<(), Fault> {
    let identities: Vec<_> = secrets.iter().filter_map(|secret| identity(secret)).collect();
    for (position, (name, key, value)) in identities.iter().enumerate() {
        let twice = identities[..position]
            .iter()
            .any(|other| other.0 == *name && other.2 == *value);
        if twice {
            return Err(Fault::NotUnique {
                key,
                consumer: owner.clone(),
            });
        }
    }
    if identities.is_empty() {
        return Ok(());
    }
    for consumer in consumers {
        for name in &consumer.credentials {
            let key = NamespacedName::new(consumer.metadata.namespace.clone(), name.as_str());
            if secrets.iter().any(|secret| secret.metadata.key() == key) {
                continue;
            }
            let other = view.snapshot.secrets.get(&key).and_then(|secret| identity(secret));
            let same = other.and_then(|other| identities.iter().find(|own| own.0 == other.0 && own.2 == other.2));
            if let Some((_, key, _)) = same {
                return Err(Fault::NotUnique {
                    key,
                    consumer: consumer.metadata.key(),
                });
            }
        }
    }
    Ok(())
}
