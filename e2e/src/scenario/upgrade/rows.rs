//! Rows of proxies at the starting point: in sidecar mode each replica's own, otherwise none.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{super::release::holds, RELEASE_LIMIT, edge::NAMESPACE, run::Run};
use crate::poll::eventually;

impl Run<'_> {
    /// Nothing is left of what another mode wrote, and each sidecar has written its own row.
    pub(super) fn rows_as_at_the_start(&self) -> anyhow::Result<()> {
        eventually("rows are as at the start", RELEASE_LIMIT, || {
            let rows = self.cluster.list(&["proxyinstances", "-n", NAMESPACE])?;
            let fleets = self.cluster.list(&["proxyfleets", "-n", NAMESPACE])?;
            // That of the ingress chart's Admin Service stays: the Service does.
            ensure!(
                fleets.is_empty() || self.edge.is_of_ingress_chart(),
                "{} fleets are left",
                fleets.len()
            );
            if self.edge.has_own_sidecars() {
                return self.rows_of_sidecars(&rows);
            }
            ensure!(rows.is_empty(), "{} rows are left", rows.len());
            Ok(())
        })?;
        if self.edge.has_own_sidecars() {
            self.cluster.show(&["get", "pxi", "-n", NAMESPACE])?;
        }
        Ok(())
    }

    fn rows_of_sidecars(&self, rows: &[Value]) -> anyhow::Result<()> {
        let pods = self
            .cluster
            .list(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=app"])?;
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let by_name: BTreeMap<_, _> = rows.iter().map(|row| (name(row), row)).collect();
        ensure!(rows.len() == pods.len(), "{} rows of {} pods", rows.len(), pods.len());
        for pod in &pods {
            let row = by_name
                .get(&name(pod))
                .with_context(|| format!("{} has no row", name(pod)))?;
            ensure!(
                holds(row, "Ready") && holds(row, "Synced"),
                "{}",
                row["status"]["conditions"]
            );
            let uid = &pod["metadata"]["uid"];
            ensure!(
                row["metadata"]["ownerReferences"][0]["uid"] == *uid,
                "another pod's row: {row}"
            );
            ensure!(
                row["spec"]["nodeName"] == pod["spec"]["nodeName"],
                "on another node: {row}"
            );
            ensure!(row["status"]["mtls"].is_null(), "there is no TLS: {row}");
            let conditions = row["status"]["conditions"].as_array().context("no conditions")?;
            let told = conditions.iter().find(|condition| condition["type"] == "MutualTLS");
            let told = told.map(|told| json!([told["status"], told["reason"]]));
            ensure!(told == Some(json!(["False", "Loopback"])), "MutualTLS: {told:?}");
        }
        Ok(())
    }
}
