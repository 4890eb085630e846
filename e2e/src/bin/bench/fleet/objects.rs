//! What stands in the cluster: routes to ten a Service, the stubs as pods behind an Admin Service, and what a controller
//! should not spend memory on.

use std::{fs, net::SocketAddr, path::Path};

use serde_json::{Value, json};

use super::api::Api;

const NAMESPACE: &str = "bench";
/// Where the Admin Service is, and the Lease.
pub(super) const PROXY_NAMESPACE: &str = "kong";
pub(super) const ADMIN_SERVICE: &str = "kong-admin";
pub(super) const CLASS: &str = "kong";
/// What the Secrets are called in which the controller puts away what proxies accepted last.
pub(super) const LAST_GOOD: &str = "last-good";

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) routes: usize,
    pub(super) helm_releases: usize,
    pub(super) release_bytes: usize,
    pub(super) other_services: usize,
}

pub(super) async fn create(api: &Api, definitions: &Path, stubs: &[SocketAddr], counts: Counts) -> anyhow::Result<()> {
    for file in fs::read_dir(definitions)? {
        let definition = fs::read_to_string(file?.path())?;
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        api.create_yaml(path, definition).await?;
    }
    for name in [NAMESPACE, PROXY_NAMESPACE] {
        let namespace = json!({"metadata": {"name": name}});
        api.create("/api/v1/namespaces", &namespace).await?;
    }
    let class = json!({"metadata": {"name": CLASS}, "spec": {"controller": "ingress-controllers.konghq.com/kong"}});
    api.create("/apis/networking.k8s.io/v1/ingressclasses", &class).await?;
    proxies(api, stubs).await?;
    // Empty, as the chart makes them.
    for part in ["0", "1", "2", "3", "key"] {
        let kind = if part == "key" {
            "Opaque"
        } else {
            "gateway.silverback.dev/last-good"
        };
        let secret = json!({"metadata": {"name": format!("{LAST_GOOD}-{part}")}, "type": kind});
        api.create(&format!("/api/v1/namespaces/{PROXY_NAMESPACE}/secrets"), &secret)
            .await?;
    }
    let services = counts.routes.div_ceil(10);
    let names = || (0..services).map(|index| format!("service-{index:05}"));
    let others = || (0..counts.other_services).map(|index| format!("other-{index:05}"));
    let path = format!("/api/v1/namespaces/{NAMESPACE}/services");
    api.create_all(&path, names().chain(others()).map(|name| service(&name)))
        .await?;
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices");
    let slices = names().chain(others()).enumerate();
    api.create_all(&path, slices.map(|(index, name)| slice(&name, index)))
        .await?;
    let ingresses = (0..counts.routes).map(ingress);
    api.create_all(&ingresses_path(), ingresses).await?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    let releases = (0..counts.helm_releases).map(|index| release(index, counts.release_bytes));
    api.create_all(&path, releases).await?;
    Ok(())
}

/// Writes a marker into the path of one route.
pub(super) async fn change(api: &Api, index: usize, marker: &str) -> anyhow::Result<()> {
    let path = format!("{}/ingress-{index:05}", ingresses_path());
    let value = format!("/app/{index:05}-{marker}");
    let patch = json!([{"op": "replace", "path": "/spec/rules/0/http/paths/0/path", "value": value}]);
    api.patch(&path, &patch).await
}

/// Whether the controller has written there.
pub(super) async fn is_put_away(api: &Api) -> anyhow::Result<bool> {
    let path = format!("/api/v1/namespaces/{PROXY_NAMESPACE}/secrets/{LAST_GOOD}-0");
    let secret: Value = serde_json::from_str(&api.get(&path).await?)?;
    Ok(secret["data"]["part"].is_string())
}

async fn proxies(api: &Api, stubs: &[SocketAddr]) -> anyhow::Result<()> {
    let pods = (0..stubs.len()).map(|index| {
        json!({"metadata": {"name": format!("proxy-{index:04}")}, "spec": {"containers": [{"name": "proxy", "image": "stub"}]}})
    });
    let pods = api
        .create_all(&format!("/api/v1/namespaces/{PROXY_NAMESPACE}/pods"), pods)
        .await?;
    let service = json!({
        "metadata": {"name": ADMIN_SERVICE},
        "spec": {"clusterIP": "None", "ports": [{"name": "admin-tls", "port": 8444}]},
    });
    api.create(&format!("/api/v1/namespaces/{PROXY_NAMESPACE}/services"), &service)
        .await?;
    let endpoints: Vec<Value> = pods
        .iter()
        .zip(stubs)
        .map(|(pod, stub)| {
            let metadata = &pod["metadata"];
            json!({
                "addresses": [stub.ip().to_string()], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "namespace": PROXY_NAMESPACE, "name": metadata["name"], "uid": metadata["uid"]},
            })
        })
        .collect();
    // As many as Kubernetes puts into one slice.
    for (index, endpoints) in endpoints.chunks(100).enumerate() {
        let slice = json!({
            "metadata": {"name": format!("{ADMIN_SERVICE}-{index}"), "labels": {"kubernetes.io/service-name": ADMIN_SERVICE}},
            "addressType": "IPv4", "ports": [{"name": "admin-tls", "port": 8444}], "endpoints": endpoints,
        });
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{PROXY_NAMESPACE}/endpointslices");
        api.create(&path, &slice).await?;
    }
    Ok(())
}

fn ingresses_path() -> String {
    format!("/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses")
}

fn service(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": 80}]}})
}

fn slice(service: &str, index: usize) -> Value {
    let endpoint = |network: u8| json!({"addresses": [format!("10.{network}.{}.{}", index / 250 % 250, index % 250 + 1)], "conditions": {"ready": true}});
    json!({
        "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}}, "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}], "endpoints": [endpoint(97), endpoint(98)],
    })
}

fn ingress(index: usize) -> Value {
    let backend = json!({"service": {"name": format!("service-{:05}", index / 10), "port": {"number": 80}}});
    json!({
        "metadata": {"name": format!("ingress-{index:05}"), "annotations": {"konghq.com/strip-path": "true"}},
        "spec": {"ingressClassName": CLASS, "rules": [{"host": format!("host-{index:05}.example.com"), "http": {"paths": [
            {"path": format!("/app/{index:05}"), "pathType": "Prefix", "backend": backend},
        ]}}]},
    })
}

/// What Helm leaves behind with each release.
fn release(index: usize, bytes: usize) -> Value {
    // Base64 of that many bytes, no two alike.
    let mut data = format!("{index:08}").repeat(bytes.div_ceil(6));
    data.truncate(bytes.div_ceil(3) * 4);
    json!({
        "metadata": {"name": format!("sh.helm.release.v1.app-{index}.v1"), "labels": {"owner": "helm", "status": "deployed"}},
        "type": "helm.sh/release.v1", "data": {"release": data},
    })
}
