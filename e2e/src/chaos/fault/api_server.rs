//! The API server is away, hangs, or forgets who watches.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context;

use super::{Bed, Random, Undo};
use crate::{poll::eventually, scenario::release::LIMIT};

/// The test bed starts it again a second after its end: somebody has to keep it down.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) fn down<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    let (cluster, up) = (bed.cluster.clone(), Arc::new(AtomicBool::new(false)));
    let end = Arc::clone(&up);
    let keeper = thread::spawn(move || {
        while !end.load(Ordering::Relaxed) {
            // It is not there most of the time.
            let _ = cluster.signal_api_server("KILL");
            thread::sleep(AGAIN);
        }
    });
    Ok(Box::new(move || {
        up.store(true, Ordering::Relaxed);
        keeper.join().ok().context("whoever kept it down panicked")?;
        back(bed)
    }))
}

pub(super) fn frozen<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    bed.cluster.signal_api_server("STOP")?;
    Ok(Box::new(|| {
        bed.cluster.signal_api_server("CONT")?;
        back(bed)
    }))
}

/// It starts again, with an empty cache: who goes on from where he was is told that this is too old (410).
pub(super) fn cut_watches<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    bed.cluster.restart_api_server()?;
    Ok(Box::new(|| Ok(())))
}

fn back(bed: &Bed<'_>) -> anyhow::Result<()> {
    eventually("the API server is back", LIMIT, || {
        bed.cluster.kubectl(&["get", "--raw", "/readyz"])
    })
    .map(drop)
}
