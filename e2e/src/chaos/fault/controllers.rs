//! The leader ends, stops, or is cut off.

use super::{Bed, Random, Undo};

/// As the kernel does when memory runs out.
pub(super) fn killed<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    bed.signal(&bed.leader()?, "SIGKILL")?;
    Ok(Box::new(|| Ok(())))
}

pub(super) fn frozen<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    let leader = bed.leader()?;
    bed.signal(&leader, "SIGSTOP")?;
    Ok(Box::new(move || bed.signal(&leader, "SIGCONT")))
}

pub(super) fn cut_off<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    let leader = bed.leader()?;
    bed.cluster.node(&leader.node, "partition")?;
    Ok(Box::new(move || {
        bed.cluster.node(&leader.node, "heal")?;
        bed.cluster
            .kubectl(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"])
            .map(drop)
    }))
}
