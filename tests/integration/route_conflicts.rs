//! Of routes that want the same requests one answers, and with either router the same one: with the traditional one as the
//! embedded proxy does it, with expressions as their meaning and priorities are.

use std::{collections::BTreeSet, path::Path};

use regex::Regex;
use serde_json::Value;

use crate::harness::{Demo, run};

const MANIFESTS: &str = include_str!("../../src/translate/testdata/gateway/path-conflicts/in.yaml");

/// Host, path, and which Service answers.
const REQUESTS: &[(&str, &str, &str)] = &[
    ("later-rule.example", "/", "two"),
    ("later-rule.example", "/x", "one"),
    ("younger.example", "/b", "two"),
    ("younger.example", "/b/x", "one"),
    ("older.example", "/b", "two"),
    ("older.example", "/b/x", "one"),
    ("some-hosts.example", "/", "two"),
    ("some-hosts.example", "/x", "one"),
    ("other-hosts.example", "/", "one"),
    ("other-hosts.example", "/x", "one"),
    ("regex.example", "/b", "two"),
    ("root.example", "/", "one"),
    ("root.example", "/x", "one"),
    ("any.example", "/", "one"),
    ("any.example", "/x", "one"),
    ("parts.example", "/", "one"),
    ("parts.example", "/b", "one"),
    ("parts.example", "/x", "one"),
    ("replaced.example", "/a", "one"),
    ("replaced.example", "/a/x", "one"),
    ("replaced-too.example", "/", "one"),
    ("replaced-too.example", "/x", "one"),
    ("replaced-too.example", "/a", "one"),
    ("replaced-too.example", "/a/x", "one"),
];

/// HTTPRoutes that lose what they ask for. Those whose prefix covers an exact path of another one do not.
const LOSERS: &[&str] = &["parts", "regex", "replaced", "replaced-too", "root"];

#[tokio::test]
async fn one_of_two_routes_answers_and_with_either_router_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("routes.yaml");
    std::fs::write(&file, MANIFESTS).unwrap();
    let (configuration, _) = render(&file, "expressions");
    for (host, path, service) in REQUESTS {
        assert_eq!(
            answering(&configuration, host, path),
            *service,
            "expressions: {host}{path}"
        );
    }
    let (_, problems) = render(&file, "traditional_compatible");
    let told: BTreeSet<_> = problems
        .iter()
        .filter(|problem| problem["reason"] == "Conflict")
        .map(|problem| problem["object"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(told, LOSERS.iter().copied().collect(), "{problems:#?}");

    let demo = Demo::start(1, &[("routes.yaml", MANIFESTS)]);
    for (host, path, service) in REQUESTS {
        let status = if *service == "one" { 201 } else { 202 };
        demo.answers(0, host, path, status).await;
    }
}

/// The configuration and the problems.
fn render(file: &Path, flavor: &str) -> (Value, Vec<Value>) {
    let file = file.to_str().unwrap();
    let output = run(&[
        "render",
        "--router-flavor",
        flavor,
        "--format",
        "json",
        "--problems",
        "json",
        "-f",
        file,
    ]);
    let problems = serde_json::from_slice(&output.stderr).unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), problems)
}

/// The Service behind the route that holds and has the highest priority.
fn answering(configuration: &Value, host: &str, path: &str) -> String {
    let mut found: Vec<(u64, &str)> = Vec::new();
    for service in configuration["services"].as_array().unwrap() {
        let tags = service["tags"].as_array().unwrap();
        let name = tags.iter().find_map(|tag| tag.as_str()?.strip_prefix("k8s-name:"));
        for route in service["routes"].as_array().unwrap() {
            if holds(route["expression"].as_str().unwrap(), host, path) {
                found.push((route["priority"].as_u64().unwrap(), name.unwrap()));
            }
        }
    }
    found.sort_unstable();
    let highest = *found.last().unwrap_or_else(|| panic!("no route for {host}{path}"));
    let equal = found.iter().filter(|(priority, _)| *priority == highest.0);
    assert_eq!(equal.count(), 1, "chance decides {host}{path}: {found:?}");
    highest.1.to_owned()
}

/// Whether an expression of hosts and paths, as they are written here, holds for a request.
fn holds(expression: &str, host: &str, path: &str) -> bool {
    if expression.starts_with('(') {
        let (members, joint) = members(expression);
        let mut members = members.iter().map(|member| holds(member, host, path));
        return if joint == " || " {
            members.any(|holds| holds)
        } else {
            members.all(|holds| holds)
        };
    }
    let mut words = expression.splitn(3, ' ');
    let (field, operator, value) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let value: String = serde_json::from_str(value).unwrap();
    let given = match field {
        "http.host" => host,
        "http.path" => path,
        other => panic!("{other} in {expression}"),
    };
    match operator {
        "==" => given == value,
        "^=" => given.starts_with(&value),
        "~" => Regex::new(&value).unwrap().is_match(given),
        other => panic!("{other} in {expression}"),
    }
}

/// What stands in the outer parentheses, and between them.
fn members(expression: &str) -> (Vec<&str>, &str) {
    let (mut members, mut joint) = (Vec::new(), "");
    let (mut depth, mut start, mut quoted, mut escaped) = (0, 0, false, false);
    for (position, character) in expression.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' => {
                if depth == 0 {
                    joint = &expression[start..position];
                    start = position + 1;
                }
                depth += 1;
            }
            ')' => {
                depth -= 1;
                if depth == 0 {
                    members.push(&expression[start..position]);
                    start = position + 1;
                }
            }
            _ => {}
        }
    }
    (members, joint)
}
