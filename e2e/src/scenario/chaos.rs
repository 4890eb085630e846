//! Everything that happens to a fleet, and an observer that compares what proxies run with what their rows say.

use std::{thread, time::Duration};

use anyhow::{Context, ensure};

use super::release::{NAMESPACE, in_sync, pods};
use crate::{
    Arguments,
    chaos::{self, Bed, Plan},
    cluster::Cluster,
    observer::Aspect,
    poll::eventually,
};

const CONTROLLER: &str = "deployment/silverback-kong-controller";
/// How long the observer looks before anything happens.
const BEFORE: Duration = Duration::from_secs(3);
/// Until it must have said that a row is wrong: its tolerances, and time to look.
const TOLD: Duration = Duration::from_secs(30);

pub(super) fn short(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let plan = Plan {
        duration: Duration::from_secs(180),
        seed: arguments.seed,
        proxies: 3,
        brief: true,
    };
    chaos::run(cluster, arguments, plan)
}

pub(super) fn long(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let plan = Plan {
        duration: Duration::from_secs(60 * arguments.minutes),
        seed: arguments.seed,
        proxies: 8,
        brief: false,
    };
    chaos::run(cluster, arguments, plan)
}

/// Who asks proxies once an hour does not see what happens to them: the report must show it, or it shows nothing ever.
pub(super) fn can_fail(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    probe_every(cluster, "CONTROLLER_PROBE_INTERVAL=1h")?;
    let outcome = unnoticed(cluster, arguments);
    probe_every(cluster, "CONTROLLER_PROBE_INTERVAL-")?;
    outcome?;
    in_sync(cluster, 2)
}

fn unnoticed(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    in_sync(cluster, 2)?;
    let bed = Bed::new(cluster, arguments, 2, None)?;
    let proxy = pods(cluster)?.into_iter().next().context("no proxy")?.name;
    let observer = bed.observe()?;
    observer.during("calm");
    thread::sleep(BEFORE);
    ensure!(
        observer.mismatches() == 0,
        "there are mismatches before anything happened"
    );
    observer.during("somebody else configures a proxy, and nobody looks");
    bed.write_as_a_stranger(&proxy, "unnoticed")?;
    let told = eventually(
        "the observer shows that the row is wrong, hash and Synced",
        TOLD,
        || {
            let shown = observer.mismatches();
            ensure!(shown >= 2, "it shows {shown}");
            Ok(())
        },
    );
    let report = observer.finish()?;
    for line in report.text().lines() {
        println!("   {line}");
    }
    told?;
    let found = &report.findings.mismatches;
    let aspects: Vec<Aspect> = found.iter().map(|found| found.aspect).collect();
    ensure!(
        aspects == [Aspect::Hash, Aspect::Synced] && found.iter().all(|found| found.proxy == proxy),
        "mismatches where nothing happened, or none where something did: {found:?}"
    );
    Ok(())
}

fn probe_every(cluster: &Cluster, setting: &str) -> anyhow::Result<()> {
    cluster.kubectl(&["set", "env", "-n", NAMESPACE, CONTROLLER, setting])?;
    cluster
        .kubectl(&["rollout", "status", "-n", NAMESPACE, CONTROLLER, "--timeout=120s"])
        .map(drop)
}
