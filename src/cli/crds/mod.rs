//! `silverback crds`: the definitions of the Kubernetes kinds that silverback brings.

mod apply;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::run::block_on;
use crate::status::resource::{GROUPS, definitions, manifest};

/// Flags of `silverback crds`.
#[derive(Debug, Args)]
pub(super) struct CrdsArguments {
    #[command(subcommand)]
    verb: CrdsVerb,
}

#[derive(Debug, Subcommand)]
enum CrdsVerb {
    /// Print them as YAML: `silverback crds print | kubectl apply --server-side --force-conflicts -f -`
    Print(PrintArguments),
    /// Put them into the cluster, over older ones and those of Kong Ingress Controller
    Apply(apply::ApplyArguments),
}

#[derive(Debug, Default, Args)]
struct PrintArguments {
    /// Print only the kinds of that API group; may be given several times
    #[arg(long, value_name = "GROUP", value_parser = GROUPS)]
    group: Vec<String>,
}

/// Carries the verb out.
pub(super) fn run(arguments: CrdsArguments) -> ExitCode {
    match arguments.verb {
        CrdsVerb::Apply(arguments) => block_on(apply::run(arguments)),
        CrdsVerb::Print(arguments) => match print(&arguments, &mut io::stdout().lock()) {
            // Whoever reads only the first lines is no failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                eprintln!("error: failed to print: {error}");
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        },
    }
}

fn print(arguments: &PrintArguments, output: &mut impl Write) -> io::Result<()> {
    let groups = &arguments.group;
    let wanted = |group: &String| groups.is_empty() || groups.contains(group);
    for definition in definitions().iter().filter(|definition| wanted(&definition.spec.group)) {
        write!(output, "---\n{}", manifest(definition))?;
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &PrintArguments) -> Vec<String> {
        let mut output = Vec::new();
        print(arguments, &mut output).expect("memory takes everything");
        let text = String::from_utf8(output).expect("YAML is text");
        let documents = text.split("---\n").skip(1);
        let name = |document: &str| {
            Some(
                document
                    .lines()
                    .find_map(|line| line.strip_prefix("  name: "))?
                    .to_owned(),
            )
        };
        documents.map(|document| name(document).expect("a name")).collect()
    }

    #[test]
    fn every_definition_is_a_document_of_its_own() {
        let names = names(&PrintArguments::default());
        assert_eq!(names.len(), 15);
        for name in [
            "kongplugins.configuration.konghq.com",
            "kongservicefacades.incubator.ingress-controller.konghq.com",
            "proxyfleets.gateway.silverback.dev",
            "proxyinstances.gateway.silverback.dev",
        ] {
            assert!(names.iter().any(|printed| printed == name), "{names:?}");
        }
    }

    #[test]
    fn a_group_is_printed_alone() {
        let arguments = PrintArguments {
            group: vec!["gateway.silverback.dev".to_owned()],
        };
        let expected = ["proxyfleets", "proxyinstances"].map(|plural| format!("{plural}.gateway.silverback.dev"));
        assert_eq!(names(&arguments), expected);
    }
}
