//! A node with proxies loses its network. Only connections to those proxies may fail, and only such as were made before the
//! Service had stopped to lead there: each failed request is followed to the pod that the node's own service proxy chose.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{
    RELEASE_LIMIT,
    edge::{HOST, NAMESPACE},
    life::NODE,
    run::{Run, STEADY},
};
use crate::{
    load::{LIMIT, Load, Lost},
    poll::eventually,
};

/// The step of the table.
pub(super) const STEP: &str = "a node is lost";
/// How long the clients have for giving up beyond their limit.
const AFTER_LIMIT: Duration = Duration::from_secs(2);
/// How long a node's service proxy may take to follow the endpoints.
const FOLLOWS: Duration = Duration::from_secs(2);

impl Run<'_> {
    /// Through the other proxies nothing fails; through the Service what was or is sent to the lost ones does, until no
    /// endpoint leads there any more and what was open there has been given up.
    pub(super) fn lose_node(&self) -> anyhow::Result<()> {
        let away = self.endpoints_of(NODE)?;
        ensure!(away > 0, "no proxy is on {NODE}");
        let pods = self
            .cluster
            .list(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=app"])?;
        let (mut others, mut lost_pods) = (Vec::new(), BTreeMap::new());
        for pod in &pods {
            let address = pod["status"]["podIP"].as_str().context("a proxy has no address")?;
            if pod["spec"]["nodeName"] == NODE {
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                lost_pods.insert(address.to_owned(), name.to_owned());
                continue;
            }
            let way = self.cluster.forward(&format!("{address}:8000"))?;
            let load = Load::start(way.address, HOST, "/", 1);
            others.push((way, load));
        }
        ensure!(!others.is_empty(), "every proxy is on {NODE}");
        let lost = Instant::now();
        self.cluster.node(NODE, "partition")?;
        let outcome = self.without_node(lost);
        self.cluster.node(NODE, "heal")?;
        let gone = outcome?;
        for (_way, load) in others {
            load.finish().context("through a proxy on the other node")?;
        }
        let requests = self.load.lost(STEP);
        let said = attributed(&requests, &lost_pods, (lost, gone + FOLLOWS))?;
        println!("   {said}");
        Ok(())
    }

    /// Until all is well without it: when no endpoint led there any more.
    fn without_node(&self, lost: Instant) -> anyhow::Result<Instant> {
        eventually("no endpoint leads to the lost node", RELEASE_LIMIT, || {
            let left = self.endpoints_of(NODE)?;
            ensure!(left == 0, "{left} do");
            Ok(())
        })?;
        let gone = Instant::now();
        println!(
            "   {NODE} is lost; its endpoints are gone after {:.1} s",
            lost.elapsed().as_secs_f64()
        );
        self.load.synced(lost.elapsed());
        // What was open to its proxies ends by the clients' own limit.
        std::thread::sleep((LIMIT + AFTER_LIMIT).saturating_sub(lost.elapsed()).max(AFTER_LIMIT));
        self.begin("without that node");
        // Also the last request of the step before has ended then.
        std::thread::sleep(STEADY.max(LIMIT + AFTER_LIMIT));
        Ok(gone)
    }

    /// The node is back, and everything on it in sync.
    pub(super) fn node_is_back(&self) -> anyhow::Result<()> {
        self.cluster
            .kubectl(&["wait", "--for=condition=Ready", "node", NODE, "--timeout=60s"])?;
        self.in_sync(None)
    }

    /// How many endpoints of the proxies' Service on a node get requests.
    fn endpoints_of(&self, node: &str) -> anyhow::Result<usize> {
        let service = format!("kubernetes.io/service-name={}-proxy", self.edge.name);
        let slices = self
            .cluster
            .list(&["endpointslices", "-n", NAMESPACE, "-l", &service])?;
        let endpoints = slices
            .iter()
            .filter_map(|slice| slice["endpoints"].as_array())
            .flatten();
        let served =
            endpoints.filter(|endpoint| endpoint["nodeName"] == node && endpoint["conditions"]["ready"] == true);
        Ok(served.count())
    }
}

/// For a reader: to which pods the requests were lost.
///
/// # Errors
/// One went elsewhere, or over a connection that was made later than it may have been.
fn attributed(
    requests: &[Lost],
    lost_pods: &BTreeMap<String, String>,
    (began, latest): (Instant, Instant),
) -> anyhow::Result<String> {
    let (mut by_pod, mut connections, mut last) = (BTreeMap::<&str, u64>::new(), BTreeSet::new(), Duration::ZERO);
    for lost in requests {
        let what = &lost.what;
        ensure!(!lost.over.is_empty(), "{what}: over no connection");
        let there = lost.over.iter().find_map(|over| {
            let pod = lost_pods.get(&over.led_to.as_ref()?.address)?;
            Some((over.connection, pod))
        });
        let (connection, pod) = there.with_context(|| match lost.led_to().last() {
            Some(address) => format!("{what}: it went to {address}, which is not on {NODE}"),
            None => format!("{what}: nobody knows where it went"),
        })?;
        let after = connection.made.saturating_duration_since(began);
        ensure!(
            connection.made <= latest,
            "{what}: its connection to {pod} was made {after:.1?} after the loss, when the Service no longer led there"
        );
        last = last.max(after);
        connections.insert((connection.port, connection.is_tls));
        *by_pod.entry(pod).or_default() += 1;
    }
    let by_pod: Vec<_> = by_pod.iter().map(|(pod, count)| format!("{count} to {pod}")).collect();
    Ok(match by_pod.is_empty() {
        true => "no request was lost".to_owned(),
        false => format!(
            "lost over {} connections to proxies on {NODE}, the last of which was made {last:.1?} after the loss: {}",
            connections.len(),
            by_pod.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Backend, Connection};

    fn lost(led_to: Option<&str>, made: Instant) -> Lost {
        let connection = Connection {
            port: 5000,
            is_tls: false,
            made,
        };
        let led_to = led_to.map(|address| ((5000, false), Backend::at(address)));
        Lost::new("new connection: no answer".to_owned(), vec![connection]).followed(&led_to.into_iter().collect())
    }

    #[test]
    fn each_lost_request_is_followed_to_its_pod() {
        let pods = BTreeMap::from([("10.244.2.4".to_owned(), "edge-kong-b".to_owned())]);
        let began = Instant::now();
        let latest = began + Duration::from_secs(12);
        let told = |lost: &[Lost]| attributed(lost, &pods, (began, latest)).map_err(|error| error.to_string());
        assert_eq!(told(&[]).unwrap(), "no request was lost");
        let there = Some("10.244.2.4");
        let said = told(&[lost(there, began), lost(there, began)]).unwrap();
        assert!(
            said.contains("lost over 1 connections") && said.ends_with("2 to edge-kong-b"),
            "{said}"
        );
        let elsewhere = told(&[lost(Some("10.244.1.3"), began)]).unwrap_err();
        assert!(elsewhere.contains("it went to 10.244.1.3"), "{elsewhere}");
        let unknown = told(&[lost(None, began)]).unwrap_err();
        assert!(unknown.contains("nobody knows"), "{unknown}");
        let late = told(&[lost(there, latest + Duration::from_secs(1))]).unwrap_err();
        assert!(late.contains("no longer led there"), "{late}");
    }
}
