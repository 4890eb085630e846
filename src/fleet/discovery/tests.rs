#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

use serde_json::json;

use super::*;
use crate::model::{Kind, Object, Snapshot};

fn services(names: &[&str]) -> Vec<AdminService> {
    names
        .iter()
        .map(|name| AdminService {
            name: name.parse().unwrap(),
            has_identities: false,
        })
        .collect()
}

fn port_names() -> Vec<String> {
    vec!["admin-tls".to_owned(), "kong-admin-tls".to_owned()]
}

#[allow(clippy::needless_pass_by_value)]
fn slice(name: &str, service: &str, ports: serde_json::Value, endpoints: serde_json::Value) -> serde_json::Value {
    json!({
        "metadata": {"name": name, "namespace": "kong", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "ports": ports, "endpoints": endpoints,
    })
}

fn admin_ports() -> serde_json::Value {
    json!([{"name": "http", "port": 80}, {"name": "kong-admin-tls", "port": 8444, "protocol": "TCP"}])
}

fn endpoint(address: &str, pod: &str, ready: bool) -> serde_json::Value {
    json!({
        "addresses": [address], "conditions": {"ready": ready}, "nodeName": "node-a",
        "targetRef": {"kind": "Pod", "namespace": "kong", "name": pod, "uid": format!("uid-{pod}")},
    })
}

fn find(slices: &[serde_json::Value], names: &[&str]) -> Vec<Arc<ProxyTarget>> {
    let mut snapshot = Snapshot::default();
    for slice in slices {
        snapshot.insert(Object::from_json(Kind::EndpointSlice, slice.clone()).unwrap());
    }
    discover(&snapshot.endpoint_slices, &services(names), &port_names())
}

fn urls(target: &ProxyTarget) -> Vec<&str> {
    target.urls.iter().map(|url| &**url).collect()
}

#[test]
fn finds_pods_whether_ready_or_not() {
    let found = find(
        &[slice(
            "a",
            "admin",
            admin_ports(),
            json!([endpoint("10.0.0.2", "p2", false), endpoint("10.0.0.1", "p1", true)]),
        )],
        &["kong/admin"],
    );
    assert_eq!(
        found.iter().map(|target| &*target.name).collect::<Vec<_>>(),
        ["p1", "p2"]
    );
    let target = &found[1];
    assert_eq!(&*target.id.0, "uid-p2");
    assert_eq!(urls(target), ["https://10.0.0.2:8444"]);
    assert_eq!(target.server_name.as_deref(), Some("pod.admin.kong.svc"));
    assert_eq!(target.service, Some("kong/admin".parse().unwrap()));
    assert_eq!(target.node.as_deref(), Some("node-a"));
    assert!(!target.terminating);
}

#[test]
fn a_service_that_does_not_publish_unready_addresses_is_no_deadlock() {
    // All pods are unready until they are configured: then its slices say so of each endpoint, and list them.
    let unready = |address: &str, pod: &str| {
        let mut endpoint = endpoint(address, pod, false);
        endpoint["conditions"] = json!({"ready": false, "serving": false, "terminating": false});
        endpoint
    };
    let endpoints = json!([unready("10.0.0.1", "p1"), unready("10.0.0.2", "p2")]);
    let found = find(&[slice("a", "admin", admin_ports(), endpoints)], &["kong/admin"]);
    assert_eq!(found.len(), 2);
}

#[test]
fn several_slices_of_a_service_are_one_fleet_and_one_that_goes_takes_its_own_pods_only() {
    let slices = [
        slice("a", "admin", admin_ports(), json!([endpoint("10.0.0.1", "p1", true)])),
        slice("b", "admin", admin_ports(), json!([endpoint("10.0.0.2", "p2", true)])),
    ];
    let names = |slices: &[serde_json::Value]| {
        let found = find(slices, &["kong/admin"]);
        found.iter().map(|target| target.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&slices), ["p1", "p2"]);
    assert_eq!(names(&slices[1..]), ["p2"]);
    // The Service is deleted, and made again under other slices: the proxies are the same.
    assert!(names(&[]).is_empty());
    let again = slice(
        "c",
        "admin",
        admin_ports(),
        json!([endpoint("10.0.0.2", "p2", true), endpoint("10.0.0.1", "p1", false)]),
    );
    assert_eq!(find(&[again], &["kong/admin"]), find(&slices, &["kong/admin"]));
}

#[test]
fn a_proxy_with_a_certificate_of_its_own_is_dialled_by_its_uid() {
    let endpoints = json!([endpoint("10.0.0.1", "p1", true)]);
    let mut snapshot = Snapshot::default();
    let slice = slice("a", "admin", admin_ports(), endpoints);
    snapshot.insert(Object::from_json(Kind::EndpointSlice, slice).unwrap());
    let mut services = services(&["kong/admin"]);
    services[0].has_identities = true;
    let found = discover(&snapshot.endpoint_slices, &services, &port_names());
    assert_eq!(found[0].server_name.as_deref(), Some("uid-p1"));
}

#[test]
fn addresses_of_one_pod_are_one_proxy_ipv4_first() {
    let found = find(
        &[
            slice("a", "admin", admin_ports(), json!([endpoint("fd00::1", "p1", true)])),
            slice("b", "admin", admin_ports(), json!([endpoint("10.0.0.1", "p1", true)])),
            slice("c", "admin", admin_ports(), json!([endpoint("10.0.0.1", "p1", true)])),
        ],
        &["kong/admin"],
    );
    assert_eq!(found.len(), 1);
    assert_eq!(urls(&found[0]), ["https://10.0.0.1:8444", "https://[fd00::1]:8444"]);
}

#[test]
fn prefers_the_first_port_name() {
    let both = json!([{"name": "kong-admin-tls", "port": 1}, {"name": "admin-tls", "port": 2}]);
    let found = find(
        &[
            slice(
                "a",
                "admin",
                json!([{"name": "kong-admin-tls", "port": 1}]),
                json!([endpoint("10.0.0.1", "p1", true)]),
            ),
            slice("b", "admin", both, json!([endpoint("10.0.0.1", "p1", true)])),
        ],
        &["kong/admin"],
    );
    assert_eq!(urls(&found[0]), ["https://10.0.0.1:2"]);
}

#[test]
fn of_several_services_the_first_one_counts() {
    let slices = [
        slice("a", "one", admin_ports(), json!([endpoint("10.0.0.1", "p1", true)])),
        slice(
            "b",
            "two",
            admin_ports(),
            json!([endpoint("10.0.0.1", "p1", true), endpoint("10.0.0.2", "p2", true)]),
        ),
    ];
    let found = find(&slices, &["kong/two", "kong/one"]);
    let names: Vec<_> = found
        .iter()
        .map(|target| target.server_name.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["pod.two.kong.svc", "pod.two.kong.svc"]);
    assert!(
        find(&slices, &["other/two"]).is_empty(),
        "a Service of another namespace"
    );
    assert!(find(&slices, &[]).is_empty());
}

#[test]
fn keeps_terminating_ones_flagged() {
    let mut terminating = endpoint("10.0.0.1", "p1", false);
    terminating["conditions"]["terminating"] = json!(true);
    let found = find(
        &[
            slice("a", "admin", admin_ports(), json!([terminating])),
            slice("b", "admin", admin_ports(), json!([endpoint("10.0.0.1", "p1", true)])),
        ],
        &["kong/admin"],
    );
    assert_eq!(found.len(), 1);
    assert!(found[0].terminating);
}

#[test]
fn skips_what_is_no_pod_or_has_no_admin_port() {
    let mut no_pod = endpoint("10.0.0.1", "p1", true);
    no_pod["targetRef"]["kind"] = json!("Node");
    let without_reference = json!({"addresses": ["10.0.0.2"]});
    let no_address = json!({"addresses": [], "targetRef": {"kind": "Pod", "name": "p3", "uid": "u"}});
    let name = endpoint("proxy.example", "p4", true);
    let found = find(
        &[
            slice(
                "a",
                "admin",
                admin_ports(),
                json!([no_pod, without_reference, no_address, name]),
            ),
            slice(
                "b",
                "admin",
                json!([{"name": "http", "port": 80}]),
                json!([endpoint("10.0.0.5", "p5", true)]),
            ),
            slice(
                "c",
                "admin",
                json!([{"name": "admin-tls"}]),
                json!([endpoint("10.0.0.6", "p6", true)]),
            ),
        ],
        &["kong/admin"],
    );
    assert_eq!(found, []);
}

#[test]
fn an_address_that_went_to_a_new_pod_is_not_two_proxies() {
    let mut old = endpoint("10.0.0.1", "a-old", false);
    old["conditions"]["terminating"] = json!(true);
    let found = find(
        &[slice(
            "a",
            "admin",
            admin_ports(),
            json!([old, endpoint("10.0.0.1", "b-new", true)]),
        )],
        &["kong/admin"],
    );
    assert_eq!(found.iter().map(|target| &*target.name).collect::<Vec<_>>(), ["b-new"]);
}

#[test]
fn static_addresses() {
    let given = |urls: &[&str]| urls.iter().map(|&url| url.to_owned()).collect::<Vec<_>>();
    let targets = static_targets(
        &given(&[
            "https://127.0.0.1:8444/",
            "https://127.0.0.1:8444",
            "http://[::1]:8001",
            "https://proxy",
        ]),
        Some(""),
    )
    .unwrap();
    let names: Vec<_> = targets.iter().map(|target| &*target.name).collect();
    assert_eq!(names, ["127.0.0.1:8444", "[::1]:8001", "proxy:443"]);
    assert_eq!(&*targets[0].id.0, "https://127.0.0.1:8444");
    assert_eq!(targets[0].server_name, None);
    let targets = static_targets(&given(&["https://127.0.0.1:8444"]), Some("proxy.example")).unwrap();
    assert_eq!(targets[0].server_name.as_deref(), Some("proxy.example"));

    for (url, problem) in [
        ("proxy:8444", "scheme must be http or https"),
        ("https://", "empty host"),
        ("https://user:secret@proxy", "no user or password"),
        ("https://proxy/?a=b", "no query"),
    ] {
        let error = static_targets(&given(&[url]), None).unwrap_err().to_string();
        assert!(error.contains(problem), "{url}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
