//! What a proxy calls the configurations that it was given. Pure.
//!
//! Kong and the embedded proxy report the MD5 of the bytes, which can be predicted. A proxy that hashes otherwise is
//! believed: what it reports after it has taken a configuration is its name for it from then on.

use std::{collections::VecDeque, time::Duration};

use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

/// Names that are remembered of a proxy.
const MAX_NAMES: usize = 8;
/// How long a proxy that has taken a configuration may go on reporting the one before. Less than the 10 s within which
/// whatever is shown of a proxy has to be true.
pub(super) const EFFECTIVE_WITHIN: Duration = Duration::from_secs(8);
/// Between the first answer that does not confirm what it took and the next question.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The same, after some.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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
    /// What it took last, until it reports it.
    pub(super) open: Option<Open>,
}

/// It has answered that it took a configuration, and not reported yet that it runs it.
#[derive(Debug)]
pub(super) struct Open {
    /// That configuration.
    pub(super) ours: ConfigHash,
    /// When the push of it began.
    pub(super) began: Instant,
    /// When it answered.
    pub(super) taken: Instant,
    /// What it may report as long as that is not effective: what it ran before, and what it took since.
    before: Vec<ConfigHash>,
    /// How often it has been asked.
    questions: u32,
}

impl Open {
    /// How long to wait before it is asked again: soon at first, since mostly a moment is all that is missing.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.questions.min(6))
            .min(LONGEST_PAUSE);
        self.questions = self.questions.saturating_add(1);
        pause
    }
}

/// What a report comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It runs this, under our name.
    Runs(ConfigHash),
    /// It runs this, which it has taken before: the push of it began then.
    Confirmed(ConfigHash, Instant),
    /// It has taken something, and is still at this.
    NotYet(ConfigHash),
    /// It has taken something, and goes on with this all the same.
    Ignored(ConfigHash),
}

impl Names {
    /// It has taken those bytes: the next report tells what it calls them. `reported` is what it reported before.
    pub(super) fn taken(&mut self, ours: ConfigHash, reported: Option<ConfigHash>, began: Instant, now: Instant) {
        let earlier = self.open.take();
        let earlier = earlier
            .into_iter()
            .flat_map(|open| [open.ours].into_iter().chain(open.before));
        let mut before: Vec<ConfigHash> = Vec::new();
        // The newest first: they are the likeliest, and kept.
        for hash in reported.into_iter().chain(earlier).filter(|hash| *hash != ours) {
            if !before.contains(&hash) {
                before.push(hash);
            }
        }
        before.truncate(MAX_NAMES);
        self.open = Some(Open {
            ours,
            began,
            taken: now,
            before,
            questions: 0,
        });
    }

    /// It has recognised those bytes by their hash, as it makes it: unless that is known, the next report tells what it calls
    /// them.
    pub(super) fn recognised(&mut self, ours: ConfigHash, began: Instant, now: Instant) {
        self.open = None;
        if self.mode != HashMode::Predicted {
            self.taken(ours, None, began, now);
        }
    }

    /// Another process answers than before; `same` if it is the same software.
    pub(super) fn restarted(&mut self, same: bool) {
        self.open = None;
        if !same {
            self.mode = HashMode::Unknown;
        }
    }

    /// Our name for what it reports.
    pub(super) fn ours(&self, reported: ConfigHash) -> ConfigHash {
        let known = self.known.iter().find(|(_, theirs)| *theirs == reported);
        known.map_or(reported, |(ours, _)| *ours)
    }

    /// Whether a report of while the next push is under way confirms what it took last: if so, that is settled. A name
    /// that is not known could be of either.
    pub(super) fn confirms(&mut self, reported: ConfigHash) -> Option<Instant> {
        let open = self.open.take_if(|open| open.ours == reported)?;
        self.mode = HashMode::Predicted;
        self.known.clear();
        Some(open.began)
    }

    /// Reads a report of after the last push. `is_ours` tells the hashes of configurations that are known here: they are
    /// never somebody's name for another one.
    pub(super) fn read(&mut self, reported: ConfigHash, is_ours: impl Fn(ConfigHash) -> bool, now: Instant) -> Reading {
        if let Some(began) = self.confirms(reported) {
            return Reading::Confirmed(reported, began);
        }
        let Some(open) = self.open.take() else {
            return Reading::Runs(self.ours(reported));
        };
        if open.before.contains(&reported) {
            if now < open.taken + EFFECTIVE_WITHIN {
                self.open = Some(open);
                return Reading::NotYet(self.ours(reported));
            }
            // Without any configuration it is better given one once more than left alone.
            if !reported.is_none() {
                return Reading::Ignored(self.ours(reported));
            }
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
        Reading::Confirmed(open.ours, open.began)
    }
}
