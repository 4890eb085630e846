//! Builders: proxies, renditions and snapshots with only what matters set.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use proxy_config_schema::ConfigHash;

use crate::{
    fleet::{
        Condition, ConditionStatus, ConnectionSecurity, FleetView, Phase, ProxyReport, ProxyView, bare_proxy,
        bare_target,
    },
    model::{
        Edition, NamespacedName, Object, ObjectRef, PeerCertificate, PodRef, Problem, Profile, ProxyId, ProxyTarget,
        Reason, RouterFlavor, Snapshot,
        kubernetes::{
            EndpointSlice, EndpointSliceEndpoint, EndpointTargetRef, LoadBalancerIngress, Metadata, SERVICE_NAME_LABEL,
            Service,
        },
    },
    render::{Fallback, Rendered, Rendition},
    status::{OwnPod, Rows, Settings},
};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time")
}

pub(super) fn condition(status: ConditionStatus, reason: &'static str) -> Condition {
    Condition {
        status,
        reason: reason.into(),
        message: format!("because of {reason}"),
        since: at(0),
    }
}

pub(super) fn yes(reason: &'static str) -> Condition {
    condition(ConditionStatus::True, reason)
}

pub(super) fn no(reason: &'static str) -> Condition {
    condition(ConditionStatus::False, reason)
}

pub(super) fn unknown(reason: &'static str) -> Condition {
    condition(ConditionStatus::Unknown, reason)
}

pub(super) fn profile() -> Profile {
    Profile {
        router_flavor: RouterFlavor::Traditional,
        edition: Some(Edition::Embedded),
        version: Some((3, 9)),
        plugins: None,
    }
}

pub(super) fn admin_service() -> NamespacedName {
    NamespacedName::new("kong", "kong-admin")
}

pub(super) fn settings() -> Settings {
    Settings {
        publish_service: Some(NamespacedName::new("kong", "kong-proxy")),
        publish_addresses: Vec::new(),
        publish_service_udp: None,
        publish_addresses_udp: Vec::new(),
        controller_name: "konghq.com/kic-gateway-controller".to_owned(),
        facade_class: Some("kong".to_owned()),
        gateway_to_reconcile: None,
        update_status: true,
        emit_events: true,
        qps: 20,
        burst: 100,
        rows: Rows::Fleet,
        services: vec![admin_service()],
        watched_namespaces: Vec::new(),
        namespace: "silverback".into(),
        lease: NamespacedName::new("silverback", "election"),
        own_pod: Some(OwnPod {
            namespace: "silverback".into(),
            name: "silverback-0".into(),
            uid: Some("uid-of-silverback-0".into()),
        }),
    }
}

/// A proxy that was just found.
pub(super) fn newcomer(name: &str) -> ProxyView {
    let target = ProxyTarget {
        id: ProxyId(format!("uid-of-{name}").into()),
        pod: Some(PodRef {
            namespace: "kong".into(),
            name: name.into(),
            uid: format!("uid-of-{name}").into(),
        }),
        node: Some("node-a".into()),
        urls: vec!["https://10.0.0.1:8444".into()],
        server_name: Some("pod.kong-admin.kong.svc".into()),
        service: Some(admin_service()),
        ..bare_target("kong", name)
    };
    ProxyView {
        phase: Phase::Unconfigured,
        profile: Some(profile()),
        report: Some(ProxyReport {
            version: "3.9.1".to_owned(),
            plugins: None,
            edition: Edition::Embedded,
            router_flavor: RouterFlavor::Traditional,
            database: "off".to_owned(),
            node_id: None,
            restarted: false,
            started_at: Some(at(-60)),
            body_limit: None,
            hash: ConfigHash::NONE,
            security: ConnectionSecurity::Mutual,
            certificate: Some(PeerCertificate {
                server_name: "pod.kong-admin.kong.svc".to_owned(),
                issuer: "CN=silverback".to_owned(),
                fingerprint: "ab".repeat(32),
                not_before: at(-3_600),
                not_after: at(86_400),
            }),
        }),
        desired: Some(hash("one")),
        observed: Some(ConfigHash::NONE),
        reachable: yes("Answers"),
        mutual_tls: yes("Verified"),
        synced: unknown("Unconfigured"),
        complete: unknown("Unconfigured"),
        ready: no("Unconfigured"),
        ..bare_proxy(target)
    }
}

/// A proxy that runs a configuration.
pub(super) fn synced(name: &str, text: &str) -> ProxyView {
    ProxyView {
        phase: Phase::Synced,
        desired: Some(hash(text)),
        observed: Some(hash(text)),
        pending: None,
        last_good: Some(hash(text)),
        applied_at: Some(at(1)),
        apply_duration: Some(Duration::from_millis(85)),
        size_bytes: Some(1234),
        synced: yes("Synced"),
        complete: yes("Complete"),
        ready: yes("ConfigurationAccepted"),
        ..newcomer(name)
    }
}

/// The same proxy, going away.
pub(super) fn terminating(mut proxy: ProxyView) -> ProxyView {
    Arc::make_mut(&mut proxy.target).terminating = true;
    proxy
}

pub(super) fn hash(text: &str) -> ConfigHash {
    ConfigHash::of(text.as_bytes())
}

pub(super) fn view(desired: &str, proxies: Vec<ProxyView>) -> Arc<FleetView> {
    let hashes = BTreeMap::from([(profile(), hash(desired))]);
    Arc::new(FleetView {
        proxies: proxies.into_iter().map(Arc::new).collect(),
        profiles: [profile()].into(),
        desired: hashes.clone(),
        last_good: hashes,
        ..FleetView::default()
    })
}

pub(super) fn ingress_ref(name: &str) -> ObjectRef {
    ObjectRef {
        group: "networking.k8s.io".into(),
        version: "v1".into(),
        kind: "Ingress".into(),
        namespace: "shop".into(),
        name: name.into(),
        uid: format!("uid-of-{name}").into(),
    }
}

pub(super) fn problem(name: &str, message: &str) -> Problem {
    Problem {
        object: ingress_ref(name),
        field: Some("spec.rules[0].http.paths[0].backend.service.name".to_owned()),
        condition: None,
        reason: Reason::ServiceNotFound,
        message: message.to_owned(),
        remedy: "create it".to_owned(),
        source: None,
    }
}

pub(super) fn rendition(text: &str, objects: &[&str], problems: Vec<Problem>) -> Option<Arc<Rendition>> {
    let rendered = Rendered {
        bytes: text.to_owned().into(),
        hash: hash(text),
        confidential: Arc::default(),
    };
    Some(Arc::new(Rendition {
        generation: Default::default(),
        snapshot: Arc::default(),
        profiles: BTreeMap::from([(profile(), Arc::new(rendered))]),
        fallbacks: Default::default(),
        problems: problems.into(),
        objects: objects.iter().map(|name| ingress_ref(name)).collect(),
        gateways: Default::default(),
        hold: None,
        created: at(0),
        took: Duration::from_millis(1),
    }))
}

/// A configuration that some proxies get instead of the whole, which they refuse.
pub(super) fn with_whole(reduced: &str, whole: &str) -> Option<Arc<Rendition>> {
    let whole = rendition(whole, &["web"], Vec::new())?;
    let mut rendition = Rendition::clone(&*rendition(reduced, &["web"], Vec::new())?);
    let fallback = Fallback {
        whole: whole.profiles.get(&profile()).cloned(),
        sources: Arc::default(),
        kept: None,
        left_out: 1,
        old: 0,
    };
    rendition.fallbacks = BTreeMap::from([(profile(), fallback)]);
    Some(Arc::new(rendition))
}

/// A cluster with the publish Service, and an EndpointSlice with the Pods of these names.
pub(super) fn snapshot(addresses: &[&str], pods: &[&str]) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    let metadata = |name: &str| Metadata {
        namespace: "kong".into(),
        name: name.into(),
        uid: format!("uid-of-{name}").into(),
        ..Metadata::default()
    };
    let mut service = Service {
        metadata: metadata("kong-proxy"),
        ..Service::default()
    };
    service.spec.cluster_ips = vec!["10.96.0.7".to_owned()];
    service.status.load_balancer.ingress = addresses
        .iter()
        .map(|address| LoadBalancerIngress {
            ip: Some((*address).to_owned()),
            hostname: None,
        })
        .collect();
    snapshot.insert(Object::Service(Arc::new(service)));
    let admin = Service {
        metadata: metadata("kong-admin"),
        ..Service::default()
    };
    snapshot.insert(Object::Service(Arc::new(admin)));
    let mut slice = EndpointSlice {
        metadata: metadata("kong-admin-1"),
        ..EndpointSlice::default()
    };
    slice.metadata.labels = [(SERVICE_NAME_LABEL.to_owned(), "kong-admin".to_owned())].into();
    slice.endpoints = pods
        .iter()
        .map(|name| EndpointSliceEndpoint {
            target_ref: Some(EndpointTargetRef {
                kind: "Pod".to_owned(),
                namespace: "kong".into(),
                name: (*name).into(),
                uid: format!("uid-of-{name}").into(),
            }),
            ..EndpointSliceEndpoint::default()
        })
        .collect();
    snapshot.insert(Object::EndpointSlice(Arc::new(slice)));
    Arc::new(snapshot)
}
