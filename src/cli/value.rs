//! Values of flags, as Kong Ingress Controller writes them.

use std::time::Duration;

/// Reads a duration: `5s`, `1m30s`, `250ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    // Go writes no unit after zero.
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let signed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| format!("{text:?} is no duration; write it like 5s, 1m30s or 250ms"))?;
    Duration::try_from(signed).map_err(|_| format!("{text:?} is negative"))
}

/// Reads a duration that is not nothing.
pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err(format!("{text:?} is too short")),
        duration => Ok(duration),
    }
}

/// Reads a number of seconds that may have a fraction, as `--proxy-timeout-seconds` takes it.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|_| format!("{text:?} is no usable number of seconds"))
}

/// Reads `host:port`, or `:port` for all addresses of both families; those of IPv4 where there are no others.
pub(super) fn listen_address(text: &str) -> Result<std::net::SocketAddr, String> {
    let full = match text.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => text.replace("localhost:", "127.0.0.1:"),
    };
    full.parse()
        .map_err(|_| format!("{text:?} is no address; write it like 127.0.0.1:10254 or :10254"))
}

/// Reads a number of bytes a second: `10485760`, `10M`, `512k`.
pub(super) fn byte_count(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.char_indices().find(|(_, letter)| !letter.is_ascii_digit()) {
        None => (text, 1),
        Some((at, _)) => (
            &text[..at],
            match &text[at..] {
                "k" | "K" | "Ki" => 1 << 10,
                "m" | "M" | "Mi" => 1 << 20,
                "g" | "G" | "Gi" => 1 << 30,
                unit => return Err(format!("{unit:?} is no unit; use k, M or G")),
            },
        ),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("{text:?} is no number of bytes; write it like 10M"))?;
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("{text:?} is too large"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("1h0m0s"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert!(positive_duration("0s").is_err());
        assert!(duration("5").unwrap_err().contains("5s"));
        assert!(duration("-5s").unwrap_err().contains("negative"));
    }

    #[test]
    fn addresses_may_leave_the_host_out() {
        assert_eq!(listen_address(":10254"), Ok("[::]:10254".parse().expect("an address")));
        assert_eq!(
            listen_address("127.0.0.1:1"),
            Ok("127.0.0.1:1".parse().expect("an address"))
        );
        assert!(listen_address("10254").is_err());
    }

    #[test]
    fn byte_counts_take_units() {
        assert_eq!(byte_count("10M"), Ok(10 << 20));
        assert_eq!(byte_count("512k"), Ok(512 << 10));
        assert_eq!(byte_count("7"), Ok(7));
        assert!(byte_count("7x").is_err());
    }
}
