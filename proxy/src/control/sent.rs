//! What was sent, with its hash, and what makes the next one cheap. Pure but for the clock in the hash of a table.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use proxy_config_schema::{ConfigHash, Configuration, HashedText, LoadedText, ValidationOptions};
use serde_json::Value;

use super::{
    Document,
    document::{self, MalformedDocument},
};

/// A text that runs: the next one is compared with it.
pub(super) struct KnownText {
    hashed: HashedText,
    loaded: LoadedText,
}

impl KnownText {
    pub(super) fn configuration(&self) -> &Arc<Configuration> {
        self.loaded.configuration()
    }
}

/// What was sent, with its hash.
pub(super) enum Sent {
    Text(HashedText),
    Table(ConfigHash, Value),
}

impl Sent {
    /// Hashes a document; what a text has in common with the one that runs is not hashed again.
    pub(super) fn new(document: Document, known: Option<&KnownText>) -> Self {
        match document {
            Document::Text(text) => Self::Text(HashedText::new(text, known.map(|known| &known.hashed))),
            Document::Table(table) => Self::Table(unpredictable_hash(&table), table),
        }
    }

    pub(super) fn hash(&self) -> ConfigHash {
        match self {
            Self::Text(hashed) => hashed.hash(),
            Self::Table(hash, _) => *hash,
        }
    }

    /// Loads a text without a fault that is JSON in the way in which a controller writes it; `None` for all others.
    pub(super) fn by_what_changed(&self, known: Option<&KnownText>, options: &ValidationOptions) -> Option<KnownText> {
        let Self::Text(hashed) = self else { return None };
        let known = known.map(|known| &known.loaded);
        let loaded = LoadedText::load(hashed.text().clone(), &document::LIMITS, options, known)?;
        let hashed = hashed.clone();
        Some(KnownText { hashed, loaded })
    }

    /// # Errors
    /// It is a text, and neither JSON nor YAML.
    pub(super) fn parse(&self) -> Result<Value, MalformedDocument> {
        match self {
            Self::Text(hashed) => document::parse(hashed.text()),
            Self::Table(_, table) => Ok(table.clone()),
        }
    }

    /// As text, with the MD5 of that.
    pub(super) fn into_text(self) -> (Bytes, ConfigHash) {
        match self {
            Self::Text(hashed) => (hashed.text().clone(), hashed.hash()),
            Self::Table(_, table) => {
                let text = Bytes::from(table.to_string());
                let hash = ConfigHash::of(&text);
                (text, hash)
            }
        }
    }
}

/// A hash for a table: never the same twice, like Kong's, which covers timestamps that Kong has filled in.
fn unpredictable_hash(table: &Value) -> ConfigHash {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ConfigHash::of(format!("{}{table}", now.as_nanos()).as_bytes())
}
