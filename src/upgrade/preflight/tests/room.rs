//! Whether there is room for new pods while old ones are still there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::upgrade::preflight::cluster::quantity;

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

/// With an autoscaler there is no count in the chart. Where there was one before, Kubernetes makes 1 of it.
#[test]
fn an_autoscaler_s_proxies_are_as_many_as_there_are() {
    let said = |strategy: Value, live: Option<u64>, is_new: bool| {
        let (hook, mut facts) = upgrading(strategy.clone(), json!({ "updateStrategy": strategy }));
        if !is_new {
            uncount(facts.deployed.as_mut().unwrap());
        }
        uncount(facts.pending.as_mut().unwrap());
        let objects = &mut facts.pending.as_mut().unwrap().objects;
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
    for (strategy, live, is_new, level, words) in [
        (&one, Some(5), false, Level::Warning, "up to 1 of 5 proxies"),
        (&one, None, false, Level::Warning, "up to 1 of 3 proxies"),
        (&one, Some(1), false, Level::Failure, "lets 1 of 1 proxies go"),
        (&one, Some(0), false, Level::Good, "before an old one ends"),
        (&quarter, Some(10), false, Level::Warning, "up to 2 of 10 proxies"),
        (&quarter, Some(3), false, Level::Good, "before an old one ends"),
        (&one, Some(5), true, Level::Failure, "lets 1 of 1 proxies go"),
        (&one, Some(0), true, Level::Good, "before an old one ends"),
        (&quarter, Some(10), true, Level::Good, "before an old one ends"),
    ] {
        let (found, message) = said(strategy.clone(), live, is_new);
        assert_eq!(found, level, "{strategy} with {live:?}: {message}");
        assert!(message.contains(words), "{strategy} with {live:?}: {message}");
    }
}

/// Leaves the number of proxies to others.
fn uncount(release: &mut Release) {
    for object in &mut release.objects {
        object.content["spec"].as_object_mut().unwrap().remove("replicas");
    }
}

#[test]
fn autoscaling_that_is_switched_on_takes_the_number_away() {
    let (hook, mut facts) = upgrading(json!({}), Value::Null);
    uncount(facts.pending.as_mut().unwrap());
    let report = judge(&hook, &facts);
    assert_eq!(report.failures(), 0, "{report}");
    assert!(report.to_string().contains("it falls from 3 to 1"), "{report}");
    // More than the release had set, by hand.
    facts.deployments[0]["spec"]["replicas"] = json!(7);
    let report = judge(&hook, &facts);
    assert!(report.to_string().contains("it falls from 7 to 1"), "{report}");
    // It was on before.
    uncount(facts.deployed.as_mut().unwrap());
    let report = judge(&hook, &facts);
    assert!(!report.to_string().contains("it falls from"), "{report}");
    // It stays off.
    let (hook, facts) = upgrading(json!({}), Value::Null);
    let report = judge(&hook, &facts);
    assert!(!report.to_string().contains("it falls from"), "{report}");
}

/// Each Helm writes over what others have set, an autoscaler that is switched off included.
#[test]
fn more_proxies_than_the_values_say_are_told_of_with_the_value_that_keeps_them() {
    let words = "there are 8 proxies, which somebody else has set, and the values say 3";
    let (hook, mut facts) = upgrading(json!({}), Value::Null);
    assert!(!judge(&hook, &facts).to_string().contains("somebody else"));
    facts.deployments[0]["spec"]["replicas"] = json!(8);
    for _ in ["by hand", "by an autoscaler of before"] {
        let report = judge(&hook, &facts);
        assert_eq!(report.failures(), 0, "{report}");
        assert!(report.to_string().contains(words), "{report}");
        assert!(report.to_string().contains("--set replicaCount=8"), "{report}");
        uncount(facts.deployed.as_mut().unwrap());
    }
    // The values themselves lower it.
    let (hook, mut facts) = upgrading(json!({}), Value::Null);
    facts.pending.as_mut().unwrap().objects[0].content["spec"]["replicas"] = json!(2);
    assert!(!judge(&hook, &facts).to_string().contains("replicas "));
    // Fewer, and the values raise it.
    facts.deployments[0]["spec"]["replicas"] = json!(1);
    assert!(!judge(&hook, &facts).to_string().contains("somebody else"));
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
