//! Rolling restarts of proxies that can't read certificates again: Kong takes its Admin API's at the start only.
//!
//! A change of the pod template's annotation is what `kubectl rollout restart` does, too: Kubernetes replaces the pods one
//! after the other, each when the next is Ready.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::json;
use tokio::time::sleep;

use super::{authority::fingerprint, secrets::FleetKnowledge};
use crate::{
    fleet::FleetView,
    model::{Edition, NamespacedName, PeerCertificate},
};

/// Annotation of the pod template: the fingerprint of the certificate that its pods shall read, or of the one that they show
/// and that expires.
const ANNOTATION: &str = "gateway.silverback.dev/certificate";
/// A renewal that nobody asked for waits for restarts that happen anyway, until this time before the old one expires.
const BEFORE_EXPIRY: Duration = Duration::from_secs(15 * 24 * 3600);
/// The same of certificates that live for less than three months, as a part of their life. By then cert-manager has renewed
/// them: it does so when a third is left.
const SHARE: i32 = 6;
/// How often proxies are restarted for a certificate of which it is not known whether there is another one to be read: each
/// time half of what was left is gone.
const ATTEMPTS: u32 = 3;
/// How often a leader looks for proxies that have to be restarted.
pub(super) const LOOK_FOR_RESTARTS: Duration = Duration::from_secs(60);

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

/// What those proxies show that can't read a certificate again.
fn shown(view: &FleetView) -> impl Iterator<Item = &PeerCertificate> {
    let proxies = view.proxies.iter().filter(|proxy| !proxy.target.terminating);
    let reports = proxies.filter_map(|proxy| proxy.report.as_ref());
    let reports = reports.filter(|report| report.edition != Edition::Embedded);
    reports.filter_map(|report| report.certificate.as_ref())
}

/// Whether a proxy that can't read it again shows another certificate than it is given, and it is time to change that.
fn is_due(view: &FleetView, given: Given<'_>, current: &str, now: Timestamp) -> bool {
    shown(view).any(|shown| shown.fingerprint != current && (given.urgent || shown.not_after < now + BEFORE_EXPIRY))
}

/// What proxies are to be restarted for that get their certificates from somebody else, so that nothing tells whether there is
/// another one to be read: the one that expires first, and how often it was tried.
fn expiring(view: &FleetView, now: Timestamp) -> Option<String> {
    let first = shown(view).min_by_key(|shown| shown.not_after)?;
    let life = first.not_after.duration_since(first.not_before);
    let limit = (life / SHARE).min(SignedDuration::try_from(BEFORE_EXPIRY).ok()?);
    let left = first.not_after.duration_since(now);
    let attempt = (0..ATTEMPTS).rev().find(|attempt| left < limit / (1 << attempt))?;
    Some(format!("{}-{attempt}", first.fingerprint))
}

/// Restarts workloads before what their proxies show expires, where it comes from somebody else (files, cert-manager). Runs as
/// long as the process lives.
pub async fn restart_before_expiry(client: Client, workloads: Vec<Workload>, fleet: FleetKnowledge) {
    let mut restarter = Restarter::new(client, workloads);
    let mut led = false;
    loop {
        sleep(LOOK_FOR_RESTARTS).await;
        let leads = fleet.leadership.borrow().is_leader();
        // Who has just begun to lead does not know the proxies yet.
        if leads && led {
            let view = fleet.view.borrow().clone();
            if let Some(reason) = expiring(&view, Timestamp::now()) {
                restarter.restart_for(&reason).await;
            }
        }
        led = leads;
    }
}

/// Begins restarts, each once.
pub(super) struct Restarter {
    client: Client,
    workloads: Vec<Workload>,
    /// What each was restarted for.
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
        if is_due(view, given, &current, now) {
            self.restart_for(&current).await;
        }
    }

    /// Restarts all that were not restarted for that yet.
    async fn restart_for(&mut self, reason: &str) {
        for workload in &self.workloads {
            let name = workload.name.to_string();
            if self.done.get(workload).is_some_and(|done| done == reason) {
                continue;
            }
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &workload.name.namespace, &workload.resource());
            let patch = json!({ "spec": { "template": { "metadata": { "annotations": { ANNOTATION: reason } } } } });
            let parameters = PatchParams::default();
            match api.patch(&workload.name.name, &parameters, &Patch::Merge(&patch)).await {
                Ok(_) => {
                    tracing::info!(workload = %name, "rolling restart: its proxies have to read a new certificate");
                    self.complained.remove(workload);
                    self.done.insert(workload.clone(), reason.to_owned());
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
