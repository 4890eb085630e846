//! `silverback render`: manifests in, the proxies' configuration out, offline and by the same code as in a cluster.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use proxy_config_schema::Configuration;

use crate::{
    manifest::{self, Limits, Manifests},
    model::{Edition, Problem, Profile, RouterFlavor, Snapshot},
    render::{self, Rendered},
    translate::{self, MissingPlugin, Settings, Translation},
};

/// Exit code where the manifests have problems.
const PROBLEMS: u8 = 1;
/// Exit code where the command line does.
const USAGE: u8 = 2;

/// Flags of `silverback render`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit code: 0 without problems, 1 with some (all that is right is printed all the same), 2 usage."
)]
pub(super) struct RenderArguments {
    /// Manifests: a file, a directory with all below it, or - for standard input (repeatable).
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-", required = true)]
    filename: Vec<PathBuf>,
    /// How the configuration is printed; json is byte for byte what proxies get, without a line's end.
    #[arg(long, value_name = "FORMAT", default_value = "yaml")]
    format: Format,
    /// How problems are printed on standard error; json is one array and nothing else.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    problems: ProblemFormat,
    /// Take objects as they are, to compare with Kong Ingress Controller: no defaulting, no invented identities,
    /// conflicting routes side by side.
    #[arg(long)]
    raw_objects: bool,
    /// Name of the IngressClass that is ours.
    #[arg(long, value_name = "NAME", default_value = "kong")]
    ingress_class: String,
    /// How the proxies match routes.
    #[arg(long, value_name = "FLAVOR", default_value = "traditional")]
    router_flavor: Flavor,
    /// Version of the proxies, such as 3.9; without it nothing is used that depends on a version.
    #[arg(long, value_name = "VERSION", value_parser = kong_version)]
    kong_version: Option<(u16, u16)>,
    /// Edition of the proxies; without it nothing is left out because of it.
    #[arg(long, value_name = "EDITION")]
    edition: Option<EditionArgument>,
    /// Appended to the DNS names of Services that are targets themselves.
    #[arg(long, value_name = "DOMAIN", default_value = "")]
    cluster_domain: String,
    /// Keep terminating endpoints as targets of weight 0.
    #[arg(long)]
    enable_drain_support: bool,
    /// What a route gets whose plugin is missing: 503, or nothing as with Kong Ingress Controller.
    #[arg(long, value_name = "WAY", default_value = "fail-closed")]
    missing_plugin: MissingPluginArgument,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProblemFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Flavor {
    #[value(alias = "traditional_compatible")]
    Traditional,
    Expressions,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EditionArgument {
    #[value(alias = "community", alias = "oss")]
    OpenSource,
    Enterprise,
    Embedded,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MissingPluginArgument {
    FailClosed,
    Omit,
}

/// Reads `3.9` or `3.9.1`.
fn kong_version(text: &str) -> Result<(u16, u16), String> {
    let numbers: Result<Vec<u16>, _> = text.split('.').map(str::parse).collect();
    match numbers.as_deref() {
        Ok([major, minor] | [major, minor, _] | [major, minor, _, _]) => Ok((*major, *minor)),
        _ => Err(format!("{text:?} is no version; write it like 3.9")),
    }
}

impl RenderArguments {
    fn settings(&self) -> Settings {
        Settings {
            ingress_class: self.ingress_class.clone(),
            profile: Profile {
                router_flavor: match self.router_flavor {
                    Flavor::Traditional => RouterFlavor::Traditional,
                    Flavor::Expressions => RouterFlavor::Expressions,
                },
                edition: self.edition.map(|edition| match edition {
                    EditionArgument::OpenSource => Edition::OpenSource,
                    EditionArgument::Enterprise => Edition::Enterprise,
                    EditionArgument::Embedded => Edition::Embedded,
                }),
                version: self.kong_version,
            },
            cluster_domain: self.cluster_domain.clone(),
            drain_support: self.enable_drain_support,
            raw_objects: self.raw_objects,
            pods_known: false,
            missing_plugin: match self.missing_plugin {
                MissingPluginArgument::FailClosed => MissingPlugin::FailClosed,
                MissingPluginArgument::Omit => MissingPlugin::Omit,
            },
            ..Settings::default()
        }
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        if self.raw_objects {
            limits.default_namespace = "".into();
        }
        limits
    }
}

/// Prints the configuration on standard output and what is wrong on standard error.
pub(super) fn run(arguments: &RenderArguments) -> ExitCode {
    let manifests = match read(&arguments.filename, &arguments.limits()) {
        Ok(manifests) => manifests,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(USAGE);
        }
    };
    let outcome = Outcome::new(manifests, &arguments.settings());
    let configuration = match arguments.format {
        Format::Json => outcome.rendered.bytes.to_vec(),
        Format::Yaml => yaml(&outcome.configuration).into_bytes(),
    };
    let problems = match arguments.problems {
        ProblemFormat::Text => text(&outcome.problems),
        ProblemFormat::Json => json(&outcome.problems),
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

/// What manifests come to.
struct Outcome {
    configuration: Configuration,
    rendered: Rendered,
    /// Those of the manifests and those of the translation, sorted.
    problems: Vec<Problem>,
}

impl Outcome {
    fn new(manifests: Manifests, settings: &Settings) -> Self {
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
fn read(paths: &[PathBuf], limits: &Limits) -> Result<Manifests, String> {
    let mut all = Manifests::default();
    for path in paths {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            let mut input = io::stdin().lock().take(limits.file_bytes + 1);
            input
                .read_to_end(&mut bytes)
                .map_err(|error| format!("failed to read standard input: {error}"))?;
            all.extend(manifest::parse("-", &bytes, limits));
        } else {
            std::fs::metadata(path).map_err(|error| format!("-f {}: {error}", path.display()))?;
            all.extend(manifest::load(path, limits));
        }
    }
    all.finish(limits);
    Ok(all)
}

/// Keys in alphabetical order, as Kong Ingress Controller's dumps have them.
fn yaml(configuration: &Configuration) -> String {
    let document = serde_json::to_value(configuration).expect("entities have string keys only");
    let one_line = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(&document, one_line).expect("JSON is YAML, and a string takes any length")
}

fn json(problems: &[Problem]) -> String {
    serde_json::to_string(problems).expect("problems have string keys only") + "\n"
}

/// A paragraph for each problem, and their count.
fn text(problems: &[Problem]) -> String {
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
    match problems.len() {
        0 => {}
        1 => text.push_str("1 problem\n"),
        count => text.push_str(&format!("{count} problems\n")),
    }
    text
}

#[cfg(test)]
mod tests;
