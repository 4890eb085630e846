//! Watching an API server that misbehaves: what the store's readers see.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use super::{WatchSettings, WatchedKind, spawn};
use crate::{
    kept_log::Log,
    lease::fake_api::FakeApi,
    model::{Kind, NamespacedName, Snapshot},
    store::{self, Retention},
};

const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces";

/// A controller's eyes: watches, store, snapshots.
struct Watching {
    api: FakeApi,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    _tasks: JoinSet<()>,
}

impl Watching {
    fn start(api: FakeApi, settings: &WatchSettings) -> Self {
        let (events, receiver) = mpsc::channel(64);
        let (sender, snapshots) = store::channel();
        let (interest_sender, interest) = watch::channel(Arc::default());
        let mut tasks = spawn(&api.client(), settings, &events, interest);
        let services = [NamespacedName::new("system", "admin")].into();
        tasks.spawn(store::run(
            Retention::Referenced { services },
            receiver,
            sender,
            interest_sender,
        ));
        Self {
            api,
            snapshots,
            _tasks: tasks,
        }
    }

    /// Waits until a snapshot shows it.
    async fn until(&mut self, what: &str, shows: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let waiting = self.snapshots.wait_for(|snapshot| shows(snapshot));
        if let Ok(snapshot) = timeout(Duration::from_secs(200), waiting).await {
            return snapshot.expect("the store runs").clone();
        }
        panic!("never seen: {what}; last: {:#?}", self.snapshots.borrow());
    }

    fn put_ingress(&self, name: &str, ingress: Value) {
        self.api.put(&format!("{INGRESSES}/shop/ingresses/{name}"), ingress);
    }

    /// An unrelated change: it has to go live, whatever else is wrong.
    async fn expect_unrelated_change(&mut self) {
        let name = format!("unrelated-{}", self.snapshots.borrow().generation);
        self.api
            .put(&format!("/api/v1/namespaces/shop/services/{name}"), service());
        let key = NamespacedName::new("shop", name);
        self.until("an unrelated Service", |snapshot| snapshot.services.contains_key(&key))
            .await;
    }
}

fn service() -> Value {
    json!({"metadata": {"managedFields": [{}]}, "spec": {"ports": [{"port": 80}]}})
}

/// An Ingress to a Service, with a TLS Secret.
fn ingress(service: &str, secret: &str) -> Value {
    json!({"metadata": {}, "spec": {
        "tls": [{"secretName": secret}],
        "rules": [{"http": {"paths": [{
            "path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}},
        }]}}],
    }})
}

fn slice(service: &str) -> Value {
    json!({
        "metadata": {"labels": {"kubernetes.io/service-name": service, "other": "label"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],
    })
}

fn secret(value: &str) -> Value {
    json!({"metadata": {"annotations": {
        "kubectl.kubernetes.io/last-applied-configuration": value, "kept": "yes",
    }}, "data": {"tls.key": value}})
}

/// A server with a shop: what is referred to, and what is not.
fn shop() -> FakeApi {
    let api = FakeApi::new();
    api.put(&format!("{INGRESSES}/shop/ingresses/web"), ingress("web", "cert"));
    api.put("/api/v1/namespaces/shop/services/web", service());
    api.put("/api/v1/namespaces/shop/services/idle", service());
    api.put(
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/web-1",
        slice("web"),
    );
    api.put(
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/idle-1",
        slice("idle"),
    );
    api.put(
        "/apis/discovery.k8s.io/v1/namespaces/system/endpointslices/admin-1",
        slice("admin"),
    );
    api.put("/api/v1/namespaces/shop/secrets/cert", secret("aGVsbG8="));
    api.put("/api/v1/namespaces/shop/secrets/idle", secret("aGVsbG8="));
    let mut credential = secret("aGVsbG8=");
    credential["metadata"]["labels"] = json!({"konghq.com/credential": "key-auth"});
    api.put("/api/v1/namespaces/shop/secrets/credential", credential);
    api
}

fn names(snapshot: &Snapshot, kind: Kind) -> Vec<String> {
    snapshot.keys(kind).iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_referred_to_is_read_and_nothing_else() {
    let mut watching = Watching::start(shop(), &WatchSettings::default());
    let snapshot = watching.until("all kinds", Snapshot::is_complete).await;
    assert_eq!(names(&snapshot, Kind::Ingress), ["shop/web"]);
    assert_eq!(names(&snapshot, Kind::Service), ["shop/idle", "shop/web"]);
    assert_eq!(names(&snapshot, Kind::EndpointSlice), ["shop/web-1", "system/admin-1"]);
    assert_eq!(names(&snapshot, Kind::Secret), ["shop/cert", "shop/credential"]);
    let cert = snapshot.secrets.get(&NamespacedName::new("shop", "cert")).unwrap();
    assert_eq!(cert.value("tls.key"), Some(&b"hello"[..]));
    assert_eq!(cert.metadata.annotations.keys().collect::<Vec<_>>(), ["kept"]);
    let requests = watching.api.take_requests().join("\n");
    assert!(!requests.contains("secrets/idle"), "{requests}");
    assert!(requests.contains("helm.sh%2Frelease.v1"), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn what_is_referred_to_later_is_there_at_once() {
    let mut watching = Watching::start(shop(), &WatchSettings::default());
    watching.until("all kinds", Snapshot::is_complete).await;
    watching.put_ingress("idle", ingress("idle", "idle"));
    let snapshot = watching
        .until("the Ingress", |snapshot| snapshot.ingresses.len() == 2)
        .await;
    assert_eq!(
        names(&snapshot, Kind::EndpointSlice),
        ["shop/idle-1", "shop/web-1", "system/admin-1"]
    );
    assert_eq!(
        names(&snapshot, Kind::Secret),
        ["shop/cert", "shop/credential", "shop/idle"]
    );

    watching
        .api
        .put("/api/v1/namespaces/shop/secrets/idle", secret("d29ybGQ="));
    let key = NamespacedName::new("shop", "idle");
    let value = |snapshot: &Snapshot| {
        snapshot
            .secrets
            .get(&key)
            .and_then(|secret| secret.value("tls.key"))
            .map(<[u8]>::to_vec)
    };
    watching
        .until("the changed Secret", |snapshot| {
            value(snapshot).as_deref() == Some(b"world")
        })
        .await;

    watching.api.delete(&format!("{INGRESSES}/shop/ingresses/idle"));
    watching
        .until("less", |snapshot| {
            snapshot.secrets.len() == 2 && snapshot.endpoint_slices.len() == 2
        })
        .await;
    watching.put_ingress("idle", ingress("idle", "idle"));
    let snapshot = watching
        .until("the Ingress again", |snapshot| snapshot.ingresses.len() == 2)
        .await;
    assert_eq!((snapshot.secrets.len(), snapshot.endpoint_slices.len()), (3, 3));
    watching.api.delete("/api/v1/namespaces/shop/secrets/idle");
    watching
        .until("no Secret", |snapshot| snapshot.secrets.len() == 2)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_kind_is_told_with_its_remedy_and_comes_back() {
    let api = shop();
    api.fail("/ingresses?", 403);
    let mut watching = Watching::start(api, &WatchSettings::default());
    let snapshot = watching
        .until("the kind at fault", |snapshot| !snapshot.unavailable.is_empty())
        .await;
    assert_eq!(
        snapshot.unavailable[&Kind::Ingress].to_string(),
        "the API server forbids to read ingresses.networking.k8s.io in all namespaces; grant get, list and watch on \
         ingresses.networking.k8s.io to the controller's ServiceAccount by a ClusterRole"
    );
    assert!(
        snapshot.pending.contains(&Kind::Ingress),
        "nothing may be rendered without it"
    );
    watching.expect_unrelated_change().await;
    watching.api.heal();
    let snapshot = watching.until("all kinds", Snapshot::is_complete).await;
    assert!(snapshot.unavailable.is_empty());

    // Later on, what is known is kept.
    watching.api.fail("/ingresses?", 403);
    let snapshot = watching
        .until("the kind at fault", |snapshot| !snapshot.unavailable.is_empty())
        .await;
    assert_eq!(names(&snapshot, Kind::Ingress), ["shop/web"]);
    let reason = snapshot.unavailable[&Kind::Ingress].to_string();
    assert!(
        reason.contains("which it did allow") && reason.contains("if it lasts, grant get"),
        "{reason}"
    );
    watching.expect_unrelated_change().await;
    watching.api.heal();
    watching
        .until("it works again", |snapshot| snapshot.unavailable.is_empty())
        .await;
    watching.put_ingress("new", ingress("web", "cert"));
    watching
        .until("the new Ingress", |snapshot| snapshot.ingresses.len() == 2)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_may_not_be_fetched_is_told_and_fetched_later() {
    let api = shop();
    api.fail("GET /api/v1/namespaces/shop/secrets/cert", 403);
    let mut watching = Watching::start(api, &WatchSettings::default());
    let snapshot = watching
        .until("the kind at fault", |snapshot| !snapshot.unavailable.is_empty())
        .await;
    assert!(
        snapshot.unavailable[&Kind::Secret]
            .remedy
            .contains("grant get, list and watch on secrets")
    );
    assert!(!snapshot.is_complete());
    watching.expect_unrelated_change().await;
    watching.api.heal();
    let snapshot = watching
        .until("all kinds", |snapshot| {
            snapshot.is_complete() && snapshot.unavailable.is_empty()
        })
        .await;
    assert_eq!(names(&snapshot, Kind::Secret), ["shop/cert", "shop/credential"]);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_object_is_a_problem_and_no_more() {
    let api = shop();
    let mut broken = ingress("web", "cert");
    broken["spec"]["rules"][0]["http"]["paths"][0]["pathType"] = json!("Sideways");
    api.put(&format!("{INGRESSES}/shop/ingresses/broken"), broken.clone());
    let mut watching = Watching::start(api, &WatchSettings::default());
    let snapshot = watching.until("all kinds", Snapshot::is_complete).await;
    assert_eq!(names(&snapshot, Kind::Ingress), ["shop/web"]);
    let problem = snapshot.malformed[0].to_string();
    assert_eq!(
        problem,
        "Ingress shop/broken spec.rules[0].http.paths[0].pathType: InvalidField: expected one of Exact, Prefix, \
         ImplementationSpecific, found \"Sideways\"; use one of Exact, Prefix, ImplementationSpecific"
    );
    watching.expect_unrelated_change().await;
    watching.put_ingress("web", broken);
    watching
        .until("both broken", |snapshot| {
            snapshot.malformed.len() == 2 && snapshot.ingresses.is_empty()
        })
        .await;
    watching.put_ingress("broken", ingress("web", "cert"));
    watching.put_ingress("web", ingress("web", "cert"));
    watching
        .until("mended", |snapshot| {
            snapshot.malformed.is_empty() && snapshot.ingresses.len() == 2
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_went_away_unseen_is_gone_after_a_new_list() {
    let mut watching = Watching::start(shop(), &WatchSettings::default());
    watching.until("all kinds", Snapshot::is_complete).await;
    for status in [410, 500] {
        watching.api.fail("watch=true", status);
        watching.put_ingress("new", ingress("web", "cert"));
        watching.api.delete(&format!("{INGRESSES}/shop/ingresses/web"));
        tokio::time::sleep(Duration::from_secs(30)).await;
        watching.api.heal();
        let snapshot = watching.until("the new Ingress alone", |snapshot| {
            names(snapshot, Kind::Ingress) == ["shop/new"]
        });
        assert!(snapshot.await.is_complete());
        watching
            .until("all works", |snapshot| snapshot.unavailable.is_empty())
            .await;
        watching.api.delete(&format!("{INGRESSES}/shop/ingresses/new"));
        watching.put_ingress("web", ingress("web", "cert"));
        watching
            .until("the old Ingress alone", |snapshot| {
                names(snapshot, Kind::Ingress) == ["shop/web"]
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_told() {
    let api = shop();
    api.fail("/services?", 0);
    let mut watching = Watching::start(api, &WatchSettings::default());
    let snapshot = watching
        .until("the kind at fault", |snapshot| !snapshot.unavailable.is_empty())
        .await;
    assert!(
        snapshot.unavailable[&Kind::Service].message.contains("does not answer"),
        "{:?}",
        snapshot.unavailable
    );
    watching.api.heal();
    let snapshot = watching.until("all kinds", Snapshot::is_complete).await;
    assert_eq!(names(&snapshot, Kind::Service), ["shop/idle", "shop/web"]);
}

#[tokio::test(start_paused = true)]
async fn an_optional_kind_is_watched_as_soon_as_it_exists() {
    let api = shop();
    api.fail("/ingresses?", 404);
    let mut settings = WatchSettings::default();
    let optional = |watched: &mut WatchedKind| watched.optional = watched.kind == Kind::Ingress;
    settings.kinds.iter_mut().for_each(optional);
    let mut watching = Watching::start(api, &settings);
    let snapshot = watching.until("all kinds", Snapshot::is_complete).await;
    assert!(snapshot.ingresses.is_empty() && snapshot.unavailable.is_empty());
    assert_eq!(*snapshot.absent, [Kind::Ingress].into());

    watching.api.heal();
    let before = tokio::time::Instant::now();
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ingresses.networking.k8s.io";
    watching.api.put(definition, json!({"metadata": {}}));
    let snapshot = watching
        .until("its objects", |snapshot| snapshot.ingresses.len() == 1)
        .await;
    assert!(snapshot.absent.is_empty());
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());

    // A kind that goes away has taken nobody's routes with it.
    watching.api.fail("/ingresses?", 404);
    let snapshot = watching
        .until("its absence", |snapshot| !snapshot.unavailable.is_empty())
        .await;
    assert_eq!(snapshot.ingresses.len(), 1);
    let why = &snapshot.unavailable[&Kind::Ingress];
    assert!(
        why.message.contains("does not know ingresses.networking.k8s.io") && why.remedy.contains("install its CRD"),
        "{why}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_deleted_takes_no_routes_with_it_until_it_is_back() {
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ingresses.networking.k8s.io";
    let web = format!("{INGRESSES}/shop/ingresses/web");
    // The news of its deletion may come before or after that of its objects.
    for definition_first in [true, false] {
        let api = shop();
        api.put(definition, json!({"metadata": {}}));
        let mut settings = WatchSettings::default();
        let optional = |watched: &mut WatchedKind| watched.optional = watched.kind == Kind::Ingress;
        settings.kinds.iter_mut().for_each(optional);
        let mut watching = Watching::start(api, &settings);
        watching.until("all kinds", Snapshot::is_complete).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let dies = |api: &FakeApi| {
            api.put(
                definition,
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            );
        };
        if definition_first {
            dies(&watching.api);
        }
        watching.api.delete(&web);
        if !definition_first {
            tokio::time::sleep(Duration::from_millis(100)).await;
            dies(&watching.api);
        }
        let snapshot = watching.until("why", |snapshot| !snapshot.unavailable.is_empty()).await;
        assert!(
            snapshot.unavailable[&Kind::Ingress]
                .message
                .contains("is being deleted")
        );
        watching.api.delete(definition);
        watching.api.fail("/ingresses?", 404);
        tokio::time::sleep(Duration::from_secs(400)).await;
        watching.expect_unrelated_change().await;
        assert_eq!(names(&watching.snapshots.borrow(), Kind::Ingress), ["shop/web"]);

        // It is back with another object, and so it is known again what there is.
        watching.api.heal();
        watching.put_ingress("other", ingress("web", "cert"));
        watching.api.put(definition, json!({"metadata": {}}));
        let snapshot = watching
            .until("it is back", |snapshot| snapshot.unavailable.is_empty())
            .await;
        assert_eq!(names(&snapshot, Kind::Ingress), ["shop/other"]);
        // From now on a deletion is one.
        watching.api.delete(&format!("{INGRESSES}/shop/ingresses/other"));
        watching
            .until("its end", |snapshot| snapshot.ingresses.is_empty())
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn namespaces_restrict_what_is_watched() {
    let api = shop();
    api.put(&format!("{INGRESSES}/other/ingresses/web"), ingress("web", "cert"));
    api.put(&format!("{INGRESSES}/third/ingresses/web"), ingress("web", "cert"));
    api.put("/api/v1/namespaces/system/services/admin", service());
    let settings = WatchSettings {
        namespaces: ["shop".into(), "other".into()].into(),
        service_namespaces: ["system".into()].into(),
        ..WatchSettings::default()
    };
    api.fail("namespaces/other/ingresses?", 403);
    let mut watching = Watching::start(api, &settings);
    let snapshot = watching
        .until("the namespace at fault", |snapshot| !snapshot.unavailable.is_empty())
        .await;
    let reason = snapshot.unavailable[&Kind::Ingress].to_string();
    assert!(
        reason.contains("in namespace other") && reason.ends_with("by a Role"),
        "{reason}"
    );
    watching.api.heal();
    let snapshot = watching.until("all kinds", Snapshot::is_complete).await;
    assert_eq!(names(&snapshot, Kind::Ingress), ["other/web", "shop/web"]);
    assert_eq!(
        names(&snapshot, Kind::Service),
        ["shop/idle", "shop/web", "system/admin"]
    );
    assert_eq!(names(&snapshot, Kind::EndpointSlice), ["shop/web-1", "system/admin-1"]);
    let requests = watching.api.take_requests().join("\n");
    assert!(
        !requests.contains("third") && !requests.contains("GET /apis/networking.k8s.io/v1/ingresses?"),
        "{requests}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_down_is_one_piece_of_news_and_so_is_its_return() {
    let log = Log::default();
    let _kept = log.keep();
    let mut watching = Watching::start(shop(), &WatchSettings::default());
    watching.until("all kinds", Snapshot::is_complete).await;
    watching.api.fail("/api", 500);
    watching
        .until("kinds at fault", |snapshot| {
            [Kind::Ingress, Kind::Service, Kind::EndpointSlice, Kind::Secret]
                .iter()
                .all(|kind| snapshot.unavailable.contains_key(kind))
        })
        .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let told = log.take();
    assert_eq!(told.lines().filter(|line| line.contains("WARN")).count(), 1, "{told}");
    assert!(told.contains("the API server does not serve us"), "{told}");

    watching.api.heal();
    watching
        .until("all works", |snapshot| snapshot.unavailable.is_empty())
        .await;
    let told = log.take();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("the API server serves us again"), "{told}");

    // What is refused to one kind is told of that kind.
    watching.api.fail("/ingresses?", 403);
    watching
        .until("the kind at fault", |snapshot| !snapshot.unavailable.is_empty())
        .await;
    let told = log.take();
    assert!(told.contains("forbids to read ingresses.networking.k8s.io"), "{told}");
    watching.api.heal();
    watching
        .until("it works again", |snapshot| snapshot.unavailable.is_empty())
        .await;
    assert!(log.take().contains("can be read again kind=\"Ingress\""));
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_not_accepted_are_told_as_such_and_may_come_right() {
    let api = shop();
    api.fail("/api", 401);
    let mut watching = Watching::start(api, &WatchSettings::default());
    let snapshot = watching
        .until("kinds of one version and of several at fault", |snapshot| {
            let unavailable = &snapshot.unavailable;
            unavailable.contains_key(&Kind::Ingress) && unavailable.contains_key(&Kind::Gateway)
        })
        .await;
    for reason in snapshot.unavailable.values().map(ToString::to_string) {
        assert!(
            reason.contains("it answers 401") && reason.contains("check the user of the kubeconfig"),
            "{reason}"
        );
    }
    watching.api.heal();
    watching.until("all kinds", Snapshot::is_complete).await;
    watching.expect_unrelated_change().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_written_is_no_change() {
    let route = |reason: &str| {
        json!({
            "metadata": {},
            "spec": {"hostnames": ["shop.example"]},
            "status": {"parents": [{"parentRef": {"name": "edge"}, "conditions": [{"type": "Accepted", "reason": reason}]}]},
        })
    };
    let path = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/web";
    let api = shop();
    api.put(path, route("Pending"));
    let mut watching = Watching::start(api, &WatchSettings::default());
    let before = watching.until("all kinds", Snapshot::is_complete).await;
    assert_eq!(names(&before, Kind::HTTPRoute), ["shop/web"]);
    watching.api.put(path, route("Accepted"));
    watching.expect_unrelated_change().await;
    let after = watching.snapshots.borrow().clone();
    assert!(Arc::ptr_eq(&before.http_routes, &after.http_routes));
}
