//! The command line: one file per verb.
//!
//! Exit codes: 0 fine, 1 the verb found something wrong or failed, 2 usage.

#[cfg(feature = "controller")]
mod adopt;
#[cfg(feature = "controller")]
mod arguments;
#[cfg(feature = "controller")]
mod certificates;
#[cfg(feature = "controller")]
mod cluster;
#[cfg(feature = "controller")]
mod controller;
#[cfg(feature = "controller")]
mod crds;
#[cfg(feature = "controller")]
mod demo;
mod diff;
#[cfg(feature = "controller")]
mod failure;
mod gates;
#[cfg(feature = "controller")]
mod helm;
mod kinds;
mod lint;
mod offline;
#[cfg(feature = "controller")]
mod pause;
#[cfg(feature = "controller")]
mod preflight;
#[cfg(feature = "controller")]
mod proxies;
mod render;
#[cfg(feature = "controller")]
mod request;
#[cfg(feature = "controller")]
mod run;
#[cfg(feature = "controller")]
mod support_bundle;
mod switch;
#[cfg(feature = "controller")]
mod table;
mod translation;
#[cfg(feature = "controller")]
mod value;
mod version;
#[cfg(feature = "controller")]
mod wait;

use std::{ffi::OsStr, process::ExitCode};

#[cfg(all(test, feature = "controller"))]
pub(crate) use self::arguments::{INERT, REFUSED, kong_flags::KONG_FLAGS};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, builder::Resettable};

/// One controller for any number of DB-less, Kong-compatible proxies.
#[derive(Debug, Parser)]
#[command(
    name = "silverback",
    version,
    max_term_width = 110,
    arg_required_else_help = true,
    after_help = "Try it: silverback demo. Check manifests: silverback lint -f DIR. All flags: docs/reference/flags.md"
)]
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
    /// Report what is wrong with manifests, offline.
    Lint(lint::LintArguments),
    /// Show what changes from one set of manifests, or configuration, to another.
    Diff(diff::DiffArguments),
    /// Run one embedded proxy.
    #[cfg(feature = "controller")]
    Proxy(Box<silverback_proxy::settings::ProxyArguments>),
    /// Hold changes back from the proxies of a fleet.
    #[cfg(feature = "controller")]
    Pause(pause::PauseArguments),
    /// Let changes go to the proxies of a fleet again.
    #[cfg(feature = "controller")]
    Resume(pause::PauseArguments),
    /// Replace the certificates of the Admin APIs.
    #[cfg(feature = "controller")]
    Certificates(certificates::CertificatesArguments),
    /// Wait until what an object says is what all proxies run, or say what holds it back.
    #[cfg(feature = "controller")]
    Wait(Box<wait::WaitArguments>),
    /// Single proxies: what one runs, and how that differs from what it shall run.
    #[cfg(feature = "controller")]
    Proxies(proxies::ProxiesArguments),
    /// Write one file with all that somebody needs who is to help, without a secret.
    #[cfg(feature = "controller")]
    SupportBundle(Box<support_bundle::SupportBundleArguments>),
    /// Definitions of the Kubernetes kinds that silverback brings.
    #[cfg(feature = "controller")]
    Crds(crds::CrdsArguments),
    /// Whether a release can be installed or upgraded here, and what will happen. Changes nothing.
    #[cfg(feature = "controller")]
    Preflight(Box<preflight::PreflightArguments>),
    /// Keep what old pods need and Helm would delete too early: a hook of the chart.
    #[cfg(feature = "controller")]
    Adopt(adopt::AdoptArguments),
    /// Ask until the answer is the expected one: whether a request goes through.
    #[cfg(feature = "controller")]
    Request(request::RequestArguments),
    /// Print release, repository and commit as JSON.
    Version,
}

/// The definition of the command line.
///
/// Variables of the controller are for `run` alone, and an empty one is none, as with Kong Ingress Controller: charts set
/// them so. The variable of a flag's other name is read where its own is not set. The proxy has its own.
pub(crate) fn command() -> clap::Command {
    CommandLine::command().mut_subcommands(|verb| {
        if verb.get_name() == "proxy" {
            return verb;
        }
        let reads_variables = verb.get_name() == "run";
        verb.mut_args(|argument| {
            let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
            let is_given = |name: &OsStr| std::env::var_os(name).is_some_and(|value| !value.is_empty());
            let other_name = |name: &OsStr| OTHER_NAMES.iter().find(|(_, own)| name == OsStr::new(own));
            let argument = match argument.get_env() {
                Some(_) if !reads_variables => argument.env(Resettable::Reset),
                Some(name) if is_given(name) => argument,
                Some(name) => match other_name(name) {
                    Some((other, _)) if is_given(OsStr::new(other)) => argument.env(*other),
                    _ if is_empty(name) => argument.env(Resettable::Reset),
                    _ => argument,
                },
                None => argument,
            };
            let defaults = argument.get_default_values();
            let says_nothing = !defaults.is_empty() && defaults.iter().all(|value| value.is_empty());
            argument.hide_default_value(says_nothing)
        })
    })
}

/// Variables of other names of flags, each with the flag's own: `--proxy` is `--kong-admin-url`.
pub(crate) const OTHER_NAMES: &[(&str, &str)] = &[("CONTROLLER_PROXY", "CONTROLLER_KONG_ADMIN_URL")];

/// The variable of a flag: `CONTROLLER_INGRESS_CLASS` of `ingress-class`.
fn variable_of(flag: &str) -> String {
    format!("CONTROLLER_{}", flag.to_uppercase().replace('-', "_"))
}

/// Parses the command line and carries the verb out.
///
/// Without arguments but with a `CONTROLLER_*` variable it is `run`: images of the controller need no command.
pub fn main() -> ExitCode {
    let mut words: Vec<_> = std::env::args_os().collect();
    if words.len() == 1 && std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("CONTROLLER_")) {
        words.push("run".into());
    }
    let matches = command().get_matches_from(words);
    let verb = match CommandLine::from_arg_matches(&matches) {
        Ok(line) => line.verb,
        Err(error) => error.format(&mut command()).exit(),
    };
    match verb {
        #[cfg(feature = "controller")]
        Verb::Demo(arguments) => demo::run(arguments),
        #[cfg(feature = "controller")]
        Verb::Run(arguments) => run::run(*arguments),
        Verb::Render(arguments) => render::run(&arguments),
        Verb::Lint(arguments) => lint::run(&arguments),
        Verb::Diff(arguments) => diff::run(&arguments),
        #[cfg(feature = "controller")]
        Verb::Proxy(arguments) => silverback_proxy::execute(&arguments),
        #[cfg(feature = "controller")]
        Verb::Pause(arguments) => run::block_on(pause::run(arguments, true)),
        #[cfg(feature = "controller")]
        Verb::Resume(arguments) => run::block_on(pause::run(arguments, false)),
        #[cfg(feature = "controller")]
        Verb::Certificates(arguments) => run::block_on(certificates::run(arguments)),
        #[cfg(feature = "controller")]
        Verb::Crds(arguments) => crds::run(arguments),
        #[cfg(feature = "controller")]
        Verb::Wait(arguments) => wait::run(*arguments),
        #[cfg(feature = "controller")]
        Verb::Proxies(arguments) => proxies::run(arguments),
        #[cfg(feature = "controller")]
        Verb::SupportBundle(arguments) => run::block_on(support_bundle::run(*arguments)),
        #[cfg(feature = "controller")]
        Verb::Preflight(arguments) => preflight::run(*arguments),
        #[cfg(feature = "controller")]
        Verb::Adopt(arguments) => run::block_on(adopt::run(arguments)),
        #[cfg(feature = "controller")]
        Verb::Request(arguments) => run::block_on(request::run(arguments)),
        Verb::Version => version::run(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_of_every_verb_is_sound() {
        super::command().debug_assert();
    }
}
