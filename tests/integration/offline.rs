//! `lint`, `diff`, `version`: what works without a cluster and without a proxy.

use std::{
    io::Write,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::harness::{Demo, ECHO_SERVICE, ingress, run, silverback};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = silverback()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn write(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn web(path: &str) -> String {
    format!("{}---\n{ECHO_SERVICE}", ingress("web", "web.example", path))
}

/// Its Service has pods, as far as one can see without a cluster.
fn web_with_pods() -> String {
    web("/") + "  selector: {app: echo}\n"
}

#[test]
fn lint_reports_problems_on_standard_output() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "a.yaml", &web_with_pods());
    let output = run(&["lint", "-f", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(
        text(&output.stdout).starts_with("no problems in "),
        "{}",
        text(&output.stdout)
    );

    write(
        directory.path(),
        "b.yaml",
        &ingress("bad", "bad.example", "/").replace("name: echo", "name: nosuch"),
    );
    let path = directory.path().to_str().unwrap();
    let output = run(&["lint", "-f", path]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    for part in [
        "b.yaml:1: Ingress demo/bad spec.rules[0]",
        "ServiceNotFound: ",
        "remedy: ",
        "1 problem of 1 object; ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(output.stderr.is_empty());

    let output = run(&["lint", "-f", path, "--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let problems: Value = serde_json::from_slice(&output.stdout).expect("one JSON array and nothing else");
    assert_eq!(problems[0]["reason"], "ServiceNotFound");
    assert_eq!(run(&["lint", "-f", "/nonexistent"]).status.code(), Some(2));
    assert_eq!(run(&["lint"]).status.code(), Some(2));
}

#[test]
fn diff_tells_what_changes_of_which_object() {
    let directory = tempfile::tempdir().unwrap();
    let before = write(directory.path(), "before.yaml", &web("/a"));
    let after = write(directory.path(), "after.yaml", &web("/b"));
    assert_eq!(text(&run(&["diff", &before, &before]).stdout), "no changes\n");

    let output = run(&["diff", &before, &after]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(
        shown.starts_with("Ingress demo/web\n  ~ route ") && shown.contains("paths: "),
        "{shown}"
    );

    let rendered = run(&["render", "-f", &before]);
    let rendered = write(directory.path(), "rendered.yaml", text(&rendered.stdout));
    assert_eq!(
        run(&["diff", &rendered, &before]).status.code(),
        Some(0),
        "a configuration is compared with manifests"
    );

    let output = with_input(&["diff", "-", &after, "-o", "json"], &web("/a"));
    assert_eq!(output.status.code(), Some(1));
    let changes: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(changes["objects"][0]["object"]["kind"], "Ingress");
    assert_eq!(changes["objects"][0]["entities"][0]["change"], "changed");

    assert_eq!(run(&["diff", &before]).status.code(), Some(2));
    assert_eq!(run(&["diff", "-", "-"]).status.code(), Some(2));
    let output = run(&["diff", &before, "/nonexistent"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("/nonexistent"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn kinds_that_are_not_read_are_not_there() {
    const PLUGINS: &str = "---
apiVersion: configuration.konghq.com/v1
kind: KongClusterPlugin
metadata: {name: guard, annotations: {kubernetes.io/ingress.class: kong}, labels: {global: \"true\"}}
plugin: key-auth
---
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: broken, namespace: demo}
plugin: 5
";
    const FLAGS: [&str; 2] = [
        "--enable-controller-kongplugin=false",
        "--enable-controller-kongclusterplugin=false",
    ];
    let directory = tempfile::tempdir().unwrap();
    let without = write(directory.path(), "without.yaml", &web_with_pods());
    let with = write(directory.path(), "with.yaml", &(web_with_pods() + PLUGINS));
    let with_flags = |arguments: &[&str]| run(&[arguments, &FLAGS].concat());

    let all = run(&["render", "-f", &with]);
    assert_eq!(all.status.code(), Some(1), "{}", text(&all.stderr));
    assert!(text(&all.stdout).contains("key-auth"), "{}", text(&all.stdout));
    let some = with_flags(&["render", "-f", &with]);
    assert_eq!(some.status.code(), Some(0), "{}", text(&some.stderr));
    assert_eq!(text(&some.stdout), text(&run(&["render", "-f", &without]).stdout));

    let all = run(&["lint", "-f", &with]);
    assert!(
        text(&all.stdout).contains("KongPlugin demo/broken"),
        "{}",
        text(&all.stdout)
    );
    let some = with_flags(&["lint", "-f", &with]);
    assert_eq!(some.status.code(), Some(0), "{}", text(&some.stdout));

    assert_eq!(run(&["diff", &without, &with]).status.code(), Some(1));
    let same = with_flags(&["diff", &without, &with]);
    assert_eq!(text(&same.stdout), "no changes\n", "{}", text(&same.stderr));
}

#[tokio::test]
async fn diff_compares_with_a_running_controller() {
    let demo = Demo::start(1, &[("web.yaml", &web("/a"))]);
    let dashboard = demo.info["dashboard"].as_str().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let after = write(directory.path(), "after.yaml", &web("/b"));
    let output = run(&["diff", dashboard, &after]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(
        shown.contains("Ingress demo/web") && shown.contains("paths: "),
        "{shown}"
    );
    let output = run(&["diff", &format!("{dashboard}nothing/"), &after]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("404"), "{}", text(&output.stderr));
}

/// The offline commands that a page shows, each with the output that stands below it.
fn shown(page: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        let Some(line) = line.strip_prefix("    ") else {
            inside = false;
            continue;
        };
        match line.strip_prefix("$ ") {
            Some(command) => {
                inside = ["render", "lint", "diff"]
                    .iter()
                    .any(|verb| command.starts_with(&format!("silverback {verb} ")));
                if inside {
                    commands.push((command.to_owned(), Vec::new()));
                }
            }
            None if inside => commands
                .last_mut()
                .expect("output stands below a command")
                .1
                .push(line.to_owned()),
            None => {}
        }
    }
    commands
}

#[test]
fn pages_show_what_the_commands_print() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (page, least) in [("README.md", 3), ("docs/guide/offline.md", 4)] {
        let commands = shown(&std::fs::read_to_string(root.join(page)).unwrap());
        assert!(commands.len() >= least, "{page} shows {commands:?}");
        for (command, expected) in commands {
            let output = silverback()
                .args(command.split_whitespace().skip(1))
                .current_dir(root)
                .output()
                .unwrap();
            let printed: Vec<&str> = text(&output.stdout).lines().collect();
            let is_shown = |(printed, expected): (&&str, &String)| match expected.strip_suffix('…') {
                Some(beginning) => printed.starts_with(beginning),
                None => printed == expected,
            };
            assert!(
                printed.len() == expected.len() && printed.iter().zip(&expected).all(is_shown),
                "{page}: `{command}` prints\n{}\n{}",
                printed.join("\n"),
                text(&output.stderr)
            );
        }
    }
}

#[test]
fn versions_are_for_people_and_for_programs() {
    let output = run(&["version"]);
    let version: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(version["release"], env!("CARGO_PKG_VERSION"));
    for key in ["repo", "commit"] {
        assert!(version[key].as_str().is_some_and(|text| !text.is_empty()), "{version}");
    }
    let output = run(&["--version"]);
    assert_eq!(
        text(&output.stdout),
        concat!("silverback ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn every_verb_says_how_it_is_used() {
    for verb in ["run", "render", "lint", "diff"] {
        let output = run(&[verb, "--help"]);
        let help = text(&output.stdout);
        assert!(help.contains("Example"), "{verb}: {help}");
    }
}
