//! The log of `run`: problems and unreachable proxies are said once each, also when they are over.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::mpsc,
    time::Instant,
};

use crate::harness::{LIMIT, Running, ingress, silverback};

#[test]
fn the_log_names_problems_and_unreachable_proxies_once_and_says_when_they_are_over() {
    let state = tempfile::tempdir().unwrap();
    let manifests = state.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    let manifest = manifests.join("web.yaml");
    let right = ingress("web", "web.localhost", "/a");
    std::fs::write(&manifest, right.replace("pathType: Prefix", "pathType: Prefx")).unwrap();
    // A port that was free a moment ago: nothing answers there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = silverback()
        .args([
            "run",
            "--probe-interval=100ms",
            "--health-probe-bind-address=off",
            "--metrics-bind-address=off",
        ])
        .args([
            "--dashboard-bind-address=127.0.0.1:0",
            "--proxy",
            &format!("https://127.0.0.1:{port}"),
        ])
        .arg("--directory")
        .arg(&manifests)
        .arg("--pki-directory")
        .arg(state.path().join("pki"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Running(child);
    let (sender, lines) = mpsc::channel();
    let errors = BufReader::new(child.0.stderr.take().unwrap());
    std::thread::spawn(move || {
        errors
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });

    let mut seen = Vec::new();
    let mut wait_for = |words: &[&str]| {
        let end = Instant::now() + LIMIT;
        loop {
            let found = seen
                .iter()
                .position(|line: &String| words.iter().all(|word| line.contains(word)));
            if found.is_some() {
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => seen.push(line),
                Err(error) => panic!("no line with {words:?} ({error}):\n{}", seen.join("\n")),
            }
        }
    };
    wait_for(&[
        "WARN",
        "Ingress demo/web",
        "rules[0].http.paths[0].pathType",
        "InvalidField",
        "web.yaml:11",
    ]);
    let proxy = format!("127.0.0.1:{port}");
    wait_for(&["WARN", &proxy, "ConnectionRefused"]);
    std::fs::write(&manifest, right).unwrap();
    wait_for(&["INFO", "solved", "Ingress demo/web", "InvalidField"]);

    drop(child);
    seen.extend(lines);
    let said = |word: &str| {
        seen.iter()
            .filter(|line| line.contains("WARN") && line.contains(word))
            .count()
    };
    assert_eq!(said("InvalidField"), 1, "{}", seen.join("\n"));
    assert_eq!(said("ConnectionRefused"), 1, "{}", seen.join("\n"));
}
