//! `silverback-proxy`: the embedded proxy as a program of its own, for small images.

use std::process::ExitCode;

use clap::Parser;

/// The embedded proxy of silverback: a DB-less data plane that speaks Kong's Admin API.
#[derive(Debug, Parser)]
#[command(name = "silverback-proxy", version, max_term_width = 120)]
struct CommandLine {
    #[command(flatten)]
    arguments: silverback_proxy::ProxyArguments,
}

fn main() -> ExitCode {
    silverback_proxy::execute(&CommandLine::parse().arguments)
}
