//! How long a target takes to begin its answers: a mean that forgets (Kong: algorithm `latency`).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// After this long an observation counts for about a third.
const DECAY: Duration = Duration::from_secs(10);

/// An exponentially weighted moving mean. An observation counts by the time since the one before, so that a burst of
/// answers weighs no more than a single one.
#[derive(Debug, Default)]
pub(super) struct Latency(Mutex<Option<(Duration, Instant)>>);

impl Latency {
    /// Takes one more observation in.
    pub(super) fn observe(&self, took: Duration, now: Instant) {
        let mut mean = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match *mean {
            None => took,
            Some((mean, at)) => {
                let kept = (-now.saturating_duration_since(at).as_secs_f64() / DECAY.as_secs_f64()).exp();
                mean.mul_f64(kept) + took.mul_f64(1.0 - kept)
            }
        };
        *mean = Some((next, now));
    }

    /// The mean; `None` before the first observation.
    pub(super) fn mean(&self) -> Option<Duration> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .map(|(mean, _)| mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_observations_are_forgotten() {
        let (latency, start) = (Latency::default(), Instant::now());
        assert_eq!(latency.mean(), None);
        latency.observe(Duration::from_secs(1), start);
        assert_eq!(latency.mean(), Some(Duration::from_secs(1)));
        latency.observe(Duration::ZERO, start + DECAY);
        let third = latency.mean().expect("observed");
        assert!(
            third.abs_diff(Duration::from_millis(368)) < Duration::from_millis(1),
            "{third:?}"
        );
        latency.observe(Duration::ZERO, start + 10 * DECAY);
        assert!(latency.mean().expect("observed") < Duration::from_millis(1));
    }
}
