//! What the API server says of pods, rows and the Lease, read as JSON. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::comparison::Row;

/// The controller renews its Lease every 2 s: who has not done so for this long does not lead, whatever the Lease says.
///
/// On paper a Lease is valid for `leaseDurationSeconds`, 15 s, after its last renewal. What its holder had not told when it was
/// killed or cut off nobody may tell before that has passed, and that is longer than rows may be behind: by the paper no
/// controller could be right. This long is a row given for what its leader did last, and for how long nobody renews in all there
/// is a limit that depends on what was done (`chaos`).
const RENEWED_WITHIN: Duration = Duration::from_secs(5);
/// How long a Lease is valid after a renewal, by the chart.
const VALID_FOR: Duration = Duration::from_secs(15);
/// How old what was read may be.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// The label by which the Admin Service of the chart selects proxies.
const PROXY: &str = "gateway.silverback.dev/admin";
/// The label by which an EndpointSlice names its Service, and what the name of the chart's Admin Service ends with.
const SERVICE: &str = "kubernetes.io/service-name";
const ADMIN_SERVICE: &str = "-gateway-admin";

/// A pod of the namespace.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) node: String,
    pub(super) address: Option<String>,
    pub(super) is_proxy: bool,
    /// Neither at its beginning nor at its end, and, if it is a proxy, an endpoint of the Admin Service: that is how controllers
    /// learn of it, and Kubernetes may need more than a minute for it once its API server is back (its endpoint slice controller
    /// pauses for up to 100 s after failures).
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
    pub(super) fn take(&mut self, [pods, slices, rows, fleets, lease]: [&Value; 5], now: Instant) {
        let listed = endpoints(slices);
        self.pods = items(pods).map(|one| pod(one, &listed)).collect();
        let desired = desired(fleets);
        self.rows = items(rows).filter_map(|instance| row(instance, &desired)).collect();
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
        } else if !within(self.renewal_seen, VALID_FOR) {
            Some("the Lease has run out")
        } else if !within(self.renewal_seen, RENEWED_WITHIN) {
            Some("nobody renews the Lease, which is valid")
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

/// Uids of the pods that are endpoints of the Admin Service.
fn endpoints(slices: &Value) -> BTreeSet<&str> {
    let of_admin = items(slices).filter(|slice| {
        let service = slice["metadata"]["labels"][SERVICE].as_str();
        service.is_some_and(|service| service.ends_with(ADMIN_SERVICE))
    });
    let endpoints = of_admin.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    endpoints
        .filter_map(|endpoint| endpoint["targetRef"]["uid"].as_str())
        .collect()
}

fn pod(pod: &Value, listed: &BTreeSet<&str>) -> Pod {
    let (metadata, status) = (&pod["metadata"], &pod["status"]);
    let address = status["podIP"].as_str().map(str::to_owned);
    let is_proxy = metadata["labels"][PROXY] == "true";
    let is_known = !is_proxy || metadata["uid"].as_str().is_some_and(|uid| listed.contains(uid));
    let is_running = metadata["deletionTimestamp"].is_null() && status["phase"] == "Running";
    Pod {
        uid: text(&metadata["uid"]),
        name: text(&metadata["name"]),
        node: text(&pod["spec"]["nodeName"]),
        is_proxy,
        is_settled: address.is_some() && is_running && is_known,
        address,
    }
}

/// Namespace and name of the Admin Service, and the profile.
type Kind = (String, String, String);

fn kind(service: &Value, profile: &Value) -> Kind {
    (text(&service["namespace"]), text(&service["name"]), text(profile))
}

/// What fleets want of each kind of proxy.
fn desired(fleets: &Value) -> BTreeMap<Kind, String> {
    let profiles = items(fleets).flat_map(|fleet| {
        let status = &fleet["status"];
        let profiles = status["profiles"].as_array().into_iter().flatten();
        profiles.map(|profile| (kind(&status["service"], &profile["profile"]), profile))
    });
    profiles
        .filter_map(|(kind, profile)| Some((kind, profile["desiredHash"].as_str()?.to_owned())))
        .collect()
}

fn row(instance: &Value, desired: &BTreeMap<Kind, String>) -> Option<(String, (String, Row))> {
    let (spec, status) = (&instance["spec"], &instance["status"]);
    let uid = spec["podRef"]["uid"].as_str()?.to_owned();
    let configuration = &status["configuration"];
    let condition = |name: &str| {
        let conditions = status["conditions"].as_array();
        let found = conditions.into_iter().flatten().find(|found| found["type"] == name);
        found.map_or_else(|| "Unknown".to_owned(), |found| text(&found["status"]))
    };
    let row = Row {
        reachable: condition("Reachable"),
        ready: condition("Ready"),
        synced: condition("Synced"),
        hash: text(&configuration["observedHash"]),
        learned: (configuration["hashMode"] == "learned").then(|| text(&configuration["shortHash"])),
        desired: desired.get(&kind(&spec["service"], &spec["profile"])).cloned(),
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
        let slice = |service: &str, uid: &str| json!({"metadata": {"labels": {SERVICE: service}}, "endpoints": [{"targetRef": {"uid": uid}}]});
        let unlisted = json!({"items": [slice("edge-kong-proxy", "1")]});
        let slices = json!({"items": [slice("edge-kong-gateway-admin", "1")]});
        let service = json!({"namespace": "s", "name": "admin"});
        let rows = json!({"items": [{"metadata": {"name": "p"},
            "spec": {"podRef": {"uid": "1"}, "service": service, "profile": "b"}, "status": {
            "configuration": {"observedHash": "abc", "shortHash": "def", "hashMode": "predicted"},
            "conditions": [{"type": "Ready", "status": "True"}],
        }}]});
        let fleets = json!({"items": [
            {"status": {"service": {"namespace": "s", "name": "other"}, "profiles": [{"profile": "b", "desiredHash": "of others"}]}},
            {"status": {"service": service, "profiles": [
                {"profile": "a", "desiredHash": "one"}, {"profile": "b", "desiredHash": "two"},
            ]}},
        ]});
        let lease = json!({"spec": {"holderIdentity": "c_0123", "renewTime": "then"}});
        let mut view = View::default();
        let now = Instant::now();
        assert!(!view.is_read());
        assert_eq!(view.excluded(now), Some("the API server does not answer"));
        view.take([&pods, &slices, &rows, &fleets, &lease], now);
        assert!(view.is_read());
        assert_eq!(view.excluded(now), None);
        assert_eq!(view.leader().map(|pod| &*pod.node), Some("m"));
        assert!(view.pods[0].is_proxy && view.pods[0].is_settled);
        assert!(!view.pods[1].is_proxy && !view.pods[1].is_settled);
        let row = &view.rows["1"].1;
        assert_eq!((&*row.reachable, &*row.ready, &*row.hash), ("Unknown", "True", "abc"));
        assert_eq!((row.learned.as_deref(), row.desired.as_deref()), (None, Some("two")));
        let mut learned = rows.clone();
        learned["items"][0]["status"]["configuration"]["hashMode"] = "learned".into();
        learned["items"][0]["spec"]["profile"] = "unheard of".into();
        view.take([&pods, &unlisted, &learned, &fleets, &lease], now);
        assert!(!view.pods[0].is_settled, "no controller can know of it");
        let row = &view.rows["1"].1;
        assert_eq!((row.learned.as_deref(), row.desired.as_deref()), (Some("def"), None));

        // Nobody renews it.
        let later = now + Duration::from_secs(6);
        view.take([&pods, &slices, &rows, &fleets, &lease], later);
        assert_eq!(view.excluded(later), Some("nobody renews the Lease, which is valid"));
        let over = now + Duration::from_secs(16);
        view.take([&pods, &slices, &rows, &fleets, &lease], over);
        assert_eq!(view.excluded(over), Some("the Lease has run out"));
        let released = json!({"spec": {"holderIdentity": "", "renewTime": "now"}});
        view.take([&pods, &slices, &rows, &fleets, &released], later);
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
