//! Probes of a fake proxy over real TLS.

#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use proxy_config_schema::ConfigHash;
use tokio::sync::{mpsc, watch};

use super::{Prober, Settings};
use crate::{
    fleet::{Command, ConnectionSecurity, FleetEvent, Observation, ProxyReport, TransportFault, TransportFaultKind},
    model::{ProxyId, ProxyTarget},
    pki::client::{
        AdminTls, AdminTlsMaterial, Pins,
        fake_proxy::{FakeProxy, Pki, Reply, Request, SERVER_NAME},
    },
};

const ROOT: &str = include_str!("testdata/kong-3.9.3-root.json");
const STATUS: &str = include_str!("testdata/kong-3.9.3-status.json");
const UNCONFIGURED: &str = include_str!("testdata/kong-3.9.3-status-unconfigured.json");
const LIMIT: Duration = Duration::from_secs(20);

fn kong(request: &Request) -> Reply {
    match request.line.as_str() {
        "GET /" => Reply::json(200, ROOT),
        "GET /status" => Reply::json(200, STATUS),
        _ => Reply::json(404, r#"{"message":"Not found"}"#),
    }
}

struct Probing {
    prober: Prober,
    events: mpsc::Receiver<FleetEvent>,
    tls: watch::Sender<Arc<AdminTls>>,
}

impl Probing {
    fn start(target: Arc<ProxyTarget>, tls: Arc<AdminTls>) -> Self {
        let settings = Settings {
            // Only what a test asks for.
            interval: Duration::from_secs(3600),
            timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_millis(400),
        };
        Self::with(settings, target, tls)
    }

    fn with(settings: Settings, target: Arc<ProxyTarget>, tls: Arc<AdminTls>) -> Self {
        let (tls, receiver) = watch::channel(tls);
        let (sender, events) = mpsc::channel(16);
        let mut prober = Prober::new(settings, receiver, sender);
        prober.handle(&Command::Attach(target));
        Self { prober, events, tls }
    }

    async fn next(&mut self) -> Observation {
        match tokio::time::timeout(LIMIT, self.events.recv())
            .await
            .expect("an answer in time")
        {
            Some(FleetEvent::Observed(_, observation)) => observation,
            other => panic!("{other:?}"),
        }
    }

    async fn again(&mut self) -> Observation {
        self.prober.handle(&Command::Probe(ProxyId("uid-1".into())));
        self.next().await
    }
}

fn report(observation: Observation) -> ProxyReport {
    observation.result.unwrap()
}

fn fault(observation: Observation) -> TransportFault {
    observation.result.unwrap_err().fault
}

#[tokio::test]
async fn tells_what_a_proxy_is_and_runs_over_mutual_tls() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), kong).await;
    let mut probing = Probing::start(proxy.target(), pki.admin_tls());
    let first = report(probing.next().await);
    assert_eq!(first.version, "3.9.3");
    assert_eq!(first.hash, "8ed3c281818a434b0846860bb8ad87c4".parse().unwrap());
    assert_eq!(first.security, ConnectionSecurity::Mutual);
    let certificate = first.certificate.unwrap();
    assert_eq!(
        (certificate.server_name.as_str(), certificate.issuer.as_str()),
        (SERVER_NAME, "CN=proxies")
    );
    assert_eq!(certificate.fingerprint.len(), 64);
    assert!(certificate.not_after > Timestamp::now());

    let connections = proxy.connections();
    for _ in 0..3 {
        let again = report(probing.again().await);
        assert_eq!(again.security, ConnectionSecurity::Mutual);
    }
    let lines: Vec<_> = proxy.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(
        lines,
        ["GET /", "GET /status", "GET /status", "GET /status", "GET /status"]
    );
    assert!(proxy.connections() <= connections + 1, "connections are kept");
}

#[tokio::test]
async fn asks_again_what_it_is_when_it_may_have_restarted() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), kong).await;
    let mut probing = Probing::start(proxy.target(), pki.admin_tls());
    report(probing.next().await);
    let root = ROOT.replace("67d4f5b0-ec01-47be-ab3c-44f6b7414a90", "another");
    proxy.behave(move |request| match request.line.as_str() {
        "GET /" => Reply::json(200, &root),
        _ => Reply::json(200, UNCONFIGURED),
    });
    let restarted = report(probing.again().await);
    assert_eq!(restarted.hash, ConfigHash::NONE);
    assert_eq!(restarted.node_id.as_deref(), Some("another"));
}

/// What it answers to one more question of what it runs, and the end of the connection, as when its process ends later.
fn last_words(request: &Request) -> Reply {
    match request.line.as_str() {
        "GET /" => Reply::AnswerAndClose(200, ROOT.into()),
        _ => Reply::AnswerAndClose(200, STATUS.into()),
    }
}

/// What it was asked since it had been asked so often.
fn asked_since(proxy: &FakeProxy, from: usize) -> Vec<String> {
    let requests = proxy.requests().into_iter().skip(from);
    requests.map(|request| request.line).collect()
}

#[tokio::test]
async fn one_that_comes_back_with_the_same_configuration_is_told_from_its_predecessor_by_the_next_probe() {
    let pki = Pki::new();
    for tls in [Some(pki.server(SERVER_NAME, Timestamp::now())), None] {
        let proxy = FakeProxy::start(tls, kong).await;
        let mut probing = Probing::start(proxy.target(), pki.admin_tls());
        let before = report(probing.next().await);
        proxy.behave(last_words);
        report(probing.again().await);
        let root = ROOT.replace("67d4f5b0-ec01-47be-ab3c-44f6b7414a90", "another");
        proxy.behave(move |request| match request.line.as_str() {
            "GET /" => Reply::json(200, &root),
            _ => kong(request),
        });
        let asked = proxy.requests().len();
        let after = report(probing.again().await);
        assert_eq!(after.node_id.as_deref(), Some("another"));
        assert_eq!(after.hash, before.hash);
        assert_eq!(
            asked_since(&proxy, asked),
            ["GET /status", "GET /", "GET /status"],
            "what the one that ended may have answered does not count"
        );
        let asked = proxy.requests().len();
        assert_eq!(report(probing.again().await).node_id.as_deref(), Some("another"));
        assert_eq!(asked_since(&proxy, asked), ["GET /status"], "it is known by now");
    }
}

/// `KONG_NODE_ID` is the same for ever.
#[tokio::test]
async fn one_whose_id_was_given_to_it_has_restarted_when_it_counts_anew_also_after_it_was_away() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), kong).await;
    let mut probing = Probing::start(proxy.target(), pki.admin_tls());
    let before = report(probing.next().await);
    assert!(!before.restarted);
    proxy.behave(|_| Reply::Close);
    assert!(probing.again().await.result.is_err());
    let anew = STATUS.replace("\"total_requests\":15", "\"total_requests\":1");
    assert_ne!(anew, STATUS);
    proxy.behave(move |request| match request.line.as_str() {
        "GET /" => Reply::json(200, ROOT),
        _ => Reply::json(200, &anew),
    });
    let after = report(probing.again().await);
    assert_eq!(after.node_id, before.node_id);
    assert!(after.restarted);
    assert!(!report(probing.again().await).restarted, "once");
}

#[tokio::test]
async fn a_connection_that_was_closed_costs_one_question_more_and_says_nothing_by_itself() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), kong).await;
    let mut probing = Probing::start(proxy.target(), pki.admin_tls());
    report(probing.next().await);
    proxy.behave(last_words);
    let before = report(probing.again().await);
    proxy.behave(kong);
    let asked = proxy.requests().len();
    for _ in 0..3 {
        assert_eq!(report(probing.again().await), before);
    }
    assert_eq!(
        asked_since(&proxy, asked),
        ["GET /status", "GET /", "GET /status", "GET /status"]
    );
}

#[tokio::test]
async fn one_that_closes_each_connection_is_asked_twice_a_probe() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), last_words).await;
    let mut probing = Probing::start(proxy.target(), pki.admin_tls());
    report(probing.next().await);
    // More often than what it is is asked anyway.
    for _ in 0..15 {
        let asked = proxy.requests().len();
        report(probing.again().await);
        assert_eq!(asked_since(&proxy, asked), ["GET /status", "GET /"]);
    }
}

#[tokio::test]
async fn says_why_a_certificate_is_not_trusted() {
    let pki = Pki::new();
    let foreign = Pki::new();
    let now = Timestamp::now();
    let long_ago = now - SignedDuration::from_hours(24 * 400);
    let stranger = Pki::of("strangers");
    let cases = [
        (
            stranger.server(SERVER_NAME, now),
            "not signed by a trusted authority",
            "CN=strangers",
        ),
        (
            foreign.server(SERVER_NAME, now),
            "another authority of the same name",
            "CN=proxies",
        ),
        (
            pki.server("pod.other.kong.svc", now),
            r#"not for "pod.admin.kong.svc""#,
            "pod.other.kong.svc",
        ),
        (pki.server(SERVER_NAME, long_ago), "has expired on", "CN=proxies"),
        (
            stranger.self_signed_server(),
            "a certificate that it made itself",
            "CN=strangers",
        ),
    ];
    for (server, expected, found) in cases {
        let proxy = FakeProxy::start(Some(server), kong).await;
        let mut probing = Probing::start(proxy.target(), pki.admin_tls());
        let fault = fault(probing.next().await);
        assert_eq!(
            fault.kind,
            TransportFaultKind::CertificateUntrusted,
            "{}",
            fault.message
        );
        assert!(fault.message.contains(expected), "{}", fault.message);
        assert!(fault.message.contains(found), "what was found: {}", fault.message);
        assert!(proxy.requests().is_empty(), "nothing is said to a stranger");
    }
}

#[tokio::test]
async fn says_that_its_own_certificate_was_refused() {
    let pki = Pki::new();
    let foreign = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), kong).await;
    let material = AdminTlsMaterial {
        certificate: foreign.material().certificate,
        key: None,
        ..pki.material()
    };
    assert!(
        AdminTls::new(&material)
            .unwrap_err()
            .to_string()
            .contains("must be given together")
    );
    let foreign_client = foreign.material();
    let material = AdminTlsMaterial {
        certificate: foreign_client.certificate,
        key: foreign_client.key,
        ..pki.material()
    };
    let mut probing = Probing::start(proxy.target(), Arc::new(AdminTls::new(&material).unwrap()));
    let refused = fault(probing.next().await);
    assert_eq!(
        refused.kind,
        TransportFaultKind::ClientCertificateRefused,
        "{}",
        refused.message
    );

    // nginx completes the handshake, and answers in HTML.
    let html = "<html><head><title>400 No required SSL certificate was sent</title></head>\
                <body><center>No required SSL certificate was sent</center></body></html>";
    let proxy = FakeProxy::start(Some(pki.open_server()), move |_| Reply::html(400, html)).await;
    let mut probing = Probing::start(proxy.target(), pki.admin_tls());
    let refused = fault(probing.next().await);
    assert_eq!(
        refused.kind,
        TransportFaultKind::ClientCertificateRefused,
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn a_proxy_that_lets_anybody_in_is_noticed() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.open_server()), kong).await;
    let mut probing = Probing::start(proxy.target(), pki.admin_tls());
    assert_eq!(
        report(probing.next().await).security,
        ConnectionSecurity::ClientCertificateNotRequested
    );
    let material = AdminTlsMaterial {
        certificate: None,
        key: None,
        ..pki.material()
    };
    let mut probing = Probing::start(proxy.target(), Arc::new(AdminTls::new(&material).unwrap()));
    assert_eq!(
        report(probing.next().await).security,
        ConnectionSecurity::NoClientCertificate
    );
    let plain = FakeProxy::start(None, kong).await;
    let mut probing = Probing::start(plain.target(), pki.admin_tls());
    let seen = report(probing.next().await);
    assert_eq!((seen.security, seen.certificate), (ConnectionSecurity::Loopback, None));
}

#[tokio::test]
async fn without_verification_the_first_key_is_the_one_that_counts() {
    let (pki, stranger, impostor) = (Pki::new(), Pki::of("strangers"), Pki::of("strangers"));
    let pins = Arc::new(Pins::default());
    let unverified = || {
        let material = AdminTlsMaterial {
            first_keys: Some(pins.clone()),
            ..pki.material()
        };
        Arc::new(AdminTls::new(&material).unwrap())
    };
    let proxy = FakeProxy::start(Some(stranger.self_signed_server()), kong).await;
    let mut probing = Probing::start(proxy.target(), unverified());
    assert_eq!(report(probing.next().await).security, ConnectionSecurity::Unverified);

    // Somebody else answers there. What the controller shows of itself may be another certificate by now.
    proxy.show(impostor.self_signed_server());
    let asked = proxy.requests().len();
    probing.tls.send_replace(unverified());
    let refused = fault(probing.next().await);
    assert_eq!(refused.kind, TransportFaultKind::CertificateUntrusted);
    assert!(
        refused.message.contains("another key than at first"),
        "{}",
        refused.message
    );
    assert_eq!(proxy.requests().len(), asked, "nothing is said to it");

    // The first one again. With its pod the key is forgotten.
    proxy.show(stranger.self_signed_server());
    assert_eq!(report(probing.again().await).security, ConnectionSecurity::Unverified);
    pins.forget(&proxy.target().id);
    let next = FakeProxy::start(Some(impostor.self_signed_server()), kong).await;
    let mut probing = Probing::start(next.target(), unverified());
    report(probing.next().await);
}

#[tokio::test]
async fn certificates_that_change_are_used_at_once() {
    let pki = Pki::new();
    let next = Pki::new();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), kong).await;
    let mut probing = Probing::start(proxy.target(), pki.admin_tls());
    report(probing.next().await);
    let connections = proxy.connections();
    proxy.show(next.server(SERVER_NAME, Timestamp::now()));
    probing.tls.send_replace(next.admin_tls());
    let seen = report(probing.next().await);
    assert_eq!(seen.security, ConnectionSecurity::Mutual);
    assert!(
        proxy.connections() > connections,
        "the connection with the old certificates is not used any more"
    );
    // The other way round: trust that is withdrawn ends what was trusted.
    probing.tls.send_replace(pki.admin_tls());
    assert_eq!(
        fault(probing.next().await).kind,
        TransportFaultKind::CertificateUntrusted
    );
}

#[tokio::test]
async fn tells_silence_refusal_and_nonsense_apart() {
    let pki = Pki::new();
    let server = pki.server(SERVER_NAME, Timestamp::now());
    let garbage = |bytes: &'static [u8]| move |_: &Request| Reply::Raw(bytes.to_vec());
    let huge = move |_: &Request| Reply::Answer(200, Vec::new(), vec![b' '; 3 * 1024 * 1024]);
    let cases: Vec<(FakeProxy, TransportFaultKind, &str)> = vec![
        (
            FakeProxy::start(Some(server.clone()), |_| Reply::Hang).await,
            TransportFaultKind::Timeout,
            "no answer from",
        ),
        (
            FakeProxy::start(Some(server.clone()), |_| {
                Reply::Slowly(Duration::from_millis(50), vec![b'x'; 1000])
            })
            .await,
            TransportFaultKind::Timeout,
            "no answer from",
        ),
        (
            FakeProxy::start(Some(server.clone()), |_| Reply::Close).await,
            TransportFaultKind::ConnectionFailed,
            "closed the connection without an answer",
        ),
        (
            FakeProxy::start(Some(server.clone()), |_| Reply::CloseWithinBody).await,
            TransportFaultKind::ConnectionFailed,
            "broke off in the middle of its answer",
        ),
        (
            FakeProxy::start(Some(server.clone()), garbage(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")).await,
            TransportFaultKind::UnexpectedAnswer,
            "does not speak HTTP",
        ),
        (
            FakeProxy::start(Some(server.clone()), |_| Reply::html(200, "<html>welcome</html>")).await,
            TransportFaultKind::UnexpectedAnswer,
            "GET / is not answered as Kong does: expected value at line 1 column 1; is this the address of the Admin API",
        ),
        (
            FakeProxy::start(Some(server.clone()), |_| Reply::json(500, "{}")).await,
            TransportFaultKind::UnexpectedAnswer,
            "answered 500 to GET /; is this the address of the Admin API, and nothing in front of it? the log of what answers \
             there says more",
        ),
        (
            FakeProxy::start(Some(server.clone()), |_| Reply::json(401, "{}")).await,
            TransportFaultKind::UnexpectedAnswer,
            "--kong-admin-token",
        ),
        (
            FakeProxy::start(Some(server.clone()), huge).await,
            TransportFaultKind::UnexpectedAnswer,
            "the answer to GET / is over 1 MiB; is this the address of the Admin API",
        ),
    ];
    for (proxy, kind, expected) in cases {
        let mut probing = Probing::start(proxy.target(), pki.admin_tls());
        let fault = fault(probing.next().await);
        assert_eq!(fault.kind, kind, "{}", fault.message);
        assert!(fault.message.contains(expected), "{}", fault.message);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hangs_up = tokio::spawn(async move {
        loop {
            // Nothing is read of what came: the system answers with a reset.
            drop(listener.accept().await);
        }
    });
    // No resolver is asked for a label of more than 63 characters (RFC 1035 §2.3.4).
    let nowhere = format!("http://{}.invalid:8444", "a".repeat(64));
    for (url, expected) in [
        (format!("https://{address}"), "closed the connection"),
        (format!("http://{address}"), "closed the connection without an answer"),
        (nowhere, "can't be resolved"),
    ] {
        let mut target = ProxyTarget::clone(&FakeProxy::start(None, kong).await.target());
        target.server_name = url.starts_with("https").then(|| SERVER_NAME.into());
        target.urls = vec![url.into()];
        let mut probing = Probing::start(Arc::new(target), pki.admin_tls());
        let fault = fault(probing.next().await);
        assert_eq!(fault.kind, TransportFaultKind::ConnectionFailed, "{}", fault.message);
        assert!(
            fault.message.contains(expected) && !fault.message.contains("client error"),
            "{}",
            fault.message
        );
    }
    hangs_up.abort();
    let gone = FakeProxy::start(Some(server), kong).await.target();
    let mut probing = Probing::start(gone, pki.admin_tls());
    let refused = fault(probing.next().await);
    assert_eq!(
        refused.kind,
        TransportFaultKind::ConnectionRefused,
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn the_second_address_serves_when_the_first_is_dead() {
    let pki = Pki::new();
    let server = pki.server(SERVER_NAME, Timestamp::now());
    let dead = FakeProxy::start(Some(server.clone()), kong).await.url();
    let proxy = FakeProxy::start(Some(server), kong).await;
    let mut target = ProxyTarget::clone(&proxy.target());
    target.urls.insert(0, dead);
    let mut probing = Probing::start(Arc::new(target), pki.admin_tls());
    assert_eq!(report(probing.next().await).version, "3.9.3");
}

#[tokio::test]
async fn token_headers_and_workspace_travel_with_each_request() {
    let pki = Pki::new();
    let proxy = FakeProxy::start(Some(pki.open_server()), |request| match request.line.as_str() {
        "GET /team/" => Reply::json(200, ROOT),
        "GET /team/status" => Reply::json(200, STATUS),
        _ => Reply::json(404, "{}"),
    })
    .await;
    let material = AdminTlsMaterial {
        token: Some("sesame\n".to_owned()),
        headers: vec![("X-Team".to_owned(), "edge".to_owned())],
        workspace: "team".to_owned(),
        ..pki.material()
    };
    let tls = AdminTls::new(&material).unwrap();
    assert!(!format!("{tls:?}").contains("sesame"));
    let mut probing = Probing::start(proxy.target(), Arc::new(tls));
    report(probing.next().await);
    let request = &proxy.requests()[0];
    assert_eq!(request.header("kong-admin-token"), Some("sesame"));
    assert_eq!(request.header("x-team"), Some("edge"));
    assert!(request.header("user-agent").unwrap().starts_with("silverback/"));
    assert!(request.header("host").unwrap().starts_with(SERVER_NAME));
}

#[tokio::test]
async fn probes_keep_coming_and_end_with_the_proxy() {
    let pki = Pki::new();
    let up = Arc::new(AtomicBool::new(true));
    let is_up = up.clone();
    let proxy = FakeProxy::start(Some(pki.server(SERVER_NAME, Timestamp::now())), move |request| {
        if is_up.load(Ordering::Relaxed) {
            kong(request)
        } else {
            Reply::Close
        }
    })
    .await;
    let settings = Settings {
        interval: Duration::from_millis(50),
        ..Settings::default()
    };
    let mut probing = Probing::with(settings, proxy.target(), pki.admin_tls());
    for _ in 0..3 {
        report(probing.next().await);
    }
    up.store(false, Ordering::Relaxed);
    while probing.next().await.result.is_ok() {}
    up.store(true, Ordering::Relaxed);
    while probing.next().await.result.is_err() {}
    probing.prober.handle(&Command::Detach(ProxyId("uid-1".into())));
    drop(probing.prober);
    while let Some(_late) = tokio::time::timeout(LIMIT, probing.events.recv())
        .await
        .expect("it ends")
    {}
}
