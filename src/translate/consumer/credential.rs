//! One Secret -> a credential of a consumer, by the label `konghq.com/credential` (`kic.md` 4.9). Pure.
//!
//! Values never reach a message: only names of keys do.

use std::collections::BTreeSet;

use proxy_config_schema as kong;

use crate::{
    model::{Edition, Kind, Reason, kong::label, kubernetes::Secret},
    translate::{
        Settings,
        problems::{Owner, Problems},
        tags,
    },
};

/// The types of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::translate) enum CredentialType {
    KeyAuth,
    BasicAuth,
    HmacAuth,
    Jwt,
    Oauth2,
    Acl,
    MtlsAuth,
    /// Of Konnect: known, and makes nothing.
    Konnect,
}

impl CredentialType {
    const ALL: [(&'static str, Self); 8] = [
        ("key-auth", Self::KeyAuth),
        ("basic-auth", Self::BasicAuth),
        ("hmac-auth", Self::HmacAuth),
        ("jwt", Self::Jwt),
        ("oauth2", Self::Oauth2),
        ("acl", Self::Acl),
        ("mtls-auth", Self::MtlsAuth),
        ("konnect", Self::Konnect),
    ];

    fn parse(label: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(name, _)| *name == label)
            .map(|(_, type_)| *type_)
    }
}

/// A credential.
#[derive(Debug, Clone)]
pub(in crate::translate) enum Entity {
    KeyAuth(kong::KeyAuthCredential),
    BasicAuth(kong::BasicAuthCredential),
    HmacAuth(kong::HmacAuthCredential),
    Jwt(kong::JwtSecret),
    Oauth2(kong::Oauth2Credential),
    Acl(kong::Acl),
    MtlsAuth(kong::MtlsAuthCredential),
}

/// A credential that can be used.
#[derive(Debug, Clone)]
pub(in crate::translate) struct Credential {
    /// `None` for a type that makes nothing.
    pub(in crate::translate) entity: Option<Entity>,
    /// What no other credential of the type may have: the key of the Secret, and a value that is not to be shown.
    pub(in crate::translate) unique: Option<Unique>,
}

/// What no other credential of the type may have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::translate) struct Unique {
    pub(in crate::translate) type_: CredentialType,
    /// The key of the Secret under which it stands.
    pub(in crate::translate) key: &'static str,
    value: String,
}

impl std::fmt::Debug for Unique {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?} {} (redacted)", self.type_, self.key)
    }
}

/// Signs by a shared secret.
const SHARED_SECRET_ALGORITHMS: [&str; 3] = ["HS256", "HS384", "HS512"];
/// Signs by a private key.
const PUBLIC_KEY_ALGORITHMS: [&str; 10] = [
    "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
];

/// Reads a Secret as a credential. `None`, with problems on the Secret, if it can't be used. `authorities` are the
/// identifiers of the CA certificates that there are.
pub(in crate::translate) fn read(
    secret: &Secret,
    authorities: &BTreeSet<String>,
    settings: &Settings,
    problems: &mut Problems,
) -> Option<Credential> {
    let owner = Owner::new(Kind::Secret, &secret.metadata);
    tags::check(owner, problems);
    let type_ = type_of(secret, problems)?;
    let mut reader = Reader {
        secret,
        authorities,
        settings,
        problems,
        is_sound: true,
    };
    let credential = reader.credential(type_);
    reader.is_sound.then_some(credential)
}

/// The type that the label names. `None`, with a problem on the Secret, if there is none that is known.
fn type_of(secret: &Secret, problems: &mut Problems) -> Option<CredentialType> {
    let label = secret.metadata.labels.get(label::CREDENTIAL).map(String::as_str);
    let type_ = label.and_then(CredentialType::parse);
    if type_.is_none() {
        let known: Vec<_> = CredentialType::ALL.iter().map(|(name, _)| *name).collect();
        let message = match label {
            Some(label) => format!("{label:?} is no type of credentials"),
            None => format!(
                "the Secret has no label {}, so that the type of the credential is not known",
                label::CREDENTIAL
            ),
        };
        problems.report(
            Owner::new(Kind::Secret, &secret.metadata),
            format!("metadata.labels[{}]", label::CREDENTIAL),
            Reason::InvalidCredential,
            message,
            format!("set the label to one of {}", known.join(", ")),
        );
    }
    type_
}

struct Reader<'a, 'p> {
    secret: &'a Secret,
    authorities: &'a BTreeSet<String>,
    settings: &'a Settings,
    problems: &'p mut Problems,
    is_sound: bool,
}

impl Reader<'_, '_> {
    fn credential(&mut self, type_: CredentialType) -> Credential {
        let raw = self.settings.raw_objects;
        let tags = Some(tags::object_tags(Owner::new(Kind::Secret, &self.secret.metadata)));
        let (entity, unique) = match type_ {
            CredentialType::KeyAuth => {
                let key = self.required("key");
                let credential = kong::KeyAuthCredential {
                    key: Some(key.clone()),
                    ttl: self.ttl(),
                    tags,
                    ..Default::default()
                };
                (Entity::KeyAuth(credential), Some(("key", key)))
            }
            CredentialType::BasicAuth => {
                let username = self.required("username");
                // Kong refuses one without; Kong Ingress Controller sends it all the same.
                let password = if raw {
                    self.text("password")
                } else {
                    Some(self.required("password"))
                };
                let credential = kong::BasicAuthCredential {
                    username: username.clone(),
                    password,
                    tags,
                    ..Default::default()
                };
                (Entity::BasicAuth(credential), Some(("username", username)))
            }
            CredentialType::HmacAuth => {
                let username = self.required("username");
                let credential = kong::HmacAuthCredential {
                    username: username.clone(),
                    secret: self.shared_secret(true),
                    tags,
                    ..Default::default()
                };
                (Entity::HmacAuth(credential), Some(("username", username)))
            }
            CredentialType::Jwt => {
                let key = self.required("key");
                (Entity::Jwt(self.jwt(key.clone(), tags)), Some(("key", key)))
            }
            CredentialType::Oauth2 => {
                let id = self.required("client_id");
                (Entity::Oauth2(self.oauth2(id.clone(), tags)), Some(("client_id", id)))
            }
            CredentialType::Acl => {
                let credential = kong::Acl {
                    group: self.required("group"),
                    tags,
                    ..Default::default()
                };
                (Entity::Acl(credential), None)
            }
            CredentialType::MtlsAuth => {
                let credential = self.mtls(tags);
                let authority = credential.ca_certificate.as_ref().map_or("", kong::Reference::key);
                let subject = format!("{}\n{authority}", credential.subject_name);
                (
                    Entity::MtlsAuth(credential),
                    (!raw).then_some(("subject_name", subject)),
                )
            }
            CredentialType::Konnect => {
                return Credential {
                    entity: None,
                    unique: None,
                };
            }
        };
        Credential {
            entity: Some(entity),
            unique: unique.map(|(key, value)| Unique { type_, key, value }),
        }
    }

    fn jwt(&mut self, key: String, tags: Option<Vec<String>>) -> kong::JwtSecret {
        let algorithm = self.text("algorithm").filter(|algorithm| !algorithm.is_empty());
        let algorithm = algorithm.unwrap_or_else(|| "HS256".to_owned());
        let by_public_key = PUBLIC_KEY_ALGORITHMS.contains(&algorithm.as_str());
        let is_shared = SHARED_SECRET_ALGORITHMS.contains(&algorithm.as_str());
        if !by_public_key && !is_shared {
            let known = [&SHARED_SECRET_ALGORITHMS[..], &PUBLIC_KEY_ALGORITHMS[..]]
                .concat()
                .join(", ");
            self.reject(
                "algorithm",
                "is no algorithm that Kong knows",
                &format!("use one of {known}"),
            );
        }
        let public_key = self.text("rsa_public_key");
        if !self.settings.raw_objects {
            match &public_key {
                None if by_public_key => self.reject(
                    "rsa_public_key",
                    "is missing, and the algorithm verifies by it",
                    "put the public key there, as PEM",
                ),
                Some(key) if !key.contains("-----BEGIN ") => {
                    self.reject("rsa_public_key", "is no PEM", "put the public key there, as PEM");
                }
                _ => {}
            }
        }
        kong::JwtSecret {
            key: Some(key),
            secret: self.shared_secret(is_shared),
            algorithm: Some(algorithm),
            rsa_public_key: public_key,
            tags,
            ..Default::default()
        }
    }

    fn oauth2(&mut self, client_id: String, tags: Option<Vec<String>>) -> kong::Oauth2Credential {
        let redirect_uris = self.text("redirect_uris").map(|text| {
            let uris = text.split(',').map(str::trim).filter(|uri| !uri.is_empty());
            uris.map(str::to_owned).collect::<Vec<_>>()
        });
        let client_type = self.text("client_type");
        if client_type
            .as_deref()
            .is_some_and(|type_| !["confidential", "public"].contains(&type_))
        {
            self.reject(
                "client_type",
                "is neither confidential nor public",
                "use one of the two",
            );
        }
        let hash_secret = self.text("hash_secret").and_then(|text| match text.trim() {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
            "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(false),
            _ => {
                self.reject("hash_secret", "is neither true nor false", "use one of the two");
                None
            }
        });
        kong::Oauth2Credential {
            name: self.required("name"),
            client_id: Some(client_id),
            client_secret: self.text("client_secret"),
            redirect_uris: redirect_uris.filter(|uris| !uris.is_empty()),
            client_type,
            hash_secret,
            tags,
            ..Default::default()
        }
    }

    fn mtls(&mut self, tags: Option<Vec<String>>) -> kong::MtlsAuthCredential {
        if matches!(
            self.settings.profile.edition,
            Some(Edition::OpenSource | Edition::Embedded)
        ) {
            self.is_sound = false;
            self.problems.report(
                Owner::new(Kind::Secret, &self.secret.metadata),
                format!("metadata.labels[{}]", label::CREDENTIAL),
                Reason::Unsupported,
                "credentials of type mtls-auth exist in Kong Gateway Enterprise only",
                "use another type",
            );
        }
        let authority = self.text("ca_certificate").filter(|id| !id.is_empty());
        if let Some(id) = &authority
            && !kong::id::is_uuid(id)
        {
            self.reject("ca_certificate", "is no UUID", "put the id of a CA certificate there");
        } else if let Some(id) = &authority
            && !self.authorities.contains(id)
            && !self.settings.raw_objects
        {
            self.reject(
                "ca_certificate",
                "is the id of no CA certificate that there is",
                &format!("label a Secret or ConfigMap with that id {}", label::CA_CERTIFICATE),
            );
        }
        kong::MtlsAuthCredential {
            subject_name: self.required("subject_name"),
            ca_certificate: authority.map(|id| kong::Reference::Id { id }),
            tags,
            ..Default::default()
        }
    }

    /// A key that must be there, with a value.
    fn required(&mut self, key: &str) -> String {
        match self.text(key) {
            Some(text) if !text.is_empty() => text,
            Some(_) => {
                self.reject(key, "is empty", "put the value there");
                String::new()
            }
            None if self.secret.value(key).is_some() => String::new(),
            None => {
                self.reject(key, "is missing", "add the key to the Secret");
                String::new()
            }
        }
    }

    /// The secret that both sides know. Without one every proxy makes up its own, which no client can know.
    fn shared_secret(&mut self, is_used: bool) -> Option<String> {
        let secret = self.text("secret").filter(|secret| !secret.is_empty());
        if is_used && secret.is_none() && !self.settings.raw_objects {
            self.report(
                "secret",
                "the key \"secret\" is missing: each proxy makes up a secret of its own, with which nobody can sign",
                "add the key to the Secret",
            );
        }
        secret
    }

    fn ttl(&mut self) -> Option<u64> {
        const MOST: u64 = 100_000_000;
        let text = self.text("ttl")?;
        let ttl = text.trim().parse().ok().filter(|ttl| *ttl <= MOST);
        if ttl.is_none() {
            self.reject(
                "ttl",
                "is no number of seconds",
                "write a whole number of up to 100000000 seconds",
            );
        }
        ttl
    }

    fn text(&mut self, key: &str) -> Option<String> {
        let value = self.secret.value(key)?;
        match std::str::from_utf8(value) {
            Ok(text) => Some(text.to_owned()),
            Err(_) => {
                self.reject(key, "is no text", "put UTF-8 text there");
                None
            }
        }
    }

    fn reject(&mut self, key: &str, what: &str, remedy: &str) {
        self.is_sound = false;
        self.report(
            key,
            &format!("the key {key:?} {what}; the credential is left out"),
            remedy,
        );
    }

    fn report(&mut self, key: &str, message: &str, remedy: &str) {
        self.problems.report(
            Owner::new(Kind::Secret, &self.secret.metadata),
            format!("data[{key}]"),
            Reason::InvalidCredential,
            message,
            remedy,
        );
    }
}
