//! Durations as the Gateway API writes them (GEP-2257): `1h30m`, `500ms`. Pure.

use std::time::Duration;

/// Reads a duration: up to four numbers of at most five digits, each with a unit.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.len()
            - rest
                .trim_start_matches(|character: char| character.is_ascii_digit())
                .len();
        let number: u64 = rest
            .get(..digits)
            .filter(|digits| (1..=5).contains(&digits.len()))?
            .parse()
            .ok()?;
        rest = &rest[digits..];
        let (unit, width) = match rest.as_bytes() {
            [b'm', b's', ..] => (Duration::from_millis(1), 2),
            [b'h', ..] => (Duration::from_secs(3600), 1),
            [b'm', ..] => (Duration::from_secs(60), 1),
            [b's', ..] => (Duration::from_secs(1), 1),
            _ => return None,
        };
        total += unit * u32::try_from(number).expect("five digits fit");
        rest = &rest[width..];
        parts += 1;
    }
    (1..=4).contains(&parts).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_the_gateway_api() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("1h30m", 5_400_000),
            ("1m2s3ms", 62_003),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "123456s",
            "1h1m1s1ms1s",
            "1d",
            "1 s",
            "1é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
