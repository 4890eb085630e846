//! In a file of a directory: a volume, or the disk of a laptop.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{Error, Store, seal::Key};

/// The file.
const NAME: &str = "last-good";

/// A directory, and where the key is.
pub(super) struct Directory {
    pub(super) directory: PathBuf,
    pub(super) key: PathBuf,
}

impl Store for Directory {
    async fn key(&self) -> Result<Key, Error> {
        match tokio::fs::read(&self.key).await {
            Ok(text) => Key::from_text(&text),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                let key = Key::random();
                replace(&self.key, key.to_text().as_bytes()).await?;
                Ok(key)
            }
            Err(source) => Err(failed(&self.key, source)),
        }
    }

    async fn load(&self) -> Result<Option<Vec<u8>>, Error> {
        let path = self.directory.join(NAME);
        match tokio::fs::read(&path).await {
            Ok(sealed) => Ok(Some(sealed)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(&path, source)),
        }
    }

    async fn save(&self, sealed: Vec<u8>) -> Result<(), Error> {
        replace(&self.directory.join(NAME), &sealed).await
    }
}

/// Writes beside it and renames, so that it is always whole; for nobody else to read.
async fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let written = async {
        if let Some(directory) = path.parent() {
            tokio::fs::create_dir_all(directory).await?;
        }
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        options.mode(0o600);
        let mut file = options.open(&beside).await?;
        tokio::io::AsyncWriteExt::write_all(&mut file, content).await?;
        file.sync_all().await?;
        tokio::fs::rename(&beside, path).await
    };
    written.await.map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source,
    }
}
