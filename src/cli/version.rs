//! `silverback version`: what this is, for programs; keys and form are Kong Ingress Controller's.

use std::process::ExitCode;

use serde::Serialize;

#[derive(Serialize)]
struct Version {
    release: &'static str,
    repo: &'static str,
    commit: &'static str,
}

/// Prints it. The commit is known where the build says it, by `SILVERBACK_COMMIT` in its environment.
pub(super) fn run() -> ExitCode {
    let version = Version {
        release: env!("CARGO_PKG_VERSION"),
        repo: env!("CARGO_PKG_REPOSITORY"),
        commit: option_env!("SILVERBACK_COMMIT")
            .filter(|commit| !commit.is_empty())
            .unwrap_or("unknown"),
    };
    let text = serde_json::to_string_pretty(&version).expect("keys are strings");
    println!("{text}");
    ExitCode::SUCCESS
}
