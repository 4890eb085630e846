//! What the API server says of pods, rows and the Lease, read as JSON. Pure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::comparison::Row;

/// The controller renews its Lease every 2 s: who has not done so for this long does not lead, whatever the Lease says.
const RENEWED_WITHIN: Duration = Duration::from_secs(5);
/// How old what was read may be.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// The label by which the Admin Service of the chart selects proxies.
const PROXY: &str = "gateway.silverback.dev/admin";

/// A pod of the namespace.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) node: String,
    pub(super) address: Option<String>,
    pub(super) is_proxy: bool,
    /// Neither at its beginning nor at its end.
    pub(super) is_settled: bool,
}

/// All that was read at one time.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) pods: Vec<Pod>,
    /// By the uid of their pod, with its name.
    pub(super) rows: BTreeMap<String, (String, Row)>,
    holder: String,
    renewed: String,
    renewal_seen: Option<Instant>,
    read: Option<Instant>,
}

impl View {
    /// Takes in what was read.
    pub(super) fn take(&mut self, pods: &Value, rows: &Value, lease: &Value, now: Instant) {
        self.pods = items(pods).map(pod).collect();
        self.rows = items(rows).filter_map(row).collect();
        let text = |name: &str| lease["spec"][name].as_str().unwrap_or_default().to_owned();
        self.holder = text("holderIdentity");
        let renewed = text("renewTime");
        if renewed != self.renewed {
            self.renewed = renewed;
            self.renewal_seen = Some(now);
        }
        self.read = Some(now);
    }

    /// Whether it was ever read.
    pub(super) fn is_read(&self) -> bool {
        self.read.is_some()
    }

    /// Why rows can't be expected to be true now.
    pub(super) fn excluded(&self, now: Instant) -> Option<&'static str> {
        let within = |at: Option<Instant>, limit| at.is_some_and(|at| now.saturating_duration_since(at) <= limit);
        if !within(self.read, READ_WITHIN) {
            Some("the API server does not answer")
        } else if self.holder.is_empty() {
            Some("nobody holds the Lease")
        } else if !within(self.renewal_seen, RENEWED_WITHIN) {
            Some("nobody renews the Lease")
        } else {
            None
        }
    }

    /// The pod that holds the Lease.
    pub(super) fn leader(&self) -> Option<&Pod> {
        // A holder is a pod's name and something random.
        let name = self.holder.rsplit_once('_').map_or(&*self.holder, |(name, _)| name);
        self.pods.iter().find(|pod| pod.name == name)
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pod(pod: &Value) -> Pod {
    let (metadata, status) = (&pod["metadata"], &pod["status"]);
    let address = status["podIP"].as_str().map(str::to_owned);
    Pod {
        uid: text(&metadata["uid"]),
        name: text(&metadata["name"]),
        node: text(&pod["spec"]["nodeName"]),
        is_proxy: metadata["labels"][PROXY] == "true",
        is_settled: address.is_some() && metadata["deletionTimestamp"].is_null() && status["phase"] == "Running",
        address,
    }
}

fn row(instance: &Value) -> Option<(String, (String, Row))> {
    let uid = instance["spec"]["podRef"]["uid"].as_str()?.to_owned();
    let status = &instance["status"];
    let condition = |name: &str| {
        let conditions = status["conditions"].as_array();
        let found = conditions.into_iter().flatten().find(|found| found["type"] == name);
        found.map_or_else(|| "Unknown".to_owned(), |found| text(&found["status"]))
    };
    let row = Row {
        reachable: condition("Reachable"),
        ready: condition("Ready"),
        hash: text(&status["configuration"]["observedHash"]),
    };
    Some((uid, (text(&instance["metadata"]["name"]), row)))
}

/// How many writes wait for the budget, by the leader's metrics. News, which may be missed, are few at a time whatever it has left.
pub(super) fn writes_waiting(metrics: &str) -> f64 {
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("silverback_status_writes_waiting{") && !line.contains("lane=\"news\""));
    lines
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_is_what_the_cluster_says() {
        let pods = json!({"items": [
            {"metadata": {"uid": "1", "name": "p", "labels": {PROXY: "true"}}, "spec": {"nodeName": "n"},
             "status": {"podIP": "10.0.0.1", "phase": "Running"}},
            {"metadata": {"uid": "2", "name": "c"}, "spec": {"nodeName": "m"}, "status": {"phase": "Pending"}},
        ]});
        let rows = json!({"items": [{"metadata": {"name": "p"}, "spec": {"podRef": {"uid": "1"}}, "status": {
            "configuration": {"observedHash": "abc"}, "conditions": [{"type": "Ready", "status": "True"}],
        }}]});
        let lease = json!({"spec": {"holderIdentity": "c_0123", "renewTime": "then"}});
        let mut view = View::default();
        let now = Instant::now();
        assert!(!view.is_read());
        assert_eq!(view.excluded(now), Some("the API server does not answer"));
        view.take(&pods, &rows, &lease, now);
        assert!(view.is_read());
        assert_eq!(view.excluded(now), None);
        assert_eq!(view.leader().map(|pod| &*pod.node), Some("m"));
        assert!(view.pods[0].is_proxy && view.pods[0].is_settled);
        assert!(!view.pods[1].is_proxy && !view.pods[1].is_settled);
        let row = &view.rows["1"].1;
        assert_eq!((&*row.reachable, &*row.ready, &*row.hash), ("Unknown", "True", "abc"));

        // Nobody renews it.
        let later = now + Duration::from_secs(6);
        view.take(&pods, &rows, &lease, later);
        assert_eq!(view.excluded(later), Some("nobody renews the Lease"));
        let released = json!({"spec": {"holderIdentity": "", "renewTime": "now"}});
        view.take(&pods, &rows, &released, later);
        assert_eq!(view.excluded(later), Some("nobody holds the Lease"));
        assert_eq!(
            view.excluded(later + Duration::from_secs(3)),
            Some("the API server does not answer")
        );
    }

    #[test]
    fn writes_of_all_lanes_wait_for_one_budget() {
        let metrics = "# TYPE silverback_status_writes_waiting gauge\n\
                       silverback_status_writes_waiting{lane=\"gate\"} 2\n\
                       silverback_status_writes_waiting{lane=\"refresh\"} 40\n\
                       silverback_status_writes_waiting{lane=\"news\"} 500\n\
                       silverback_status_writes_total 7\n";
        assert_eq!(writes_waiting(metrics) as u64, 42);
        assert_eq!(writes_waiting("") as u64, 0);
    }
}
