//! Which files of a directory are manifests, and their content, within limits.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

use super::{Limits, file_problem};
use crate::model::{ByteSize, Problem};

/// Nesting of directories that is followed: a bound for symbolic links that lead in circles.
const DIRECTORY_DEPTH: usize = 16;

/// Why a file can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It is over the limit.
    ///
    /// How large it is is not told: while somebody writes it, each look would tell something else.
    #[error("the file is over {limit}, the limit: it is skipped")]
    TooLarge {
        /// How much is read at most.
        limit: ByteSize,
    },
    /// The system refuses.
    #[error("failed to read the file: {0}")]
    Io(#[from] io::Error),
}

impl FileError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "split it into several files",
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => "check the path",
            Self::Io(_) => "make the file readable for this user",
        }
    }
}

/// The manifest files at a path, sorted: the file itself, or all below a directory.
///
/// Hidden files and directories are skipped, and with them the `..data` of mounted ConfigMaps, whose files show up as
/// symbolic links. Other symbolic links are followed.
pub fn files(path: &Path, limits: &Limits) -> (Vec<PathBuf>, Vec<Problem>) {
    if !path.is_dir() {
        return (vec![path.to_owned()], Vec::new());
    }
    let mut found = BTreeSet::new();
    let mut problems = Vec::new();
    walk(path, DIRECTORY_DEPTH, limits, &mut found, &mut problems);
    if found.len() > limits.files {
        problems.push(file_problem(
            &path.to_string_lossy(),
            None,
            format!("more than {} manifest files: the rest is skipped", limits.files),
            "move files that are not needed elsewhere, or put several objects into one file",
        ));
    }
    (found.into_iter().take(limits.files).collect(), problems)
}

fn walk(directory: &Path, depth: usize, limits: &Limits, found: &mut BTreeSet<PathBuf>, problems: &mut Vec<Problem>) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            let name = directory.to_string_lossy();
            let message = format!("failed to list the directory: {error}");
            problems.push(file_problem(
                &name,
                None,
                message,
                "make the directory readable for this user",
            ));
            return;
        }
    };
    for entry in entries.flatten() {
        if found.len() > limits.files {
            return;
        }
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if path.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, limits, found, problems);
            }
        } else if is_manifest(&path) {
            found.insert(path);
        }
    }
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
}

/// The content of a file, never more than the limit.
///
/// # Errors
/// If it can't be read, or is over the limit.
pub fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>, FileError> {
    let mut file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file").into());
    }
    let mut bytes = Vec::new();
    file.by_ref().take(limits.file_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limits.file_bytes {
        return Err(FileError::TooLarge {
            limit: ByteSize(limits.file_bytes),
        });
    }
    Ok(bytes)
}
