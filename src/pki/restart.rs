//! Rolling restarts of proxies that can't read certificates again: Kong takes its Admin API's at the start only.
//!
//! A change of the pod template's annotation is what `kubectl rollout restart` does, too: Kubernetes replaces the pods one
//! after the other, each when the next is Ready.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    time::Duration,
};

use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::json;

use super::authority::fingerprint;
use crate::{
    fleet::FleetView,
    model::{Edition, NamespacedName},
};

/// Annotation of the pod template: the fingerprint of the certificate that its pods shall read.
const ANNOTATION: &str = "gateway.silverback.dev/certificate";
/// A renewal that nobody asked for waits for restarts that happen anyway, until this time before the old one expires.
const BEFORE_EXPIRY: Duration = Duration::from_secs(15 * 24 * 3600);

/// A workload whose pods are restarted: `deployment/NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    kind: WorkloadKind,
    name: NamespacedName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WorkloadKind {
    Deployment,
    DaemonSet,
    StatefulSet,
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("{text:?} is not deployment/NAMESPACE/NAME (or daemonset/…, statefulset/…)");
        let mut parts = text.split('/');
        let (Some(kind), Some(namespace), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid());
        };
        let kind = match kind {
            "deployment" => WorkloadKind::Deployment,
            "daemonset" => WorkloadKind::DaemonSet,
            "statefulset" => WorkloadKind::StatefulSet,
            _ => return Err(invalid()),
        };
        if namespace.is_empty() || name.is_empty() {
            return Err(invalid());
        }
        Ok(Self {
            kind,
            name: NamespacedName::new(namespace, name),
        })
    }
}

impl Workload {
    fn resource(&self) -> ApiResource {
        let kind = match self.kind {
            WorkloadKind::Deployment => "Deployment",
            WorkloadKind::DaemonSet => "DaemonSet",
            WorkloadKind::StatefulSet => "StatefulSet",
        };
        ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind))
    }
}

/// The certificate that proxies are given, and whether it is urgent that they show it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) certificate: &'a str,
    pub(super) urgent: bool,
}

/// Whether a proxy that can't read it again shows another certificate than it is given, and it is time to change that.
fn is_due(view: &FleetView, given: Given<'_>, current: &str, now: Timestamp) -> bool {
    let reports = view.proxies.iter().filter(|proxy| !proxy.target.terminating);
    let reports = reports.filter_map(|proxy| proxy.report.as_ref());
    reports
        .filter(|report| report.edition != Edition::Embedded)
        .filter_map(|report| report.certificate.as_ref())
        .any(|shown| shown.fingerprint != current && (given.urgent || shown.not_after < now + BEFORE_EXPIRY))
}

/// Begins restarts, each once.
pub(super) struct Restarter {
    client: Client,
    workloads: Vec<Workload>,
    /// The fingerprint that each was restarted for.
    done: BTreeMap<Workload, String>,
    complained: BTreeSet<Workload>,
}

impl Restarter {
    pub(super) fn new(client: Client, workloads: Vec<Workload>) -> Self {
        Self {
            client,
            workloads,
            done: BTreeMap::new(),
            complained: BTreeSet::new(),
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.workloads.is_empty()
    }

    /// Restarts what has to be, now.
    pub(super) async fn settle(&mut self, view: &FleetView, given: Given<'_>, now: Timestamp) {
        let Ok(current) = fingerprint(given.certificate) else {
            return;
        };
        if !is_due(view, given, &current, now) {
            return;
        }
        for workload in &self.workloads {
            let name = workload.name.to_string();
            if self.done.get(workload) == Some(&current) {
                continue;
            }
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &workload.name.namespace, &workload.resource());
            let patch = json!({ "spec": { "template": { "metadata": { "annotations": { ANNOTATION: current } } } } });
            let parameters = PatchParams::default();
            match api.patch(&workload.name.name, &parameters, &Patch::Merge(&patch)).await {
                Ok(_) => {
                    tracing::info!(workload = %name, "rolling restart: its proxies have to read a new certificate");
                    self.complained.remove(workload);
                    self.done.insert(workload.clone(), current.clone());
                }
                Err(error) => {
                    if self.complained.insert(workload.clone()) {
                        tracing::error!(
                            workload = %name, %error,
                            "can't begin a rolling restart: its proxies go on with a certificate that expires; grant patch \
                             on it by name, or restart it by hand"
                        );
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_read_as_kubectl_writes_them() {
        let workload: Workload = "daemonset/gateway/kong".parse().expect("valid");
        assert_eq!(
            (workload.kind, workload.name.to_string()),
            (WorkloadKind::DaemonSet, "gateway/kong".to_owned())
        );
        for text in [
            "",
            "kong",
            "deployment/kong",
            "deployment//kong",
            "pod/gateway/kong",
            "deployment/a/b/c",
        ] {
            assert!(text.parse::<Workload>().is_err(), "{text:?}");
        }
    }
}
