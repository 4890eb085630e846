//! What the demo prints: addresses, a `curl` that works, problems, and the table.

use std::{collections::BTreeSet, io::Write, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{super::table::table, proxies::DemoProxy};
use crate::{
    fleet::{ConditionStatus, FleetView},
    model::Problem,
    render::Rendition,
};

/// Whether that many proxies are there, and all run what they shall.
pub(super) fn all_in_sync(view: &FleetView, count: usize) -> bool {
    view.proxies.len() == count
        && view.proxies.iter().all(|proxy| {
            proxy.synced.status == ConditionStatus::True
                && proxy.ready.status == ConditionStatus::True
                && proxy.desired == proxy.observed
        })
}

/// The addresses, once.
pub(super) fn introduce(directory: &Path, dashboard: &str, proxies: &[DemoProxy], example: Option<&(String, String)>) {
    println!("manifests  {}   (edit them: the proxies follow)", directory.display());
    println!("dashboard  {dashboard}");
    for proxy in proxies {
        println!(
            "{:9}  {}  {}  admin {}  status {}  pid {}",
            proxy.name, proxy.http, proxy.https, proxy.admin, proxy.status, proxy.pid
        );
    }
    if let (Some((host, path)), Some(proxy)) = (example, proxies.first()) {
        println!("\ntry        curl -H 'Host: {host}' {}{path}", proxy.http);
    }
    if let Some(proxy) = proxies.last() {
        println!(
            "or         kill {}      ({} shows as unreachable; to start it again:)",
            proxy.pid, proxy.name
        );
        let words = proxy.command.iter().map(|word| {
            if word.contains(' ') {
                format!("'{word}'")
            } else {
                word.clone()
            }
        });
        println!("           {}", words.collect::<Vec<_>>().join(" "));
    }
    println!("\nCtrl-C ends it all.\n");
}

/// Keeps the table current: in place on a terminal, line by line elsewhere. Returns when the controller ends.
pub(super) async fn follow(
    mut view: watch::Receiver<Arc<FleetView>>,
    mut rendition: watch::Receiver<Option<Arc<Rendition>>>,
    terminal: bool,
) -> anyhow::Result<()> {
    let mut drawn = 0;
    let mut printed = BTreeSet::new();
    let mut known = BTreeSet::new();
    let mut faults = BTreeSet::new();
    // Only the ages change on their own: once a second is enough.
    let mut ages = tokio::time::interval(Duration::from_secs(1));
    loop {
        let problems = rendition
            .borrow_and_update()
            .as_ref()
            .map(|rendition| rendition.problems.clone())
            .unwrap_or_default();
        let fleet = view.borrow_and_update().clone();
        let text = table(&fleet, Timestamp::now(), !terminal);
        let mut output = std::io::stdout().lock();
        if terminal && drawn > 0 {
            write!(output, "\x1b[{drawn}A\x1b[J")?;
        }
        news(&mut output, &mut known, &problems)?;
        fault_news(&mut output, &mut faults, &fleet)?;
        if terminal {
            // Without wrapping: a line that took two rows would not be drawn over.
            writeln!(output, "\x1b[?7l{text}\x1b[?7h")?;
            drawn = text.lines().count();
        } else {
            // As `kubectl get --watch` does: the headings once, then the lines that changed.
            let current: BTreeSet<&str> = text.lines().map(without_age).collect();
            for line in text.lines().filter(|line| !printed.contains(without_age(line))) {
                writeln!(output, "{line}")?;
            }
            printed = current.into_iter().map(str::to_owned).collect();
        }
        output.flush()?;
        drop(output);
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return Ok(()) },
            changed = rendition.changed() => if changed.is_err() { return Ok(()) },
            _ = ages.tick(), if terminal => {}
        }
    }
}

/// Says which problems came and which went.
fn news(output: &mut impl Write, known: &mut BTreeSet<Problem>, problems: &[Problem]) -> std::io::Result<()> {
    let current: BTreeSet<Problem> = problems.iter().cloned().collect();
    for problem in current.difference(known) {
        writeln!(output, "problem    {problem}")?;
    }
    for problem in known.difference(&current) {
        writeln!(output, "solved     {} {}", problem.object, problem.reason)?;
    }
    *known = current;
    Ok(())
}

/// Says what is wrong with proxies, when it changes.
fn fault_news(output: &mut impl Write, known: &mut BTreeSet<String>, fleet: &FleetView) -> std::io::Result<()> {
    let faults = fleet.proxies.iter().filter_map(|proxy| {
        let conditions = [&proxy.reachable, &proxy.mutual_tls, &proxy.synced];
        let fault = conditions
            .into_iter()
            .find(|condition| condition.status == ConditionStatus::False)?;
        Some(format!("{:9}  {}: {}", proxy.target.name, fault.reason, fault.message))
    });
    let current: BTreeSet<String> = faults.collect();
    for fault in current.difference(known) {
        writeln!(output, "{fault}")?;
    }
    *known = current;
    Ok(())
}

/// A line of the table without its last column.
fn without_age(line: &str) -> &str {
    line.rsplit_once("  ").map_or(line, |(front, _)| front)
}
