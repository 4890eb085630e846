//! `silverback crds`: the definitions of silverback's own Kubernetes kinds.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use crate::status::resource::{definitions, manifest};

/// Flags of `silverback crds`.
#[derive(Debug, Args)]
pub(super) struct CrdsArguments {
    #[command(subcommand)]
    verb: CrdsVerb,
}

#[derive(Debug, Subcommand)]
enum CrdsVerb {
    /// Print them as YAML: `silverback crds print | kubectl apply --server-side -f -`
    Print,
}

/// Carries the verb out.
pub(super) fn run(arguments: &CrdsArguments) -> ExitCode {
    match arguments.verb {
        CrdsVerb::Print => match print(&mut io::stdout().lock()) {
            // Whoever reads only the first lines is no failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                eprintln!("error: failed to print: {error}");
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        },
    }
}

fn print(output: &mut impl Write) -> io::Result<()> {
    for definition in definitions() {
        write!(output, "---\n{}", manifest(&definition))?;
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_a_document_of_its_own() {
        let mut output = Vec::new();
        print(&mut output).expect("memory takes everything");
        let text = String::from_utf8(output).expect("YAML is text");
        assert_eq!(text.matches("---\n").count(), 2);
        for name in [
            "proxyfleets.gateway.silverback.dev",
            "proxyinstances.gateway.silverback.dev",
        ] {
            assert!(text.contains(&format!("  name: {name}\n")), "{text}");
        }
    }
}
