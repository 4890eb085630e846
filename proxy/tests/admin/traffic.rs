//! The whole proxy: a configuration comes by the Admin API, requests go to an upstream, and the end breaks none.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::{
    Ask, Client, Launch, Pki, Setup, setup,
    support::{
        eventually,
        pki::{Authority, write},
    },
};

/// An upstream that answers `/slow` only when it is let.
struct Upstream {
    address: SocketAddr,
    arrived: Arc<Notify>,
    release: Arc<Notify>,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            arrived: Arc::default(),
            release: Arc::default(),
        };
        let (arrived, release) = (Arc::clone(&upstream.arrived), Arc::clone(&upstream.release));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (arrived, release) = (Arc::clone(&arrived), Arc::clone(&release));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (arrived, release) = (Arc::clone(&arrived), Arc::clone(&release));
                    async move {
                        if request.uri().path() == "/slow" {
                            arrived.notify_one();
                            release.notified().await;
                        }
                        let path = request.uri().path().to_owned();
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(path))))
                    }
                });
                let serving =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(serving);
            }
        });
        upstream
    }

    fn configuration(&self, prefix: &str) -> String {
        json!({
            "_format_version": "3.0",
            "services": [{
                "name": "upstream", "url": format!("http://{}", self.address),
                "routes": [{"name": "route", "paths": [prefix]}],
            }],
        })
        .to_string()
    }
}

#[tokio::test]
async fn requests_follow_the_configuration_at_once() {
    let setup = setup(|launch| launch).await;
    let Setup {
        admin, status, proxy, ..
    } = &setup;
    let upstream = Upstream::start().await;
    let traffic = Client::plain(proxy.address("proxy"));
    assert_eq!(admin.push(upstream.configuration("/a")).await.status, 201);
    let answer = traffic.get("/a/x").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "/x"));
    assert_eq!(admin.push(upstream.configuration("/b")).await.status, 201);
    assert_eq!(traffic.get("/a/x").await.status, 404, "a 201 means effective");
    assert_eq!(traffic.get("/b/x").await.status, 200);

    let metrics = status.get("/metrics").await;
    let counted = "kong_http_requests_total{service=\"upstream\",route=\"route\",code=\"200\",source=\"service\"";
    assert!(metrics.text().contains(counted), "{}", metrics.text());
    let served = status.get("/status").await.json()["server"]["total_requests"]
        .as_u64()
        .unwrap();
    assert!(served >= 3, "{served}");

    assert_eq!(admin.push(r#"{"_format_version": "3.0"}"#).await.status, 201);
    let answer = traffic.get("/b/x").await;
    let missing = json!("no Route matched with those values");
    assert_eq!((answer.status.as_u16(), &answer.json()["message"]), (404, &missing));
}

#[tokio::test]
async fn who_comes_before_the_first_configuration_is_answered_by_it() {
    let setup = setup(|launch| launch).await;
    let upstream = Upstream::start().await;
    let mut early = TcpStream::connect(setup.proxy.address("proxy")).await.unwrap();
    early
        .write_all(b"GET /a/x HTTP/1.1\r\nHost: early\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(setup.admin.push(upstream.configuration("/a")).await.status, 201);
    let mut answer = String::new();
    early.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("/x"), "{answer}");
}

#[tokio::test]
async fn without_any_configuration_it_answers_after_a_while() {
    let setup = setup(|launch| launch).await;
    let traffic = Client::plain(setup.proxy.address("proxy"));
    assert_eq!(traffic.get("/a/x").await.status, 404);
}

#[tokio::test]
async fn a_request_under_way_outlives_a_change_and_the_end() {
    let mut setup = setup(|launch| launch).await;
    let upstream = Upstream::start().await;
    assert_eq!(setup.admin.push(upstream.configuration("/a")).await.status, 201);
    let traffic = Client::plain(setup.proxy.address("proxy"));
    let slow = tokio::spawn({
        let traffic = traffic.clone();
        async move { traffic.get("/a/slow").await }
    });
    upstream.arrived.notified().await;
    assert_eq!(setup.admin.push(upstream.configuration("/b")).await.status, 201);
    setup.proxy.signal("TERM").await;
    eventually("no more new connections", async || {
        traffic.connect().await.is_err().then_some(())
    })
    .await;
    let unready = setup.status.get("/status/ready").await;
    assert_eq!(unready.json(), json!({"message": "draining"}), "told until the end");
    upstream.release.notify_one();
    let answer = slow.await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "/slow"));
    assert!(setup.proxy.ended().await.success());
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_in_time() {
    let mut setup = setup(|launch| launch.argument("--drain-timeout=100ms")).await;
    let upstream = Upstream::start().await;
    assert_eq!(setup.admin.push(upstream.configuration("/a")).await.status, 201);
    let traffic = Client::plain(setup.proxy.address("proxy"));
    let slow = tokio::spawn(async move { traffic.connect().await.unwrap().try_ask(Ask::get("/a/slow")).await });
    upstream.arrived.notified().await;
    setup.proxy.signal("TERM").await;
    setup.proxy.line_with("cut off").await;
    assert!(setup.proxy.ended().await.success());
    assert!(slow.await.unwrap().is_err());
}

#[tokio::test]
async fn unknown_server_names_get_the_default_certificate_and_its_changes() {
    let directory = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    pki.write(directory.path());
    let default = pki.servers.server();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let mut proxy = Launch::new(directory.path())
        .without("--proxy-listen")
        .argument("--proxy-listen=127.0.0.1:0 ssl")
        .variable("KONG_SSL_CERT", file("default.crt"))
        .variable("KONG_SSL_CERT_KEY", file("default.key"))
        .start()
        .await;
    proxy.line_with("waiting for certificates").await;
    write(directory.path(), "default.crt", &default.certificate);
    write(directory.path(), "default.key", &default.key);
    let address = proxy.address("proxy");
    let opens = async |authority: &str| {
        let connection = Client::new(address, authority, None).connect().await;
        connection.is_ok().then_some(())
    };
    let authority = pki.servers.pem();
    eventually("the default certificate", || opens(&authority)).await;
    let traffic = Client::new(address, &authority, None);
    let mut kept = traffic.connect().await.unwrap();
    assert_eq!(kept.ask(Ask::get("/")).await.status, 404);

    // A key that does not fit, as between two writes: the old pair stays.
    let successors = Authority::new("proxies, renewed");
    let renewed = successors.server();
    write(directory.path(), "default.key", &renewed.key);
    let warning = proxy.line_with("changed certificates can't be used").await;
    assert!(
        warning.contains("default.crt") && warning.contains("does not match key"),
        "{warning}"
    );
    assert!(opens(&authority).await.is_some());
    write(directory.path(), "default.crt", &renewed.certificate);
    let successor = successors.pem();
    eventually("the renewed certificate", || opens(&successor)).await;
    assert_eq!(kept.ask(Ask::get("/")).await.status, 404, "connections stay");
}
