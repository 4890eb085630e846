//! Golden directories, and what a user sees of problems.
//!
//! Below `src/translate/testdata` a directory with `in.yaml` is a case; each directory in it is a run: `arguments` are
//! flags of `silverback render`, `config.yaml` is the configuration expected, `problems.yaml` the problems (any, where
//! there is no such file). `UPDATE_GOLDEN=1 cargo test golden` writes what is new, after which one reads the difference.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use proptest::prelude::*;
use proxy_config_schema::{RouterFlavor as KongFlavor, ValidationOptions};
use serde_json::Value;

use super::*;
use crate::model::{Object, Reason};

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    render: RenderArguments,
}

fn arguments(flags: &str) -> RenderArguments {
    let words = ["render", "-f", "-"].into_iter().chain(flags.split_whitespace());
    CommandLine::try_parse_from(words).unwrap().render
}

fn outcome(manifests: Manifests, arguments: &RenderArguments) -> Outcome {
    Outcome::new(manifests, &arguments.settings())
}

fn render(flags: &str, text: &str) -> Outcome {
    let arguments = arguments(flags);
    outcome(
        manifest::parse("in.yaml", text.as_bytes(), &arguments.limits()),
        &arguments,
    )
}

fn value(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// All directories that hold a case.
fn cases(root: &Path) -> Vec<PathBuf> {
    directories(root)
        .into_iter()
        .flat_map(|path| {
            if path.join("in.yaml").exists() {
                vec![path]
            } else {
                cases(&path)
            }
        })
        .collect()
}

/// What a real proxy of the profile would say.
fn assert_accepted(outcome: &Outcome, arguments: &RenderArguments) {
    let flavor = match arguments.router_flavor {
        Flavor::Traditional => KongFlavor::TraditionalCompatible,
        Flavor::Expressions => KongFlavor::Expressions,
    };
    let options = ValidationOptions {
        router_flavor: flavor,
        ..ValidationOptions::default()
    };
    if let Err(invalid) = outcome.configuration.validate(&options) {
        panic!("a proxy refuses it: {:#}", invalid.to_answer(true));
    }
}

/// Orders of the objects that all must give the same.
fn orders(objects: &[Object]) -> Vec<Vec<Object>> {
    let reversed = objects.iter().rev().cloned().collect();
    let mut rotated = objects.to_vec();
    rotated.rotate_left(objects.len() / 2);
    vec![reversed, rotated]
}

#[test]
fn golden() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/translate/testdata");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut runs = 0;
    for case in cases(&root) {
        let input = fs::read_to_string(case.join("in.yaml")).unwrap();
        for run in directories(&case) {
            println!("{}", run.display());
            let arguments = arguments(&fs::read_to_string(run.join("arguments")).unwrap());
            let manifests = manifest::parse("in.yaml", input.as_bytes(), &arguments.limits());
            let got = outcome(manifests.clone(), &arguments);
            assert_accepted(&got, &arguments);
            for objects in orders(&manifests.objects) {
                let shuffled = Manifests {
                    objects,
                    ..manifests.clone()
                };
                let other = outcome(shuffled, &arguments);
                assert_eq!(
                    (&got.rendered, &got.problems),
                    (&other.rendered, &other.problems),
                    "order matters"
                );
            }
            let configuration = yaml(&got.configuration);
            let as_sent: Value = serde_json::from_slice(&got.rendered.bytes).unwrap();
            assert_eq!(value(&configuration), as_sent, "YAML and JSON differ");
            let problems = serde_saphyr::to_string(&got.problems).unwrap();
            if update && !case.starts_with(root.join("kic")) {
                fs::write(run.join("config.yaml"), &configuration).unwrap();
                fs::write(run.join("problems.yaml"), &problems).unwrap();
            }
            let expected = fs::read_to_string(run.join("config.yaml")).unwrap();
            similar(&value(&expected), &value(&configuration), &run);
            if let Ok(expected) = fs::read_to_string(run.join("problems.yaml")) {
                similar(&value(&expected), &value(&problems), &run);
            }
            runs += 1;
        }
    }
    assert!(runs >= 15, "only {runs} runs were found");
}

/// Equal down to the order of lists; else says what differs.
fn similar(expected: &Value, got: &Value, run: &Path) {
    if expected != got {
        let text = |value| serde_saphyr::to_string(value).unwrap();
        panic!("{}:\nexpected\n{}\ngot\n{}", run.display(), text(expected), text(got));
    }
}
