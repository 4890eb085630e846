//! What an object says, as one number.

use std::{collections::BTreeMap, fmt, io};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A hash of all of an object that its owner writes: uid, labels, annotations, and everything but the status. Two objects
/// that say the same have the same one, wherever it is computed; generations and resource versions are not in it, since a
/// changed annotation has no new generation and a written status has a new resource version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 16]);

/// Annotations that tools keep a copy of the object in.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Digest {
    /// Of an object whose metadata was taken out of its content.
    pub fn of(
        uid: &str,
        labels: Option<&BTreeMap<String, String>>,
        annotations: Option<&BTreeMap<String, String>>,
        content: &Value,
    ) -> Self {
        let mut hash = Sha256::new();
        let mut add = |name: &str, value: &str| {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update((value.len() as u64).to_le_bytes());
            hash.update(value);
        };
        add("uid", uid);
        for (group, map) in [("label ", labels), ("annotation ", annotations)] {
            let entries = map.into_iter().flatten().filter(|(name, _)| *name != LAST_APPLIED);
            for (name, value) in entries {
                add(&format!("{group}{name}"), value);
            }
        }
        for (name, value) in content.as_object().into_iter().flatten() {
            if !["status", "metadata", "apiVersion", "kind"].contains(&name.as_str()) {
                hash.update((name.len() as u64).to_le_bytes());
                hash.update(name);
                serde_json::to_writer(Hashing(&mut hash), value).expect("a hash takes everything");
            }
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize()[..16]);
        Self(digest)
    }
}

/// Hashes what is written: no copy of a large object is made.
struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let invalid = || de::Error::custom("no digest");
        if text.len() != 32 || !text.is_ascii() {
            return Err(invalid());
        }
        let mut digest = [0; 16];
        for (position, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[position * 2..position * 2 + 2], 16).map_err(|_| invalid())?;
        }
        Ok(Self(digest))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn of(annotation: &str, content: &Value) -> Digest {
        let annotations = BTreeMap::from([("konghq.com/path".to_owned(), annotation.to_owned())]);
        Digest::of("1", None, Some(&annotations), content)
    }

    #[test]
    fn only_what_the_owner_writes_counts() {
        let content = json!({ "spec": { "rules": [] } });
        let digest = of("/a", &content);
        assert_eq!(
            of("/a", &json!({ "spec": { "rules": [] }, "status": { "x": 1 } })),
            digest
        );
        assert_ne!(of("/b", &content), digest);
        assert_ne!(of("/a", &json!({ "spec": { "rules": [1] } })), digest);
        assert_ne!(
            Digest::of("2", None, None, &content),
            Digest::of("1", None, None, &content)
        );
        let label = BTreeMap::from([("konghq.com/path".to_owned(), "/a".to_owned())]);
        assert_ne!(Digest::of("1", Some(&label), None, &content), digest);
    }

    #[test]
    fn it_is_written_and_read_as_text() {
        let digest = of("/a", &json!({}));
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(text.len(), 34);
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"zz\"").is_err());
    }
}
