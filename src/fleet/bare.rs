//! Proxies of which nothing is known, for tests of whoever looks at proxies: each sets what matters to it, and no more.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Condition, ConditionStatus, HashMode, Phase, ProxyView};
use crate::model::{ProxyId, ProxyTarget};

/// What is found under a name, without a pod, a Service or an address.
pub(crate) fn bare_target(namespace: &str, name: &str) -> ProxyTarget {
    ProxyTarget {
        id: ProxyId(name.into()),
        name: name.into(),
        namespace: namespace.into(),
        pod: None,
        node: None,
        urls: Vec::new(),
        server_name: None,
        service: None,
        terminating: false,
    }
}

/// Such a proxy, that has said nothing yet.
pub(crate) fn bare_proxy(target: ProxyTarget) -> ProxyView {
    let unknown = || bare_condition(ConditionStatus::Unknown, "Discovered");
    ProxyView {
        target: Arc::new(target),
        phase: Phase::Discovered,
        profile: None,
        report: None,
        desired: None,
        observed: None,
        pending: None,
        unsettled: None,
        hash_mode: HashMode::Unknown,
        last_good: None,
        applied_at: None,
        apply_duration: None,
        size_bytes: None,
        reachable: unknown(),
        mutual_tls: unknown(),
        synced: unknown(),
        complete: unknown(),
        ready: unknown(),
        errors: Vec::new(),
        error_count: 0,
    }
}

/// A condition without a message, of a time that does not matter.
pub(crate) fn bare_condition(status: ConditionStatus, reason: &'static str) -> Condition {
    Condition {
        status,
        reason: reason.into(),
        message: String::new(),
        since: Timestamp::UNIX_EPOCH,
    }
}
