//! Whatever a proxy quotes, no secret of a configuration is shown: in a status, an event, a log, on the dashboard, in a dump.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::parse;
use crate::{
    fleet::{
        Command, ConnectionSecurity, Fleet, FleetEvent, FleetView, Observation, ProxyReport, PushOutcome, PushResult,
        Settings as FleetSettings,
    },
    model::{Edition, Epoch, Kind, Leadership, Object, Profile, ProxyId, ProxyTarget, RouterFlavor, Snapshot},
    render::{self, Given, Lane, Rendered, Rendition},
    translate::{Settings, fallback::Refusals},
};

/// What must be seen nowhere.
#[derive(Debug, Clone)]
struct Secrets {
    key: String,
    password: String,
    token: String,
    inline: String,
    vault: String,
}

impl Secrets {
    fn all(&self) -> [&String; 5] {
        [&self.key, &self.password, &self.token, &self.inline, &self.vault]
    }
}

fn secrets() -> impl Strategy<Value = Secrets> {
    let secret = || "[a-zA-Z0-9+/=_.~-]{10,40}[a-zA-Z0-9]";
    let all = (secret(), secret(), secret(), secret(), secret());
    let distinct = all.prop_map(|(key, password, token, inline, vault)| Secrets {
        key: format!("k{key}1"),
        password: format!("p{password}2"),
        token: format!("t{token}3"),
        inline: format!("i{inline}4"),
        vault: format!("v{vault}5"),
    });
    distinct.boxed()
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
        object(Kind::Service, "web", json!({"spec": {"ports": [{"port": 80}]}})),
        object(
            Kind::Ingress,
            "web",
            json!({"metadata": {"annotations": {"konghq.com/plugins": "session,connect"}},
                "spec": {"rules": [{"http": {"paths": paths}}]}}),
        ),
    ];
    let mut snapshot = Snapshot::default();
    all.into_iter().for_each(|object| snapshot.insert(object));
    snapshot
}

/// An answer that quotes all of them wherever it can.
fn answer(secrets: &Secrets, sent: &Value) -> String {
    let quotes = secrets.all().map(|secret| {
        json!({"entity_type": "plugin", "entity_name": secret, "entity": sent, "entity_id": secret,
            "entity_tags": ["k8s-name:session", "k8s-namespace:shop", "k8s-kind:KongPlugin",
                "k8s-group:configuration.konghq.com", "k8s-version:v1"],
            "errors": [
                {"type": "field", "field": format!("config.{secret}"), "message": format!("value '{secret}' refused")},
                {"type": "entity", "messages": [format!("uniqueness violation: 'keyauth_credentials' entity with key set to '{secret}' already declared")]},
            ]})
    });
    let fields: serde_json::Map<String, Value> = secrets
        .all()
        .iter()
        .map(|secret| ((*secret).clone(), json!([format!("{secret}: bad")])))
        .collect();
    let message = secrets.all().map(String::as_str).join(", ");
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

/// What the fleet shows after a proxy has refused that.
async fn shown(rendition: &Arc<Rendition>, rendered: &Rendered, result: PushResult) -> Arc<FleetView> {
    let (events, receiver) = mpsc::channel(16);
    let (commands, mut wanted) = mpsc::channel(16);
    let (sender, mut view) = watch::channel(Arc::new(FleetView::default()));
    let fleet = tokio::spawn(Fleet::run(FleetSettings::default(), receiver, commands, sender));
    let id = ProxyId("a".into());
    let target = ProxyTarget {
        id: id.clone(),
        name: "a".into(),
        namespace: "kong".into(),
        pod: None,
        node: None,
        urls: vec!["https://a:8444".into()],
        server_name: None,
        service: None,
        terminating: false,
    };
    let epoch = Epoch {
        lease_uid: "lease".into(),
        transitions: 1,
    };
    let report = ProxyReport {
        version: "3.9.1".to_owned(),
        edition: Edition::OpenSource,
        router_flavor: RouterFlavor::Traditional,
        plugins: None,
        database: "off".to_owned(),
        node_id: Some("one".to_owned()),
        started_at: None,
        body_limit: None,
        hash: proxy_config_schema::ConfigHash::NONE,
        security: ConnectionSecurity::Mutual,
        certificate: None,
    };
    let observed = Observation {
        started: Instant::now(),
        at: Timestamp::now(),
        result: Ok(report),
    };
    for event in [
        FleetEvent::Leadership(Leadership::Leader { epoch }),
        FleetEvent::Targets(vec![Arc::new(target)]),
        FleetEvent::Rendition(rendition.clone()),
        FleetEvent::Observed(id.clone(), observed),
    ] {
        events.send(event).await.unwrap();
    }
    while !matches!(wanted.recv().await, Some(Command::Push { .. })) {}
    let outcome = PushOutcome {
        hash: rendered.hash,
        started: Timestamp::now(),
        took: std::time::Duration::from_millis(1),
        result,
    };
    events.send(FleetEvent::Pushed(id, outcome)).await.unwrap();
    let refused = |view: &Arc<FleetView>| view.refusals.values().any(|refusals| refusals.contain(rendered.hash));
    let view = view.wait_for(refused).await.unwrap().clone();
    drop(events);
    drop(wanted);
    fleet.await.unwrap();
    view
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_is_shown_anywhere(secrets in secrets()) {
        let snapshot = Arc::new(objects(&secrets));
        let settings = Settings { profile: Profile { edition: None, ..profile() }, ..Settings::default() };
        let mut lane = Lane::default();
        let given = |refusals| Given {
            snapshot: &snapshot,
            settings: &settings,
            refusals,
            last_good: None,
            keep: false,
            held: false,
        };
        let nothing = Refusals::default();
        let product = lane.render(given(&nothing));
        let rendered = product.rendered.clone();
        let sent: Value = serde_json::from_slice(&rendered.bytes).unwrap();
        for secret in secrets.all() {
            prop_assert!(sent.to_string().contains(secret), "{secret} is in what is sent");
        }
        let rejection = parse(answer(&secrets, &sent).as_bytes(), &rendered).unwrap();
        let rejected = rejection.into_result();
        let rendition = Arc::new(Rendition {
            generation: snapshot.generation,
            snapshot: snapshot.clone(),
            profiles: [(profile(), rendered.clone())].into(),
            fallbacks: Default::default(),
            problems: product.problems.into(),
            objects: product.objects,
            gateways: product.gateways,
            hold: None,
            created: Timestamp::now(),
            took: Default::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let view = runtime.block_on(shown(&rendition, &rendered, rejected.clone()));
        // What comes of it: the object is left out, and its owner reads why.
        let refusals = view.refusals.values().next().unwrap();
        let reduced = lane.render(given(refusals));
        let problems: Vec<String> = reduced.problems.iter().map(ToString::to_string).collect();
        prop_assert!(problems.iter().any(|problem| problem.contains("ConfigRejected")), "{problems:?}");
        let proxy = &view.proxies[0];
        prop_assert!(!proxy.errors.is_empty());
        let everything = [
            ("the log", format!("{rejected:?} {rendered:?} {view:?} {:?}", reduced.fallback)),
            ("a condition", proxy.synced.message.clone()),
            ("an error in a status", format!("{:?}", proxy.errors)),
            ("problems", problems.join("\n")),
            ("a dump", render::redacted(&rendered).to_string()),
            ("a dump of the rest", render::redacted(&reduced.rendered).to_string()),
        ];
        for (place, text) in everything {
            for secret in secrets.all() {
                prop_assert!(!text.contains(secret), "{secret} is shown in {place}: {text}");
            }
        }
    }
}
