//! Proxies that hang at one stage each: when they are connected to, after the handshake, in the middle of an answer, and with
//! a configuration.

use super::{Bed, Random, Undo};
use crate::scenario::{bad_proxy, release::NAMESPACE};

/// As `testapp bad-proxy` calls them.
const WAYS: [&str; 4] = ["hangs", "silent", "half", "stalls"];

pub(super) fn hang<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    let pods: String = WAYS
        .iter()
        .map(|way| bad_proxy(way, &bed.arguments.application_image))
        .collect();
    bed.cluster.apply(&pods)?;
    Ok(Box::new(|| {
        bed.cluster
            .kubectl(&["delete", "pods", "-n", NAMESPACE, "-l", "bad-proxy", "--timeout=60s"])
            .map(drop)
    }))
}
