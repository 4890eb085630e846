//! A controller as a process, on manifests of its own, with the proxies of a test.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Child, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    harness::{LIMIT, Lines, client, eventually, free_ports, metric, signal, silverback},
    stub::Stub,
};

/// A controller on a directory of its own.
pub(crate) struct Controller {
    child: Child,
    arguments: Vec<OsString>,
    /// Of the process that runs now.
    pub(crate) log: Mutex<Lines>,
    dashboard: String,
    metrics: String,
    manifests: PathBuf,
    client: reqwest::Client,
    _state: tempfile::TempDir,
}

impl Controller {
    /// With these proxies and this manifest.
    pub(crate) fn start(proxies: &[&Stub], flags: &[&str], text: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        let manifests = state.path().join("manifests");
        std::fs::create_dir(&manifests).unwrap();
        std::fs::write(manifests.join("in.yaml"), text).unwrap();
        let port = free_ports(2);
        let (dashboard, metrics) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", port + 1));
        let fixed = [
            "run",
            "--health-probe-bind-address=off",
            "--probe-interval=200ms",
            "--push-duty=100",
            "--dashboard-bind-address",
            &dashboard,
            "--metrics-bind-address",
            &metrics,
            "--directory",
        ];
        let mut arguments: Vec<OsString> = fixed.iter().map(Into::into).collect();
        arguments.push(manifests.clone().into());
        arguments.extend(flags.iter().map(Into::into));
        for proxy in proxies {
            arguments.extend(["--proxy", &proxy.url].map(Into::into));
        }
        let (child, log) = spawn(&arguments);
        Self {
            child,
            log,
            arguments,
            dashboard,
            metrics,
            manifests,
            client: client().build().unwrap(),
            _state: state,
        }
    }

    /// Ends as in a pod that is deleted, and waits.
    pub(crate) async fn stop(&mut self) {
        signal(self.child.id(), "TERM");
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            assert!(begin.elapsed() < LIMIT, "the controller does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Another process on the same directory.
    pub(crate) fn start_again(&mut self) {
        (self.child, self.log) = spawn(&self.arguments);
    }

    /// Replaces the manifest as an editor does: beside it, then renamed.
    pub(crate) fn write(&self, text: &str) {
        let beside = self.manifests.join(".in.yaml.new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, self.manifests.join("in.yaml")).unwrap();
    }

    /// What the dashboard's API lists.
    pub(crate) async fn api(&self, path: &str) -> Result<Vec<Value>, String> {
        let url = format!("http://{}/api/v1/{path}", self.dashboard);
        let answer = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        let body = answer.bytes().await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }

    /// The value of a series, if there is one.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let answer = self.client.get(format!("http://{}/metrics", self.metrics)).send().await;
        metric(&answer.unwrap().text().await.unwrap(), name, labels)
    }

    /// Waits until a series has that value.
    pub(crate) async fn measures(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        eventually(&format!("{name} {labels:?} is {value}"), async || {
            let found = self.metric(name, labels).await;
            (found == Some(value)).then_some(()).ok_or(format!("{found:?}"))
        })
        .await;
    }

    /// Waits until the first proxy, as it is shown, passes the check.
    pub(crate) async fn proxy(&self, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let proxy = self.api("proxies").await?.first().cloned().unwrap_or_default();
            if check(&proxy) {
                Ok(proxy)
            } else {
                Err(format!("{proxy:#}"))
            }
        })
        .await
    }

    /// Object and reason of all problems.
    pub(crate) async fn problems(&self) -> Vec<(String, String)> {
        let text = |problem: &Value, field: &str| problem[field].as_str().unwrap().to_owned();
        let problems = self.api("problems").await.unwrap();
        problems
            .iter()
            .map(|problem| (text(problem, "object"), text(problem, "reason")))
            .collect()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(arguments: &[OsString]) -> (Child, Mutex<Lines>) {
    let mut command = silverback();
    let command = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let log = Lines::of(child.stderr.take().unwrap());
    (child, Mutex::new(log))
}

/// An Ingress with a host, a Service and a backend of its own.
pub(crate) fn web(name: &str, path: &str, address: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: demo}}\nspec:\n  \
         ingressClassName: kong\n  rules:\n  - host: {name}.localhost\n    http: {{paths: [{{path: {path}, pathType: Prefix, \
         backend: {{service: {{name: {name}, port: {{number: 80}}}}}}}}]}}\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: demo}}\nspec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80}}]}}\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
         metadata: {{name: {name}-1, namespace: demo, labels: {{kubernetes.io/service-name: {name}}}}}\n\
         ports: [{{name: http, port: 9}}]\nendpoints: [{{addresses: [{address}]}}]\n"
    )
}

/// The routes of a configuration.
pub(crate) fn routes(document: &Value) -> Vec<&Value> {
    let services = document["services"].as_array().into_iter().flatten();
    services
        .flat_map(|service| service["routes"].as_array().into_iter().flatten())
        .collect()
}

/// Their paths, in order.
pub(crate) fn paths(document: &Value) -> Vec<String> {
    let paths = routes(document)
        .into_iter()
        .map(|route| route["paths"][0].as_str().unwrap().trim_end_matches('/').to_owned());
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths
}
