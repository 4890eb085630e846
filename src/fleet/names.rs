//! What a proxy calls the configurations that it was given. Pure.
//!
//! Kong and the embedded proxy report the MD5 of the bytes, which can be predicted. A proxy that hashes otherwise is
//! believed: what it reports after it has taken a configuration is its name for it from then on.

use std::collections::VecDeque;

use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

/// Names that are remembered of a proxy.
const MAX_NAMES: usize = 8;

/// How the hash that a proxy reports comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum HashMode {
    /// Not known: it has confirmed nothing yet.
    #[default]
    Unknown,
    /// It reports what the bytes hash to.
    Predicted,
    /// It reports something else: its names are learned, one by one.
    Learned,
}

impl HashMode {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Predicted => "predicted",
            Self::Learned => "learned",
        }
    }
}

/// What is known of a proxy's hashes.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) mode: HashMode,
    /// Our hash, and the proxy's.
    known: VecDeque<(ConfigHash, ConfigHash)>,
    open: Option<Open>,
}

/// It has taken a configuration, and not been seen to run it yet.
#[derive(Debug)]
struct Open {
    ours: ConfigHash,
    /// What it reported before.
    before: Option<ConfigHash>,
    /// Until then it may be that what it took is not effective yet.
    until: Instant,
}

/// What a report comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It runs this, under our name.
    Runs(ConfigHash),
    /// It has taken this, and is still at what it ran before.
    NotYet(ConfigHash),
    /// It has taken something, and goes on with this all the same.
    Ignored(ConfigHash),
}

impl Names {
    /// It has taken those bytes: the next report tells what it calls them.
    pub(super) fn taken(&mut self, ours: ConfigHash, before: Option<ConfigHash>, until: Instant) {
        self.open = Some(Open { ours, before, until });
    }

    /// It has recognised those bytes by their hash.
    pub(super) fn recognised(&mut self) {
        self.mode = HashMode::Predicted;
        self.open = None;
    }

    /// Another process answers than before; `same` if it is the same software.
    pub(super) fn restarted(&mut self, same: bool) {
        self.open = None;
        if !same {
            self.mode = HashMode::Unknown;
        }
    }

    /// Whether a report is awaited that confirms what it took.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Our name for what it reports.
    pub(super) fn ours(&self, reported: ConfigHash) -> ConfigHash {
        let known = self.known.iter().find(|(_, theirs)| *theirs == reported);
        known.map_or(reported, |(ours, _)| *ours)
    }

    /// Reads a report of after the last push. `is_ours` tells the hashes of configurations that are known here: they are
    /// never somebody's name for another one.
    pub(super) fn read(&mut self, reported: ConfigHash, is_ours: impl Fn(ConfigHash) -> bool, now: Instant) -> Reading {
        let Some(open) = self.open.take() else {
            return Reading::Runs(self.ours(reported));
        };
        if reported == open.ours {
            self.mode = HashMode::Predicted;
            self.known.clear();
            return Reading::Runs(reported);
        }
        if Some(reported) == open.before && !reported.is_none() {
            if now < open.until {
                let ours = open.ours;
                self.open = Some(open);
                return Reading::NotYet(ours);
            }
            return Reading::Ignored(self.ours(reported));
        }
        if self.mode == HashMode::Predicted || reported.is_none() || is_ours(reported) {
            return Reading::Runs(self.ours(reported));
        }
        self.mode = HashMode::Learned;
        self.known
            .retain(|(ours, theirs)| *ours != open.ours && *theirs != reported);
        if self.known.len() == MAX_NAMES {
            self.known.pop_front();
        }
        self.known.push_back((open.ours, reported));
        Reading::Runs(open.ours)
    }
}
