//! The leader goes.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context, ensure};
use jiff::{SignedDuration, Timestamp};

use super::release::{HOST, LIMIT, NAMESPACE, change_goes_live, election, front, in_sync, leader, pods, rolled_out};
use crate::{Arguments, cluster::Cluster, http, load::Load, poll::eventually};

const CONTROLLER: &str = "silverback-kong-controller";
/// Within this a leader has probed each proxy: the chart's probe interval, and time for an answer.
const PROBED: SignedDuration = SignedDuration::from_secs(6);
/// How a proxy's log tells that it was given another configuration.
const LOADED: &str = "configuration loaded";
const LEADS: &str = "silverback_leader";
const PUSHES: &str = "silverback_pushes_total";

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    for (way, arguments) in [
        ("asked to end", &["--wait=false"][..]),
        ("killed", &["--grace-period=0", "--force"]),
    ] {
        rolled_out(cluster, CONTROLLER)?;
        in_sync(cluster, 2)?;
        let (loaded, counted) = (loads(cluster)?, pushes(cluster)?);
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
        // It may have led before, and then it counts what it sent at that time.
        let sent = counted.get(&after).copied().unwrap_or_default();
        leads_for_a_while(cluster, &after)?;
        ensure!(metric(cluster, &after, LEADS)? == 1.0, "{after} does not lead any more");
        sent_nothing(cluster, (&after, sent), &loaded)?;
        change_goes_live(cluster)?;
        // Else it could as well be that nothing is counted.
        let now = metric(cluster, &after, PUSHES)?;
        ensure!(
            now > sent,
            "{after} has sent a change, and counts {now} pushes after {sent}"
        );
    }
    rolled_out(cluster, CONTROLLER)?;
    in_sync(cluster, 2)?;
    load.finish()
}

/// Waits until it has probed each proxy since it leads.
fn leads_for_a_while(cluster: &Cluster, leader: &str) -> anyhow::Result<()> {
    eventually(
        &format!("{leader} leads for longer than a probe interval"),
        LIMIT,
        || {
            let lease = election(cluster)?;
            let time = |name: &str| -> anyhow::Result<Timestamp> {
                let text = lease["spec"][name].as_str();
                Ok(text.with_context(|| format!("the Lease has no {name}"))?.parse()?)
            };
            let led = time("renewTime")?.duration_since(time("acquireTime")?);
            ensure!(led >= PROBED, "it renewed the Lease last {led:?} after it had got it");
            Ok(())
        },
    )
}

/// Nothing has changed, and all proxies ran what they shall: who came to lead has found that out, and left them alone.
fn sent_nothing(
    cluster: &Cluster,
    (leader, before): (&str, f64),
    loaded: &BTreeMap<String, usize>,
) -> anyhow::Result<()> {
    let sent = metric(cluster, leader, PUSHES)? - before;
    ensure!(
        sent == 0.0,
        "{leader} has sent {sent} configurations, and nothing had changed"
    );
    let now = loads(cluster)?;
    ensure!(
        now == *loaded,
        "nothing had changed, and proxies have loaded {now:?} configurations after {loaded:?}"
    );
    println!("   all were in sync: it has sent nothing");
    Ok(())
}

/// How many configurations each controller has sent.
fn pushes(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, f64>> {
    let pods = cluster.list(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller"])?;
    let staying = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let names = staying.filter_map(|pod| pod["metadata"]["name"].as_str());
    names
        .map(|name| Ok((name.to_owned(), metric(cluster, name, PUSHES)?)))
        .collect()
}

/// How often each proxy has been given another configuration, as it tells itself.
fn loads(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, usize>> {
    let loads = pods(cluster)?.into_iter().map(|pod| {
        let log = cluster.kubectl(&["logs", "-n", NAMESPACE, &pod.name])?;
        let count = log.lines().filter(|line| line.contains(LOADED)).count();
        ensure!(count > 0, "the log of {} tells of no configuration", pod.name);
        Ok((pod.name, count))
    });
    loads.collect()
}

/// What a controller says of itself under that name, all series together; 0 where there is none.
fn metric(cluster: &Cluster, pod: &str, name: &str) -> anyhow::Result<f64> {
    let pod = cluster.get(&["pod", "-n", NAMESPACE, pod])?;
    let address = pod["status"]["podIP"].as_str().context("it has no address")?;
    let way = cluster.forward(&format!("{address}:10255"))?;
    let page = http::get(way.address, "controller", "/metrics")?;
    ensure!(page.status == 200, "{} {}", page.status, page.body);
    sum(&page.body, name)
}

/// All series of that name on a page of metrics, together.
fn sum(page: &str, name: &str) -> anyhow::Result<f64> {
    let series = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '{'])
            .then(|| rest.rsplit(' ').next().unwrap_or_default())
    });
    let values = series.map(str::parse::<f64>);
    Ok(values.sum::<Result<f64, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_series_of_a_name_are_added_up_and_no_others() {
        let page = "# TYPE silverback_pushes counter\n\
                    silverback_pushes_total{proxy=\"gateway/a b\",result=\"accepted\"} 2\n\
                    silverback_pushes_total{proxy=\"gateway/b\",result=\"unchanged\"} 1\n\
                    silverback_pushes_total_of_others 7\n\
                    silverback_leader 1\n";
        let sum = |name| sum(page, name).expect("numbers");
        assert_eq!(sum(PUSHES) as u64, 3);
        assert_eq!(sum(LEADS) as u64, 1);
        assert_eq!(sum("silverback_problems") as u64, 0);
    }
}
