//! What else there is in the cluster: databases, objects of somebody else, other controllers.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

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
