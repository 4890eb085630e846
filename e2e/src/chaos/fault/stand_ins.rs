//! Proxies that hang at one stage each: when they are connected to, after the handshake, in the middle of an answer, in the middle
//! of a configuration that they read, and when they have read it.

use anyhow::ensure;

use super::{Bed, Random, Undo};
use crate::{
    poll::eventually,
    scenario::{
        bad_proxy,
        release::{LIMIT, NAMESPACE, SHOP, all_answer_for, condition, ingress_of},
    },
};

/// As `testapp bad-proxy` calls them.
const WAYS: [&str; 5] = ["hangs", "silent", "half", STOPS_READING, "stalls"];
const STOPS_READING: &str = "body";
/// What that one says once it has read so much that it reads no more.
const SAID: &str = "and reads no more";

/// Makes the configuration larger than what the kernels hold between a controller and a proxy that does not read, in bytes. More
/// than 256 KiB `kubectl apply` does not take.
const LARGE: usize = 200 << 10;
const LARGE_HOST: &str = "large.example";

pub(super) fn hang<'a>(bed: &'a Bed<'a>, _: &mut Random) -> anyhow::Result<Undo<'a>> {
    bed.cluster.apply(&large())?;
    if let Err(error) = begin(bed) {
        // What is told is why they could not be made.
        let _ = remove(bed);
        return Err(error);
    }
    Ok(Box::new(|| {
        let outcome = all_hang(bed);
        remove(bed)?;
        outcome
    }))
}

/// They get what there is when they come: it has to be large before.
fn begin(bed: &Bed<'_>) -> anyhow::Result<()> {
    all_answer_for(bed.cluster, LARGE_HOST, "/", 418)?;
    let pods: String = WAYS
        .iter()
        .map(|way| bad_proxy(way, &bed.arguments.application_image))
        .collect();
    bed.cluster.apply(&pods)
}

fn remove(bed: &Bed<'_>) -> anyhow::Result<()> {
    let pods = ["delete", "pods", "-n", NAMESPACE, "-l", "bad-proxy", "--timeout=60s"];
    let large = ["delete", "ingress/large", "kongplugin/large", "-n", SHOP];
    let outcomes = [bed.cluster.kubectl(&pods), bed.cluster.kubectl(&large)];
    outcomes
        .into_iter()
        .map(|outcome| outcome.map(drop))
        .fold(Ok(()), anyhow::Result::and)
}

/// Each has come to its stage, as its row tells: it does not run what it shall.
fn all_hang(bed: &Bed<'_>) -> anyhow::Result<()> {
    for way in WAYS {
        let name = format!("bad-{way}");
        eventually(&format!("the row of {name} says that it is behind"), LIMIT, || {
            let row = bed.cluster.get(&["proxyinstance", "-n", NAMESPACE, &name])?;
            let synced = condition(&row, "Synced")?;
            ensure!(synced["status"] == "False", "Synced is {synced}");
            Ok(())
        })?;
    }
    let log = bed
        .cluster
        .kubectl(&["logs", "-n", NAMESPACE, &format!("bad-{STOPS_READING}")])?;
    ensure!(
        log.contains(SAID),
        "no configuration has met the one that stops reading: {log}"
    );
    Ok(())
}

/// A route that always answers the same, at length.
fn large() -> String {
    let message = "x".repeat(LARGE);
    let route = ingress_of("large", LARGE_HOST, "/", "web").replace(
        "metadata: {name: large,",
        "metadata: {annotations: {konghq.com/plugins: large}, name: large,",
    );
    format!(
        "apiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nmetadata: {{name: large, namespace: {SHOP}}}\n\
         plugin: request-termination\nconfig: {{status_code: 418, message: {message}}}\n---\n{route}"
    )
}
