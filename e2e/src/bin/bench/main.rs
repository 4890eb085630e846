//! Benchmarks: what a translation costs, how fast a change is everywhere, and what the controller costs. Each figure is
//! printed beside its limit, and where there is one beside a peer's; a missed limit ends with 1.

mod directory;
mod fleet;
mod process;
mod table;
mod translation;

use anyhow::bail;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

/// What is measured.
#[derive(Subcommand)]
enum What {
    /// Translating and rendering, from nothing and after one object changed.
    Translation,
    /// The way of a change from a manifest to embedded proxies, without a cluster.
    Directory(directory::Arguments),
    /// The way of a change from a real API server to many stub proxies, and what a bare client needs for the same bytes.
    /// Called by e2e/scripts/bench-fleet.sh, in a network namespace of its own.
    Fleet(Box<fleet::Arguments>),
    /// The bare client: a part of `fleet`, a process of its own so that its CPU time can be told.
    Send(fleet::sender::Arguments),
    /// The same for probes.
    Ask(fleet::sender::AskArguments),
}

fn main() -> anyhow::Result<()> {
    let kept = match Arguments::parse().what {
        What::Translation => translation::run()?,
        What::Directory(arguments) => directory::run(&arguments)?,
        What::Fleet(arguments) => fleet::run(&arguments)?,
        What::Send(arguments) => return fleet::sender::run(&arguments),
        What::Ask(arguments) => return fleet::sender::ask(&arguments),
    };
    if kept { Ok(()) } else { bail!("a limit was missed") }
}
