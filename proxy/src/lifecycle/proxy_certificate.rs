//! The certificate of TLS proxy listeners that stands in files (Kong: `ssl_cert`), kept up to date.

use tokio::time::Instant;

use super::options::wait_for;
use crate::{
    data::{DataPlane, DefaultCertificate},
    server::{PemFileError, Stamps, content},
    settings::KeyPairFiles,
};

/// The files, and which version of them is in force.
pub(super) struct ProxyCertificate {
    files: KeyPairFiles,
    stamps: Stamps,
}

impl ProxyCertificate {
    /// Has the data plane show what the files hold, waiting for them until the deadline.
    ///
    /// # Errors
    /// The first file that is still missing or wrong then.
    pub(super) async fn wait(files: KeyPairFiles, deadline: Instant, data: &DataPlane) -> anyhow::Result<Self> {
        let attempt = || {
            let stamps = stamps(&files);
            load(&files).map(|loaded| (stamps, loaded))
        };
        let (stamps, loaded) = wait_for(deadline, attempt).await?;
        data.set_default_certificate(loaded);
        Ok(Self { files, stamps })
    }

    /// Reads the files again if one has changed. Files that don't fit together, as while they are being replaced, leave
    /// the old ones in force and are tried again at the next call.
    pub(super) fn reload_if_changed(&mut self, data: &DataPlane) {
        let seen = stamps(&self.files);
        if self.stamps == seen {
            return;
        }
        let certificate = self.files.certificate.display();
        match load(&self.files).map(|loaded| data.set_default_certificate(loaded)) {
            Ok(()) => {
                tracing::info!(%certificate, "certificate of the proxy read again");
                self.stamps = seen;
            }
            Err(error) => tracing::warn!(%error, "changed certificates can't be used; the old ones stay in force"),
        }
    }
}

fn stamps(files: &KeyPairFiles) -> Stamps {
    Stamps::of([files.certificate.as_path(), files.key.as_path()])
}

fn load(files: &KeyPairFiles) -> Result<DefaultCertificate, PemFileError> {
    let (chain, key) = (content(&files.certificate)?, content(&files.key)?);
    DefaultCertificate::new(&chain, &key)
        .map_err(|error| PemFileError::unusable(&files.certificate, format!("with {}: {error}", files.key.display())))
}
