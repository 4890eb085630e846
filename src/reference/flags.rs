//! The page of flags.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::{cell, holds};
use crate::cli::{self, INERT, KONG_FLAGS, REFUSED};

/// `-f`, `--filename FILE`; `--update-status[=BOOL]`; `--kong-admin-url URL`, `--proxy URL`.
fn spelling(argument: &Arg) -> String {
    let takes_value = argument.get_action().takes_values();
    let value = argument
        .get_value_names()
        .filter(|_| takes_value)
        .map(|names| names.join(" "));
    let value = match value {
        Some(name) if argument.is_require_equals_set() => format!("[={name}]"),
        Some(name) => format!(" {name}"),
        None => String::new(),
    };
    if argument.is_positional() {
        return format!("`{}`", cell(value.trim()));
    }
    let short = argument.get_short().map(|letter| format!("-{letter}"));
    let aliases = argument.get_visible_aliases().unwrap_or_default();
    let long = argument
        .get_long()
        .into_iter()
        .chain(aliases)
        .map(|name| format!("--{name}"));
    let names = short
        .into_iter()
        .chain(long)
        .map(|name| format!("`{}`", cell(&format!("{name}{value}"))));
    names.collect::<Vec<_>>().join(", ")
}

fn default(argument: &Arg) -> String {
    let values = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy());
    match values.collect::<Vec<_>>().join(" ") {
        // Flags without a value are false until given.
        _ if !argument.get_action().takes_values() => String::new(),
        none if none.is_empty() => String::new(),
        values => format!("`{values}`"),
    }
}

fn meaning(argument: &Arg) -> String {
    let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let possible = argument.get_possible_values();
    if argument.get_action().takes_values() && !argument.is_require_equals_set() && !possible.is_empty() {
        let names = possible.iter().map(|value| format!("`{}`", value.get_name()));
        write!(meaning, "; one of {}", names.collect::<Vec<_>>().join(", ")).expect("text");
    }
    cell(&meaning)
}

fn flag_tables(verb: &Command) -> String {
    let with_variables = verb.get_arguments().any(|argument| argument.get_env().is_some());
    let mut text = String::new();
    let mut groups: Vec<(Option<&str>, Vec<&Arg>)> = Vec::new();
    for argument in verb.get_arguments() {
        if argument.is_hide_set() {
            continue;
        }
        let heading = argument.get_help_heading();
        match groups.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, group)) => group.push(argument),
            None => groups.push((heading, vec![argument])),
        }
    }
    for (heading, arguments) in groups {
        if let Some(heading) = heading {
            write!(text, "\n### {heading}\n").expect("text");
        }
        text.push_str(if with_variables {
            "\n| flag | variable | default | meaning |\n|---|---|---|---|\n"
        } else {
            "\n| flag | default | meaning |\n|---|---|---|\n"
        });
        for argument in arguments {
            let variable = argument
                .get_env()
                .map(|name| format!("`{}` | ", name.to_string_lossy()));
            let variable = variable.unwrap_or_else(|| {
                if with_variables {
                    " | ".to_owned()
                } else {
                    String::new()
                }
            });
            let (flag, default, meaning) = (spelling(argument), default(argument), meaning(argument));
            writeln!(text, "| {flag} | {variable}{default} | {meaning} |").expect("text");
        }
    }
    text
}

/// A verb, and the verbs below it.
fn verb_section(parent: &str, verb: &Command, text: &mut String) {
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    let name = format!("{parent} {}", verb.get_name());
    write!(text, "\n## {name}\n\n{}.\n", about.trim_end_matches('.')).expect("text");
    if verb.get_arguments().next().is_some() {
        text.push_str(&flag_tables(verb));
    }
    for below in verb.get_subcommands() {
        verb_section(&name, below, text);
    }
}

/// Each flag of Kong Ingress Controller, and what becomes of it.
fn kong_flags() -> String {
    let mut text =
        "\n## Flags of Kong Ingress Controller\n\nEvery flag of release 3.5 is accepted by `run`.\n".to_owned();
    text.push_str("\n| flag | here |\n|---|---|\n");
    let mut names: Vec<&str> = KONG_FLAGS.iter().map(|(flag, _)| *flag).collect();
    names.sort_unstable();
    for name in names {
        let treatment = if let Some(inert) = INERT.iter().find(|inert| inert.flag == name) {
            format!("a warning: {}", inert.why)
        } else if let Some((_, value, why)) = REFUSED.iter().find(|(flag, ..)| *flag == name) {
            format!("`{value}` is refused: {why}")
        } else {
            "acts".to_owned()
        };
        writeln!(text, "| `--{name}` | {} |", cell(&treatment)).expect("text");
    }
    text
}

#[test]
fn every_flag_is_listed() {
    let command = cli::command();
    let mut text = String::new();
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "proxy") {
        verb_section("silverback", verb, &mut text);
    }
    text.push_str(&kong_flags());
    text.push('\n');
    holds("flags.md", &text);
}

#[test]
fn every_flag_of_run_has_its_variable() {
    let command = cli::command();
    let run = command.find_subcommand("run").expect("there is a verb run");
    for argument in run.get_arguments() {
        let flag = argument.get_long().expect("each flag has a name");
        let variable = format!("CONTROLLER_{}", flag.to_uppercase().replace('-', "_"));
        assert_eq!(
            argument.get_env().and_then(|name| name.to_str()),
            Some(&*variable),
            "--{flag}"
        );
        for other in argument.get_visible_aliases().unwrap_or_default() {
            let other = format!("CONTROLLER_{}", other.to_uppercase().replace('-', "_"));
            let is_read = cli::OTHER_NAMES.contains(&(&*other, &*variable));
            assert!(is_read, "{other} of --{flag} is not read");
        }
    }
}
