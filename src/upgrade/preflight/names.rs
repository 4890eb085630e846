//! Checks of the release that is there, and of names: what must keep its name, kind and selector, and what is in the way.

use serde_json::Value;

use super::{
    facts::{Adopt, Facts, Plan},
    report::Finding,
    workload::{database, is_owned, labels, name, proxy, selector, shown},
};
use crate::upgrade::release::Release;

/// Charts with proxies and their controller.
const CHARTS: [&str; 3] = ["kong", "ingress", "silverback"];

pub(super) fn release(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "release";
    let mut findings = Vec::new();
    if let Some(pending) = &facts.pending
        && !plan.is_hook
    {
        findings.push(Finding::failure(
            CHECK,
            format!(
                "revision {} is {}: Helm is at work on it, or was broken off",
                pending.revision, pending.status
            ),
            "wait for it; if nobody is at work, helm rollback to the last good revision",
        ));
    }
    let Some(deployed) = &facts.deployed else {
        findings.push(Finding::good(
            CHECK,
            "there is none of that name: it is a fresh installation",
        ));
        return findings;
    };
    let chart = format!("{} {}", deployed.chart, deployed.chart_version);
    let fitting = match deployed.chart.as_str() {
        "kong" => plan.adopt == Adopt::Kong,
        "ingress" => plan.adopt == Adopt::Ingress,
        _ => true,
    };
    findings.push(if !CHARTS.contains(&deployed.chart.as_str()) {
        Finding::failure(
            CHECK,
            format!(
                "revision {} is of the chart {chart}, which can't be taken over",
                deployed.revision
            ),
            "install under another release name",
        )
    } else if !fitting {
        Finding::failure(
            CHECK,
            format!(
                "revision {} is of the chart {chart}, and adopt is {}",
                deployed.revision,
                plan.adopt.as_str()
            ),
            format!("--set adopt={}", deployed.chart),
        )
    } else {
        Finding::good(CHECK, format!("revision {} is of the chart {chart}", deployed.revision))
    });
    findings
}

/// Other releases of the namespace.
pub(super) fn neighbours(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let others = facts.neighbours.iter().filter(|other| {
        other.name != plan.release && CHARTS.contains(&other.chart.as_str()) && other.status != "uninstalled"
    });
    let findings = others.map(|other| {
        let message = format!(
            "the namespace has the release {} of the chart {} {} too",
            other.name, other.chart, other.chart_version
        );
        if other.chart == "silverback" {
            Finding::failure(
                "second-release",
                message,
                format!(
                    "upgrade that one (helm upgrade {}), or install in another namespace",
                    other.name
                ),
            )
        } else {
            Finding::warning(
                "second-release",
                message,
                "if this one is to take its place, upgrade it under its own name instead",
            )
        }
    });
    findings.collect()
}

/// The proxies of the release that is there.
pub(super) fn proxies(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(deployed) = &facts.deployed else {
        return findings;
    };
    let live = |kind: &str, name: &str| live(facts, kind, name);
    let owned: Vec<(&str, &Value)> = ["Deployment", "DaemonSet", "StatefulSet"]
        .into_iter()
        .flat_map(|kind| deployed.of_kind(kind))
        .map(|object| {
            let live = live(&object.name.kind, &object.name.name);
            (object.name.kind.as_str(), live.unwrap_or(&object.content))
        })
        .filter(|(_, workload)| proxy(workload).is_some())
        .collect();
    if owned.is_empty() {
        findings.push(Finding::failure(
            "names",
            format!(
                "release {} has no proxies: no workload of it has a container named proxy",
                deployed.name
            ),
            "upgrade the release that has them; a release with a controller alone is replaced by this chart as a whole",
        ));
    }
    for (kind, workload) in owned {
        let found = name(workload);
        if kind != "Deployment" {
            findings.push(Finding::failure(
                "kind",
                format!("the proxies are a {kind}, {found}, and would be deleted at once when they become a Deployment"),
                "install silverback beside it under another release name and IngressClass, move the traffic, then uninstall \
                 this release (UPGRADING.md, \"A DaemonSet\"): nothing changes the kind without a gap, the old chart neither",
            ));
        } else if found != plan.proxy_deployment {
            findings.push(Finding::failure(
                "names",
                format!(
                    "the proxies' Deployment is {found}, and would become {}: Helm would delete all old pods at once",
                    plan.proxy_deployment
                ),
                rename_remedy(plan, found),
            ));
        } else {
            findings.push(Finding::good("names", format!("Deployment {found} keeps its name")));
            let here = selector(workload);
            if here != plan.proxy_selector {
                findings.push(Finding::failure(
                    "selectors",
                    format!(
                        "Deployment {found} selects its pods by {}, which can't become {}",
                        shown(&here),
                        shown(&plan.proxy_selector)
                    ),
                    format!(
                        "set {}, or the release name, so that the labels are the same",
                        plan.proxy_value("nameOverride")
                    ),
                ));
            }
        }
        let container = proxy(workload).expect("they were chosen by it");
        match database(container) {
            Ok("off") => {}
            Ok(database) => findings.push(Finding::failure(
                "database",
                format!("the proxies of {kind} {found} have a database ({database}); only DB-less proxies are driven"),
                format!(
                    "move to DB-less first: export the configuration to Kubernetes objects, and set {} in the old chart",
                    plan.proxy_value("env.database=off")
                ),
            )),
            Err(()) => findings.push(Finding::warning(
                "database",
                format!("KONG_DATABASE of {kind} {found} comes from elsewhere, so that it is not known"),
                "make sure that it is off",
            )),
        }
    }
    findings
}

fn rename_remedy(plan: &Plan, found: &str) -> String {
    match found.strip_prefix(&format!("{}-", plan.release)) {
        Some(rest) => format!("--set {}={rest}", plan.proxy_value("nameOverride")),
        None => format!("--set {}={found}", plan.proxy_value("fullnameOverride")),
    }
}

fn live<'a>(facts: &'a Facts, kind: &str, wanted: &str) -> Option<&'a Value> {
    let list = match kind {
        "Deployment" => &facts.deployments,
        "DaemonSet" => &facts.daemon_sets,
        "Service" => &facts.services,
        _ => return None,
    };
    list.iter().find(|object| name(object) == wanted)
}

/// The Service that traffic comes by.
pub(super) fn services(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "services";
    let mut findings = Vec::new();
    let of_traffic = |service: &Value| {
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let mut names = ports.filter_map(|port| port["name"].as_str());
        names.any(|name| name == "kong-proxy" || name == "kong-proxy-tls")
    };
    let owned = facts
        .deployed
        .as_ref()
        .map(|deployed| traffic_services(deployed, of_traffic));
    if let Some(owned) = owned
        && !owned.is_empty()
        && !owned.iter().any(|found| *found == plan.proxy_service)
    {
        findings.push(Finding::failure(
            "names",
            format!(
                "the proxies' Service is {}, and would become {}: its address and load balancer would be lost",
                owned.join(", "),
                plan.proxy_service
            ),
            format!("--set {}={}", plan.proxy_value("proxy.nameOverride"), owned[0]),
        ));
    }
    let Some(service) = live(facts, "Service", &plan.proxy_service) else {
        return findings;
    };
    if service["spec"]["clusterIP"] == "None" {
        findings.push(Finding::failure(
            CHECK,
            format!("Service {} is headless, which can't be changed", plan.proxy_service),
            format!(
                "kubectl delete service {}, outside of the hours of traffic",
                plan.proxy_service
            ),
        ));
    }
    let selected = labels(&service["spec"]["selector"]);
    let is_selected = |(name, value): (&String, &String)| plan.proxy_selector.get(name) == Some(value);
    if !selected.iter().all(is_selected) {
        findings.push(Finding::failure(
            CHECK,
            format!(
                "Service {} selects {}: not all of these labels are on the new pods ({})",
                plan.proxy_service,
                shown(&selected),
                shown(&plan.proxy_selector)
            ),
            "give the Service the selector of its chart again",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::good(
            CHECK,
            format!("Service {} keeps name, addresses and selector", plan.proxy_service),
        ));
    }
    findings
}

fn traffic_services(deployed: &Release, of_traffic: impl Fn(&Value) -> bool) -> Vec<&str> {
    let services = deployed.of_kind("Service");
    let services = services.filter(|service| of_traffic(&service.content));
    services.map(|service| service.name.name.as_str()).collect()
}

/// What the chart makes anew must not be there under somebody else.
pub(super) fn new_objects(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "names";
    let mut findings = Vec::new();
    let of_proxies = plan.proxy_value("nameOverride");
    let of_proxies = of_proxies.as_str();
    let of_controllers = match plan.adopt {
        Adopt::Kong => "nameOverride",
        Adopt::Ingress => "controller.nameOverride",
    };
    let mut made = vec![
        ("Deployment", &plan.proxy_deployment, of_proxies),
        ("Service", &plan.proxy_service, of_proxies),
    ];
    if !plan.has_sidecars {
        made.push(("Deployment", &plan.controller_deployment, of_controllers));
        made.push(("Service", &plan.admin_service, of_proxies));
    }
    for (kind, wanted, value) in made {
        let Some(found) = live(facts, kind, wanted) else {
            continue;
        };
        if !is_owned(found, &plan.release, &plan.release_namespace) {
            findings.push(Finding::failure(
                CHECK,
                format!("{kind} {wanted} is there, and does not belong to this release: Helm refuses to touch it"),
                format!(
                    "delete or rename it, or set {value}; or give it to the release: helm upgrade --take-ownership"
                ),
            ));
        }
    }
    if plan.has_sidecars {
        return findings;
    }
    if let Some(admin) = live(facts, "Service", &plan.admin_service)
        && admin["spec"]["clusterIP"] != "None"
    {
        findings.push(Finding::failure(
            "services",
            format!(
                "Service {} has a cluster IP, and can't become headless",
                plan.admin_service
            ),
            format!(
                "kubectl delete service {}: nothing but the controller uses it",
                plan.admin_service
            ),
        ));
    }
    findings
}
