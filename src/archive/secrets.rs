//! In Secrets: at most four, each of at most 900 KiB, and one with the key. The chart makes them empty.
//!
//! What fits into two of them is written to the two that do not hold what was written last, so that a controller that is
//! killed on the way leaves that one whole.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams};
use sha2::{Digest, Sha256};

use super::{Error, Store, seal::Key};
use crate::model::NamespacedName;

/// The type of the Secrets with the content: they are watched by nobody.
pub const SECRET_TYPE: &str = "gateway.silverback.dev/last-good";
/// Secrets for the content.
const SECRETS: usize = 4;
/// Bytes in each of them.
pub(super) const MOST: usize = 900 * 1024;

/// Secrets of one name.
pub(super) struct Secrets {
    api: Api<Secret>,
    name: NamespacedName,
}

/// A part of what was written at once.
struct Part {
    /// Of all that was written at once.
    digest: String,
    /// Counts writes.
    sequence: u64,
    index: usize,
    of: usize,
    bytes: Vec<u8>,
}

impl Secrets {
    pub(super) fn new(client: Client, name: NamespacedName) -> Self {
        Self {
            api: Api::namespaced(client, &name.namespace),
            name,
        }
    }

    fn secret(&self, suffix: impl std::fmt::Display) -> NamespacedName {
        NamespacedName::new(self.name.namespace.clone(), format!("{}-{suffix}", self.name.name))
    }

    async fn get(&self, name: &NamespacedName) -> Result<Secret, Error> {
        match self.api.get_opt(&name.name).await {
            Ok(Some(secret)) => Ok(secret),
            Ok(None) => Err(Error::Missing(name.clone())),
            Err(error) => Err(failed(error, name, "get")),
        }
    }

    async fn fill(&self, name: &NamespacedName, mut secret: Secret, data: Data) -> Result<(), Error> {
        secret.data = Some(data);
        secret.metadata.managed_fields = None;
        match self.api.replace(&name.name, &PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Err(Error::Conflict(name.clone())),
            Err(error) => Err(failed(error, name, "update")),
        }
    }

    /// All Secrets, with what they hold.
    async fn parts(&self) -> Result<Vec<(NamespacedName, Secret, Option<Part>)>, Error> {
        let mut parts = Vec::new();
        for index in 0..SECRETS {
            let name = self.secret(index);
            let mut secret = self.get(&name).await?;
            let part = secret.data.take().and_then(part);
            parts.push((name, secret, part));
        }
        Ok(parts)
    }
}

/// What is not permitted does not come to be by asking again.
fn failed(error: kube::Error, name: &NamespacedName, verb: &'static str) -> Error {
    match error {
        kube::Error::Api(status) if status.code == 403 => Error::Forbidden {
            secret: name.clone(),
            verb,
        },
        error => Error::Kubernetes(Box::new(error)),
    }
}

type Data = BTreeMap<String, ByteString>;

fn part(mut data: Data) -> Option<Part> {
    let bytes = data.remove("part")?.0;
    let text = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok();
    Some(Part {
        digest: text("digest")?,
        sequence: text("sequence")?.parse().ok()?,
        index: text("index")?.parse().ok()?,
        of: text("of")?.parse().ok()?,
        bytes,
    })
}

fn data(part: &Part) -> Data {
    let text = |text: String| ByteString(text.into_bytes());
    BTreeMap::from([
        ("digest".to_owned(), text(part.digest.clone())),
        ("sequence".to_owned(), text(part.sequence.to_string())),
        ("index".to_owned(), text(part.index.to_string())),
        ("of".to_owned(), text(part.of.to_string())),
        ("part".to_owned(), ByteString(part.bytes.clone())),
    ])
}

/// The latest that is there as a whole.
fn latest<'a>(parts: impl Iterator<Item = &'a Part> + Clone) -> Option<(u64, Vec<&'a Part>)> {
    let mut writes: Vec<(u64, &str)> = parts.clone().map(|part| (part.sequence, &*part.digest)).collect();
    writes.sort();
    writes.dedup();
    writes.into_iter().rev().find_map(|(sequence, digest)| {
        let mut whole: Vec<&Part> = parts
            .clone()
            .filter(|part| part.sequence == sequence && part.digest == digest)
            .collect();
        whole.sort_by_key(|part| part.index);
        let is_whole = whole
            .iter()
            .enumerate()
            .all(|(index, part)| part.index == index && part.of == whole.len());
        is_whole.then_some((sequence, whole))
    })
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Store for Secrets {
    async fn key(&self) -> Result<Key, Error> {
        let name = self.secret("key");
        let secret = self.get(&name).await?;
        let known = secret
            .data
            .as_ref()
            .and_then(|data| data.get("key"))
            .filter(|key| !key.0.is_empty());
        if let Some(text) = known {
            return Key::from_text(&text.0);
        }
        let key = Key::random();
        let text = ByteString(key.to_text().into_bytes());
        self.fill(&name, secret, BTreeMap::from([("key".to_owned(), text)]))
            .await?;
        Ok(key)
    }

    async fn load(&self) -> Result<Option<Vec<u8>>, Error> {
        let parts = self.parts().await?;
        let parts = parts.iter().filter_map(|(_, _, part)| part.as_ref());
        let Some((_, whole)) = latest(parts) else {
            return Ok(None);
        };
        let sealed: Vec<u8> = whole.iter().flat_map(|part| &part.bytes).copied().collect();
        let is_intact = whole.first().is_some_and(|part| part.digest == digest(&sealed));
        is_intact
            .then_some(Some(sealed))
            .ok_or(Error::Damaged("what was put away is damaged"))
    }

    async fn save(&self, sealed: Vec<u8>) -> Result<(), Error> {
        let of = sealed.len().div_ceil(MOST);
        if of > SECRETS {
            return Err(Error::TooLarge {
                needed: sealed.len(),
                room: SECRETS * MOST,
            });
        }
        let mut shelves = self.parts().await?;
        let found = latest(shelves.iter().filter_map(|(_, _, part)| part.as_ref()));
        let sequence = found.as_ref().map_or(0, |(sequence, _)| *sequence) + 1;
        let occupied: Vec<String> = found
            .into_iter()
            .flat_map(|(_, whole)| whole)
            .map(|part| part.digest.clone())
            .collect();
        // Those that hold the latest come last.
        shelves.sort_by_key(|(_, _, part)| part.as_ref().is_some_and(|part| occupied.contains(&part.digest)));
        let digest = digest(&sealed);
        for ((index, bytes), (name, secret, _)) in sealed.chunks(MOST).enumerate().zip(shelves) {
            let part = Part {
                digest: digest.clone(),
                sequence,
                index,
                of,
                bytes: bytes.to_owned(),
            };
            self.fill(&name, secret, data(&part)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
