//! The leader goes.

use std::time::Instant;

use anyhow::ensure;

use super::release::{HOST, LIMIT, NAMESPACE, change_goes_live, front, in_sync, leader, rolled_out};
use crate::{Arguments, cluster::Cluster, load::Load, poll::eventually};

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    for (way, arguments) in [
        ("asked to end", &["--wait=false"][..]),
        ("killed", &["--grace-period=0", "--force"]),
    ] {
        let before = leader(cluster)?;
        let began = Instant::now();
        cluster.kubectl(&[&["delete", "pod", "-n", NAMESPACE, &before], arguments].concat())?;
        let after = eventually("another controller leads", LIMIT, || {
            let after = leader(cluster)?;
            ensure!(after != before, "{before} still does");
            Ok(after)
        })?;
        println!(
            "   {before} was {way}; {after} leads after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        change_goes_live(cluster)?;
        rolled_out(cluster, "silverback-kong-controller")?;
    }
    in_sync(cluster, 2)?;
    load.finish()
}
