//! Whatever a proxy quotes, no secret of a configuration is shown: in a status, an event, the log, a metric, on the
//! dashboard, in a dump. All that shows something runs as in a cluster.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::FutureExt;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    fleet::{
        Command, ConnectionSecurity, Fleet, FleetEvent, FleetView, Observation, ProxyReport, PushOutcome, PushResult,
        Settings as FleetSettings,
    },
    kept_log::Log,
    lease::fake_api::FakeApi,
    liveness::Liveness,
    model::{
        Edition, Epoch, Kind, Leadership, NamespacedName, Object, PodRef, Profile, ProxyId, ProxyTarget, RouterFlavor,
        Snapshot,
    },
    observe::metrics::Metrics,
    push,
    render::{self, Given, Lane, Rendition},
    serve::{self, ServeSettings, Sources},
    status,
    translate::{Settings, fallback::Refusals},
    wiring::{carry, news},
};

/// What must be seen nowhere.
#[derive(Debug, Clone)]
struct Secrets {
    key: String,
    password: String,
    token: String,
    inline: String,
    vault: String,
    /// A certificate, and the private key to it.
    pair: (String, String),
    /// What is no private key, and so is never sent.
    broken: String,
}

impl Secrets {
    /// What is sent to proxies; of the private key a line.
    fn sent(&self) -> [&str; 6] {
        let line = self.pair.1.lines().nth(1).unwrap();
        [&self.key, &self.password, &self.token, &self.inline, &self.vault, line]
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        self.sent().into_iter().chain([&*self.broken])
    }
}

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// What people choose, and what they can choose: from one letter on, whatever can be printed.
fn secret() -> impl Strategy<Value = String> {
    let all = prop_oneof![
        "[a-zA-Z0-9+/=_.~-]{1,40}",
        "[ -~]{1,40}",
        r#"[a-z0-9 '"\\/é]{1,14}"#,
        r"\PC{1,40}",
    ];
    all.prop_filter("there is something to see", |secret| !secret.trim().is_empty())
}

fn secrets() -> impl Strategy<Value = Secrets> {
    let all = (secret(), secret(), secret(), secret(), secret(), r"\PC{20,40}");
    let made = all.prop_map(|(key, password, token, inline, vault, broken)| Secrets {
        key,
        password,
        token,
        inline,
        vault,
        pair: pair(),
        broken,
    });
    made.boxed()
}

/// Shorter ones, in bytes, can't be told from other words wherever they stand.
const SHORT: usize = 12;
/// Where a proxy quotes a secret, and where it would stand in a dump: nothing else is there, so that a short one is known.
const QUOTES: [&str; 9] = [
    "value 'SECRET' refused",
    "with key set to 'SECRET' already declared",
    "config.quoted.SECRET",
    r#"plugin "SECRET" config"#,
    r#""key":"SECRET""#,
    r#""password":"SECRET""#,
    r#""client_secret":"SECRET""#,
    r#""secret":"SECRET""#,
    r#""token":"SECRET""#,
];

/// What of a secret must be in no text: itself, or where it is quoted if it is short; as it is, and escaped as in a log, in
/// JSON, or in both.
fn telling(secret: &str) -> BTreeSet<String> {
    let as_quoted = |secret: &String| QUOTES.map(|quote| quote.replace("SECRET", secret));
    let found = with_escaped([secret.to_owned()].into());
    if secret.len() >= SHORT {
        return with_escaped(found);
    }
    with_escaped(with_escaped(found.iter().flat_map(as_quoted).collect()))
}

fn with_escaped(mut texts: BTreeSet<String>) -> BTreeSet<String> {
    let escaped = texts
        .iter()
        .flat_map(|text| [json!(text).to_string(), format!("{text:?}")]);
    let escaped: Vec<String> = escaped.map(|text| text[1..text.len() - 1].to_owned()).collect();
    texts.extend(escaped);
    texts
}

/// Whether a text of the document is that one, or has it in it.
fn holds(document: &Value, secret: &str) -> bool {
    match document {
        Value::String(text) => text.contains(secret),
        Value::Array(items) => items.iter().any(|item| holds(item, secret)),
        Value::Object(fields) => fields.values().any(|field| holds(field, secret)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn object(kind: Kind, name: &str, mut value: Value) -> Object {
    value["metadata"]["name"] = json!(name);
    value["metadata"]["uid"] = json!(name);
    if kind.is_namespaced() {
        value["metadata"]["namespace"] = json!("shop");
    }
    value["metadata"]["annotations"]["kubernetes.io/ingress.class"] = json!("kong");
    Object::from_json(kind, value).unwrap()
}

fn objects(secrets: &Secrets) -> Snapshot {
    let credential = |type_: &str, data: Value| json!({"metadata": {"labels": {"konghq.com/credential": type_}}, "stringData": data});
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
    let session = json!({"plugin": "session", "config": {"secret": secrets.inline}});
    let from = json!({"secretKeyRef": {"name": "settings", "key": "config"}});
    let config = json!({"client_secret": secrets.token, "issuer": "https://issuer.example"});
    let all = [
        object(Kind::Secret, "key", credential("key-auth", json!({"key": secrets.key}))),
        object(
            Kind::Secret,
            "password",
            credential("basic-auth", json!({"username": "alice", "password": secrets.password})),
        ),
        object(
            Kind::Secret,
            "settings",
            json!({"stringData": {"config": config.to_string()}}),
        ),
        object(
            Kind::KongConsumer,
            "alice",
            json!({"username": "alice", "credentials": ["key", "password"]}),
        ),
        object(Kind::KongPlugin, "session", session),
        object(
            Kind::KongPlugin,
            "connect",
            json!({"plugin": "openid-connect", "configFrom": from}),
        ),
        object(
            Kind::KongVault,
            "vault",
            json!({"spec": {"backend": "hcv", "prefix": "hcv-one", "config": {"token": secrets.vault}}}),
        ),
        object(
            Kind::Secret,
            "pair",
            json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": secrets.pair.0, "tls.key": secrets.pair.1}}),
        ),
        object(
            Kind::Secret,
            "broken",
            json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": secrets.pair.0,
                "tls.key": format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", secrets.broken)}}),
        ),
        object(Kind::Service, "web", json!({"spec": {"ports": [{"port": 80}]}})),
        object(
            Kind::Ingress,
            "web",
            json!({"metadata": {"annotations": {"konghq.com/plugins": "session,connect"}},
            "spec": {"rules": [{"http": {"paths": paths}}], "tls": [
                {"hosts": ["shop.example"], "secretName": "pair"},
                {"hosts": ["other.example"], "secretName": "broken"},
            ]}}),
        ),
    ];
    let mut snapshot = Snapshot::default();
    all.into_iter().for_each(|object| snapshot.insert(object));
    snapshot
}

/// An answer that quotes all of them wherever it can.
fn answer(secrets: &Secrets, sent: &Value) -> String {
    let quotes = secrets.sent().map(|secret| {
        json!({"entity_type": "plugin", "entity_name": secret, "entity": sent, "entity_id": secret,
            "entity_tags": ["k8s-name:session", "k8s-namespace:shop", "k8s-kind:KongPlugin",
                "k8s-group:configuration.konghq.com", "k8s-version:v1"],
            "errors": [
                {"type": "field", "field": format!("config.quoted.{secret}"), "message": format!("value '{secret}' refused")},
                {"type": "entity", "messages": [format!("uniqueness violation: 'keyauth_credentials' entity with key set to '{secret}' already declared")]},
            ]})
    });
    let fields: serde_json::Map<String, Value> = secrets
        .sent()
        .iter()
        .map(|secret| ((*secret).to_owned(), json!([format!("{secret}: bad")])))
        .collect();
    let message = secrets.sent().join(", ");
    json!({"message": message, "fields": {"consumers": [fields]}, "flattened_errors": quotes}).to_string()
}

fn profile() -> Profile {
    Profile {
        router_flavor: RouterFlavor::Traditional,
        edition: Some(Edition::OpenSource),
        version: Some((3, 9)),
        plugins: None,
    }
}

fn target() -> ProxyTarget {
    ProxyTarget {
        id: ProxyId("a".into()),
        name: "a".into(),
        namespace: "kong".into(),
        pod: Some(PodRef {
            namespace: "kong".into(),
            name: "a".into(),
            uid: "a".into(),
        }),
        node: None,
        urls: vec!["https://a:8444".into()],
        server_name: None,
        service: Some(NamespacedName::new("kong", "admin")),
        terminating: false,
    }
}

fn observation() -> Observation {
    let report = ProxyReport {
        version: "3.9.1".to_owned(),
        edition: Edition::OpenSource,
        router_flavor: RouterFlavor::Traditional,
        plugins: None,
        database: "off".to_owned(),
        node_id: Some("one".to_owned()),
        restarted: false,
        started_at: None,
        body_limit: None,
        hash: proxy_config_schema::ConfigHash::NONE,
        security: ConnectionSecurity::Mutual,
        certificate: None,
    };
    Observation {
        started: Instant::now(),
        at: Timestamp::now(),
        result: Ok(report),
    }
}

fn status_settings() -> status::Settings {
    status::Settings {
        publish_service: None,
        publish_addresses: vec!["192.0.2.1".to_owned()],
        publish_service_udp: None,
        publish_addresses_udp: Vec::new(),
        controller_name: "konghq.com/kic-gateway-controller".to_owned(),
        facade_class: Some("kong".to_owned()),
        gateway_to_reconcile: None,
        update_status: true,
        emit_events: true,
        qps: 20,
        burst: 100,
        rows: status::Rows::Fleet,
        services: vec![NamespacedName::new("kong", "admin")],
        watched_namespaces: Vec::new(),
        namespace: "silverback".into(),
        lease: NamespacedName::new("silverback", "election"),
        own_pod: None,
    }
}

/// What people are shown after a proxy has refused all of it, and taken what was left.
struct Shown {
    log: String,
    /// All that stands in the cluster.
    written: String,
    metrics: String,
    view: Arc<FleetView>,
    rendition: Arc<Rendition>,
}

/// Runs what a controller runs, but for the objects' way in and the proxy itself.
async fn shown(first: Arc<Rendition>, refused: PushResult, reduced: impl FnOnce(&Refusals) -> Arc<Rendition>) -> Shown {
    let log = Log::default();
    let kept = log.keep();
    let api = FakeApi::new();
    api.put("/api/v1/namespaces/kong/pods/a", json!({"metadata": {"uid": "a"}}));
    let ingress = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/web";
    api.put(ingress, json!({"metadata": {"uid": "web"}}));
    let (events, receiver) = mpsc::channel(64);
    let (reports, reported) = mpsc::channel(64);
    let (commands, mut wanted) = mpsc::channel(64);
    let (view_sender, mut view) = watch::channel(Arc::new(FleetView::default()));
    let renditions = watch::Sender::new(Some(first.clone()));
    let snapshot = watch::Sender::new(first.snapshot.clone());
    let leadership = Leadership::Leader {
        epoch: Epoch {
            lease_uid: "lease".into(),
            transitions: 1,
        },
    };
    let leading = watch::Sender::new(leadership.clone());
    let metrics = Arc::new(Metrics::default());
    let inputs = status::Inputs {
        view: view.clone(),
        rendition: renditions.subscribe(),
        snapshot: snapshot.subscribe(),
        leadership: leading.subscribe(),
        objects_are_ours: None,
        storage: None,
        liveness: watch::channel(Liveness::default()).1,
    };
    let (writer, _reports) = status::writer(api.client(), status_settings(), inputs);
    tokio::spawn(writer);
    tokio::spawn(Fleet::run(FleetSettings::default(), receiver, commands, view_sender));
    tokio::spawn(carry::outcomes(reported, events.clone(), view.clone(), metrics.clone()));
    let (deserted, _) = watch::channel(Arc::default());
    tokio::spawn(news::follow(
        renditions.subscribe(),
        view.clone(),
        (Vec::new(), snapshot.subscribe()),
        deserted,
    ));
    let outcome = |rendition: &Rendition, result| PushOutcome {
        hash: rendition.profiles[&profile()].hash,
        started: Timestamp::now(),
        took: Duration::from_millis(1),
        result,
    };
    let id = target().id;
    for event in [
        FleetEvent::Leadership(leadership),
        FleetEvent::Targets(vec![Arc::new(target())]),
        FleetEvent::Rendition(first.clone()),
    ] {
        events.send(event).await.unwrap();
    }
    metrics.rendered(&first);
    reports
        .send(FleetEvent::Observed(id.clone(), observation()))
        .await
        .unwrap();
    while !matches!(wanted.recv().await, Some(Command::Push { .. })) {}
    let refused = FleetEvent::Pushed(id.clone(), outcome(&first, refused));
    reports.send(refused).await.unwrap();
    let hash = first.profiles[&profile()].hash;
    let is_refused = |view: &Arc<FleetView>| view.refusals.values().any(|refusals| refusals.contain(hash));
    let known = view.wait_for(is_refused).await.unwrap().clone();
    // Long enough for it to be told.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let rendition = reduced(known.refusals.values().next().unwrap());
    renditions.send_replace(Some(rendition.clone()));
    metrics.rendered(&rendition);
    events.send(FleetEvent::Rendition(rendition.clone())).await.unwrap();
    while !matches!(wanted.recv().await, Some(Command::Push { .. })) {}
    let accepted = FleetEvent::Pushed(id, outcome(&rendition, PushResult::Accepted));
    reports.send(accepted).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(kept);
    let view = view.borrow().clone();
    Shown {
        log: log.take(),
        written: api.dump(),
        metrics: metrics.encode(&view),
        view,
        rendition,
    }
}

/// All that the dashboard has to tell.
async fn dashboard(shown: &Shown, told: String) -> String {
    // An error means that another test was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let view = watch::Sender::new(shown.view.clone());
    let rendition = watch::Sender::new(Some(shown.rendition.clone()));
    let snapshot = watch::Sender::new(shown.rendition.snapshot.clone());
    let leadership = watch::Sender::new(Leadership::Unknown);
    let liveness = watch::Sender::new(Liveness {
        considered: Some(shown.rendition.snapshot.clone()),
        rendition: Some(shown.rendition.clone()),
        ..Liveness::default()
    });
    let deserted = watch::Sender::new(Arc::default());
    let sources = Sources {
        deserted: deserted.subscribe(),
        view: view.subscribe(),
        rendition: rendition.subscribe(),
        snapshot: snapshot.subscribe(),
        leadership: leadership.subscribe(),
        liveness: liveness.subscribe(),
        read_configuration: Arc::new(move |_| {
            let told = told.clone().into_bytes();
            async { Ok(told) }.boxed()
        }),
        metrics: Arc::new(String::new),
        metrics_access: None,
    };
    let settings = ServeSettings {
        dashboard: Some(SocketAddr::from(([127, 0, 0, 1], 0)).into()),
        ..ServeSettings::default()
    };
    let shutdown = CancellationToken::new();
    let served = serve::start(&settings, sources, &shutdown).unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut all = String::new();
    for path in [
        "proxies",
        "problems",
        "configuration?full=true",
        "proxies/a/configuration",
        "events",
    ] {
        let url = format!("http://{}/api/v1/{path}", served.dashboard.unwrap());
        let mut answer = client.get(&url).send().await.unwrap();
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
        if path == "events" {
            // It goes on; the first one is all that there is to tell.
            all += &String::from_utf8_lossy(&answer.chunk().await.unwrap().unwrap());
        } else {
            all += &answer.text().await.unwrap();
        }
    }
    shutdown.cancel();
    all
}

fn given<'a>(snapshot: &'a Arc<Snapshot>, settings: &'a Settings, refusals: &'a Refusals) -> Given<'a> {
    Given {
        snapshot,
        settings,
        refusals,
        last_good: None,
        keep: false,
        held: false,
    }
}

fn rendition(snapshot: &Arc<Snapshot>, product: render::Product) -> Arc<Rendition> {
    Arc::new(Rendition {
        generation: snapshot.generation,
        snapshot: snapshot.clone(),
        profiles: [(profile(), product.rendered)].into(),
        fallbacks: product
            .fallback
            .into_iter()
            .map(|fallback| (profile(), fallback))
            .collect(),
        problems: product.problems.into(),
        objects: product.objects,
        gateways: product.gateways,
        hold: None,
        created: Timestamp::now(),
        took: Duration::ZERO,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_is_shown_anywhere(secrets in secrets()) {
        let snapshot = Arc::new(objects(&secrets));
        let settings = Settings { profile: Profile { edition: None, ..profile() }, ..Settings::default() };
        let mut lane = Lane::default();
        let first = rendition(&snapshot, lane.render(given(&snapshot, &settings, &Refusals::default())));
        let rendered = first.profiles[&profile()].clone();
        let sent: Value = serde_json::from_slice(&rendered.bytes).unwrap();
        for secret in secrets.sent() {
            prop_assert!(holds(&sent, secret), "{secret} is in what is sent");
        }
        let rejected = push::refusal(answer(&secrets, &sent).as_bytes(), &rendered).unwrap();
        let told = json!({"config": serde_saphyr::to_string(&sent).unwrap()}).to_string();

        let paused = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let reduced = |refusals: &Refusals| rendition(&snapshot, lane.render(given(&snapshot, &settings, refusals)));
        let shown = paused.block_on(shown(first, rejected.clone(), reduced));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dashboard = runtime.block_on(dashboard(&shown, told));

        // It is told: on the proxy and on the objects, in the log and on the dashboard.
        let proxy = &shown.view.proxies[0];
        prop_assert!(!proxy.errors.is_empty());
        for (place, text) in [("status", &shown.written), ("log", &shown.log), ("dashboard", &dashboard)] {
            prop_assert!(text.contains("ConfigRejected"), "the {place} says nothing: {text}");
            prop_assert!(text.contains("refused"), "the {place} does not quote the proxy: {text}");
        }
        prop_assert!(shown.written.contains("KongConfigurationApplyFailed"), "no event: {}", shown.written);

        let rest = &shown.rendition.profiles[&profile()];
        let everything = [
            ("a debug form", format!("{rejected:?} {rendered:?} {:?} {:?}", shown.view, shown.rendition.fallbacks)),
            ("the log", shown.log),
            ("a status or an event", shown.written),
            ("a metric", shown.metrics),
            ("the dashboard", dashboard),
            ("a dump", render::redacted(&rendered).to_string()),
            ("a dump of the rest", render::redacted(rest).to_string()),
        ];
        let telling: Vec<String> = secrets.all().flat_map(telling).collect();
        for (place, text) in everything {
            // What stands for a secret holds pieces of words, which may be secrets as well.
            let text = text.replace(proxy_config_schema::REDACTED, "\u{e000}");
            for secret in &telling {
                prop_assert!(!text.contains(secret), "{secret} is shown in {place}: {text}");
            }
        }
    }
}
