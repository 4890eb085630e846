//! How the fleet is driven: limits set by flags.

use std::time::Duration;

/// Limits of the fleet.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The part of its time, in percent (1 to 100), that a Kong proxy may spend on applying configurations
    /// (`--push-duty`): at 25 it rests three times as long as its last apply took. 100 is no rest.
    pub push_duty: u8,
    /// Pushes under way at once, over all proxies (`--max-concurrent-pushes`); those that take long do not count.
    pub max_concurrent_pushes: usize,
    /// Bytes per second sent to all proxies together (`--max-push-bandwidth`); `None` is no limit.
    pub max_push_bandwidth: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            push_duty: 25,
            max_concurrent_pushes: 64,
            max_push_bandwidth: None,
        }
    }
}

impl Settings {
    /// How long a proxy rests after an apply that took so long.
    pub(super) fn rest_after(&self, took: Duration) -> Duration {
        let duty = u32::from(self.push_duty.clamp(1, 100));
        took * (100 - duty) / duty
    }
}
