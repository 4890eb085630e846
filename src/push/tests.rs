//! Pushes to a fake proxy over real TLS, and every answer that a real Kong was seen to give.

#![allow(clippy::unwrap_used)]

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use super::{Pusher, Settings};
use crate::{
    fleet::{Command, FleetEvent, PushOutcome, PushResult, TransportFault, TransportFaultKind},
    kept_log::Log,
    model::{Epoch, ProxyId, ProxyTarget},
    pki::client::{
        AdminTls,
        fake_proxy::{FakeProxy, Pki, Reply, SERVER_NAME},
    },
    render::Rendered,
};

const LIMIT: Duration = Duration::from_secs(20);

struct Pushing {
    pusher: Pusher,
    events: mpsc::Receiver<FleetEvent>,
    tls: watch::Sender<Arc<AdminTls>>,
    stop: CancellationToken,
    /// What the API server says of whether this replica leads.
    leads: Arc<Mutex<Option<bool>>>,
}

impl Pushing {
    fn start(target: Arc<ProxyTarget>, tls: Arc<AdminTls>) -> Self {
        Self::keeping(Duration::ZERO, target, tls)
    }

    fn keeping(keep: Duration, target: Arc<ProxyTarget>, tls: Arc<AdminTls>) -> Self {
        let (tls, receiver) = watch::channel(tls);
        let (sender, events) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let leads = Arc::new(Mutex::new(Some(true)));
        let still_leads = {
            let leads = leads.clone();
            Arc::new(move |_| std::future::ready(*leads.lock().unwrap()).boxed())
        };
        let settings = Settings {
            timeout: Duration::from_millis(800),
            connect_timeout: Duration::from_millis(400),
            keep,
            stop: stop.clone(),
            still_leads,
        };
        let mut pusher = Pusher::new(settings, receiver, sender);
        pusher.handle(&Command::Attach(target));
        Self {
            pusher,
            events,
            tls,
            stop,
            leads,
        }
    }

    fn begin(&mut self, rendered: &Arc<Rendered>) {
        self.pusher.handle(&Command::Push {
            proxy: ProxyId("uid-1".into()),
            rendered: rendered.clone(),
            epoch: Epoch {
                lease_uid: "lease".into(),
                transitions: 7,
            },
        });
    }

    async fn end(&mut self) -> PushOutcome {
        match tokio::time::timeout(LIMIT, self.events.recv())
            .await
            .expect("an outcome in time")
        {
            Some(FleetEvent::Pushed(_, outcome)) => outcome,
            other => panic!("{other:?}"),
        }
    }

    async fn push(&mut self, rendered: &Arc<Rendered>) -> PushResult {
        self.begin(rendered);
        self.end().await.result
    }
}

fn rendered(text: &str) -> Arc<Rendered> {
    let bytes = Bytes::from(text.to_owned());
    Arc::new(Rendered {
        hash: ConfigHash::of(&bytes),
        bytes,
        confidential: Arc::default(),
    })
}

fn document() -> Arc<Rendered> {
    rendered(r#"{"_format_version":"3.0","upstreams":[{"name":"stub"}]}"#)
}

async fn answered(pki: &Pki, reply: Reply) -> PushResult {
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), move |_| reply.clone()).await;
    Pushing::start(proxy.target(), pki.admin_tls()).push(&document()).await
}

/// An answer of Kong 3.9.3, as it was captured.
fn transcript(name: &str) -> Value {
    let text =
        std::fs::read_to_string(format!("{}/src/push/testdata/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Its headers, in order.
fn headers(transcript: &Value) -> Vec<(String, String)> {
    let pairs = transcript["headers"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

/// An answer of Kong 3.9.3, to be given, and what it answered.
fn recorded(name: &str) -> (Reply, Arc<Rendered>) {
    let transcript = transcript(name);
    let content_type = transcript["content_type"].as_str().unwrap().to_owned();
    let retry = self::headers(&transcript)
        .into_iter()
        .filter(|(name, _)| name == "Retry-After");
    let mut headers = vec![("Content-Type".to_owned(), content_type)];
    headers.extend(retry);
    let reply = Reply::Answer(
        u16::try_from(transcript["status"].as_u64().unwrap()).unwrap(),
        headers,
        transcript["answer"].as_str().unwrap().as_bytes().to_vec(),
    );
    let sent = match &transcript["sent"] {
        Value::Null => document(),
        sent => rendered(&sent.to_string()),
    };
    (reply, sent)
}

#[tokio::test]
async fn sends_what_kong_hashes_as_it_stands() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), |_| {
        Reply::json(201, r#"{"services":[],"key":"private"}"#)
    })
    .await;
    let mut pushing = Pushing::start(proxy.target(), pki.admin_tls());
    let configuration = document();
    pushing.begin(&configuration);
    let outcome = pushing.end().await;
    assert!(matches!(outcome.result, PushResult::Accepted), "{:?}", outcome.result);
    assert_eq!(outcome.hash, configuration.hash);
    let request = &proxy.requests()[0];
    assert_eq!(request.line, "POST /config?check_hash=1&flatten_errors=1");
    assert_eq!(request.header("content-type"), Some("application/yaml"));
    assert_eq!(request.header("silverback-epoch"), Some("lease:7"));
    assert_eq!(request.body, configuration.bytes);
    assert_eq!(ConfigHash::of(&request.body), configuration.hash);
}

#[tokio::test]
async fn tells_answers_apart() {
    let pki = Pki::new();
    let result = answered(&pki, Reply::Answer(304, Vec::new(), Vec::new())).await;
    assert!(matches!(result, PushResult::Unchanged), "{result:?}");
    let (busy, _) = recorded("concurrent-429");
    let PushResult::Busy { retry_after } = answered(&pki, busy).await else {
        panic!("429")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(10)));
    let result = answered(&pki, Reply::json(503, "{}")).await;
    assert!(matches!(result, PushResult::Busy { retry_after: None }), "{result:?}");
    // Of something between: the proxy may go on loading, and a second push would overlap with that.
    for status in [502, 504] {
        let result = answered(&pki, Reply::Answer(status, Vec::new(), b"<html>".to_vec())).await;
        let PushResult::Unknown(fault) = &result else {
            panic!("{status}: {result:?}")
        };
        assert!(fault.message.contains(&status.to_string()), "{}", fault.message);
    }
    let result = answered(&pki, Reply::json(409, r#"{"message":"the epoch is over"}"#)).await;
    assert!(matches!(result, PushResult::Fenced), "{result:?}");
}

/// As the embedded proxy does it.
#[tokio::test]
async fn a_proxy_that_has_seen_another_leader_is_sent_it_again_only_by_who_leads() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), |request| {
        if request.header("silverback-supersedes") == Some("former:9") {
            return Reply::json(201, "{}");
        }
        let seen = ("Silverback-Epoch".to_owned(), "former:9".to_owned());
        Reply::Answer(409, vec![seen], br#"{"message":"the epoch is over"}"#.to_vec())
    })
    .await;
    let mut pushing = Pushing::start(proxy.target(), pki.admin_tls());
    *pushing.leads.lock().unwrap() = Some(false);
    let result = pushing.push(&document()).await;
    assert!(matches!(result, PushResult::Fenced), "{result:?}");
    assert_eq!(proxy.requests().len(), 1);
    *pushing.leads.lock().unwrap() = None;
    let result = pushing.push(&document()).await;
    assert!(matches!(result, PushResult::Unconfirmed), "{result:?}");
    assert_eq!(proxy.requests().len(), 2);
    *pushing.leads.lock().unwrap() = Some(true);
    let result = pushing.push(&document()).await;
    assert!(matches!(result, PushResult::Accepted), "{result:?}");
    let requests = proxy.requests();
    assert_eq!(requests.len(), 4);
    assert!(
        requests
            .iter()
            .all(|request| request.header("silverback-epoch") == Some("lease:7"))
    );
}

#[tokio::test]
async fn refusals_name_the_entity_or_what_to_raise() {
    let pki = Pki::new();
    let cases = [
        (
            "invalid-foreign-missing-consumer-in-plugin",
            "An unexpected error occurred",
        ),
        ("post-too-large-11MiB", "nginx_admin_client_max_body_size"),
        ("post-lmdb-full", "lmdb_map_size"),
    ];
    for (name, expected) in cases {
        let (reply, _) = recorded(name);
        let result = answered(&pki, reply).await;
        let PushResult::Rejected { message, .. } = result else {
            panic!("{name}: {result:?}")
        };
        assert!(message.contains(expected), "{name}: {message}");
    }
    let flattened = r#"{"code":14,"name":"invalid declarative configuration","message":"declarative config is invalid: {}",
        "fields":{},"flattened_errors":[{"entity_type":"route","entity_name":"r1","entity_tags":["k8s-name:r1"],
        "entity":{"name":"r1"},"errors":[{"type":"field","field":"paths.1","message":"invalid regex"}]}]}"#;
    let result = answered(&pki, Reply::json(400, flattened)).await;
    let PushResult::Rejected {
        message,
        entities,
        count,
    } = result
    else {
        panic!("{result:?}")
    };
    assert_eq!(message, r#"route "r1" paths.1: invalid regex"#);
    assert_eq!((entities.len(), count), (1, 1));
    assert_eq!(entities[0].entity_tags, ["k8s-name:r1"]);

    for (said, expected) in [
        ("", "the proxy refused the configuration without saying why"),
        ("declarative config is invalid: {}", "declarative config is invalid: {}"),
    ] {
        let answer = format!(r#"{{"code":14,"message":"{said}","fields":{{}},"flattened_errors":[]}}"#);
        let result = answered(&pki, Reply::json(400, &answer)).await;
        let PushResult::Rejected { message, .. } = result else {
            panic!("{said}: {result:?}")
        };
        assert_eq!(
            message,
            format!("{expected}; the proxy names no entity, and its own log says more")
        );
    }
}

#[tokio::test]
async fn asks_again_without_flattening_when_nobody_is_named() {
    let pki = Pki::new();
    let (flattened, _) = recorded("invalid-foreign-missing-service-by-name");
    let (plain, _) = recorded("invalid-foreign-missing-service-by-name-unflattened");
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), move |request| {
        if request.line.ends_with("flatten_errors=1") {
            flattened.clone()
        } else {
            plain.clone()
        }
    })
    .await;
    let sent = rendered(
        r#"{"_format_version":"3.0","routes":[{"name":"r1","paths":["/"],"tags":["k8s-name:r1","k8s-kind:HTTPRoute"]}]}"#,
    );
    let result = Pushing::start(proxy.target(), pki.admin_tls()).push(&sent).await;
    let PushResult::Rejected { message, entities, .. } = result else {
        panic!("{result:?}")
    };
    assert!(message.contains("no such entry in 'services'"), "{message}");
    assert_eq!(entities[0].entity_tags, ["k8s-name:r1", "k8s-kind:HTTPRoute"]);
    assert_eq!(proxy.requests().len(), 2);
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_unknown() {
    let pki = Pki::new();
    for (reply, kind) in [
        (Reply::Hang, TransportFaultKind::Timeout),
        (Reply::Close, TransportFaultKind::ConnectionFailed),
        (Reply::CloseWithinBody, TransportFaultKind::ConnectionFailed),
        (
            Reply::Raw(b"nonsense\r\n\r\n".to_vec()),
            TransportFaultKind::UnexpectedAnswer,
        ),
        (
            Reply::html(200, "<html>welcome</html>"),
            TransportFaultKind::UnexpectedAnswer,
        ),
    ] {
        let description = format!("{reply:?}");
        let result = answered(&pki, reply).await;
        let PushResult::Unknown(fault) = result else {
            panic!("{description}: {result:?}")
        };
        assert_eq!(fault.kind, kind, "{description}: {}", fault.message);
    }
}

/// What the system still held of it could be delivered, and loaded, at any time.
#[tokio::test]
async fn nothing_more_is_sent_of_a_push_that_was_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = ProxyTarget::clone(&*FakeProxy::start(None, |_| Reply::Hang).await.target());
    target.urls = vec![format!("http://{}", listener.local_addr().unwrap()).into()];
    let mut pushing = Pushing::start(target.into(), Pki::new().admin_tls());
    let configuration = rendered(&"x".repeat(64 << 20));
    pushing.begin(&configuration);
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_exact(&mut [0; 1000]).await.unwrap();
    let result = pushing.end().await.result;
    assert!(matches!(result, PushResult::Unknown(_)), "{result:?}");
    let mut rest = Vec::new();
    let error = stream
        .read_to_end(&mut rest)
        .await
        .expect_err("the end is no orderly one");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(rest.len() < configuration.bytes.len());
}

#[tokio::test]
async fn what_did_not_reach_kong_was_not_sent() {
    let pki = Pki::new();
    let not_sent = |result: PushResult| -> TransportFault {
        match result {
            PushResult::NotSent(fault) => fault,
            other => panic!("{other:?}"),
        }
    };
    for (name, kind) in [
        ("mtls-no-client-cert", TransportFaultKind::ClientCertificateRefused),
        ("mtls-rogue-client-cert", TransportFaultKind::ClientCertificateRefused),
    ] {
        let (reply, _) = recorded(name);
        assert_eq!(not_sent(answered(&pki, reply).await).kind, kind, "{name}");
    }
    for status in [401, 404, 405, 415] {
        let fault = not_sent(answered(&pki, Reply::json(status, "{}")).await);
        assert_eq!(fault.kind, TransportFaultKind::UnexpectedAnswer);
        assert!(fault.message.contains(&status.to_string()), "{}", fault.message);
    }
    // An echo of the configuration is not quoted.
    let fault = not_sent(answered(&pki, Reply::html(400, "top-secret echo")).await);
    assert!(!fault.message.contains("top-secret"), "{}", fault.message);
    // What to look at is said.
    for (status, said) in [
        (
            400,
            "answered 400, not as Kong does: 15 bytes of something else; is this the address of the Admin API",
        ),
        (
            500,
            "answered 500: 15 bytes of something else; is this the address of the Admin API",
        ),
    ] {
        let fault = not_sent(answered(&pki, Reply::html(status, "top-secret echo")).await);
        assert!(fault.message.contains(said), "{}", fault.message);
    }

    let gone = FakeProxy::start(Some(pki.open_server()), |_| Reply::Hang)
        .await
        .target();
    let fault = not_sent(Pushing::start(gone, pki.admin_tls()).push(&document()).await);
    assert_eq!(fault.kind, TransportFaultKind::ConnectionRefused);

    let foreign = Pki::new();
    let stranger = FakeProxy::start(Some(foreign.open_server()), |_| Reply::json(201, "{}")).await;
    let fault = not_sent(
        Pushing::start(stranger.target(), pki.admin_tls())
            .push(&document())
            .await,
    );
    assert_eq!(fault.kind, TransportFaultKind::CertificateUntrusted);
    assert!(stranger.requests().is_empty(), "a stranger gets nothing");
}

#[tokio::test]
async fn certificates_that_change_are_used_by_the_next_push() {
    let pki = Pki::new();
    let next = Pki::new();
    let accept = |_: &_| Reply::json(201, "{}");
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), accept).await;
    let mut pushing = Pushing::start(proxy.target(), pki.admin_tls());
    assert!(matches!(pushing.push(&document()).await, PushResult::Accepted));
    proxy.show(next.server(SERVER_NAME, Timestamp::now()));
    let PushResult::NotSent(fault) = pushing.push(&document()).await else {
        panic!("it is a stranger now")
    };
    assert_eq!(fault.kind, TransportFaultKind::CertificateUntrusted);
    pushing.tls.send_replace(next.admin_tls());
    assert!(matches!(pushing.push(&document()).await, PushResult::Accepted));
    assert_eq!(proxy.connections(), 3, "each push verifies anew");
}

#[tokio::test]
async fn pushes_that_follow_each_other_go_over_one_connection_which_is_closed_after_a_while() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), |_| {
        Reply::json(201, "{}")
    })
    .await;
    let mut pushing = Pushing::keeping(LIMIT, proxy.target(), pki.admin_tls());
    for _ in 0..3 {
        assert!(matches!(pushing.push(&document()).await, PushResult::Accepted));
    }
    assert_eq!(proxy.connections(), 1);
    // Certificates that change end it.
    pushing.tls.send_replace(pki.admin_tls());
    assert!(matches!(pushing.push(&document()).await, PushResult::Accepted));
    assert_eq!(proxy.connections(), 2);

    let mut pushing = Pushing::keeping(Duration::from_millis(50), proxy.target(), pki.admin_tls());
    assert!(matches!(pushing.push(&document()).await, PushResult::Accepted));
    tokio::time::timeout(LIMIT, async {
        while proxy.open_connections() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it is closed");
    assert!(matches!(pushing.push(&document()).await, PushResult::Accepted));
}

#[tokio::test]
async fn a_kept_connection_that_the_proxy_has_closed_costs_no_push() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), |_| {
        Reply::AnswerAndClose(201, b"{}".to_vec())
    })
    .await;
    let mut pushing = Pushing::keeping(LIMIT, proxy.target(), pki.admin_tls());
    for _ in 0..20 {
        let result = pushing.push(&document()).await;
        assert!(matches!(result, PushResult::Accepted), "{result:?}");
        tokio::time::timeout(LIMIT, async {
            while proxy.open_connections() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect("it closes");
    }
    assert_eq!(proxy.connections(), 20);
}

#[tokio::test]
async fn every_push_has_one_outcome_whatever_becomes_of_the_proxy() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), |_| Reply::Hang).await;
    let mut pushing = Pushing::start(proxy.target(), pki.admin_tls());
    pushing.begin(&document());
    pushing.pusher.handle(&Command::Detach(ProxyId("uid-1".into())));
    assert!(
        matches!(pushing.end().await.result, PushResult::Unknown(_)),
        "it goes on though the proxy has gone"
    );
    assert!(
        matches!(pushing.push(&document()).await, PushResult::NotSent(_)),
        "to nobody"
    );
}

#[tokio::test]
async fn a_push_that_hangs_is_broken_off_when_the_controller_stops() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), |_| Reply::Hang).await;
    let mut pushing = Pushing::start(proxy.target(), pki.admin_tls());
    pushing.begin(&document());
    tokio::time::timeout(LIMIT, async {
        while proxy.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it is sent");
    let stopped = std::time::Instant::now();
    pushing.stop.cancel();
    let PushResult::Unknown(fault) = pushing.end().await.result else {
        panic!("it was sent, and may be loaded")
    };
    assert!(fault.message.contains("stops"), "{}", fault.message);
    assert!(
        stopped.elapsed() < Duration::from_millis(500),
        "{:?}",
        stopped.elapsed()
    );
}

#[tokio::test]
async fn the_second_address_is_tried_when_there_is_no_connection() {
    let pki = Pki::new();
    let server = pki.server(SERVER_NAME, Timestamp::now());
    let dead = FakeProxy::start(Some(server.clone()), |_| Reply::Hang).await.url();
    let proxy = FakeProxy::start(Some(server), |_| Reply::json(201, "{}")).await;
    let mut target = ProxyTarget::clone(&proxy.target());
    target.urls.insert(0, dead);
    let result = Pushing::start(Arc::new(target), pki.admin_tls())
        .push(&document())
        .await;
    assert!(matches!(result, PushResult::Accepted), "{result:?}");
}

/// 201 answers with all of the configuration and its defaults, keys and all: more than twice what was sent. What came of the
/// push is known with its first line.
#[tokio::test]
async fn an_answer_of_more_than_was_sent_is_not_read() {
    let pki = Pki::new();
    let log = Log::default();
    let _kept = log.keep();
    let (whole, sent) = recorded("invalid-sni-toplevel-object-ref-with-basicauth");
    let Reply::Answer(201, _, secrets) = &whole else {
        panic!("{whole:?}")
    };
    // The rest of a megabyte never comes: to wait for it would be to give the push up.
    let large = transcript("concurrent-201");
    let beginning = [large["answer"].as_str().unwrap().as_bytes(), secrets].concat();
    let unending = Reply::Beginning(201, headers(&large), beginning);
    for (reply, sent) in [(whole, sent), (unending, document())] {
        let server = pki.server(SERVER_NAME, Timestamp::now());
        let proxy = FakeProxy::start(Some(server), move |_| reply.clone()).await;
        let mut pushing = Pushing::start(proxy.target(), pki.admin_tls());
        pushing.begin(&sent);
        let outcome = pushing.end().await;
        assert!(matches!(outcome.result, PushResult::Accepted), "{:?}", outcome.result);
        let told = format!("{outcome:?}{}", log.take());
        for secret in [
            "PRIVATE KEY",
            r#""password":"pw""#,
            "53e29f71-dcfb-51ad-bb4d-c0c1d74131eb",
        ] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}

#[tokio::test]
async fn megabytes_go_through() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), |_| {
        Reply::json(201, "{}")
    })
    .await;
    let large = rendered(&format!(
        r#"{{"_format_version":"3.0","_comment":"{}"}}"#,
        "x".repeat(4 * 1024 * 1024)
    ));
    let mut pushing = Pushing::start(proxy.target(), pki.admin_tls());
    // A slow machine may need longer than the short limit of these tests.
    let mut result = pushing.push(&large).await;
    for _ in 0..5 {
        if matches!(result, PushResult::Accepted) {
            break;
        }
        result = pushing.push(&large).await;
    }
    assert!(matches!(result, PushResult::Accepted), "{result:?}");
    assert_eq!(proxy.requests().last().unwrap().body.len(), large.bytes.len());
}
