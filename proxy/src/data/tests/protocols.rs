//! TLS on both sides, HTTP/2, gRPC, WebSockets.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::harness::{Answer, Authority, Client, Echo, Gateway, Issued, request, server_config, to, within};
use crate::data::{DataPlaneOptions, DefaultCertificate};

fn certificate(id: &str, issued: &Issued, names: &[&str]) -> Value {
    let names: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    json!({"id": id, "cert": issued.certificate, "key": issued.key, "snis": names})
}

async fn http2(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, request: Request<Full<Bytes>>) -> Answer {
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    within(Answer::read(within(sender.send_request(request)).await.unwrap()))
        .await
        .unwrap()
}

fn call(uri: &str, content_type: &str) -> Request<Full<Bytes>> {
    let request = Request::post(uri)
        .header("content-type", content_type)
        .header("te", "trailers");
    request.body(Full::from("message")).unwrap()
}

#[tokio::test]
async fn each_server_name_gets_its_certificate_and_others_the_default() {
    let (echo, authority) = (Echo::start().await, Authority::new());
    let fallback = authority.issue("fallback.test");
    let default = DefaultCertificate::new(fallback.certificate.as_bytes(), fallback.key.as_bytes());
    let mut configuration = to(echo.address);
    let (one, wild) = (authority.issue("one.test"), authority.issue("*.wild.test"));
    configuration["certificates"] = json!([certificate("a", &one, &["one.test"]), certificate("b", &wild, &[])]);
    configuration["snis"] = json!([{"name": "*.wild.test", "certificate": {"id": "b"}}]);
    let gateway = Gateway::start(configuration.clone()).await;
    gateway.plane.set_default_certificate(default.unwrap());
    for name in ["one.test", "x.wild.test", "fallback.test"] {
        let stream = authority.connect(gateway.https, name, &["http/1.1"]).await.expect(name);
        let answer = within(
            Client::over(stream)
                .await
                .ask(request("GET", "/", &[("host", name)], "")),
        )
        .await;
        assert_eq!(answer.seen_header("x-forwarded-proto"), "https");
        assert_eq!(answer.seen_header("x-forwarded-port"), gateway.https.port().to_string());
    }
    let refused = authority.connect(gateway.https, "other.test", &[]).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        ErrorKind::InvalidData,
        "the default certificate is not for other.test"
    );
    configuration["certificates"][0] = certificate("a", &authority.issue("new.test"), &["new.test"]);
    gateway.install(configuration);
    assert!(authority.connect(gateway.https, "new.test", &[]).await.is_ok());
    assert!(authority.connect(gateway.https, "one.test", &[]).await.is_err());
}

#[tokio::test]
async fn without_any_certificate_a_self_signed_one_is_shown() {
    let gateway = Gateway::start(json!({"_format_version": "3.0"})).await;
    let refused = Authority::new()
        .connect(gateway.https, "localhost", &[])
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("UnknownIssuer"),
        "one is shown, by an unknown issuer: {refused}"
    );
}

#[tokio::test]
async fn routes_by_server_name_are_for_their_connections_only() {
    let (echo, authority) = (Echo::start().await, Authority::new());
    let mut configuration = to(echo.address);
    configuration["services"][0]["routes"][0]["snis"] = json!(["one.names.test"]);
    configuration["services"][0]["routes"][0]["protocols"] = json!(["https"]);
    let issued = authority.issue("*.names.test");
    configuration["certificates"] = json!([certificate("a", &issued, &["one.names.test", "other.names.test"])]);
    let gateway = Gateway::start(configuration).await;
    for (name, status) in [("one.names.test", 200), ("other.names.test", 404)] {
        let stream = authority.connect(gateway.https, name, &[]).await.unwrap();
        let answer = within(Client::over(stream).await.ask(request("GET", "/", &[], ""))).await;
        assert_eq!(answer.status, status, "{name}");
    }
}

#[tokio::test]
async fn http2_is_offered_where_the_listener_says_so() {
    let authority = Authority::new();
    let issued = authority.issue("one.test");
    let gateway = Gateway::start(json!({
        "_format_version": "3.0",
        "certificates": [certificate("a", &issued, &["one.test"])],
    }))
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Arc::clone(&gateway.plane).serve_https(listener, false, gateway.drain.clone()));
    for (address, agreed) in [(gateway.https, &b"h2"[..]), (address, &b"http/1.1"[..])] {
        let stream = authority
            .connect(address, "one.test", &["h2", "http/1.1"])
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed));
    }
}

#[tokio::test]
async fn http2_is_spoken_over_tls_and_by_prior_knowledge() {
    let (echo, authority) = (Echo::start().await, Authority::new());
    let mut configuration = to(echo.address);
    configuration["certificates"] = json!([certificate("a", &authority.issue("one.test"), &["one.test"])]);
    let gateway = Gateway::start(configuration).await;
    let get = |uri: &str| {
        let request = Request::get(uri).header("cookie", "a=1").header("cookie", "b=2");
        request.body(Full::default()).unwrap()
    };
    let stream = authority
        .connect(gateway.https, "one.test", &["h2", "http/1.1"])
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let answer = http2(stream, get("https://one.test/x?y=1")).await;
    assert_eq!(answer.seen()["path"], "/x?y=1");
    assert_eq!(
        answer.seen()["version"],
        "HTTP/1.1",
        "upstreams of protocol http get HTTP/1.1"
    );
    assert_eq!(answer.seen_header("x-forwarded-host"), "one.test");
    assert_eq!(answer.seen_header("cookie"), "a=1; b=2");
    let plain = TcpStream::connect(gateway.http).await.unwrap();
    let answer = http2(plain, get("http://one.test/")).await;
    assert_eq!(answer.seen_header("x-forwarded-proto"), "http");
    assert!(answer.header("via").starts_with("2 "));
}

#[tokio::test]
async fn grpc_goes_over_http2_with_and_without_tls() {
    let authority = Authority::new();
    let secure = server_config(&authority.issue("127.0.0.1"), None);
    for (protocol, echo) in [
        ("grpc", Echo::start().await),
        ("grpcs", Echo::start_as("secure", Some(secure)).await),
    ] {
        let mut configuration = to(echo.address);
        configuration["services"][0]["protocol"] = protocol.into();
        configuration["services"][0]["routes"][0]["protocols"] = json!(["grpc", "grpcs"]);
        configuration["services"][0]["routes"][0]["paths"] = json!(["/", "/pkg.Service"]);
        let gateway = Gateway::start(configuration).await;
        for _ in 0..3 {
            let stream = TcpStream::connect(gateway.http).await.unwrap();
            let answer = http2(stream, call("http://a.test/pkg.Service/Method", "application/grpc")).await;
            assert_eq!(answer.seen()["version"], "HTTP/2.0", "{protocol}");
            assert_eq!(answer.seen()["path"], "/pkg.Service/Method");
            assert_eq!(answer.seen()["authority"], echo.address.to_string());
            assert_eq!(answer.seen()["body"], "message");
        }
        assert_eq!(echo.connections.load(Relaxed), 1, "calls share one connection");
        let stream = TcpStream::connect(gateway.http).await.unwrap();
        let answer = http2(stream, call("http://a.test/", "application/json")).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let answer = gateway.ask("POST", "/", &[("content-type", "application/grpc")]).await;
        assert_eq!(answer.status, StatusCode::UPGRADE_REQUIRED);
        echo.stop();
        let stream = TcpStream::connect(gateway.http).await.unwrap();
        let answer = http2(stream, call("http://a.test/", "application/grpc")).await;
        assert_eq!(answer.header("grpc-status"), "14", "unavailable");
    }
}

/// Opens a WebSocket by hand.
async fn websocket(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET /socket HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(within(stream.read_u8()).await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101 switching protocols\r\n"), "{answer}");
    assert!(answer.contains("upgrade: websocket\r\n"));
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"));
    stream
}

#[tokio::test]
async fn websockets_carry_bytes_both_ways_also_across_a_reload() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    let mut stream = websocket(gateway.http).await;
    for round in 0..3 {
        let message = format!("round {round}");
        stream.write_all(message.as_bytes()).await.unwrap();
        let mut back = vec![0; message.len()];
        within(stream.read_exact(&mut back)).await.unwrap();
        assert_eq!(back, message.as_bytes());
        gateway.install(json!({"_format_version": "3.0"}));
    }
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_silent_websocket_is_closed() {
    let echo = Echo::start().await;
    let mut configuration = to(echo.address);
    configuration["services"][0]["read_timeout"] = 100.into();
    let gateway = Gateway::start(configuration).await;
    let mut stream = websocket(gateway.http).await;
    let mut rest = Vec::new();
    let _ = within(stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
}

/// A configuration whose service is reached over TLS.
fn over_tls(upstream: SocketAddr, service: &Value) -> Value {
    let mut configuration = to(upstream);
    configuration["services"][0]["protocol"] = "https".into();
    configuration["services"][0]["retries"] = 0.into();
    for (field, value) in service.as_object().unwrap() {
        configuration["services"][0][field] = value.clone();
    }
    configuration
}

#[tokio::test]
async fn upstreams_are_verified_where_the_service_says_so() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    let secure = || server_config(&authority.issue("secure.test"), None);
    let echo = Echo::start_as("secure", Some(secure())).await;
    let named = json!([{
        "name": "secure", "host_header": "secure.test", "targets": [{"target": echo.address.to_string()}],
    }]);
    let authorities = json!([
        {"id": "10000000-0000-4000-8000-000000000001", "cert": authority.certificate.pem()},
        {"id": "10000000-0000-4000-8000-000000000002", "cert": foreign.certificate.pem()},
    ]);
    let with = |service: Value| {
        let mut configuration = over_tls(echo.address, &service);
        configuration["services"][0]["host"] = "secure".into();
        configuration["upstreams"] = named.clone();
        configuration["ca_certificates"] = authorities.clone();
        configuration
    };
    let right = json!(["10000000-0000-4000-8000-000000000001"]);
    let wrong = json!(["10000000-0000-4000-8000-000000000002"]);
    let unknown = json!(["10000000-0000-4000-8000-000000000003"]);
    let gateway = Gateway::start(with(json!({}))).await;
    assert_eq!(
        gateway.get("/").await.seen()["server_name"],
        "secure.test",
        "Kong's default: not verified"
    );
    // A connection that another trust has opened is never used: each of these is asked right after a good one.
    for (service, status) in [
        (json!({"tls_verify": true, "ca_certificates": right}), 200),
        (json!({"tls_verify": true, "ca_certificates": wrong}), 502),
        (json!({"tls_verify": true, "ca_certificates": unknown}), 502),
        (json!({"tls_verify": true}), 502),
        (
            json!({"tls_verify": true, "ca_certificates": right, "tls_verify_depth": 0}),
            200,
        ),
        (json!({"tls_verify": false}), 200),
    ] {
        gateway.install(with(service.clone()));
        assert_eq!(gateway.get("/").await.status, status, "{service}");
        gateway.install(with(json!({"tls_verify": true, "ca_certificates": right})));
        assert_eq!(gateway.get("/").await.status, 200);
    }
    let mut other_name = with(json!({"tls_verify": true, "ca_certificates": right}));
    other_name["upstreams"][0]["host_header"] = "other.test".into();
    gateway.install(other_name);
    assert_eq!(
        gateway.get("/").await.status,
        502,
        "the certificate is for another name"
    );
    let trusting = DataPlaneOptions {
        trusted_authorities: vec![authority.certificate.pem().into_bytes()],
        ..DataPlaneOptions::default()
    };
    let gateway = Gateway::start_with(trusting, with(json!({"tls_verify": true}))).await;
    assert_eq!(
        gateway.get("/").await.status,
        200,
        "the proxy's own authorities count where none are named"
    );
}

#[tokio::test]
async fn the_services_client_certificate_is_shown() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let config = server_config(&authority.issue("127.0.0.1"), Some(clients.roots()));
    let echo = Echo::start_as("strict", Some(config)).await;
    let mut configuration = over_tls(echo.address, &json!({"client_certificate": {"id": "c"}}));
    configuration["certificates"] = json!([certificate("c", &clients.issue("client.test"), &[])]);
    let gateway = Gateway::start(configuration).await;
    assert_eq!(gateway.get("/").await.status, 200);
    gateway.install(over_tls(echo.address, &json!({})));
    assert_eq!(
        gateway.get("/").await.status,
        502,
        "the connection that showed a certificate is not used on"
    );
}
