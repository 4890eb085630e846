//! The name of a configuration: the MD5 of its bytes, as Kong reports it in `configuration_hash`.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use md5::{Digest, Md5};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The hash under which a proxy knows a configuration: 32 lower-case hexadecimal digits.
///
/// Kong takes the MD5 of the body's bytes when the body comes as `application/yaml`, so that the controller can
/// predict it. Thirty-two zeros mean that the proxy has no configuration ([`ConfigHash::NONE`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ConfigHash([u8; 16]);

impl ConfigHash {
    /// What a proxy without any configuration reports.
    pub const NONE: Self = Self([0; 16]);

    /// The hash of a configuration's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Md5::digest(bytes).into())
    }

    /// Whether this stands for "no configuration".
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// The first twelve digits: what tables show.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for ConfigHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for ConfigHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The hash of a text, found by what the text has in common with the one before: hashing costs more than anything else
/// that is done with a large configuration of which little has changed.
#[derive(Clone, Default)]
pub struct HashedText {
    text: Bytes,
    hash: ConfigHash,
    /// The state after each whole step.
    states: Vec<Md5>,
}

/// Bytes from one state that is kept to the next: as little as one changed entity may cost, and a hundred states for a
/// large configuration.
const STEP: usize = 64 * 1024;

impl HashedText {
    /// Hashes a text, from where it begins to differ from `previous` on.
    pub fn new(text: Bytes, previous: Option<&Self>) -> Self {
        let Some(previous) = previous else {
            return Self::after(text, &Self::default(), 0);
        };
        let both = text.chunks_exact(STEP).zip(previous.text.chunks_exact(STEP));
        let same = both.take_while(|(one, other)| one == other).count();
        Self::after(text, previous, same * STEP)
    }

    /// Hashes a text of which that many bytes at the beginning are known to be those of `previous`.
    pub(crate) fn after(text: Bytes, previous: &Self, same: usize) -> Self {
        debug_assert_eq!(text[..same], previous.text[..same], "it is the same");
        let mut states: Vec<Md5> = Vec::with_capacity(text.len() / STEP);
        states.extend_from_slice(&previous.states[..same / STEP]);
        let mut state = states.last().cloned().unwrap_or_default();
        let steps = text[states.len() * STEP..].chunks_exact(STEP);
        let rest = steps.remainder();
        for step in steps {
            state.update(step);
            states.push(state.clone());
        }
        state.update(rest);
        Self {
            hash: ConfigHash(state.finalize().into()),
            text,
            states,
        }
    }

    /// Its hash.
    pub fn hash(&self) -> ConfigHash {
        self.hash
    }

    /// The text.
    pub fn text(&self) -> &Bytes {
        &self.text
    }
}

/// The text may hold secrets.
impl fmt::Debug for HashedText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HashedText")
            .field("hash", &self.hash)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// The text is not 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a configuration hash: expected 32 hexadecimal digits")]
pub struct InvalidHash;

impl FromStr for ConfigHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidHash);
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(pair).map_err(|_| InvalidHash)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidHash)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for ConfigHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ConfigHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_came_before_does_not_change_the_hash(
            length in 0..4 * STEP,
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), -2_i32..3), 0..6),
        ) {
            let mut text: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).expect("small")).collect();
            let mut hashed = HashedText::new(text.clone().into(), None);
            prop_assert_eq!(hashed.hash(), ConfigHash::of(&text));
            for (at, byte, growth) in edits {
                let at = at.index(text.len() + 1);
                match growth {
                    ..0 => text.truncate(at),
                    0 if at < text.len() => text[at] = byte,
                    _ => text.insert(at, byte),
                }
                hashed = HashedText::new(text.clone().into(), Some(&hashed));
                prop_assert_eq!(hashed.hash(), ConfigHash::of(&text));
            }
        }
    }

    #[test]
    fn a_step_that_is_the_same_is_not_hashed_again() {
        let text = vec![b'x'; 3 * STEP + 1];
        let first = HashedText::new(text.clone().into(), None);
        let mut longer = text;
        longer.push(b'y');
        let second = HashedText::new(longer.into(), Some(&first));
        assert_eq!(second.states.len(), 3);
        assert_ne!(first.hash(), second.hash());
    }
}
