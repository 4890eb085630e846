//! Requests that never stop, and whose fault it is when one fails.

use std::{collections::BTreeMap, sync::Mutex, time::Instant};

use anyhow::{bail, ensure};
use serde_json::{Value, json};

use super::{bed::Taken, fault::Costs};
use crate::{
    cluster::{Cluster, Forward},
    load::{Lost, OpenLoad, Row, is_telling, rate, table},
    scenario::release::{CHANGE, NAMESPACE, SHOP, all_answer_for, backends_of, proxy_service, ways_to},
};

/// Whom requests are for.
pub(super) const HOST: &str = "chaos.example";
const NAME: &str = "chaos";
/// The same application, for gRPC.
const CALLS: &str = "chaos-calls";

/// How many of the requests that nothing excuses are told.
const SHOWN: usize = 10;

/// The load on the proxies' Service.
pub(super) struct Traffic {
    load: OpenLoad,
    certificate: (String, String),
    /// What each step may cost.
    costs: Mutex<BTreeMap<String, Cost>>,
    began: Instant,
    /// Kept open as long as the load needs them.
    _ways: [Forward; 2],
}

/// What a step may cost, and what it took away.
struct Cost {
    costs: Costs,
    taken: Taken,
}

impl Traffic {
    pub(super) fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let pair = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let certificate = (pair.cert.pem(), pair.signing_key.serialize_pem());
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": NAME, "namespace": SHOP},
            "stringData": {"tls.crt": certificate.0, "tls.key": certificate.1},
        });
        let calls = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": CALLS, "namespace": SHOP, "annotations": {"konghq.com/protocol": "grpc"}},
            "spec": {"selector": {"app": "web"}, "ports": [{"name": "grpc", "port": 80, "targetPort": "http"}]},
        });
        let ingresses = [
            ingress(NAME, "http,https", "/", "web"),
            ingress(CALLS, "grpc,grpcs", "/test.Echo", CALLS),
        ];
        let objects = json!({
            "apiVersion": "v1", "kind": "List", "items": [secret, calls, ingresses[0], ingresses[1]],
        });
        cluster.apply(&format!("{objects}\n"))?;
        let service = proxy_service();
        let service = (NAMESPACE, service.as_str());
        let (target, ways) = ways_to(cluster, service, HOST, certificate.0.clone(), CHANGE)?;
        all_answer_for(cluster, HOST, "/", 200)?;
        Ok(Self {
            load: OpenLoad::start(target, backends_of(cluster, service)?)?,
            certificate,
            costs: Mutex::default(),
            began: Instant::now(),
            _ways: ways,
        })
    }

    /// Certificate and key of the host.
    pub(super) fn certificate(&self) -> (String, String) {
        self.certificate.clone()
    }

    /// From now on requests count for this.
    pub(super) fn step(&self, name: &str, costs: Costs) {
        let mut known = self.costs.lock().expect("no holder panics");
        let taken = Taken::default();
        known.insert(name.to_owned(), Cost { costs, taken });
        self.load.step(name);
    }

    /// The step of that name took this away.
    pub(super) fn took(&self, name: &str, taken: Taken) {
        let mut known = self.costs.lock().expect("no holder panics");
        if let Some(cost) = known.get_mut(name) {
            cost.taken = taken;
        }
    }

    /// Ends the load, and says what each step cost.
    ///
    /// # Errors
    /// Requests failed that nothing was done to.
    pub(super) fn finish(self, cluster: &Cluster) -> anyhow::Result<()> {
        let rows = summed(self.load.finish()?);
        for line in table(&rows).lines() {
            println!("   {line}");
        }
        let sent: u64 = rows.iter().map(|row| row.sent).sum();
        let failed: u64 = rows.iter().map(Row::failed).sum();
        println!("   {sent} requests at {} a second, {failed} failed", rate());
        let made = [
            format!("ingress/{NAME}"),
            format!("ingress/{CALLS}"),
            format!("service/{CALLS}"),
            format!("secret/{NAME}"),
        ];
        let made: Vec<&str> = made.iter().map(String::as_str).collect();
        cluster.kubectl(&[&["delete", "-n", SHOP], &made[..]].concat())?;
        let costs = self.costs.lock().expect("no holder panics");
        let mut faults = Vec::new();
        for row in &rows {
            let cost = costs.get(&row.name);
            let excuse = |lost: &&Lost| cost.is_some_and(|cost| cost.costs.excuse(lost, &cost.taken));
            let inexcusable = row.lost.iter().filter(|lost| !excuse(lost));
            faults.extend(inexcusable.map(|lost| format!("{}: {}", row.name, followed(lost, self.began))));
        }
        let planned: u64 = rows.iter().map(|row| row.planned).sum();
        ensure!(
            is_telling(sent, planned),
            "only {sent} of {planned} planned requests were sent: that says little"
        );
        if !faults.is_empty() {
            let count = faults.len();
            faults.truncate(SHOWN);
            bail!("{count} requests were lost: {}", faults.join("; "));
        }
        Ok(())
    }
}

fn ingress(name: &str, protocols: &str, path: &str, service: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": SHOP, "annotations": {"konghq.com/protocols": protocols, "konghq.com/strip-path": "false"}},
        "spec": {
            "ingressClassName": "kong",
            "tls": [{"hosts": [HOST], "secretName": NAME}],
            "rules": [{"host": HOST, "http": {"paths": [{
                "path": path, "pathType": "Prefix",
                "backend": {"service": {"name": service, "port": {"number": 80}}},
            }]}}],
        },
    })
}

/// What happened, over what, and where that led.
fn followed(lost: &Lost, began: Instant) -> String {
    let over = lost.over.iter().map(|over| {
        let port = over.connection.port;
        let made = over.connection.made.saturating_duration_since(began).as_secs_f64();
        match &over.led_to {
            Some(backend) => format!("at {made:.1} s port {port} to {} ({})", backend.address, backend.state),
            None => format!("at {made:.1} s port {port}"),
        }
    });
    format!("{} ({})", lost.what, over.collect::<Vec<_>>().join(", then "))
}

/// Steps of one name as one row.
fn summed(rows: Vec<Row>) -> Vec<Row> {
    let mut sums: Vec<Row> = Vec::new();
    for row in rows {
        let Some(sum) = sums.iter_mut().find(|sum| sum.name == row.name) else {
            sums.push(row);
            continue;
        };
        sum.planned += row.planned;
        sum.sent += row.sent;
        sum.ended_in_order += row.ended_in_order;
        sum.slowest = sum.slowest.max(row.slowest);
        sum.lost.extend(row.lost);
    }
    sums
}
