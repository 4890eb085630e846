//! `silverback-proxy`: the embedded proxy as a program of its own, for small images. Under the names `kong` and `rm` it does
//! what pod templates of the kong chart call them for.

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
    let words: Vec<_> = std::env::args_os().collect();
    silverback_proxy::act_as(&words)
        .unwrap_or_else(|| silverback_proxy::execute(&CommandLine::parse_from(words).arguments))
}
