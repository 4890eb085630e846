//! Connections, retries, time-outs, bodies.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    HeaderMap, Request,
    body::Frame,
    header::{HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::harness::{Answer, Client, Echo, Gateway, request, to, until, within};
use crate::data::{DataPlaneOptions, options::Limits};

/// A port on which nothing listens.
async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A configuration whose service leads to an upstream with these targets.
pub(super) fn balanced(targets: &[SocketAddr], service: &Value) -> Value {
    let mut configuration = to(targets[0]);
    configuration["services"][0]["host"] = "balanced".into();
    for (field, value) in service.as_object().unwrap() {
        configuration["services"][0][field] = value.clone();
    }
    let targets: Vec<_> = targets
        .iter()
        .map(|target| json!({"target": target.to_string()}))
        .collect();
    configuration["upstreams"] = json!([{"name": "balanced", "targets": targets}]);
    configuration
}

#[tokio::test]
async fn one_connection_to_an_upstream_serves_many_requests() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    let mut client = Client::connect(gateway.http).await;
    for number in 0..20 {
        let path = format!("/{number}");
        let answer = within(client.ask(request("POST", &path, &[], "some body"))).await;
        assert_eq!(answer.seen()["path"], path.as_str());
        assert_eq!(answer.seen()["body"], "some body");
    }
    assert_eq!(echo.connections.load(Relaxed), 1);
}

#[tokio::test]
async fn a_kept_connection_that_has_died_costs_no_request() {
    let echo = Echo::start().await;
    let mut configuration = to(echo.address);
    configuration["services"][0]["retries"] = 0.into();
    let gateway = Gateway::start(configuration).await;
    for _ in 0..10 {
        assert_eq!(gateway.get("/").await.status, 200);
        echo.close_connections();
    }
}

#[tokio::test]
async fn a_dead_target_is_passed_over_whatever_the_method() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(balanced(&[closed_port().await, echo.address], &json!({}))).await;
    let mut client = Client::connect(gateway.http).await;
    for method in ["GET", "POST", "PUT", "PATCH"].repeat(3) {
        let answer = within(client.ask(request(method, "/", &[], "kept"))).await;
        assert_eq!(answer.status, 200, "{method}: {}", answer.text());
        assert_eq!(answer.seen()["body"], "kept");
        assert_eq!(answer.seen_header("host"), echo.address.to_string());
    }
}

#[tokio::test]
async fn without_retries_a_dead_target_shows() {
    let gateway = Gateway::start(balanced(&[closed_port().await], &json!({"retries": 0}))).await;
    let answer = gateway.ask("GET", "/", &[("accept", "application/json")]).await;
    assert_eq!(answer.status, 502);
    assert!(
        answer
            .text()
            .contains("An invalid response was received from the upstream server")
    );
    assert_eq!(answer.header("server"), "kong/3.9.3");
}

#[tokio::test]
async fn targets_take_turns_by_their_weights() {
    let (one, other) = (Echo::start_as("one", None).await, Echo::start_as("other", None).await);
    let mut configuration = balanced(&[one.address, other.address], &json!({}));
    configuration["upstreams"][0]["targets"][0]["weight"] = 3.into();
    configuration["upstreams"][0]["targets"][1]["weight"] = 1.into();
    let gateway = Gateway::start(configuration).await;
    let mut client = Client::connect(gateway.http).await;
    for _ in 0..12 {
        within(client.ask(request("GET", "/", &[], ""))).await;
    }
    assert_eq!((one.requests.load(Relaxed), other.requests.load(Relaxed)), (9, 3));
}

/// An upstream that does something of its own with each connection.
async fn upstream<F>(serve: fn(TcpStream) -> F) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream));
        }
    });
    address
}

#[tokio::test]
async fn what_an_upstream_may_have_acted_on_is_repeated_only_if_that_is_harmless() {
    let echo = Echo::start().await;
    let breaks_off = upstream(|mut stream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
    })
    .await;
    let gateway = Gateway::start(balanced(&[breaks_off, echo.address], &json!({}))).await;
    let mut client = Client::connect(gateway.http).await;
    let mut answers = Vec::new();
    for method in ["PUT", "PUT", "POST", "POST"] {
        let answer = within(client.ask(request(method, "/", &[], "body"))).await;
        answers.push(answer.status.as_u16());
        if answer.status == 200 {
            assert_eq!(answer.seen()["body"], "body");
        }
    }
    assert_eq!(answers[..2], [200, 200], "PUT is idempotent, and its body was kept");
    assert!(answers[2..].contains(&502), "POST is sent once: {answers:?}");
}

#[tokio::test]
async fn a_slow_upstream_is_given_up() {
    let echo = Echo::start().await;
    let mut configuration = to(echo.address);
    configuration["services"][0]["read_timeout"] = 100.into();
    configuration["services"][0]["retries"] = 0.into();
    let gateway = Gateway::start(configuration).await;
    let begun = Instant::now();
    let answer = gateway.get("/delay/30000").await;
    assert_eq!(answer.status, 504);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(answer.header("x-kong-upstream-latency").parse::<u64>().unwrap() >= 100);
}

#[tokio::test]
async fn an_upstream_that_falls_silent_within_its_answer_ends_the_answer() {
    let stalls = upstream(|mut stream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123")
            .await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut configuration = to(stalls);
    configuration["services"][0]["read_timeout"] = 100.into();
    let gateway = Gateway::start(configuration).await;
    let mut client = Client::connect(gateway.http).await;
    let outcome = within(client.try_ask(request("GET", "/", &[], ""))).await;
    assert!(outcome.is_err(), "a body that was cut off must not look whole");
}

#[tokio::test]
async fn garbage_from_an_upstream_is_502() {
    let garbage = upstream(|mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await;
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let switches = upstream(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
            .await;
    })
    .await;
    for bad in [garbage, switches] {
        let gateway = Gateway::start(balanced(&[bad], &json!({"retries": 1}))).await;
        assert_eq!(gateway.get("/").await.status, 502);
    }
}

/// A body that is sent piece by piece as the test says.
type Pieces = StreamBody<tokio_stream::Pieces>;

mod tokio_stream {
    //! Just enough of a stream over a channel.
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use bytes::Bytes;
    use futures_util::Stream;
    use hyper::body::Frame;
    use tokio::sync::mpsc;

    pub(super) struct Pieces(pub(super) mpsc::Receiver<Frame<Bytes>>);

    impl Stream for Pieces {
        type Item = Result<Frame<Bytes>, Infallible>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.poll_recv(context).map(|piece| piece.map(Ok))
        }
    }
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    // Answers each piece as it comes: nothing may wait for the end of the request.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
            Ok::<_, std::convert::Infallible>(hyper::Response::new(request.into_body()))
        });
        let http1 = hyper::server::conn::http1::Builder::new();
        let _ = http1.serve_connection(TokioIo::new(stream), service).await;
    });
    let gateway = Gateway::start(to(address)).await;
    let stream = TcpStream::connect(gateway.http).await.unwrap();
    let handshake = hyper::client::conn::http1::handshake::<_, Pieces>(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let (pieces, receiver) = mpsc::channel(1);
    let request = Request::post("/")
        .header("host", "a.test")
        .body(StreamBody::new(tokio_stream::Pieces(receiver)));
    pieces.send(Frame::data(Bytes::from_static(b"0"))).await.unwrap();
    let mut response = within(sender.send_request(request.unwrap())).await.unwrap();
    for number in 1..5_u8 {
        let piece = within(response.body_mut().frame()).await.unwrap().unwrap();
        assert_eq!(piece.into_data().unwrap(), Bytes::from(vec![b'0' + number - 1]));
        pieces
            .send(Frame::data(Bytes::from(vec![b'0' + number])))
            .await
            .unwrap();
    }
    drop(pieces);
    let rest = within(response.into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(rest, "4");
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    let stream = TcpStream::connect(gateway.http).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake::<_, _, Pieces>(
        hyper_util::rt::TokioExecutor::new(),
        TokioIo::new(stream),
    );
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let (pieces, receiver) = mpsc::channel(2);
    let request = Request::post("http://a.test/")
        .header("te", "trailers")
        .header("trailer", "x-sum")
        .body(StreamBody::new(tokio_stream::Pieces(receiver)));
    pieces.send(Frame::data(Bytes::from_static(b"body"))).await.unwrap();
    let sum = (HeaderName::from_static("x-sum"), HeaderValue::from_static("7"));
    pieces.send(Frame::trailers(HeaderMap::from_iter([sum]))).await.unwrap();
    drop(pieces);
    let response = within(sender.send_request(request.unwrap())).await.unwrap();
    let answer = within(Answer::read(response)).await.unwrap();
    assert_eq!(answer.seen()["body"], "body");
    assert_eq!(answer.seen_header("te"), "trailers");
    assert_eq!(answer.seen()["trailers"], 1, "the upstream got the trailer");
    assert_eq!(answer.trailers["x-sum"], "7", "and its own came back");
}

#[tokio::test]
async fn what_belongs_to_a_connection_stays_there() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    let headers = [
        ("connection", "x-private"),
        ("x-private", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy", "evil"),
        ("te", "gzip"),
        ("upgrade", "h2c"),
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/evil"),
        ("x-real-ip", "10.1.2.3"),
        ("x-kong-request-id", "spoofed"),
    ];
    let answer = gateway.ask("GET", "/", &headers).await;
    for gone in [
        "connection",
        "x-private",
        "keep-alive",
        "proxy-connection",
        "proxy",
        "te",
        "upgrade",
    ] {
        assert_eq!(answer.seen_header(gone), "", "{gone}");
    }
    assert_eq!(answer.seen_header("x-forwarded-for"), "10.1.2.3, 127.0.0.1");
    assert_eq!(answer.seen_header("x-forwarded-proto"), "http");
    assert_eq!(answer.seen_header("x-forwarded-prefix"), "");
    assert_eq!(answer.seen_header("x-real-ip"), "127.0.0.1");
    assert_eq!(
        answer.seen_header("x-kong-request-id"),
        answer.header("x-kong-request-id")
    );
}

#[tokio::test]
async fn debug_headers_tell_route_and_service() {
    let echo = Echo::start().await;
    let mut configuration = to(echo.address);
    configuration["services"][0]["id"] = "356ebaf8-b7af-5cba-99a1-f392e34730ab".into();
    let gateway = Gateway::start(configuration).await;
    let answer = gateway.ask("GET", "/", &[("kong-debug", "1")]).await;
    assert_eq!(answer.header("kong-route-name"), "all");
    assert_eq!(answer.header("kong-service-name"), "echo");
    assert_eq!(answer.header("kong-service-id"), "356ebaf8-b7af-5cba-99a1-f392e34730ab");
    assert_eq!(gateway.get("/").await.header("kong-route-name"), "");
}

/// Sends bytes as they are and reads until the connection ends.
async fn raw(gateway: &Gateway, text: &str) -> String {
    let mut stream = TcpStream::connect(gateway.http).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn requests_that_two_parties_could_understand_differently_are_refused() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    for bad in [
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a\r\nConnection: close\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    ] {
        let answer = raw(&gateway, bad).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bad:?} got {answer:?}");
    }
    let both = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x";
    let answer = raw(&gateway, both).await;
    let smuggled = answer.matches("HTTP/1.1").count() > 1 && answer.contains("\"path\":\"/x\"");
    assert!(!smuggled, "{answer}");
    assert_eq!(
        echo.requests.load(Relaxed),
        usize::from(answer.starts_with("HTTP/1.1 200"))
    );
}

#[tokio::test]
async fn http_1_0_is_served() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    let answer = raw(&gateway, "GET /old HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
    assert!(answer.contains("\"path\":\"/old\""));
    assert!(answer.contains("1.0 kong/3.9.3"), "Via tells the protocol");
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_to_go_on() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    let mut stream = TcpStream::connect(gateway.http).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 25];
    within(stream.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("\"body\":\"body\""), "{answer}");
    assert!(!answer.contains("100-continue"), "the upstream is not asked to wait");
}

fn limited(limits: Limits) -> DataPlaneOptions {
    DataPlaneOptions {
        limits,
        ..DataPlaneOptions::default()
    }
}

#[tokio::test]
async fn bounds_hold() {
    let echo = Echo::start().await;
    let limits = Limits {
        max_body_bytes: Some(10),
        max_headers: 20,
        max_header_bytes: 8192,
        ..Limits::default()
    };
    let gateway = Gateway::start_with(limited(limits), to(echo.address)).await;
    let mut client = Client::connect(gateway.http).await;
    assert_eq!(
        within(client.ask(request("POST", "/", &[], "0123456789"))).await.status,
        200
    );
    let mut client = Client::connect(gateway.http).await;
    assert_eq!(
        within(client.ask(request("POST", "/", &[], "0123456789+")))
            .await
            .status,
        413
    );
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                   9\r\n123456789\r\n9\r\n123456789\r\n0\r\n\r\n";
    let answer = raw(&gateway, chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(9000));
    let answer = raw(&gateway, &long).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-Many: 1\r\n".repeat(30));
    let answer = raw(&gateway, &many).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_dawdles_is_cut_off() {
    let echo = Echo::start().await;
    let limits = Limits {
        header_timeout: Duration::from_millis(100),
        stall_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let gateway = Gateway::start_with(limited(limits), to(echo.address)).await;
    for begun in ["", "PRI", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow"] {
        let answer = raw(&gateway, begun).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
            "{begun:?} got {answer:?}"
        );
    }
    let body = raw(&gateway, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf").await;
    assert!(body.starts_with("HTTP/1.1 408 "), "{body}");
    until("no connection is left", || {
        gateway.plane.statistics().connections_active == 0
    })
    .await;
}

#[tokio::test]
async fn further_connections_wait_until_one_ends() {
    let echo = Echo::start().await;
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let gateway = Gateway::start_with(limited(limits), to(echo.address)).await;
    let mut first = Client::connect(gateway.http).await;
    assert_eq!(within(first.ask(request("GET", "/", &[], ""))).await.status, 200);
    let mut second = Client::connect(gateway.http).await;
    let waiting = tokio::spawn(async move { second.ask(request("GET", "/", &[], "")).await.status });
    let mut third = Client::connect(gateway.http).await;
    let third = tokio::spawn(async move { third.ask(request("GET", "/", &[], "")).await.status });
    drop(first);
    assert_eq!(within(waiting).await.unwrap(), 200);
    assert_eq!(within(third).await.unwrap(), 200);
}

#[tokio::test]
async fn counters_tell_what_has_passed() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    let mut client = Client::connect(gateway.http).await;
    within(client.ask(request("POST", "/", &[], "12345"))).await;
    within(client.ask(request("GET", "/status/404", &[], ""))).await;
    let statistics = gateway.plane.statistics();
    assert_eq!(statistics.connections_accepted, 1);
    assert_eq!(statistics.connections_active, 1);
    assert_eq!(statistics.total_requests, 2);
    let traffic = gateway.plane.traffic();
    assert_eq!(
        (traffic[0].service.as_str(), traffic[0].route.as_str()),
        ("echo", "all")
    );
    let codes: Vec<_> = traffic[0]
        .requests
        .iter()
        .map(|entry| (entry.code, entry.count))
        .collect();
    assert_eq!(codes, [(200, 1), (404, 1)]);
    assert!(traffic[0].requests.iter().all(|entry| entry.from_upstream));
    assert!(traffic[0].bytes_sent > 100);
    assert_eq!(traffic[0].upstream_requests, 2);
}

#[tokio::test]
async fn least_connections_spares_a_target_that_is_slow_to_begin_its_answer() {
    let (slow, quick) = (silent_upstream().await, Echo::start_as("quick", None).await);
    let mut configuration = balanced(&[slow.0, quick.address], &json!({"read_timeout": 60_000}));
    configuration["upstreams"][0]["algorithm"] = "least-connections".into();
    let gateway = Gateway::start(configuration).await;
    // Of two, whichever begins, one goes to the slow target and stays there.
    let address = gateway.http;
    for _ in 0..2 {
        tokio::spawn(async move {
            Client::connect(address)
                .await
                .try_ask(request("GET", "/", &[], ""))
                .await
        });
    }
    until("a request hangs at the slow target", || slow.1.load(Relaxed) == 1).await;
    for _ in 0..20 {
        let answer = gateway.get("/").await;
        assert_eq!(
            (answer.status.as_u16(), answer.seen()["upstream"].as_str()),
            (200, Some("quick"))
        );
    }
    assert_eq!(slow.1.load(Relaxed), 1);
}

/// An upstream that takes connections and never answers, and how many it has taken.
async fn silent_upstream() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Relaxed);
            kept.push(stream);
        }
    });
    (address, taken)
}
