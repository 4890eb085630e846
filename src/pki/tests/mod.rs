//! What is kept: in Secrets against an API server in memory, in a directory on disk.

#![allow(clippy::unwrap_used)]

mod directory;
mod own_certificates;
mod secrets;
mod webhook;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    fleet::{Condition, ConditionStatus, HashMode, Phase, ProxyView},
    model::{NamespacedName, PodRef, ProxyId, ProxyTarget},
};

/// Waits until something holds, for three minutes of paused time.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..18_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not in time");
}

/// A proxy that was found and has said nothing yet.
pub(super) fn proxy_view(pod: PodRef) -> ProxyView {
    let condition = || Condition {
        status: ConditionStatus::Unknown,
        reason: "Discovered".into(),
        message: String::new(),
        since: Timestamp::UNIX_EPOCH,
    };
    ProxyView {
        target: Arc::new(ProxyTarget {
            id: ProxyId(pod.uid.clone()),
            name: pod.name.clone(),
            namespace: pod.namespace.clone(),
            pod: Some(pod),
            node: None,
            urls: Vec::new(),
            server_name: None,
            service: Some(NamespacedName::new("gateway", "admin")),
            terminating: false,
        }),
        phase: Phase::Discovered,
        profile: None,
        report: None,
        desired: None,
        observed: None,
        pending: None,
        unsettled: None,
        last_good: None,
        hash_mode: HashMode::Unknown,
        applied_at: None,
        apply_duration: None,
        size_bytes: None,
        reachable: condition(),
        mutual_tls: condition(),
        synced: condition(),
        complete: condition(),
        ready: condition(),
        errors: Vec::new(),
        error_count: 0,
    }
}
