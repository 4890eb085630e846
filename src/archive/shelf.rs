//! Reading and writing what is put away, sealed, over a store: with the key, and without opening twice what is known.
//!
//! Decides nothing; called by [`task`](super::task).

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::{
    Error, LastGoods, Store,
    seal::{self, Key},
    task::Inputs,
};
use crate::model::Storage;

/// Between two attempts to find it.
const LOAD_AGAIN: Duration = Duration::from_secs(2);

/// A store, and what this replica knows of it.
pub(super) struct Shelf<S> {
    store: S,
    key: Option<Key>,
    /// Of what was read or written last, sealed.
    known: Option<[u8; 32]>,
    /// When that was put away, by whomever.
    written_at: Timestamp,
}

impl<S: Store> Shelf<S> {
    pub(super) fn new(store: S) -> Self {
        Self {
            store,
            key: None,
            known: None,
            written_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// How long ago it was put away last, as far as is known: also by other replicas, whose clocks differ a little.
    pub(super) fn age(&self) -> Duration {
        let age = Timestamp::now().duration_since(self.written_at);
        age.try_into().unwrap_or_default()
    }

    /// What was put away, if it is another one than what was read or written before; nothing if it can't be had in time.
    /// `Err` says what is in the way and does not pass by itself.
    pub(super) async fn load(
        &mut self,
        inputs: &Inputs,
        within: Duration,
        otherwise: &str,
    ) -> Result<Option<LastGoods>, Storage> {
        let attempts = async {
            loop {
                match self.try_load().await {
                    Ok(found) => return Ok(found),
                    Err(error @ Error::Kubernetes(_)) => {
                        tracing::debug!(%error, "what was put away can't be read yet");
                        tokio::time::sleep(LOAD_AGAIN).await;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "what was put away can't be read; {otherwise}");
                        return Err(Storage::Failed {
                            reason: error.reason(),
                            message: error.to_string(),
                        });
                    }
                }
            }
        };
        tokio::select! {
            found = timeout(within, attempts) => found.unwrap_or_else(|_| {
                tracing::warn!("what was put away can't be read within {within:?}; {otherwise}");
                Ok(None)
            }),
            () = inputs.stop.cancelled() => Ok(None),
        }
    }

    async fn try_load(&mut self) -> Result<Option<LastGoods>, Error> {
        // Without anything there a key need not be made.
        let Some(sealed) = self.store.load().await? else {
            return Ok(None);
        };
        let digest = Sha256::digest(&sealed).into();
        if self.known == Some(digest) {
            return Ok(None);
        }
        let key = self.store.key().await?;
        self.key = Some(key.clone());
        let opened = tokio::task::spawn_blocking(move || seal::open(sealed, &key)).await;
        let (opened, written_at) = opened.expect("reading does not panic")?;
        self.known = Some(digest);
        self.written_at = written_at;
        Ok(Some(opened))
    }

    /// Puts it there, and says how many bytes that are.
    pub(super) async fn save(&mut self, good: &LastGoods) -> Result<u64, Error> {
        let key = match &self.key {
            Some(key) => key.clone(),
            None => self.key.insert(self.store.key().await?).clone(),
        };
        let good = good.clone();
        let now = Timestamp::now();
        let sealed = tokio::task::spawn_blocking(move || seal::seal(&good, now, &key)).await;
        let sealed = sealed.expect("sealing does not panic");
        let size = sealed.len() as u64;
        let digest = Sha256::digest(&sealed).into();
        let saved = self.store.save(sealed).await;
        match &saved {
            Ok(()) => (self.known, self.written_at) = (Some(digest), now),
            // It may have been deleted, with the key.
            Err(_) => self.key = None,
        }
        saved.map(|()| size)
    }
}
