//! Preflight over what it may find: what all checks share, and what is none of theirs. One file per check beside it.

#![allow(clippy::needless_pass_by_value, clippy::unwrap_used)]

mod certificates;
mod names;
mod neighbours;
mod room;

use serde_json::{Value, json};

use super::*;
use crate::upgrade::{
    definitions::Definition,
    release::{Release, manifest},
};

fn plan() -> Plan {
    let selector = [("name", "kong"), ("component", "app"), ("instance", "shop")];
    Plan {
        release: "shop".to_owned(),
        namespace: "gateway".to_owned(),
        release_namespace: "gateway".to_owned(),
        adopt: Adopt::Kong,
        has_sidecars: false,
        proxy_deployment: "shop-kong".to_owned(),
        proxy_selector: selector
            .map(|(name, value)| (format!("app.kubernetes.io/{name}"), value.to_owned()))
            .into(),
        proxy_service: "shop-kong-proxy".to_owned(),
        controller_deployment: "shop-kong-controller".to_owned(),
        admin_service: "shop-kong-gateway-admin".to_owned(),
        ingress_class: "kong".to_owned(),
        creates_ingress_class: true,
        manages_definitions: true,
        proxy_certificate_secret: Some("shop-kong-proxy-tls".to_owned()),
        new_pods: Vec::new(),
        is_hook: false,
        ignored: Vec::new(),
    }
}

fn owned(kind: &str, name: &str, spec: &Value) -> Value {
    let api_version = if kind == "Deployment" { "apps/v1" } else { "v1" };
    json!({
        "apiVersion": api_version, "kind": kind, "spec": spec,
        "metadata": { "name": name, "namespace": "gateway", "annotations": {
            "meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "gateway",
        } },
    })
}

/// The Deployment of the chart `kong`: controller and proxy in one pod.
fn sidecar() -> Value {
    owned(
        "Deployment",
        "shop-kong",
        &json!({
            "replicas": 3,
            "selector": { "matchLabels": plan().proxy_selector },
            "template": { "spec": { "containers": [
                { "name": "ingress-controller", "image": "kong/kubernetes-ingress-controller:3.5",
                  "env": [{ "name": "CONTROLLER_INGRESS_CLASS", "value": "kong" }] },
                { "name": "proxy", "image": "kong:3.9", "env": [{ "name": "KONG_DATABASE", "value": "off" }] },
            ] } },
        }),
    )
}

fn proxy_service() -> Value {
    owned(
        "Service",
        "shop-kong-proxy",
        &json!({
            "clusterIP": "10.0.0.7", "selector": plan().proxy_selector,
            "ports": [{ "name": "kong-proxy", "port": 80 }],
        }),
    )
}

/// A cluster with a release of the chart `kong`.
fn facts() -> Facts {
    let objects = [
        sidecar(),
        proxy_service(),
        owned("Service", "shop-kong-manager", &json!({})),
        owned("ServiceAccount", "shop-kong", &json!({})),
    ];
    let text: Vec<String> = objects.iter().map(ToString::to_string).collect();
    Facts {
        now: "2026-11-29T12:00:00Z".parse().unwrap(),
        kubernetes: Some((1, 34)),
        deployed: Some(Release {
            name: "shop".to_owned(),
            namespace: "gateway".to_owned(),
            revision: 3,
            status: "deployed".to_owned(),
            chart: "kong".to_owned(),
            chart_version: "3.4.1".to_owned(),
            values: Value::Null,
            objects: manifest(&text.join("\n---\n"), "gateway").unwrap(),
        }),
        deployments: vec![sidecar()],
        services: vec![proxy_service()],
        controllers: vec![Controller::of(&sidecar()).unwrap()],
        ..Facts::default()
    }
}

/// What fails: check, message and remedy.
fn failures(plan: &Plan, facts: &Facts) -> Vec<(&'static str, String)> {
    let report = judge(plan, facts);
    let failures = report.findings.iter().filter(|finding| finding.level == Level::Failure);
    failures
        .map(|finding| {
            let remedy = finding.remedy.as_deref().expect("each failure has a remedy");
            (finding.check, format!("{}; {remedy}", finding.message))
        })
        .collect()
}

#[track_caller]
fn fails(plan: &Plan, facts: &Facts, check: &str, says: &str) {
    let failures = failures(plan, facts);
    let (found, message) = failures.first().unwrap_or_else(|| panic!("{check} did not fail"));
    assert_eq!((*found, failures.len()), (check, 1), "{failures:?}");
    assert!(message.contains(says), "{message}");
}

#[test]
fn a_release_of_the_chart_kong_can_be_taken_over() {
    let report = judge(&plan(), &facts());
    assert_eq!(report.failures(), 0, "{report}");
    let text = report.to_string();
    for line in [
        "revision 3 is of the chart kong 3.4.1",
        "kept, since old pods need them, as far as the new release does not have them: ServiceAccount gateway/shop-kong",
        "Deployment shop-kong rolls over its 3 pods",
        "the controllers in the old pods go with them",
        "Result: it can go on.",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn in_the_hook_it_is_known_what_helm_deletes() {
    let mut facts = facts();
    let objects = [sidecar(), proxy_service()]
        .map(|object| object.to_string())
        .join("\n---\n");
    facts.pending = Some(Release {
        status: "pending-upgrade".to_owned(),
        revision: 4,
        objects: manifest(&objects, "gateway").unwrap(),
        ..Release::default()
    });
    fails(&plan(), &facts, "release", "Helm is at work");
    let plan = Plan {
        is_hook: true,
        ..plan()
    };
    let report = judge(&plan, &facts);
    let expected = "deleted by Helm: Service gateway/shop-kong-manager".to_owned();
    assert!(report.outlook.contains(&expected), "{report}");
}

#[test]
fn a_fresh_installation_has_nothing_in_its_way() {
    let report = judge(
        &plan(),
        &Facts {
            kubernetes: Some((1, 30)),
            ..Facts::default()
        },
    );
    assert_eq!(report.failures(), 0, "{report}");
    assert!(report.to_string().contains("fresh installation"));
    let old = Facts {
        kubernetes: Some((1, 29)),
        ..Facts::default()
    };
    fails(&plan(), &old, "kubernetes", "1.30");
}

#[test]
fn definitions_in_the_way_are_told() {
    let named = |version: Option<&str>| Definition {
        name: "kongplugins.configuration.konghq.com".to_owned(),
        version: version.map(str::to_owned),
        versions: vec!["v1".to_owned()],
        helm_release: Some(("kong".to_owned(), "old".to_owned())),
        ..Definition::default()
    };
    let mut other = facts();
    other.definitions = vec![(named(Some("0.1.0")), Some(named(Some("0.2.0"))))];
    fails(&plan(), &other, "definitions", "crds.manage=false");
    other.definitions = vec![(named(Some("0.1.0")), Some(named(None)))];
    let report = judge(&plan(), &other);
    assert!(report.to_string().contains("helm.sh/resource-policy=keep"), "{report}");
    other.definitions = vec![(named(Some("0.1.0")), None)];
    let left_alone = Plan {
        manages_definitions: false,
        ..plan()
    };
    fails(&left_alone, &other, "definitions", "silverback crds print");
    other.definitions = vec![(named(Some("0.2.0")), Some(named(Some("0.1.0"))))];
    fails(&left_alone, &other, "definitions", "silverback crds print");
}

#[test]
fn what_can_not_be_read_or_done_fails() {
    let mut other = facts();
    other.unread = vec![Unread {
        what: "Deployments of all namespaces".to_owned(),
        right: "list on deployments (apps)".to_owned(),
        why: "forbidden".to_owned(),
    }];
    fails(&plan(), &other, "access", "list on deployments");
    let mut other = facts();
    other.rights = vec![Right {
        what: "create on clusterroles".to_owned(),
        is_allowed: false,
    }];
    fails(&plan(), &other, "rights", "create on clusterroles");
}
