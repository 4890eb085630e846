//! What the demo shows to a person: on a terminal, and in a pipe.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    harness::{
        ECHO_SERVICE, Running, client, eventually, following, free_ports, ingress, is_alive, signal, silverback, until,
    },
    terminal::Terminal,
};

/// The demo with manifests in a directory of its own.
struct Shown {
    directory: PathBuf,
    port: u16,
    _state: tempfile::TempDir,
}

impl Shown {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("manifests");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("echo.yaml"), ECHO_SERVICE).unwrap();
        let shown = Self {
            directory,
            port: free_ports(4),
            _state: state,
        };
        shown.write("web.yaml", &ingress("web", "web.localhost", "/a"));
        shown
    }

    fn write(&self, name: &str, content: &str) {
        let beside = self.directory.join(format!(".{name}.new"));
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(beside, self.directory.join(name)).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = silverback();
        command
            .args(["demo", "--proxies=2", "--dashboard-bind-address=127.0.0.1:0"])
            .arg(format!("--port={}", self.port))
            .arg(format!("--directory={}", self.directory.display()));
        command
    }

    /// Status that a proxy answers with.
    async fn asks(&self, proxy: u16, path: &str) -> Result<u16, String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port + 2 * proxy);
        let request = client().build().unwrap().get(url).header("host", "web.localhost");
        let answer = request.send().await.map_err(|error| error.to_string())?;
        Ok(answer.status().as_u16())
    }
}

/// An Ingress, a Service and its only endpoint, where nobody is.
fn dead(path: &str) -> String {
    format!(
        "{}---\napiVersion: v1\nkind: Service\nmetadata: {{name: dead, namespace: demo}}\nspec: {{ports: [{{port: 80}}]}}\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
         metadata: {{name: dead-1, namespace: demo, labels: {{kubernetes.io/service-name: dead}}}}\n\
         ports: [{{port: 9}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n",
        ingress("dead", "web.localhost", path).replace("name: echo", "name: dead")
    )
}

/// The latest line of each proxy in the table: its readiness and hash, by name.
pub(crate) fn rows(lines: &[String]) -> BTreeMap<&str, [&str; 3]> {
    let from = lines.iter().rposition(|line| line.starts_with("NAME "));
    let table = from.map_or(&[][..], |from| &lines[from + 1..]);
    let rows = table.iter().filter_map(|line| {
        let [name, row @ ..] = *line.split_whitespace().collect::<Vec<_>>().first_chunk::<4>()?;
        Some((name, row)).filter(|(_, row)| matches!(row[0], "True" | "False" | "Unknown"))
    });
    rows.collect()
}

/// Whether both proxies run the same configuration, and which.
fn in_sync(lines: &[String]) -> Option<String> {
    let rows: Vec<_> = rows(lines).into_iter().collect();
    match rows[..] {
        [("proxy-0", one), ("proxy-1", other)] if one == other && one[..2] == ["True", "True"] => {
            Some(one[2].to_owned())
        }
        _ => None,
    }
}

fn position(lines: &[String], words: &[&str]) -> Option<usize> {
    lines
        .iter()
        .position(|line| words.iter().all(|word| line.contains(word)))
}

fn headings(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.starts_with("NAME ")).count()
}

#[tokio::test]
async fn on_a_terminal_the_table_stays_current_and_what_is_logged_stays_readable_above_it() {
    let shown = Shown::new();
    let terminal = Terminal::run(&shown.command());
    let lines = terminal
        .until("both proxies in sync", |lines| in_sync(lines).is_some())
        .await;
    let first = in_sync(&lines).unwrap();

    // As a person does who copies the line.
    let hint = lines.iter().find_map(|line| line.strip_prefix("try")).unwrap().trim();
    assert!(hint.starts_with("curl "), "{hint}");
    let answer = Command::new("sh").args(["-c", hint]).output().unwrap();
    let answer = String::from_utf8(answer.stdout).unwrap();
    assert!(answer.contains("Hello from the example upstream"), "{hint}: {answer}");

    shown.write("web.yaml", &ingress("web", "web.localhost", "/b"));
    let lines = terminal
        .until("the new configuration on both", |lines| {
            in_sync(lines).is_some_and(|hash| hash != first)
        })
        .await;
    let second = in_sync(&lines).unwrap();
    assert_eq!(
        (headings(&lines), lines.len()),
        (
            1,
            1 + lines.iter().rposition(|line| line.starts_with("proxy-1")).unwrap()
        )
    );

    // A proxy says why it answers 502, and the controller that the manifests are gone.
    shown.write("dead.yaml", &dead("/dead"));
    let lines = terminal
        .until("the route to nobody on both", |lines| {
            in_sync(lines).is_some_and(|hash| hash != second)
        })
        .await;
    let third = in_sync(&lines).unwrap();
    assert_eq!(shown.asks(1, "/dead").await, Ok(502));
    let said = ["proxy-1", "WARN", "an attempt failed", "127.0.0.1:9"];
    terminal
        .until("what the proxy says", |lines| position(lines, &said).is_some())
        .await;
    let away = shown.directory.with_file_name("away");
    std::fs::rename(&shown.directory, &away).unwrap();
    let logged = ["WARN", "manifests can't be read", "there is no directory"];
    let held = ["held", "nothing is sent to the proxies", "there is no directory"];
    terminal
        .until("that nothing is read", |lines| {
            position(lines, &logged).is_some() && position(lines, &held).is_some()
        })
        .await;
    std::fs::rename(&away, &shown.directory).unwrap();
    shown.write("web.yaml", &ingress("web", "web.localhost", "/c"));
    let lines = terminal
        .until("the next configuration on both", |lines| {
            in_sync(lines).is_some_and(|hash| hash != third)
        })
        .await;
    // All of it is there still, once, and below it one table.
    let table = lines.iter().position(|line| line.starts_with("NAME ")).unwrap();
    for words in [&said[..], &logged, &held, &["released"]] {
        let place = position(&lines, words);
        assert!(
            place.is_some_and(|place| place < table),
            "{words:?}\n{}",
            lines.join("\n")
        );
    }
    assert_eq!(headings(&lines), 1, "{}", lines.join("\n"));
}

#[tokio::test]
async fn in_a_pipe_there_are_plain_lines_and_log_lines_on_stderr_bear_the_proxys_name() {
    let shown = Shown::new();
    shown.write("dead.yaml", &dead("/dead"));
    let child = shown
        .command()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Running(child);
    let output = following(child.0.stdout.take().unwrap());
    let errors = following(child.0.stderr.take().unwrap());
    let mut printed = Vec::new();
    until(&output, &mut printed, "both proxies in sync", |lines| {
        in_sync(lines).is_some()
    });

    // Each line that changed comes again, without its headings.
    let before = printed.len();
    shown.write("web.yaml", &ingress("web", "web.localhost", "/b"));
    until(&output, &mut printed, "a changed row of each proxy", |lines| {
        let is_new = |name: &str| lines[before..].iter().any(|line| line.starts_with(name));
        is_new("proxy-0 ") && is_new("proxy-1 ")
    });
    assert_eq!(headings(&printed), 1, "{}", printed.join("\n"));

    assert_eq!(shown.asks(0, "/dead").await, Ok(502));
    let mut logged = Vec::new();
    until(&errors, &mut logged, "why the proxy answers 502", |lines| {
        position(lines, &["proxy-0", "WARN", "an attempt failed"]).is_some()
    });

    // A proxy that is killed is said so, besides that it shows.
    let proxy = printed.iter().find(|line| line.starts_with("proxy-1 ")).unwrap();
    let pid = proxy.rsplit_once("pid ").unwrap().1.parse().unwrap();
    signal(pid, "KILL");
    until(&errors, &mut logged, "that it ended", |lines| {
        position(lines, &["proxy-1", "ended", "SIGKILL"]).is_some()
    });
    until(&output, &mut printed, "that it is unreachable", |lines| {
        position(lines, &["proxy-1", "ConnectionRefused"]).is_some()
    });

    signal(child.0.id(), "INT");
    eventually("the demo ends", async || match is_alive(child.0.id().into()) {
        false => Ok(()),
        true => Err("it runs".to_owned()),
    })
    .await;
    // What is left of both.
    printed.extend(output.iter());
    logged.extend(errors.iter());
    for line in printed.iter().chain(&logged) {
        assert!(!line.contains('\x1b'), "{line:?}");
    }
    assert!(
        !logged
            .iter()
            .any(|line| line.contains("proxy-0") && line.contains("ended")),
        "it was to end: {logged:?}"
    );
}

#[tokio::test]
async fn settings_of_another_proxy_in_the_environment_are_none_of_the_demos() {
    let shown = Shown::new();
    let mut command = shown.command();
    command
        .env("KONG_DATABASE", "postgres")
        .env("SILVERBACK_PROXY_DRAIN_TIMEOUT", "nonsense")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = Running(command.spawn().unwrap());
    let output = following(child.0.stdout.take().unwrap());
    let mut printed = Vec::new();
    until(&output, &mut printed, "both proxies in sync", |lines| {
        in_sync(lines).is_some()
    });
    assert_eq!(shown.asks(0, "/a").await, Ok(200));

    // The command that starts a proxy again works in the same environment.
    let place = position(&printed, &["kill "]).unwrap();
    let kill = printed[place]
        .trim_start_matches("or")
        .trim()
        .split_once("  ")
        .unwrap()
        .0;
    let start = printed[place + 1].trim();
    assert!(kill.starts_with("kill "), "{kill}");
    let ended = Command::new("sh").args(["-c", kill]).status().unwrap();
    assert!(ended.success());
    eventually("the proxy is gone", async || match shown.asks(1, "/a").await {
        Err(_) => Ok(()),
        Ok(status) => Err(status.to_string()),
    })
    .await;
    let _again = Running::start(
        Command::new("sh")
            .args(["-c", &format!("exec {start}")])
            .env("KONG_DATABASE", "postgres")
            .env("SILVERBACK_PROXY_DRAIN_TIMEOUT", "nonsense"),
    );
    eventually("the proxy that was started again answers", async || {
        match shown.asks(1, "/a").await {
            Ok(200) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
