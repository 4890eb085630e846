//! Compressed and encrypted: AES-256-GCM over gzip. Pure, but for randomness.

use std::{
    fmt,
    io::{BufReader, Write},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::Timestamp;

use super::{Error, LastGoods, content};

/// What it begins with, and what is authenticated with it.
const MAGIC: &[u8; 8] = b"sb-good1";
/// Largest content that is read, in bytes, uncompressed.
const MAX_CONTENT: u64 = 1 << 30;

/// A key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key([u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(redacted)")
    }
}

impl Key {
    /// A new one.
    pub(super) fn random() -> Self {
        let mut key = [0; 32];
        rand::fill(&mut key).expect("the system has randomness");
        Self(key)
    }

    /// Base64, as it is kept.
    pub(super) fn to_text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads what [`Self::to_text`] gave.
    pub(super) fn from_text(text: &[u8]) -> Result<Self, Error> {
        let bytes = STANDARD.decode(text.trim_ascii()).ok();
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or(Error::Damaged(
            "the key is none: 32 bytes in Base64; delete it to have a new one made",
        ))
    }

    fn cipher(&self) -> RandomizedNonceKey {
        RandomizedNonceKey::new(&AES_256_GCM, &self.0).expect("a key of 32 bytes is one of AES-256")
    }
}

/// Writes, compresses and encrypts it.
pub(super) fn seal(profiles: &LastGoods, written_at: Timestamp, key: &Key) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let compressed = content::write(profiles, written_at, &mut encoder).and_then(|()| encoder.finish());
    let mut bytes = compressed.expect("writing to memory does not fail");
    let nonce = key
        .cipher()
        .seal_in_place_append_tag(Aad::from(MAGIC), &mut bytes)
        .expect("it is not that large");
    let mut sealed = Vec::with_capacity(MAGIC.len() + NONCE_LEN + bytes.len());
    sealed.write_all(MAGIC).expect("writing to memory does not fail");
    sealed.extend_from_slice(nonce.as_ref());
    sealed.append(&mut bytes);
    sealed
}

/// Reads what [`seal`] gave, and when that was put away.
pub(super) fn open(mut sealed: Vec<u8>, key: &Key) -> Result<(LastGoods, Timestamp), Error> {
    const FOREIGN: Error = Error::Damaged("what was put away can't be decrypted: damaged, or the key is another one");
    let head = MAGIC.len() + NONCE_LEN;
    let (Some(magic), Some(nonce)) = (sealed.get(..MAGIC.len()), sealed.get(MAGIC.len()..head)) else {
        return Err(FOREIGN);
    };
    if magic != MAGIC {
        return Err(Error::Damaged("it was put away by another version of silverback"));
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| FOREIGN)?;
    let opened = key
        .cipher()
        .open_in_place(nonce, Aad::from(MAGIC), &mut sealed[head..])
        .map_err(|_| FOREIGN)?;
    let decoder = std::io::Read::take(GzDecoder::new(&*opened), MAX_CONTENT);
    content::read(BufReader::new(decoder))
}
