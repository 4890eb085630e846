//! The cluster by its programs: kubectl, helm, and ways in.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::poll::eventually;

/// A cluster that is up.
#[derive(Clone)]
pub(crate) struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
}

impl Cluster {
    pub(crate) fn new(directory: &Path, programs: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            programs: programs.to_owned(),
        }
    }

    /// What `cluster up --dir` was given.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The administrator's.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        let home = self.directory.join("helm");
        command
            .env("KUBECONFIG", self.directory.join("kubeconfig"))
            .env("HELM_CACHE_HOME", home.join("cache"))
            .env("HELM_CONFIG_HOME", home.join("config"))
            .env("HELM_DATA_HOME", home.join("data"))
            .stdin(Stdio::null());
        command
    }

    fn output(mut command: Command, what: &str) -> anyhow::Result<String> {
        let output = command.output().with_context(|| format!("failed to start {what}"))?;
        if !output.status.success() {
            bail!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Any program, with the kubeconfig of the cluster in its environment.
    pub(crate) fn run(&self, program: &Path, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("KUBECONFIG", self.directory.join("kubeconfig"))
            .stdin(Stdio::null());
        command
            .output()
            .with_context(|| format!("failed to start {}", program.display()))
    }

    /// `kubectl …`: what it prints.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command("kubectl");
        command.args(arguments);
        Self::output(command, &format!("kubectl {}", arguments.join(" ")))
    }

    /// The same, shown to the reader.
    pub(crate) fn show(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.kubectl(arguments)?;
        println!("   $ kubectl {}", arguments.join(" "));
        for line in output.lines() {
            println!("   {line}");
        }
        Ok(output)
    }

    /// `kubectl get … -o json`
    pub(crate) fn get(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.kubectl(&[&["get"], arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&output).context("kubectl printed no JSON")
    }

    /// `kubectl get … -o json`: the items.
    pub(crate) fn list(&self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        Ok(self.get(arguments)?["items"].as_array().cloned().unwrap_or_default())
    }

    /// `kubectl apply -f -`
    pub(crate) fn apply(&self, manifest: &str) -> anyhow::Result<()> {
        self.feed(&["apply", "-f", "-"], manifest).map(drop)
    }

    /// The same: what kubectl says beside, such as warnings.
    pub(crate) fn apply_and_hear(&self, manifest: &str) -> anyhow::Result<String> {
        self.feed(&["apply", "-f", "-"], manifest)
    }

    /// `kubectl apply --dry-run=server -f -`: whether it would be taken.
    pub(crate) fn try_out(&self, manifest: &str) -> anyhow::Result<()> {
        self.feed(&["apply", "--dry-run=server", "-f", "-"], manifest).map(drop)
    }

    /// `kubectl delete -f -`
    pub(crate) fn delete(&self, manifest: &str) -> anyhow::Result<()> {
        self.feed(&["delete", "-f", "-"], manifest).map(drop)
    }

    /// kubectl with a manifest on its input: what it prints on its error output.
    fn feed(&self, arguments: &[&str], manifest: &str) -> anyhow::Result<String> {
        let mut child = self
            .command("kubectl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        child
            .stdin
            .take()
            .context("it is piped")?
            .write_all(manifest.as_bytes())?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            bail!("kubectl {}: {said}", arguments.join(" "));
        }
        Ok(said)
    }

    /// `helm …`: what it prints.
    pub(crate) fn helm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.helm_of("helm", arguments)
    }

    /// `helm uninstall`, of a release that need not be there.
    pub(crate) fn uninstall(&self, release: &str, namespace: &str) -> anyhow::Result<String> {
        let flags = ["-n", namespace, "--ignore-not-found", "--wait", "--timeout", "90s"];
        self.helm(&[&["uninstall", release], &flags[..]].concat())
    }

    /// The same by one of the two programs, `helm` (3) and `helm4`.
    pub(crate) fn helm_of(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command(program);
        command.args(arguments);
        println!("   $ {program} {}", arguments.join(" "));
        Self::output(command, &format!("{program} {}", arguments.join(" ")))
    }

    /// A loopback address that leads to `target` as seen from node 1, as long as it is kept.
    pub(crate) fn forward(&self, target: &str) -> anyhow::Result<Forward> {
        self.forward_from("node1", target)
    }

    /// The same as seen from another node.
    pub(crate) fn forward_from(&self, node: &str, target: &str) -> anyhow::Result<Forward> {
        let mut child = self
            .command("cluster")
            .args(["forward", "--dir"])
            .arg(&self.directory)
            .args(["--from", node, "127.0.0.1:0", target])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("it is piped")?).read_line(&mut line)?;
        let address = line
            .trim()
            .parse()
            .with_context(|| format!("cluster forward printed {line:?}"))?;
        Ok(Forward { child, address })
    }

    /// `cluster backends NODE`: where connections that were made there have led, a line each.
    pub(crate) fn backends(&self, node: &str) -> anyhow::Result<String> {
        let mut command = self.command("cluster");
        command.args(["backends", "--dir"]).arg(&self.directory).arg(node);
        Self::output(command, &format!("cluster backends {node}"))
    }

    /// `cluster node NODE ACTION`: what happens to a computer.
    pub(crate) fn node(&self, node: &str, action: &str) -> anyhow::Result<()> {
        let mut command = self.command("cluster");
        command
            .args(["node", "--dir"])
            .arg(&self.directory)
            .args([node, action]);
        println!("   $ cluster node {node} {action}");
        Self::output(command, &format!("cluster node {node} {action}")).map(drop)
    }

    /// `cluster exec NODE -- …` with this on its input.
    pub(crate) fn exec(&self, node: &str, arguments: &[&str], input: &str) -> anyhow::Result<()> {
        let what = format!("{} on {node}", arguments.join(" "));
        let mut child = self
            .command("cluster")
            .args(["exec", "--dir"])
            .arg(&self.directory)
            .args([node, "--"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("it is piped")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Kills the first process of a container, as a crash does.
    pub(crate) fn kill_container(&self, node: &str, container: &str) -> anyhow::Result<()> {
        let mut command = self.command("cluster");
        command.args(["exec", "--dir"]).arg(&self.directory).args([node, "--"]);
        command.args(["ctr", "-n", "k8s.io", "task", "kill", "--signal", "SIGKILL", container]);
        Self::output(command, &format!("ctr task kill on {node}")).map(drop)
    }

    /// Sends a signal to the first process of a container, as `SIGSTOP`.
    pub(crate) fn signal_container(&self, node: &str, container: &str, signal: &str) -> anyhow::Result<()> {
        let mut command = self.command("cluster");
        command.args(["exec", "--dir"]).arg(&self.directory).args([node, "--"]);
        command.args(["ctr", "-n", "k8s.io", "task", "kill", "--signal", signal, container]);
        Self::output(command, &format!("ctr task kill --signal {signal} on {node}")).map(drop)
    }

    /// Sends a signal to the API server: `STOP` leaves its connections open, and nobody answers.
    pub(crate) fn signal_api_server(&self, signal: &str) -> anyhow::Result<()> {
        let mut command = self.command("cluster");
        command.args(["exec", "--dir"]).arg(&self.directory);
        command.args([
            "control",
            "--",
            "pkill",
            &format!("-{signal}"),
            "-f",
            "^cluster apiserver",
        ]);
        Self::output(command, &format!("pkill -{signal} of the API server")).map(drop)
    }

    /// kubectl with a command that goes on: its lines, until it is dropped.
    pub(crate) fn follow(&self, arguments: &[&str]) -> anyhow::Result<Followed> {
        let mut child = self
            .command("kubectl")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().context("it is piped")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                kept.lock().expect("no holder panics").push(line);
            }
        });
        Ok(Followed { child, lines })
    }

    /// Follows the log of a pod, from its first line on, until it is dropped. Each line has its own time: the one at which a
    /// runtime has read it is later, on one node more than on another.
    pub(crate) fn follow_log(&self, namespace: &str, pod: &str) -> anyhow::Result<FollowedLog> {
        let followed = self.follow(&["logs", "-f", "-n", namespace, pod])?;
        // What is asked for once the pod is gone is never told.
        eventually("the log is followed", Duration::from_secs(30), || {
            ensure!(!followed.lines().is_empty(), "no line of {pod} yet");
            Ok(())
        })?;
        Ok(FollowedLog(followed))
    }

    /// Kills the API server, which starts again by itself: every watch ends.
    pub(crate) fn restart_api_server(&self) -> anyhow::Result<()> {
        let mut command = self.command("cluster");
        command.args(["exec", "--dir"]).arg(&self.directory);
        command.args(["control", "--", "pkill", "-KILL", "-f", "^cluster apiserver"]);
        Self::output(command, "pkill of the API server")?;
        eventually("the API server is back", Duration::from_secs(60), || {
            self.kubectl(&["get", "--raw", "/readyz"])
        })
        .map(drop)
    }

    /// What helps to understand a failure.
    pub(crate) fn show_state(&self) {
        for arguments in [
            &["get", "pods", "-A", "-o", "wide"][..],
            &["get", "proxyinstances", "-A"],
            &["get", "proxyfleets", "-A", "-o", "yaml"],
            &["get", "events", "-A", "--sort-by=.lastTimestamp"],
            &[
                "logs",
                "-n",
                "gateway",
                "-l",
                "app.kubernetes.io/component=controller",
                "--tail=60",
                "--prefix",
            ],
            &[
                "logs",
                "-n",
                "gateway",
                "-l",
                "app.kubernetes.io/component=app",
                "--tail=15",
                "--prefix",
            ],
        ] {
            if let Err(error) = self.show(arguments) {
                println!("   {error:#}");
            }
        }
    }
}

/// What a command prints that goes on.
pub(crate) struct Followed {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Followed {
    /// Its lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no holder panics").clone()
    }

    /// Whether no more will come.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }
}

/// The log of a pod.
pub(crate) struct FollowedLog(Followed);

impl FollowedLog {
    /// When the first line with that text was written, of those after a moment if one is given.
    pub(crate) fn time_of(&self, text: &str, after: Option<jiff::Timestamp>) -> Option<jiff::Timestamp> {
        let lines = self.0.lines();
        let mut times = lines.iter().filter_map(|line| {
            let (time, said) = line.split_once(' ')?;
            said.contains(text).then(|| time.parse().ok())?
        });
        times.find(|time| after.is_none_or(|after| *time >= after))
    }

    /// All lines with that text, each with its time.
    pub(crate) fn lines(&self, text: &str) -> Vec<(jiff::Timestamp, String)> {
        let lines = self.0.lines();
        let lines = lines.iter().filter(|line| line.contains(text));
        let parts = lines.filter_map(|line| line.split_once(' '));
        parts
            .filter_map(|(time, said)| Some((time.parse().ok()?, said.to_owned())))
            .collect()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A way into the cluster.
pub(crate) struct Forward {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Forward {
    fn drop(&mut self) {
        // It may have ended with the cluster.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
