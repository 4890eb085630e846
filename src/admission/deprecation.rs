//! Kinds and fields that are always admitted, and warned of. Pure.

use super::Verdict;
use crate::model::{kong::KongIngress, kubernetes::Service};

const OVERRIDE: &str = "konghq.com/override";

/// Warns of each section of a `KongIngress`.
pub(super) fn of_kong_ingress(ingress: &KongIngress, verdict: &mut Verdict) {
    let sections = [
        (
            ingress.proxy.is_some(),
            "'proxy' is DEPRECATED. It will have no effect. Use Service's annotations instead.",
        ),
        (
            ingress.route.is_some(),
            "'route' is DEPRECATED. It will have no effect. Use Ingress' annotations instead.",
        ),
        (
            ingress.upstream.is_some(),
            "'upstream' is DEPRECATED. Use a KongUpstreamPolicy resource instead.",
        ),
    ];
    for (_, warning) in sections.iter().filter(|(is_set, _)| *is_set) {
        verdict.warn(*warning);
    }
}

/// Warns of the annotation that names a `KongIngress`.
pub(super) fn of_service(service: &Service, verdict: &mut Verdict) {
    if service.metadata.annotation(OVERRIDE).is_some() {
        verdict.warn(format!(
            "the annotation {OVERRIDE} is DEPRECATED. Use Service's annotations for the proxy section, and the annotation \
             konghq.com/upstream-policy with a KongUpstreamPolicy resource for the upstream section, instead."
        ));
    }
}
