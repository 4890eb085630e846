//! Limits over all proxies together: pushes under way at once, and bytes per second.
//!
//! A push that takes long gives its place up, or a few proxies that hang would hold all others back. What is under way at
//! once is bounded all the same: with S places and a time-out of T, by S for each five seconds of T, and as few only where all are
//! slow.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::Settings;
use crate::model::ProxyId;

/// After this a push does not count any more: a slow or hung proxy must delay no other (DESIGN.md §3 rule 3).
const HOLDS_SLOT_FOR: Duration = Duration::from_secs(5);

/// Says whether another push may begin.
pub(super) struct Throttle {
    slots: usize,
    bytes_per_second: Option<u64>,
    /// Pushes that count, with their beginning.
    under_way: HashMap<ProxyId, Instant>,
    /// When what has been sent so far is paid for at the allowed rate.
    paid_at: Option<Instant>,
}

impl Throttle {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            slots: settings.max_concurrent_pushes.max(1),
            bytes_per_second: settings.max_push_bandwidth.filter(|&rate| rate > 0),
            under_way: HashMap::new(),
            paid_at: None,
        }
    }

    /// Whether a push may begin now; if not, when to ask again (`None`: when one ends).
    pub(super) fn admits(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        self.under_way
            .retain(|_, &mut began| now.duration_since(began) < HOLDS_SLOT_FOR);
        if let Some(at) = self.paid_at.filter(|&at| at > now) {
            return Err(Some(at));
        }
        if self.under_way.len() >= self.slots {
            return Err(self.under_way.values().min().map(|&began| began + HOLDS_SLOT_FOR));
        }
        Ok(())
    }

    /// A push of so many bytes begins. However large it is, it is sent as a whole, and paid for by those after it.
    pub(super) fn begin(&mut self, proxy: &ProxyId, bytes: usize, now: Instant) {
        self.under_way.insert(proxy.clone(), now);
        if let Some(rate) = self.bytes_per_second {
            let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
            self.paid_at = Some(self.paid_at.map_or(now, |at| at.max(now)) + cost);
        }
    }

    pub(super) fn end(&mut self, proxy: &ProxyId) {
        self.under_way.remove(proxy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(slots: usize, rate: Option<u64>) -> Throttle {
        Throttle::new(&Settings {
            max_concurrent_pushes: slots,
            max_push_bandwidth: rate,
            ..Settings::default()
        })
    }

    fn id(name: &str) -> ProxyId {
        ProxyId(name.into())
    }

    #[test]
    fn slots_are_bounded_and_a_hung_push_gives_its_slot_back() {
        let now = Instant::now();
        let mut throttle = throttle(1, None);
        assert_eq!(throttle.admits(now), Ok(()));
        throttle.begin(&id("hung"), 1, now);
        assert_eq!(throttle.admits(now), Err(Some(now + HOLDS_SLOT_FOR)));
        assert_eq!(throttle.admits(now + HOLDS_SLOT_FOR), Ok(()));
        throttle.begin(&id("quick"), 1, now);
        throttle.end(&id("quick"));
        assert_eq!(throttle.admits(now), Ok(()));
    }

    #[test]
    fn bytes_are_paid_for() {
        let now = Instant::now();
        let mut throttle = throttle(100, Some(1000));
        throttle.begin(&id("a"), 500, now);
        assert_eq!(throttle.admits(now), Err(Some(now + Duration::from_millis(500))));
        let later = now + Duration::from_millis(500);
        assert_eq!(throttle.admits(later), Ok(()));
        throttle.begin(&id("b"), 10_000, later);
        assert_eq!(
            throttle.admits(later + Duration::from_secs(9)),
            Err(Some(later + Duration::from_secs(10)))
        );
        // Idle time is not saved up.
        let idle = later + Duration::from_secs(100);
        throttle.begin(&id("c"), 1000, idle);
        assert_eq!(throttle.admits(idle), Err(Some(idle + Duration::from_secs(1))));
    }
}
