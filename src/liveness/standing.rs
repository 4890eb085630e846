//! What keeps a rendition from being what all proxies run.

use std::collections::BTreeSet;

use proxy_config_schema::ConfigHash;
use serde::{Deserialize, Serialize};

use super::{Milestone, Trail};
use crate::{
    fleet::{ConditionStatus, FleetView, ProxyView},
    render::Rendition,
};

/// Something that has not happened yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdup {
    /// The proxy, `namespace/name`; none if nothing goes to any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proxy: Option<String>,
    /// A word, such as the reason of the proxy's condition `Synced`.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

impl Holdup {
    fn general(reason: &str, message: impl Into<String>) -> Self {
        Self {
            proxy: None,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// What is missing until every proxy that serves runs that rendition. A proxy that is going away, or takes no requests
/// since it has no configuration, keeps nothing waiting; one that does not answer does, since it may serve something older.
pub fn holdups(rendition: &Rendition, view: &FleetView) -> Vec<Holdup> {
    if let Some(hold) = &rendition.hold {
        return vec![Holdup::general("SourceUnavailable", hold.clone())];
    }
    if counted(view).next().is_none() {
        return vec![Holdup::general("NoProxies", "there is no proxy that serves")];
    }
    counted(view)
        .filter(|proxy| !runs(rendition, proxy))
        .map(|proxy| holdup(view, proxy))
        .collect()
}

/// Proxies that may serve requests.
fn counted(view: &FleetView) -> impl Iterator<Item = &ProxyView> {
    let proxies = view.proxies.iter().map(|proxy| &**proxy);
    proxies.filter(|proxy| !proxy.target.terminating && proxy.ready.status != ConditionStatus::False)
}

/// Where they have got to, each of them: nothing if one is nowhere on the trail. Views come often: it is found out without
/// a word.
pub(super) fn reached<T>(trail: &Trail<T>, view: &FleetView) -> BTreeSet<Milestone> {
    let reached = counted(view).map(|proxy| trail.reached_by(proxy).filter(|_| is_in_touch(proxy)));
    reached.collect::<Option<_>>().unwrap_or_default()
}

fn runs(rendition: &Rendition, proxy: &ProxyView) -> bool {
    let is_up_to_date = |hash: ConfigHash| {
        let profile = proxy.profile.as_ref();
        profile.is_some_and(|profile| rendition.up_to_date(profile).any(|wanted| wanted == hash))
    };
    // What is still on its way may be older, where a change was taken back.
    proxy.observed.is_some_and(is_up_to_date) && proxy.pending.is_none_or(is_up_to_date) && is_in_touch(proxy)
}

/// Whether it still runs what it was seen to run, as far as can be known.
fn is_in_touch(proxy: &ProxyView) -> bool {
    proxy.reachable.status == ConditionStatus::True
}

fn holdup(view: &FleetView, proxy: &ProxyView) -> Holdup {
    let service = proxy.target.service.as_ref();
    let is_paused = service.is_some_and(|service| view.paused.contains(service));
    let (reason, message) = match proxy.synced.status {
        ConditionStatus::True if is_paused => (
            "Paused".to_owned(),
            "the operator has paused the fleet: silverback resume ends that".to_owned(),
        ),
        // In sync with what came before.
        ConditionStatus::True => ("Pending".to_owned(), "it is about to get the configuration".to_owned()),
        _ => (proxy.synced.reason.to_string(), proxy.synced.message.clone()),
    };
    let target = &proxy.target;
    Holdup {
        proxy: Some(match &*target.namespace {
            "" => target.name.to_string(),
            namespace => format!("{namespace}/{}", target.name),
        }),
        reason,
        message,
    }
}
