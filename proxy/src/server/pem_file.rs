//! PEM files that are read again when they change: their content within bounds, and which version was read.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// PEM files of certificates are small; more is a mistake, like a device or a log.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A PEM file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PemFileError {
    /// It cannot be read.
    #[error("can't read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    /// It does not hold what it shall.
    #[error("{path}: {message}")]
    Unusable { path: PathBuf, message: String },
}

impl PemFileError {
    /// A file does not hold what it shall.
    pub(crate) fn unusable(path: &Path, message: impl Into<String>) -> Self {
        Self::Unusable {
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

/// The whole of a PEM file.
///
/// # Errors
/// It can't be read, is no file, or too large.
pub(crate) fn content(path: &Path) -> Result<Vec<u8>, PemFileError> {
    let unreadable = |source| PemFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(PemFileError::unusable(path, "is no file of up to 1 MiB"));
    }
    fs::read(path).map_err(unreadable)
}

/// Which versions of some files there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<Option<Stamp>>);

/// Which version of a file: device, inode, size, modification time in nanoseconds.
type Stamp = (u64, u64, u64, i128);

impl Stamps {
    /// Those that are there now.
    pub(crate) fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let stamp = |path| {
            let metadata = fs::metadata(path).ok()?;
            let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
            Some((metadata.dev(), metadata.ino(), metadata.size(), modified))
        };
        Self(paths.into_iter().map(stamp).collect())
    }
}
