//! Reads what goes into a bundle, the important first and the logs last.

use std::io::Write;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        coordination::v1::Lease,
        core::v1::{Pod, Service},
        discovery::v1::EndpointSlice,
        events::v1::Event,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource,
    api::{ListParams, LogParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{archive::Archive, summary};
use crate::{
    cli::{
        controller::{Controller, ControllerArguments},
        failure::one_line,
        helm,
    },
    status::resource::{GROUPS, ProxyFleet, ProxyInstance},
};

/// Objects of a kind.
const MOST: u32 = 2_000;
/// Events.
const MOST_EVENTS: u32 = 1_000;
/// Bytes of one log.
const LOG_BYTES: i64 = 4 << 20;
/// Pods whose logs are taken, the controller's first.
const MOST_LOGS: usize = 50;
/// What the controller tells, and the file that it goes into.
const OF_CONTROLLER: [(&str, &str); 3] = [
    ("/api/v1/proxies", "proxies.json"),
    ("/api/v1/problems", "problems.json"),
    ("/api/v1/configuration?full=true", "configuration.json"),
];

/// Collects, and writes as it goes.
pub(super) struct Collector<W: Write> {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) log_lines: i64,
    pub(super) controller: ControllerArguments,
    pub(super) archive: Archive<W>,
}

impl<W: Write> Collector<W> {
    /// Writes everything; what was left out.
    pub(super) async fn collect(mut self, now: Timestamp) -> anyhow::Result<Vec<String>> {
        self.versions(now).await?;
        let (client, namespace) = (self.client.clone(), self.namespace.clone());
        self.list::<ProxyFleet>(
            "proxyfleets",
            Api::namespaced(client.clone(), &namespace),
            summary::whole,
        )
        .await?;
        self.list::<ProxyInstance>(
            "proxyinstances",
            Api::namespaced(client.clone(), &namespace),
            summary::whole,
        )
        .await?;
        let pods = self
            .list::<Pod>("pods", Api::namespaced(client.clone(), &namespace), summary::pod)
            .await?;
        self.list::<Deployment>(
            "deployments",
            Api::namespaced(client.clone(), &namespace),
            summary::deployment,
        )
        .await?;
        self.list::<Service>(
            "services",
            Api::namespaced(client.clone(), &namespace),
            summary::service,
        )
        .await?;
        self.list::<EndpointSlice>(
            "endpointslices",
            Api::namespaced(client.clone(), &namespace),
            summary::whole,
        )
        .await?;
        self.list::<Lease>("leases", Api::namespaced(client.clone(), &namespace), summary::whole)
            .await?;
        self.events().await?;
        self.of_controller().await?;
        self.logs(&pods).await?;
        Ok(self.archive.finish()?)
    }

    fn add_json(&mut self, name: &str, value: &Value) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value).expect("keys are strings");
        Ok(self.archive.add(name, text.as_bytes())?)
    }

    async fn versions(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let kubernetes = match self.client.apiserver_version().await {
            Ok(version) => serde_json::to_value(version).expect("a version is plain data"),
            Err(error) => json!(error.to_string()),
        };
        let releases = match helm::revisions(&self.client, &self.namespace).await {
            Ok(revisions) => {
                let revisions = revisions.iter().map(|revision| {
                    json!({ "release": revision.release, "revision": revision.number, "status": revision.status })
                });
                revisions.collect()
            }
            Err(error) => json!(reason(&error)),
        };
        let versions = json!({
            "taken": now,
            "silverback": env!("CARGO_PKG_VERSION"),
            "commit": option_env!("SILVERBACK_COMMIT"),
            "kubernetes": kubernetes,
            "helmReleases": releases,
        });
        self.add_json("versions.json", &versions)?;
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let ours = |value: &Value| {
            let group = value["spec"]["group"].as_str().unwrap_or_default();
            match GROUPS.contains(&group) || group == "gateway.networking.k8s.io" {
                true => summary::definition(value),
                false => Value::Null,
            }
        };
        self.list("definitions", api, ours).await.map(drop)
    }

    /// Writes what may be shown of all objects of a kind; `Null` of one is left out. The objects as they are.
    async fn list<K>(&mut self, name: &str, api: Api<K>, shown: impl Fn(&Value) -> Value) -> anyhow::Result<Vec<Value>>
    where
        K: Clone + std::fmt::Debug + DeserializeOwned + Serialize + Resource<DynamicType = ()>,
    {
        let file = format!("{name}.json");
        match api.list(&ListParams::default().limit(MOST)).await {
            Ok(found) => {
                let objects: Vec<Value> = found
                    .items
                    .into_iter()
                    .map(|object| serde_json::to_value(object).expect("an object is plain data"))
                    .collect();
                let shown = objects.iter().map(shown).filter(|shown| !shown.is_null()).collect();
                self.add_json(&file, &Value::Array(shown))?;
                Ok(objects)
            }
            Err(error) => {
                self.archive.leave_out(&file, &reason(&error));
                Ok(Vec::new())
            }
        }
    }

    async fn events(&mut self) -> anyhow::Result<()> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        match api.list(&ListParams::default().limit(MOST_EVENTS)).await {
            Ok(events) => {
                let events = events.items.into_iter().map(|event| {
                    let count = event.series.as_ref().map(|series| series.count);
                    json!({
                        "at": event.event_time.map(|time| time.0).or(event.metadata.creation_timestamp.map(|time| time.0)),
                        "type": event.type_,
                        "reason": event.reason,
                        "regarding": event.regarding,
                        "note": event.note,
                        "count": count,
                    })
                });
                self.add_json("events.json", &events.collect())
            }
            Err(error) => {
                self.archive.leave_out("events.json", &reason(&error));
                Ok(())
            }
        }
    }

    /// What a controller tells of itself: it shows no secrets.
    async fn of_controller(&mut self) -> anyhow::Result<()> {
        let mut controller: Controller = match self.controller.find(Some(&self.client)).await {
            Ok(controller) => controller,
            Err(error) => {
                self.archive.leave_out("controller", &one_line(&error));
                return Ok(());
            }
        };
        for (path, file) in OF_CONTROLLER {
            let file = format!("controller/{file}");
            match controller.get(path).await {
                Ok(body) => self.archive.add(&file, &body)?,
                Err(error) => self.archive.leave_out(&file, &one_line(&error)),
            }
        }
        Ok(())
    }

    async fn logs(&mut self, pods: &[Value]) -> anyhow::Result<()> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut logs = Vec::new();
        for pod in pods {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
            for status in statuses {
                let Some(container) = status["name"].as_str().filter(|container| is_ours(container)) else {
                    continue;
                };
                let restarts = status["restartCount"].as_u64().unwrap_or(0);
                logs.push((container == "proxy", name, container, restarts > 0));
            }
        }
        logs.sort();
        for (_, pod, container, has_former) in logs.into_iter().take(MOST_LOGS) {
            for previous in [false, true] {
                if previous && !has_former {
                    continue;
                }
                let parameters = LogParams {
                    container: Some(container.to_owned()),
                    limit_bytes: Some(LOG_BYTES),
                    tail_lines: Some(self.log_lines),
                    timestamps: true,
                    previous,
                    ..LogParams::default()
                };
                let file = format!("logs/{pod}/{container}{}.log", if previous { ".previous" } else { "" });
                match api.logs(pod, &parameters).await {
                    Ok(text) => self.archive.add(&file, text.as_bytes())?,
                    Err(error) => self.archive.leave_out(&file, &reason(&error)),
                }
            }
        }
        Ok(())
    }
}

/// Containers of the charts: other pods of the namespace are none of ours.
fn is_ours(container: &str) -> bool {
    ["controller", "ingress-controller", "proxy"].contains(&container)
}

fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => "forbidden".to_owned(),
        kube::Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{super::archive::tests::unpacked, *};
    use crate::lease::fake_api::FakeApi;

    const SECRET: &str = "correct-horse-battery-staple";

    fn cluster() -> FakeApi {
        let api = FakeApi::new();
        let of = |path: &str, object: Value| api.put(&format!("/{path}"), object);
        let annotations = json!({ "kubectl.kubernetes.io/last-applied-configuration": SECRET });
        of(
            "api/v1/namespaces/gateway/secrets/admin-token",
            json!({ "metadata": { "annotations": annotations }, "data": { "token": SECRET } }),
        );
        of(
            "api/v1/namespaces/gateway/pods/shop-kong-1",
            json!({
                "metadata": { "annotations": annotations },
                "spec": { "nodeName": "node-a", "containers": [{
                    "name": "proxy", "image": "silverback-proxy:1",
                    "args": [format!("--admin-token={SECRET}")],
                    "env": [{ "name": "KONG_PASSWORD", "value": SECRET }],
                }] },
                "status": { "containerStatuses": [{
                    "name": "proxy", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                }] },
            }),
        );
        of(
            "apis/apps/v1/namespaces/gateway/deployments/shop-kong",
            json!({
                "metadata": { "annotations": annotations },
                "spec": { "selector": {}, "template": { "spec": { "containers": [{
                    "name": "proxy", "env": [{ "name": "KONG_PASSWORD", "value": SECRET }],
                }] } } },
            }),
        );
        of(
            "api/v1/namespaces/gateway/configmaps/settings",
            json!({ "data": { "password": SECRET } }),
        );
        api
    }

    async fn bundle(api: &FakeApi) -> (std::collections::BTreeMap<String, String>, Vec<String>) {
        let mut output = Vec::new();
        let collector = Collector {
            client: api.client(),
            namespace: "gateway".to_owned(),
            log_lines: 10,
            controller: ControllerArguments::new(None, Some("gateway".to_owned())),
            archive: Archive::new(&mut output, "bundle", 8 << 20, 0),
        };
        let left_out = collector.collect(Timestamp::UNIX_EPOCH).await.unwrap();
        (unpacked(&output), left_out)
    }

    #[tokio::test]
    async fn no_value_of_a_secret_is_in_it() {
        let (files, left_out) = bundle(&cluster()).await;
        for (name, text) in &files {
            assert!(!text.contains(SECRET), "{name}");
        }
        assert!(files["bundle/pods.json"].contains("node-a"));
        assert!(files["bundle/pods.json"].contains("KONG_PASSWORD"), "names are shown");
        assert!(files.contains_key("bundle/deployments.json") && files.contains_key("bundle/versions.json"));
        assert!(
            left_out
                .iter()
                .any(|line| line.starts_with("controller: no controller is ready")),
            "{left_out:?}"
        );
    }

    #[tokio::test]
    async fn what_can_not_be_read_is_named() {
        let api = cluster();
        api.fail("/pods", 403);
        let (files, left_out) = bundle(&api).await;
        assert!(!files.contains_key("bundle/pods.json"));
        assert!(left_out.contains(&"pods.json: forbidden".to_owned()), "{left_out:?}");
        assert!(files["bundle/contents.json"].contains("deployments.json"));
    }
}
