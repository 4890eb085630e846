//! Carries out one write: the request, and what its answer means. IO.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::{ObjectReference, Pod},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{DynamicObject, NamespaceResourceScope},
};
use serde_json::{Value, json};

use super::{
    document::{Class, Document, EventDocument, FIELD_MANAGER, GATE, Gate, Key},
    planner::{Action, Outcome, Write},
    resource::{ProxyFleet, ProxyInstance, ProxyInstanceSpec},
    served::Served,
};
use crate::model::{Kind, NamespacedName};

/// Who reports events.
const REPORTING_CONTROLLER: &str = "gateway.silverback.dev/silverback";
/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What came of a write.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) key: Key,
    pub(super) outcome: Outcome,
    /// How many requests it took.
    pub(super) requests: u32,
    /// What went wrong, if anything did.
    pub(super) fault: Option<String>,
}

/// Carries a write out.
pub(super) async fn carry_out(client: Client, served: Served, write: Write, instance: String) -> Report {
    let mut attempt = Attempt {
        client,
        served,
        requests: 0,
        instance,
    };
    let result = attempt.perform(&write).await;
    let (outcome, fault) = match result {
        Ok(()) => (Outcome::Written, None),
        Err(failure) => {
            if let (Key::Object(kind, ..), 404) = (&write.key, failure.code()) {
                attempt.served.forget(*kind);
            }
            (meaning(write.key.class(), &failure), Some(failure.to_string()))
        }
    };
    Report {
        key: write.key,
        outcome,
        requests: attempt.requests,
        fault,
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{message} (status {code})")]
    Status { code: u16, message: String },
    #[error("no answer within {} s", LIMIT.as_secs())]
    Timeout,
    #[error(transparent)]
    Other(kube::Error),
}

impl Failure {
    fn code(&self) -> u16 {
        match self {
            Self::Status { code, .. } => *code,
            Self::Timeout | Self::Other(_) => 0,
        }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status {
                code: status.code,
                message: status.message.clone(),
            },
            error => Self::Other(error),
        }
    }
}

fn meaning(class: Class, failure: &Failure) -> Outcome {
    let made_by_us = matches!(class, Class::Instance | Class::Fleet);
    match failure {
        Failure::Status { code, message } => match code {
            // Nothing can be made in a namespace that is going away.
            403 if message.contains("being terminated") => Outcome::Gone,
            401 | 403 => Outcome::Refused,
            // An apply makes what is not there, unless the kind itself is missing.
            404 if made_by_us => Outcome::Refused,
            404 => Outcome::Gone,
            // Another object of that name, as it is said of what is applied, and of what is merged.
            409 if message.contains("UID") => Outcome::Gone,
            409 => Outcome::Again,
            422 if message.contains("metadata.uid") => Outcome::Gone,
            400 | 413 | 415 | 422 => Outcome::Invalid,
            _ => Outcome::Unreachable,
        },
        Failure::Timeout => Outcome::Unreachable,
        Failure::Other(kube::Error::SerdeError(_)) => Outcome::Again,
        Failure::Other(_) => Outcome::Unreachable,
    }
}

struct Attempt {
    client: Client,
    served: Served,
    requests: u32,
    instance: String,
}

impl Attempt {
    async fn perform(&mut self, write: &Write) -> Result<(), Failure> {
        match (&write.key, &write.action) {
            (Key::Instance(name), Action::Delete) => self.delete(name).await,
            // Nothing else is ever deleted: it goes with its owner, or is the user's.
            (_, Action::Delete) => Ok(()),
            (Key::Instance(name), Action::Replace(document)) => {
                self.delete(name).await?;
                self.put(&write.key, document).await
            }
            (_, Action::Put(document) | Action::Replace(document)) => self.put(&write.key, document).await,
        }
    }

    async fn put(&mut self, key: &Key, document: &Document) -> Result<(), Failure> {
        let apply = PatchParams::apply(FIELD_MANAGER).force();
        let plain = PatchParams::default();
        match (key, document) {
            (Key::Gate(name, uid), Document::Gate(gate)) => {
                let patch = gate_patch(uid, gate);
                let api = self.api::<Pod>(name);
                self.send(api.patch_status(&name.name, &plain, &Patch::Strategic(patch)))
                    .await
            }
            (Key::Object(kind, name, uid), Document::Addresses(addresses)) => {
                let patch = json!({
                    "metadata": { "uid": uid },
                    "status": { "loadBalancer": { "ingress": addresses } },
                });
                let api = self.dynamic_api(*kind, name).await?;
                self.send(api.patch_status(&name.name, &plain, &Patch::Merge(patch)))
                    .await
            }
            (Key::Object(kind, name, uid), Document::Programmed(programmed)) => {
                let mut patch = json!({
                    "apiVersion": kind.api_version(),
                    "kind": kind.name(),
                    "metadata": { "name": name.name, "uid": uid },
                    "status": programmed.status(),
                });
                if kind.is_namespaced() {
                    patch["metadata"]["namespace"] = json!(name.namespace);
                }
                let api = self.dynamic_api(*kind, name).await?;
                self.send(api.patch_status(&name.name, &apply, &Patch::Apply(patch)))
                    .await
            }
            (Key::Object(kind, name, uid), document) => self.put_joined(*kind, name, uid, document).await,
            (Key::Instance(name), Document::Instance(spec)) => {
                let api = self.api::<ProxyInstance>(name);
                self.send(api.patch(&name.name, &apply, &Patch::Apply(instance_patch(name, spec))))
                    .await
            }
            (Key::InstanceStatus(name), Document::InstanceStatus(status)) => {
                let patch = identified::<ProxyInstance>(name, json!({ "status": status }));
                let api = self.api::<ProxyInstance>(name);
                self.send(api.patch_status(&name.name, &apply, &Patch::Apply(patch)))
                    .await
            }
            (Key::Fleet(name), Document::Fleet(owner)) => {
                // The spec is the user's.
                let mut patch = identified::<ProxyFleet>(name, json!({ "spec": {} }));
                if let Some(owner) = owner {
                    patch["metadata"]["ownerReferences"] = json!([owner_reference("Service", &owner.name, &owner.uid)]);
                }
                let api = self.api::<ProxyFleet>(name);
                self.send(api.patch(&name.name, &apply, &Patch::Apply(patch))).await
            }
            (Key::FleetStatus(name), Document::FleetStatus(status)) => {
                let patch = identified::<ProxyFleet>(name, json!({ "status": status }));
                let api = self.api::<ProxyFleet>(name);
                self.send(api.patch_status(&name.name, &apply, &Patch::Apply(patch)))
                    .await
            }
            (Key::Event(name), Document::Event(event)) => self.emit(name, event).await,
            _ => unreachable!("a key has documents of its own kind"),
        }
    }

    /// Others write there as well, in lists without keys to join them by: what stands there is read, and nothing is
    /// written if it changed since.
    async fn put_joined(
        &mut self,
        kind: Kind,
        name: &NamespacedName,
        uid: &str,
        document: &Document,
    ) -> Result<(), Failure> {
        let api = self.dynamic_api(kind, name).await?;
        let found = self.ask(api.get(&name.name)).await?;
        let found_status = found.data.get("status").unwrap_or(&Value::Null);
        let status = document
            .joined(found_status, &name.namespace)
            .unwrap_or_else(|| unreachable!("a key has documents of its own kind"));
        let patch = json!({
            "metadata": { "uid": uid, "resourceVersion": found.metadata.resource_version },
            "status": status,
        });
        let plain = PatchParams::default();
        self.send(api.patch_status(&name.name, &plain, &Patch::Merge(patch)))
            .await
    }

    /// Makes an event, or counts one more occurrence of it.
    async fn emit(&mut self, name: &NamespacedName, event: &EventDocument) -> Result<(), Failure> {
        let api = self.api::<Event>(name);
        let now = MicroTime(Timestamp::now());
        if event.count == 1 {
            let made = self
                .send(api.create(&PostParams::default(), &event_object(name, event, &self.instance, &now)))
                .await;
            match made {
                // An earlier leader told it.
                Err(failure) if failure.code() == 409 => {}
                made => return made,
            }
        }
        let series = json!({ "series": { "count": event.count.max(2), "lastObservedTime": now } });
        match self
            .send(api.patch(&name.name, &PatchParams::default(), &Patch::Merge(series)))
            .await
        {
            // Events expire.
            Err(failure) if failure.code() == 404 => {
                self.send(api.create(&PostParams::default(), &event_object(name, event, &self.instance, &now)))
                    .await
            }
            counted => counted,
        }
    }

    async fn delete(&mut self, name: &NamespacedName) -> Result<(), Failure> {
        let api = self.api::<ProxyInstance>(name);
        match self.send(api.delete(&name.name, &DeleteParams::background())).await {
            Err(failure) if failure.code() == 404 => Ok(()),
            deleted => deleted,
        }
    }

    fn api<K>(&self, name: &NamespacedName) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &name.namespace)
    }

    /// Objects of a kind, in the version that the cluster serves.
    async fn dynamic_api(&self, kind: Kind, name: &NamespacedName) -> Result<Api<DynamicObject>, Failure> {
        let served = tokio::time::timeout(LIMIT, self.served.resource(kind));
        let resource = served.await.map_err(|_| Failure::Timeout)??;
        let resource = resource.ok_or_else(|| Failure::Status {
            code: 404,
            message: format!("{} are not served", kind.plural()),
        })?;
        Ok(match kind.is_namespaced() {
            true => Api::namespaced_with(self.client.clone(), &name.namespace, &resource),
            false => Api::all_with(self.client.clone(), &resource),
        })
    }

    async fn send<T>(&mut self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<(), Failure> {
        self.ask(request).await.map(drop)
    }

    async fn ask<T>(&mut self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failure> {
        self.requests += 1;
        match tokio::time::timeout(LIMIT, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Failure::Timeout),
        }
    }
}

fn gate_patch(uid: &str, gate: &Gate) -> Value {
    json!({
        // A Pod of the same name that came after is another one.
        "metadata": { "uid": uid },
        "status": { "conditions": [{
            "type": GATE,
            "status": gate.status.as_str(),
            "reason": gate.reason,
            "message": gate.message,
            "lastTransitionTime": gate.since,
        }] },
    })
}

fn instance_patch(name: &NamespacedName, spec: &ProxyInstanceSpec) -> Value {
    let owner = owner_reference("Pod", &spec.pod_ref.name, &spec.pod_ref.uid);
    let mut patch = identified::<ProxyInstance>(name, json!({ "spec": spec }));
    patch["metadata"]["ownerReferences"] = json!([owner]);
    patch
}

/// With this object, the other one goes.
fn owner_reference(kind: &str, name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": kind, "name": name, "uid": uid,
        "controller": false, "blockOwnerDeletion": false,
    })
}

/// Kind and name around a part of an object.
fn identified<K: Resource<DynamicType = ()>>(name: &NamespacedName, mut part: Value) -> Value {
    part["apiVersion"] = json!(K::api_version(&()));
    part["kind"] = json!(K::kind(&()));
    part["metadata"] = json!({ "name": name.name, "namespace": name.namespace });
    part
}

fn event_object(name: &NamespacedName, event: &EventDocument, instance: &str, now: &MicroTime) -> Event {
    let regarding = &event.regarding;
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Event {
        metadata: ObjectMeta {
            name: Some(name.name.to_string()),
            namespace: Some(name.namespace.to_string()),
            ..ObjectMeta::default()
        },
        action: Some(event.action.to_owned()),
        event_time: Some(now.clone()),
        note: Some(event.note.clone()),
        reason: Some(event.reason.to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(regarding.api_version()),
            kind: text(&regarding.kind),
            name: text(&regarding.name),
            namespace: text(&regarding.namespace),
            uid: text(&regarding.uid),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(REPORTING_CONTROLLER.to_owned()),
        // Kubernetes allows 128 characters.
        reporting_instance: Some(instance.chars().take(128).collect()),
        type_: Some(if event.normal { "Normal" } else { "Warning" }.to_owned()),
        ..Event::default()
    }
}
