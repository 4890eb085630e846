//! A whole controller before an API server in memory, with the proxies of a test. Decides nothing of what is tested.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    lease::fake_api::FakeApi,
    pki::client::fake_proxy::FakeProxy,
    wiring::{Controller, ControllerSettings, Source, source::ApiServer, start_at},
};

/// How long anything may take that should take a moment: machines that run tests are busy.
pub(super) const LIMIT: Duration = Duration::from_secs(60);
const INGRESS: &str = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/web";

/// Waits until there is something to see.
pub(super) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The only Ingress has that path from now on.
pub(super) fn put_path(api: &FakeApi, path: &str) {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let rule = json!({"http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}});
    api.put(
        INGRESS,
        json!({"metadata": {}, "spec": {"ingressClassName": "kong", "rules": [rule]}}),
    );
}

/// For these proxies, which are not paced.
pub(super) fn settings(proxies: &[&FakeProxy]) -> ControllerSettings {
    let mut settings = ControllerSettings::new(Source::Cluster {
        kubeconfig: None,
        server: None,
        rate: None,
        namespaces: Vec::new(),
    });
    settings.election_namespace = "gateway".to_owned();
    settings.status.update_status = false;
    settings.push_duty = 100;
    let named = proxies.iter().enumerate();
    settings.static_proxies = named
        .map(|(index, proxy)| (format!("kong-{index}"), proxy.url().to_string()))
        .collect();
    settings
}

/// Starts it; with what stops it.
pub(super) async fn start(api: &FakeApi, settings: ControllerSettings) -> (Controller, CancellationToken) {
    let server = ApiServer {
        client: api.client(),
        address: "in memory".into(),
    };
    let shutdown = CancellationToken::new();
    let controller = start_at(settings, Some(server), shutdown.clone()).await;
    (controller.expect("it starts"), shutdown)
}
