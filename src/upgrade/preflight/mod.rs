//! Preflight: may this release be installed or upgraded here, and what will happen? Decides over what was read, and does
//! no IO. Called by the verb `preflight`.

mod certificates;
mod cluster;
mod facts;
mod names;
mod outlook;
mod report;
mod rollout;
mod share;
// Certificates are made by what the controller makes its own with.
#[cfg(all(test, feature = "controller"))]
mod tests;
mod workload;

pub use self::{
    facts::{Adopt, Facts, IssuedCertificate, NewPods, Plan, Right, Unread},
    report::{Finding, Level, Report},
    share::Share,
    workload::Controller,
};

/// What there is to say. Findings that are to be ignored are told all the same, as warnings.
pub fn judge(plan: &Plan, facts: &Facts) -> Report {
    let mut findings = Vec::new();
    findings.extend(cluster::kubernetes(facts));
    findings.extend(cluster::access(facts));
    findings.extend(cluster::rights(facts));
    findings.extend(cluster::definitions(plan, facts));
    findings.push(cluster::gateway_api(facts));
    findings.extend(names::release(plan, facts));
    findings.extend(names::neighbours(plan, facts));
    findings.extend(names::proxies(plan, facts));
    findings.extend(names::services(plan, facts));
    findings.extend(names::new_objects(plan, facts));
    findings.extend(rollout::strategy(plan, facts));
    findings.extend(rollout::number(plan, facts));
    findings.extend(rollout::host_ports(plan, facts));
    findings.extend(cluster::ingress_class(plan, facts));
    findings.extend(cluster::other_controllers(plan, facts));
    findings.extend(cluster::quotas(plan, facts));
    findings.extend(certificates::proxies(plan, facts));
    findings.extend(certificates::clients(facts));
    findings.extend(certificates::verification(plan, facts));
    for finding in &mut findings {
        if finding.level == Level::Failure && plan.ignored.iter().any(|check| check == finding.check) {
            finding.level = Level::Warning;
        }
    }
    Report {
        release: plan.release.clone(),
        namespace: plan.namespace.clone(),
        findings,
        outlook: outlook::outlook(plan, facts),
    }
}
