//! `PREFIX/pids/nginx.pid`: how `kong quit` finds the process, as it finds Kong's.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where it is.
pub(crate) fn pid_file(prefix: &Path) -> PathBuf {
    prefix.join("pids/nginx.pid")
}

/// The file of this process, as long as it runs.
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Writes it where the prefix is a directory of ours to write to; elsewhere nobody looks for it.
    pub(super) fn write(prefix: &Path) -> Option<Self> {
        let path = pid_file(prefix);
        if !prefix.is_dir() {
            return None;
        }
        let written = fs::create_dir_all(path.parent().expect("it is below the prefix"))
            .and_then(|()| fs::write(&path, std::process::id().to_string()));
        match written {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "no file with the process ID");
                None
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A file that stays is stale, which is noticed.
        let _ = fs::remove_file(&self.0);
    }
}
