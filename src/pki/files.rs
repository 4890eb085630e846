//! Certificates that the user gives as files: read again when they change.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;

use super::{CertificateMaterial, KeyPairPem};

/// How often the files are looked at. A mounted Secret changes by a rename that no watch on the file itself shows, and
/// reading three small files costs less than keeping watches on their directories.
const INTERVAL: Duration = Duration::from_secs(5);
/// A certificate bundle of more than this is a mistake.
const LIMIT: u64 = 1 << 20;

/// Which files.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// Certificate and key that we show.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Whom we trust.
    pub authorities: Option<PathBuf>,
}

/// A file can't be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the certificate file {}", path.display())]
pub struct FileError {
    path: PathBuf,
    source: io::Error,
}

impl CertificateFiles {
    /// Reads them all.
    ///
    /// # Errors
    /// Names the file that can't be read.
    pub fn read(&self) -> Result<CertificateMaterial, FileError> {
        let client = match &self.client {
            Some((certificate, key)) => Some(KeyPairPem {
                certificate: read(certificate)?,
                key: read(key)?,
            }),
            None => None,
        };
        let authorities = self.authorities.as_deref().map(read).transpose()?;
        Ok(CertificateMaterial {
            authorities,
            client,
            changing: false,
        })
    }

    /// Publishes what is in the files whenever it changes, until nobody listens. What can't be read leaves the former
    /// state in force, with a warning.
    pub async fn follow(self, out: watch::Sender<Option<Arc<CertificateMaterial>>>) {
        let mut complained = false;
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = out.closed() => return,
            }
            match self.read() {
                Ok(current) => {
                    complained = false;
                    out.send_if_modified(|published| {
                        let changed = published.as_deref() != Some(&current);
                        if changed {
                            tracing::info!("certificate files changed");
                            *published = Some(Arc::new(current));
                        }
                        changed
                    });
                }
                Err(error) if !complained => {
                    complained = true;
                    tracing::warn!(%error, "certificate files are unreadable; the former ones stay in force");
                }
                Err(_) => {}
            }
        }
    }
}

fn read(path: &Path) -> Result<String, FileError> {
    let failed = |source| FileError {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > LIMIT {
        return Err(failed(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 1 MiB",
        )));
    }
    std::fs::read_to_string(path).map_err(failed)
}
