//! Certificates of the Admin APIs: authorities are replaced, and proxies get certificates of their own.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::release::{HOST, LIMIT, NAMESPACE, RELEASE, change_goes_live, front, holds, in_sync};
use super::strangers;
use crate::{Arguments, cluster::Cluster, load::Load, poll::eventually};

/// Kubelet brings a changed Secret into pods within about a minute and a half, and then everybody has to notice.
const FOLLOWED: Duration = Duration::from_secs(240);

pub(super) fn rotation(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    let before = issuers(cluster)?;
    let began = Instant::now();
    let secret = format!("{RELEASE}-kong-ca");
    rotate(cluster, arguments, &secret)?;
    let mut all_the_time = 0;
    let after = eventually("every proxy shows a certificate of the new authority", FOLLOWED, || {
        for row in cluster.list(&["proxyinstances", "-n", NAMESPACE])? {
            ensure!(
                holds(&row, "MutualTLS"),
                "a proxy is not trusted: {}",
                row["status"]["conditions"]
            );
            all_the_time += 1;
        }
        let after = issuers(cluster)?;
        ensure!(
            after.iter().all(|issuer| !before.contains(issuer)),
            "they show {after:?}"
        );
        Ok(after)
    })?;
    println!(
        "   from {before:?} to {after:?} after {:.0} s; {all_the_time} looks at MutualTLS, True each time",
        began.elapsed().as_secs_f64()
    );
    eventually("the controllers follow", FOLLOWED, || {
        let secret = cluster.get(&["secret", "-n", NAMESPACE, &secret])?;
        ensure!(secret["data"]["old-since"].is_string(), "not yet");
        Ok(())
    })?;
    println!(
        "   the controllers show certificates of the new one after {:.0} s",
        began.elapsed().as_secs_f64()
    );
    in_sync(cluster, 2)?;
    change_goes_live(cluster)?;
    load.finish()
}

/// As an operator asks for it.
fn rotate(cluster: &Cluster, arguments: &Arguments, secret: &str) -> anyhow::Result<()> {
    let program = arguments.silverback.as_ref().context("give --silverback")?;
    let words = ["certificates", "rotate", secret, "-n", NAMESPACE];
    println!("   $ silverback {}", words.join(" "));
    let output = cluster.run(program, &words)?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.contains("The controller makes new authorities"),
        "{}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

pub(super) fn identities(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let front = front(cluster)?;
    let load = Load::start(front.address, HOST, "/", 2);
    upgrade(cluster, arguments, "pod")?;
    let outcome = each_in_its_own_name(cluster).and_then(|()| strangers::get_no_certificate(cluster, arguments));
    // What is left there whatever happened would disturb the scenarios after this one.
    upgrade(cluster, arguments, "shared")?;
    outcome?;
    in_sync(cluster, 2)?;
    change_goes_live(cluster)?;
    load.finish()
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

fn issuers(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let rows = cluster.list(&["proxyinstances", "-n", NAMESPACE])?;
    let issuers = rows
        .iter()
        .map(|row| row["status"]["mtls"]["issuer"].as_str().map(str::to_owned));
    issuers
        .collect::<Option<Vec<_>>>()
        .context("a proxy has shown no certificate")
}
