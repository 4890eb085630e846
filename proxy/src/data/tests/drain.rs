//! The end of a listener: what runs is finished, what idles is closed, nothing new begins.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::harness::{Answer, Client, Echo, Gateway, request, to, until, within};

#[tokio::test]
async fn running_requests_are_finished_and_told_that_the_connection_ends() {
    let echo = Echo::start().await;
    let mut gateway = Gateway::start(to(echo.address)).await;
    let mut idle = TcpStream::connect(gateway.http).await.unwrap();
    let mut kept = Client::connect(gateway.http).await;
    assert_eq!(
        within(kept.ask(request("GET", "/", &[], "")))
            .await
            .header("connection"),
        ""
    );
    let mut busy = Client::connect(gateway.http).await;
    let running = tokio::spawn(async move { busy.ask(request("GET", "/delay/300", &[], "")).await });
    until("the upstream has it", || echo.requests.load(Relaxed) == 2).await;
    gateway.drain.begun.cancel();
    let answer = within(running).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), "close");
    // A request that was on its way meets no closed connection, and is the last one there.
    let late = within(kept.ask(request("GET", "/", &[], ""))).await;
    assert_eq!(late.status, 200);
    assert_eq!(late.header("connection"), "close");
    assert!(within(kept.try_ask(request("GET", "/", &[], ""))).await.is_err());
    let mut rest = Vec::new();
    within(idle.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty(), "an idle connection is closed");
    for listener in gateway.listeners.drain(..) {
        within(listener).await.unwrap();
    }
    assert!(TcpStream::connect(gateway.http).await.is_err());
    assert_eq!(gateway.plane.statistics().connections_active, 0);
}

#[tokio::test]
async fn http2_calls_are_finished_after_goaway() {
    let echo = Echo::start().await;
    let mut gateway = Gateway::start(to(echo.address)).await;
    let stream = TcpStream::connect(gateway.http).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let get = |uri: &str| Request::get(uri).body(Full::<Bytes>::default()).unwrap();
    let running = tokio::spawn(sender.send_request(get("http://a.test/delay/300")));
    until("the upstream has it", || echo.requests.load(Relaxed) == 1).await;
    gateway.drain.begun.cancel();
    let answer = within(running).await.unwrap().unwrap();
    assert_eq!(within(Answer::read(answer)).await.unwrap().status, 200);
    within(connection).await.unwrap().unwrap();
    for listener in gateway.listeners.drain(..) {
        within(listener).await.unwrap();
    }
}

#[tokio::test]
async fn a_grpc_call_that_outlives_the_drain_ends_as_unavailable() {
    let echo = Echo::start().await;
    let mut configuration = to(echo.address);
    configuration["services"][0]["protocol"] = "grpc".into();
    configuration["services"][0]["routes"][0]["protocols"] = serde_json::json!(["grpc", "grpcs"]);
    let mut gateway = Gateway::start(configuration).await;
    let stream = TcpStream::connect(gateway.http).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let call = Request::post("http://a.test/endless").header("content-type", "application/grpc");
    let mut answer = within(sender.send_request(call.body(Full::<Bytes>::default()).unwrap()))
        .await
        .unwrap();
    let message = within(answer.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&message[..], b"\0\0\0\0\x05hello");
    gateway.drain.begun.cancel();
    gateway.drain.cut.cancel();
    let answer = within(Answer::read(answer)).await.unwrap();
    assert_eq!(answer.trailers["grpc-status"], "14");
    within(connection).await.unwrap().unwrap();
    for listener in gateway.listeners.drain(..) {
        within(listener).await.unwrap();
    }
}
