//! A certificate of the Admin API in this pod's own name, whose key never leaves it (`--identity-url`).
//!
//! The controller is asked for it, with a projected token that says which pod this is; names are the controller's to set.
//! It is renewed at two thirds of its life, and at once when the authorities change that the controller is verified by:
//! then a replacement of the authorities is under way, and waits for every proxy. Whoever asks says whom it trusts, and
//! gets the certificate that fits. Until the first one is there, the Admin API shows a certificate that nobody trusts.
//!
//! - `pair`: certificate and key in files, which the listener reads again when they change
//! - `request`: one conversation with the controller

mod pair;
mod request;

pub use request::TRUSTED_AUTHORITIES;

use std::{
    fs,
    time::{Duration, SystemTime},
};

use tokio::{task::JoinHandle, time::sleep};

use crate::settings::IdentitySource;

/// How often it is looked whether something is to be done.
const LOOK: Duration = Duration::from_secs(2);
/// Pauses after failures: from the first to the last, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// A task that ends with its handle.
pub(crate) struct Renewal(JoinHandle<()>);

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Makes sure that there are files to show, and keeps them current as long as the handle lives.
///
/// # Errors
/// The files can't be written.
pub(crate) fn start(source: IdentitySource) -> anyhow::Result<Renewal> {
    if pair::renew_at(&source.files).is_none() {
        pair::write_placeholder(&source.files)?;
    }
    Ok(Renewal(tokio::spawn(keep(source))))
}

async fn keep(source: IdentitySource) {
    // Those under which the certificate was issued; after a restart it is not known, and a new one costs little.
    let mut verified_by = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let authorities = fs::read(&source.authorities).unwrap_or_default();
        let is_good = pair::renew_at(&source.files).is_some_and(|at| SystemTime::now() < at);
        if is_good && verified_by.as_ref() == Some(&authorities) {
            sleep(LOOK).await;
            continue;
        }
        match renew(&source, &authorities).await {
            Ok(()) => {
                tracing::info!(controller = %source.host, "got a certificate in this pod's name");
                verified_by = Some(authorities);
                pause = FIRST_PAUSE;
                // Also when it counts as due at once, as where a clock is wrong.
                sleep(LOOK).await;
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), retry_in = ?pause, "no certificate from the controller");
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

async fn renew(source: &IdentitySource, authorities: &[u8]) -> anyhow::Result<()> {
    let key = rcgen::KeyPair::generate()?;
    let chain = request::certificate(source, authorities, &key).await?;
    pair::write(&source.files, &chain, &key.serialize_pem())
}
