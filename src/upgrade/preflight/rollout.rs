//! Checks of how the proxies are replaced: whether enough of them serve all the while, and whether new ones find a place.

use serde_json::Value;

use super::{
    facts::{Facts, Plan},
    report::Finding,
    share::Share,
    workload::{containers, name, replicas},
};
use crate::upgrade::release::Release;

/// What Kubernetes takes where a rolling update does not say.
const UNSAID: Share = Share::Percent(25);

/// How many proxies may be away at a time while they are replaced.
fn unavailable(strategy: &Value, count: u64) -> u64 {
    let of = |name: &str| match &strategy["rollingUpdate"][name] {
        Value::Null => Some(UNSAID),
        value => Share::of(value),
    };
    let away = of("maxUnavailable").map_or(0, |share| share.rounded_down(count));
    match of("maxSurge").map(|share| share.rounded_up(count)) {
        // Neither more nor less would be no update.
        Some(0) => away.max(1),
        _ => away,
    }
}

/// The Deployment of the proxies as Helm is about to make it, or as it is.
fn proxies<'a>(plan: &Plan, facts: &'a Facts) -> Option<&'a Value> {
    let pending = facts.pending.as_ref().filter(|_| plan.is_hook);
    let mut rendered = pending.into_iter().flat_map(|pending| pending.of_kind("Deployment"));
    let rendered = rendered.find(|object| object.name.name == plan.proxy_deployment);
    match rendered {
        Some(rendered) => Some(&rendered.content),
        None => live(plan, facts),
    }
}

/// The same as it is.
fn live<'a>(plan: &Plan, facts: &'a Facts) -> Option<&'a Value> {
    let mut live = facts.deployments.iter();
    live.find(|deployment| name(deployment) == plan.proxy_deployment)
}

/// The number of proxies that a revision sets; an inner none where it leaves that to others.
fn set(plan: &Plan, release: &Release) -> Option<Option<u64>> {
    let mut rendered = release.of_kind("Deployment");
    let found = rendered.find(|object| object.name.name == plan.proxy_deployment)?;
    Some(replicas(&found.content))
}

/// What the deployed revision sets as the number of proxies, and what the one sets that Helm is about to deploy.
fn sets(plan: &Plan, facts: &Facts) -> Option<(Option<u64>, Option<u64>)> {
    let pending = facts.pending.as_ref().filter(|_| plan.is_hook)?;
    Some((set(plan, facts.deployed.as_ref()?)?, set(plan, pending)?))
}

/// How many proxies are replaced. Where somebody else counts them, such as an autoscaler, no manifest says so, and an upgrade
/// leaves as many as there are; but where the last manifest did say so, Helm takes that away, and Kubernetes makes one of it.
fn count(plan: &Plan, facts: &Facts, proxies: &Value) -> u64 {
    let live = || live(plan, facts).and_then(replicas);
    if matches!(sets(plan, facts), Some((Some(_), None))) {
        return live().unwrap_or(1).min(1);
    }
    let least = || {
        let pending = facts.pending.as_ref().filter(|_| plan.is_hook)?;
        let mut scalers = pending.of_kind("HorizontalPodAutoscaler");
        let ours = scalers.find(|scaler| scaler.content["spec"]["scaleTargetRef"]["name"] == plan.proxy_deployment)?;
        ours.content["spec"]["minReplicas"].as_u64()
    };
    replicas(proxies).or_else(live).or_else(least).unwrap_or(1)
}

/// The user's value of the strategy, and what it is called. Kong's key wins.
fn given<'a>(plan: &Plan, facts: &'a Facts) -> (String, Option<&'a Value>) {
    let release = match &facts.pending {
        Some(pending) if plan.is_hook => Some(pending),
        _ => facts.deployed.as_ref(),
    };
    let kongs = plan.proxy_value("updateStrategy");
    for path in [kongs.as_str(), "proxy.updateStrategy"] {
        let value = release.and_then(|release| release.values.pointer(&format!("/{}", path.replace('.', "/"))));
        if let Some(value) = value.filter(|value| !value.is_null()) {
            return (path.to_owned(), Some(value));
        }
    }
    (kongs, None)
}

/// Whether proxies serve all the while.
pub(super) fn strategy(plan: &Plan, facts: &Facts) -> Option<Finding> {
    const CHECK: &str = "strategy";
    facts.deployed.as_ref()?;
    let proxies = proxies(plan, facts)?;
    let count = count(plan, facts, proxies);
    let (path, given) = given(plan, facts);
    let rendered = facts.pending.is_some() && plan.is_hook;
    // What is there was made by another chart, which may have left it to Kubernetes: only what the user set comes along.
    let strategy = match given {
        _ if rendered => &proxies["spec"]["strategy"],
        Some(given) => given,
        None => return Some(good(CHECK)),
    };
    if strategy["type"] == "Recreate" {
        return Some(Finding::failure(
            CHECK,
            format!("{path}.type is Recreate: all old proxies would end before a new one serves"),
            format!("--set {path}=null, for one more at a time and never one less"),
        ));
    }
    let away = unavailable(strategy, count);
    let remedy = format!("--set {path}.rollingUpdate.maxUnavailable=0 --set {path}.rollingUpdate.maxSurge=1");
    Some(match away {
        // Of none, none goes.
        _ if count == 0 => good(CHECK),
        0 => good(CHECK),
        away if away >= count => Finding::failure(
            CHECK,
            format!("{path} lets {away} of {count} proxies go before new ones serve: none would be left"),
            remedy,
        ),
        away => Finding::warning(
            CHECK,
            format!("{path}: up to {away} of {count} proxies are away while they are replaced"),
            format!("{remedy}, or see that the others bear the load"),
        ),
    })
}

fn good(check: &'static str) -> Finding {
    Finding::good(check, "for each proxy there is one that serves before an old one ends")
}

/// Whether there are about to be fewer proxies than there are: where autoscaling is switched on, Helm takes their number away,
/// and Kubernetes makes one of it, until the autoscaler says more; and a number that somebody has set beside the release, by hand
/// or by an autoscaler of before, becomes what the values say.
pub(super) fn number(plan: &Plan, facts: &Facts) -> Option<Finding> {
    const CHECK: &str = "replicas";
    let (old, new) = sets(plan, facts)?;
    let before = live(plan, facts).and_then(replicas).or(old)?;
    match new {
        None if old.is_some() && before > 1 => Some(Finding::warning(
            CHECK,
            format!(
                "the new values leave the number of proxies to others: it falls from {before} to 1, until they raise it"
            ),
            "switch autoscaling on by itself, in a quiet hour: proxies that end finish what they have; the autoscaler makes \
             minReplicas of it within a minute",
        )),
        Some(new) if old != Some(before) && new < before => Some(Finding::warning(
            CHECK,
            format!("there are {before} proxies, which somebody else has set, and the values say {new}"),
            format!("--set {}={before} keeps them", plan.proxy_value("replicaCount")),
        )),
        _ => None,
    }
}

/// Whether a new pod finds a node whose ports are free.
pub(super) fn host_ports(plan: &Plan, facts: &Facts) -> Option<Finding> {
    facts.deployed.as_ref()?;
    let proxies = proxies(plan, facts)?;
    let pod = &proxies["spec"]["template"]["spec"];
    let ports = containers(proxies).flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let mut ports = ports.filter(|port| port["hostPort"].as_u64().is_some_and(|port| port > 0));
    if pod["hostNetwork"] != true && ports.next().is_none() {
        return None;
    }
    let (path, _) = given(plan, facts);
    Some(Finding::warning(
        "host-ports",
        "the proxies have ports of their nodes: a new one waits for a node that no old one is on, for ever if there is none",
        format!(
            "have a node more than proxies; or accept one proxy less for a while: --set {path}.rollingUpdate.maxUnavailable=1 \
             --set {path}.rollingUpdate.maxSurge=0"
        ),
    ))
}
