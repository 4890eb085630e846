//! Nothing happens: nothing is asked of the API server.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::ensure;

use super::release::in_sync;
use crate::{Arguments, cluster::Cluster, poll::eventually};

/// API groups that only silverback asks for in this cluster while nothing happens: Kong's, the Gateway API's, its own,
/// Ingresses, and events in their newer form.
const GROUPS: [&str; 6] = [
    "networking.k8s.io",
    "gateway.networking.k8s.io",
    "configuration.konghq.com",
    "incubator.ingress-controller.konghq.com",
    "gateway.silverback.dev",
    "events.k8s.io",
];
/// The same of a group that others ask as well. Leases are renewed all the time, by others as well.
const RESOURCES: [&str; 1] = ["endpointslices"];
/// How many watches of one resource may end in the period: each client's once, as the API server ends it after minutes.
/// Clients are our replicas, and the controller manager's quotas and garbage collection.
const WATCHES: u64 = 6;
/// How long is looked at. A figure over a time can't be had without the time.
const PERIOD: Duration = Duration::from_secs(10);

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    in_sync(cluster, 2)?;
    // What the scenario before it left to be written has its own time.
    let asked = eventually("ten seconds without a request", 6 * PERIOD, || {
        let before = requests(cluster)?;
        thread::sleep(PERIOD);
        let asked = since(&requests(cluster)?, &before);
        let (watches, others): (Vec<_>, Vec<_>) = asked.into_iter().partition(|((_, is_watch), _)| *is_watch);
        ensure!(others.is_empty(), "in {PERIOD:?}: {others:?}");
        // One that is established again and again is no idling.
        let often: Vec<_> = watches.iter().filter(|(_, count)| *count > WATCHES).collect();
        ensure!(often.is_empty(), "watches that ended in {PERIOD:?}: {often:?}");
        Ok(watches.iter().map(|(_, count)| count).sum::<u64>())
    })?;
    println!("   requests in {PERIOD:?} of idling, the Lease's aside: 0, and {asked} watches that ended");
    Ok(())
}

/// Requests by resource, and by whether they were watches.
type Requests = BTreeMap<(String, bool), u64>;

fn since(after: &Requests, before: &Requests) -> Requests {
    let counts = after.iter().map(|(what, count)| {
        let before = before.get(what).copied().unwrap_or_default();
        (what.clone(), count.saturating_sub(before))
    });
    counts.filter(|(_, count)| *count > 0).collect()
}

/// What the API server has seen of requests that only we make; open watches count once, when they end.
fn requests(cluster: &Cluster) -> anyhow::Result<Requests> {
    Ok(of_metrics(&cluster.kubectl(&["get", "--raw", "/metrics"])?))
}

fn of_metrics(metrics: &str) -> Requests {
    let mut counts = Requests::new();
    for line in metrics.lines() {
        let Some(labels) = line.strip_prefix("apiserver_request_total{") else {
            continue;
        };
        let (group, resource, verb) = (label(labels, "group"), label(labels, "resource"), label(labels, "verb"));
        if !GROUPS.contains(&group) && !RESOURCES.contains(&resource) {
            continue;
        }
        // The API server looks after the EndpointSlice of its own Service every 10 s; silverback never asks for one.
        if resource == "endpointslices" && verb == "GET" {
            continue;
        }
        let count = labels.rsplit_once(' ').and_then(|(_, count)| count.parse::<f64>().ok());
        *counts.entry((resource.to_owned(), verb == "WATCH")).or_default() += count.unwrap_or_default() as u64;
    }
    counts
}

fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    let all = labels.split_once('}').map_or(labels, |(labels, _)| labels);
    let mut found = all
        .split(',')
        .filter_map(|label| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'));
    found.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_only_silverback_asks_for() {
        let metrics = "\
apiserver_request_total{code=\"200\",group=\"configuration.konghq.com\",resource=\"kongplugins\",verb=\"PATCH\"} 2
apiserver_request_total{code=\"200\",group=\"networking.k8s.io\",resource=\"ingresses\",verb=\"WATCH\"} 3
apiserver_request_total{code=\"200\",group=\"discovery.k8s.io\",resource=\"endpointslices\",verb=\"GET\"} 9
apiserver_request_total{code=\"200\",group=\"coordination.k8s.io\",resource=\"leases\",verb=\"PUT\"} 40
apiserver_request_total{code=\"201\",group=\"events.k8s.io\",resource=\"events\",verb=\"POST\"} 1
";
        let expected = [("events", false, 1), ("ingresses", true, 3), ("kongplugins", false, 2)];
        let expected = expected.map(|(resource, is_watch, count)| ((resource.to_owned(), is_watch), count));
        let found = of_metrics(metrics);
        assert_eq!(found, Requests::from(expected));
        assert!(since(&found, &found).is_empty());
    }
}
