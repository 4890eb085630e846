//! Which controller the proxies take configurations from, where two compete for one Lease: told by the proxies themselves, of
//! which each says under which leadership a configuration was sent, and by the Lease, which says whose that was. Two that push
//! at a time, or one that goes on after another has begun, show as a leadership that comes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, bail, ensure};

use super::edge::NAMESPACE;
use crate::cluster::{Cluster, Followed};

/// How often new proxies are looked for: they live for longer.
const PERIOD: Duration = Duration::from_secs(1);
/// The proxies of the ingress chart; the controllers bear the same component there.
const PROXIES: &str = "app.kubernetes.io/component=app,app.kubernetes.io/name=gateway";

/// Logs of proxies by their pods; a log that has broken off is followed anew.
type Logs = BTreeMap<String, Vec<Followed>>;

/// Follows the logs of all proxies, and the Lease.
pub(super) struct Pushes {
    logs: Arc<Mutex<Logs>>,
    lease: Followed,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A configuration that a proxy has taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Taken {
    at: jiff::Timestamp,
    proxy: String,
    /// UID and transitions of the Lease; `None` for a sender that asked for none.
    leadership: Option<String>,
}

/// What was sent under one leadership.
#[derive(Debug, PartialEq, Eq)]
struct Reign {
    leadership: String,
    configurations: usize,
    proxies: BTreeSet<String>,
}

impl Pushes {
    pub(super) fn follow(cluster: &Cluster, lease: &str) -> anyhow::Result<Self> {
        let line = "jsonpath={.metadata.uid}:{.spec.leaseTransitions} {.spec.holderIdentity}{'\\n'}";
        let lease = cluster.follow(&["get", "lease", "-n", NAMESPACE, lease, "--watch", "-o", line])?;
        let (logs, stop) = (Arc::new(Mutex::new(Logs::new())), Arc::new(AtomicBool::new(false)));
        let (kept, stopped, cluster) = (Arc::clone(&logs), Arc::clone(&stop), cluster.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Relaxed) {
                if let Err(error) = look(&cluster, &kept) {
                    println!("   logs of proxies: {error:#}");
                }
                thread::sleep(PERIOD);
            }
        });
        Ok(Self {
            logs,
            lease,
            stop,
            thread: Some(thread),
        })
    }

    /// Ends it, and tells who has pushed.
    ///
    /// # Errors
    /// Two have pushed at a time, or one that did not hold the Lease.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok().context("what follows logs has panicked")?;
        }
        let logs = self.logs.lock().expect("no holder panics");
        let mut taken = BTreeSet::new();
        for (proxy, logs) in logs.iter() {
            for line in logs.iter().flat_map(Followed::lines) {
                taken.extend(read(proxy, &line));
            }
        }
        let lines = self.lease.lines();
        let holders = lines.iter().filter_map(|line| line.split_once(' '));
        // One that has given it back stands there with no name for a moment.
        let holders: BTreeMap<_, _> = holders.filter(|(_, holder)| !holder.is_empty()).collect();
        let reigns = reigns(taken)?;
        ensure!(
            reigns.len() > 1,
            "the proxies took configurations of one leadership only: {reigns:?}"
        );
        for reign in &reigns {
            let leadership = reign.leadership.as_str();
            let holder = holders.get(leadership);
            let holder = holder.with_context(|| format!("nobody is known to have led as {leadership}"))?;
            println!(
                "   {holder} has led: {} configurations were taken by {} proxies",
                reign.configurations,
                reign.proxies.len()
            );
        }
        println!("   no configuration of one came after one of the next");
        Ok(())
    }
}

impl Drop for Pushes {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// Follows the log of each proxy that is not followed.
fn look(cluster: &Cluster, logs: &Mutex<Logs>) -> anyhow::Result<()> {
    for pod in cluster.list(&["pods", "-n", NAMESPACE, "-l", PROXIES])? {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let containers = pod["status"]["containerStatuses"].as_array();
        let runs = containers
            .into_iter()
            .flatten()
            .any(|one| one["name"] == "proxy" && one["state"]["running"].is_object());
        let mut logs = logs.lock().expect("no holder panics");
        let followed = logs.entry(name.to_owned()).or_default();
        let is_followed = followed.last_mut().is_some_and(|last| !last.has_ended());
        if runs && !is_followed {
            let arguments = [
                "logs",
                "-f",
                "--timestamps",
                "--tail=-1",
                "-n",
                NAMESPACE,
                name,
                "-c",
                "proxy",
            ];
            followed.push(cluster.follow(&arguments)?);
        }
    }
    Ok(())
}

/// What a line of a proxy's log says of a configuration.
fn read(proxy: &str, line: &str) -> Option<Taken> {
    let (at, said) = line.split_once(' ')?;
    // Not the one that it has kept itself.
    if !said.contains(" configuration loaded") || said.contains("kept configuration loaded") {
        return None;
    }
    let leadership = said.split_whitespace().find_map(|word| word.strip_prefix("epoch="));
    Some(Taken {
        at: at.parse().ok()?,
        proxy: proxy.to_owned(),
        leadership: leadership.map(|epoch| epoch.trim_matches('"').to_owned()),
    })
}

/// One leadership after another.
///
/// # Errors
/// One comes back after another has begun, or a configuration came without any.
fn reigns(taken: BTreeSet<Taken>) -> anyhow::Result<Vec<Reign>> {
    let mut reigns: Vec<Reign> = Vec::new();
    for Taken { at, proxy, leadership } in taken {
        let Some(leadership) = leadership else {
            bail!("{proxy} has taken a configuration at {at} from somebody who asked for no Lease");
        };
        if let Some(last) = reigns.last_mut()
            && last.leadership == leadership
        {
            last.configurations += 1;
            last.proxies.insert(proxy);
            continue;
        }
        ensure!(
            reigns.iter().all(|reign| reign.leadership != leadership),
            "{proxy} has taken a configuration of {leadership} at {at}, after others had taken the next leader's: {reigns:?}"
        );
        reigns.push(Reign {
            leadership,
            configurations: 1,
            proxies: [proxy].into(),
        });
    }
    Ok(reigns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: u32, epoch: &str) -> String {
        format!(
            "2026-01-01T00:00:{second:02}.5Z 2026-01-01T00:00:{second:02}.4Z  INFO silverback_proxy::control: configuration \
             loaded hash=00 bytes=2 took=1ms{epoch}"
        )
    }

    fn told(lines: &[(&str, u32, &str)]) -> anyhow::Result<Vec<Reign>> {
        let taken = lines
            .iter()
            .filter_map(|(proxy, second, epoch)| read(proxy, &line(*second, epoch)));
        reigns(taken.collect())
    }

    #[test]
    fn leaderships_follow_one_another_and_none_comes_back() {
        let old = ("a", 1, " epoch=\"lease:3\"");
        let new = [("a", 3, " epoch=\"lease:4\""), ("b", 4, " epoch=\"lease:4\"")];
        let reigns = told(&[old, new[0], new[1]]).unwrap();
        let counts: Vec<_> = reigns
            .iter()
            .map(|one| (one.configurations, one.proxies.len()))
            .collect();
        assert_eq!(counts, [(1, 1), (2, 2)]);
        let late = told(&[old, new[0], new[1], ("c", 5, " epoch=\"lease:3\"")]).unwrap_err();
        assert!(
            late.to_string().contains("c has taken a configuration of lease:3"),
            "{late}"
        );
        let nobodys = told(&[("a", 1, "")]).unwrap_err();
        assert!(nobodys.to_string().contains("asked for no Lease"), "{nobodys}");
    }

    #[test]
    fn other_lines_say_nothing_of_pushes() {
        let kept = "2026-01-01T00:00:01Z 2026-01-01T00:00:01Z  INFO silverback_proxy::control: kept configuration loaded hash=00";
        for other in [kept, "2026-01-01T00:00:01Z listening", "nothing"] {
            assert_eq!(read("a", other), None);
        }
    }
}
