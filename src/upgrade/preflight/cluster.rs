//! Checks of the cluster: version, access, rights, definitions, class, other controllers, quotas.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    facts::{Facts, NewPods, Plan},
    report::Finding,
    workload::{containers, is_owned, replicas},
};
use crate::upgrade::definitions::{self, Step};

/// The oldest Kubernetes that the chart is made for: `preStop.sleep`.
const OLDEST_KUBERNETES: (u32, u32) = (1, 30);
/// `spec.controller` of the IngressClasses that are ours.
const CLASS_CONTROLLER: &str = "ingress-controllers.konghq.com/kong";

pub(super) fn kubernetes(facts: &Facts) -> Option<Finding> {
    let (major, minor) = facts.kubernetes?;
    let (oldest_major, oldest_minor) = OLDEST_KUBERNETES;
    Some(if (major, minor) < OLDEST_KUBERNETES {
        Finding::failure(
            "kubernetes",
            format!("the API server is {major}.{minor}"),
            format!("upgrade the cluster to {oldest_major}.{oldest_minor} or newer"),
        )
    } else {
        Finding::good("kubernetes", format!("{major}.{minor}"))
    })
}

pub(super) fn access(facts: &Facts) -> Vec<Finding> {
    if facts.unread.is_empty() {
        return vec![Finding::good("access", "everything that is checked could be read")];
    }
    let unread = facts.unread.iter().map(|unread| {
        Finding::failure(
            "access",
            format!(
                "{} can't be read, so that they go unchecked: {}",
                unread.what, unread.why
            ),
            format!("give the account {}, or --ignore access", unread.right),
        )
    });
    unread.collect()
}

pub(super) fn rights(facts: &Facts) -> Option<Finding> {
    if facts.rights.is_empty() {
        return None;
    }
    let missing: Vec<&str> = facts
        .rights
        .iter()
        .filter(|right| !right.is_allowed)
        .map(|right| right.what.as_str())
        .collect();
    Some(if missing.is_empty() {
        Finding::good("rights", "you may do all that the chart needs")
    } else {
        Finding::failure(
            "rights",
            format!("you may not: {}", missing.join("; ")),
            "let somebody install who may, such as a cluster-admin",
        )
    })
}

pub(super) fn definitions(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "definitions";
    let mut findings = Vec::new();
    let (mut missing, mut older) = (Vec::new(), Vec::new());
    for (wanted, found) in &facts.definitions {
        match definitions::step(wanted, found.as_ref()) {
            Step::Refuse(refusal) if plan.manages_definitions => findings.push(Finding::failure(
                CHECK,
                format!("{}: {}", wanted.name, refusal.message),
                refusal.remedy,
            )),
            Step::Create if !plan.manages_definitions => missing.push(wanted.name.as_str()),
            Step::Upgrade { from } if !plan.manages_definitions => older.push(format!("{} ({from})", wanted.name)),
            _ => {}
        }
        if let Some((namespace, release)) = found.as_ref().and_then(|found| found.helm_release.as_ref())
            && !found.as_ref().is_some_and(|found| found.is_kept)
            && (*release != plan.release || *namespace != plan.release_namespace)
        {
            findings.push(Finding::warning(
                CHECK,
                format!(
                    "{} belongs to the Helm release {namespace}/{release}: when that goes, every object of the kind goes",
                    wanted.name
                ),
                format!("kubectl annotate crd {} helm.sh/resource-policy=keep", wanted.name),
            ));
        }
    }
    const BY_HAND: &str =
        "silverback crds apply, or silverback crds print | kubectl apply --server-side --force-conflicts -f -";
    if !missing.is_empty() {
        findings.push(Finding::failure(
            CHECK,
            format!("missing, and crds.manage is false: {}", missing.join(", ")),
            BY_HAND,
        ));
    }
    if !older.is_empty() {
        findings.push(Finding::failure(
            CHECK,
            format!(
                "of an older silverback, whose statuses lack fields, and crds.manage is false: {}",
                older.join(", ")
            ),
            BY_HAND,
        ));
    }
    if findings.is_empty() && !facts.definitions.is_empty() {
        let here = facts.definitions.iter().filter(|(_, found)| found.is_some()).count();
        let count = facts.definitions.len();
        findings.push(Finding::good(
            CHECK,
            format!("{here} of {count} are there, none in the way"),
        ));
    }
    findings
}

pub(super) fn gateway_api(facts: &Facts) -> Finding {
    let message = match &facts.gateway_api {
        Some((version, channel)) => format!("its definitions are of {version}, channel {channel}; they are left alone"),
        None => "its definitions are not installed: without them there are no Gateways and routes".to_owned(),
    };
    Finding::good("gateway-api", message)
}

pub(super) fn ingress_class(plan: &Plan, facts: &Facts) -> Option<Finding> {
    const CHECK: &str = "ingress-class";
    let class = facts.ingress_class.as_ref()?;
    let controller = class["spec"]["controller"].as_str().unwrap_or_default();
    let name = &plan.ingress_class;
    Some(if controller != CLASS_CONTROLLER {
        Finding::failure(
            CHECK,
            format!("IngressClass {name} is of another controller, {controller}"),
            "give another name in ingressClass.name",
        )
    } else if plan.creates_ingress_class && !is_owned(class, &plan.release, &plan.release_namespace) {
        let owner = class["metadata"]["annotations"]["meta.helm.sh/release-name"].as_str();
        Finding::failure(
            CHECK,
            match owner {
                Some(owner) => format!("IngressClass {name} belongs to the Helm release {owner}"),
                None => format!("IngressClass {name} was not made by Helm, which refuses to touch it"),
            },
            "ingressClass.create=false",
        )
    } else {
        Finding::good(CHECK, format!("IngressClass {name} is there, and ours"))
    })
}

pub(super) fn other_controllers(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "other-controllers";
    let own = facts.controllers.iter().filter(|controller| is_own(plan, controller));
    let mut watched = BTreeSet::new();
    for controller in own {
        watched.extend(controller.namespaces.iter().cloned());
    }
    let others = facts.controllers.iter().filter(|controller| {
        !is_own(plan, controller)
            && controller.ingress_class == plan.ingress_class
            && controller.shares_namespaces(&watched)
    });
    let findings: Vec<Finding> = others
        .map(|controller| {
            Finding::failure(
                CHECK,
                format!(
                    "{} serves the class {} too: both would write the statuses of the same objects",
                    controller.workload, plan.ingress_class
                ),
                "give one of the two another class (ingressClass.name) or other namespaces (controller.watchNamespaces); if both are \
                 meant to serve it, --ignore other-controllers",
            )
        })
        .collect();
    if findings.is_empty() {
        return vec![Finding::good(CHECK, format!("none on class {}", plan.ingress_class))];
    }
    findings
}

fn is_own(plan: &Plan, controller: &super::Controller) -> bool {
    controller.namespace == plan.namespace && controller.release.as_ref() == Some(&plan.release)
}

pub(super) fn quotas(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "quotas";
    let mut needed: BTreeMap<&str, f64> = BTreeMap::new();
    for pods in &plan.new_pods {
        let replaced = replaced(pods, plan, facts);
        for name in ["pods", "count/pods"] {
            *needed.entry(name).or_default() += more(pods, replaced.as_ref(), 1.0, |_| 1.0);
        }
        for (name, value) in &pods.resources {
            let Some(value) = quantity(value) else { continue };
            *needed.entry(name).or_default() += more(pods, replaced.as_ref(), value, |old| asked(old, name));
        }
    }
    let mut findings = Vec::new();
    for quota in &facts.quotas {
        for (name, hard) in quota["status"]["hard"].as_object().into_iter().flatten() {
            // Quotas name requests without the word, too.
            let asked = match name.as_str() {
                "cpu" => "requests.cpu",
                "memory" => "requests.memory",
                name => name,
            };
            let number = |value: &Value| value.as_str().and_then(quantity);
            let (Some(hard), Some(need)) = (number(hard), needed.get(asked)) else {
                continue;
            };
            let used = number(&quota["status"]["used"][name]).unwrap_or(0.0);
            if used + need > hard {
                findings.push(Finding::failure(
                    CHECK,
                    format!(
                        "ResourceQuota {} has room for {} of {name}, and the upgrade needs {} more",
                        super::workload::name(quota),
                        round(hard - used),
                        round(*need)
                    ),
                    "raise the quota, or lower replicas or resources",
                ));
            }
        }
    }
    if findings.is_empty() && !facts.quotas.is_empty() {
        findings.push(Finding::good(CHECK, "there is room for the new pods"));
    }
    findings
}

/// Pods whose place others take.
struct Replaced<'a> {
    /// The Deployment that they are of, as it is.
    deployment: &'a Value,
    /// How many there are.
    count: u64,
    /// How many there will be.
    coming: u64,
}

/// Those whose place these take, if their Deployment is there.
fn replaced<'a>(pods: &NewPods, plan: &Plan, facts: &'a Facts) -> Option<Replaced<'a>> {
    let wanted = pods.deployment.as_deref()?;
    let mut deployments = facts.deployments.iter();
    let deployment = deployments.find(|deployment| super::workload::name(deployment) == wanted)?;
    let count = replicas(deployment).unwrap_or(1);
    let release = match plan.is_hook {
        true => facts.pending.as_ref(),
        false => facts.deployed.as_ref(),
    };
    let mut manifest = release.into_iter().flat_map(|release| release.of_kind("Deployment"));
    let rendered = manifest.find(|object| object.name.name == wanted);
    Some(Replaced {
        deployment,
        count,
        coming: match rendered {
            // An autoscaler counts: it may have made more of them than it must.
            Some(rendered) if replicas(&rendered.content).is_none() => pods.count.max(count),
            _ => pods.count,
        },
    })
}

/// How much more is in use while pods come than before: each asks for `each`, and an old one for what `of_old` says. Old pods are in
/// what is used already, and go one after another.
fn more(pods: &NewPods, replaced: Option<&Replaced<'_>>, each: f64, of_old: impl Fn(&Value) -> f64) -> f64 {
    let Some(replaced) = replaced else {
        return each * pods.count as f64;
    };
    let before = of_old(replaced.deployment) * replaced.count as f64;
    let surge = pods.surge.rounded_up(replaced.coming);
    let at_first = each * surge as f64;
    let at_last = each * (replaced.coming + surge) as f64 - before;
    at_first.max(at_last)
}

/// What a pod of a Deployment asks for, by its name in a ResourceQuota: `requests.cpu`.
fn asked(deployment: &Value, name: &str) -> f64 {
    let Some((kind, resource)) = name.split_once('.') else {
        return 0.0;
    };
    let of_containers = containers(deployment).filter_map(|container| {
        let value = &container["resources"][kind][resource];
        value.as_str().and_then(quantity).or_else(|| value.as_f64())
    });
    of_containers.sum()
}

/// Without the noise of binary fractions.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A quantity as Kubernetes writes it: `50m`, `64Mi`, `2`, `1e3`.
pub(super) fn quantity(text: &str) -> Option<f64> {
    let text = text.trim();
    let split = text
        .find(|letter: char| letter.is_ascii_alphabetic() && letter != 'e' && letter != 'E')
        .or_else(|| text.strip_suffix('E').map(str::len))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}
