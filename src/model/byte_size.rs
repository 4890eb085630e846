//! Sizes as people read them.

use std::fmt;

/// A number of bytes: `512 bytes`, `8 MiB`, `10.2 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let Some((unit, name)) = UNITS.iter().find(|(unit, _)| self.0 >= *unit) else {
            return write!(formatter, "{} bytes", self.0);
        };
        // Rounded up: what is over a limit must not read like the limit.
        let tenths = (u128::from(self.0) * 10).div_ceil(u128::from(*unit));
        match tenths % 10 {
            0 => write!(formatter, "{} {name}", tenths / 10),
            tenth => write!(formatter, "{}.{tenth} {name}", tenths / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ByteSize;

    #[test]
    fn sizes_are_readable_and_one_over_the_limit_is_not_the_limit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1000, "1000 bytes"),
            (1024, "1 KiB"),
            (8 << 20, "8 MiB"),
            ((8 << 20) + 1, "8.1 MiB"),
            (10_695_475, "10.2 MiB"),
            (u64::MAX, "17179869184 GiB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }
}
