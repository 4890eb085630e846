//! Nothing happens: nothing is asked of the API server.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::release::{NAMESPACE, in_sync};
use crate::{Arguments, cluster::Cluster};

/// How many watches of one resource may end in the period: each replica's once, as the API server or the client ends it
/// after minutes. Some resources are watched in more than one way.
const WATCHES: u64 = 6;
/// How long is looked at. A figure over a time can't be had without the time.
const PERIOD: Duration = Duration::from_secs(60);
/// Until it must have begun: what the scenario before this one left to be written has its own time.
///
/// An event that says that all went well comes up to a minute after another one.
const QUIET_WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_secs(1);

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    in_sync(cluster, 2)?;
    let mut log = AuditLog::open(cluster)?;
    let began = Instant::now();
    let (mut asked, mut since) = (Requests::new(), began);
    while since.elapsed() < PERIOD {
        thread::sleep(POLL);
        for (key, count) in of_controllers(&log.lines()?) {
            *asked.entry(key).or_default() += count;
        }
        let others = others(&asked);
        if !others.is_empty() {
            ensure!(
                began.elapsed() < QUIET_WITHIN,
                "{:?} after the beginning: {others:?}",
                began.elapsed()
            );
            println!(
                "   {:.0} s after the beginning: {others:?}",
                began.elapsed().as_secs_f64()
            );
            (asked, since) = (Requests::new(), Instant::now());
        }
    }
    let leases = asked.get(&("leases".to_owned(), false)).copied().unwrap_or_default();
    // Else it would be somebody else's log.
    ensure!(leases > 0, "no Lease was renewed in {PERIOD:?}");
    let watches = asked.iter().filter(|((_, is_watch), _)| *is_watch);
    // One that is established again and again is no idling.
    let often: Vec<_> = watches.clone().filter(|(_, count)| **count > WATCHES).collect();
    ensure!(often.is_empty(), "watches that ended in {PERIOD:?}: {often:?}");
    let watches: u64 = watches.map(|(_, count)| count).sum();
    println!(
        "   requests in {PERIOD:?} of idling: {leases} for the Leases, 0 others, and {watches} watches that ended"
    );
    Ok(())
}

/// Requests that are not for the Leases, and no watches that ended.
fn others(asked: &Requests) -> Vec<(&str, u64)> {
    let others = asked
        .iter()
        .filter(|((what, is_watch), _)| !is_watch && what != "leases");
    others.map(|((what, _), count)| (&**what, *count)).collect()
}

/// Requests by resource, and by whether they were watches.
type Requests = BTreeMap<(String, bool), u64>;

/// What the API server notes of each request of a ServiceAccount: whose it was, and what for.
struct AuditLog {
    file: File,
    /// The beginning of a line that is being written.
    rest: String,
}

impl AuditLog {
    /// From here on.
    fn open(cluster: &Cluster) -> anyhow::Result<Self> {
        let path = cluster.directory().join("logs/audit.log");
        let mut file = File::open(&path)
            .with_context(|| format!("no {}: was the cluster made by an earlier version?", path.display()))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file,
            rest: String::new(),
        })
    }

    /// The lines since this was asked last.
    fn lines(&mut self) -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let end = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.rest.split_off(end);
        Ok(std::mem::replace(&mut self.rest, rest))
    }
}

/// The requests of our controllers that are done; a watch is when it ends.
fn of_controllers(log: &str) -> Requests {
    let account = format!("system:serviceaccount:{NAMESPACE}:");
    let mut counts = Requests::new();
    // The first line may be a half.
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
        let foreign = "system:serviceaccount:gateway-of-others:controller";
        let log = [
            line(ours, "get", "secrets", "ResponseComplete"),
            line(ours, "watch", "secrets", "ResponseStarted"),
            line(ours, "watch", "ingresses", "ResponseComplete"),
            line(ours, "update", "leases", "ResponseComplete"),
            line(ours, "update", "leases", "ResponseComplete"),
            line(foreign, "get", "pods", "ResponseComplete"),
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
        let asked = of_controllers(&log.join("\n"));
        assert_eq!(asked, Requests::from(expected));
        assert_eq!(others(&asked), [("/apis", 1), ("secrets", 1)]);
    }
}
