//! The classic layout: a controller that drives the proxy beside it, in its own Pod, and no other.

use std::sync::Arc;

use super::settings::{ControllerSettings, Source};
use crate::{
    model::{NamespacedName, PodRef, ProxyId, ProxyTarget},
    pki::client::is_loopback,
    status::OwnPod,
};

/// The proxy in the controller's own Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnProxy {
    pod: PodRef,
    node: Option<Arc<str>>,
}

impl OwnProxy {
    /// As the settings and the Pod have it, and `NODE_NAME`; `None` where proxies are elsewhere.
    ///
    /// Its row belongs to the Pod by UID: where `POD_UID` is not told, as in pods of Kong's charts, there is none.
    pub(super) fn of(settings: &ControllerSettings, pod: Option<OwnPod>) -> Option<Self> {
        let [(_, url)] = settings.static_proxies.as_slice() else {
            return None;
        };
        let beside = url.parse::<reqwest::Url>().is_ok_and(|url| is_loopback(&url));
        let in_cluster = matches!(settings.source, Source::Cluster { .. });
        if !beside || !in_cluster || !settings.admin_services.is_empty() {
            return None;
        }
        let pod = pod?;
        let node = std::env::var("NODE_NAME").ok().filter(|node| !node.is_empty());
        Some(Self {
            pod: PodRef {
                namespace: pod.namespace,
                name: pod.name,
                uid: pod.uid?,
            },
            node: node.map(Arc::from),
        })
    }

    /// Namespace and name of the Pod, and of its row.
    pub(super) fn name(&self) -> NamespacedName {
        NamespacedName::new(self.pod.namespace.clone(), self.pod.name.clone())
    }

    /// What was given by its address, by what it is.
    pub(super) fn known(&self, target: &ProxyTarget) -> ProxyTarget {
        ProxyTarget {
            id: ProxyId(self.pod.uid.clone()),
            name: self.pod.name.clone(),
            namespace: self.pod.namespace.clone(),
            node: self.node.clone(),
            pod: Some(self.pod.clone()),
            ..target.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> ControllerSettings {
        ControllerSettings {
            static_proxies: vec![(url.to_owned(), url.to_owned())],
            ..ControllerSettings::new(Source::Cluster {
                kubeconfig: None,
                server: None,
                rate: None,
                namespaces: Vec::new(),
            })
        }
    }

    fn pod(uid: Option<&str>) -> Option<OwnPod> {
        Some(OwnPod {
            namespace: "edge".into(),
            name: "edge-kong-1".into(),
            uid: uid.map(Arc::from),
        })
    }

    #[test]
    fn it_is_the_one_on_loopback_of_a_pod_that_knows_itself() {
        let own = |url: &str, uid| OwnProxy::of(&settings(url), pod(uid));
        for url in ["http://127.0.0.1:8001", "https://localhost:8444", "http://[::1]:8001"] {
            let own = own(url, Some("uid")).expect(url);
            assert_eq!(own.name().to_string(), "edge/edge-kong-1");
        }
        assert_eq!(own("https://10.0.0.1:8444", Some("uid")), None, "another's");
        assert_eq!(own("http://127.0.0.1:8001", None), None, "as Kong's charts have it");
        assert_eq!(OwnProxy::of(&settings("http://127.0.0.1:8001"), None), None);
        let mut two = settings("http://127.0.0.1:8001");
        two.static_proxies
            .push(("b".to_owned(), "http://127.0.0.1:8002".to_owned()));
        assert_eq!(OwnProxy::of(&two, pod(Some("uid"))), None);
        let mut discovering = settings("http://127.0.0.1:8001");
        discovering.admin_services.push(NamespacedName::new("edge", "admin"));
        assert_eq!(OwnProxy::of(&discovering, pod(Some("uid"))), None);
    }
}
