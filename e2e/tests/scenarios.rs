//! The program that goes through the scenarios, as somebody calls it who has not read it. That it is tested here also has
//! cargo build it together with the tests.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

/// With a test bed that is not there.
fn e2e(scenario: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_e2e"))
        .args(
            ["--cluster", "--programs", "--gateway-api"]
                .iter()
                .flat_map(|flag| [*flag, "/nowhere"]),
        )
        .arg(scenario)
        .output()
        .unwrap()
}

#[test]
fn a_scenario_that_there_is_not_is_answered_with_those_that_there_are() {
    let output = e2e("instal");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no scenario \"instal\"; there are: install, "), "{said}");
}

#[test]
fn an_installation_that_fails_ends_the_run_and_its_reason_comes_last() {
    let output = e2e("idle");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last: Vec<_> = said.lines().rev().take(2).collect();
    assert_eq!(last[0], "0 passed, 1 failed", "{said}");
    assert!(last[1].starts_with("install: FAILED after "), "{said}");
}
