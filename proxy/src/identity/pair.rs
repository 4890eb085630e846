//! Certificate and key in files of mode 0600.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::settings::KeyPairFiles;

/// Issuer of what is shown before there is something better.
const PLACEHOLDER: &str = "waiting for the controller";

/// When what is there is to be renewed: at two thirds of its life. `None` if there is nothing of use, such as the
/// placeholder.
pub(super) fn renew_at(files: &KeyPairFiles) -> Option<SystemTime> {
    let pem = fs::read(&files.certificate).ok()?;
    PrivateKeyDer::from_pem_slice(&fs::read(&files.key).ok()?).ok()?;
    let leaf = CertificateDer::from_pem_slice(&pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&leaf).ok()?;
    let is_placeholder = certificate
        .issuer()
        .iter_common_name()
        .any(|name| name.as_str() == Ok(PLACEHOLDER));
    if is_placeholder {
        return None;
    }
    let (from, to) = (
        certificate.validity().not_before.timestamp(),
        certificate.validity().not_after.timestamp(),
    );
    let due = u64::try_from(from + (to - from) / 3 * 2).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(due))
}

/// A certificate that nobody trusts, so that the listener has one to show.
pub(super) fn write_placeholder(files: &KeyPairFiles) -> anyhow::Result<()> {
    let key = rcgen::KeyPair::generate()?;
    let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, PLACEHOLDER);
    let certificate = parameters.self_signed(&key)?;
    write(files, &certificate.pem(), &key.serialize_pem())
}

/// Writes both. A reader between the two sees what does not fit together, and reads again.
pub(super) fn write(files: &KeyPairFiles, chain: &str, key: &str) -> anyhow::Result<()> {
    write_file(&files.key, key)?;
    write_file(&files.certificate, chain)
}

fn write_file(path: &Path, content: &str) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let beside = path.with_extension("new");
        // One that a crash left behind may have another mode.
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(content.as_bytes())?;
        fs::rename(&beside, path)
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_placeholder_is_shown_and_counts_for_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = KeyPairFiles {
            certificate: directory.path().join("identity/tls.crt"),
            key: directory.path().join("identity/tls.key"),
        };
        assert_eq!(renew_at(&files), None);
        write_placeholder(&files).expect("written");
        assert_eq!(renew_at(&files), None);
        let mode = fs::metadata(&files.key).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let key = rcgen::KeyPair::generate().expect("made");
        let mut parameters = rcgen::CertificateParams::new(vec!["uid".to_owned()]).expect("valid");
        let now = SystemTime::now();
        parameters.not_before = now.into();
        parameters.not_after = (now + Duration::from_secs(900)).into();
        let certificate = parameters.self_signed(&key).expect("made");
        write(&files, &certificate.pem(), &key.serialize_pem()).expect("written");
        let due = renew_at(&files).expect("a certificate");
        let in_seconds = due.duration_since(now).expect("later").as_secs();
        assert!((598..=601).contains(&in_seconds), "{in_seconds}");
    }
}
