//! `silverback diff`: what changes from one set of manifests, or configuration, to another.

#[cfg(feature = "controller")]
mod dashboard;
mod side;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use super::{
    offline::{OutputFormat, PROBLEMS, usage_error},
    translation::TranslationArguments,
};
use crate::diff;

/// Flags of `silverback diff`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit code: 0 the same, 1 different, 2 usage, or one of them can't be read. Of secrets it is only said that they changed.

Examples:
  silverback diff manifests/ changed/
  git show HEAD:web.yaml | silverback diff - web.yaml
  silverback diff kong-ingress-controller.json manifests/ --output json
  silverback diff http://127.0.0.1:10256 manifests/")]
pub(super) struct DiffArguments {
    /// What there is: manifests (a file, a directory, or - for standard input), a declarative configuration in YAML or JSON, or
    /// the address of a running controller's dashboard.
    #[arg(value_name = "A")]
    before: String,
    /// What there shall be, in any of these forms.
    #[arg(value_name = "B")]
    after: String,
    /// How changes are printed.
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    translation: TranslationArguments,
}

/// Prints what differs.
pub(super) fn run(arguments: &DiffArguments) -> ExitCode {
    let read = || -> Result<_, String> {
        let settings = arguments.translation.settings()?;
        let limits = arguments.translation.limits();
        if arguments.before == "-" && arguments.after == "-" {
            return Err("only one of the two can be standard input".to_owned());
        }
        let before = side::read(&arguments.before, &settings, &limits, &arguments.translation.kinds)?;
        let after = side::read(&arguments.after, &settings, &limits, &arguments.translation.kinds)?;
        Ok((before, after))
    };
    let (before, after) = match read() {
        Ok(read) => read,
        Err(message) => return usage_error("diff", &message),
    };
    let confidential = before.confidential.union(&after.confidential).cloned().collect();
    let changes = diff::diff(&before.configuration, &after.configuration, &confidential);
    let text = match arguments.output {
        OutputFormat::Text => changes.to_string(),
        OutputFormat::Json => serde_json::to_string(&changes).expect("changes have string keys only") + "\n",
    };
    // A reader that has seen enough (`| head`) is no mistake of ours.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    if changes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PROBLEMS)
    }
}
