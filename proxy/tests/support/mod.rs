//! What the tests of the Admin API stand on: certificates, a proxy as a process of its own, and a client.

#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod client;
pub(crate) mod pki;
pub(crate) mod process;

use std::{future::Future, time::Duration};

/// Polls until something is there; fails after 20 seconds.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    let polling = async {
        loop {
            if let Some(value) = attempt().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(20), polling).await {
        Ok(value) => value,
        Err(_) => panic!("in vain: {what}"),
    }
}
