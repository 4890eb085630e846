//! Preflight over what it may find.

#![allow(clippy::needless_pass_by_value, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use serde_json::{Value, json};

use super::{cluster::quantity, *};
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
fn renames_and_changes_of_kind_are_refused() {
    let renamed = Plan {
        proxy_deployment: "shop".to_owned(),
        ..plan()
    };
    fails(&renamed, &facts(), "names", "--set nameOverride=kong");
    let renamed = Plan {
        proxy_service: "shop-proxy".to_owned(),
        ..plan()
    };
    fails(&renamed, &facts(), "names", "load balancer");

    let mut other = facts();
    other.deployments[0]["spec"]["selector"]["matchLabels"] = json!({ "app": "shop" });
    fails(&plan(), &other, "selectors", "app=shop");

    let mut daemon = sidecar();
    daemon["kind"] = json!("DaemonSet");
    let mut other = facts();
    other.deployments.clear();
    other.daemon_sets = vec![daemon.clone()];
    other.deployed.as_mut().unwrap().objects = manifest(&daemon.to_string(), "gateway").unwrap();
    fails(&plan(), &other, "kind", "beside it under another release name");
}

#[test]
fn remedies_name_the_values_of_the_chart_whose_names_are_kept() {
    let plan = Plan {
        adopt: Adopt::Ingress,
        proxy_deployment: "shop".to_owned(),
        ..plan()
    };
    let mut other = facts();
    other.deployed.as_mut().unwrap().chart = "ingress".to_owned();
    fails(&plan, &other, "names", "--set gateway.nameOverride=kong");
    let renamed = Plan {
        proxy_deployment: "shop-kong".to_owned(),
        proxy_service: "shop-proxy".to_owned(),
        ..plan
    };
    fails(
        &renamed,
        &other,
        "names",
        "--set gateway.proxy.nameOverride=shop-kong-proxy",
    );
}

#[test]
fn with_sidecars_there_is_no_deployment_of_controllers() {
    let sidecars = Plan {
        has_sidecars: true,
        ..plan()
    };
    let fresh = judge(&sidecars, &Facts::default());
    let made = "Deployment shop-kong is made: a controller in each of its pods".to_owned();
    assert!(fresh.outlook.contains(&made), "{fresh}");
    let mut other = facts();
    let mut foreign = owned(
        "Service",
        "shop-kong-gateway-admin",
        &json!({ "clusterIP": "10.0.0.9" }),
    );
    foreign["metadata"]["annotations"] = json!({});
    other.services.push(foreign);
    let text = judge(&sidecars, &other).to_string();
    assert!(text.contains("each of them brings a controller of its own"), "{text}");
    assert!(!text.contains("one controller for all proxies"), "{text}");
    assert_eq!(failures(&sidecars, &other), [], "nothing is made of that name");
    other
        .deployments
        .push(owned("Deployment", "shop-kong-controller", &json!({})));
    let text = judge(&sidecars, &other).to_string();
    assert!(text.contains("Deployment shop-kong-controller is deleted"), "{text}");
}

#[test]
fn objects_may_be_in_another_namespace_than_the_release() {
    let mut other = facts();
    for object in other.deployments.iter_mut().chain(&mut other.services) {
        object["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = json!("helm");
    }
    fails(
        &Plan {
            proxy_service: "shop-kong-proxy".to_owned(),
            ..plan()
        },
        &Facts {
            services: Vec::new(),
            ..other.clone()
        },
        "names",
        "does not belong to this release",
    );
    let parted = Plan {
        release_namespace: "helm".to_owned(),
        ..plan()
    };
    assert_eq!(failures(&parted, &other), []);
}

#[test]
fn charts_that_do_not_fit_are_refused() {
    let ingress = Plan {
        adopt: Adopt::Ingress,
        ..plan()
    };
    fails(&ingress, &facts(), "release", "adopt=kong");
    let mut other = facts();
    other.deployed.as_mut().unwrap().chart = "wordpress".to_owned();
    fails(&plan(), &other, "release", "can't be taken over");

    let mut second = facts();
    second.neighbours = vec![Release {
        name: "other".to_owned(),
        chart: "silverback".to_owned(),
        ..Release::default()
    }];
    fails(&plan(), &second, "second-release", "helm upgrade other");
}

#[test]
fn a_database_is_refused() {
    let mut other = facts();
    let proxy = &mut other.deployments[0]["spec"]["template"]["spec"]["containers"][1];
    proxy["env"][0]["value"] = json!("postgres");
    fails(&plan(), &other, "database", "env.database=off");
    let proxy = &mut other.deployments[0]["spec"]["template"]["spec"]["containers"][1];
    proxy["env"] = json!([]);
    fails(&plan(), &other, "database", "postgres");
    let proxy = &mut other.deployments[0]["spec"]["template"]["spec"]["containers"][1];
    proxy["env"] = json!([{ "name": "KONG_DATABASE", "valueFrom": {} }]);
    let report = judge(&plan(), &other);
    assert!(
        report.failures() == 0 && report.to_string().contains("is not known"),
        "{report}"
    );
}

#[test]
fn what_is_somebody_else_s_is_not_touched() {
    let mut foreign = owned("Service", "shop-kong-gateway-admin", &json!({ "clusterIP": "None" }));
    foreign["metadata"]["annotations"] = json!({});
    let mut other = facts();
    other.services.push(foreign);
    fails(&plan(), &other, "names", "shop-kong-gateway-admin");

    let mut other = facts();
    other.services.push(owned(
        "Service",
        "shop-kong-gateway-admin",
        &json!({ "clusterIP": "10.0.0.9" }),
    ));
    fails(&plan(), &other, "services", "headless");

    let mut other = facts();
    other.ingress_class = Some(json!({
        "metadata": { "name": "kong" }, "spec": { "controller": "ingress-controllers.konghq.com/kong" },
    }));
    fails(&plan(), &other, "ingress-class", "ingressClass.create=false");
    other.ingress_class.as_mut().unwrap()["spec"]["controller"] = json!("example.com/other");
    fails(&plan(), &other, "ingress-class", "example.com/other");
}

#[test]
fn other_controllers_on_the_class_are_refused_unless_they_look_elsewhere() {
    let mut elsewhere = sidecar();
    elsewhere["metadata"]["namespace"] = json!("other");
    let mut other = facts();
    other.controllers.push(Controller::of(&elsewhere).unwrap());
    fails(&plan(), &other, "other-controllers", "Deployment other/shop-kong");
    let ignoring = Plan {
        ignored: vec!["other-controllers".to_owned()],
        ..plan()
    };
    assert_eq!(failures(&ignoring, &other), []);

    let controller = &mut elsewhere["spec"]["template"]["spec"]["containers"][0];
    controller["args"] = json!(["--ingress-class", "internal"]);
    let found = Controller::of(&elsewhere).unwrap();
    assert_eq!(found.ingress_class, "internal", "flags win over variables");
    other.controllers[1] = found;
    assert_eq!(failures(&plan(), &other), []);

    other.controllers[0].namespaces = BTreeSet::from(["a".to_owned()]);
    other.controllers[1].ingress_class = "kong".to_owned();
    other.controllers[1].namespaces = BTreeSet::from(["b".to_owned()]);
    assert_eq!(failures(&plan(), &other), []);
}

#[test]
fn pods_that_exceed_a_quota_are_refused() {
    let mut other = facts();
    other.quotas = vec![json!({
        "metadata": { "name": "team" },
        "status": { "hard": { "pods": "10", "requests.memory": "1Gi" }, "used": { "pods": "4", "requests.memory": "900Mi" } },
    })];
    let pods = |memory: &str| NewPods {
        count: 2,
        resources: BTreeMap::from([("requests.memory".to_owned(), memory.to_owned())]),
        ..NewPods::default()
    };
    let fitting = Plan {
        new_pods: vec![pods("62Mi")],
        ..plan()
    };
    assert_eq!(failures(&fitting, &other), []);
    let exceeding = Plan {
        new_pods: vec![pods("63Mi")],
        ..plan()
    };
    fails(&exceeding, &other, "quotas", "team");
}

/// Pods that take the place of old ones need room for those that come at a time, and for what they ask more than these.
#[test]
fn a_rolling_update_needs_room_for_its_surge() {
    let quota = |hard: &str, used: &str| {
        let mut facts = facts();
        facts.quotas = vec![json!({
            "metadata": { "name": "team" },
            "status": { "hard": { "pods": "6", "cpu": hard }, "used": { "pods": "3", "cpu": used } },
        })];
        let proxy = &mut facts.deployments[0]["spec"]["template"]["spec"]["containers"][1];
        proxy["resources"] = json!({ "requests": { "cpu": "1" } });
        facts
    };
    let asking = |cpu: &str, count: u64| {
        let rolling = NewPods {
            count,
            resources: BTreeMap::from([("requests.cpu".to_owned(), cpu.to_owned())]),
            deployment: Some("shop-kong".to_owned()),
            surge: Share::Pods(1),
        };
        let made = NewPods {
            count: 2,
            deployment: Some("shop-kong-controller".to_owned()),
            surge: Share::Pods(1),
            ..NewPods::default()
        };
        Plan {
            new_pods: vec![rolling, made],
            ..plan()
        }
    };
    assert_eq!(
        failures(&asking("1", 3), &quota("4", "3")),
        [],
        "one more, and two controllers"
    );
    fails(
        &asking("1", 3),
        &quota("3500m", "3"),
        "quotas",
        "the upgrade needs 1 more",
    );
    fails(&asking("2", 3), &quota("7", "3"), "quotas", "the upgrade needs 5 more");
    fails(&asking("500m", 4), &quota("4", "3"), "quotas", "of pods");
    assert_eq!(
        failures(&asking("100m", 3), &quota("3200m", "3")),
        [],
        "they ask less than before"
    );
}

/// An autoscaler may have made more pods than its least, of which the chart tells.
#[test]
fn room_for_an_autoscaler_s_surge_is_counted_from_the_pods_that_there_are() {
    let quota = |pods: &str, replicas: Option<u64>| {
        let mut facts = facts();
        facts.deployments[0]["spec"]["replicas"] = json!(10);
        facts.quotas = vec![json!({
            "metadata": { "name": "team" }, "status": { "hard": { "pods": pods }, "used": { "pods": "10" } },
        })];
        let mut new = sidecar();
        new["spec"]["replicas"] = json!(replicas);
        facts.pending = Some(Release {
            objects: manifest(&new.to_string(), "gateway").unwrap(),
            ..Release::default()
        });
        facts
    };
    let plan = Plan {
        is_hook: true,
        new_pods: vec![NewPods {
            count: 2,
            deployment: Some("shop-kong".to_owned()),
            surge: Share::Percent(25),
            ..NewPods::default()
        }],
        ..plan()
    };
    assert_eq!(failures(&plan, &quota("13", None)), []);
    fails(&plan, &quota("12", None), "quotas", "the upgrade needs 3 more");
    assert_eq!(
        failures(&plan, &quota("11", Some(2))),
        [],
        "a count in the chart is the count"
    );
}

/// The revision that Helm is about to deploy, with that strategy.
fn upgrading(strategy: Value, values: Value) -> (Plan, Facts) {
    let mut new = sidecar();
    new["spec"]["strategy"] = strategy;
    let mut facts = facts();
    facts.pending = Some(Release {
        status: "pending-upgrade".to_owned(),
        revision: 4,
        values,
        objects: manifest(&new.to_string(), "gateway").unwrap(),
        ..Release::default()
    });
    let plan = Plan {
        is_hook: true,
        ..plan()
    };
    (plan, facts)
}

#[test]
fn a_change_over_that_leaves_no_proxy_is_refused() {
    let strategy = json!({ "type": "Recreate" });
    let (hook, other) = upgrading(strategy.clone(), json!({ "updateStrategy": strategy }));
    fails(&hook, &other, "strategy", "--set updateStrategy=null");
    let mut told = facts();
    told.deployed.as_mut().unwrap().values = json!({ "updateStrategy": { "type": "Recreate" } });
    fails(&plan(), &told, "strategy", "before a new one serves");
    let ingress = Plan {
        adopt: Adopt::Ingress,
        ..plan()
    };
    let deployed = told.deployed.as_mut().unwrap();
    deployed.chart = "ingress".to_owned();
    deployed.values = json!({ "gateway": { "updateStrategy": { "type": "Recreate" } } });
    fails(&ingress, &told, "strategy", "--set gateway.updateStrategy=null");

    let all = json!({ "rollingUpdate": { "maxUnavailable": 3, "maxSurge": 1 } });
    let (hook, other) = upgrading(all.clone(), json!({ "proxy": { "updateStrategy": all } }));
    fails(
        &hook,
        &other,
        "strategy",
        "--set proxy.updateStrategy.rollingUpdate.maxUnavailable=0",
    );
    let some = json!({ "rollingUpdate": { "maxUnavailable": "34%", "maxSurge": 0 } });
    let (hook, other) = upgrading(some.clone(), json!({ "updateStrategy": some }));
    let report = judge(&hook, &other);
    assert_eq!(report.failures(), 0, "{report}");
    assert!(report.to_string().contains("up to 1 of 3 proxies are away"), "{report}");
    for whole in [
        json!({ "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } }),
        json!({ "rollingUpdate": { "maxUnavailable": "25%" } }),
    ] {
        let (hook, other) = upgrading(whole.clone(), json!({ "updateStrategy": whole }));
        let report = judge(&hook, &other);
        assert!(
            report.to_string().contains("one that serves before an old one ends"),
            "{report}"
        );
    }
}

/// With an autoscaler there is no count in the chart.
#[test]
fn an_autoscaler_s_proxies_are_as_many_as_there_are() {
    let said = |strategy: Value, live: Option<u64>| {
        let (hook, mut facts) = upgrading(strategy.clone(), json!({ "updateStrategy": strategy }));
        let objects = &mut facts.pending.as_mut().unwrap().objects;
        objects[0].content["spec"].as_object_mut().unwrap().remove("replicas");
        let scaler = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "shop-kong" },
            "spec": { "scaleTargetRef": { "name": "shop-kong" }, "minReplicas": 3, "maxReplicas": 9 },
        });
        objects.extend(manifest(&scaler.to_string(), "gateway").unwrap());
        match live {
            Some(live) => facts.deployments[0]["spec"]["replicas"] = json!(live),
            None => facts.deployments.clear(),
        }
        let findings = judge(&hook, &facts).findings.into_iter();
        let mut findings = findings.filter(|finding| finding.check == "strategy");
        let finding = findings.next().unwrap();
        (finding.level, finding.message)
    };
    // What ports of nodes ask for.
    let one = json!({ "rollingUpdate": { "maxUnavailable": 1, "maxSurge": 0 } });
    let quarter = json!({ "rollingUpdate": { "maxUnavailable": "25%", "maxSurge": 1 } });
    for (strategy, live, level, words) in [
        (&one, Some(5), Level::Warning, "up to 1 of 5 proxies"),
        (&one, None, Level::Warning, "up to 1 of 3 proxies"),
        (&one, Some(1), Level::Failure, "lets 1 of 1 proxies go"),
        (&one, Some(0), Level::Good, "before an old one ends"),
        (&quarter, Some(10), Level::Warning, "up to 2 of 10 proxies"),
        (&quarter, Some(3), Level::Good, "before an old one ends"),
    ] {
        let (found, message) = said(strategy.clone(), live);
        assert_eq!(found, level, "{strategy} with {live:?}: {message}");
        assert!(message.contains(words), "{strategy} with {live:?}: {message}");
    }
}

/// The same, where an autoscaler chooses the number of proxies from now on.
fn autoscaled(strategy: Value) -> (Plan, Facts) {
    let (hook, mut facts) = upgrading(strategy, Value::Null);
    for object in &mut facts.pending.as_mut().unwrap().objects {
        object.content["spec"].as_object_mut().unwrap().remove("replicas");
    }
    (hook, facts)
}

#[test]
fn autoscaling_that_is_switched_on_takes_the_number_away() {
    let (hook, mut facts) = autoscaled(json!({}));
    let report = judge(&hook, &facts);
    assert_eq!(report.failures(), 0, "{report}");
    assert!(report.to_string().contains("it falls from 3 to 1"), "{report}");
    // It was on before.
    for object in &mut facts.deployed.as_mut().unwrap().objects {
        object.content["spec"].as_object_mut().unwrap().remove("replicas");
    }
    let report = judge(&hook, &facts);
    assert!(!report.to_string().contains("it falls from"), "{report}");
    // It stays off.
    let (hook, facts) = upgrading(json!({}), Value::Null);
    let report = judge(&hook, &facts);
    assert!(!report.to_string().contains("it falls from"), "{report}");
}

#[test]
fn ports_of_nodes_may_leave_no_room_for_a_new_pod() {
    let mut told = facts();
    let proxy = &mut told.deployments[0]["spec"]["template"]["spec"]["containers"][1];
    proxy["ports"] = json!([{ "containerPort": 8000, "hostPort": 80 }]);
    let report = judge(&plan(), &told);
    assert_eq!(report.failures(), 0, "{report}");
    assert!(report.to_string().contains("a node that no old one is on"), "{report}");
    told.deployments[0]["spec"]["template"]["spec"]["containers"][1]["ports"] = json!([{ "containerPort": 8000 }]);
    assert!(!judge(&plan(), &told).to_string().contains("host-ports"));
    told.deployments[0]["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    assert!(judge(&plan(), &told).to_string().contains("host-ports"));
}

#[test]
fn quantities_are_read_as_kubernetes_writes_them() {
    for (text, number) in [
        ("50m", 0.05),
        ("2", 2.0),
        ("1e3", 1000.0),
        ("64Mi", 67_108_864.0),
        ("1k", 1000.0),
        ("2E", 2e18),
    ] {
        assert_eq!(quantity(text), Some(number), "{text}");
    }
    assert_eq!(quantity("many"), None);
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

/// A certificate of an authority, or the authority itself.
fn certificate(names: &[&str], purposes: &[ExtendedKeyUsagePurpose], issuer: &Issuer<'_, KeyPair>) -> String {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.extended_key_usages = purposes.to_vec();
    let key = KeyPair::generate().unwrap();
    parameters.signed_by(&key, issuer).unwrap().pem()
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let pem = parameters.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(parameters, key))
}

#[test]
fn certificates_for_other_names_are_refused() {
    let (_, issuer) = authority("ours");
    let of = |name: &str| {
        let mut facts = facts();
        facts.proxy_certificate = Some(IssuedCertificate {
            secret: "gateway/shop-kong-proxy-tls".to_owned(),
            pem: certificate(&[name], &[ExtendedKeyUsagePurpose::ServerAuth], &issuer),
        });
        facts
    };
    assert_eq!(failures(&plan(), &of("*.shop-kong-gateway-admin.gateway.svc")), []);
    fails(
        &plan(),
        &of("*.other.gateway.svc"),
        "certificates",
        "*.other.gateway.svc",
    );
    let mut broken = of("x");
    broken.proxy_certificate.as_mut().unwrap().pem = "nothing".to_owned();
    fails(&plan(), &broken, "certificates", "no certificate");
}

/// The release, with these words for the controller.
fn with_controller(release: Release, arguments: Value, environment: Value) -> Release {
    let mut deployment = sidecar();
    let controller = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    controller["args"] = arguments;
    controller["env"] = environment;
    Release {
        objects: manifest(&deployment.to_string(), "gateway").unwrap(),
        ..release
    }
}

#[test]
fn whoever_does_not_verify_its_proxies_is_told_how_to_leave_that() {
    let said = |facts: &Facts, plan: &Plan| {
        let report = judge(plan, facts);
        assert_eq!(report.failures(), 0, "{report}");
        let mut findings = report.findings.into_iter();
        let found = findings.find(|finding| finding.check == "verification");
        found.map(|finding| (finding.level, finding.message, finding.remedy.unwrap_or_default()))
    };
    let with = |chart: &str, arguments: Value, environment: Value| {
        let deployed = facts().deployed.unwrap();
        let deployed = Release {
            chart: chart.to_owned(),
            ..with_controller(deployed, arguments, environment)
        };
        Facts {
            deployed: Some(deployed),
            ..facts()
        }
    };
    assert_eq!(said(&facts(), &plan()), None);
    let variable = |value: &str| json!([{ "name": "CONTROLLER_KONG_ADMIN_TLS_SKIP_VERIFY", "value": value }]);
    assert_eq!(said(&with("kong", json!([]), variable("false")), &plan()), None);
    assert_eq!(
        said(
            &with("kong", json!(["--kong-admin-tls-skip-verify=false"]), variable("true")),
            &plan()
        ),
        None,
        "the command line goes first"
    );
    for (arguments, environment) in [
        (json!([]), variable("true")),
        (json!(["--kong-admin-tls-skip-verify", "--log-level=debug"]), json!([])),
        (json!(["--kong-admin-tls-skip-verify=true"]), json!([])),
    ] {
        let (level, message, remedy) = said(&with("kong", arguments, environment), &plan()).unwrap();
        assert_eq!(level, Level::Warning);
        assert!(
            message.contains("Deployment gateway/shop-kong does not verify"),
            "{message}"
        );
        assert!(
            message.contains("self-signed") && message.contains("old pods"),
            "{message}"
        );
        assert!(remedy.contains("--kong-admin-ca-cert-file"), "{remedy}");
    }
    // Ours, with the flag before and after, and without it after.
    let flag = || json!(["--kong-admin-tls-skip-verify"]);
    let mut ours = with("silverback", flag(), json!([]));
    let (level, _, remedy) = said(&ours, &plan()).unwrap();
    assert_eq!(level, Level::Warning);
    assert!(remedy.contains("KONG_NGINX_ADMIN_SSL_VERIFY_CLIENT"), "{remedy}");
    let hook = Plan {
        is_hook: true,
        ..plan()
    };
    ours.pending = ours.deployed.clone();
    let (level, message, _) = said(&ours, &hook).unwrap();
    assert!(
        level == Level::Warning && message.contains("VerificationDisabled"),
        "{message}"
    );
    ours.pending = Some(with_controller(ours.deployed.clone().unwrap(), json!([]), json!([])));
    assert_eq!(said(&ours, &hook).unwrap().0, Level::Good);
}

#[test]
fn whoever_may_configure_the_gateways_is_told() {
    let (pem, issuer) = authority("admin-api-ca");
    let (_, stranger) = authority("stranger");
    let mut other = facts();
    other.client_authorities = vec![("ConfigMap shop-gateway-admin-client-ca".to_owned(), pem)];
    assert!(
        judge(&plan(), &other)
            .to_string()
            .contains("no valid certificate was found")
    );
    let issued = |secret: &str, purposes: &[ExtendedKeyUsagePurpose], issuer| IssuedCertificate {
        secret: secret.to_owned(),
        pem: certificate(&["admin"], purposes, issuer),
    };
    let (client, server) = (ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth);
    other.certificates = vec![
        issued("gateway/controller", std::slice::from_ref(&client), &issuer),
        issued("gateway/other", std::slice::from_ref(&client), &stranger),
    ];
    let text = judge(&plan(), &other).to_string();
    assert!(
        text.contains("issued gateway/controller") && !text.contains("gateway/other"),
        "{text}"
    );
    other
        .certificates
        .push(issued("gateway/both", &[client, server], &issuer));
    let text = judge(&plan(), &other).to_string();
    assert!(text.contains("for servers too: gateway/both"), "{text}");
}
