//! A cluster in memory with a writer of statuses, for tests in paused time.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use super::world::{rendition, settings, snapshot, synced, view};
use crate::{
    fleet::{FleetView, ProxyView},
    lease::fake_api::FakeApi,
    liveness::Liveness,
    model::{Epoch, Leadership, Snapshot, Storage},
    render::Rendition,
    status::{Inputs, Reports, Settings, writer},
};

pub(super) const POD: &str = "/api/v1/namespaces/kong/pods/";
pub(super) const INSTANCE: &str = "/apis/gateway.silverback.dev/v1alpha1/namespaces/kong/proxyinstances/";
pub(super) const FLEET: &str = "/apis/gateway.silverback.dev/v1alpha1/namespaces/silverback/proxyfleets/kong-admin";
pub(super) const INGRESS: &str = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/";
pub(super) const EVENTS: &str = "apis/events.k8s.io/v1/events";

/// A cluster, and a controller's writer of statuses in it.
pub(super) struct Cluster {
    pub(super) api: FakeApi,
    pub(super) view: watch::Sender<Arc<FleetView>>,
    pub(super) rendition: watch::Sender<Option<Arc<Rendition>>>,
    pub(super) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(super) leadership: watch::Sender<Leadership>,
    pub(super) objects_are_ours: watch::Sender<bool>,
    pub(super) liveness: watch::Sender<Liveness>,
    pub(super) storage: watch::Sender<Storage>,
    pub(super) reports: Reports,
    pub(super) task: JoinHandle<()>,
}

pub(super) fn leader(transitions: u64) -> Leadership {
    Leadership::Leader {
        epoch: Epoch {
            lease_uid: "uid-of-lease".into(),
            transitions,
        },
    }
}

impl Cluster {
    pub(super) fn new(api: FakeApi, settings: Settings) -> Self {
        let (view, view_receiver) = watch::channel(Arc::default());
        let (rendition, rendition_receiver) = watch::channel(None);
        let (snapshot, snapshot_receiver) = watch::channel(Arc::new(Snapshot::unlisted()));
        let (leadership, leadership_receiver) = watch::channel(leader(1));
        let (liveness, liveness_receiver) = watch::channel(Liveness::default());
        let (storage, storage_receiver) = watch::channel(Storage::Stored { at: None, size: None });
        let (objects_are_ours, objects_receiver) = watch::channel(true);
        let inputs = Inputs {
            view: view_receiver,
            rendition: rendition_receiver,
            snapshot: snapshot_receiver,
            leadership: leadership_receiver,
            objects_are_ours: Some(objects_receiver),
            storage: Some(storage_receiver),
            liveness: liveness_receiver,
        };
        let (future, reports) = writer(api.client(), settings, inputs);
        Self {
            api,
            view,
            rendition,
            snapshot,
            leadership,
            objects_are_ours,
            liveness,
            storage,
            reports,
            task: tokio::spawn(future),
        }
    }

    /// With two proxies that run a configuration made of one Ingress.
    pub(super) async fn running() -> Self {
        let cluster = Self::empty().await;
        for pod in ["kong-a", "kong-b"] {
            cluster.pod(pod);
        }
        cluster
            .api
            .put(&format!("{INGRESS}web"), json!({ "metadata": { "uid": "uid-of-web" } }));
        cluster
            .snapshot
            .send_replace(snapshot(&["192.0.2.1"], &["kong-a", "kong-b"]));
        cluster.rendition.send_replace(rendition("one", &["web"], Vec::new()));
        cluster.show("one", vec![synced("kong-a", "one"), synced("kong-b", "one")]);
        cluster.settled().await;
        cluster
    }

    pub(super) async fn empty() -> Self {
        Self::new(FakeApi::new(), settings())
    }

    pub(super) fn pod(&self, name: &str) {
        self.api.put(
            &format!("{POD}{name}"),
            json!({ "metadata": { "uid": format!("uid-of-{name}") } }),
        );
    }

    pub(super) fn show(&self, desired: &str, proxies: Vec<ProxyView>) {
        self.view.send_replace(view(desired, proxies));
    }

    /// Lets paused time pass until all is written that is going to be.
    pub(super) async fn settled(&self) {
        tokio::time::sleep(Duration::from_secs(30)).await;
    }

    pub(super) fn instance(&self, name: &str) -> Option<Value> {
        self.api.get(&format!("{INSTANCE}{name}"))
    }

    pub(super) fn condition(&self, path: &str, type_: &str) -> Option<Value> {
        let object = self.api.get(path)?;
        let conditions = object["status"]["conditions"].as_array()?;
        conditions.iter().find(|condition| condition["type"] == type_).cloned()
    }

    pub(super) fn gate(&self, pod: &str) -> Option<String> {
        let gate = self.condition(&format!("{POD}{pod}"), "gateway.silverback.dev/ConfigSynced")?;
        Some(gate["status"].as_str().expect("a text").to_owned())
    }

    pub(super) fn addresses(&self, ingress: &str) -> Value {
        let object = self.api.get(&format!("{INGRESS}{ingress}")).expect("it stands");
        object["status"]["loadBalancer"]["ingress"].clone()
    }

    pub(super) fn events(&self, namespace: &str) -> Vec<Value> {
        let names = self.api.names(EVENTS);
        let path = |name: &String| format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events/{name}");
        names.iter().filter_map(|name| self.api.get(&path(name))).collect()
    }

    pub(super) fn writes(&self) -> Vec<String> {
        let requests = self.api.take_requests();
        requests.into_iter().filter(|line| !line.starts_with("GET")).collect()
    }
}
