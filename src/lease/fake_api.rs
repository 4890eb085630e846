//! An API server in memory, for tests: objects with resource versions, watches, faults on demand.
//!
//! It has what the clients of this crate rely on and no more: no schemas, no admission, no garbage collection.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::model::Kind;

/// `apis/group/version/plural`, namespace, name.
type Key = (String, String, String);

#[derive(Default)]
struct Content {
    objects: BTreeMap<Key, Value>,
    /// Every change: resource version, key, type, object.
    history: Vec<(u64, Key, &'static str, Value)>,
    version: u64,
    requests: Vec<String>,
    /// Requests whose line contains the text get this status; 0 is no answer at all.
    faults: Vec<(String, u16)>,
}

/// The server. A clone is the same server.
#[derive(Clone)]
pub(crate) struct FakeApi {
    content: Arc<Mutex<Content>>,
    changed: watch::Sender<u64>,
}

impl FakeApi {
    pub(crate) fn new() -> Self {
        let content = Content {
            version: 100,
            ..Content::default()
        };
        Self {
            content: Arc::new(Mutex::new(content)),
            changed: watch::Sender::new(0),
        }
    }

    /// A client whose requests reach the server without a socket, so that tests can pause time.
    pub(crate) fn client(&self) -> kube::Client {
        kube::Client::new(Router::new().fallback(serve).with_state(self.clone()), "default")
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("no test panics while it holds the lock")
    }

    /// The object at a path such as `/api/v1/namespaces/shop/pods/web`.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        let (key, ..) = parse(path)?;
        self.content().objects.get(&key).cloned()
    }

    /// Paths' last elements of all objects of a resource such as `apis/networking.k8s.io/v1/ingresses`.
    pub(crate) fn names(&self, resource: &str) -> Vec<String> {
        let content = self.content();
        let keys = content.objects.keys().filter(|key| key.0 == resource);
        keys.map(|key| key.2.clone()).collect()
    }

    /// All that stands there, as text.
    pub(crate) fn dump(&self) -> String {
        let content = self.content();
        let objects = content.objects.iter();
        objects
            .map(|((resource, ..), object)| format!("{resource} {object}\n"))
            .collect()
    }

    /// Writes an object as somebody else would.
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let (key, ..) = parse(path).expect("a path of an object");
        let mut content = self.content();
        let former = content.objects.get(&key).cloned();
        complete(&mut object, &key, former.as_ref());
        let event = if former.is_some() { "MODIFIED" } else { "ADDED" };
        content.store(key, object, event);
        self.announce(content);
    }

    /// Deletes an object as somebody else would.
    pub(crate) fn delete(&self, path: &str) {
        let (key, ..) = parse(path).expect("a path of an object");
        let mut content = self.content();
        content.remove(&key);
        self.announce(content);
    }

    /// Lets requests whose line (`GET /path?query`) contains the text end with a status; 0 is no answer at all.
    pub(crate) fn fail(&self, text: &str, status: u16) {
        self.content().faults.push((text.to_owned(), status));
        // Watches that match end.
        self.changed.send_modify(|_| {});
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        self.content().faults.clear();
    }

    /// The requests since the last call, without watches.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.content().requests)
    }

    fn announce(&self, content: MutexGuard<'_, Content>) {
        let version = content.version;
        drop(content);
        self.changed.send_replace(version);
    }
}

impl Content {
    fn store(&mut self, key: Key, mut object: Value, event: &'static str) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push((self.version, key.clone(), event, object.clone()));
        self.objects.insert(key, object.clone());
        object
    }

    fn remove(&mut self, key: &Key) -> Option<Value> {
        let mut object = self.objects.remove(key)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history
            .push((self.version, key.clone(), "DELETED", object.clone()));
        Some(object)
    }

    fn fault(&self, line: &str) -> Option<u16> {
        let fault = self.faults.iter().find(|(text, _)| line.contains(text));
        fault.map(|(_, status)| *status)
    }
}

/// Key and subresource of a path.
fn parse(path: &str) -> Option<(Key, String)> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (prefix, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => (format!("api/{version}"), rest),
        ["apis", group, version, rest @ ..] => (format!("apis/{group}/{version}"), rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let plural = rest.first()?;
    let name = rest.get(1).copied().unwrap_or_default();
    let subresource = rest.get(2).copied().unwrap_or_default();
    let key = (format!("{prefix}/{plural}"), namespace.to_owned(), name.to_owned());
    Some((key, subresource.to_owned()))
}

/// The kinds that are served in a version of a group: all in all their versions.
fn discovery(path: &str) -> Option<Value> {
    let ["apis", group, version] = path.trim_matches('/').split('/').collect::<Vec<_>>()[..] else {
        return None;
    };
    let kinds = Kind::ALL.iter().filter(|kind| kind.group() == group);
    let served = kinds.filter(|kind| kind.versions().contains(&version));
    let resources = served.map(|kind| {
        json!({
            "name": kind.plural(), "singularName": "", "namespaced": kind.is_namespaced(), "kind": kind.name(),
            "verbs": ["get", "list", "watch", "patch"],
        })
    });
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"),
        "resources": resources.collect::<Vec<_>>(),
    }))
}

fn complete(object: &mut Value, key: &Key, former: Option<&Value>) {
    let kind = match key.0.rsplit('/').next() {
        Some("leases") => "Lease",
        Some("ingresses") => "Ingress",
        Some("proxyinstances") => "ProxyInstance",
        Some("proxyfleets") => "ProxyFleet",
        Some("pods") => "Pod",
        Some("events") => "Event",
        Some("secrets") => "Secret",
        Some("configmaps") => "ConfigMap",
        Some("services") => "Service",
        Some("deployments") => "Deployment",
        Some("validatingwebhookconfigurations") => "ValidatingWebhookConfiguration",
        _ => "Object",
    };
    let api_version = key.0.trim_start_matches("apis/").trim_start_matches("api/");
    let api_version = api_version.rsplit_once('/').map_or("", |(version, _)| version);
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object["metadata"]["namespace"] = json!(key.1);
    object["metadata"]["name"] = json!(key.2);
    let kept = |field: &str| former.map(|former| former["metadata"][field].clone());
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let uid = || match object["metadata"]["uid"].as_str() {
        Some(uid) => json!(uid),
        None => json!(format!("uid-{count}")),
    };
    object["metadata"]["uid"] = kept("uid").unwrap_or_else(uid);
    object["metadata"]["creationTimestamp"] =
        kept("creationTimestamp").unwrap_or_else(|| json!("2026-01-01T00:00:00Z"));
}

fn failure(code: u16, reason: &str, message: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code,
    });
    let code = StatusCode::from_u16(code).expect("a status code");
    (code, axum::Json(status)).into_response()
}

async fn serve(State(api): State<FakeApi>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let line = format!("{} {}", parts.method, parts.uri);
    let watches = query.contains("watch=true");
    let fault = {
        let mut content = api.content();
        if !watches {
            content.requests.push(line.clone());
        }
        content.fault(&line)
    };
    match fault {
        Some(0) => return std::future::pending().await,
        Some(403) => return failure(403, "Forbidden", "not allowed by any role"),
        // A real one says so of a kind that it does not know, and not in JSON.
        Some(404) if watches => return (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
        Some(status) => return failure(status, "Injected", "as the test wants it"),
        None => {}
    }
    let Some((key, subresource)) = parse(parts.uri.path()) else {
        return match discovery(parts.uri.path()) {
            Some(resources) => axum::Json(resources).into_response(),
            None => failure(404, "NotFound", "no such path"),
        };
    };
    if watches {
        return follow(api, key, line, &query);
    }
    // As much as the real one takes.
    let bytes = to_bytes(body, 3 << 20).await.expect("a body");
    let sent: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let mut content = api.content();
    let former = content.objects.get(&key).cloned();
    let answer = match (&parts.method, former) {
        (&Method::GET, _) if key.2.is_empty() => list(&content, &key, &query),
        (&Method::GET, Some(_)) if subresource == "log" => return "a line of the log\n".into_response(),
        (&Method::GET, Some(object)) => object,
        (&Method::POST, _) => {
            let name = sent["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let key = (key.0, key.1, name);
            if content.objects.contains_key(&key) {
                return failure(409, "AlreadyExists", "exists");
            }
            let mut object = sent;
            complete(&mut object, &key, None);
            content.store(key, object, "ADDED")
        }
        (&Method::PUT, Some(former)) => {
            if sent["metadata"]["resourceVersion"] != former["metadata"]["resourceVersion"] {
                return failure(409, "Conflict", "the object has been modified");
            }
            let mut object = sent;
            complete(&mut object, &key, Some(&former));
            content.store(key, object, "MODIFIED")
        }
        (&Method::DELETE, Some(former)) => {
            let wanted = &sent["preconditions"]["uid"];
            if !wanted.is_null() && *wanted != former["metadata"]["uid"] {
                return failure(409, "Conflict", "uid in precondition");
            }
            content.remove(&key).expect("it is there")
        }
        (&Method::PATCH, former) => {
            let content_type = parts
                .headers
                .get(header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok());
            let how = match content_type {
                Some(kind) if kind.contains("apply") => Patching::Apply,
                Some(kind) if kind.contains("strategic") => Patching::Strategic,
                _ => Patching::Merge,
            };
            let applies = how == Patching::Apply;
            if former.is_none() && (!applies || !subresource.is_empty()) {
                return failure(404, "NotFound", "not found");
            }
            let manager = query.split('&').find_map(|pair| pair.strip_prefix("fieldManager="));
            match patch(former.as_ref(), sent, &key, &subresource, (how, manager)) {
                Ok(object) if Some(&object) == former.as_ref() => object,
                Ok(object) => {
                    let event = if former.is_some() { "MODIFIED" } else { "ADDED" };
                    content.store(key, object, event)
                }
                Err(answer) => return *answer,
            }
        }
        _ => return failure(404, "NotFound", "not found"),
    };
    api.announce(content);
    axum::Json(answer).into_response()
}

fn list(content: &Content, key: &Key, query: &str) -> Value {
    let items = content.objects.iter().filter(|(found, _)| selects(key, query, found));
    json!({
        "kind": "List", "apiVersion": "v1",
        "metadata": { "resourceVersion": content.version.to_string() },
        "items": items.map(|(_, object)| object).collect::<Vec<_>>(),
    })
}

fn selects(wanted: &Key, query: &str, found: &Key) -> bool {
    let name = query.split('&').find_map(|pair| {
        let selector = pair.strip_prefix("fieldSelector=")?;
        selector
            .strip_prefix("metadata.name%3D")
            .or_else(|| selector.strip_prefix("metadata.name="))
    });
    found.0 == wanted.0 && (wanted.1.is_empty() || found.1 == wanted.1) && name.is_none_or(|name| found.2 == name)
}

/// What a patch is joined with what stands there by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patching {
    Apply,
    Merge,
    Strategic,
}

fn patch(
    former: Option<&Value>,
    mut sent: Value,
    key: &Key,
    subresource: &str,
    (how, manager): (Patching, Option<&str>),
) -> Result<Value, Box<Response>> {
    let applies = how == Patching::Apply;
    let mut object = former.cloned().unwrap_or_else(|| json!({ "metadata": {} }));
    let wanted = &sent["metadata"]["uid"];
    if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
        return Err(Box::new(failure(
            422,
            "Invalid",
            "metadata.uid: Invalid value: field is immutable",
        )));
    }
    if subresource.is_empty() {
        sent.as_object_mut().expect("an object").remove("status");
        if applies && let Some(webhooks) = sent.get_mut("webhooks") {
            join_webhooks(&object["webhooks"], webhooks);
            own(&mut object["metadata"]["managedFields"], manager.unwrap_or_default());
        }
        merge(&mut object, sent);
    } else {
        let mut status = sent["status"].take();
        if how == Patching::Strategic {
            join_conditions(&object["status"]["conditions"], &mut status);
        }
        if applies {
            object["status"] = status;
        } else {
            merge(&mut object["status"], status);
        }
    }
    complete(&mut object, key, former);
    Ok(object)
}

/// JSON merge patch (RFC 7396).
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let fields = target.as_object_mut().expect("made an object above");
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Conditions that the patch does not name stay (a strategic merge patch joins them by type).
fn join_conditions(former: &Value, status: &mut Value) {
    let Some(sent) = status["conditions"].as_array_mut() else {
        return;
    };
    for condition in former.as_array().into_iter().flatten() {
        if !sent.iter().any(|sent| sent["type"] == condition["type"]) {
            sent.push(condition.clone());
        }
    }
}

/// Who applies owns something, by one entry.
fn own(owners: &mut Value, manager: &str) {
    if !owners.is_array() {
        *owners = json!([]);
    }
    let owners = owners.as_array_mut().expect("made a list above");
    if owners.iter().all(|owner| owner["manager"] != manager) {
        owners.push(json!({"manager": manager, "operation": "Apply"}));
    }
}

/// Webhooks are a map by name in server-side apply: fields and entries that are not sent stay.
fn join_webhooks(former: &Value, sent: &mut Value) {
    let (Some(former), Some(sent)) = (former.as_array(), sent.as_array_mut()) else {
        return;
    };
    let joined = former.iter().map(|webhook| {
        let mut webhook = webhook.clone();
        if let Some(change) = sent.iter().find(|change| change["name"] == webhook["name"]) {
            merge(&mut webhook, change.clone());
        }
        webhook
    });
    *sent = joined.collect();
}

/// A watch: what happened since the resource version, then what happens. A fault ends it.
fn follow(api: FakeApi, key: Key, line: String, query: &str) -> Response {
    let since = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("resourceVersion=")?.parse().ok());
    let changed = api.changed.subscribe();
    let query = query.to_owned();
    let events = stream::unfold((api, changed, since.unwrap_or(0)), move |(api, mut changed, since)| {
        let (key, query, line) = (key.clone(), query.clone(), line.clone());
        async move {
            loop {
                let next = {
                    let content = api.content();
                    if content.fault(&line).is_some() {
                        return None;
                    }
                    let mut later = content.history.iter().filter(|(version, ..)| *version > since);
                    later.find(|(_, found, ..)| selects(&key, &query, found)).cloned()
                };
                if let Some((version, _, event, object)) = next {
                    let text = format!("{}\n", json!({ "type": event, "object": object }));
                    return Some((Ok::<_, Infallible>(Bytes::from(text)), (api, changed, version)));
                }
                if changed.changed().await.is_err() {
                    return None;
                }
            }
        }
    });
    Body::from_stream(events).into_response()
}
