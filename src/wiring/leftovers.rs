//! Removes what an upgrade left for the pods of the former release (`silverback adopt` recorded it), once none of them is
//! there any more. The leader does it; without a record, and without such pods, it costs four requests when it begins to lead.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, PodSpec},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, Preconditions},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use tokio::sync::watch;

use crate::{
    model::{Leadership, NamespacedName},
    upgrade::keep::{self, KEPT_FOR, PodNeeds, Record, RecordedObject},
};

/// How often it is seen whether old pods are left, during an upgrade only.
const PAUSE: Duration = Duration::from_secs(10);
/// How long to wait after a failure, such as a missing right.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(120);
/// Pods in one answer.
const PAGE: u32 = 500;
/// The controller in the proxies' pods, in Kong's charts and in sidecar mode.
const SIDECAR: &str = "ingress-controller";
/// Label of pods and of the record: the name of the release.
const INSTANCE: &str = "app.kubernetes.io/instance";

/// Removes what is recorded, whenever this replica leads. Does not end. `own` is the pod that it runs in: one of the new
/// release.
///
/// Tells whether statuses of users' objects are the leader's to write: not as long as controllers of the former release
/// write them that do not ask for its Lease.
pub(super) async fn remove(
    client: Client,
    record: NamespacedName,
    own: Option<Arc<str>>,
    mut leadership: watch::Receiver<Leadership>,
    objects_are_ours: watch::Sender<bool>,
) {
    loop {
        if leadership.wait_for(Leadership::is_leader).await.is_err() {
            return std::future::pending().await;
        }
        tokio::select! {
            () = remove_as_leader(&client, &record, own.as_deref(), &objects_are_ours) => {}
            _ = leadership.wait_for(|part| !part.is_leader()) => continue,
        }
        if leadership.wait_for(|part| !part.is_leader()).await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Ends when there is nothing left to remove.
async fn remove_as_leader(
    client: &Client,
    record: &NamespacedName,
    own: Option<&str>,
    objects_are_ours: &watch::Sender<bool>,
) {
    let tell = |ours: bool| {
        let changed = objects_are_ours.send_if_modified(|known| std::mem::replace(known, ours) != ours);
        if changed && !ours {
            tracing::info!(
                "statuses of objects are left to the controllers of the former release until its last pod ends"
            );
        }
    };
    // One look is not enough: a pod that was lost with its node is replaced a moment later.
    let mut looks_without_old_pods = 0;
    let mut told = Vec::new();
    loop {
        let pause = match look(client, record, own, looks_without_old_pods).await {
            Ok(Look::Done) => return tell(true),
            Ok(Look::NoOldPods) => {
                tell(true);
                looks_without_old_pods += 1;
                PAUSE
            }
            Ok(Look::OldPods { names, sidecars }) => {
                tell(!sidecars);
                looks_without_old_pods = 0;
                tracing::debug!(pods = ?names, "what was kept for pods of the former release stays");
                PAUSE
            }
            Ok(Look::Forbidden(objects)) => {
                tell(true);
                if told != objects {
                    tracing::warn!(
                        %record,
                        ?objects,
                        "what an upgrade left may not be removed, and no pod needs it: kubectl delete it, or give the \
                         controller get and delete on it"
                    );
                    told = objects;
                }
                PAUSE_AFTER_FAILURE
            }
            Err(error) => {
                // Two that write are a lesser evil than nobody who does.
                tell(true);
                tracing::warn!(%record, "what an upgrade left can't be removed yet: {error:#}");
                PAUSE_AFTER_FAILURE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

enum Look {
    /// There is nothing to remove, or it has been removed.
    Done,
    NoOldPods,
    OldPods {
        names: Vec<String>,
        /// Whether there are controllers among them that write statuses, whoever leads.
        sidecars: bool,
    },
    /// All has been removed but these, for which there is no right.
    Forbidden(Vec<String>),
}

impl Look {
    fn old_pods(old: &[&PodNeeds], all: &[PodNeeds], own: Option<&str>) -> Self {
        let own = all.iter().find(|pod| own == Some(pod.name.as_str()));
        Self::OldPods {
            names: old.iter().map(|pod| pod.name.clone()).collect(),
            sidecars: old.iter().any(|pod| pod.writes_statuses(own)),
        }
    }
}

async fn look(
    client: &Client,
    name: &NamespacedName,
    own: Option<&str>,
    looks_without_old_pods: u32,
) -> anyhow::Result<Look> {
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), &name.namespace);
    let found = config_maps
        .get_opt(&name.name)
        .await
        .context("failed to read the record")?;
    let Some(found) = found else {
        return look_without_record(client, &name.namespace, own).await;
    };
    let data = found.data.unwrap_or_default();
    let record = Record::read(data.get(Record::KEY).map_or("", String::as_str))?;
    let release = found.metadata.labels.and_then(|mut labels| labels.remove(INSTANCE));
    let needs = needs(client, &name.namespace, release.as_deref()).await?;
    let old = keep::old_pods(&record, &needs, own);
    if !old.is_empty() {
        return Ok(Look::old_pods(&old, &needs, own));
    }
    if looks_without_old_pods == 0 {
        return Ok(Look::NoOldPods);
    }
    let mut forbidden = Vec::new();
    for object in &record.objects {
        match remove_object(client, object).await {
            Err(kube::Error::Api(status)) if status.code == 403 => forbidden.push(object.name.to_string()),
            outcome => outcome.with_context(|| format!("failed to remove {}", object.name))?,
        }
    }
    if !forbidden.is_empty() {
        return Ok(Look::Forbidden(forbidden));
    }
    let deletion = config_maps.delete(&name.name, &only(found.metadata.uid)).await;
    ignore_missing(deletion.map(drop)).context("failed to remove the record")?;
    tracing::info!(
        objects = record.objects.len(),
        "removed what an upgrade had left for pods of the former release"
    );
    Ok(Look::Done)
}

/// Where nothing had to be kept, or no hook ran, there may still be controllers of the former release that write statuses.
async fn look_without_record(client: &Client, namespace: &str, own: Option<&str>) -> anyhow::Result<Look> {
    let looked = sidecars_of_own_release(client, namespace, own).await;
    looked.or_else(|error| match error.downcast_ref() {
        // There will be no right by waiting for it.
        Some(kube::Error::Api(status)) if status.code == 403 => {
            tracing::warn!("whether controllers of a former release still write statuses is not known: {error:#}");
            Ok(Look::Done)
        }
        _ => Err(error),
    })
}

async fn sidecars_of_own_release(client: &Client, namespace: &str, own: Option<&str>) -> anyhow::Result<Look> {
    let Some(own) = own else { return Ok(Look::Done) };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let found = pods
        .get_opt(own)
        .await
        .context("failed to read the pod that this runs in")?;
    let labels = found.and_then(|pod| pod.metadata.labels);
    let Some(release) = labels.and_then(|mut labels| labels.remove(INSTANCE)) else {
        return Ok(Look::Done);
    };
    let needs = needs(client, namespace, Some(&release)).await?;
    let old = keep::old_pods(&Record::default(), &needs, Some(own));
    Ok(match old.is_empty() {
        true => Look::Done,
        false => Look::old_pods(&old, &needs, Some(own)),
    })
}

/// Only what `adopt` marked, and no other object of that name.
async fn remove_object(client: &Client, object: &RecordedObject) -> Result<(), kube::Error> {
    let kind = keep::kept_kind(&object.name).expect("a record has such kinds only");
    let named = GroupVersionKind::gvk(kind.group, kind.version, kind.name);
    let resource = ApiResource::from_gvk_with_plural(&named, kind.plural);
    let api: Api<DynamicObject> = match object.name.namespace.as_str() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let Some(found) = api.get_metadata_opt(&object.name.name).await? else {
        return Ok(());
    };
    let is_marked = found
        .metadata
        .annotations
        .is_some_and(|annotations| annotations.contains_key(KEPT_FOR));
    if found.metadata.uid.as_ref() != Some(&object.uid) || !is_marked {
        tracing::info!(object = %object.name, "somebody took it over: it stays");
        return Ok(());
    }
    ignore_missing(api.delete(&object.name.name, &only(found.metadata.uid)).await.map(drop))
}

fn only(uid: Option<String>) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid,
            resource_version: None,
        }),
        ..DeleteParams::background()
    }
}

fn ignore_missing(outcome: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match outcome {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        outcome => outcome,
    }
}

/// What the pods of the namespace need, and those that its Deployments would make. Controllers count that are of the release.
async fn needs(client: &Client, namespace: &str, release: Option<&str>) -> anyhow::Result<Vec<PodNeeds>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let mut needs = Vec::new();
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = pods.list(&parameters).await.context("failed to list the pods")?;
        for pod in page.items {
            let phase = pod.status.and_then(|status| status.phase).unwrap_or_default();
            let has_ended = phase == "Succeeded" || phase == "Failed";
            let name = pod.metadata.name.clone().unwrap_or_default();
            let is_of_release = is_of(&pod.metadata, release);
            needs.extend(pod.spec.map(|spec| PodNeeds {
                has_ended,
                ..needs_of(name, &spec, is_of_release)
            }));
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => break,
        }
    }
    let found = deployments
        .list(&ListParams::default())
        .await
        .context("failed to list the Deployments")?;
    for deployment in found.items {
        // No pod has a name with a slash in it.
        let name = format!("deployment/{}", deployment.metadata.name.unwrap_or_default());
        let template = deployment.spec.map(|spec| spec.template).unwrap_or_default();
        let is_of_release = is_of(&template.metadata.unwrap_or_default(), release);
        needs.extend(template.spec.map(|spec| needs_of(name, &spec, is_of_release)));
    }
    Ok(needs)
}

fn is_of(pod: &ObjectMeta, release: Option<&str>) -> bool {
    let label = pod.labels.as_ref().and_then(|labels| labels.get(INSTANCE));
    release.is_none_or(|release| label.is_some_and(|label| label == release))
}

fn needs_of(name: String, spec: &PodSpec, is_of_release: bool) -> PodNeeds {
    let mut secrets = BTreeSet::new();
    let mut config_maps = BTreeSet::new();
    for volume in spec.volumes.iter().flatten() {
        secrets.extend(volume.secret.as_ref().and_then(|secret| secret.secret_name.clone()));
        config_maps.extend(volume.config_map.as_ref().map(|config_map| config_map.name.clone()));
        let sources = volume
            .projected
            .iter()
            .flat_map(|projected| projected.sources.iter().flatten());
        for source in sources {
            secrets.extend(source.secret.as_ref().map(|secret| secret.name.clone()));
            config_maps.extend(source.config_map.as_ref().map(|config_map| config_map.name.clone()));
        }
    }
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    for container in containers {
        for source in container.env_from.iter().flatten() {
            secrets.extend(source.secret_ref.as_ref().map(|secret| secret.name.clone()));
            config_maps.extend(source.config_map_ref.as_ref().map(|config_map| config_map.name.clone()));
        }
        for variable in container.env.iter().flatten() {
            let Some(source) = &variable.value_from else { continue };
            secrets.extend(source.secret_key_ref.as_ref().map(|key| key.name.clone()));
            config_maps.extend(source.config_map_key_ref.as_ref().map(|key| key.name.clone()));
        }
    }
    let mut containers = spec.containers.iter().filter(|_| is_of_release);
    let sidecar = containers.find(|container| container.name == SIDECAR);
    PodNeeds {
        name,
        service_account: spec.service_account_name.clone().unwrap_or_default(),
        secrets,
        config_maps,
        sidecar: sidecar.map(|container| container.args.clone().unwrap_or_default()),
        has_ended: false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::needless_pass_by_value, clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::{lease::fake_api::FakeApi, model::Epoch, upgrade::release::ObjectName};

    const RECORD: &str = "/api/v1/namespaces/gateway/configmaps/shop-upgrade-record";
    const ACCOUNT: &str = "/api/v1/namespaces/gateway/serviceaccounts/shop-kong";
    const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/shop-kong";
    const POD: &str = "/api/v1/namespaces/gateway/pods/old";

    fn object(api: &FakeApi, path: &str, kind: &str, api_version: &str) -> RecordedObject {
        api.put(
            path,
            json!({ "metadata": { "annotations": { (KEPT_FOR): "gateway/shop" } } }),
        );
        let found = api.get(path).unwrap();
        RecordedObject {
            name: ObjectName {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                namespace: found["metadata"]["namespace"].as_str().unwrap().to_owned(),
                name: "shop-kong".to_owned(),
            },
            uid: found["metadata"]["uid"].as_str().unwrap().to_owned(),
        }
    }

    fn upgraded() -> FakeApi {
        let api = FakeApi::new();
        let objects = vec![
            object(&api, ACCOUNT, "ServiceAccount", "v1"),
            object(&api, ROLE, "ClusterRole", "rbac.authorization.k8s.io/v1"),
        ];
        api.put(RECORD, json!({ "data": { (Record::KEY): Record { objects }.text() } }));
        api
    }

    /// A pod of the former release.
    fn former() -> Value {
        let containers = json!([{ "name": "ingress-controller" }, { "name": "proxy" }]);
        json!({
            "spec": { "serviceAccountName": "shop-kong", "containers": containers }, "status": { "phase": "Running" },
        })
    }

    fn pod(phase: &str) -> Value {
        json!({ "spec": { "serviceAccountName": "shop-kong", "containers": [] }, "status": { "phase": phase } })
    }

    fn leading(api: &FakeApi) -> (watch::Sender<Leadership>, tokio::task::JoinHandle<()>) {
        let (sender, task, _) = leading_and_telling(api);
        (sender, task)
    }

    fn leading_and_telling(
        api: &FakeApi,
    ) -> (
        watch::Sender<Leadership>,
        tokio::task::JoinHandle<()>,
        watch::Receiver<bool>,
    ) {
        let (told, telling) = watch::channel(false);
        let (sender, leadership) = watch::channel(Leadership::Leader {
            epoch: Epoch {
                lease_uid: "lease".into(),
                transitions: 1,
            },
        });
        let record = NamespacedName::new("gateway", "shop-upgrade-record");
        let own = Some("own".into());
        let task = tokio::spawn(remove(api.client(), record, own, leadership, told));
        (sender, task, telling)
    }

    /// Until no record is left, or for ten minutes.
    async fn removed(api: &FakeApi) -> bool {
        for _ in 0..600 {
            if api.get(RECORD).is_none() {
                return true;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        false
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_kept_goes_after_the_last_old_pod() {
        let api = upgraded();
        api.put(POD, pod("Running"));
        let (_sender, task) = leading(&api);
        assert!(!removed(&api).await, "an old pod is there");
        assert!(api.get(ACCOUNT).is_some());
        api.put(POD, pod("Succeeded"));
        assert!(removed(&api).await);
        assert!(api.get(ACCOUNT).is_none() && api.get(ROLE).is_none());
        api.take_requests();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(api.take_requests().is_empty(), "then nothing is asked any more");
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn statuses_are_the_leaders_once_no_sidecar_writes_them() {
        let api = upgraded();
        api.put(POD, former());
        let (_sender, task, mut ours) = leading_and_telling(&api);
        assert!(!removed(&api).await);
        assert!(!*ours.borrow_and_update(), "a sidecar writes them");
        api.put(POD, pod("Running"));
        ours.wait_for(|ours| *ours).await.unwrap();
        assert!(api.get(RECORD).is_some(), "a pod of another kind is left");
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_record_statuses_are_the_leaders() {
        let (_sender, task, mut ours) = leading_and_telling(&FakeApi::new());
        ours.wait_for(|ours| *ours).await.unwrap();
        task.abort();
    }

    /// Where nothing had to be kept, there is no record.
    #[tokio::test(start_paused = true)]
    async fn without_a_record_sidecars_of_the_former_release_write_statuses_too() {
        const OWN: &str = "/api/v1/namespaces/gateway/pods/own";
        let api = FakeApi::new();
        let mut own = pod("Running");
        own["metadata"] = json!({ "labels": { (INSTANCE): "shop" } });
        api.put(OWN, own);
        api.put("/api/v1/namespaces/gateway/pods/beside", sidecar("other", Value::Null));
        api.put(POD, sidecar("shop", Value::Null));
        let (_sender, task, mut ours) = leading_and_telling(&api);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(!*ours.borrow_and_update(), "a sidecar writes them");
        api.delete(POD);
        ours.wait_for(|ours| *ours).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        api.take_requests();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(api.take_requests().is_empty(), "then nothing is asked any more");
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn sidecars_that_ask_for_the_same_lease_leave_statuses_to_its_holder() {
        let api = FakeApi::new();
        let lease = "--election-id=shop-sidecar";
        api.put(
            "/api/v1/namespaces/gateway/pods/own",
            sidecar("shop", json!(["run", lease])),
        );
        api.put(POD, sidecar("shop", json!(["run", "--log-level=debug", lease])));
        let (_sender, task, mut ours) = leading_and_telling(&api);
        let told = tokio::time::timeout(Duration::from_secs(60), ours.wait_for(|ours| *ours)).await;
        assert!(told.is_ok(), "nobody would write statuses while they are replaced");
        task.abort();
    }

    /// With roles of somebody else's making.
    #[tokio::test(start_paused = true)]
    async fn without_a_record_and_rights_nothing_is_asked_twice() {
        let api = FakeApi::new();
        api.put("/api/v1/namespaces/gateway/pods/own", sidecar("shop", Value::Null));
        api.fail("GET /api/v1/namespaces/gateway/pods", 403);
        let (_sender, task, mut ours) = leading_and_telling(&api);
        ours.wait_for(|ours| *ours).await.unwrap();
        api.take_requests();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(api.take_requests().is_empty());
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_deployment_that_would_make_old_pods_counts() {
        let api = upgraded();
        let deployment = json!({ "spec": {
            "selector": {}, "template": { "spec": { "serviceAccountName": "shop-kong", "containers": [] } },
        } });
        api.put("/apis/apps/v1/namespaces/gateway/deployments/shop-kong", deployment);
        let (_sender, task) = leading(&api);
        assert!(!removed(&api).await);
        task.abort();
    }

    /// A pod with a controller beside its proxy, with an account that both releases have.
    fn sidecar(release: &str, arguments: Value) -> Value {
        json!({
            "metadata": { "labels": { (INSTANCE): release } },
            "spec": { "serviceAccountName": "shop-both", "containers": [{ "name": SIDECAR, "args": arguments }] },
        })
    }

    #[tokio::test(start_paused = true)]
    async fn rights_stay_while_a_controller_of_the_former_release_runs() {
        let api = FakeApi::new();
        let objects = vec![object(&api, ROLE, "ClusterRole", "rbac.authorization.k8s.io/v1")];
        let record = json!({
            "metadata": { "labels": { (INSTANCE): "shop" } },
            "data": { (Record::KEY): Record { objects }.text() },
        });
        api.put(RECORD, record);
        api.put(POD, sidecar("shop", Value::Null));
        api.put("/api/v1/namespaces/gateway/pods/own", sidecar("shop", json!(["run"])));
        api.put("/api/v1/namespaces/gateway/pods/beside", sidecar("other", Value::Null));
        let (_sender, task) = leading(&api);
        assert!(!removed(&api).await, "the old pod reads the cluster by it");
        api.delete(POD);
        assert!(removed(&api).await);
        assert!(api.get(ROLE).is_none());
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_be_removed_stays_recorded_and_the_rest_goes() {
        let api = upgraded();
        api.fail("DELETE /api/v1/namespaces/gateway/serviceaccounts", 403);
        let (_sender, task) = leading(&api);
        assert!(!removed(&api).await);
        assert!(api.get(ACCOUNT).is_some() && api.get(ROLE).is_none());
        api.heal();
        assert!(removed(&api).await);
        assert!(api.get(ACCOUNT).is_none());
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_took_over_stays() {
        let api = upgraded();
        api.delete(ROLE);
        api.put(ROLE, json!({}));
        let mut account = api.get(ACCOUNT).unwrap();
        account["metadata"]["annotations"] = json!({});
        api.put(ACCOUNT, account);
        let (_sender, task) = leading(&api);
        assert!(removed(&api).await);
        assert!(api.get(ACCOUNT).is_some() && api.get(ROLE).is_some());
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn followers_remove_nothing_and_a_missing_right_is_tried_again() {
        let api = upgraded();
        let (sender, task) = leading(&api);
        sender.send_replace(Leadership::Follower { holder: None });
        assert!(!removed(&api).await);
        api.fail("DELETE", 403);
        sender.send_replace(Leadership::Leader {
            epoch: Epoch {
                lease_uid: "lease".into(),
                transitions: 2,
            },
        });
        assert!(!removed(&api).await);
        api.heal();
        assert!(removed(&api).await);
        task.abort();
    }
}
