//! What keeps a rendition from being what all proxies run.

use serde::{Deserialize, Serialize};

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

/// Whether nothing is missing. Views come often: it is found out without a word.
pub(super) fn is_everywhere(rendition: &Rendition, view: &FleetView) -> bool {
    rendition.hold.is_none() && counted(view).next().is_some() && counted(view).all(|proxy| runs(rendition, proxy))
}

/// Proxies that may serve requests.
fn counted(view: &FleetView) -> impl Iterator<Item = &ProxyView> {
    let proxies = view.proxies.iter().map(|proxy| &**proxy);
    proxies.filter(|proxy| !proxy.target.terminating && proxy.ready.status != ConditionStatus::False)
}

/// By what it was seen to run: `Synced` stays True for a while when there is something newer.
fn runs(rendition: &Rendition, proxy: &ProxyView) -> bool {
    let wanted = proxy
        .profile
        .as_ref()
        .and_then(|profile| rendition.profiles.get(profile));
    wanted.is_some_and(|wanted| proxy.observed == Some(wanted.hash)) && proxy.synced.status == ConditionStatus::True
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
