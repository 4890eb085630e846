//! Scenarios on a real cluster, told as a user lives them: real Helm, real kubectl, real traffic.
//!
//! Not `#[test]`s: they share one cluster and one release, in order, and print what a user sees. Started by `make e2e`.

mod api;
mod chaos;
mod cluster;
mod http;
mod load;
mod observer;
mod poll;
mod scenario;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;

use cluster::Cluster;

/// Runs the scenarios on a cluster that is up.
#[derive(Parser)]
struct Arguments {
    /// Directory of the cluster, as given to `cluster up --dir`.
    #[arg(long)]
    cluster: PathBuf,
    /// Directory of the programs `cluster`, `kubectl` and `helm`.
    #[arg(long)]
    programs: PathBuf,
    /// Directory of the Gateway API's definitions, as e2e/scripts/gateway-api.sh prints it.
    #[arg(long)]
    gateway_api: PathBuf,
    /// The chart.
    #[arg(long, default_value = "deploy/chart")]
    chart: PathBuf,
    /// Image of the controller, loaded into the nodes, with its tag.
    #[arg(long, default_value = "localhost/silverback:e2e")]
    controller_image: String,
    /// Image of the proxy.
    #[arg(long, default_value = "localhost/silverback-proxy:e2e")]
    proxy_image: String,
    /// Image of the test application.
    #[arg(long, default_value = "localhost/testapp:1")]
    application_image: String,
    /// The program `silverback` on this machine, for the verbs that users run.
    #[arg(long)]
    silverback: Option<PathBuf>,
    /// How long the scenario `chaos-long` takes.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Decides the order of the faults of `chaos` and `chaos-long`.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave the release in place at the end.
    #[arg(long)]
    keep: bool,
    /// Names of scenarios; all when empty. The installation comes first in any case.
    only: Vec<String>,
}

/// What scenarios are told together as: the beginning of their names, and minutes that they may take on two cores.
const BUDGETS: [(&str, &str, u64); 3] = [("scenarios", "", 12), ("upgrades", "upgrade", 8), ("chaos", "chaos", 4)];

/// The place in [`BUDGETS`].
fn budget_of(scenario: &str) -> usize {
    let named = |(_, prefix, _): &(&str, &str, u64)| !prefix.is_empty() && scenario.starts_with(prefix);
    BUDGETS.iter().position(named).unwrap_or(0)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cluster = Cluster::new(&arguments.cluster, &arguments.programs);
    if let Some(unknown) = arguments
        .only
        .iter()
        .find(|name| scenario::ALL.iter().all(|known| known.name != *name))
    {
        let names: Vec<_> = scenario::ALL.iter().map(|known| known.name).collect();
        eprintln!("no scenario {unknown:?}; there are: {}", names.join(", "));
        return ExitCode::from(2);
    }
    let (mut passed, mut failures) = (0, Vec::new());
    let began = Instant::now();
    let mut spent = [Duration::ZERO; BUDGETS.len()];
    for scenario in scenario::ALL {
        let named = arguments.only.iter().any(|name| name == scenario.name);
        let wanted = named || scenario.first || arguments.only.is_empty() && !scenario.by_name_only;
        if !wanted {
            continue;
        }
        println!("\n== {}: {}", scenario.name, scenario.story);
        let started = Instant::now();
        let outcome = (scenario.run)(&cluster, &arguments);
        spent[budget_of(scenario.name)] += started.elapsed();
        match outcome {
            Ok(()) => {
                println!("== {}: good, {:.1} s", scenario.name, started.elapsed().as_secs_f64());
                passed += 1;
            }
            Err(error) => {
                let failure = format!(
                    "{}: FAILED after {:.1} s: {error:#}",
                    scenario.name,
                    started.elapsed().as_secs_f64()
                );
                println!("== {failure}");
                cluster.show_state();
                failures.push(failure);
                if scenario.first {
                    break;
                }
            }
        }
    }
    if !arguments.keep {
        scenario::clean_up(&cluster);
    }
    println!("\n{} s in all", began.elapsed().as_secs());
    if arguments.only.is_empty() {
        for ((name, _, minutes), spent) in BUDGETS.iter().zip(spent) {
            let seconds = spent.as_secs();
            println!(
                "  {name:<10} {:>2}:{:02} of {minutes:>2}:00",
                seconds / 60,
                seconds % 60
            );
        }
    }
    // Once more, with the reason: of a long log, people and CI see the end.
    for failure in &failures {
        println!("{failure}");
    }
    println!("{passed} passed, {} failed", failures.len());
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
