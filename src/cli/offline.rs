//! What the offline verbs share: reading `-f`, translating it, printing what is wrong.

use std::{
    fmt::Write as _,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueEnum;
use proxy_config_schema::Configuration;

use crate::{
    manifest::{self, Limits, Manifests},
    model::{Problem, Snapshot},
    render::{self, Rendered},
    translate::{self, Settings, Translation},
};

/// Exit code where the manifests have problems, or what is compared differs.
pub(super) const PROBLEMS: u8 = 1;
/// Exit code where the command line does.
pub(super) const USAGE: u8 = 2;

/// How problems and changes are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What manifests come to.
pub(super) struct Outcome {
    pub(super) configuration: Configuration,
    pub(super) rendered: Rendered,
    /// Those of the manifests and those of the translation, sorted.
    pub(super) problems: Vec<Problem>,
}

impl Outcome {
    pub(super) fn new(manifests: Manifests, settings: &Settings) -> Self {
        let mut snapshot = Snapshot::default();
        for object in manifests.objects {
            snapshot.insert(object);
        }
        let translation = translate::translate(&snapshot, settings);
        let rendered = render::render(&translation);
        let Translation {
            configuration,
            problems: found,
            ..
        } = translation;
        let mut problems = manifests.problems;
        problems.extend(found);
        problems.sort();
        problems.dedup();
        Self {
            configuration,
            rendered,
            problems,
        }
    }
}

/// Reads all that `-f` names. What is in the files is data; a path that leads nowhere is a mistake of the command line.
pub(super) fn read(paths: &[PathBuf], limits: &Limits) -> Result<Manifests, String> {
    let mut all = Manifests::default();
    for path in paths {
        if path == Path::new("-") {
            all.extend(manifest::parse("-", &standard_input(limits)?, limits));
        } else {
            std::fs::metadata(path).map_err(|error| format!("-f {}: {error}", path.display()))?;
            all.extend(manifest::load(path, limits));
        }
    }
    all.finish(limits);
    Ok(all)
}

/// Standard input, one byte more than a file may have at the most.
pub(super) fn standard_input(limits: &Limits) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut input = io::stdin().lock().take(limits.file_bytes + 1);
    input
        .read_to_end(&mut bytes)
        .map_err(|error| format!("failed to read standard input: {error}"))?;
    Ok(bytes)
}

/// Says what is wrong with the command line.
pub(super) fn usage_error(verb: &str, message: &str) -> ExitCode {
    eprintln!("silverback {verb}: {message}");
    ExitCode::from(USAGE)
}

/// One array on one line.
pub(super) fn problems_json(problems: &[Problem]) -> String {
    serde_json::to_string(problems).expect("problems have string keys only") + "\n"
}

/// A paragraph for each problem: where it is, what is wrong, what to do.
pub(super) fn problems_text(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let place = problem
            .source
            .as_ref()
            .map_or_else(String::new, |source| format!("{source}: "));
        let field = problem
            .field
            .as_deref()
            .map_or_else(String::new, |field| format!(" {field}"));
        let written = writeln!(
            text,
            "{place}{}{field}\n    {}: {}\n    remedy: {}",
            problem.object, problem.reason, problem.message, problem.remedy
        );
        written.expect("a string takes any length");
    }
    text
}

/// `1 object`, `2 objects`
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
