//! Who a client is and what it asked for, when something stands before the gateway.

use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpListener;

use super::{
    forwarding::balanced,
    harness::{Client, Echo, Gateway, request, to, within},
};
use crate::data::DataPlaneOptions;

/// What stands before the gateway, at the tests' own address, is believed.
fn trusting() -> DataPlaneOptions {
    let mut options = DataPlaneOptions::default();
    options.trust.networks = vec!["127.0.0.0/8".parse().unwrap()];
    options
}

#[tokio::test]
async fn a_trusted_load_balancer_is_believed_about_its_client() {
    let echo = Echo::start().await;
    let gateway = Gateway::start_with(trusting(), to(echo.address)).await;
    let told = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-path", "/before"),
        ("x-forwarded-prefix", "/prefix"),
        ("x-real-ip", "203.0.113.7"),
    ];
    let answer = gateway.ask("GET", "/a", &told).await;
    for (name, value) in &told[1..] {
        assert_eq!(answer.seen_header(name), *value, "{name}");
    }
    assert_eq!(answer.seen_header("x-forwarded-for"), "203.0.113.7, 127.0.0.1");

    let answer = gateway.get("/a").await;
    assert_eq!(
        answer.seen_header("x-forwarded-proto"),
        "http",
        "what it does not say is as it is"
    );
    assert_eq!(answer.seen_header("x-forwarded-host"), "gateway.test");
    assert_eq!(answer.seen_header("x-forwarded-path"), "/a");
    assert_eq!(answer.seen_header("x-real-ip"), "127.0.0.1");
}

#[tokio::test]
async fn a_route_for_https_is_reached_through_whoever_ends_tls_before_the_gateway() {
    let echo = Echo::start().await;
    let mut configuration = to(echo.address);
    configuration["services"][0]["routes"][0]["protocols"] = json!(["https"]);
    configuration["services"][0]["routes"][0]["https_redirect_status_code"] = 301.into();
    let over_tls = [("x-forwarded-proto", "https")];
    let in_the_clear = [("x-forwarded-proto", "http"), ("x-forwarded-host", "shop.example")];

    let gateway = Gateway::start_with(trusting(), configuration.clone()).await;
    assert_eq!(gateway.ask("GET", "/a?b=c", &over_tls).await.status, 200);
    let redirect = gateway.ask("GET", "/a?b=c", &in_the_clear).await;
    assert_eq!(
        (redirect.status.as_u16(), redirect.header("location")),
        (301, "https://shop.example/a?b=c")
    );

    let gateway = Gateway::start(configuration).await;
    let stranger = gateway.ask("GET", "/a", &over_tls).await;
    assert_eq!(
        (stranger.status.as_u16(), stranger.header("location")),
        (301, "https://gateway.test/a"),
        "nobody is believed unless told to"
    );
}

#[tokio::test]
async fn the_port_that_clients_see_is_told_to_upstreams() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    let plain = gateway.get("/").await;
    assert_eq!(plain.seen_header("x-forwarded-port"), gateway.http.port().to_string());

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = DataPlaneOptions {
        port_maps: [(address.port(), 80)].into(),
        ..DataPlaneOptions::default()
    };
    let mapped = Gateway::start_with(options, to(echo.address)).await;
    tokio::spawn(Arc::clone(&mapped.plane).serve_http(listener, mapped.drain.clone()));
    let answer = within(Client::connect(address).await.ask(request("GET", "/", &[], ""))).await;
    assert_eq!(answer.seen_header("x-forwarded-port"), "80");
}

#[tokio::test]
async fn clients_behind_a_trusted_load_balancer_are_hashed_by_their_own_address() {
    let (one, other) = (Echo::start_as("one", None).await, Echo::start_as("other", None).await);
    let mut configuration = balanced(&[one.address, other.address], &json!({}));
    configuration["upstreams"][0]["algorithm"] = "consistent-hashing".into();
    configuration["upstreams"][0]["hash_on"] = "ip".into();
    let gateway = Gateway::start_with(trusting(), configuration).await;
    let mut upstreams = std::collections::BTreeSet::new();
    for client in 0..32 {
        let address = format!("203.0.113.{client}");
        let seen = gateway.ask("GET", "/", &[("x-real-ip", &address)]).await.seen();
        let again = gateway.ask("GET", "/", &[("x-real-ip", &address)]).await.seen();
        assert_eq!(seen["upstream"], again["upstream"], "{address} stays where it is");
        upstreams.insert(seen["upstream"].to_string());
    }
    assert_eq!(upstreams.len(), 2, "not all clients are one");
}
