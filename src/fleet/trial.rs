//! What is tried on one proxy first: a configuration that nobody is known to take, where proxies run something that this
//! replica knows nothing of. So it is after a takeover while something is left out: what proxies refused only the leader
//! before knew. Without an answer the others wait for a moment only. Pure. Called by `machine` before a push begins.

use std::{collections::BTreeMap, time::Duration};

use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

use crate::model::Profile;

/// How long the others wait for it, at most.
const WAIT: Duration = Duration::from_secs(2);

/// The latest trial of each profile.
#[derive(Default)]
pub(super) struct Trials {
    latest: BTreeMap<Profile, Trial>,
}

struct Trial {
    hash: ConfigHash,
    began: Instant,
    taken: bool,
}

impl Trials {
    /// Whether another push of it may begin now; if not, when at the latest.
    pub(super) fn admits(&self, profile: &Profile, hash: ConfigHash, now: Instant) -> Result<(), Instant> {
        let trial = self.latest.get(profile).filter(|trial| trial.hash == hash);
        match trial {
            Some(trial) if !trial.taken && now < trial.began + WAIT => Err(trial.began + WAIT),
            Some(_) | None => Ok(()),
        }
    }

    /// A push of it begins. That a later one begins changes nothing.
    pub(super) fn begin(&mut self, profile: &Profile, hash: ConfigHash, now: Instant) {
        if self.latest.get(profile).is_none_or(|trial| trial.hash != hash) {
            let trial = Trial {
                hash,
                began: now,
                taken: false,
            };
            self.latest.insert(profile.clone(), trial);
        }
    }

    /// A proxy has taken it.
    pub(super) fn taken(&mut self, profile: &Profile, hash: ConfigHash) {
        if let Some(trial) = self.latest.get_mut(profile).filter(|trial| trial.hash == hash) {
            trial.taken = true;
        }
    }
}
