//! Waiting for a condition, with a limit.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

/// Asks until `probe` gives a value, at most `limit`; the last answer is part of the error.
pub(crate) fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(error) if began.elapsed() > limit => bail!("{what}: not within {limit:?}: {error:#}"),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}
