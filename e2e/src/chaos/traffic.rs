//! Requests that never stop, and whose fault it is when one fails.

use std::{collections::BTreeMap, sync::Mutex};

use anyhow::bail;
use serde_json::{Value, json};

use super::fault::Costs;
use crate::{
    cluster::{Cluster, Forward},
    load::{OpenLoad, Row, rate, table},
    scenario::release::{CHANGE, NAMESPACE, SHOP, all_answer_for, proxy_service, ways_to},
};

/// Whom requests are for.
pub(super) const HOST: &str = "chaos.example";
const NAME: &str = "chaos";
/// The same application, for gRPC.
const CALLS: &str = "chaos-calls";

/// The load on the proxies' Service.
pub(super) struct Traffic {
    load: OpenLoad,
    certificate: (String, String),
    /// What each step may cost.
    costs: Mutex<BTreeMap<String, Costs>>,
    /// Kept open as long as the load needs them.
    _ways: [Forward; 2],
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
        let (target, ways) = ways_to(
            cluster,
            (NAMESPACE, &proxy_service()),
            HOST,
            certificate.0.clone(),
            CHANGE,
        )?;
        all_answer_for(cluster, HOST, "/", 200)?;
        Ok(Self {
            load: OpenLoad::start(target)?,
            certificate,
            costs: Mutex::default(),
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
        known.insert(name.to_owned(), costs);
        self.load.step(name);
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
            let costs = costs.get(&row.name).copied().unwrap_or(Costs::Nothing);
            let failures = row.failures();
            let inexcusable = failures.iter().filter(|(failure, _)| !costs.excuse(failure));
            for (failure, count) in inexcusable {
                faults.push(format!("{}: {count} × {failure}", row.name));
            }
        }
        if !faults.is_empty() {
            bail!("requests were lost: {}", faults.join("; "));
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
