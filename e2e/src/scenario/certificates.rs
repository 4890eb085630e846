//! Certificates of the Admin APIs: authorities are replaced, and proxies get certificates of their own.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::release::{HOST, LIMIT, NAMESPACE, RELEASE, change_goes_live, front, holds, in_sync};
use super::strangers;
use crate::{Arguments, cluster::Cluster, load::Load, poll::eventually};

/// Kubelet brings a changed Secret into pods within about a minute and a half, and then everybody has to notice.
const FOLLOWED: Duration = Duration::from_secs(240);
/// Old authorities are trusted for so long after the controllers have followed, and the next replacement waits.
const OVERLAP: Duration = Duration::from_secs(330);
/// Between two changes of the pods, each of which has kubelet look at their Secrets.
const HURRY: Duration = Duration::from_secs(3);

pub(super) fn rotation(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    let before = processes(cluster)?;
    new_authorities(cluster, arguments)?;
    in_sync(cluster, 2)?;
    change_goes_live(cluster)?;
    ensure!(processes(cluster)? == before, "something was restarted");
    load.finish()
}

/// Has both authorities replaced, and waits until everybody shows certificates of the new ones.
fn new_authorities(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    no_replacement(cluster)?;
    let before = shown(cluster, "issuer")?;
    let began = Instant::now();
    rotate(cluster, arguments, &[], "The controller makes new authorities")?;
    let (mut looks, mut untrusted) = (0, Vec::new());
    let after = followed(cluster, "every proxy shows a certificate of the new authority", || {
        for row in cluster.list(&["proxyinstances", "-n", NAMESPACE])? {
            looks += 1;
            if !holds(&row, "MutualTLS") {
                untrusted.push(row["status"]["conditions"].clone());
            }
        }
        others_than(cluster, "issuer", &before)
    })?;
    ensure!(untrusted.is_empty(), "proxies were not trusted: {untrusted:?}");
    println!(
        "   from {before:?} to {after:?} after {:.0} s; {looks} looks at MutualTLS, True each time",
        began.elapsed().as_secs_f64()
    );
    eventually("the controllers follow", FOLLOWED, || {
        let secret = cluster.get(&["secret", "-n", NAMESPACE, &authorities()])?;
        ensure!(secret["data"]["old-since"].is_string(), "not yet");
        Ok(())
    })?;
    println!(
        "   the controllers show certificates of the new one after {:.0} s",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Waits for the end of one that is under way: what is asked for meanwhile begins after it.
fn no_replacement(cluster: &Cluster) -> anyhow::Result<()> {
    eventually("no replacement is under way", OVERLAP, || {
        let secret = cluster.get(&["secret", "-n", NAMESPACE, &authorities()])?;
        let is_under_way = |key: &str| secret["data"][key].is_string();
        ensure!(!is_under_way("next-since") && !is_under_way("old-since"), "one is");
        Ok(())
    })
}

/// The Secret of the authorities.
fn authorities() -> String {
    format!("{RELEASE}-kong-ca")
}

/// As an operator asks for it.
fn rotate(cluster: &Cluster, arguments: &Arguments, flags: &[&str], answer: &str) -> anyhow::Result<()> {
    let program = arguments.silverback.as_ref().context("give --silverback")?;
    let secret = authorities();
    let words = [&["certificates", "rotate", &*secret, "-n", NAMESPACE], flags].concat();
    println!("   $ silverback {}", words.join(" "));
    let output = cluster.run(program, &words)?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.contains(answer),
        "{}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Waits for what follows when proxies read a changed Secret.
fn followed<T>(cluster: &Cluster, what: &str, mut probe: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut hurried: Option<Instant> = None;
    eventually(what, FOLLOWED, || {
        if hurried.is_none_or(|at| at.elapsed() > HURRY) {
            hurry(cluster)?;
            hurried = Some(Instant::now());
        }
        probe()
    })
}

/// Kubelet looks at the Secrets of a pod once a minute, and whenever the pod changes.
fn hurry(cluster: &Cluster) -> anyhow::Result<()> {
    let now = format!("e2e/looked-at={}", jiff::Timestamp::now().as_millisecond());
    let proxies = "app.kubernetes.io/component=app,app.kubernetes.io/instance=silverback";
    cluster
        .kubectl(&["annotate", "pods", "-n", NAMESPACE, "-l", proxies, "--overwrite", &now])
        .map(drop)
}

/// The containers of proxies and controllers: another one is in each after a restart.
fn processes(cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let labels = "app.kubernetes.io/component in (app, controller),app.kubernetes.io/instance=silverback";
    let pods = cluster.list(&["pods", "-n", NAMESPACE, "-l", labels])?;
    let staying = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let containers = staying.filter_map(|pod| pod["status"]["containerStatuses"].as_array());
    let ids = containers
        .flatten()
        .filter_map(|container| container["containerID"].as_str());
    Ok(ids.map(str::to_owned).collect())
}

pub(super) fn identities(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    upgrade(cluster, arguments, "pod")?;
    let outcome = with_identities(cluster, arguments);
    // What is left there whatever happened would disturb the scenarios after this one.
    upgrade(cluster, arguments, "shared")?;
    outcome?;
    in_sync(cluster, 2)?;
    change_goes_live(cluster)?;
    load.finish()
}

fn with_identities(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    each_in_its_own_name(cluster)?;
    no_replacement(cluster)?;
    let processes_before = processes(cluster)?;
    let (before, issuers) = (shown(cluster, "fingerprint")?, shown(cluster, "issuer")?);
    let began = Instant::now();
    rotate(cluster, arguments, &["--leaves"], "The proxies get new certificates")?;
    hurry(cluster)?;
    strangers::get_no_certificate(cluster, arguments)?;
    followed(cluster, "every proxy shows another certificate", || {
        others_than(cluster, "fingerprint", &before)
    })?;
    ensure!(
        shown(cluster, "issuer")? == issuers,
        "they are not of the authority that there was"
    );
    println!(
        "   every proxy shows another certificate after {:.0} s at the most",
        began.elapsed().as_secs_f64()
    );
    new_authorities(cluster, arguments)?;
    each_in_its_own_name(cluster)?;
    ensure!(processes(cluster)? == processes_before, "something was restarted");
    Ok(())
}

fn upgrade(cluster: &Cluster, arguments: &Arguments, identity: &str) -> anyhow::Result<()> {
    let chart = arguments.chart.to_str().context("a path of text")?;
    let value = format!("proxy.identity={identity}");
    cluster.helm(&[
        "upgrade",
        RELEASE,
        chart,
        "-n",
        NAMESPACE,
        "--reuse-values",
        "--set",
        &value,
        "--wait",
        "--timeout",
        "180s",
    ])?;
    Ok(())
}

fn each_in_its_own_name(cluster: &Cluster) -> anyhow::Result<()> {
    in_sync(cluster, 2)?;
    eventually("each proxy is verified by its own name", LIMIT, || {
        for row in cluster.list(&["proxyinstances", "-n", NAMESPACE])? {
            let (name, uid) = (&row["status"]["mtls"]["serverName"], &row["spec"]["podRef"]["uid"]);
            ensure!(name.is_string() && name == uid, "{name} is not {uid}");
            ensure!(holds(&row, "MutualTLS"), "it is not trusted");
        }
        Ok(())
    })?;
    let secret = cluster.get(&["secret", "-n", NAMESPACE, &format!("{RELEASE}-kong-proxy-tls")])?;
    ensure!(secret["data"]["tls.key"].is_null(), "there is a key in the Secret");
    change_goes_live(cluster)
}

/// What every proxy shows of its certificate, by its row.
fn shown(cluster: &Cluster, field: &str) -> anyhow::Result<Vec<String>> {
    let rows = cluster.list(&["proxyinstances", "-n", NAMESPACE])?;
    let shown = rows
        .iter()
        .map(|row| row["status"]["mtls"][field].as_str().map(str::to_owned));
    shown
        .collect::<Option<Vec<_>>>()
        .context("a proxy has shown no certificate")
}

/// The same, if none is among those.
fn others_than(cluster: &Cluster, field: &str, before: &[String]) -> anyhow::Result<Vec<String>> {
    let now = shown(cluster, field)?;
    ensure!(
        now.iter().all(|value| !before.contains(value)),
        "they show {now:?}, and showed {before:?}"
    );
    Ok(now)
}
