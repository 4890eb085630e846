//! The leader goes, in every way that there is, while configurations change all the time.

mod away;
mod changes;
mod late;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use self::{changes::Changes, late::LateKong};
use super::release::{HOST, LIMIT, NAMESPACE, change_goes_live, election, front, in_sync, leader, rolled_out};
use crate::{
    Arguments,
    chaos::Bed,
    cluster::{Cluster, FollowedLog},
    load::Load,
    poll::eventually,
};

pub(super) use away::{long as long_without_api_server, short as without_api_server};

const CONTROLLER: &str = "silverback-kong-controller";
/// Longer than a Lease: another one leads by then.
const AWAY: Duration = Duration::from_secs(25);
/// Milliseconds from when a new leader leads, with something to push, until it pushes.
const STARTS: i128 = 100;
/// How long a leader may reach no proxy.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn faults(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let changes = Changes::start(cluster)?;
    let kong = LateKong::start(cluster, arguments);
    let outcome = kong.and_then(|kong| {
        ways_to_go(cluster, &changes, &kong)?;
        cut_off(cluster, &changes)?;
        kong.finish(cluster)?;
        cut_from_proxies(cluster, arguments, &changes)
    });
    let observed = changes.finish(cluster);
    late::remove(cluster)?;
    outcome?;
    observed?;
    in_sync(cluster, 2)?;
    change_goes_live(cluster)
}

/// Whatever becomes of controllers, no request is lost.
fn ways_to_go(cluster: &Cluster, changes: &Changes, kong: &LateKong) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    asked_to_end(cluster, changes)?;
    changes.go_on_everywhere()?;
    killed(cluster)?;
    changes.go_on_everywhere()?;
    rolled_out(cluster, CONTROLLER)?;
    stopped(cluster, changes, kong)?;
    lease_is_made_again(cluster, changes)?;
    load.finish()
}

fn killed(cluster: &Cluster) -> anyhow::Result<()> {
    let before = leader(cluster)?;
    let (node, container) = container_of(cluster, &before)?;
    let began = Instant::now();
    cluster.signal_container(&node, &container, "SIGKILL")?;
    let after = another_leads(cluster, &before)?;
    println!(
        "   {before} was killed (SIGKILL); {after} leads after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// It does nothing for a while, in the middle of a push, and then goes on as if nothing had happened.
fn stopped(cluster: &Cluster, changes: &Changes, kong: &LateKong) -> anyhow::Result<()> {
    let before = leader(cluster)?;
    let (node, container) = container_of(cluster, &before)?;
    kong.hold()?;
    let began = Instant::now();
    cluster.signal_container(&node, &container, "SIGSTOP")?;
    let outcome = (|| {
        let after = another_leads(cluster, &before)?;
        println!(
            "   {before} was stopped (SIGSTOP); {after} leads after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        changes.go_on_everywhere()?;
        // A change would put right whatever landed: without one, the probe has to find it.
        let quiet = changes.quiet();
        kong.runs(changes.written())?;
        kong.let_go()?;
        drop(quiet);
        changes.go_on_everywhere()
    })();
    // It wakes up and believes to lead, until it has looked.
    cluster.signal_container(&node, &container, "SIGCONT")?;
    outcome?;
    changes.go_on_everywhere()?;
    rolled_out(cluster, CONTROLLER)
}

/// Somebody deletes the Lease while its holder does nothing: the next one counts from the beginning, and what the holder
/// still sends is over all the same.
fn lease_is_made_again(cluster: &Cluster, changes: &Changes) -> anyhow::Result<()> {
    let before = leader(cluster)?;
    let (node, container) = container_of(cluster, &before)?;
    let lease = election(cluster)?;
    let name = lease["metadata"]["name"].as_str().context("a Lease has a name")?;
    cluster.signal_container(&node, &container, "SIGSTOP")?;
    let outcome = (|| {
        let began = Instant::now();
        cluster.kubectl(&["delete", "lease", "-n", NAMESPACE, name])?;
        let after = eventually("a Lease is made again", LIMIT, || {
            let after = election(cluster)?;
            ensure!(after["metadata"]["uid"] != lease["metadata"]["uid"], "it is the same");
            leader(cluster)
        })?;
        println!(
            "   {before} was stopped (SIGSTOP), and its Lease deleted; {after} leads after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        ensure!(after != before, "it does nothing");
        changes.go_on_everywhere()
    })();
    cluster.signal_container(&node, &container, "SIGCONT")?;
    outcome?;
    changes.go_on_everywhere()?;
    rolled_out(cluster, CONTROLLER)
}

/// SIGTERM: the Lease is given back, and the other goes on at once, with a change that the leader before has not pushed: it
/// did nothing (SIGSTOP) from before the change until it was told to end.
fn asked_to_end(cluster: &Cluster, changes: &Changes) -> anyhow::Result<()> {
    let before = leader(cluster)?;
    let controllers = controllers(cluster)?;
    let other = controllers
        .iter()
        .find(|name| **name != before)
        .context("there is no standby")?;
    let (old, new) = (
        cluster.follow_log(NAMESPACE, &before)?,
        cluster.follow_log(NAMESPACE, other)?,
    );
    let (node, container) = container_of(cluster, &before)?;
    cluster.signal_container(&node, &container, "SIGSTOP")?;
    let outcome = (|| {
        rendered_meanwhile(changes, &new)?;
        // Told while it is stopped, it ends when it goes on, before it knows of a change.
        cluster.signal_container(&node, &container, "SIGTERM")
    })();
    cluster.signal_container(&node, &container, "SIGCONT")?;
    outcome?;
    let (stopping, leading, pushed) = eventually("the other one pushes", LIMIT, || {
        let stopping = old.time_of("stopping", None).context("not told to stop yet")?;
        let leading = new.time_of("leading", Some(stopping)).context("nobody leads yet")?;
        let pushes = new.lines(" push ");
        let pushed = pushes.into_iter().find(|(at, _)| *at >= leading);
        Ok((stopping, leading, pushed.context("no push yet")?))
    })?;
    let milliseconds = |from: jiff::Timestamp, until: jiff::Timestamp| until.duration_since(from).as_millis();
    let (ended, line) = pushed;
    let began = ended - took(&line).with_context(|| format!("no duration in {line:?}"))?;
    // A push of the leader before that is under way is waited for.
    let last = old.lines(" push ").into_iter().map(|(at, _)| at).max();
    let due = last.map_or(leading, |last| last.max(leading));
    let waited = milliseconds(due, began);
    println!(
        "   {before} was asked to end (SIGTERM); {other} leads after {} ms; its first push began {waited} ms after it led, and had \
         ended {} ms after the signal",
        milliseconds(stopping, leading),
        milliseconds(stopping, ended)
    );
    ensure!(waited <= STARTS, "it waited for {waited} ms of at most {STARTS} ms");
    rolled_out(cluster, CONTROLLER)
}

/// Waits until a replica has rendered a change that was begun after this was called.
fn rendered_meanwhile(changes: &Changes, log: &FollowedLog) -> anyhow::Result<()> {
    // The next one may be on its way already.
    let wanted = changes.written() + 2;
    eventually("a change is written", LIMIT, || {
        let written = changes.written();
        ensure!(written >= wanted, "change {written} of {wanted}");
        Ok(())
    })?;
    let written = jiff::Timestamp::now();
    eventually("the standby has rendered it", LIMIT, || {
        let rendered = log.time_of("configuration rendered", Some(written));
        rendered.map(drop).context("not yet")
    })
}

/// How long a push took, by its line in the log: `… took=12.5ms`.
fn took(line: &str) -> Option<Duration> {
    let text = line.split_once("took=")?.1.split_whitespace().next()?;
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.')?;
    let (number, unit) = text.split_at(end);
    let unit = match unit {
        "ns" => 1e-9,
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(number.parse::<f64>().ok()? * unit))
}

/// The leader reaches no proxy any more, and the API server all the same: it makes room for the one that reaches them.
fn cut_from_proxies(cluster: &Cluster, arguments: &Arguments, changes: &Changes) -> anyhow::Result<()> {
    in_sync(cluster, 2)?;
    let bed = Bed::new(cluster, arguments, 2, None)?;
    let before = leader(cluster)?;
    let pod = cluster.get(&["pod", "-n", NAMESPACE, &before])?;
    let address = pod["status"]["podIP"].as_str().context("it has no address")?;
    let (node, _) = container_of(cluster, &before)?;
    let began = Instant::now();
    bed.filter(&node, &format!("  ip saddr {address} tcp dport 8444 drop\n"))?;
    let outcome = another_leads(cluster, &before).and_then(|after| {
        let told = began.elapsed();
        println!(
            "   {before} reached no proxy any more; {after} leads after {:.1} s",
            told.as_secs_f64()
        );
        ensure!(told >= PATIENCE, "that was too soon");
        changes.go_on_everywhere()?;
        let (cut_off, reaches) = (reach(cluster, &before)?, reach(cluster, &after)?);
        ensure!(
            cut_off == "0/2" && reaches == "2/2",
            "they tell the others that they reach {cut_off} and {reaches}"
        );
        ensure!(leader(cluster)? == after, "it was taken back");
        Ok(())
    });
    bed.unfilter(&node)?;
    outcome?;
    changes.go_on_everywhere()
}

/// How many proxies a replica says that it reaches.
fn reach(cluster: &Cluster, pod: &str) -> anyhow::Result<String> {
    let election = election(cluster)?;
    let name = election["metadata"]["name"].as_str().context("a name")?;
    let own = cluster.get(&["lease", "-n", NAMESPACE, &format!("{name}-{pod}")])?;
    let reach = own["metadata"]["annotations"]["gateway.silverback.dev/reachable"].as_str();
    Ok(reach.context("it tells nothing")?.to_owned())
}

/// The leader's node loses its network: neither the API server nor the other node is in reach.
fn cut_off(cluster: &Cluster, changes: &Changes) -> anyhow::Result<()> {
    let before = leader(cluster)?;
    let (node, _) = container_of(cluster, &before)?;
    let began = Instant::now();
    cluster.node(&node, "partition")?;
    let outcome = another_leads(cluster, &before);
    let told = began.elapsed();
    let went_on = changes.go_on();
    if outcome.is_ok() {
        thread::sleep(AWAY.saturating_sub(began.elapsed()));
    }
    cluster.node(&node, "heal")?;
    let after = outcome?;
    println!(
        "   {before} was cut off with its node; {after} leads after {:.1} s",
        told.as_secs_f64()
    );
    went_on?;
    cluster.kubectl(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"])?;
    changes.go_on_everywhere()?;
    rolled_out(cluster, CONTROLLER)
}

fn another_leads(cluster: &Cluster, before: &str) -> anyhow::Result<String> {
    // The same pod may lead again only after another one did. Holder and count are of one answer: between two the Lease changes.
    let transitions = |lease: &Value| lease["spec"]["leaseTransitions"].as_i64().unwrap_or_default();
    let known = transitions(&election(cluster)?);
    eventually("another term begins", LIMIT, || {
        let lease = election(cluster)?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let (after, _) = holder.split_once('_').context("nobody leads")?;
        ensure!(after != before || transitions(&lease) > known, "{before} still leads");
        Ok(after.to_owned())
    })
}

fn controllers(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let pods = cluster.list(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller"])?;
    let names = pods
        .iter()
        .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned));
    Ok(names.collect())
}

/// Node and container of a pod.
fn container_of(cluster: &Cluster, pod: &str) -> anyhow::Result<(String, String)> {
    let pod = cluster.get(&["pod", "-n", NAMESPACE, pod])?;
    let node = pod["spec"]["nodeName"].as_str().context("it is on no node")?;
    let container = pod["status"]["containerStatuses"][0]["containerID"]
        .as_str()
        .context("it has no container")?;
    Ok((
        node.to_owned(),
        container.trim_start_matches("containerd://").to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_logs_are_read() {
        let line = |took: &str| format!("INFO push proxy=a hash=b result=\"Accepted\" took={took}");
        assert_eq!(took(&line("12.5ms")), Some(Duration::from_micros(12_500)));
        assert_eq!(took(&line("2s more=1")), Some(Duration::from_secs(2)));
        assert_eq!(took(&line("250µs")), Some(Duration::from_micros(250)));
        assert_eq!(took("INFO push"), None);
    }
}
