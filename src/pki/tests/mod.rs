//! What is kept: in Secrets against an API server in memory, in a directory on disk.

#![allow(clippy::unwrap_used)]

mod directory;
mod own_certificates;
mod restart;
mod secrets;
mod webhook;

use std::time::Duration;

use crate::{
    fleet::{ProxyView, bare_proxy, bare_target},
    model::{NamespacedName, PodRef, ProxyId},
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
    let mut target = bare_target(&pod.namespace, &pod.name);
    target.id = ProxyId(pod.uid.clone());
    target.pod = Some(pod);
    target.service = Some(NamespacedName::new("gateway", "admin"));
    bare_proxy(target)
}
