//! A running controller, asked over its dashboard's address: as it is given, or through the API server into a pod, which
//! needs no more than access to the cluster.

mod port_forward;

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use axum::http::{Request, header};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::{Api, Client, api::ListParams};
use tokio::time::timeout;

use super::cluster::failure;
use crate::status::resource::ProxyFleet;

/// Where the dashboard is when nothing else is said.
const DASHBOARD_PORT: u16 = 10256;
/// The largest answer: a configuration of a large cluster.
const MAX_ANSWER: usize = 256 << 20;
/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Which controller is asked.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ControllerArguments {
    /// Address of the controller's dashboard, such as http://127.0.0.1:10256; through the API server by default
    #[arg(long, value_name = "URL")]
    controller: Option<String>,
    /// Namespace of the controller; that of the ProxyFleets by default
    #[arg(long, value_name = "NAMESPACE")]
    controller_namespace: Option<String>,
}

impl ControllerArguments {
    /// The controller at that address, or in that namespace.
    pub(super) fn new(controller: Option<String>, controller_namespace: Option<String>) -> Self {
        Self {
            controller,
            controller_namespace,
        }
    }

    /// Whether the controller's address is given, so that no cluster is needed to reach it.
    pub(super) fn is_given(&self) -> bool {
        self.controller.is_some()
    }

    /// The controller; through the cluster if no address is given.
    pub(super) async fn find(&self, client: Option<&Client>) -> anyhow::Result<Controller> {
        if let Some(address) = &self.controller {
            let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
            let address = address.trim_end_matches('/').to_owned();
            return Ok(Controller {
                way: Way::Address(http, address),
            });
        }
        let client = client.context("give --controller URL, or access to a cluster")?;
        let namespace = match &self.controller_namespace {
            Some(namespace) => namespace.clone(),
            None => namespace(client).await?,
        };
        let pods = pods(client, &namespace).await?;
        let to = |(pod, port): &(String, u16)| Controller {
            way: Way::Pod(Box::new(InPod {
                client: client.clone(),
                namespace: namespace.clone(),
                pod: pod.clone(),
                port: *port,
                connection: None,
            })),
        };
        let mut first = to(&pods[0]);
        if pods.len() == 1 {
            return Ok(first);
        }
        // One that can't say who leads is asked all the same: it may be of an older version, and knows enough.
        let holder = first.leader().await.unwrap_or_default();
        let leader = pods
            .iter()
            .find(|(pod, _)| holder.as_deref().is_some_and(|holder| names(holder, pod)));
        Ok(leader.map_or(first, to))
    }
}

/// A controller that can be asked.
pub(super) struct Controller {
    way: Way,
}

enum Way {
    Address(reqwest::Client, String),
    Pod(Box<InPod>),
}

struct InPod {
    client: Client,
    namespace: String,
    pod: String,
    port: u16,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl Controller {
    /// Where it is, for messages.
    pub(super) fn place(&self) -> String {
        match &self.way {
            Way::Address(_, address) => address.clone(),
            Way::Pod(pod) => format!("pod {}/{}", pod.namespace, pod.pod),
        }
    }

    /// The identity of the one that leads, if that is another. It knows of the proxies at once, the others by their own
    /// probes.
    async fn leader(&mut self) -> anyhow::Result<Option<String>> {
        let answer = self.get("/api/v1/leadership").await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        Ok(answer["holder"].as_str().map(str::to_owned))
    }

    /// The body of an answer.
    ///
    /// # Errors
    /// It can't be reached, or says that something is wrong.
    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
        let place = self.place();
        let answer = timeout(LIMIT, async {
            match &mut self.way {
                Way::Address(http, address) => of_address(http, &format!("{address}{path}")).await,
                Way::Pod(pod) => pod.get(path).await,
            }
        });
        let answer = answer
            .await
            .map_err(|_| anyhow::anyhow!("no answer within {} s", LIMIT.as_secs()));
        answer
            .flatten()
            .with_context(|| format!("failed to ask the controller at {place} for {path}"))
    }
}

async fn of_address(http: &reqwest::Client, url: &str) -> anyhow::Result<Vec<u8>> {
    let mut answer = http.get(url).send().await?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        ensure!(body.len() + chunk.len() <= MAX_ANSWER, "more than {MAX_ANSWER} bytes");
        body.extend_from_slice(&chunk);
    }
    check(status.as_u16(), &body)?;
    Ok(body)
}

fn check(status: u16, body: &[u8]) -> anyhow::Result<()> {
    if !(200..300).contains(&status) {
        let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
        bail!("it answers {status}: {}", text.trim());
    }
    Ok(())
}

impl InPod {
    async fn get(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut connection = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.ready().await?;
        let request = Request::get(path)
            .header(header::HOST, "localhost")
            .body(Empty::new())?;
        let answer = connection.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
        self.connection = Some(connection);
        check(status.as_u16(), &body)?;
        Ok(body.to_vec())
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
        let opening = port_forward::open(&self.client, &self.namespace, &self.pod, self.port);
        let stream = timeout(CONNECT_LIMIT, opening)
            .await
            .context("no connection in time")??;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(connection)
    }
}

/// Where the controller runs: it makes its ProxyFleets beside itself.
async fn namespace(client: &Client) -> anyhow::Result<String> {
    let fleets: Api<ProxyFleet> = Api::all(client.clone());
    let fleets = fleets.list(&ListParams::default().limit(100)).await;
    let fleets = fleets.map_err(|error| {
        let error = failure(
            "look for ProxyFleets",
            "list on proxyfleets (gateway.silverback.dev)",
            &error,
        );
        error.context("give --controller-namespace")
    })?;
    let mut namespaces: Vec<String> = fleets
        .items
        .into_iter()
        .filter_map(|fleet| fleet.metadata.namespace)
        .collect();
    namespaces.dedup();
    match namespaces.as_slice() {
        [namespace] => Ok(namespace.clone()),
        [] => {
            bail!("there is no ProxyFleet in the cluster, so that no controller runs; or give --controller-namespace")
        }
        several => bail!(
            "there are several controllers, choose by --controller-namespace: {}",
            several.join(", ")
        ),
    }
}

/// Whether an identity is that of a pod: its name, with or without something that makes it unique.
fn names(identity: &str, pod: &str) -> bool {
    let rest = identity.strip_prefix(pod);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// The pods of the controller that are ready, one at least, each with the port of its dashboard.
async fn pods(client: &Client, namespace: &str) -> anyhow::Result<Vec<(String, u16)>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = pods.list(&ListParams::default().limit(1000)).await;
    let pods = pods.map_err(|error| failure(&format!("list the pods of {namespace}"), "list on pods", &error))?;
    let mut found = Vec::new();
    for pod in pods.items {
        let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let is_ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let mut containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let controller = containers.find(|container| is_controller(container));
        if let (true, Some(container), Some(name)) = (is_ready, controller, pod.metadata.name) {
            found.push((name, port(container)?));
        }
    }
    ensure!(
        !found.is_empty(),
        "no controller is ready in namespace {namespace}: kubectl get pods -n {namespace}"
    );
    Ok(found)
}

/// As the charts call it.
fn is_controller(container: &Container) -> bool {
    ["controller", "ingress-controller"].contains(&container.name.as_str())
}

fn port(container: &Container) -> anyhow::Result<u16> {
    const FLAG: &str = "--dashboard-bind-address=";
    let flag = container
        .args
        .iter()
        .flatten()
        .find_map(|argument| argument.strip_prefix(FLAG));
    let mut variables = container.env.iter().flatten();
    let variable = variables.find(|variable| variable.name == "CONTROLLER_DASHBOARD_BIND_ADDRESS");
    match flag.or_else(|| variable.and_then(|variable| variable.value.as_deref())) {
        None | Some("") => Ok(DASHBOARD_PORT),
        Some("off" | "0") => {
            bail!("the controller serves no dashboard (--dashboard-bind-address=off), so it can't be asked")
        }
        Some(address) => {
            let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
            port.with_context(|| format!("--dashboard-bind-address={address} of the controller has no port"))
        }
    }
}
