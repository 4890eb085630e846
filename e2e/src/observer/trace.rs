//! One thing that is claimed, beside what it was seen to be: by how much the claim is behind. Pure.

use std::{collections::VecDeque, time::Duration};

/// Values that are remembered: at one change a second, more than any tolerance is long.
const REMEMBERED: usize = 256;

/// How a claim stands to what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// How long ago it was true last; one that was never true is behind since it was made.
    pub(super) behind: Duration,
    /// For how long that has been claimed.
    pub(super) claimed_for: Duration,
}

/// What was seen, and when each value was seen last. Times count from the beginning of the observation.
#[derive(Debug)]
pub(super) struct Trace<T> {
    seen: VecDeque<(T, Duration)>,
    claimed: Option<(T, Duration)>,
    comparable: bool,
}

impl<T> Default for Trace<T> {
    fn default() -> Self {
        Self {
            seen: VecDeque::new(),
            claimed: None,
            comparable: false,
        }
    }
}

impl<T: Clone + PartialEq> Trace<T> {
    /// Takes in what is so now, and what is claimed. `None` is what can't be seen, or a claim that is not made: nothing
    /// can be compared then, and when it can be again, the claim has all of the tolerance before it.
    ///
    /// A claim that follows something that changes all the time is never quite true, and not wrong either: what counts is
    /// how long ago it was true last.
    pub(super) fn look(&mut self, now: Duration, truth: Option<T>, claim: Option<T>) -> Option<Standing> {
        let (Some(truth), Some(claim)) = (truth, claim) else {
            self.comparable = false;
            return None;
        };
        if !std::mem::replace(&mut self.comparable, true) {
            self.seen.clear();
            self.seen.push_back((claim.clone(), now));
            self.claimed = None;
        }
        self.see(truth, now);
        let since = match &self.claimed {
            Some((claimed, since)) if *claimed == claim => *since,
            _ => now,
        };
        let last = self.seen.iter().find(|(value, _)| *value == claim).map(|(_, at)| *at);
        self.claimed = Some((claim, since));
        Some(Standing {
            behind: now.saturating_sub(last.unwrap_or(since)),
            claimed_for: now.saturating_sub(since),
        })
    }

    fn see(&mut self, truth: T, now: Duration) {
        if let Some(known) = self.seen.iter_mut().find(|(value, _)| *value == truth) {
            known.1 = now;
            return;
        }
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back((truth, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// How far behind a claim is.
    fn behind<T: Clone + PartialEq>(
        trace: &mut Trace<T>,
        second: u64,
        truth: Option<T>,
        claim: Option<T>,
    ) -> Option<Duration> {
        let standing = trace.look(seconds(second), truth, claim);
        standing.map(|standing| standing.behind)
    }

    #[test]
    fn a_claim_that_follows_is_as_old_as_what_it_says() {
        let mut trace = Trace::default();
        // It changes every second, and is told two seconds later.
        for second in 0..60_u64 {
            let lag = behind(&mut trace, second, Some(second), Some(second.saturating_sub(2)));
            assert_eq!(lag, Some(seconds(second.min(2))), "at {second}");
        }
    }

    #[test]
    fn a_claim_that_stays_gets_ever_older() {
        let mut trace = Trace::default();
        assert_eq!(behind(&mut trace, 0, Some("a"), Some("a")), Some(seconds(0)));
        for second in 1..30 {
            let lag = behind(&mut trace, second, Some("b"), Some("a"));
            assert_eq!(lag, Some(seconds(second)));
        }
        assert_eq!(behind(&mut trace, 30, Some("a"), Some("a")), Some(seconds(0)));
    }

    #[test]
    fn what_was_never_true_is_behind_since_it_was_said() {
        let mut trace = Trace::default();
        behind(&mut trace, 0, Some("a"), Some("a"));
        assert_eq!(behind(&mut trace, 5, Some("a"), Some("z")), Some(seconds(0)));
        assert_eq!(behind(&mut trace, 9, Some("a"), Some("z")), Some(seconds(4)));
    }

    #[test]
    fn what_can_not_be_compared_counts_for_nothing_and_is_forgiven() {
        let mut trace = Trace::default();
        behind(&mut trace, 0, Some("a"), Some("a"));
        assert_eq!(behind(&mut trace, 8, Some("b"), Some("a")), Some(seconds(8)));
        assert_eq!(behind(&mut trace, 20, None, Some("a")), None);
        assert_eq!(behind(&mut trace, 40, Some("b"), None), None);
        assert_eq!(behind(&mut trace, 60, Some("b"), Some("a")), Some(seconds(0)));
        assert_eq!(behind(&mut trace, 63, Some("b"), Some("a")), Some(seconds(3)));
    }

    #[test]
    fn a_claim_that_comes_back_is_as_old_as_its_truth_and_has_just_been_made() {
        let mut trace = Trace::default();
        trace.look(seconds(0), Some("up"), Some("up"));
        trace.look(seconds(10), Some("down"), Some("down"));
        let standing = trace.look(seconds(20), Some("down"), Some("up"));
        assert_eq!(
            standing,
            Some(Standing {
                behind: seconds(20),
                claimed_for: seconds(0),
            })
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut trace = Trace::default();
        for second in 0..10_000 {
            behind(&mut trace, second, Some(second), Some(0));
        }
        assert_eq!(trace.seen.len(), REMEMBERED);
        assert_eq!(
            behind(&mut trace, 10_000, Some(10_000), Some(0)),
            Some(seconds(10_000)),
            "a claim that is older than memory is as old as it is"
        );
    }
}
