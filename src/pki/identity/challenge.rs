//! Challenges: each is good once, and for a minute. No IO, no clock.
//!
//! A challenge carries its time and a MAC, so that asking for many costs no memory; only those that were used are
//! remembered, as long as they would be good.

use std::collections::BTreeMap;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac, rand};
use jiff::Timestamp;

/// How long a challenge is good, in seconds.
const GOOD_FOR: i64 = 60;
/// Used ones that are remembered; beyond that nobody is answered until some have run out.
const MOST: usize = 16_384;
/// Digits of the time and of the random part.
const TIME: usize = 8;
const RANDOM: usize = 16;
/// Digits of the MAC: all in all what a common name may have.
const MAC: usize = 40;

/// Makes challenges and takes them back.
pub(super) struct Challenges {
    key: hmac::Key,
    used: BTreeMap<String, i64>,
}

impl Challenges {
    pub(super) fn new() -> Self {
        let mut secret = [0; 32];
        rand::fill(&mut secret).expect("the system gives random bytes");
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            used: BTreeMap::new(),
        }
    }

    /// A new challenge: 64 hexadecimal digits.
    pub(super) fn make(&self, now: Timestamp) -> String {
        let mut random = [0; RANDOM / 2];
        rand::fill(&mut random).expect("the system gives random bytes");
        let said = format!("{:0TIME$x}{}", now.as_second(), hexadecimal(&random));
        let mac = self.mac(&said);
        said + &mac
    }

    /// Takes a challenge: `false` if it is not one of ours, too old, or was taken before.
    pub(super) fn take(&mut self, challenge: &str, now: Timestamp) -> bool {
        let second = now.as_second();
        self.used.retain(|_, until| second <= *until);
        let Some(until) = self.good_until(challenge) else {
            return false;
        };
        if second > until || self.used.len() >= MOST {
            return false;
        }
        self.used.insert(challenge.to_owned(), until).is_none()
    }

    /// Whether it is worth to look further: ours, and neither old nor used.
    pub(super) fn is_good(&self, challenge: &str, now: Timestamp) -> bool {
        let until = self.good_until(challenge);
        until.is_some_and(|until| now.as_second() <= until) && !self.used.contains_key(challenge)
    }

    fn good_until(&self, challenge: &str) -> Option<i64> {
        if challenge.len() != TIME + RANDOM + MAC || !challenge.is_ascii() {
            return None;
        }
        let (said, mac) = challenge.split_at(TIME + RANDOM);
        verify_slices_are_equal(mac.as_bytes(), self.mac(said).as_bytes()).ok()?;
        let made = i64::from_str_radix(&said[..TIME], 16).ok()?;
        Some(made + GOOD_FOR)
    }

    fn mac(&self, said: &str) -> String {
        hexadecimal(&hmac::sign(&self.key, said.as_bytes()).as_ref()[..MAC / 2])
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    #[test]
    fn a_challenge_is_good_once_and_for_a_minute() {
        let mut challenges = Challenges::new();
        let challenge = challenges.make(at(0));
        assert_eq!(challenge.len(), 64, "it has to fit a common name");
        assert!(challenges.is_good(&challenge, at(60)) && !challenges.is_good(&challenge, at(61)));
        assert!(challenges.take(&challenge, at(30)));
        assert!(!challenges.take(&challenge, at(31)), "a replay");
        assert!(!challenges.is_good(&challenge, at(31)));
        let late = challenges.make(at(40));
        assert!(!challenges.take(&late, at(101)));
        assert!(challenges.used.is_empty(), "those that are over are forgotten");
        assert!(!challenges.take(&challenge, at(200)), "and good for nothing");
    }

    #[test]
    fn what_was_not_made_here_is_no_challenge() {
        let mut challenges = Challenges::new();
        let good = challenges.make(at(0));
        let foreign = Challenges::new().make(at(0));
        let later = format!("{:08x}{}", at(3600).as_second(), &good[8..]);
        for text in ["", "x", &foreign, &later, &good[..63], &"é".repeat(32)] {
            assert!(!challenges.take(text, at(1)), "{text:?}");
        }
        assert!(challenges.take(&good, at(1)));
    }
}
