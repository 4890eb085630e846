//! What a proxy calls the configurations that it was given. Pure.
//!
//! Kong and the embedded proxy report the MD5 of the bytes, which can be predicted. Of one that hashes otherwise a name is
//! learned when nothing else can explain what it reports. After a 201 an earlier push could, or somebody else's. So it is
//! sent the same once more, and has to answer that it runs that already (304): what it reported both before and after is
//! its name for it from then on.

use std::{collections::VecDeque, time::Duration};

use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

/// Names that are remembered of a proxy.
const MAX_NAMES: usize = 8;
/// How often it is asked whether it runs what it has taken, when it reports neither that nor what it ran before. Each answer
/// rules out one explanation; whatever remains is somebody else's doing.
const MAX_ASKED: u32 = 3;
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
    /// What it took and reports under a name that is not known, if at all, and how often it was asked so far.
    asked: Option<(ConfigHash, u32)>,
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
    /// How often it has been asked what it runs.
    questions: u32,
    /// What it reported before it answered that it runs that already.
    recognised: Option<ConfigHash>,
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
    /// It has taken something, and this may be its name for that: sent it once more, it will say.
    Unnamed(ConfigHash),
}

impl Names {
    /// It has taken those bytes, and will report that it runs them. `reported` is what it reported before.
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
        self.asked = self.asked.filter(|(asked, _)| *asked == ours);
        self.open = Some(Open {
            ours,
            began,
            taken: now,
            before,
            questions: 0,
            recognised: None,
        });
    }

    /// It has recognised those bytes by their hash, as it makes it: unless that is known, the next report tells what it calls
    /// them, if it is the same as the one before the push, `reported`.
    pub(super) fn recognised(&mut self, ours: ConfigHash, reported: Option<ConfigHash>, began: Instant, now: Instant) {
        self.open = None;
        self.asked = self.asked.filter(|(asked, _)| *asked == ours);
        if self.mode != HashMode::Predicted {
            self.open = Some(Open {
                ours,
                began,
                taken: now,
                before: Vec::new(),
                questions: 0,
                recognised: reported,
            });
        }
    }

    /// Whether it is to be asked, by sending it once more, if it runs that configuration.
    pub(super) fn asks(&self, ours: ConfigHash) -> bool {
        self.asked.is_some_and(|(asked, _)| asked == ours)
    }

    /// Another process answers than before; `same` if it is the same software.
    pub(super) fn restarted(&mut self, same: bool) {
        self.open = None;
        self.asked = None;
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
        self.asked = None;
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
        let name = self.ours(reported);
        if name == open.ours {
            self.asked = None;
            return Reading::Confirmed(name, open.began);
        }
        if open.before.contains(&reported) {
            if now < open.taken + EFFECTIVE_WITHIN {
                self.open = Some(open);
                return Reading::NotYet(name);
            }
            return Reading::Ignored(name);
        }
        let means_another = name != reported || reported.is_none() || is_ours(reported);
        if self.mode == HashMode::Predicted || means_another {
            return Reading::Runs(name);
        }
        if open.recognised == Some(reported) {
            self.learn(open.ours, reported);
            return Reading::Confirmed(open.ours, open.began);
        }
        let count = self.asked.map_or(0, |(_, count)| count);
        if count == MAX_ASKED {
            return Reading::Runs(reported);
        }
        self.asked = Some((open.ours, count + 1));
        Reading::Unnamed(reported)
    }

    fn learn(&mut self, ours: ConfigHash, theirs: ConfigHash) {
        self.mode = HashMode::Learned;
        self.asked = None;
        self.known.retain(|known| known.0 != ours && known.1 != theirs);
        if self.known.len() == MAX_NAMES {
            self.known.pop_front();
        }
        self.known.push_back((ours, theirs));
    }
}
