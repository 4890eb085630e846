//! An object as the API server gives it -> our slim struct, or what is wrong with it.

use kube::core::{DynamicObject, ObjectMeta};

use super::guarded::Cut;
use crate::{
    manifest,
    model::{
        Digest, Kind, Object, Problem, Reason,
        kubernetes::{Metadata, SERVICE_NAME_LABEL},
    },
};

/// Annotations that only `kubectl` reads: big, and of Secrets they hold the values.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object, or what is wrong with it.
pub(super) type Read = Result<Object, Problem>;

/// Reads an object and lets go of all that is not used.
pub(super) fn read(kind: Kind, mut object: DynamicObject) -> Cut<Read> {
    if kind.group() == Kind::Gateway.group()
        && let Some(fields) = object.data.as_object_mut()
    {
        // It is written and not read: with it each write of ours would be a change, and be translated.
        fields.remove("status");
    }
    let digest = digest(kind, &object);
    let mut metadata = metadata(kind, object.metadata);
    metadata.digest = digest;
    let key = metadata.key();
    // Only if it fails is the value needed once more, and it rarely does: reading it again is cheaper than a copy.
    let read = match Object::from_json(kind, object.data.clone()) {
        Ok(mut read) => {
            *read.metadata_mut() = metadata;
            Ok(read)
        }
        Err(error) => Err(problem(kind, &metadata, object.data, &error)),
    };
    Cut { key, object: read }
}

/// What it says. Endpoints are nobody's word: they change by themselves.
fn digest(kind: Kind, object: &DynamicObject) -> Option<Digest> {
    let metadata = &object.metadata;
    (kind != Kind::EndpointSlice).then(|| {
        let uid = metadata.uid.as_deref().unwrap_or_default();
        Digest::of(
            uid,
            metadata.labels.as_ref(),
            metadata.annotations.as_ref(),
            &object.data,
        )
    })
}

/// The kinds whose labels say something: charts give all objects half a dozen, of which routes and Services by the thousand have
/// no use. What changes among them is a change by the digest all the same.
const LABELLED: [Kind; 5] = [
    Kind::Namespace,
    Kind::Secret,
    Kind::ConfigMap,
    Kind::KongPlugin,
    Kind::KongClusterPlugin,
];

/// The part of the metadata that is used.
pub(super) fn metadata(kind: Kind, metadata: ObjectMeta) -> Metadata {
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.remove(LAST_APPLIED);
    let mut labels = metadata.labels.unwrap_or_default();
    let mut generation = metadata.generation;
    if kind == Kind::EndpointSlice {
        // There are many, they change often, and with each change these do.
        annotations.clear();
        generation = None;
        labels.retain(|name, _| name == SERVICE_NAME_LABEL);
    } else if !LABELLED.contains(&kind) {
        labels.clear();
    }
    Metadata {
        name: metadata.name.unwrap_or_default().into(),
        namespace: metadata.namespace.unwrap_or_default().into(),
        uid: metadata.uid.unwrap_or_default().into(),
        generation,
        creation_timestamp: metadata.creation_timestamp.map(|time| time.0),
        deletion_timestamp: metadata.deletion_timestamp.map(|time| time.0),
        labels: labels.into(),
        annotations: annotations.into(),
        source: None,
        digest: None,
    }
}

fn problem(kind: Kind, metadata: &Metadata, mut value: serde_json::Value, error: &serde_json::Error) -> Problem {
    let object = kind.object_ref(metadata);
    if let Some(fields) = value.as_object_mut() {
        // Read already: it is here so that it is not missed.
        fields.insert("metadata".to_owned(), serde_json::json!({ "name": metadata.name }));
    }
    manifest::explain(object.clone(), kind, value).unwrap_or_else(|| Problem {
        object,
        field: None,
        condition: None,
        reason: Reason::InvalidField,
        message: if kind == Kind::Secret {
            // The error could quote the value.
            "a field does not fit".to_owned()
        } else {
            error.to_string()
        },
        remedy: "compare the object with the API reference of its kind".to_owned(),
        source: None,
    })
}
