//! `silverback render`: manifests in, the proxies' configuration out, offline and by the same code as in a cluster.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use proxy_config_schema::Configuration;

use super::{
    offline::{Outcome, OutputFormat, PROBLEMS, counted, problems_json, problems_text, read, usage_error},
    translation::TranslationArguments,
};

/// Flags of `silverback render`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit code: 0 without problems, 1 with some (all that is right is printed all the same), 2 usage.

Examples:
  silverback render -f manifests/
  kubectl get ingresses,services,endpointslices -A -o yaml | silverback render -f - --format json
  silverback render -f manifests/ --router-flavor expressions --feature-gates KongServiceFacade=true")]
pub(super) struct RenderArguments {
    /// Manifests: a file, a directory with all below it, or - for standard input (repeatable).
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-", required = true)]
    filename: Vec<PathBuf>,
    /// How the configuration is printed; json is byte for byte what proxies get, without a line's end.
    #[arg(long, value_name = "FORMAT", default_value = "yaml")]
    format: Format,
    /// How problems are printed on standard error; json is one array and nothing else.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    problems: OutputFormat,
    #[command(flatten)]
    translation: TranslationArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

/// Prints the configuration on standard output and what is wrong on standard error.
pub(super) fn run(arguments: &RenderArguments) -> ExitCode {
    let read = || -> Result<_, String> {
        let settings = arguments.translation.settings()?;
        let mut manifests = read(&arguments.filename, &arguments.translation.limits())?;
        arguments.translation.kinds.leave_out(&mut manifests);
        Ok((manifests, settings))
    };
    let outcome = match read() {
        Ok((manifests, settings)) => Outcome::new(manifests, &settings),
        Err(message) => return usage_error("render", &message),
    };
    let configuration = match arguments.format {
        Format::Json => outcome.rendered.bytes.to_vec(),
        Format::Yaml => yaml(&outcome.configuration).into_bytes(),
    };
    let problems = match arguments.problems {
        OutputFormat::Text if outcome.problems.is_empty() => String::new(),
        OutputFormat::Text => problems_text(&outcome.problems) + &counted(outcome.problems.len(), "problem") + "\n",
        OutputFormat::Json => problems_json(&outcome.problems),
    };
    eprint!("{problems}");
    // A reader that has seen enough (`| head`) is no mistake of ours.
    let mut output = io::stdout().lock();
    let _ = output.write_all(&configuration);
    if arguments.format == Format::Json && output.is_terminal() {
        let _ = output.write_all(b"\n");
    }
    let _ = output.flush();
    if outcome.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PROBLEMS)
    }
}

/// Keys in alphabetical order, as Kong Ingress Controller's dumps have them.
fn yaml(configuration: &Configuration) -> String {
    let document = serde_json::to_value(configuration).expect("entities have string keys only");
    let one_line = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(&document, one_line).expect("JSON is YAML, and a string takes any length")
}

#[cfg(test)]
mod tests;
