//! What proxies accepted last, put away where it outlives the controller: when controller and proxies start together while
//! the cluster holds something that proxies refuse, there is something to fall back to.
//!
//! [`content`](self) says what is put away, `seal` compresses, encrypts and cuts it, `secrets` and `directory` hold it,
//! `shelf` reads and writes it, `task` says when. Knows nothing of proxies and decides nothing: the fleet is told what was found, and says what
//! was accepted. Started by the wiring. Whatever can't be read is as if it were not there, and said in the log.

mod content;
mod directory;
mod seal;
mod secrets;
mod shelf;
mod task;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

pub use secrets::SECRET_TYPE;
pub use task::{Archive, follow};

use crate::model::NamespacedName;

/// Where it is put.
#[derive(Debug, Clone)]
pub enum Place {
    /// In Secrets of that name with `-0` to `-3` after it; the key is in the one with `-key`.
    Secrets(NamespacedName),
    /// In a file of a directory, with the key in a file that is made if there is none.
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
}

/// Why something could not be put away or got back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server.
    #[error(transparent)]
    Kubernetes(Box<kube::Error>),
    /// The API server does not permit it.
    #[error("the controller may not {verb} Secret {secret}: grant it to its ServiceAccount, as the chart does")]
    Forbidden {
        /// Which.
        secret: NamespacedName,
        /// `get` or `update`.
        verb: &'static str,
    },
    /// A Secret that should be there, empty or not.
    #[error("there is no Secret {0}: create it empty, as the chart does")]
    Missing(NamespacedName),
    /// Somebody else was faster.
    #[error("another replica is writing Secret {0}")]
    Conflict(NamespacedName),
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// It is not what was written, or the key is another one.
    #[error("{0}")]
    Damaged(&'static str),
    /// There is more than fits.
    #[error(
        "it needs {needed} bytes, compressed, and there is room for {room}: put it on a volume (--last-good-directory)"
    )]
    TooLarge {
        /// What is needed.
        needed: usize,
        /// What there is.
        room: usize,
    },
}

impl Error {
    /// One word for a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Kubernetes(_) | Self::File { .. } => "WriteFailed",
            Self::Forbidden { .. } => "Forbidden",
            Self::Missing(_) => "SecretMissing",
            Self::Conflict(_) => "Conflict",
            Self::Damaged(_) => "Damaged",
            Self::TooLarge { .. } => "TooLarge",
        }
    }
}

/// What holds sealed bytes, and the key to them.
trait Store: Send + Sync {
    /// The key, made now if there is none.
    fn key(&self) -> impl Future<Output = Result<seal::Key, Error>> + Send;

    /// What was put last and can be read as a whole; `None` if nothing was.
    fn load(&self) -> impl Future<Output = Result<Option<Vec<u8>>, Error>> + Send;

    /// Puts it there; what was there before stays until then, as far as there is room for both.
    fn save(&self, sealed: Vec<u8>) -> impl Future<Output = Result<(), Error>> + Send;
}

/// By profile.
type LastGoods = std::collections::BTreeMap<crate::model::Profile, Arc<crate::render::LastGood>>;
