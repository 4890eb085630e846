//! The installation, as a stranger does it.

use anyhow::ensure;

use super::release::{LIMIT, NAMESPACE, RELEASE, SHOP, all_answer, application, in_sync, ingress, leader};
use crate::{Arguments, cluster::Cluster, poll::eventually};

pub(super) fn run(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    cluster.apply(&application(&arguments.application_image))?;
    cluster.apply(&ingress("web", "/", "web"))?;
    // Pods of the chart do what the strictest Pod Security Standard allows.
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}\n"
    ))?;
    let chart = arguments.chart.display().to_string();
    cluster.helm(&["lint", &chart])?;
    let (controller, controller_tag) = split(&arguments.controller_image);
    let (proxy, proxy_tag) = split(&arguments.proxy_image);
    cluster.helm(&[
        "install",
        RELEASE,
        &chart,
        "--namespace",
        NAMESPACE,
        "--wait",
        "--timeout",
        "120s",
        "--set",
        &format!("controller.image.repository={controller},controller.image.tag={controller_tag}"),
        "--set",
        &format!("proxy.image.repository={proxy},proxy.image.tag={proxy_tag}"),
        "--set",
        "controller.image.pullPolicy=Never,proxy.image.pullPolicy=Never,proxy.service.type=ClusterIP,proxy.preStopSeconds=3",
    ])?;
    cluster.kubectl(&["rollout", "status", "-n", SHOP, "deployment/web", "--timeout=60s"])?;
    in_sync(cluster, 2)?;
    let leader = eventually("one controller leads", LIMIT, || leader(cluster))?;
    println!("   {leader} leads");

    let table = cluster.show(&["get", "proxyinstances", "-n", NAMESPACE])?;
    let headings: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    let expected = [
        "NAME", "READY", "SYNCED", "CONFIG", "MTLS", "VERSION", "ERRORS", "NODE", "AGE",
    ];
    ensure!(headings == expected, "the columns are {headings:?}");
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        ensure!(cells.len() == expected.len(), "an empty cell in {line:?}");
        ensure!(
            cells[1] == "True" && cells[2] == "True" && cells[4] == "True" && cells[6] == "0",
            "{line:?}"
        );
        ensure!(
            cells[3].len() == 12 && cells[3].chars().all(|digit| digit.is_ascii_hexdigit()),
            "{line:?}"
        );
    }
    let short = cluster.kubectl(&["get", "pxi", "-n", NAMESPACE, "-o", "name"])?;
    ensure!(short.lines().count() == 2, "the short name lists {short:?}");
    cluster.show(&["get", "proxyfleets", "-n", NAMESPACE])?;
    // Least privilege is enough privilege.
    let logs = cluster.kubectl(&[
        "logs",
        "-n",
        NAMESPACE,
        "-l",
        "app.kubernetes.io/component=controller",
        "--tail=-1",
    ])?;
    let refused: Vec<_> = logs
        .lines()
        .filter(|line| line.contains("forbidden") || line.contains("Forbidden"))
        .collect();
    ensure!(refused.is_empty(), "the controller lacks a permission: {refused:?}");
    all_answer(cluster, "/", 200)?;
    // A request through the proxies, as a user would check the release.
    cluster
        .helm(&["test", RELEASE, "--namespace", NAMESPACE, "--timeout", "90s"])
        .map(drop)
}

/// Repository and tag.
pub(super) fn split(image: &str) -> (&str, &str) {
    image.rsplit_once(':').unwrap_or((image, "latest"))
}
