//! Help, usage errors, `render`.

use std::process::Stdio;

use crate::harness::{ECHO_SERVICE, ingress, run, silverback};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn help_groups_flags_and_names_their_variables() {
    let output = run(&["run", "--help"]);
    let help = text(&output.stdout);
    assert!(output.status.success());
    for word in [
        "The proxies' Admin API:",
        "--kong-admin-svc",
        "CONTROLLER_KONG_ADMIN_SVC",
        "--proxy",
        "--probe-interval",
        "CONTROLLER_PUSH_DUTY",
    ] {
        assert!(help.contains(word), "{word} is not in\n{help}");
    }
}

#[test]
fn an_unknown_flag_is_a_usage_error_with_the_nearest_name() {
    let output = run(&["run", "--kong-admin-scv", "a/b"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("--kong-admin-svc"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn run_without_proxies_says_what_to_give() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(&["run", "--directory", directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--proxy"), "{}", text(&output.stderr));
}

#[test]
fn the_demo_refuses_what_it_can_not_do_as_a_usage_error() {
    for (arguments, named) in [
        (
            ["--directory", "/nonexistent"],
            "--directory /nonexistent does not exist",
        ),
        (["--port", "65535"], "choose a lower --port"),
        (["--proxies", "0"], "1..=200"),
    ] {
        let output = run(&[&["demo"], &arguments[..]].concat());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(named), "{message}");
        assert!(output.stdout.is_empty(), "nothing was started");
    }
}

#[test]
fn a_kubeconfig_that_is_missing_is_named() {
    let output = run(&[
        "run",
        "--kubeconfig",
        "/nonexistent/kubeconfig",
        "--kong-admin-svc",
        "kong/admin",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("/nonexistent/kubeconfig"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn that_there_is_no_cluster_is_told_once() {
    let home = tempfile::tempdir().unwrap();
    let output = silverback()
        .args(["run", "--kong-admin-svc=kong/admin"])
        .env("HOME", home.path())
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for said in ["give --kubeconfig FILE", "/.kube/config", "No such file"] {
        assert_eq!(message.matches(said).count(), 1, "{said} in {message}");
    }
}

#[test]
fn a_kubeconfig_that_can_not_be_used_is_named_with_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubeconfig");
    let path = file.to_str().unwrap().to_owned();
    for (content, named) in [
        ("clusters: [{", "kubeconfig"),
        ("apiVersion: v1\nkind: Config\n", "context"),
        (
            "apiVersion: v1\nkind: Config\ncurrent-context: nosuch\ncontexts: []\nclusters: []\nusers: []\n",
            "nosuch",
        ),
        (
            "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n\
             users: [{name: a, user: {}}]\nclusters: [{name: a, cluster: {server: 'https://127.0.0.1:1', \
             certificate-authority: /nonexistent/ca.crt}}]\n",
            "/nonexistent/ca.crt",
        ),
    ] {
        std::fs::write(&file, content).unwrap();
        let output = run(&["run", "--kubeconfig", &path, "--kong-admin-svc", "kong/admin"]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(&path) && message.contains(named), "{message}");
    }
}

#[test]
fn variables_alone_are_a_run() {
    let output = silverback()
        .env("CONTROLLER_KUBECONFIG", "/nonexistent/kubeconfig")
        .env("CONTROLLER_KONG_ADMIN_SVC", "kong/admin")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("/nonexistent/kubeconfig"), "{message}");
    let nothing = run(&[]);
    assert_eq!(
        nothing.status.code(),
        Some(2),
        "without variables it says how it is used"
    );
    assert!(text(&nothing.stderr).contains("demo"), "{}", text(&nothing.stderr));
}

/// `run` without a cluster, told of proxies by variables alone, until it ends with a usage error; what it says.
fn told_of_proxies(variables: &[(&str, &str)]) -> String {
    let output = silverback()
        .args(["run", "--directory=/nonexistent"])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    message
}

#[test]
fn the_other_name_of_a_flag_has_a_variable_as_well() {
    let wrong = |given: &str| format!("--proxy \"{given}\" must begin with https://");
    let message = told_of_proxies(&[("CONTROLLER_PROXY", "ftp://a")]);
    assert!(message.contains(&wrong("ftp://a")), "{message}");
    let message = told_of_proxies(&[
        ("CONTROLLER_PROXY", "https://a:1,ftp://b"),
        ("CONTROLLER_KONG_ADMIN_URL", ""),
    ]);
    assert!(message.contains(&wrong("ftp://b")), "an empty one is none: {message}");
    let message = told_of_proxies(&[("CONTROLLER_PROXY", "https://a:1")]);
    assert!(message.contains("--directory /nonexistent"), "{message}");

    let both = [
        ("CONTROLLER_PROXY", "https://a:1"),
        ("CONTROLLER_KONG_ADMIN_URL", "https://b:1"),
    ];
    let message = told_of_proxies(&both);
    assert!(
        message.contains("CONTROLLER_PROXY and CONTROLLER_KONG_ADMIN_URL are the same; remove one"),
        "{message}"
    );
}

#[test]
fn a_server_name_is_of_no_use_where_proxies_are_discovered() {
    let output = run(&[
        "run",
        "--kubeconfig=/nonexistent/kubeconfig",
        "--kong-admin-svc=kong/admin",
        "--kong-admin-tls-server-name=proxy",
    ]);
    let message = text(&output.stderr);
    assert!(
        message.contains("--kong-admin-tls-server-name has no effect")
            && message.contains("pod.<service>.<namespace>.svc"),
        "{message}"
    );
}

#[test]
fn render_prints_the_configuration_and_its_exit_code_tells_of_problems() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("a.yaml"),
        format!("{}---\n{ECHO_SERVICE}", ingress("web", "web.example", "/")),
    )
    .unwrap();
    let path = directory.path().to_str().unwrap();
    let output = run(&["render", "-f", path, "--format", "json"]);
    let configuration: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(configuration["_format_version"], "3.0");
    assert_eq!(configuration["services"][0]["name"], "demo.echo.80");

    std::fs::write(
        directory.path().join("b.yaml"),
        ingress("bad", "bad.example", "/").replace("name: echo", "name: nosuch"),
    )
    .unwrap();
    let output = run(&["render", "-f", path, "--problems", "json", "--format", "yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("demo.echo.80"),
        "the good part is printed all the same"
    );
    let problems: serde_json::Value = serde_json::from_slice(&output.stderr).expect("one JSON array and nothing else");
    let problem = problems
        .as_array()
        .unwrap()
        .iter()
        .find(|problem| problem["reason"] == "ServiceNotFound")
        .expect("the missing Service");
    assert_eq!(problem["object"]["name"], "bad");
    assert!(!problem["remedy"].as_str().unwrap().is_empty());
    assert_eq!(run(&["render", "-f", "/nonexistent"]).status.code(), Some(2));
}
