//! The network between controllers and proxies.

use anyhow::Context;

use super::{Bed, Random, Undo};
use crate::chaos::bed::NODES;

/// Packets to an Admin API vanish: connections seem to be there.
pub(super) fn half_open<'a>(bed: &'a Bed<'a>, random: &mut Random) -> anyhow::Result<Undo<'a>> {
    admin(bed, random, "drop")
}

/// Connections to an Admin API, old and new, are answered with RST.
pub(super) fn reset<'a>(bed: &'a Bed<'a>, random: &mut Random) -> anyhow::Result<Undo<'a>> {
    admin(bed, random, "reject with tcp reset")
}

fn admin<'a>(bed: &'a Bed<'a>, random: &mut Random, verdict: &str) -> anyhow::Result<Undo<'a>> {
    let victim = random.pick(bed.victims()?).context("no proxy")?;
    println!("              {}", victim.pod);
    let rule = format!("  ip daddr {} tcp dport 8444 {verdict}\n", victim.address);
    bed.filter(&victim.node, &rule)?;
    Ok(Box::new(move || bed.unfilter(&victim.node)))
}

/// Of all that goes to pods.
pub(super) fn loss<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    let lossy = "  ip daddr 10.244.0.0/16 meta l4proto tcp numgen random mod 100 < 1 drop\n";
    let undo = move || {
        NODES
            .iter()
            .map(|node| bed.unfilter(node))
            .fold(Ok(()), anyhow::Result::and)
    };
    for node in NODES {
        if let Err(error) = bed.filter(node, lossy) {
            // What was made is undone; what was not can't be.
            let _ = undo();
            return Err(error);
        }
    }
    Ok(Box::new(undo))
}
