//! Configurations that replace one another while requests run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use proxy_config_schema::{Configuration, EntityError};
use serde_json::{Value, json};

use super::harness::{Authority, Client, Echo, Gateway, request, to, until, within};

#[tokio::test]
async fn kept_connections_on_both_sides_survive_a_reload() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    let mut client = Client::connect(gateway.http).await;
    for number in 0..5 {
        let path = format!("/{number}");
        assert_eq!(within(client.ask(request("GET", &path, &[], ""))).await.status, 200);
        let mut next = to(echo.address);
        next["services"][0]["routes"][0]["name"] = format!("route-{number}").into();
        gateway.install(next);
    }
    assert_eq!(echo.connections.load(Relaxed), 1, "towards the upstream");
    assert_eq!(gateway.plane.statistics().connections_accepted, 1, "from the client");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_lose_no_request() {
    let (one, other) = (Echo::start_as("one", None).await, Echo::start_as("other", None).await);
    let gateway = Gateway::start(to(one.address)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (stop, answered, http) = (Arc::clone(&stop), Arc::clone(&answered), gateway.http);
            tokio::spawn(async move {
                let mut client = Client::connect(http).await;
                while !stop.load(Relaxed) {
                    let answer = client.ask(request("POST", "/load", &[], "body")).await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    assert_eq!(answer.seen()["body"], "body");
                    answered.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for round in 0..100 {
        gateway.install(to(if round % 2 == 0 { other.address } else { one.address }));
        let before = answered.load(Relaxed);
        until("requests go on", || answered.load(Relaxed) > before + 8).await;
    }
    stop.store(true, Relaxed);
    for client in clients {
        within(client).await.expect("no request failed");
    }
    assert!(one.requests.load(Relaxed) > 50 && other.requests.load(Relaxed) > 50);
}

#[tokio::test]
async fn a_request_under_way_ends_on_the_configuration_that_it_began_with() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    let mut client = Client::connect(gateway.http).await;
    let running = tokio::spawn(async move { client.ask(request("GET", "/delay/300", &[], "")).await.status });
    until("the upstream has it", || echo.requests.load(Relaxed) == 1).await;
    gateway.install(json!({"_format_version": "3.0"}));
    assert_eq!(gateway.get("/").await.status, 404);
    assert_eq!(within(running).await.unwrap(), 200);
}

#[tokio::test]
async fn turns_go_on_across_a_reload() {
    let echoes = [Echo::start().await, Echo::start().await];
    let balanced = |route: &str| {
        let mut configuration = to(echoes[0].address);
        configuration["services"][0]["host"] = "up".into();
        configuration["services"][0]["routes"][0]["name"] = route.into();
        let targets = echoes
            .each_ref()
            .map(|echo| json!({"target": echo.address.to_string()}));
        configuration["upstreams"] = json!([{"name": "up", "targets": targets}]);
        configuration
    };
    let gateway = Gateway::start(balanced("first")).await;
    for number in 0..10 {
        gateway.get("/").await;
        gateway.install(balanced(&format!("route-{number}")));
    }
    let counts = echoes.each_ref().map(|echo| echo.requests.load(Relaxed));
    assert_eq!(counts, [5, 5]);
}

#[tokio::test]
async fn counters_go_on_for_a_route_that_stays() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(to(echo.address)).await;
    gateway.get("/").await;
    gateway.install(to(echo.address));
    gateway.get("/").await;
    assert_eq!(gateway.plane.traffic()[0].requests[0].count, 2);
}

/// Everything that a route hangs on, one thing after the other, while the route itself stays as it is.
#[tokio::test]
async fn what_changes_around_a_route_takes_effect() {
    let (one, other) = (Echo::start_as("one", None).await, Echo::start_as("other", None).await);
    let mut configuration = to(one.address);
    configuration["services"][0]["host"] = "localhost".into();
    let gateway = Gateway::start(configuration.clone()).await;
    let by = async || gateway.get("/").await.seen()["upstream"].clone();
    assert_eq!(by().await, "one");

    // An upstream that bears the service's host.
    let upstream = |echo: &Echo| json!([{"name": "localhost", "targets": [{"target": echo.address.to_string()}]}]);
    configuration["upstreams"] = upstream(&other);
    gateway.install(configuration.clone());
    assert_eq!(by().await, "other");
    configuration["upstreams"] = upstream(&one);
    gateway.install(configuration.clone());
    assert_eq!(by().await, "one");
    configuration["targets"] = json!([{"target": other.address.to_string(), "upstream": "localhost"}]);
    gateway.install(configuration.clone());
    let both = [by().await, by().await];
    assert_ne!(both[0], both[1]);
    for list in ["targets", "upstreams"] {
        configuration[list] = json!([]);
    }
    gateway.install(configuration.clone());
    assert_eq!(by().await, "one");

    // Plugins for all, for the service, and for the route, the more specific ones winning.
    let plugin = |code: u16| json!({"name": "request-termination", "config": {"status_code": code}});
    let status = async || gateway.get("/").await.status.as_u16();
    configuration["plugins"] = json!([plugin(410)]);
    gateway.install(configuration.clone());
    assert_eq!(status().await, 410);
    configuration["services"][0]["plugins"] = json!([plugin(411)]);
    gateway.install(configuration.clone());
    assert_eq!(status().await, 411);
    let mut of_route = plugin(412);
    of_route["route"] = "all".into();
    configuration["plugins"] = json!([plugin(410), of_route]);
    gateway.install(configuration.clone());
    assert_eq!(status().await, 412);
    configuration["plugins"] = json!([]);
    gateway.install(configuration.clone());
    assert_eq!(status().await, 411);
    configuration["services"][0]["plugins"] = json!([]);
    gateway.install(configuration.clone());
    assert_eq!(status().await, 200);

    // The service itself, and what it is counted as.
    configuration["services"][0]["port"] = other.address.port().into();
    configuration["services"][0]["name"] = "renamed".into();
    gateway.install(configuration.clone());
    assert_eq!(by().await, "other");
    assert_eq!(gateway.plane.traffic()[0].service, "renamed");
    configuration["services"][0]["enabled"] = false.into();
    gateway.install(configuration.clone());
    assert_eq!(status().await, 404);
}

async fn refused(gateway: &Gateway, configuration: Value) -> Vec<EntityError> {
    let configuration: Configuration = serde_json::from_value(configuration).unwrap();
    gateway.plane.compile(&Arc::new(configuration)).err().expect("refused")
}

#[tokio::test]
async fn what_cannot_be_used_is_told_by_entity_and_field_and_changes_nothing() {
    let (echo, authority) = (Echo::start().await, Authority::new());
    let gateway = Gateway::start(to(echo.address)).await;
    let (one, other) = (authority.issue("one.test"), authority.issue("other.test"));
    let mut bad = to(echo.address);
    bad["services"][0]["routes"][0]["paths"] = json!(["/fine", "~/foo(["]);
    bad["services"][0]["routes"][0]["tags"] = json!(["k8s-name:web"]);
    bad["services"][0]["routes"][0]["plugins"] = json!([{"name": "no-such-plugin"}]);
    bad["certificates"] = json!([
        {"id": "1", "cert": one.certificate, "key": other.key},
        {"id": "2", "cert": "garbage", "key": one.key},
        {"id": "3", "cert": one.certificate, "key": "garbage"},
    ]);
    bad["ca_certificates"] = json!([{"id": "4", "cert": "garbage"}]);
    let mut told: Vec<_> = refused(&gateway, bad)
        .await
        .into_iter()
        .map(|error| {
            let who = error.entity_name.or(error.entity_id).unwrap();
            let field = error.errors[0].field.clone().unwrap_or_default();
            if error.entity_type == "route" {
                assert_eq!(error.entity_tags.as_deref(), Some(&["k8s-name:web".to_owned()][..]));
                assert!(
                    error.entity.unwrap().get("plugins").is_none(),
                    "nested lists are left out"
                );
            }
            format!("{} {who} {field}", error.entity_type)
        })
        .collect();
    told.sort();
    let expected = [
        "ca_certificate 4 cert",
        "certificate 1 ",
        "certificate 2 cert",
        "certificate 3 key",
        "plugin no-such-plugin name",
        "route all paths.2",
    ];
    assert_eq!(told, expected);
    assert_eq!(gateway.get("/").await.status, 200, "the one in use goes on");
}

#[tokio::test]
async fn a_key_too_small_for_tls_is_told_on_its_certificate() {
    let gateway = Gateway::start(json!({"_format_version": "3.0"})).await;
    let bad = json!({
        "_format_version": "3.0",
        "certificates": [{
            "id": "1",
            "cert": include_str!("rsa1024.crt"),
            "key": include_str!("rsa1024.key"),
        }],
    });
    let errors = refused(&gateway, bad).await;
    assert_eq!(errors[0].entity_type, "certificate");
    assert_eq!(errors[0].errors[0].field.as_deref(), Some("key"));
    let message = errors[0].errors[0].message.as_deref().unwrap();
    assert!(message.starts_with("invalid key"), "{message}");
}

#[tokio::test]
async fn a_large_configuration_is_ready_quickly() {
    let echo = Echo::start().await;
    let services: Vec<_> = (0..1000)
        .map(|number| {
            json!({
                "name": format!("service-{number}"), "host": "127.0.0.1", "port": echo.address.port(),
                "routes": [{
                    "name": format!("route-{number}"),
                    "hosts": [format!("host-{number}.test")],
                    "paths": ["/", format!("~/exact-{number}$")],
                }],
            })
        })
        .collect();
    let configuration = json!({"_format_version": "3.0", "services": services});
    let gateway = Gateway::start(configuration.clone()).await;
    let begun = std::time::Instant::now();
    gateway.install(configuration);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "an unchanged one takes {:?}",
        begun.elapsed()
    );
    let answer = gateway
        .ask("GET", "/exact-999", &[("host", "host-999.test"), ("kong-debug", "1")])
        .await;
    assert_eq!(answer.header("kong-route-name"), "route-999");
}
