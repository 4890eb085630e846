//! Releases of the kong chart, with a controller in each proxy pod, become one controller for all and go back, and so on,
//! under an open-loop load that must not notice. Where it must notice, it does: without readiness, and without a drain.

mod bad_input;
mod definitions;
mod edge;
mod life;
mod node_loss;
mod pushes;
mod removal;
mod rows;
mod run;
mod statuses;

use std::time::Duration;

use anyhow::{Context, bail, ensure};

use self::{
    edge::Edge,
    run::{Run, STEADY},
};
use crate::{Arguments, cluster::Cluster, load};

/// The short table: what happens at every upgrade.
pub(super) fn short(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    run(cluster, arguments, "helm", Edge::plain(), |run| {
        run.steady("steady, one controller per pod", STEADY)?;
        run.step("upgrade to split", Run::split)?;
        run.step("rollback", Run::roll_back)?;
        run.step("split again", Run::split)?;
        run.step("scale to 4 and back", |run| run.scale(&[4, 2]))?;
        run.step("what was kept goes", Run::leftovers_go)?;
        run.step("restart of the proxies", Run::restart_proxies)
    })
}

/// The long one: everything that happens to a release in its life.
pub(super) fn long(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    life(cluster, arguments, "helm", Edge::plain())
}

/// The same by Helm 4, which applies on the server, from a release with other names and values.
pub(super) fn by_helm4(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    life(cluster, arguments, "helm4", Edge::other_names())
}

/// What larger users have set, there and back, by either Helm: the number of proxies is the autoscaler's.
pub(super) fn grown(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    for helm in ["helm", "helm4"] {
        there_and_back(cluster, arguments, helm, Edge::grown())?;
    }
    Ok(())
}

/// Somebody has scaled and edited what the release made, then it is upgraded: by either Helm, from what either has installed.
pub(super) fn edited(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    for (installed_by, upgraded_by) in [("helm", "helm"), ("helm", "helm4"), ("helm4", "helm4")] {
        println!("   -- installed by {installed_by}, upgraded by {upgraded_by}");
        run(cluster, arguments, installed_by, Edge::plain(), |run| {
            run.step("scaled and edited by hand", Run::edit_by_hand)?;
            run.step("upgrade to split", |run| run.split_edited(upgraded_by))?;
            run.step("edited again", Run::edit_by_hand)?;
            run.step("rollback", |run| run.roll_back_edited(upgraded_by))
        })?;
    }
    Ok(())
}

/// One controller of the old kind and its gateways: a stand-in holds the Lease, drives them and writes statuses, those of the
/// Gateway API's objects as well.
pub(super) fn from_ingress(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let definitions = arguments.gateway_api.join("standard");
    let definitions = definitions.to_str().context("a path of text")?;
    cluster.kubectl(&["apply", "--server-side", "-f", definitions])?;
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    let outcome = there_and_back(cluster, arguments, "helm", Edge::ingress());
    if arguments.keep {
        return outcome;
    }
    // Other scenarios begin without them.
    let removed = cluster.kubectl(&["delete", "-f", definitions]);
    outcome.and(removed.map(drop))
}

fn there_and_back(cluster: &Cluster, arguments: &Arguments, helm: &'static str, edge: Edge) -> anyhow::Result<()> {
    println!("   -- {helm}, {}", edge.what);
    run(cluster, arguments, helm, edge, |run| {
        run.steady("steady, as it was", STEADY)?;
        if run.edge.is_autoscaled() {
            run.step("scaled to 3 as by an autoscaler", |run| run.scale_as_autoscaler(3))?;
        }
        run.step("upgrade to split", Run::split)?;
        run.step("rollback", Run::roll_back)?;
        run.step("split again", Run::split)
    })
}

/// What can't be done or meant, each time from the kong chart's release, which serves on.
pub(super) fn refused(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    run(cluster, arguments, "helm", Edge::plain(), |run| {
        run.step("wrong values", Run::wrong_values)?;
        run.step("wrong definitions", Run::wrong_definitions)?;
        run.step("no permission", Run::no_permission)?;
        run.step("a second release", Run::second_release)?;
        run.step("a certificate for another name", Run::wrong_certificate)?;
        run.step("an image that does not start", Run::bad_image)?;
        run.step("back from half-way", Run::roll_back)?;
        run.step("half-way once more", Run::bad_image)?;
        run.step("the upgrade as it is meant", Run::split)
    })
}

/// From our own classic layout.
pub(super) fn from_sidecar(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    run(cluster, arguments, "helm", Edge::sidecar(), |run| {
        run.steady("steady, sidecar mode", STEADY)?;
        run.step("upgrade to split", Run::split)?;
        run.step("rollback", Run::roll_back)?;
        run.step("split again", Run::split)?;
        run.step("what was kept goes", Run::leftovers_go)
    })
}

fn life(cluster: &Cluster, arguments: &Arguments, helm: &'static str, edge: Edge) -> anyhow::Result<()> {
    println!("   -- {helm}, {}", edge.what);
    run(cluster, arguments, helm, edge, |run| {
        run.steady("steady, one controller per pod", STEADY)?;
        run.step("an upgrade that stops half-way", Run::bad_image)?;
        run.step("back from half-way", Run::roll_back)?;
        run.step("upgrade to split", Run::split)?;
        run.step("rollback", Run::roll_back)?;
        run.step("split again", Run::split)?;
        run.step("what was kept goes", Run::leftovers_go)?;
        run.step("rollback after that", Run::roll_back)?;
        run.step("split once more", Run::split)?;
        run.step("scale 2, 10, 3", |run| run.scale(&[10, 3]))?;
        run.step("restart of the proxies", Run::restart_proxies)?;
        run.step("restart of the controllers", Run::restart_controllers)?;
        run.step("the leader is killed", Run::kill_leader)?;
        run.step("a node is drained", Run::drain_node)?;
        run.step("new authorities", Run::rotate_certificates)?;
        run.step("definitions of before, then ours", Run::apply_definitions)?;
        run.step("a broken configuration", Run::break_configuration)?;
        run.step("an image that does not start", Run::bad_image)?;
        run.step(
            "back from it, on newer definitions",
            Run::roll_back_on_newer_definitions,
        )?;
        run.step("a proxy on each node", |run| run.scale(&[4]))?;
        // At the end: what was lost stays in the other node's connection tracking for two minutes, and a new connection
        // from the same port would follow it.
        run.begin_with_losses(node_loss::STEP);
        run.lose_node()?;
        run.step("the node is back", Run::node_is_back)
    })
}

/// The same load sees failures where readiness or the drain is taken away: it can fail.
pub(super) fn can_fail(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let edge = Edge::plain();
    let run = Run::start(cluster, arguments, "helm", edge)?;
    run.split()?;
    run.begin("without readiness");
    run.restart_without_gating()?;
    run.begin("without a drain");
    run.restart_without_drain()?;
    let rows = run.end()?;
    for row in rows {
        ensure!(
            row.failed() > 0,
            "{}: no request failed, so the load proves nothing",
            row.name
        );
    }
    Ok(())
}

fn run(
    cluster: &Cluster,
    arguments: &Arguments,
    helm: &'static str,
    edge: Edge,
    steps: impl FnOnce(&Run<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let run = Run::start(cluster, arguments, helm, edge)?;
    let outcome = steps(&run);
    let rows = run.end();
    outcome?;
    let rows = rows?;
    let mut faults = Vec::new();
    for row in &rows {
        if !row.is_telling() {
            faults.push(format!(
                "{}: {} of {} planned requests were sent",
                row.name, row.sent, row.planned
            ));
        }
        if row.failed() > 0 && !row.may_fail {
            faults.push(format!("{}: {} requests failed", row.name, row.failed()));
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    let lost: u64 = rows.iter().map(crate::load::Row::failed).sum();
    println!(
        "   {} requests at {} a second, {}",
        rows.iter().map(|row| row.sent).sum::<u64>(),
        load::rate(),
        match lost {
            0 => "none failed".to_owned(),
            lost => format!("{lost} failed, all of them to the proxies of a node that was lost"),
        }
    );
    Ok(())
}

/// How long a change of the release may take.
const RELEASE_LIMIT: Duration = Duration::from_secs(240);
