//! Nothing happens: nothing is asked of the API server.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    thread,
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::release::{NAMESPACE, in_sync};
use crate::{Arguments, cluster::Cluster, poll::eventually};

/// How many watches of one resource may end in the period: each replica's once, as the API server or the client ends it
/// after minutes. Some resources are watched in more than one way.
const WATCHES: u64 = 6;
/// How long is looked at. A figure over a time can't be had without the time.
const PERIOD: Duration = Duration::from_secs(10);

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    in_sync(cluster, 2)?;
    // What the scenario before it left to be written has its own time.
    let (leases, watches) = eventually("ten seconds without a request", 6 * PERIOD, || {
        let mut log = AuditLog::open(cluster)?;
        thread::sleep(PERIOD);
        let mut asked = of_controllers(&log.rest()?);
        let leases: u64 = asked
            .extract_if(.., |(what, _), _| what == "leases")
            .map(|(_, count)| count)
            .sum();
        let (watches, others): (Vec<_>, Vec<_>) = asked.into_iter().partition(|((_, is_watch), _)| *is_watch);
        ensure!(others.is_empty(), "in {PERIOD:?}: {others:?}");
        // One that is established again and again is no idling.
        let often: Vec<_> = watches.iter().filter(|(_, count)| *count > WATCHES).collect();
        ensure!(often.is_empty(), "watches that ended in {PERIOD:?}: {often:?}");
        // Else it would be somebody else's log.
        ensure!(leases > 0, "no Lease was renewed in {PERIOD:?}");
        Ok((leases, watches.iter().map(|(_, count)| count).sum::<u64>()))
    })?;
    println!(
        "   requests in {PERIOD:?} of idling: {leases} for the Leases, 0 others, and {watches} watches that ended"
    );
    Ok(())
}

/// Requests by resource, and by whether they were watches.
type Requests = BTreeMap<(String, bool), u64>;

/// What the API server notes of each request of a ServiceAccount: whose it was, and what for.
struct AuditLog(File);

impl AuditLog {
    /// From here on.
    fn open(cluster: &Cluster) -> anyhow::Result<Self> {
        let path = cluster.directory().join("logs/audit.log");
        let mut file = File::open(&path)
            .with_context(|| format!("no {}: was the cluster made by an earlier version?", path.display()))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    fn rest(&mut self) -> anyhow::Result<String> {
        let mut text = String::new();
        self.0.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// The requests of our controllers that are done; a watch is when it ends.
fn of_controllers(log: &str) -> Requests {
    let account = format!("system:serviceaccount:{NAMESPACE}:");
    let mut counts = Requests::new();
    // The first and the last line may be halves.
    for event in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let is_ours = event["user"]["username"]
            .as_str()
            .is_some_and(|name| name.starts_with(&account));
        if !is_ours || event["stage"] != "ResponseComplete" {
            continue;
        }
        // Discovery is about no resource.
        let what = event["objectRef"]["resource"].as_str().or(event["requestURI"].as_str());
        let key = (what.unwrap_or_default().to_owned(), event["verb"] == "watch");
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_requests_of_the_controllers_are_counted_and_no_others() {
        let line = |user: &str, verb: &str, resource: &str, stage: &str| {
            format!(
                r#"{{"stage":"{stage}","verb":"{verb}","user":{{"username":"{user}"}},"objectRef":{{"resource":"{resource}"}},"requestURI":"/api"}}"#
            )
        };
        let ours = "system:serviceaccount:gateway:silverback-kong-controller";
        let others = "system:serviceaccount:gateway-of-others:controller";
        let log = [
            line(ours, "get", "secrets", "ResponseComplete"),
            line(ours, "watch", "secrets", "ResponseStarted"),
            line(ours, "watch", "ingresses", "ResponseComplete"),
            line(ours, "update", "leases", "ResponseComplete"),
            line(ours, "update", "leases", "ResponseComplete"),
            line(others, "get", "pods", "ResponseComplete"),
            format!(
                r#"{{"stage":"ResponseComplete","verb":"get","user":{{"username":"{ours}"}},"requestURI":"/apis"}}"#
            ),
            line(ours, "get", "services", "ResponseComplete")[..20].to_owned(),
        ];
        let expected = [
            ("/apis", false, 1),
            ("ingresses", true, 1),
            ("leases", false, 2),
            ("secrets", false, 1),
        ];
        let expected = expected.map(|(what, is_watch, count)| ((what.to_owned(), is_watch), count));
        assert_eq!(of_controllers(&log.join("\n")), Requests::from(expected));
    }
}
