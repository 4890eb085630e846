//! What keeps its name, and what can not.

use serde_json::json;

use super::*;

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
