//! `silverback lint`: what is wrong with manifests, offline and by the same code as in a cluster.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::{
    offline::{Outcome, OutputFormat, PROBLEMS, counted, problems_json, problems_text, read, usage_error},
    translation::TranslationArguments,
};
use crate::model::Problem;

/// Flags of `silverback lint`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit code: 0 without problems, 1 with some, 2 usage.

Examples:
  silverback lint -f manifests/
  helm template shop | silverback lint -f - --output json
  silverback lint -f manifests/ --router-flavor expressions --edition open-source --kong-version 3.9")]
pub(super) struct LintArguments {
    /// Manifests: a file, a directory with all below it, or - for standard input (repeatable).
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-", required = true)]
    filename: Vec<PathBuf>,
    /// How problems are printed on standard output; json is one array.
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    translation: TranslationArguments,
}

/// Prints the problems.
pub(super) fn run(arguments: &LintArguments) -> ExitCode {
    let read = || -> Result<_, String> {
        let settings = arguments.translation.settings()?;
        let mut manifests = read(&arguments.filename, &arguments.translation.limits())?;
        arguments.translation.kinds.leave_out(&mut manifests);
        Ok((manifests, settings))
    };
    let (manifests, settings) = match read() {
        Ok(read) => read,
        Err(message) => return usage_error("lint", &message),
    };
    let objects = manifests.objects.len();
    let problems = Outcome::new(manifests, &settings).problems;
    let text = match arguments.output {
        OutputFormat::Text => text(&problems, objects),
        OutputFormat::Json => problems_json(&problems),
    };
    // A reader that has seen enough (`| head`) is no mistake of ours.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PROBLEMS)
    }
}

/// Paragraphs, and a line that sums them up.
fn text(problems: &[Problem], objects: usize) -> String {
    let faulty: BTreeSet<_> = problems.iter().map(|problem| &problem.object).collect();
    let summary = if problems.is_empty() {
        format!("no problems in {}\n", counted(objects, "object"))
    } else {
        format!(
            "{} of {}; {} read\n",
            counted(problems.len(), "problem"),
            counted(faulty.len(), "object"),
            counted(objects, "object")
        )
    };
    problems_text(problems) + &summary
}
