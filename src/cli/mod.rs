//! The command line: one file per verb.
//!
//! Exit codes: 0 fine, 1 the verb found something wrong or failed, 2 usage.

#[cfg(feature = "controller")]
mod arguments;
#[cfg(feature = "controller")]
mod crds;
#[cfg(feature = "controller")]
mod demo;
mod render;
#[cfg(feature = "controller")]
mod run;
#[cfg(feature = "controller")]
mod table;
#[cfg(feature = "controller")]
mod value;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One controller for any number of DB-less, Kong-compatible proxies.
#[derive(Debug, Parser)]
#[command(name = "silverback", version, max_term_width = 110, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start proxies, an example upstream, the controller and the dashboard on this machine.
    #[cfg(feature = "controller")]
    Demo(demo::DemoArguments),
    /// Run the controller: with a cluster, or with a directory of manifests.
    #[cfg(feature = "controller")]
    Run(Box<arguments::RunArguments>),
    /// Print the proxies' configuration for manifests, offline.
    Render(render::RenderArguments),
    /// Run one embedded proxy.
    #[cfg(feature = "controller")]
    Proxy(Box<silverback_proxy::settings::ProxyArguments>),
    /// Definitions of silverback's own Kubernetes kinds.
    #[cfg(feature = "controller")]
    Crds(crds::CrdsArguments),
}

/// The definition of the command line, for its reference page.
#[cfg(all(test, feature = "controller"))]
pub(crate) fn command() -> clap::Command {
    use clap::CommandFactory as _;
    CommandLine::command()
}

/// Parses the command line and carries the verb out.
///
/// Without arguments but with a `CONTROLLER_*` variable it is `run`: images of the controller need no command.
pub fn main() -> ExitCode {
    let mut words: Vec<_> = std::env::args_os().collect();
    if words.len() == 1 && std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("CONTROLLER_")) {
        words.push("run".into());
    }
    match CommandLine::parse_from(words).verb {
        #[cfg(feature = "controller")]
        Verb::Demo(arguments) => run::block_on(demo::run(arguments)),
        #[cfg(feature = "controller")]
        Verb::Run(arguments) => run::run(*arguments),
        Verb::Render(arguments) => render::run(&arguments),
        #[cfg(feature = "controller")]
        Verb::Proxy(arguments) => silverback_proxy::execute(&arguments),
        #[cfg(feature = "controller")]
        Verb::Crds(arguments) => crds::run(&arguments),
    }
}
