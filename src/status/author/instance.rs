//! What a `ProxyInstance` and a Pod's readiness gate say of a proxy. Pure.

use std::{collections::HashSet, sync::Arc};

use proxy_config_schema::ConfigHash;

use crate::{
    fleet::{ConditionStatus, HashMode, ProxyError, ProxyReport, ProxyView},
    model::{Edition, NamespacedName, Profile, ProxyTarget, Snapshot},
    status::{
        document::{Document, Gate, Key},
        planner::Planner,
        resource::{
            ConfigurationStatus, ErrorObjectReference, InstanceError, MutualTlsStatus, ObserverStatus, PodReference,
            ProxyInstanceSpec, ProxyInstanceStatus, ProxySoftware, ServiceReference, StatusCondition, bound, cut,
            duration_text, whole_seconds,
        },
    },
};

/// Which proxy it is; `None` where there is no Pod.
pub(in crate::status) fn spec(target: &ProxyTarget, profile: Option<&Profile>) -> Option<ProxyInstanceSpec> {
    let pod = target.pod.as_ref()?;
    Some(ProxyInstanceSpec {
        pod_ref: PodReference {
            name: pod.name.to_string(),
            uid: pod.uid.to_string(),
        },
        node_name: target.node.as_ref().map(ToString::to_string),
        admin_url: target.urls.first().map(|url| cut(url, bound::LINE)).unwrap_or_default(),
        service: target.service.as_ref().map(|service| ServiceReference {
            namespace: service.namespace.to_string(),
            name: service.name.to_string(),
        }),
        profile: profile.map(ToString::to_string),
    })
}

/// What is known of it.
pub(in crate::status) fn status(
    proxy: &ProxyView,
    problems: Option<u32>,
    observer: ObserverStatus,
) -> ProxyInstanceStatus {
    let conditions = [
        ("Reachable", &proxy.reachable),
        ("MutualTLS", &proxy.mutual_tls),
        ("Synced", &proxy.synced),
        ("Complete", &proxy.complete),
        ("Ready", &proxy.ready),
    ];
    ProxyInstanceStatus {
        configuration: Some(configuration(proxy, problems)),
        mtls: proxy.report.as_ref().and_then(mutual_tls),
        proxy: proxy.report.as_ref().map(software),
        errors: proxy.errors.iter().take(bound::ERRORS).map(error).collect(),
        error_count: u32::try_from(proxy.error_count).unwrap_or(u32::MAX),
        observer: Some(observer),
        conditions: conditions
            .map(|(type_, condition)| StatusCondition::new(type_, condition))
            .into(),
    }
}

fn configuration(proxy: &ProxyView, problems: Option<u32>) -> ConfigurationStatus {
    ConfigurationStatus {
        observed_hash: reported(proxy).map(|hash| hash.to_string()),
        short_hash: proxy.observed.filter(|hash| !hash.is_none()).map(|hash| hash.short()),
        hash_mode: (proxy.hash_mode != HashMode::Unknown).then(|| proxy.hash_mode.as_str().to_owned()),
        applied_at: proxy.applied_at.map(whole_seconds),
        size_bytes: proxy.size_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        apply_duration: proxy.apply_duration.map(duration_text),
        last_good_hash: proxy.last_good.map(|hash| hash.to_string()),
        complete: match proxy.complete.status {
            ConditionStatus::True => Some(true),
            ConditionStatus::False => Some(false),
            ConditionStatus::Unknown => None,
        },
        problems,
    }
}

/// What the proxy itself calls what it runs.
fn reported(proxy: &ProxyView) -> Option<ConfigHash> {
    match (proxy.hash_mode, &proxy.report) {
        (HashMode::Learned, Some(report)) => Some(report.hash),
        _ => proxy.observed,
    }
}

fn mutual_tls(report: &ProxyReport) -> Option<MutualTlsStatus> {
    let certificate = report.certificate.as_ref()?;
    Some(MutualTlsStatus {
        server_name: cut(&certificate.server_name, bound::LINE),
        issuer: cut(&certificate.issuer, bound::LINE),
        fingerprint: cut(&certificate.fingerprint, bound::WORD),
        not_after: whole_seconds(certificate.not_after),
    })
}

fn software(report: &ProxyReport) -> ProxySoftware {
    let edition = match report.edition {
        Edition::OpenSource => "open_source",
        Edition::Enterprise => "enterprise",
        Edition::Embedded => "embedded",
    };
    ProxySoftware {
        version: cut(&report.version, bound::WORD),
        edition: edition.to_owned(),
        router_flavor: report.router_flavor.as_str().to_owned(),
        started_at: report.started_at.map(whole_seconds),
    }
}

fn error(error: &ProxyError) -> InstanceError {
    InstanceError {
        object_ref: error.object.as_ref().map(|object| ErrorObjectReference {
            group: object.group.to_string(),
            kind: object.kind.to_string(),
            namespace: object.namespace.to_string(),
            name: object.name.to_string(),
        }),
        entity_type: cut(&error.entity_type, bound::WORD),
        field: error.field.as_ref().map(|field| cut(field, bound::LINE)),
        message: cut(&error.message, bound::MESSAGE),
        since: whole_seconds(error.since),
    }
}

/// What the Pod is told; `None` leaves it as it is.
///
/// It opens when the proxy serves a configuration that was accepted. It closes only on evidence, that is when the proxy
/// answers and serves none (its container was restarted): a controller that can't reach the Admin API must not take
/// working Pods out of their Services.
pub(in crate::status) fn gate(proxy: &ProxyView, former: Option<&Gate>) -> Option<Gate> {
    let ready = &proxy.ready;
    let gate = match ready.status {
        ConditionStatus::True => Gate {
            status: ConditionStatus::True,
            reason: "ConfigurationAccepted".to_owned(),
            message: "the proxy serves a configuration that it accepted".to_owned(),
            since: whole_seconds(ready.since),
        },
        ConditionStatus::False if proxy.reachable.status == ConditionStatus::True && !proxy.target.terminating => {
            Gate {
                status: ConditionStatus::False,
                reason: cut(&ready.reason, bound::WORD),
                message: cut(&ready.message, bound::MESSAGE),
                since: whole_seconds(ready.since),
            }
        }
        ConditionStatus::False | ConditionStatus::Unknown => return None,
    };
    (former != Some(&gate)).then_some(gate)
}

/// Whether an earlier leader wrote a status by which the Pod has been told so.
pub(super) fn was_told(planner: &Planner, name: &NamespacedName, uid: &str, gate: ConditionStatus) -> bool {
    let belongs = matches!(planner.written(&Key::Instance(name.clone())),
        Some(Document::Instance(spec)) if spec.pod_ref.uid == uid);
    let Some(Document::InstanceStatus(status)) = planner.written(&Key::InstanceStatus(name.clone())) else {
        return false;
    };
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    belongs && ready.is_some_and(|ready| ready.is(gate))
}

/// UIDs of all Pods in the EndpointSlices of Services.
pub(super) fn pods_of(snapshot: &Snapshot, services: &[NamespacedName]) -> HashSet<Arc<str>> {
    let slices = snapshot.endpoint_slices.values().filter(|slice| {
        let name = slice.service_name();
        services
            .iter()
            .any(|service| service.namespace == slice.metadata.namespace && name == Some(&*service.name))
    });
    let targets = slices.flat_map(|slice| {
        slice
            .endpoints
            .iter()
            .filter_map(|endpoint| endpoint.target_ref.as_ref())
    });
    targets.map(|target| target.uid.clone()).collect()
}
