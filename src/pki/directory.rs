//! The authorities in a directory, for use without a cluster.
//!
//! ```text
//! controller-ca.crt controller-ca.key   signs the controller's client certificate
//! proxy-ca.crt      proxy-ca.key        signs the proxies' server certificates
//! controller/       tls.crt tls.key ca.crt   what the controller shows, and whom it trusts
//! proxies/NAME/     tls.crt tls.key ca.crt   what a proxy shows, and whom it trusts
//! ```

use std::{
    collections::BTreeSet,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{Authority, CONTROLLER_NAME, Error as IssueError, KeyPairPem, Validity, authority};

/// Why the directory can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A file can't be read or written.
    #[error("failed to use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A certificate can't be made, or what is there is none.
    #[error("failed to use the certificates in {}", path.display())]
    Certificate {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: IssueError,
    },
}

/// Both authorities, and the files that are issued from them. Issued files are made anew when they are past two thirds
/// of their life, are of another authority, or bear other names than they shall.
pub struct PkiDirectory {
    path: PathBuf,
    controller: Authority,
    proxies: Authority,
}

impl PkiDirectory {
    /// Opens the directory; makes it, and the authorities, where they are missing.
    ///
    /// # Errors
    /// When a file can't be read or written, or is not what it should be.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, DirectoryError> {
        make_directory(path)?;
        let controller = Self::authority(path, "controller-ca", "silverback controller CA", now)?;
        let proxies = Self::authority(path, "proxy-ca", "silverback proxy CA", now)?;
        Ok(Self {
            path: path.to_owned(),
            controller,
            proxies,
        })
    }

    /// The directory with the controller's `tls.crt`, `tls.key` and `ca.crt`.
    ///
    /// # Errors
    /// As [`PkiDirectory::open`].
    pub fn controller(&self, now: Timestamp) -> Result<PathBuf, DirectoryError> {
        let directory = self.path.join("controller");
        let names = [CONTROLLER_NAME.to_owned()];
        self.issue(&directory, &self.controller, &self.proxies, &names, now, || {
            self.controller.issue_client(CONTROLLER_NAME, now)
        })?;
        Ok(directory)
    }

    /// The directory with a proxy's `tls.crt`, `tls.key` and `ca.crt`; its certificate bears these names.
    ///
    /// # Errors
    /// As [`PkiDirectory::open`].
    pub fn proxy(&self, name: &str, names: &[String], now: Timestamp) -> Result<PathBuf, DirectoryError> {
        let directory = self.path.join("proxies").join(name);
        self.issue(&directory, &self.proxies, &self.controller, names, now, || {
            self.proxies.issue_server(name, names, now)
        })?;
        Ok(directory)
    }

    fn authority(path: &Path, file: &str, common_name: &str, now: Timestamp) -> Result<Authority, DirectoryError> {
        let certificate_path = path.join(format!("{file}.crt"));
        let key_path = path.join(format!("{file}.key"));
        let failed = |source| DirectoryError::Certificate {
            path: path.to_owned(),
            source,
        };
        if certificate_path.exists() && key_path.exists() {
            let pem = KeyPairPem {
                certificate: read(&certificate_path)?,
                key: read(&key_path)?,
            };
            return Authority::from_pem(pem).map_err(failed);
        }
        let authority = Authority::generate(common_name, now).map_err(failed)?;
        write(&key_path, &authority.pem().key, 0o600)?;
        write(&certificate_path, &authority.pem().certificate, 0o644)?;
        Ok(authority)
    }

    fn issue(
        &self,
        directory: &Path,
        signer: &Authority,
        trusted: &Authority,
        names: &[String],
        now: Timestamp,
        make: impl FnOnce() -> Result<KeyPairPem, IssueError>,
    ) -> Result<(), DirectoryError> {
        let issuer_path = directory.join("issuer.crt");
        let current = directory.join("tls.key").exists()
            && fs::read_to_string(&issuer_path).is_ok_and(|issuer| issuer == signer.pem().certificate)
            && fs::read_to_string(directory.join("ca.crt"))
                .is_ok_and(|authority| authority == trusted.pem().certificate)
            && fs::read_to_string(directory.join("tls.crt")).is_ok_and(|pem| is_current(&pem, names, now));
        if current {
            return Ok(());
        }
        make_directory(directory)?;
        let pair = make().map_err(|source| DirectoryError::Certificate {
            path: directory.to_owned(),
            source,
        })?;
        write(&directory.join("ca.crt"), &trusted.pem().certificate, 0o644)?;
        write(&issuer_path, &signer.pem().certificate, 0o644)?;
        write(&directory.join("tls.key"), &pair.key, 0o600)?;
        write(&directory.join("tls.crt"), &pair.certificate, 0o644)
    }
}

/// Whether a certificate bears these names and no others, and has not to be renewed.
fn is_current(pem: &str, names: &[String], now: Timestamp) -> bool {
    // An address is the same however it is written.
    let wanted = names.iter().map(|name| match name.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => name.clone(),
    });
    let wanted: BTreeSet<String> = wanted.collect();
    authority::names(pem).is_ok_and(|borne| borne == wanted)
        && Validity::of_pem(pem).is_ok_and(|validity| now < validity.renew_at)
}

fn make_directory(path: &Path) -> Result<(), DirectoryError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| DirectoryError::Io {
            path: path.to_owned(),
            source,
        })
}

fn read(path: &Path) -> Result<String, DirectoryError> {
    fs::read_to_string(path).map_err(|source| DirectoryError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Writes beside the file and renames: a reader sees the old content or the new.
fn write(path: &Path, content: &str, mode: u32) -> Result<(), DirectoryError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let failed = |source| DirectoryError::Io {
        path: path.to_owned(),
        source,
    };
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)
        .map_err(failed)?;
    file.write_all(content.as_bytes()).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}
