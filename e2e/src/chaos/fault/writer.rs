//! Somebody else who configures proxies.

use anyhow::Context;

use super::{Bed, Random, Undo};

pub(super) fn foreign<'a>(bed: &'a Bed<'a>, random: &mut Random) -> anyhow::Result<Undo<'a>> {
    let victim = random.pick(bed.victims()?).context("no proxy")?;
    println!("              {}", victim.pod);
    bed.write_as_a_stranger(&victim.pod, "foreign")?;
    Ok(Box::new(|| Ok(())))
}
