//! One budget for all writes: a token bucket. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Tokens that come at a rate and are kept up to a number.
#[derive(Debug)]
pub(super) struct Budget {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Budget {
    /// A full bucket.
    pub(super) fn new(rate: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        Self {
            rate: f64::from(rate.max(1)),
            burst,
            tokens: burst,
            at: now,
        }
    }

    /// Tokens that come in a second.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// When there is a token, beside those that are kept for what is more urgent: a tenth of the bucket, if `keep`.
    pub(super) fn available_at(&mut self, now: Instant, keep: bool) -> Instant {
        let passed = now.saturating_duration_since(self.at);
        self.tokens = (self.tokens + passed.as_secs_f64() * self.rate).min(self.burst);
        self.at = self.at.max(now);
        let wanted = if keep { 1.0 + (self.burst / 10.0).floor() } else { 1.0 };
        if self.tokens >= wanted {
            return now;
        }
        // Rounded up to a microsecond, so that the token is there when the time has come.
        now + Duration::from_secs_f64((wanted - self.tokens) / self.rate) + Duration::from_micros(1)
    }

    /// Takes tokens, also such as are not there yet: a write that took more requests than it seemed is paid afterwards.
    pub(super) fn take(&mut self, tokens: u32) {
        self.tokens -= f64::from(tokens);
    }
}
