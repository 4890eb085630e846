//! What will happen.

use super::{
    facts::{Facts, Plan},
    workload::{Controller, name, proxy},
};
use crate::upgrade::{
    definitions::{self, Step},
    keep,
    release::{ObjectName, Release},
};

/// In order, one line each.
pub(super) fn outlook(plan: &Plan, facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(definitions_line(plan, facts));
    let Some(deployed) = &facts.deployed else {
        lines.push(if plan.has_sidecars {
            format!(
                "Deployment {} is made: a controller in each of its pods",
                plan.proxy_deployment
            )
        } else {
            format!(
                "Deployments {} and {} are made",
                plan.proxy_deployment, plan.controller_deployment
            )
        });
        lines.push("proxies are Ready as soon as they have their first configuration".to_owned());
        return lines;
    };
    let new = facts.pending.as_ref().filter(|_| plan.is_hook);
    let kept = keep::kept(&deployed.objects, new.map(|new| new.objects.as_slice()));
    lines.extend(kept_line(&kept, new.is_some()));
    let mut deployments = facts.deployments.iter();
    let has_controllers = deployments.any(|deployment| name(deployment) == plan.controller_deployment);
    let controllers = match (plan.has_sidecars, has_controllers) {
        (false, false) => Some("is made: one controller for all proxies"),
        (false, true) => Some("is changed in place: one controller for all proxies"),
        (true, true) => Some("is deleted: old proxies keep what they run until they end"),
        (true, false) => None,
    };
    lines.extend(controllers.map(|what| format!("Deployment {} {what}", plan.controller_deployment)));
    let proxies = facts
        .deployments
        .iter()
        .find(|deployment| name(deployment) == plan.proxy_deployment);
    if let Some(proxies) = proxies.filter(|proxies| proxy(proxies).is_some()) {
        let replicas = proxies["spec"]["replicas"].as_u64().unwrap_or(1);
        let sidecar = match (plan.has_sidecars, Controller::of(proxies)) {
            (true, _) => "; each of them brings a controller of its own",
            (false, Some(_)) => "; the controllers in the old pods go with them",
            (false, None) => "",
        };
        lines.push(format!(
            "Deployment {} rolls over its {replicas} pods: each new one takes requests as soon as it has its configuration, \
             and only then an old one ends{sidecar}",
            plan.proxy_deployment
        ));
    }
    lines.extend(deleted_line(deployed, new, &kept));
    if kept.iter().any(|name| !keep::is_definition(name)) {
        lines.push("what was kept goes when the last old pod has gone, but for definitions".to_owned());
    }
    lines
}

fn definitions_line(plan: &Plan, facts: &Facts) -> Option<String> {
    if !plan.manages_definitions || facts.definitions.is_empty() {
        return None;
    }
    let (mut created, mut taken, mut upgraded) = (0, 0, 0);
    for (wanted, found) in &facts.definitions {
        match definitions::step(wanted, found.as_ref()) {
            Step::Create => created += 1,
            Step::TakeOver => taken += 1,
            Step::Upgrade { .. } => upgraded += 1,
            Step::Confirm | Step::Refuse(_) => {}
        }
    }
    Some(match (created, taken, upgraded) {
        (0, 0, 0) => "definitions stay as they are".to_owned(),
        _ => format!(
            "definitions: {created} made, {taken} taken over from others, {upgraded} upgraded; no object loses a field"
        ),
    })
}

/// Without the new manifest it is not known what of it the new release has, too.
fn kept_line(kept: &[ObjectName], is_certain: bool) -> Option<String> {
    let (definitions, others): (Vec<_>, Vec<_>) = kept.iter().partition(|name| keep::is_definition(name));
    let mut names: Vec<String> = others.iter().map(ToString::to_string).collect();
    if !definitions.is_empty() {
        names.push(format!(
            "{} definitions with all objects of their kinds",
            definitions.len()
        ));
    }
    let condition = if is_certain {
        ""
    } else {
        ", as far as the new release does not have them"
    };
    (!names.is_empty()).then(|| format!("kept, since old pods need them{condition}: {}", names.join(", ")))
}

/// What Helm deletes; known as soon as the new manifest is.
fn deleted_line(deployed: &Release, new: Option<&Release>, kept: &[ObjectName]) -> Option<String> {
    let new = new?;
    let stays = |name: &ObjectName| kept.contains(name) || new.objects.iter().any(|object| object.name.is_same(name));
    let deleted: Vec<String> = deployed
        .objects
        .iter()
        .filter(|object| !stays(&object.name))
        .map(|object| object.name.to_string())
        .collect();
    (!deleted.is_empty()).then(|| format!("deleted by Helm: {}", deleted.join(", ")))
}
