//! The Gateway API with its real definitions: traffic, and statuses as kubectl shows them.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::release::{CHANGE, LIMIT, NAMESPACE, RELEASE, SHOP, all_answer_for, change_goes_live, foreign_entry};
use crate::{Arguments, cluster::Cluster, poll::eventually};

const CONTROLLER: &str = "konghq.com/kic-gateway-controller";
const OBJECTS: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: kong}
spec: {controllerName: konghq.com/kic-gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: theirs}
spec: {controllerName: example.com/other}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: kong
  listeners:
    - {name: web, port: 80, protocol: HTTP}
    - {name: secure, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: no-such-secret}]}}
    - {name: tls, port: 8443, protocol: TLS, tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: theirs, namespace: shop}
spec:
  gatewayClassName: theirs
  listeners: [{name: web, port: 80, protocol: HTTP}]
"#;
/// The application in another namespace, which the route `reaching` refers to: its pods are those of the shop.
const BANK: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: bank}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: bank}
spec: {ports: [{name: http, port: 80, targetPort: 8080}]}
"#;
const GRANT: &str = r#"
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: shop, namespace: bank}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]
  to: [{group: "", kind: Service}]
"#;
const ROUTE: &str = "httproutes.gateway.networking.k8s.io/web";
/// The listener for HTTP of our Gateway, seen from its namespace.
const EDGE: &str = "[{name: edge, sectionName: web}]";

/// A route of that kind and name with one rule, for the host of the name.
fn route_of(kind: &str, namespace: &str, name: &str, parents: &str, rule: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  parentRefs: {parents}\n  hostnames: [{name}.example]\n  rules: [{{{rule}}}]\n"
    )
}

/// Routes that stay as they are.
fn other_routes() -> String {
    const WEB: &str = "backendRefs: [{name: web, port: 80}]";
    let across = "[{name: edge, namespace: shop, sectionName: web}]";
    [
        route_of(
            "HTTPRoute",
            SHOP,
            "missing",
            EDGE,
            "backendRefs: [{name: no-such-service, port: 80}]",
        ),
        route_of("HTTPRoute", NAMESPACE, "across", across, WEB),
        route_of(
            "HTTPRoute",
            SHOP,
            "reaching",
            EDGE,
            "backendRefs: [{name: web, namespace: bank, port: 80}]",
        ),
        route_of("GRPCRoute", SHOP, "calls", EDGE, WEB),
        route_of("TLSRoute", SHOP, "through", EDGE, WEB),
    ]
    .concat()
}

/// The route that changes.
fn route(parents: &str, path: &str) -> String {
    let rule = format!("matches: [{{path: {{value: {path}}}}}], backendRefs: [{{name: web, port: 80}}]");
    route_of("HTTPRoute", SHOP, "web", parents, &rule)
}

pub(super) fn run(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let definitions = arguments.gateway_api.join("standard");
    let definitions = definitions.to_str().context("a path of text")?;
    println!("   the definitions come while the controller runs");
    cluster.kubectl(&["apply", "--server-side", "-f", definitions])?;
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    cluster.apply(BANK)?;
    cluster.apply(OBJECTS)?;
    cluster.apply(&other_routes())?;
    cluster.apply(&route(EDGE, "/"))?;
    class_and_gateway(cluster)?;
    all_answer_for(cluster, "web.example", "/", 200)?;
    routes(cluster)?;
    reference_grant(cluster)?;
    another_controller(cluster)?;

    println!("   nothing is written about what does not change");
    let versions = || resource_versions(cluster);
    let before = versions()?;
    change_goes_live(cluster)?;
    let after = versions()?;
    ensure!(before == after, "{before:?}, then {after:?}");

    println!("   all of it goes, the definitions last");
    cluster.delete(&other_routes())?;
    cluster.delete(OBJECTS)?;
    cluster.kubectl(&["delete", ROUTE, "-n", SHOP])?;
    all_answer_for(cluster, "web.example", "/", 404)?;
    cluster.delete(BANK)?;
    cluster.kubectl(&["delete", "-f", definitions])?;
    change_goes_live(cluster)
}

fn class_and_gateway(cluster: &Cluster) -> anyhow::Result<()> {
    eventually("the Gateway is programmed", LIMIT, || {
        let class = cluster.get(&["gatewayclass", "kong"])?;
        let said = said(&class["status"]["conditions"], &class)?;
        let expected = ["Accepted True Accepted", "SupportedVersion True SupportedVersion"];
        ensure!(said == expected, "{said:?}");
        let gateway = cluster.get(&["gateway", "edge", "-n", SHOP])?;
        ensure!(
            self::said(&gateway["status"]["conditions"], &gateway)?
                == ["Accepted True Accepted", "Programmed True Programmed"],
            "{}",
            gateway["status"]
        );
        Ok(())
    })?;
    let class = cluster.get(&["gatewayclass", "kong"])?;
    let features = class["status"]["supportedFeatures"].as_array().context("no features")?;
    ensure!(features.contains(&json!({ "name": "Gateway" })), "{features:?}");
    let theirs = cluster.get(&["gatewayclass", "theirs"])?;
    ensure!(
        theirs["status"]["conditions"][0]["status"] == "Unknown",
        "another's class: {}",
        theirs["status"]
    );
    let theirs = cluster.get(&["gateway", "theirs", "-n", SHOP])?;
    ensure!(
        theirs["status"]["listeners"].is_null(),
        "another's Gateway: {}",
        theirs["status"]
    );

    let service = cluster.get(&["service", "-n", NAMESPACE, &format!("{RELEASE}-kong-proxy")])?;
    let gateway = cluster.get(&["gateway", "edge", "-n", SHOP])?;
    let addresses = json!([{ "type": "IPAddress", "value": service["spec"]["clusterIP"] }]);
    ensure!(gateway["status"]["addresses"] == addresses, "{}", gateway["status"]);
    for (name, attached, kinds, expected) in [
        (
            "web",
            4,
            vec!["HTTPRoute", "GRPCRoute"],
            "Accepted True Accepted, Conflicted False NoConflicts, Programmed True Programmed, ResolvedRefs True ResolvedRefs",
        ),
        (
            "secure",
            0,
            vec!["HTTPRoute", "GRPCRoute"],
            "Accepted True Accepted, Conflicted False NoConflicts, Programmed False Invalid, ResolvedRefs False InvalidCertificateRef",
        ),
        (
            "tls",
            0,
            vec!["TLSRoute"],
            "Accepted True Accepted, Conflicted False NoConflicts, Programmed True Programmed, ResolvedRefs True ResolvedRefs",
        ),
    ] {
        eventually(&format!("the listener {name} is as it is"), CHANGE, || {
            let gateway = cluster.get(&["gateway", "edge", "-n", SHOP])?;
            let listeners = gateway["status"]["listeners"].as_array().context("no listeners")?;
            let listener = listeners
                .iter()
                .find(|listener| listener["name"] == name)
                .context("no such listener")?;
            let said = said(&listener["conditions"], &gateway)?.join(", ");
            ensure!(said == expected, "{said}");
            ensure!(listener["attachedRoutes"] == attached, "{listener}");
            let found = listener["supportedKinds"].as_array().context("no kinds")?;
            let found: Vec<_> = found.iter().filter_map(|kind| kind["kind"].as_str()).collect();
            ensure!(found == kinds, "{found:?}");
            Ok(())
        })?;
    }
    cluster.show(&["get", "gatewayclass,gateway", "-A"]).map(drop)
}

fn routes(cluster: &Cluster) -> anyhow::Result<()> {
    const SERVED: &str = "Accepted True Accepted, Programmed True ConfiguredInGateway, ResolvedRefs True ResolvedRefs";
    for (kind, namespace, name, expected) in [
        ("httproute", SHOP, "web", SERVED),
        (
            "httproute",
            SHOP,
            "missing",
            "Accepted True Accepted, Programmed True ConfiguredInGateway, ResolvedRefs False BackendNotFound",
        ),
        (
            "httproute",
            SHOP,
            "reaching",
            "Accepted True Accepted, Programmed True ConfiguredInGateway, ResolvedRefs False RefNotPermitted",
        ),
        (
            "httproute",
            NAMESPACE,
            "across",
            "Accepted False NotAllowedByListeners, Programmed Unknown Unknown",
        ),
        ("grpcroute", SHOP, "calls", SERVED),
        (
            "tlsroute",
            SHOP,
            "through",
            "Accepted False NotAllowedByListeners, Programmed Unknown Unknown",
        ),
    ] {
        eventually(&format!("the {kind} {name} says what became of it"), CHANGE, || {
            let route = cluster.get(&[kind, name, "-n", namespace])?;
            let said = said(&ours(&route)?["conditions"], &route)?.join(", ");
            ensure!(said.starts_with(expected), "{said}");
            ensure!(
                ours(&route)?["parentRef"] == route["spec"]["parentRefs"][0],
                "{}",
                route["status"]
            );
            Ok(())
        })?;
    }
    for (host, status) in [
        ("missing.example", 500),
        ("reaching.example", 500),
        ("across.example", 404),
    ] {
        all_answer_for(cluster, host, "/", status)?;
    }
    cluster
        .show(&[
            "get",
            "httproute,grpcroute,tlsroute",
            "-n",
            SHOP,
            "-o",
            r#"jsonpath={range .items[*]}{.kind} {.metadata.name}{": "}{range .status.parents[*].conditions[*]}{.type}={.status}/{.reason} {end}{"\n"}{end}"#,
        ])
        .map(drop)
}

/// A grant for the reference across namespaces comes and goes.
fn reference_grant(cluster: &Cluster) -> anyhow::Result<()> {
    println!("   a ReferenceGrant comes, and goes");
    let resolved = |status: &str| {
        eventually("the reference is judged anew", CHANGE, || {
            let route = cluster.get(&["httproute", "reaching", "-n", SHOP])?;
            let said = said(&ours(&route)?["conditions"], &route)?;
            ensure!(said[2] == status, "{said:?}");
            Ok(())
        })
    };
    cluster.apply(GRANT)?;
    resolved("ResolvedRefs True ResolvedRefs")?;
    all_answer_for(cluster, "reaching.example", "/", 503)?;
    cluster.delete(GRANT)?;
    resolved("ResolvedRefs False RefNotPermitted")?;
    all_answer_for(cluster, "reaching.example", "/", 500)
}

/// Another controller has an entry of its own on the route; then the route changes, and leaves our Gateway.
fn another_controller(cluster: &Cluster) -> anyhow::Result<()> {
    println!("   another controller has an entry on the route; the route changes, then leaves our Gateway");
    let theirs = json!({ "parentRef": { "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "theirs" } });
    let foreign = foreign_entry(cluster, ROUTE, "parents", theirs)?;
    cluster.apply(&route("[{name: edge, sectionName: web}, {name: theirs}]", "/changed"))?;
    eventually("the status speaks of the change", CHANGE, || {
        let route = cluster.get(&[ROUTE, "-n", SHOP])?;
        said(&ours(&route)?["conditions"], &route)?;
        let entries = route["status"]["parents"].as_array().context("no parents")?;
        ensure!(entries.len() == 2 && entries.contains(&foreign), "{entries:?}");
        Ok(())
    })?;
    all_answer_for(cluster, "web.example", "/changed", 200)?;
    all_answer_for(cluster, "web.example", "/", 404)?;
    cluster.apply(&route("[{name: theirs}]", "/"))?;
    eventually("our own entry is gone", CHANGE, || {
        let route = cluster.get(&[ROUTE, "-n", SHOP])?;
        let entries = route["status"]["parents"].as_array().context("no parents")?;
        ensure!(*entries == [foreign.clone()], "{entries:?}");
        let gateway = cluster.get(&["gateway", "edge", "-n", SHOP])?;
        let attached = &gateway["status"]["listeners"][0]["attachedRoutes"];
        ensure!(*attached == 3, "{attached} routes are attached");
        Ok(())
    })?;
    all_answer_for(cluster, "web.example", "/changed", 404)?;
    cluster.apply(&route(EDGE, "/"))?;
    all_answer_for(cluster, "web.example", "/", 200)?;
    eventually("our entry is back", CHANGE, || {
        let route = cluster.get(&[ROUTE, "-n", SHOP])?;
        let said = said(&ours(&route)?["conditions"], &route)?;
        ensure!(said[1] == "Programmed True ConfiguredInGateway", "{said:?}");
        let gateway = cluster.get(&["gateway", "edge", "-n", SHOP])?;
        let attached = &gateway["status"]["listeners"][0]["attachedRoutes"];
        ensure!(*attached == 4, "{attached} routes are attached");
        Ok(())
    })
}

/// Our entry in the status of a route.
fn ours(route: &Value) -> anyhow::Result<&Value> {
    let entries = route["status"]["parents"].as_array().context("no parents")?;
    let mut ours = entries.iter().filter(|entry| entry["controllerName"] == CONTROLLER);
    let entry = ours.next().context("no entry of ours")?;
    ensure!(ours.next().is_none(), "two entries of ours: {entries:?}");
    Ok(entry)
}

/// `Type Status Reason` of each condition, which must all speak of the object as it is now.
fn said(conditions: &Value, object: &Value) -> anyhow::Result<Vec<String>> {
    let conditions = conditions.as_array().context("no conditions")?;
    let mut said = Vec::new();
    for condition in conditions {
        let generation = &object["metadata"]["generation"];
        ensure!(
            condition["observedGeneration"] == *generation,
            "{condition} is not of {generation}"
        );
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        said.push(format!("{} {} {}", text("type"), text("status"), text("reason")));
    }
    Ok(said)
}

fn resource_versions(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let objects = cluster.list(&["gatewayclass,gateway,httproute,grpcroute,tlsroute", "-A"])?;
    let version = |object: &Value| {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("name"), text("resourceVersion"))
    };
    Ok(objects.iter().map(version).collect())
}
